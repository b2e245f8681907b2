//! Bead stores: when a pod is sent, what is made of its word, and that nothing happens otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;
mod trouble;

use common::*;
use gastown_api::{BeadStorePhase, BeadStoreStatus, SecretReference};
use gastown_rules::{
    Action, BeadStoreRow, BeadsPod, Blueprint, Fact, Key, Kind, Outcome, PodPhase, Seen, Status, Town,
};
use gastown_wire::{BeadsOutcome, BeadsRead, BeadsReport, Report};

const OTHER: &str = "1111111111111111111111111111111111111111";

fn key() -> Key {
    Key::new(Kind::BeadStore, NS, "beads")
}

fn status(scene: &Scene) -> &BeadStoreStatus {
    &scene.world.bead_stores[&key()].status
}

fn is(scene: &Scene, kind: &str) -> (String, String) {
    let (value, reason) = condition(&status(scene).conditions, kind);
    (value.into(), reason.into())
}

fn message(scene: &Scene) -> String {
    status(scene).message.clone().unwrap()
}

/// A rig and a store of it.
fn town() -> Scene {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.git_secret_ref = Some(SecretReference { name: "rigs".into() })
    });
    scene.bead_store("beads", |_| ());
    scene
}

/// The one pod that reads now; panics where there is another.
fn reader(scene: &Scene) -> String {
    let name = status(scene).reader.clone().expect("a reader");
    let pods: Vec<String> = scene.pods().into_iter().filter(|p| p.starts_with("beads-")).collect();
    assert_eq!(pods, [name.as_str()]);
    name
}

fn made(writes: &[Action]) -> BeadsPod {
    let made = writes.iter().filter_map(|a| match a {
        Action::Create { blueprint, .. } => match &**blueprint {
            Blueprint::BeadsPod(p) => Some(p.clone()),
            _ => None,
        },
        _ => None,
    });
    let pods: Vec<BeadsPod> = made.collect();
    assert_eq!(pods.len(), 1);
    pods[0].clone()
}

fn counted(issues: u32) -> BeadsOutcome {
    BeadsOutcome::Read(BeadsRead {
        issues,
        open: 1,
        ..BeadsRead::default()
    })
}

/// The reader ends with these words.
fn ends(scene: &mut Scene, outcome: BeadsOutcome, commit: &str) {
    let report = BeadsReport {
        version: 1,
        outcome,
        commit: commit.into(),
        detail: "said".into(),
        ranked: vec![(7, vec!["mp-1".into(), "hq-1".into()]), (0, vec!["mp-2".into()])],
    };
    let name = reader(scene);
    scene.pod(&name, |p| {
        over(p, PodPhase::Succeeded);
        said(p, "beads", 0, &report.encode());
    });
}

/// Somebody edits the store.
fn edit(scene: &mut Scene, change: impl FnOnce(&mut BeadStoreRow)) {
    let mut row = scene.world.bead_stores[&key()].clone();
    row.meta.rev = scene.rev();
    row.meta.generation += 1;
    change(&mut row);
    scene.world.learn(Fact::Seen(Seen::BeadStore(Box::new(row))));
}

fn words(writes: &[Action]) -> Vec<String> {
    let ours = |a: &&Action| a.key().name.starts_with("beads");
    said_by(&writes.iter().filter(ours).cloned().collect::<Vec<_>>())
}

/// Whether nothing more is written of the store and its pods.
fn quiet(scene: &mut Scene) -> bool {
    words(&scene.settle()).is_empty()
}

/// How many events a write of the store's status tells.
fn told(writes: &[Action]) -> Vec<(bool, &'static str)> {
    let notices = writes.iter().filter_map(|a| match a {
        Action::Publish {
            to: Status::BeadStore(_),
            notices,
            ..
        } => Some(notices),
        _ => None,
    });
    notices.flatten().map(|n| (n.warning, n.because.code)).collect()
}

#[test]
fn a_store_is_read_at_once_and_then_at_rest_until_its_interval() {
    let mut scene = town();
    let writes = scene.settle();
    let name = reader(&scene);
    assert_eq!(words(&writes), ["publish beads".to_owned(), format!("create {name}")]);
    assert_eq!(status(&scene).phase, BeadStorePhase::Pending);
    assert_eq!(is(&scene, "Ready"), ("False".into(), "Reading".into()));
    let pod = made(&writes);
    assert_eq!(
        pod.common.owner,
        (Kind::BeadStore, "beads".into(), gastown_rules::Uid("uid-beads".into()))
    );
    assert_eq!(pod.common.key.namespace, NS, "its Secret is of the store's namespace");
    assert_eq!(pod.common.credentials.git.as_deref(), Some("rigs"));
    assert_eq!(pod.common.labels["gastown.io/role"], "beads");
    assert_eq!((pod.orders.prefix.as_str(), pod.orders.known.as_deref()), ("mp-", None));
    assert!(pod.common.deadline.unwrap() <= 600);

    ends(&mut scene, counted(3), COMMIT);
    let writes = scene.settle();
    assert_eq!(words(&writes), ["publish beads".to_owned(), format!("delete {name}")]);
    assert_eq!(told(&writes), [(false, "SyncSucceeded")]);
    let now = status(&scene);
    assert_eq!(
        (now.phase, now.issue_count, now.commit.as_deref()),
        (BeadStorePhase::Synced, Some(3), Some(COMMIT))
    );
    assert_eq!((now.reader.clone(), now.failures), (None, None));
    let ranked: Vec<(&str, i32)> = now.priorities.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    assert_eq!(
        ranked,
        [("mp-1", 2)],
        "its own issues, within bounds, and none of the middle"
    );
    assert_eq!(now.last_sync_time.as_ref().unwrap().0, scene.now);
    assert_eq!(message(&scene), "3 issues, 1 open, on main at 9c1e77f09c1e");
    for kind in ["Ready", "Synced"] {
        assert_eq!(is(&scene, kind), ("True".into(), "SyncSucceeded".into()));
    }
    assert_eq!(is(&scene, "FieldsHonoured").0, "-");

    // At rest: no write, whatever time it is, and one look when it is due.
    for _ in 0..29 {
        scene.later(10);
        assert!(quiet(&mut scene));
    }
    let wake = scene.plan().wakes["parts"];
    scene.now = wake;
    let writes = scene.settle();
    assert_eq!(words(&writes).len(), 2);
    assert_eq!(
        made(&writes).orders.known.as_deref(),
        Some(COMMIT),
        "it is told what is known"
    );
    assert_eq!(
        is(&scene, "Ready").0,
        "True",
        "a look is no reason to doubt what was read"
    );
    ends(&mut scene, BeadsOutcome::Unmoved, COMMIT);
    let writes = scene.settle();
    assert_eq!((words(&writes).len(), told(&writes).len()), (2, 0));
    assert_eq!(status(&scene).last_sync_time.as_ref().unwrap().0, wake);
    assert_eq!(status(&scene).issue_count, Some(3));

    scene.later(300);
    scene.settle();
    ends(&mut scene, counted(4), OTHER);
    let writes = scene.settle();
    assert_eq!(told(&writes), [], "another count is no event");
    assert_eq!(
        (status(&scene).issue_count, status(&scene).commit.as_deref()),
        (Some(4), Some(OTHER))
    );
    assert_eq!(scene.pods(), Vec::<String>::new(), "nothing is left over");
}

#[test]
fn a_repository_without_beads_is_a_condition_and_no_error() {
    let mut scene = town();
    scene.settle();
    ends(&mut scene, BeadsOutcome::NoBeads, COMMIT);
    let writes = scene.settle();
    assert_eq!(told(&writes), [(true, "NoBeads")]);
    let now = status(&scene);
    assert_eq!(
        (now.phase, now.issue_count, now.failures),
        (BeadStorePhase::Synced, Some(0), None)
    );
    assert_eq!(is(&scene, "Ready"), ("False".into(), "NoBeads".into()));
    assert_eq!(is(&scene, "Synced"), ("True".into(), "NoBeads".into()));
    assert!(message(&scene).contains("bd export"), "{}", message(&scene));
    // Looked at in its interval as any other, and told once.
    scene.later(299);
    assert!(quiet(&mut scene));
    scene.later(1);
    scene.settle();
    ends(&mut scene, BeadsOutcome::Unmoved, COMMIT);
    assert_eq!(told(&scene.settle()), []);
    scene.later(300);
    scene.settle();
    ends(&mut scene, counted(1), OTHER);
    assert_eq!(told(&scene.settle()), [(false, "SyncSucceeded")]);
}

#[test]
fn what_an_export_holds_beside_its_issues_is_said() {
    let read = BeadsRead {
        issues: 5,
        open: 2,
        ..BeadsRead::default()
    };
    let cases = [
        (
            BeadsRead {
                others: 7,
                broken: 3,
                ..read
            },
            "True",
            "SyncSucceeded",
            &["7 with another", "3 lines"][..],
        ),
        (BeadsRead { unread: 1, ..read }, "False", "ReadInPart", &["1 files"]),
        (
            BeadsRead { left_out: 9, ..read },
            "False",
            "ReadInPart",
            &["9 more issues"],
        ),
        (
            BeadsRead {
                others: 7,
                ..BeadsRead::default()
            },
            "False",
            "NoneWithPrefix",
            &["7 issues", "mp-"],
        ),
        (BeadsRead::default(), "True", "SyncSucceeded", &["0 issues"]),
    ];
    for (read, ready, reason, parts) in cases {
        let mut scene = town();
        scene.settle();
        ends(&mut scene, BeadsOutcome::Read(read), COMMIT);
        scene.settle();
        assert_eq!(is(&scene, "Ready"), (ready.into(), reason.into()));
        assert_eq!(is(&scene, "Synced").0, "True");
        for part in parts {
            assert!(message(&scene).contains(part), "{part}: {}", message(&scene));
        }
    }
}

#[test]
fn another_source_is_read_at_once_and_never_two_pods_at_a_time() {
    let mut scene = town();
    scene.settle();
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    // A new prefix: what was counted is of another.
    edit(&mut scene, |b| b.spec.prefix = "at-".into());
    let writes = scene.settle();
    assert_eq!(made(&writes).orders.prefix, "at-");
    assert_eq!(made(&writes).orders.known, None);
    let now = status(&scene);
    assert_eq!(
        (now.issue_count, &now.commit, now.phase),
        (None, &None, BeadStorePhase::Pending)
    );
    assert_eq!(now.observed_generation, Some(2));
    // While that is read its Secret changes: the reader is let go, and the next waits until it is gone.
    let first = reader(&scene);
    edit(&mut scene, |b| {
        b.spec.git_secret_ref = Some(SecretReference { name: "own".into() })
    });
    scene.step();
    assert_eq!(status(&scene).reader, None);
    let plan = scene.plan().actions;
    assert_eq!(words(&plan), [format!("delete {first}")]);
    for action in plan {
        // The kubelet takes its time.
        let (uid, rev) = (gastown_rules::Uid("x".into()), scene.rev());
        scene.world.learn(Fact::Asked(action.clone()));
        scene.answer(action, Outcome::Done { rev, uid });
    }
    assert!(quiet(&mut scene));
    scene.vanish(&first);
    let writes = scene.settle();
    assert_eq!(made(&writes).common.credentials.git.as_deref(), Some("own"));
    // What does not change what is read starts nothing.
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    edit(&mut scene, |b| b.spec.sync_interval = Some("1h".into()));
    assert_eq!(words(&scene.settle()), ["publish beads"], "the observed generation");
    scene.later(3599);
    assert!(quiet(&mut scene));
    scene.later(1);
    assert!(!quiet(&mut scene));
}

#[test]
fn an_interval_that_is_none_is_said_and_another_is_used() {
    for (text, one_machine, wait, said) in [
        ("soon", true, 300, "no duration"),
        ("-5m", false, 300, "no duration"),
        ("1s", false, 10, "too short"),
        ("0s", true, 1, "too short"),
        ("2s", true, 2, ""),
        ("", false, 300, ""),
    ] {
        let mut scene = Scene::of(Town {
            one_machine,
            ..Town::default()
        });
        scene.rig("parts", |r| r.spec.git_url = "https://example.com/parts".into());
        scene.bead_store("beads", |b| b.spec.sync_interval = Some(text.into()));
        scene.settle();
        ends(&mut scene, counted(1), COMMIT);
        scene.settle();
        let found = gastown_api::conditions::get(&status(&scene).conditions, "FieldsHonoured");
        assert_eq!(found.is_some(), !said.is_empty(), "{text}");
        assert!(found.is_none_or(|c| c.message.contains(said)), "{found:?}");
        scene.later(wait - 1);
        assert!(quiet(&mut scene), "{text}");
        scene.later(1);
        assert!(!quiet(&mut scene), "{text}");
    }
}

#[test]
fn a_store_that_goes_starts_nothing_and_one_that_changes_rigs_is_read_there() {
    let mut scene = town();
    let now = scene.now;
    edit(&mut scene, |b| b.meta.deleting = Some(now));
    assert_eq!(words(&scene.settle()), Vec::<String>::new());

    let mut scene = town();
    scene.rig("tools", |r| r.spec.git_url = "/srv/tools.git".into());
    scene.settle();
    let first = reader(&scene);
    edit(&mut scene, |b| b.spec.rig_ref = "tools".into());
    scene.step();
    let rev = scene.rev();
    let dirty = scene.world.learn(Fact::Vanished {
        key: Key::new(Kind::Pod, NS, &first),
        rev,
    });
    assert!(
        dirty.contains("tools"),
        "its pod's end concerns the rig it is of now: {dirty:?}"
    );
    let writes = scene.settle();
    assert_eq!(made(&writes).orders.rig, "tools");
}
