//! Who may start: limits of rig and convoy, order, and that limits hold through every kind of uncertainty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{DesiredState, PolecatPhase, RigSettings};
use gastown_rules::{Action, Blueprint, RigRow};
use jiff::SignedDuration;
use std::collections::BTreeSet;

fn most(n: i32) -> impl FnOnce(&mut RigRow) {
    move |r| {
        r.spec.settings = Some(RigSettings {
            max_polecats: Some(n),
            ..Default::default()
        })
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

#[test]
fn a_rig_runs_as_many_as_it_may_and_says_so_once_to_the_others() {
    let mut scene = scene();
    scene.rig("parts", most(2));
    for name in ["nux", "slit", "dag"] {
        scene.polecat(name, |_| ());
        scene.later(1);
    }
    scene.settle();
    assert_eq!(scene.working(), set(&["nux", "slit"]));
    let status = scene.status("dag");
    assert_eq!(
        (status.phase, condition(&status.conditions, "Progressing")),
        (PolecatPhase::Idle, ("False", "Queued"))
    );
    assert!(status.message.as_ref().unwrap().contains("maxPolecats"));
    // More join the queue: nothing is written to who waits already.
    scene.writes.clear();
    scene.polecat("toast", |_| ());
    scene.settle();
    assert!(scene.writes.iter().all(|a| a.key().name != "dag"));
    // A place is free as soon as the work is done and its pod over.
    scene.at_work("nux");
    scene.finishes("nux");
    assert_eq!(scene.working(), set(&["slit", "dag"]));
}

#[test]
fn eight_where_the_rig_does_not_say_and_any_number_without_a_rig() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    for n in 0..10 {
        scene.polecat(&format!("p{n}"), |_| ());
        scene.polecat(&format!("s{n}"), alone);
    }
    scene.settle();
    assert_eq!(scene.working().iter().filter(|n| n.starts_with('p')).count(), 8);
    assert_eq!(scene.working().iter().filter(|n| n.starts_with('s')).count(), 10);
}

#[test]
fn priority_first_then_age_then_name() {
    let mut scene = scene();
    scene.rig("parts", most(3));
    scene.polecat("b-old", |_| ());
    scene.later(1);
    scene.polecat("d-new", |_| ());
    scene.polecat("c-new", |_| ());
    scene.polecat("a-low", |p| p.spec.priority = Some(-1));
    scene.later(1);
    scene.polecat("z-high", |p| p.spec.priority = Some(5));
    scene.settle();
    assert_eq!(scene.working(), set(&["z-high", "b-old", "c-new"]));
}

#[test]
fn a_convoy_limits_its_own_across_rigs() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.rig("tools", |_| ());
    scene.polecat("nux", |_| ());
    scene.later(1);
    scene.polecat("slit", |p| p.spec.rig = "tools".into());
    scene.polecat("dag", |p| p.spec.rig = "tools".into());
    scene.convoy("cv", &["mp-nux", "mp-slit"], |c| {
        c.spec.rig_ref = None;
        c.spec.parallelism = Some(1);
    });
    scene.settle();
    assert_eq!(
        scene.working(),
        set(&["nux", "dag"]),
        "who is not of the convoy is not held up by it"
    );
    assert!(scene.status("slit").message.as_ref().unwrap().contains("Convoy cv"));
    scene.at_work("nux");
    scene.finishes("nux");
    assert_eq!(scene.working(), set(&["dag", "slit"]));
}

#[test]
fn a_convoy_starts_its_polecats_by_the_priority_of_their_beads() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.rig("tools", most(1));
    let ranked = |all: &[(&str, i32)]| all.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
    scene.bead_store("beads", |b| b.status.priorities = ranked(&[("mp-3", 2), ("mp-1", -1)]));
    scene.bead_store("others", |b| {
        b.spec.rig_ref = "tools".into();
        b.status.priorities = ranked(&[("mp-2", 2)]);
    });
    scene.convoy("cv", &["mp-1", "mp-2", "mp-3"], |c| c.spec.parallelism = Some(2));
    let writes = scene.settle();
    let made: BTreeSet<(Option<&str>, Option<i32>)> = writes.iter().filter_map(polecat_made).collect();
    let expected = [(Some("mp-2"), None), (Some("mp-3"), Some(2))];
    assert_eq!(made, expected.into(), "of three the least urgent waits");
    assert_eq!(
        scene.working(),
        set(&["cv-mp-3"]),
        "of one place the most urgent has it"
    );
}

/// Bead and priority of a polecat that is made.
fn polecat_made(action: &Action) -> Option<(Option<&str>, Option<i32>)> {
    let Action::Create { blueprint, .. } = action else {
        return None;
    };
    match &**blueprint {
        Blueprint::Polecat(made) => Some((made.spec.bead_id.as_deref(), made.spec.priority)),
        _ => None,
    }
}

#[test]
fn a_place_is_taken_until_its_pod_is_really_gone() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.polecat("nux", |_| ());
    scene.later(1);
    scene.polecat("slit", |_| ());
    scene.at_work("nux");
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Terminated);
    let now = scene.now;
    scene.pod("polecat-nux", |p| {
        p.meta.deleting = Some(now + SignedDuration::from_secs(120))
    });
    scene.settle();
    assert_eq!(scene.working(), set(&["nux"]), "it still runs");
    scene.vanish("polecat-nux");
    scene.settle();
    assert_eq!(scene.working(), set(&["slit"]));
}

#[test]
fn a_pod_whose_polecat_is_gone_still_takes_its_place() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    let (key, rev) = (scene.row("nux").meta.key.clone(), scene.rev());
    scene.world.learn(gastown_rules::Fact::Vanished { key, rev });
    scene.polecat("slit", |_| ());
    scene.settle();
    assert!(scene.working().is_empty());
    scene.vanish("polecat-nux");
    scene.settle();
    assert_eq!(scene.working(), set(&["slit"]));
}

#[test]
fn who_waits_for_a_node_that_never_confirms_an_end_is_looked_at_in_time() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    let (key, rev) = (scene.row("nux").meta.key.clone(), scene.rev());
    scene.world.learn(gastown_rules::Fact::Vanished { key, rev });
    scene.polecat("slit", |_| ());
    let deleting = scene.now;
    scene.pod("polecat-nux", |p| p.meta.deleting = Some(deleting));
    scene.settle();
    assert!(scene.working().is_empty());
    // Nothing but the clock says anything any more.
    while let Some(wake) = scene.plan().wakes.get("parts").copied() {
        if wake > deleting + SignedDuration::from_mins(5) || !scene.working().is_empty() {
            break;
        }
        scene.now = wake;
        scene.settle();
    }
    assert_eq!(scene.working(), set(&["slit"]));
}

#[test]
fn a_pod_on_its_way_takes_its_place_though_its_polecat_was_deleted() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.polecat("nux", |_| ());
    scene.settle();
    scene.vanish("polecat-nux");
    let create = scene
        .plan()
        .actions
        .into_iter()
        .find(|a| a.key().name == "polecat-nux")
        .unwrap();
    scene.world.learn(gastown_rules::Fact::Asked(create.clone()));
    let (key, rev) = (scene.row("nux").meta.key.clone(), scene.rev());
    scene.world.learn(gastown_rules::Fact::Vanished { key, rev });
    scene.polecat("slit", |_| ());
    scene.settle();
    assert!(scene.working().is_empty(), "the pod may be there in a moment");
    scene.answer(create, gastown_rules::Outcome::Gone);
    scene.later(600);
    scene.settle();
    assert_eq!(scene.working(), set(&["slit"]));
}

#[test]
fn a_paused_rig_starts_nothing_and_ends_nothing() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    let mut rig = scene.world.rigs["parts"].clone();
    rig.meta.rev = scene.rev();
    rig.spec.paused = Some(true);
    scene
        .world
        .learn(gastown_rules::Fact::Seen(gastown_rules::Seen::Rig(Box::new(rig))));
    scene.polecat("slit", |_| ());
    scene.settle();
    assert_eq!(scene.working(), set(&["nux"]));
    assert!(scene.status("slit").message.as_ref().unwrap().contains("paused"));
}

#[test]
fn whose_writes_are_refused_keeps_nobody_out() {
    let mut scene = scene();
    scene.rig("parts", most(1));
    scene.polecat("nux", |_| ());
    scene.later(1);
    scene.polecat("slit", |_| ());
    let publish = scene
        .plan()
        .actions
        .into_iter()
        .find(|a| a.key().name == "nux")
        .unwrap();
    scene.world.learn(gastown_rules::Fact::Asked(publish.clone()));
    scene.answer(publish, gastown_rules::Outcome::Denied { why: "no".into() });
    scene.settle();
    assert_eq!(scene.working(), set(&["slit"]));
}

#[test]
fn nobody_leaves_the_place_of_a_pod_that_is_on_its_way() {
    for wanted in [DesiredState::Terminated, DesiredState::Idle] {
        let mut scene = scene();
        scene.rig("parts", most(1));
        scene.polecat("nux", |_| ());
        scene.later(1);
        scene.polecat("slit", |_| ());
        scene.settle();
        scene.vanish("polecat-nux");
        let create = scene
            .plan()
            .actions
            .into_iter()
            .find(|a| a.key().name == "polecat-nux")
            .unwrap();
        scene.world.learn(gastown_rules::Fact::Asked(create.clone()));
        scene.edit("nux", |p| p.spec.desired_state = wanted);
        scene.settle();
        assert_eq!(
            scene.working(),
            set(&["nux"]),
            "{wanted:?}: the pod may be there in a moment"
        );
        let (rev, uid) = (scene.rev(), gastown_rules::Uid("uid-late".into()));
        scene.answer(create, gastown_rules::Outcome::Done { rev, uid });
        scene.settle();
        assert_eq!(scene.working(), set(&["slit"]), "{wanted:?}");
    }
}
