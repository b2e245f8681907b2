//! Rigs, convoys, witnesses, bead stores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{ConvoyPhase, ConvoyStatus, DesiredState, PolecatPhase, RigPhase, RigStatus, WitnessPhase};
use gastown_rules::{Action, Blueprint, Fact, Key, Kind, Outcome, Seen};
use gastown_wire::{CloneOutcome, Report, exit};

fn convoy_of<'a>(scene: &'a Scene, name: &str) -> &'a ConvoyStatus {
    &scene.world.convoys[&Key::new(Kind::Convoy, NS, name)].status
}

/// Lets sums catch up: they are written at most once a second.
fn quiet(scene: &mut Scene) {
    for _ in 0..3 {
        scene.later(40);
        scene.settle();
    }
}

#[test]
fn a_rig_has_a_witness_and_a_refinery_also_when_somebody_deletes_them() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    quiet(&mut scene);
    let status = scene.world.rigs["parts"].status.clone();
    assert_eq!(
        (status.phase, status.witness_created, status.refinery_created),
        (RigPhase::Ready, true, true)
    );
    assert_eq!(status.child_namespace.as_deref(), Some("gastown-system"));
    let key = Key::new(Kind::Refinery, "gastown-system", "parts-refinery");
    let rev = scene.rev();
    scene.world.learn(Fact::Vanished { key: key.clone(), rev });
    quiet(&mut scene);
    assert!(scene.world.refineries.contains_key(&key));
}

/// What an operator of some namespace published of a Rig; release 0.4.2 never said which generation it had seen.
fn published(home: &str, generation: Option<i64>) -> RigStatus {
    RigStatus {
        phase: RigPhase::Ready,
        polecat_count: 7,
        witness_created: true,
        refinery_created: true,
        child_namespace: Some(home.to_owned()).filter(|home| !home.is_empty()),
        observed_generation: generation,
        ..RigStatus::default()
    }
}

/// Two releases, each limited to its namespaces, see the same Rigs, for these are in none.
#[test]
fn a_rigs_status_has_one_writer() {
    for (case, before, ours) in [
        ("new", RigStatus::default(), true),
        ("this operator's", published("gastown-system", Some(1)), true),
        ("another operator's", published("team-b", Some(1)), false),
        (
            "another operator's, of an older spec",
            published("team-b", Some(0)),
            false,
        ),
        ("handed over", published("", Some(1)), true),
        ("0.4.2's, of this namespace", published("gastown-system", None), true),
        ("0.4.2's, of another", published("gastown-operator-system", None), true),
    ] {
        let mut scene = scene();
        scene.rig("parts", |r| r.status = before.clone());
        scene.polecat("nux", |_| ());
        scene.at_work("nux");
        quiet(&mut scene);
        // Whoever's it is: its polecats here are served, by a Witness and a queue here.
        assert_eq!(scene.status("nux").phase, PolecatPhase::Working, "{case}");
        for (kind, name) in [(Kind::Witness, "parts-witness"), (Kind::Refinery, "parts-refinery")] {
            let key = Key::new(kind, "gastown-system", name);
            let is_there = scene.world.witnesses.contains_key(&key) || scene.world.refineries.contains_key(&key);
            assert!(is_there, "{case}: {name}");
        }
        let status = &scene.world.rigs["parts"].status;
        let writes = scene.writes.iter().filter(|a| a.key().kind == Kind::Rig).count();
        if ours {
            assert_eq!(status.child_namespace.as_deref(), Some("gastown-system"), "{case}");
            assert_eq!((status.polecat_count, status.working), (1, 1), "{case}");
        } else {
            assert_eq!((status, writes), (&before, 0), "{case}");
        }
        let plan = scene.plan();
        assert!(plan.actions.is_empty(), "{case}: {:#?}", plan.actions);
    }
}

/// What a person types who takes a Rig from an operator that is no more.
#[test]
fn a_rig_whose_child_namespace_was_cleared_is_taken() {
    let mut scene = scene();
    scene.rig("parts", |r| r.status = published("team-b", Some(1)));
    quiet(&mut scene);
    let mut row = scene.world.rigs["parts"].clone();
    assert_eq!(row.status, published("team-b", Some(1)));
    row.meta.rev = scene.rev();
    row.status.child_namespace = None;
    scene.world.learn(Fact::Seen(Seen::Rig(Box::new(row))));
    quiet(&mut scene);
    let status = &scene.world.rigs["parts"].status;
    assert_eq!(
        (status.child_namespace.as_deref(), status.polecat_count),
        (Some("gastown-system"), 0)
    );
    assert!(scene.plan().actions.is_empty(), "{:#?}", scene.plan().actions);
}

#[test]
fn a_refused_status_of_a_child_is_no_child_that_cannot_be_created() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    let created = scene.next(Kind::Witness);
    let denied = || Outcome::Denied { why: "quota".into() };
    scene.answer(created, denied());
    scene.settle();
    assert_eq!(scene.world.rigs["parts"].status.phase, RigPhase::Degraded);
    quiet(&mut scene);
    assert_eq!(scene.world.rigs["parts"].status.phase, RigPhase::Ready);
    scene.polecat("nux", |_| ());
    scene.later(40);
    let told = scene.next(Kind::Witness);
    assert!(matches!(told, Action::Publish { .. }), "{told:?}");
    scene.answer(told, denied());
    scene.later(2);
    scene.settle();
    assert_eq!(scene.world.rigs["parts"].status.phase, RigPhase::Ready);
}

#[test]
fn deleting_a_rig_deletes_no_polecat_and_work_in_flight_goes_on() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    let rev = scene.rev();
    scene.world.learn(Fact::Vanished {
        key: Key::new(Kind::Rig, "", "parts"),
        rev,
    });
    quiet(&mut scene);
    assert_eq!(scene.working().len(), 1);
    scene.finishes("nux");
    assert_eq!(scene.status("nux").phase, PolecatPhase::Done);
    scene.polecat("slit", |_| ());
    scene.later(5);
    scene.settle();
    assert_eq!(
        condition(&scene.status("slit").conditions, "Degraded"),
        ("True", "RigNotFound")
    );
}

#[test]
fn a_rig_that_is_seen_after_its_polecat_was_never_missing() {
    let mut scene = scene();
    scene.polecat("nux", |_| ());
    scene.settle();
    assert_eq!(scene.writes, [], "each kind has a watch of its own");
    let wake = scene.plan().wakes["parts"];
    assert_eq!(
        wake,
        scene.now + jiff::SignedDuration::from_secs(5),
        "then nobody waits longer"
    );
    scene.rig("parts", |_| ());
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Working);
}

#[test]
fn sums_are_true_and_written_at_most_once_a_second() {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.settings = Some(gastown_api::RigSettings {
            max_polecats: Some(2),
            ..Default::default()
        })
    });
    for name in ["nux", "slit", "dag", "toast"] {
        scene.polecat(name, |_| ());
        scene.later(1);
    }
    scene.at_work("nux");
    scene.writes.clear();
    scene.finishes("nux");
    let of_rig = |scene: &Scene| scene.writes.iter().filter(|a| a.key().kind == Kind::Rig).count();
    assert!(of_rig(&scene) <= 1);
    let wake = scene.plan().wakes["parts"];
    assert!(wake <= scene.now + jiff::SignedDuration::from_secs(1));
    quiet(&mut scene);
    let s = scene.world.rigs["parts"].status.clone();
    assert_eq!(
        (s.polecat_count, s.working, s.queued, s.done, s.merged, s.stuck),
        (4, 2, 1, 1, 0, 0)
    );
    assert!(scene.plan().actions.is_empty(), "{:#?}", scene.plan().actions);
}

/// A rig whose repository its polecats cannot work with says so itself, until one of them can.
#[test]
fn a_rig_says_what_its_polecats_find_wrong_with_its_repository() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.settle();
    let bad = |reason: &str| clone(CloneOutcome::Config { reason: reason.into() }, 1).encode();
    scene.pod("polecat-nux", |p| {
        said(p, "clone", exit::CONFIG, &bad("BranchNotFound"))
    });
    quiet(&mut scene);
    let rig = |scene: &Scene| scene.world.rigs["parts"].status.clone();
    assert_eq!(rig(&scene).phase, RigPhase::Degraded);
    assert_eq!(condition(&rig(&scene).conditions, "Ready"), ("False", "BranchNotFound"));
    let message = rig(&scene).message.unwrap();
    assert!(
        message.contains("nux") && message.contains("check targetBranch or gitBranch"),
        "{message}"
    );
    // Somebody else gets through.
    scene.later(5);
    scene.polecat("slit", |_| ());
    scene.at_work("slit");
    quiet(&mut scene);
    assert_eq!(rig(&scene).phase, RigPhase::Ready);
    // A polecat of another repository says nothing of this one.
    scene.later(5);
    scene.polecat("ace", |p| {
        p.spec.kubernetes.get_or_insert_default().git_repository = Some("https://git.example.com/other.git".into());
    });
    scene.settle();
    scene.pod("polecat-ace", |p| {
        said(p, "clone", exit::CONFIG, &bad("CredentialRefused"))
    });
    quiet(&mut scene);
    assert_eq!(scene.status("ace").phase, PolecatPhase::Stuck);
    assert_eq!(rig(&scene).phase, RigPhase::Ready);
    // A retrying clone is told as well.
    scene.later(5);
    scene.polecat("toast", |_| ());
    scene.settle();
    scene.pod("polecat-toast", |p| {
        waits(p, "clone", "CrashLoopBackOff", "back-off 10s")
    });
    quiet(&mut scene);
    assert_eq!(condition(&rig(&scene).conditions, "Ready").1, "RemoteUnreachable");
}

#[test]
fn the_predecessors_finalizers_are_stripped_and_no_others() {
    let mut scene = scene();
    scene.rig("parts", |r| r.meta.finalizers = vec!["gastown.io/rig-cleanup".into()]);
    scene.polecat("nux", |p| {
        p.meta.finalizers = vec!["gastown.io/polecat-cleanup".into(), "example.org/mine".into()];
        p.meta.deleting = Some("2026-11-24T00:00:00Z".parse().unwrap());
    });
    scene.settle();
    assert_eq!(scene.row("nux").meta.finalizers, ["example.org/mine"]);
    assert!(scene.world.rigs["parts"].meta.finalizers.is_empty());
    assert!(
        scene.pods().iter().all(|p| p != "polecat-nux"),
        "nothing is started for who is being deleted"
    );
}

#[test]
fn a_convoy_makes_its_polecats_under_its_parallelism_and_counts_what_landed() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.convoy("cv", &["mp-1", "mp-2", "mp-2", "mp-3"], |c| {
        c.spec.parallelism = Some(2)
    });
    scene.settle();
    assert_eq!(scene.working().into_iter().collect::<Vec<_>>(), ["cv-mp-1", "cv-mp-2"]);
    assert_eq!(scene.row("cv-mp-1").meta.labels["gastown.io/convoy"], "cv");
    quiet(&mut scene);
    assert_eq!(
        convoy_of(&scene, "cv").progress.as_deref(),
        Some("0/3"),
        "a bead named twice counts once"
    );
    for bead in ["mp-1", "mp-2", "mp-3"] {
        let name = format!("cv-{bead}");
        scene.at_work(&name);
        scene.finishes(&name);
        assert!(
            !convoy_of(&scene, "cv").completed_beads.contains(&bead.to_owned()),
            "done is not landed"
        );
        scene.lands(&name);
        quiet(&mut scene);
    }
    let status = convoy_of(&scene, "cv");
    assert_eq!(
        (status.phase, status.progress.as_deref()),
        (ConvoyPhase::Complete, Some("3/3"))
    );
    assert!(status.completed_at.is_some() && status.pending_beads.is_empty());
    assert_eq!(condition(&status.conditions, "Complete"), ("True", "Complete"));
    // What landed stays landed, also when its polecat is deleted.
    let (key, rev) = (scene.row("cv-mp-1").meta.key.clone(), scene.rev());
    scene.world.learn(Fact::Vanished { key: key.clone(), rev });
    quiet(&mut scene);
    assert_eq!(convoy_of(&scene, "cv").phase, ConvoyPhase::Complete);
    assert!(!scene.world.polecats().contains_key(&key));
    // A bead added later opens it again.
    let mut row = scene.world.convoys[&Key::new(Kind::Convoy, NS, "cv")].clone();
    row.meta.rev = scene.rev();
    row.meta.generation += 1;
    row.spec.tracked_beads.push("mp-4".into());
    scene.world.learn(Fact::Seen(Seen::Convoy(Box::new(row))));
    quiet(&mut scene);
    assert_eq!(
        (
            convoy_of(&scene, "cv").phase,
            convoy_of(&scene, "cv").completed_at.is_none()
        ),
        (ConvoyPhase::InProgress, true)
    );
}

#[test]
fn a_convoy_says_who_waits_for_what() {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.settings = Some(gastown_api::RigSettings {
            max_polecats: Some(2),
            ..Default::default()
        })
    });
    scene.polecat("other", |p| p.spec.bead_id = Some("mp-other".into()));
    // A name that the convoy would need, of somebody who works on something else.
    scene.polecat("cv-mp-5", |p| p.spec.desired_state = DesiredState::Idle);
    scene.convoy("cv", &["mp-1", "mp-2", "mp-3", "mp-4", "mp-5"], |c| {
        c.spec.parallelism = Some(3)
    });
    quiet(&mut scene);
    let message = |scene: &Scene| convoy_of(scene, "cv").message.clone().unwrap();
    assert!(message(&scene).contains("so mp-5 gets none"), "{}", message(&scene));
    assert_eq!(
        convoy_of(&scene, "cv").failed_beads,
        ["mp-5"],
        "nobody but a person can go on with it"
    );
    let (key, rev) = (scene.row("cv-mp-5").meta.key.clone(), scene.rev());
    scene.world.learn(Fact::Vanished { key, rev });
    quiet(&mut scene);
    assert_eq!(
        message(&scene),
        "0/5 landed; at work: mp-1; wait for room in their rig: mp-2, mp-3; wait for a place (parallelism 3): mp-4, mp-5"
    );
    scene.at_work("cv-mp-1");
    scene.finishes("cv-mp-1");
    scene.edit("cv-mp-2", |p| p.spec.desired_state = DesiredState::Terminated);
    quiet(&mut scene);
    assert_eq!(
        message(&scene),
        "0/5 landed; at work: mp-3; wait to land: mp-1; wait for room in their rig: mp-4, mp-5; stuck: mp-2"
    );
}

#[test]
fn a_convoy_adopts_who_has_a_bead_already() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.polecat("nux-too", |p| p.spec.bead_id = Some("mp-nux".into()));
    scene.convoy("cv", &["mp-nux"], |_| ());
    quiet(&mut scene);
    assert_eq!(scene.world.polecats().len(), 2, "never a second of its own");
    scene.at_work("nux");
    scene.finishes("nux");
    scene.lands("nux");
    quiet(&mut scene);
    assert_eq!(convoy_of(&scene, "cv").phase, ConvoyPhase::Complete);
}

#[test]
fn a_convoy_fails_when_nothing_can_go_on_and_recovers() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.polecat("slit", |_| ());
    scene.convoy("cv", &["mp-nux", "mp-slit"], |_| ());
    for name in ["nux", "slit"] {
        scene.edit(name, |p| p.spec.desired_state = DesiredState::Terminated);
        quiet(&mut scene);
        let expected = if name == "nux" {
            ConvoyPhase::InProgress
        } else {
            ConvoyPhase::Failed
        };
        assert_eq!(convoy_of(&scene, "cv").phase, expected, "{name}");
    }
    assert_eq!(convoy_of(&scene, "cv").failed_beads, ["mp-nux", "mp-slit"]);
    let events = scene.writes.iter().filter_map(|a| match a {
        Action::Publish { key, notices, .. } if key.kind == Kind::Convoy && !notices.is_empty() => {
            Some(notices[0].because.code)
        }
        _ => None,
    });
    assert_eq!(events.collect::<Vec<_>>(), ["Failed"]);
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Working);
    quiet(&mut scene);
    assert_eq!(convoy_of(&scene, "cv").phase, ConvoyPhase::InProgress);
}

#[test]
fn a_convoy_without_a_rig_makes_nothing_and_says_whom_it_misses() {
    let mut scene = scene();
    scene.convoy("cv", &["mp-1"], |c| c.spec.rig_ref = None);
    scene.convoy("lost", &["mp-1"], |c| c.spec.rig_ref = Some("no-such".into()));
    quiet(&mut scene);
    assert!(scene.world.polecats().is_empty());
    assert!(convoy_of(&scene, "cv").message.as_ref().unwrap().contains("mp-1"));
    assert_eq!(
        condition(&convoy_of(&scene, "lost").conditions, "Ready"),
        ("False", "RigNotFound")
    );
}

#[test]
fn a_witness_tells_silence_from_age() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    let key = Key::new(Kind::Witness, "gastown-system", "parts-witness");
    quiet(&mut scene);
    scene.later(3000);
    scene.settle();
    let health = |scene: &Scene| {
        let status = &scene.world.witnesses[&key].status;
        let sums = status.polecats_summary.clone().unwrap();
        (status.phase, sums.running, sums.stuck, sums.failed)
    };
    assert_eq!(
        health(&scene),
        (WitnessPhase::Active, 1, 0, 0),
        "an old polecat with activity is well"
    );
    let before = scene.world.witnesses[&key].status.last_check_time.clone();
    scene.later(100);
    assert!(scene.settle().is_empty(), "nothing changed, nothing is written");
    assert_eq!(scene.world.witnesses[&key].status.last_check_time, before);
    let pod = scene.status("nux").pod_name.clone().unwrap();
    scene.pod(&pod, |p| {
        p.containers.iter_mut().find(|c| c.name == "courier").unwrap().ready = false
    });
    quiet(&mut scene);
    assert_eq!(health(&scene), (WitnessPhase::Degraded, 1, 1, 0));
    assert!(
        scene.world.witnesses[&key]
            .status
            .message
            .as_ref()
            .unwrap()
            .contains("nux")
    );
}

#[test]
fn children_belong_to_their_rig() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    for action in scene.settle() {
        if let Action::Create { blueprint, .. } = action
            && let Blueprint::Witness { key, owner, .. } | Blueprint::Refinery { key, owner, .. } = *blueprint
        {
            assert_eq!(
                (key.namespace.as_str(), owner.0.as_str(), owner.1.0.as_str()),
                ("gastown-system", "parts", "uid-parts")
            );
        }
    }
}
