//! What keeps a store from being read: it is said, paced, and told once.

use super::*;

#[test]
fn failures_back_off_and_are_told_once_and_what_was_read_stays() {
    let mut scene = town();
    scene.settle();
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    let synced = status(&scene).last_sync_time.clone();
    scene.later(300);
    let config = BeadsOutcome::Config {
        reason: "CredentialRefused".into(),
    };
    let mut events = Vec::new();
    for (failures, wait) in [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900)] {
        scene.settle();
        ends(&mut scene, config.clone(), "");
        events.extend(told(&scene.settle()));
        assert_eq!(status(&scene).failures, Some(failures));
        assert_eq!(scene.pods(), Vec::<String>::new());
        scene.later(wait - 1);
        assert!(
            quiet(&mut scene),
            "after {failures} failures nothing happens for {wait} s"
        );
        scene.later(1);
    }
    assert_eq!(events, [(true, "CredentialRefused")]);
    let now = status(&scene);
    assert_eq!(
        (now.phase, now.issue_count, &now.last_sync_time),
        (BeadStorePhase::Error, Some(3), &synced)
    );
    assert_eq!(is(&scene, "Synced"), ("False".into(), "CredentialRefused".into()));
    assert!(
        message(&scene).contains("said"),
        "the pod's own words: {}",
        message(&scene)
    );
    let writes = scene.settle();
    assert_eq!(made(&writes).orders.known, None, "all is read again");
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    assert_eq!((status(&scene).failures, is(&scene, "Ready").0), (None, "True".into()));
}

#[test]
fn a_reader_that_ends_without_a_word_is_a_failure() {
    type Turn = fn(&mut Scene, &str);
    let cases: [(&str, Turn); 6] = [
        ("ReaderLost", |scene, name| scene.vanish(name)),
        ("ReaderLost", |scene, name| {
            scene.pod(name, |p| {
                p.phase = PodPhase::Failed;
                p.reason = "Evicted".into();
            });
        }),
        ("ReaderTimedOut", |scene, name| {
            scene.pod(name, |p| {
                p.phase = PodPhase::Failed;
                p.reason = "DeadlineExceeded".into();
                said(p, "beads", 143, "");
            });
        }),
        ("ReaderFailed", |scene, name| {
            scene.pod(name, |p| {
                p.phase = PodPhase::Failed;
                said(p, "beads", 101, "panicked");
            });
        }),
        ("HarnessVersion", |scene, name| {
            scene.pod(name, |p| said(p, "beads", 0, r#"{"version":99,"outcome":"noBeads"}"#));
        }),
        ("BadReport", |scene, name| {
            scene.pod(name, |p| {
                said(p, "beads", 0, r#"{"version":1,"outcome":"unmoved","commit":"x"}"#)
            });
        }),
    ];
    for (reason, turn) in cases {
        let mut scene = town();
        scene.settle();
        let name = reader(&scene);
        turn(&mut scene, &name);
        // One that is gone may only just have been made: it is made again for some seconds.
        let again = scene.settle();
        if reason == "ReaderLost" && again.iter().any(|a| matches!(a, Action::Create { .. })) {
            scene.vanish(&name);
            scene.later(10);
            scene.settle();
        }
        assert_eq!(is(&scene, "Ready"), ("False".into(), reason.into()));
        assert_eq!((status(&scene).failures, &status(&scene).reader), (Some(1), &None));
        assert!(quiet(&mut scene));
        scene.later(30);
        scene.settle();
        assert_ne!(reader(&scene), name, "another name, should the old one come back");
    }
}

#[test]
fn a_reader_that_cannot_start_says_why_at_once_and_is_given_up() {
    let mut scene = town();
    scene.settle();
    let name = reader(&scene);
    scene.pod(&name, |p| waits(p, "beads", "ImagePullBackOff", "no such image"));
    let writes = scene.settle();
    assert_eq!(told(&writes), [(true, "ImagePullFailed")]);
    assert_eq!(is(&scene, "Ready"), ("False".into(), "ImagePullFailed".into()));
    scene.later(599);
    assert!(quiet(&mut scene));
    scene.later(1);
    scene.settle();
    assert_eq!((status(&scene).failures, scene.pods()), (Some(1), Vec::new()));

    // It starts after all, and finds nothing new: the words for what was read come back.
    let mut scene = town();
    scene.settle();
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    scene.later(300);
    scene.settle();
    let name = reader(&scene);
    scene.pod(&name, |p| p.unschedulable = Some("no room".into()));
    scene.settle();
    assert_eq!(is(&scene, "Ready"), ("False".into(), "Unschedulable".into()));
    scene.pod(&name, |p| p.unschedulable = None);
    ends(&mut scene, BeadsOutcome::Unmoved, COMMIT);
    let writes = scene.settle();
    assert_eq!(made(&writes).orders.known, None);
    ends(&mut scene, counted(3), COMMIT);
    scene.settle();
    assert_eq!(is(&scene, "Ready"), ("True".into(), "SyncSucceeded".into()));
}

#[test]
fn a_refused_pod_is_said_and_backs_off() {
    let mut scene = town();
    let mut refused = 0;
    for _ in 0..3 {
        while let Some(action) = scene.plan().actions.into_iter().next() {
            match &action {
                Action::Create { blueprint, .. } if matches!(**blueprint, Blueprint::BeadsPod(_)) => {
                    refused += 1;
                    let why = "exceeded quota".to_owned();
                    scene.world.learn(Fact::Asked(action.clone()));
                    scene.answer(action, Outcome::Denied { why });
                }
                _ => scene.accept(action),
            }
        }
        assert_eq!(is(&scene, "Ready"), ("False".into(), "PodRefused".into()));
        assert!(message(&scene).contains("exceeded quota"));
        scene.later(900);
    }
    assert_eq!((refused, status(&scene).failures), (3, Some(3)), "once a time");
    scene.settle();
    ends(&mut scene, counted(1), COMMIT);
    scene.settle();
    assert_eq!(is(&scene, "Ready").0, "True");
    scene.later(300);
    scene.settle();
    reader(&scene);
}

#[test]
fn a_pod_whose_node_is_dead_is_waited_for_a_while_only() {
    let mut scene = town();
    scene.settle();
    let first = reader(&scene);
    let deleting = Some(scene.now);
    scene.pod(&first, |p| p.meta.deleting = deleting);
    scene.settle();
    assert_eq!(is(&scene, "Ready"), ("False".into(), "ReaderLost".into()));
    scene.later(60);
    assert!(quiet(&mut scene), "it is due, and the old one is still there");
    let wake = scene.plan().wakes["parts"];
    scene.now = wake;
    let writes = scene.settle();
    assert_ne!(made(&writes).common.key.name, first);
}

#[test]
fn what_cannot_be_read_is_said_without_a_pod() {
    let cluster = || {
        let mut scene = Scene::of(Town::default());
        scene.bead_store("beads", |_| ());
        scene
    };
    let no_pod = |scene: &mut Scene, reason: &str| {
        scene.settle();
        assert_eq!(is(scene, "Ready"), ("False".into(), reason.into()));
        assert_eq!(status(scene).phase, BeadStorePhase::Error);
        assert!(scene.pods().is_empty() && quiet(scene));
        scene.later(3600);
        assert!(quiet(scene));
    };
    let mut scene = cluster();
    no_pod(&mut scene, "RigNotFound");
    let mut scene = cluster();
    scene.rig("parts", |_| ());
    no_pod(&mut scene, "LocalRepository");
    let mut scene = cluster();
    scene.rig("parts", |r| r.spec.git_url = String::new());
    no_pod(&mut scene, "MissingRepository");
    let mut scene = cluster();
    scene.rig("parts", |r| {
        r.spec.git_url = "https://example.com/parts".into();
        r.spec.target_branch = Some("a..b".into());
    });
    no_pod(&mut scene, "InvalidBranch");
    // Mended, it is read at once.
    let mut row = scene.world.rigs["parts"].clone();
    row.meta.rev = scene.rev();
    row.spec.target_branch = Some("trunk".into());
    scene.world.learn(Fact::Seen(Seen::Rig(Box::new(row))));
    let writes = scene.settle();
    assert_eq!(made(&writes).orders.remote.branch, "trunk");
}
