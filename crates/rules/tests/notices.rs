//! Whoever is named is told: once a thing that happens, tried again until it is there, and said where it cannot be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{ConvoyPhase, ConvoyStatus, DesiredState, PolecatPhase, SecretReference, WitnessStatus};
use gastown_rules::{Action, Blueprint, Fact, Key, Kind, NotifyPod, Outcome, PodPhase, PodRow, Rev, Seen};
use gastown_wire::{Channel, NotifyOutcome, NotifyReport, Report};
use std::collections::BTreeSet;

const HOME: &str = "gastown-system";

/// A convoy of one bead, whose polecat is at work.
fn convoy(target: &str) -> Scene {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.convoy("cv", &["mp-nux"], |c| c.spec.notify_on_complete = Some(target.into()));
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    catch_up(&mut scene);
    scene
}

/// Sums are paced by a second, health by half a minute.
fn catch_up(scene: &mut Scene) {
    for _ in 0..2 {
        scene.later(31);
        scene.settle();
    }
}

fn status(scene: &Scene) -> ConvoyStatus {
    scene.world.convoys[&Key::new(Kind::Convoy, NS, "cv")].status.clone()
}

fn notified(scene: &Scene) -> (String, String, String) {
    let status = status(scene);
    let c = gastown_api::conditions::get(&status.conditions, "Notified")
        .cloned()
        .unwrap();
    (c.status, c.reason, c.message)
}

fn completes(scene: &mut Scene) {
    scene.finishes("nux");
    scene.lands("nux");
    scene.later(2);
    scene.settle();
}

fn notices(actions: &[Action]) -> Vec<NotifyPod> {
    let made = actions.iter().filter_map(|a| match a {
        Action::Create { blueprint, .. } => match &**blueprint {
            Blueprint::NotifyPod(p) => Some(p.clone()),
            _ => None,
        },
        _ => None,
    });
    made.collect()
}

/// The pod of the newest try ends with a report.
fn says(scene: &mut Scene, pod: &NotifyPod, outcome: NotifyOutcome) {
    let report = NotifyReport {
        version: 1,
        outcome,
        detail: "lacks the key slack-url".into(),
    };
    let key = pod.common.key.clone();
    let mut row = Box::new(PodRow::clone(&scene.world.pods()[&key]));
    row.meta.rev = scene.rev();
    row.phase = PodPhase::Succeeded;
    said(&mut row, "notify", 0, &report.encode());
    scene.world.learn(Fact::Seen(Seen::Pod(row)));
    scene.later(2);
    scene.settle();
}

/// Somebody edits the convoy.
fn edit(scene: &mut Scene, change: impl FnOnce(&mut gastown_api::ConvoySpec)) {
    let mut row = scene.world.convoys[&Key::new(Kind::Convoy, NS, "cv")].clone();
    row.meta.rev = scene.rev();
    row.meta.generation += 1;
    change(&mut row.spec);
    scene.world.learn(Fact::Seen(Seen::Convoy(Box::new(row))));
    scene.later(2);
    scene.settle();
}

#[test]
fn a_convoy_tells_its_end_once_by_a_pod_that_its_status_knew_before() {
    let mut scene = convoy("https://example.com/hook");
    assert!(notices(&scene.writes).is_empty() && status(&scene).notification.is_none());
    scene.writes.clear();
    completes(&mut scene);
    let made = notices(&scene.writes);
    assert_eq!(made.len(), 1, "{:?}", said_by(&scene.writes));
    let pod = &made[0];
    let place = |wanted: &dyn Fn(&Action) -> bool| scene.writes.iter().position(wanted).unwrap();
    let published = place(
        &|a| matches!(a, Action::Publish { key, to: gastown_rules::Status::Convoy(s), .. } if key.name == "cv" && s.notification.is_some()),
    );
    let created = place(&|a| a.key() == &pod.common.key);
    assert!(published < created);
    assert_eq!(pod.orders.url.as_deref(), Some("https://example.com/hook"));
    assert_eq!((pod.orders.channel, pod.secret.as_deref()), (Channel::Webhook, None));
    assert_eq!(pod.common.key.namespace, NS, "beside the convoy");
    assert!(
        pod.orders.text.contains("Convoy cv is complete: 1/1 landed"),
        "{}",
        pod.orders.text
    );
    assert!(
        pod.orders.text.contains("convoy status cv -n work"),
        "{}",
        pod.orders.text
    );
    assert_eq!(notified(&scene).1, "Sending");

    says(&mut scene, pod, NotifyOutcome::Sent);
    assert_eq!(
        (notified(&scene).0.as_str(), notified(&scene).1.as_str()),
        ("True", "Sent")
    );
    let held = status(&scene).notification.unwrap();
    assert!(held.sent_at.is_some() && held.pod_name.is_none());
    assert!(!scene.world.pods().contains_key(&pod.common.key), "its pod goes");
    // Nothing more, ever.
    scene.writes.clear();
    for _ in 0..5 {
        scene.later(100_000);
        scene.settle();
    }
    assert!(notices(&scene.writes).is_empty());

    // Beads that are added open it again, and its next end is told anew.
    edit(&mut scene, |c| c.tracked_beads.push("mp-slit".into()));
    assert_eq!(
        (status(&scene).phase, status(&scene).notification),
        (ConvoyPhase::InProgress, None)
    );
    scene.at_work("cv-mp-slit");
    scene.finishes("cv-mp-slit");
    scene.lands("cv-mp-slit");
    scene.later(2);
    scene.settle();
    let again = notices(&scene.writes);
    assert_eq!(again.len(), 1);
    assert_ne!(again[0].orders.id, pod.orders.id);
}

#[test]
fn what_does_not_arrive_is_tried_again_later_and_later_under_one_id_and_then_given_up() {
    let mut scene = convoy("https://example.com/hook");
    completes(&mut scene);
    let (mut ids, mut names, mut waits) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for n in 1..=12 {
        let made = notices(&scene.writes);
        assert_eq!(made.len(), 1, "try {n}");
        ids.insert(made[0].orders.id.clone());
        names.insert(made[0].common.key.name.clone());
        scene.writes.clear();
        says(&mut scene, &made[0], NotifyOutcome::Unreachable);
        let Some(at) = status(&scene).notification.unwrap().retry_after else {
            break;
        };
        assert!(notified(&scene).2.contains("tried again at"), "{:?}", notified(&scene));
        let wait = (at.0 - scene.now).get_seconds();
        waits.push(wait);
        assert!(scene.plan().wakes["parts"] <= at.0, "and it is woken for it");
        scene.later(wait - 1);
        scene.settle();
        assert!(notices(&scene.writes).is_empty(), "not before its time");
        scene.later(3);
        scene.settle();
    }
    assert_eq!((ids.len(), names.len(), waits.len()), (1, 12, 11));
    assert!(
        waits.windows(2).all(|w| w[0] <= w[1]) && waits[0] == 10 && waits[10] <= 1800,
        "{waits:?}"
    );
    let (status, reason, message) = notified(&scene);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Unreachable"));
    assert!(message.contains("given up after 12 tries: edit the spec"), "{message}");
    scene.later(1_000_000);
    scene.settle();
    assert!(notices(&scene.writes).is_empty());
    edit(&mut scene, |c| {
        c.notify_on_complete = Some("https://example.com/other".into())
    });
    let made = notices(&scene.writes);
    assert_eq!(made[0].orders.url.as_deref(), Some("https://example.com/other"));
    assert!(ids.contains(&made[0].orders.id), "the same thing is told");
}

#[test]
fn what_is_missing_is_said_with_what_to_type_and_looked_for_again() {
    for (reason, words) in [
        (
            "SecretMissing",
            "kubectl create secret generic town-crier -n work --from-literal=slack-url=…",
        ),
        ("KeyMissing", "--from-literal=slack-url=…"),
        ("AddressInvalid", "the address in Secret work/town-crier cannot be used"),
        ("CurlMissing", "lacks the key"),
    ] {
        let mut scene = convoy("slack");
        edit(&mut scene, |c| {
            c.notify_secret_ref = Some(SecretReference {
                name: "town-crier".into(),
            })
        });
        completes(&mut scene);
        let made = notices(&scene.writes);
        assert_eq!(
            (made[0].secret.as_deref(), &made[0].orders.url),
            (Some("town-crier"), &None)
        );
        says(&mut scene, &made[0], NotifyOutcome::Config { reason: reason.into() });
        let (on, code, message) = notified(&scene);
        assert_eq!((on.as_str(), code.as_str()), ("False", reason));
        assert!(message.contains(words), "{message}");
        assert!(
            status(&scene).notification.unwrap().retry_after.is_some(),
            "{reason}: a Secret is mended unseen"
        );
    }
}

#[test]
fn whom_nobody_can_tell_is_said_at_once_and_not_when_it_is_too_late() {
    for (target, code) in [
        ("deacon/", "TargetUnknown"),
        ("https://", "TargetInvalid"),
        ("me@example.com", "TargetUnknown"),
    ] {
        let mut scene = convoy(target);
        assert_eq!(status(&scene).phase, ConvoyPhase::InProgress);
        assert_eq!(
            (notified(&scene).0.as_str(), notified(&scene).1.as_str()),
            ("False", code),
            "{target}"
        );
        completes(&mut scene);
        assert_eq!(notified(&scene).1, code);
        assert!(notices(&scene.writes).is_empty());
        // Corrected afterwards it is told.
        edit(&mut scene, |c| c.notify_on_complete = Some("webhook".into()));
        let made = notices(&scene.writes);
        assert_eq!(made[0].secret.as_deref(), Some("gastown-notify"));
    }
}

#[test]
fn the_mayor_reads_events_and_an_empty_word_is_nobody() {
    for (target, condition) in [("mayor/", true), ("", false), ("  ", false)] {
        let mut scene = convoy(target);
        completes(&mut scene);
        let status = status(&scene);
        assert_eq!(status.notification.is_some_and(|n| n.sent_at.is_some()), condition);
        assert_eq!(
            status.conditions.iter().any(|c| c.type_ == "Notified"),
            condition,
            "{target:?}"
        );
        assert!(notices(&scene.writes).is_empty());
    }
}

#[test]
fn a_convoy_that_cannot_finish_tells_that_and_why() {
    let mut scene = convoy("https://example.com/hook");
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Terminated);
    catch_up(&mut scene);
    assert_eq!(status(&scene).phase, ConvoyPhase::Failed);
    let made = notices(&scene.writes);
    assert_eq!(made.len(), 1);
    let text = &made[0].orders.text;
    assert!(
        text.contains("cannot finish: 0/1 landed") && text.contains("stuck: mp-nux"),
        "{text}"
    );
    // Somebody mends it before anybody was told: it is told of nothing.
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Working);
    catch_up(&mut scene);
    assert_eq!(status(&scene).notification, None);
    assert!(!scene.world.pods().contains_key(&made[0].common.key));
}

#[test]
fn a_pod_that_never_runs_or_says_nothing_is_a_try_in_vain() {
    let mut scene = convoy("https://example.com/hook");
    completes(&mut scene);
    let first = notices(&scene.writes).remove(0).common.key;
    scene.later(590);
    scene.settle();
    assert!(scene.world.pods().contains_key(&first));
    scene.later(10);
    scene.settle();
    assert_eq!(notified(&scene).1, "NotStarted");
    assert!(!scene.world.pods().contains_key(&first));
    scene.writes.clear();
    scene.later(40);
    scene.settle();
    let second = notices(&scene.writes).remove(0).common.key;
    let mut row = Box::new(PodRow::clone(&scene.world.pods()[&second]));
    row.meta.rev = scene.rev();
    row.phase = PodPhase::Failed;
    row.reason = "Evicted".into();
    scene.world.learn(Fact::Seen(Seen::Pod(row)));
    scene.later(2);
    scene.settle();
    assert_eq!(notified(&scene).1, "PodFailed");
    assert!(notified(&scene).2.contains("Evicted"));
}

/// The operator dies between any two of its writes: nothing is told twice, and nothing is left untold.
#[test]
fn an_answer_that_is_lost_makes_no_second_notice() {
    let mut scene = convoy("https://example.com/hook");
    scene.finishes("nux");
    scene.lands("nux");
    scene.later(2);
    let publish = scene.next(Kind::Convoy);
    scene.world.learn(Fact::Asked(publish.clone()));
    scene.answer(publish.clone(), Outcome::Unknown);
    // It was written; the watch brings it, and whoever leads then goes on from there.
    let Action::Publish {
        key,
        to: gastown_rules::Status::Convoy(to),
        ..
    } = publish
    else {
        panic!("not a status");
    };
    let mut row = scene.world.convoys[&key].clone();
    row.meta.rev = Rev(row.meta.rev.0 + 1000);
    row.status = *to.clone();
    scene.world.learn(Fact::Seen(Seen::Convoy(Box::new(row))));
    scene.later(5);
    for create in scene.plan().actions {
        // The pod is made, and this answer is lost, too.
        scene.world.learn(Fact::Asked(create.clone()));
        scene.answer(create, Outcome::Unknown);
    }
    scene.later(5);
    scene.settle();
    let names: BTreeSet<String> = notices(&scene.writes)
        .iter()
        .map(|p| p.common.key.name.clone())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([to.notification.unwrap().pod_name.unwrap()]),
        "the name that was published"
    );
}

fn witness(scene: &Scene) -> WitnessStatus {
    scene.world.witnesses[&Key::new(Kind::Witness, HOME, "parts-witness")]
        .status
        .clone()
}

/// A rig whose witness tells a webhook, and so many polecats that are stuck for one reason.
fn stuck(names: &[&str]) -> Scene {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.settle();
    let key = Key::new(Kind::Witness, HOME, "parts-witness");
    let mut row = scene.world.witnesses[&key].clone();
    row.meta.rev = scene.rev();
    row.meta.generation += 1;
    row.spec.escalation_target = Some("webhook".into());
    scene.world.learn(Fact::Seen(Seen::Witness(Box::new(row))));
    catch_up(&mut scene);
    for name in names {
        scene.polecat(name, |p| {
            p.spec.kubernetes.get_or_insert_default().work_branch = Some("a..b".into())
        });
    }
    scene.writes.clear();
    catch_up(&mut scene);
    scene
}

#[test]
fn incidents_are_told_together_in_the_witness_namespace_each_once() {
    let mut scene = stuck(&["nux", "slit", "ace"]);
    assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
    let made = notices(&scene.writes);
    assert_eq!(made.len(), 1);
    let pod = &made[0];
    assert_eq!(
        (pod.common.key.namespace.as_str(), pod.secret.as_deref()),
        (HOME, Some("gastown-notify"))
    );
    assert_eq!(pod.orders.subject, "Rig parts: 3 polecats need somebody");
    for word in [
        "nux (InvalidBranch)",
        "git takes no branch",
        "polecat retry slit -n work",
    ] {
        assert!(pod.orders.text.contains(word), "{}", pod.orders.text);
    }
    // While that is on its way another one gets stuck: it is told next.
    scene.writes.clear();
    scene.polecat("dag", |p| {
        p.spec.kubernetes.get_or_insert_default().work_branch = Some("a..b".into())
    });
    catch_up(&mut scene);
    assert!(notices(&scene.writes).is_empty());
    says(&mut scene, pod, NotifyOutcome::Sent);
    catch_up(&mut scene);
    let next = notices(&scene.writes);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].orders.subject, "Rig parts: 1 polecat needs somebody");
    says(&mut scene, &next[0], NotifyOutcome::Sent);
    assert_eq!(witness(&scene).incidents.len(), 4);
    scene.writes.clear();
    for _ in 0..5 {
        scene.later(10_000);
        scene.settle();
    }
    assert!(notices(&scene.writes).is_empty(), "each once");
    // An edit is somebody's act. In vain, it is an incident of its own.
    scene.edit("nux", |_| ());
    catch_up(&mut scene);
    let again = notices(&scene.writes);
    assert_eq!(again.len(), 1);
    assert!(again[0].orders.text.contains("nux") && !again[0].orders.text.contains("slit"));
}

#[test]
fn what_is_over_before_it_was_told_is_not_told() {
    let mut scene = stuck(&["nux"]);
    let pod = notices(&scene.writes).remove(0);
    says(&mut scene, &pod, NotifyOutcome::Unreachable);
    assert_eq!(condition(&witness(&scene).conditions, "Notified").1, "Unreachable");
    scene.writes.clear();
    scene.edit("nux", |p| p.spec.kubernetes = None);
    scene.at_work("nux");
    catch_up(&mut scene);
    let health = witness(&scene);
    assert!(health.incidents.is_empty() && health.notification.is_none());
    assert_eq!(condition(&health.conditions, "Notified").0, "-");
    scene.later(100_000);
    scene.settle();
    assert!(notices(&scene.writes).is_empty());
}

/// Tried again by itself every five minutes, it is one incident.
#[test]
fn a_secret_that_nobody_mends_is_told_once() {
    use gastown_wire::{CourierOutcome, CredentialProblem};
    let mut scene = stuck(&[]);
    scene.polecat("nux", |_| ());
    for _ in 0..6 {
        scene.at_work("nux");
        let s = scene.status("nux").clone();
        let problem = CourierOutcome::CredentialUnusable {
            problem: CredentialProblem::Expired,
        };
        let report = courier(problem, s.round.unwrap(), s.attempt.unwrap());
        scene.pod(&s.pod_name.unwrap(), |p| {
            over(p, PodPhase::Succeeded);
            common::said(p, "courier", 0, &report.encode());
        });
        catch_up(&mut scene);
        assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
        for pod in notices(&scene.writes) {
            if scene.world.pods().contains_key(&pod.common.key) {
                says(&mut scene, &pod, NotifyOutcome::Sent);
            }
        }
        scene.later(300);
    }
    assert!(scene.status("nux").attempt.unwrap() >= 5);
    assert_eq!(notices(&scene.writes).len(), 1);
}
