//! The only way into the world: older facts change nothing, and every answer to a write is taken in, so that a
//! lagging watch cannot make us act twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::PolecatPhase;
use gastown_rules::{Action, Blocked, Fact, Key, Kind, Outcome, Rev, Seen, Uid};
use std::collections::BTreeSet;

fn one() -> Scene {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene
}

/// The plan's first action, asked and not yet answered.
fn ask(scene: &mut Scene) -> Action {
    let action = scene.plan().actions.into_iter().next().expect("something to do");
    scene.world.learn(Fact::Asked(action.clone()));
    action
}

fn done(scene: &mut Scene, action: Action) -> Rev {
    let rev = scene.rev();
    scene.answer(
        action,
        Outcome::Done {
            rev,
            uid: Uid("uid-pod".into()),
        },
    );
    rev
}

#[test]
fn an_older_fact_changes_nothing() {
    let mut scene = one();
    let old = scene.row("nux").clone();
    scene.edit("nux", |p| p.spec.priority = Some(7));
    assert!(
        scene
            .world
            .learn(Fact::Seen(Seen::Polecat(Box::new(old.clone()))))
            .is_empty()
    );
    assert_eq!(scene.row("nux").spec.priority, Some(7));
    assert!(
        scene
            .world
            .learn(Fact::Vanished {
                key: old.meta.key.clone(),
                rev: old.meta.rev
            })
            .is_empty()
    );
    assert!(scene.world.polecats().contains_key(&old.meta.key));
    let keys = BTreeSet::new();
    scene.world.learn(Fact::Listed {
        kind: Kind::Polecat,
        keys,
        rev: old.meta.rev,
    });
    assert!(
        scene.world.polecats().contains_key(&old.meta.key),
        "an older list does not know it yet"
    );
}

#[test]
fn a_list_takes_away_what_is_not_in_it() {
    let mut scene = one();
    scene.polecat("slit", alone);
    let keys = BTreeSet::from([scene.row("slit").meta.key.clone()]);
    let rev = scene.rev();
    let dirty = scene.world.learn(Fact::Listed {
        kind: Kind::Polecat,
        keys,
        rev,
    });
    assert_eq!(dirty, BTreeSet::from(["standalone".to_owned()]));
    assert_eq!(scene.world.polecats().len(), 1);
}

#[test]
fn nothing_is_written_twice_while_an_answer_is_out() {
    let mut scene = one();
    ask(&mut scene);
    assert!(scene.plan().actions.is_empty());
}

#[test]
fn our_own_writes_count_before_the_watch_brings_them() {
    let mut scene = one();
    let before = scene.row("nux").clone();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    assert_eq!(scene.status("nux").attempt, Some(1));
    let create = ask(&mut scene);
    assert!(matches!(create, Action::Create { .. }));
    done(&mut scene, create);
    assert!(
        scene.plan().actions.is_empty(),
        "the pod exists though no watch said so"
    );
    // The watch lags: it brings the polecat as it was before our write.
    scene.world.learn(Fact::Seen(Seen::Polecat(Box::new(before))));
    assert!(scene.plan().actions.is_empty());
}

#[test]
fn a_create_answered_after_the_watch_saw_the_pod_go_brings_nothing_back() {
    let mut scene = one();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    let create = ask(&mut scene);
    let created = scene.rev();
    let key = create.key().clone();
    let gone = scene.rev();
    scene.world.learn(Fact::Vanished {
        key: key.clone(),
        rev: gone,
    });
    scene.answer(
        create,
        Outcome::Done {
            rev: created,
            uid: Uid("uid-pod".into()),
        },
    );
    assert!(!scene.world.pods().contains_key(&key));
}

#[test]
fn a_conflict_waits_for_what_we_have_not_seen() {
    let mut scene = one();
    let publish = ask(&mut scene);
    scene.answer(publish, Outcome::Stale);
    assert!(scene.plan().actions.is_empty());
    assert_eq!(
        scene.world.blocked(&scene.row("nux").meta.key, scene.now),
        Some(Blocked::ForFacts)
    );
    scene.edit("nux", |p| p.spec.priority = Some(1));
    assert_eq!(said_by(&scene.plan().actions), ["publish nux"]);
}

#[test]
fn a_conflict_that_the_watch_has_overtaken_waits_for_nothing() {
    let mut scene = one();
    let publish = ask(&mut scene);
    scene.edit("nux", |p| p.spec.priority = Some(1));
    scene.answer(publish, Outcome::Stale);
    assert_eq!(said_by(&scene.plan().actions), ["publish nux"]);
}

#[test]
fn a_lost_answer_is_perhaps_a_write() {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.settings = Some(gastown_api::RigSettings {
            max_polecats: Some(1),
            ..Default::default()
        })
    });
    scene.polecat("nux", |_| ());
    scene.polecat("slit", |_| ());
    let publish = scene
        .plan()
        .actions
        .into_iter()
        .find(|a| a.key().name == "nux")
        .unwrap();
    scene.world.learn(Fact::Asked(publish.clone()));
    scene.answer(publish.clone(), Outcome::Unknown);
    // Nobody else takes the place that is perhaps taken.
    scene.settle();
    assert!(scene.working().is_empty(), "{:?}", scene.working());
    // It is asked again, and turns out to have been applied.
    scene.later(2);
    let again = scene
        .plan()
        .actions
        .into_iter()
        .find(|a| a.key().name == "nux")
        .unwrap();
    scene.world.learn(Fact::Asked(again.clone()));
    scene.answer(again, Outcome::Stale);
    assert!(of_polecats(&scene.settle()).is_empty());
    let Action::Publish {
        to: gastown_rules::Status::Polecat(status),
        ..
    } = publish
    else {
        panic!()
    };
    scene.edit("nux", |p| p.status = *status);
    scene.settle();
    assert_eq!(scene.working(), BTreeSet::from(["nux".to_owned()]));
    assert_eq!(
        condition(&scene.status("slit").conditions, "Progressing"),
        ("False", "Queued")
    );
}

#[test]
fn a_place_that_is_perhaps_taken_is_not_free_while_something_else_is_written() {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.settings = Some(gastown_api::RigSettings {
            max_polecats: Some(1),
            ..Default::default()
        })
    });
    scene.polecat("nux", |_| ());
    scene.polecat("slit", |_| ());
    let of_nux = |s: &Scene| s.plan().actions.into_iter().find(|a| a.key().name == "nux").unwrap();
    let reserve = of_nux(&scene);
    scene.world.learn(Fact::Asked(reserve.clone()));
    scene.answer(reserve, Outcome::Unknown);
    scene.settle();
    scene.later(2);
    let meta = scene.row("nux").meta.clone();
    scene.world.learn(Fact::Asked(Action::Release {
        key: meta.key,
        uid: meta.uid,
        rev: meta.rev,
        keep: Vec::new(),
    }));
    scene.settle();
    assert!(scene.working().is_empty(), "{:?}", scene.working());
}

#[test]
fn a_lost_create_is_asked_again_and_found() {
    let mut scene = one();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    let create = ask(&mut scene);
    scene.answer(create, Outcome::Unknown);
    assert!(scene.plan().actions.is_empty(), "not at once");
    scene.later(2);
    let create = ask(&mut scene);
    let owner = Some(scene.row("nux").meta.uid.clone());
    let rev = scene.rev();
    scene.answer(
        create.clone(),
        Outcome::Exists {
            owner,
            uid: Uid("uid-pod".into()),
            rev,
        },
    );
    assert!(
        scene.plan().actions.is_empty(),
        "ours: it counts at once, and no refusal is told"
    );
    assert_eq!(scene.pods(), ["polecat-nux"]);
    let Action::Create { blueprint, .. } = create else {
        panic!()
    };
    let mut other = self::scene();
    other.polecat("nux", alone);
    other.settle();
    let mut pod = other.pod_row("polecat-nux").clone();
    pod.meta.rev = rev;
    assert_eq!(*blueprint.key(), pod.meta.key);
    scene.world.learn(Fact::Seen(Seen::Pod(Box::new(pod))));
    scene.later(600);
    scene.pod("polecat-nux", runs);
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").attempt),
        (PolecatPhase::Working, Some(1))
    );
}

#[test]
fn a_name_that_is_somebody_elses_is_told_and_given_up_in_time() {
    let mut scene = one();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    let create = ask(&mut scene);
    let rev = scene.rev();
    scene.answer(
        create,
        Outcome::Exists {
            owner: Some(Uid("else".into())),
            uid: Uid("x".into()),
            rev,
        },
    );
    scene.step();
    assert_eq!(
        condition(&scene.status("nux").conditions, "Progressing"),
        ("False", "PodRefused")
    );
    assert!(scene.status("nux").message.as_ref().unwrap().contains("not ours"));
}

#[test]
fn whoever_waits_for_a_name_is_looked_at_when_it_is_free() {
    let mut scene = one();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    let create = ask(&mut scene);
    // The pod of an earlier nux, which was of another rig, is still going.
    let mut other = self::scene();
    other.polecat("nux", alone);
    other.settle();
    let mut pod = other.pod_row("polecat-nux").clone();
    (pod.rig, pod.owner) = ("parts".into(), Some(Uid("earlier".into())));
    scene.world.learn(Fact::Seen(Seen::Pod(Box::new(pod.clone()))));
    let (owner, rev) = (pod.owner, scene.rev());
    let uid = pod.meta.uid;
    scene.answer(create, Outcome::Exists { owner, uid, rev });
    assert!(scene.world.refusal(&pod.meta.key).is_some());
    let rev = scene.rev();
    let dirty = scene.world.learn(Fact::Vanished { key: pod.meta.key, rev });
    assert!(dirty.contains("standalone"), "{dirty:?}");
}

#[test]
fn a_refusal_is_told_and_tried_again_with_growing_waits() {
    let mut scene = one();
    let publish = ask(&mut scene);
    done(&mut scene, publish);
    let mut last = 0;
    for _ in 0..4 {
        let create = scene
            .plan()
            .actions
            .into_iter()
            .find(|a| matches!(a, Action::Create { .. }))
            .expect("tried again");
        scene.world.learn(Fact::Asked(create.clone()));
        scene.answer(
            create,
            Outcome::Denied {
                why: "exceeded quota: pods".into(),
            },
        );
        let publish = scene.plan().actions;
        for action in publish {
            assert!(matches!(action, Action::Publish { .. }), "refused: not at once");
            scene.accept(action);
        }
        let wait = scene.plan().wakes["standalone"].duration_since(scene.now).as_secs();
        assert!(wait > last, "{wait} after {last}");
        last = wait;
        scene.later(wait);
    }
    assert_eq!(
        condition(&scene.status("nux").conditions, "Progressing"),
        ("False", "PodRefused")
    );
    assert!(scene.status("nux").message.as_ref().unwrap().contains("exceeded quota"));
    assert_eq!(of_polecats(&scene.writes).len(), 1, "told once");
}

#[test]
fn a_delete_that_missed_its_object_waits_for_the_watch() {
    let mut scene = one();
    scene.at_work("nux");
    scene.edit("nux", |p| p.spec.desired_state = gastown_api::DesiredState::Terminated);
    let delete = ask(&mut scene);
    assert!(matches!(delete, Action::Delete { .. }));
    scene.answer(delete, Outcome::Stale);
    assert!(
        scene.plan().actions.is_empty(),
        "no loop at the speed of the API server"
    );
}

#[test]
fn what_cannot_be_read_stops_no_other() {
    let mut scene = one();
    scene.polecat("slit", alone);
    let key = Key::new(Kind::Polecat, NS, "nux");
    scene.at_work("nux");
    scene.world.learn(Fact::Malformed {
        key: key.clone(),
        why: "spec.rig: expected a string".into(),
    });
    scene.settle();
    assert!(
        scene.pods().contains(&"polecat-nux".to_owned()),
        "its pod is left alone"
    );
    scene.at_work("slit");
    assert_eq!(scene.working(), BTreeSet::from(["slit".to_owned()]));
}
