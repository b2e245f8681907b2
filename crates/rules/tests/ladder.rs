//! The ladder: wait, nudge, a new attempt with the same conversation, escalate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{PolecatPhase, Retry, WitnessStatus};
use gastown_rules::{Action, Key, Kind, PodRow};

const NUDGE: &str = "gastown.io/witness-nudge";

fn town(threshold: &str, retries: i32) -> Scene {
    let mut scene = scene();
    scene.rig("parts", |r| {
        r.spec.stuck_threshold = Some(threshold.into());
        r.spec.retry = Some(Retry {
            limit: Some(retries),
            backoff_seconds: Some(0),
        });
        r.spec.active_deadline_seconds = Some(100 * 3600);
    });
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    scene
}

fn witness(scene: &Scene) -> WitnessStatus {
    let key = Key::new(Kind::Witness, "gastown-system", "parts-witness");
    scene.world.witnesses[&key].status.clone()
}

fn pod(scene: &Scene) -> String {
    scene.status("nux").pod_name.clone().unwrap()
}

/// Courier's word for activity.
fn heard(scene: &mut Scene, ready: bool) {
    let name = pod(scene);
    scene.pod(&name, |p| courier_ready(p, ready));
}

fn courier_ready(pod: &mut PodRow, ready: bool) {
    pod.containers.iter_mut().find(|c| c.name == "courier").unwrap().ready = ready;
}

fn nudge(scene: &Scene) -> Option<String> {
    scene.pod_row(&pod(scene)).meta.annotations.get(NUDGE).cloned()
}

#[test]
fn whoever_is_active_is_left_alone_however_long_it_works() {
    let mut scene = town("10m", 1);
    scene.writes.clear();
    for _ in 0..20 {
        scene.later(3600);
        scene.settle();
    }
    assert_eq!(said_by(&of_polecats(&scene.writes)), Vec::<String>::new());
    assert_eq!(nudge(&scene), None);
}

#[test]
fn a_silent_agent_is_nudged_once_and_the_nudge_is_taken_back_when_it_is_active() {
    let mut scene = town("10m", 1);
    scene.later(3600);
    heard(&mut scene, false);
    let made = scene.settle();
    assert_eq!(said_by(&of_polecats(&made)), ["annotate polecat-nux"]);
    let text = nudge(&scene).unwrap();
    assert!(text.starts_with("2026-11-24T") && text.contains("for 10m"), "{text}");
    // Not twice, also for an operator that starts anew and knows only the annotation.
    scene.later(300);
    assert!(of_polecats(&scene.settle()).is_empty());
    heard(&mut scene, true);
    assert_eq!(said_by(&of_polecats(&scene.settle())), ["annotate polecat-nux"]);
    assert_eq!((nudge(&scene), scene.status("nux").attempt), (None, Some(1)));
    // The next silence is one of its own.
    scene.later(3600);
    heard(&mut scene, false);
    scene.settle();
    assert!(nudge(&scene).unwrap() > text);
}

#[test]
fn silence_after_a_nudge_is_a_new_attempt_and_the_last_one_is_escalated_once() {
    let mut scene = town("10m", 1);
    scene.later(3600);
    heard(&mut scene, false);
    scene.settle();
    let wake = scene.plan().wakes["parts"];
    assert_eq!(
        (wake - scene.now).get_seconds(),
        600,
        "as long again, and it is woken for it"
    );
    scene.later(599);
    scene.settle();
    assert_eq!(scene.status("nux").attempt, Some(1));
    scene.later(1);
    scene.settle();
    let status = scene.status("nux");
    assert_eq!(
        (status.attempt, status.round),
        (Some(2), Some(1)),
        "the same round, the same conversation"
    );
    assert!(!scene.pods().contains(&"polecat-nux".to_owned()), "its pod is ended");
    let why = scene.writes.iter().find_map(|a| match a {
        Action::Publish { notices, .. } => notices.iter().find(|n| n.because.code == "Silent").cloned(),
        _ => None,
    });
    let why = why.unwrap().because.message;
    assert!(why.contains("10m") && why.contains("attempt 2 follows"), "{why}");
    assert!(witness(&scene).incidents.is_empty(), "nobody is needed yet");

    scene.at_work("nux");
    heard(&mut scene, false);
    // Unready from its start: it counts once it has lasted.
    scene.settle();
    assert_eq!(nudge(&scene), None);
    for _ in 0..2 {
        scene.later(600);
        scene.settle();
    }
    let status = scene.status("nux").clone();
    assert_eq!(status.phase, PolecatPhase::Stuck);
    assert_eq!(condition(&status.conditions, "Degraded"), ("True", "Silent"));
    scene.later(31);
    scene.settle();
    let health = witness(&scene);
    assert_eq!(health.incidents.len(), 1);
    let incident = &health.incidents[0];
    assert_eq!(
        (incident.polecat.as_str(), incident.reason.as_str()),
        ("work/nux", "Silent")
    );
    assert_eq!(
        condition(&health.conditions, "Notified"),
        ("True", "Event"),
        "mayor reads events"
    );
    let escalations = |scene: &Scene| {
        let told = scene.writes.iter().filter_map(|a| match a {
            Action::Publish { key, notices, .. } if key.kind == Kind::Witness => Some(notices),
            _ => None,
        });
        let all = told.flatten().filter(|n| n.because.code == "Escalated").cloned();
        all.collect::<Vec<_>>()
    };
    let told = escalations(&scene);
    assert_eq!(told.len(), 1);
    let text = &told[0].because.message;
    assert!(
        text.contains("nux (Silent)") && text.contains("polecat retry nux -n work"),
        "{text}"
    );
    for _ in 0..10 {
        scene.later(3600);
        scene.settle();
    }
    assert_eq!(escalations(&scene).len(), 1, "once an incident");
}

/// A node passes the nudge on within a minute or so: it is not ended before it could hear it.
#[test]
fn in_a_cluster_nobody_is_ended_before_the_nudge_can_have_arrived() {
    let mut scene = Scene::of(gastown_rules::Town::default());
    scene.rig("parts", |r| {
        r.spec.git_url = "https://git.example.com/parts.git".into();
        r.spec.stuck_threshold = Some("20s".into());
    });
    scene.polecat("nux", |_| ());
    scene.at_work("nux");
    scene.later(3600);
    heard(&mut scene, false);
    scene.settle();
    assert!(nudge(&scene).unwrap().contains("In another 2m"));
    scene.later(119);
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Working);
    scene.later(1);
    scene.settle();
    assert_eq!(
        scene.status("nux").phase,
        PolecatPhase::Idle,
        "{:?}",
        scene.status("nux").message
    );
}

#[test]
fn a_witness_elsewhere_watches_over_those_beside_it() {
    let mut scene = town("10m", 0);
    scene.settle();
    let own = scene.world.witnesses[&Key::new(Kind::Witness, "gastown-system", "parts-witness")].clone();
    for namespace in [NS, "elsewhere"] {
        let mut row = own.clone();
        row.meta.key = Key::new(Kind::Witness, namespace, "mine");
        row.meta.uid.0 = format!("uid-of-{namespace}");
        row.meta.rev = scene.rev();
        scene
            .world
            .learn(gastown_rules::Fact::Seen(gastown_rules::Seen::Witness(Box::new(row))));
    }
    let name = pod(&scene);
    scene.pod(&name, |p| {
        over(p, gastown_rules::PodPhase::Failed);
    });
    for _ in 0..3 {
        scene.later(31);
        scene.settle();
    }
    assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
    let of = |namespace: &str, name: &str| {
        let status = &scene.world.witnesses[&Key::new(Kind::Witness, namespace, name)].status;
        (status.incidents.len(), status.polecats_summary.as_ref().unwrap().total)
    };
    assert_eq!(of("gastown-system", "parts-witness"), (1, 1));
    assert_eq!(of(NS, "mine"), (1, 1));
    assert_eq!(
        of("elsewhere", "mine"),
        (0, 0),
        "what is told of a polecat is nobody else's business"
    );
}

#[test]
fn the_witness_says_what_is_no_duration() {
    let mut scene = scene();
    scene.rig("parts", |_| ());
    scene.settle();
    let key = Key::new(Kind::Witness, "gastown-system", "parts-witness");
    let mut row = scene.world.witnesses[&key].clone();
    row.meta.rev = scene.rev();
    row.meta.generation += 1;
    row.spec.stuck_threshold = Some("soon".into());
    row.spec.health_check_interval = Some("1".into());
    scene
        .world
        .learn(gastown_rules::Fact::Seen(gastown_rules::Seen::Witness(Box::new(row))));
    scene.later(60);
    scene.settle();
    let status = witness(&scene);
    assert_eq!(
        condition(&status.conditions, "FieldsHonoured"),
        ("False", "InvalidDuration")
    );
    let said = gastown_api::conditions::get(&status.conditions, "FieldsHonoured").unwrap();
    for word in ["stuckThreshold \"soon\"", "healthCheckInterval \"1\"", "15m"] {
        assert!(said.message.contains(word), "{}", said.message);
    }
}

/// Nobody's word is lost because another Witness of the rig says nothing, or comes first.
#[test]
fn the_witness_beside_a_polecat_is_heard_before_the_rigs_own_and_that_before_the_rig() {
    let nudged_after = |beside: Option<&str>, own: Option<&str>| {
        let mut scene = town("10m", 0);
        scene.settle();
        let key = Key::new(Kind::Witness, "gastown-system", "parts-witness");
        let mut row = scene.world.witnesses[&key].clone();
        for (namespace, name, threshold) in [("gastown-system", "parts-witness", own), (NS, "mine", beside)] {
            row.meta.key = Key::new(Kind::Witness, namespace, name);
            row.meta.uid.0 = format!("uid-of-{name}");
            row.meta.rev = scene.rev();
            row.spec.stuck_threshold = threshold.map(str::to_owned);
            scene
                .world
                .learn(gastown_rules::Fact::Seen(gastown_rules::Seen::Witness(Box::new(
                    row.clone(),
                ))));
        }
        scene.later(3600);
        heard(&mut scene, false);
        scene.settle();
        nudge(&scene).unwrap()
    };
    for (beside, own, wanted) in [
        (None, None, "for 10m."),
        (None, Some("20m"), "for 20m."),
        (Some("30m"), None, "for 30m."),
        (Some("30m"), Some("20m"), "for 30m."),
        (Some("soon"), Some("20m"), "for 20m."),
        (Some("0s"), None, "for 10m."),
    ] {
        let text = nudged_after(beside, own);
        assert!(text.contains(wanted), "{beside:?} {own:?}: {text}");
    }
}
