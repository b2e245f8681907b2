//! A polecat's life: attempts, outcomes, latch, deadlines, sweeping.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{DesiredState, EvidenceRecord, PolecatPhase, RoundRecord};
use gastown_rules::{Action, Fact, Outcome, PodPhase};
use gastown_wire::{CourierOutcome, Report};

fn furnished() -> Scene {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene
}

#[test]
fn a_happy_polecat_costs_six_writes() {
    let mut scene = furnished();
    scene.settle();
    scene.writes.clear();
    scene.polecat("slit", alone);
    scene.at_work("slit");
    scene.finishes("slit");
    assert_eq!(scene.status("slit").phase, PolecatPhase::Done);
    assert_eq!(
        condition(&scene.status("slit").conditions, "Available"),
        ("True", "WorkComplete")
    );
    assert_eq!(scene.status("slit").commit.as_deref(), Some(COMMIT));
    // The Refinery writes the landing: the one write that is not in this list.
    scene.lands("slit");
    scene.settle();
    let all = of_polecats(&scene.writes);
    let writes: Vec<(String, bool)> = said_by(&all)
        .into_iter()
        .zip(all.iter().map(Action::moves_work))
        .filter(|(w, _)| w.ends_with("slit"))
        .collect();
    let expected = [
        ("publish slit", true),
        ("create polecat-slit", true),
        // Working: told, and nothing waits for it.
        ("publish slit", false),
        ("publish slit", true),
        // It has ended by itself: nothing waits for it to be gone.
        ("delete polecat-slit", false),
    ];
    assert_eq!(writes, expected.map(|(what, moves)| (what.to_owned(), moves)));
    assert!(scene.plan().actions.is_empty(), "{:#?}", scene.plan());
}

#[test]
fn the_attempt_is_published_before_its_pod_is_created() {
    let mut scene = furnished();
    scene.settle();
    let mine: Vec<String> = said_by(&scene.writes)
        .into_iter()
        .filter(|w| w.contains("nux"))
        .collect();
    assert_eq!(mine, ["publish nux", "create polecat-nux"]);
    assert_eq!(scene.status("nux").attempt, Some(1));
    assert_eq!(scene.pod_row("polecat-nux").attempt, 1);
    assert_eq!(scene.pod_row("polecat-nux").round, 1);
}

#[test]
fn a_pod_that_is_gone_after_it_ran_is_an_attempt_lost() {
    let mut scene = furnished();
    scene.at_work("nux");
    scene.vanish("polecat-nux");
    scene.settle();
    assert_eq!(
        (scene.status("nux").attempt, scene.status("nux").lost),
        (Some(2), Some(1))
    );
    assert_eq!(scene.status("nux").failures, None);
}

#[test]
fn a_pod_that_is_gone_before_it_ran_is_made_again_as_the_same_attempt() {
    let mut scene = furnished();
    scene.settle();
    scene.vanish("polecat-nux");
    let writes = of_polecats(&scene.settle());
    assert_eq!(said_by(&writes), ["create polecat-nux"]);
    assert_eq!(scene.status("nux").attempt, Some(1));
}

#[test]
fn no_pod_is_made_while_a_write_of_the_polecats_own_status_is_under_way() {
    let mut s = furnished();
    s.settle();
    let pod = s.status("nux").pod_name.clone().unwrap();
    // The watch told late: never seen running, done, and gone before the answer to what was written of it.
    s.pod(&pod, |p| {
        over(p, PodPhase::Succeeded);
        said(p, "courier", 0, &courier(CourierOutcome::Done, 1, 1).encode());
    });
    let done = of_polecats(&s.plan().actions);
    assert_eq!(said_by(&done), ["publish nux"]);
    s.world.learn(Fact::Asked(done[0].clone()));
    s.vanish(&pod);
    assert_eq!(said_by(&of_polecats(&s.plan().actions)), [""; 0]);
    let rev = s.rev();
    let uid = s.row("nux").meta.uid.clone();
    s.answer(done[0].clone(), Outcome::Done { rev, uid });
    assert_eq!(said_by(&of_polecats(&s.plan().actions)), [""; 0]);
    assert_eq!(s.status("nux").phase, PolecatPhase::Done);
}

#[test]
fn no_pod_is_made_for_work_that_is_perhaps_recorded_as_done() {
    let mut s = furnished();
    s.settle();
    let pod = s.status("nux").pod_name.clone().unwrap();
    s.pod(&pod, |p| {
        over(p, PodPhase::Succeeded);
        said(p, "courier", 0, &courier(CourierOutcome::Done, 1, 1).encode());
    });
    let done = of_polecats(&s.plan().actions);
    s.world.learn(Fact::Asked(done[0].clone()));
    s.vanish(&pod);
    s.answer(done[0].clone(), Outcome::Unknown);
    s.later(3);
    assert_eq!(said_by(&of_polecats(&s.plan().actions)), ["publish nux"]);
    s.settle();
    assert_eq!(s.status("nux").phase, PolecatPhase::Done);
    assert_eq!(s.pods(), [""; 0]);
}

#[test]
fn lost_pods_wait_longer_each_time_and_spend_no_retry() {
    let mut scene = furnished();
    scene.at_work("nux");
    for (nth, seconds) in [
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 4),
        (5, 8),
        (6, 16),
        (7, 32),
        (8, 60),
        (9, 60),
    ] {
        let pod = scene.status("nux").pod_name.clone().unwrap();
        scene.vanish(&pod);
        scene.settle();
        if seconds > 0 {
            assert_eq!(scene.status("nux").phase, PolecatPhase::Idle, "loss {nth}");
            assert_eq!(
                scene.plan().wakes["standalone"],
                scene.now + jiff::SignedDuration::from_secs(seconds),
                "loss {nth}"
            );
            scene.later(seconds);
        }
        scene.at_work("nux");
        assert_eq!(
            (scene.status("nux").attempt, scene.status("nux").lost),
            (Some(nth + 1), Some(nth))
        );
        assert_eq!(scene.status("nux").failures, None);
    }
}

#[test]
fn a_failing_agent_is_tried_again_and_then_needs_somebody() {
    let mut scene = furnished();
    scene.at_work("nux");
    for (failure, wait) in [(1, 10), (2, 20)] {
        let status = scene.status("nux").clone();
        let report = courier(CourierOutcome::AgentFailed { exit: 2 }, 1, status.attempt.unwrap());
        scene.pod(&status.pod_name.unwrap(), |p| {
            over(p, PodPhase::Failed);
            said(p, "courier", 0, &report.encode());
        });
        scene.settle();
        assert_eq!(
            (scene.status("nux").phase, scene.status("nux").failures),
            (PolecatPhase::Idle, Some(failure))
        );
        scene.later(wait - 1);
        assert!(scene.plan().actions.is_empty(), "not before its backoff");
        scene.later(1);
        scene.at_work("nux");
    }
    let report = courier(CourierOutcome::AgentFailed { exit: 2 }, 1, 3);
    let pod = scene.status("nux").pod_name.clone().unwrap();
    scene.pod(&pod, |p| {
        over(p, PodPhase::Failed);
        said(p, "courier", 0, &report.encode());
    });
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
    assert_eq!(
        condition(&scene.status("nux").conditions, "Degraded"),
        ("True", "AgentFailed")
    );
    assert_eq!(scene.pods(), [pod], "its logs stay for an hour");
    scene.later(3600);
    scene.settle();
    assert!(scene.pods().is_empty());
    // An edit of the spec tries again, with all retries.
    scene.edit("nux", |p| p.spec.task_description = Some("plainer".into()));
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").attempt),
        (PolecatPhase::Working, Some(4))
    );
    assert_eq!(scene.status("nux").failures, None);
}

#[test]
fn finished_work_never_runs_again() {
    let mut scene = furnished();
    scene.at_work("nux");
    scene.finishes("nux");
    scene.vanish("polecat-nux");
    assert!(of_polecats(&scene.settle()).is_empty(), "done is latched");
    for state in [DesiredState::Idle, DesiredState::Working] {
        scene.edit("nux", |p| p.spec.desired_state = state);
        assert!(of_polecats(&scene.settle()).is_empty(), "{state:?}");
    }
    scene.lands("nux");
    scene.settle();
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Terminated);
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Terminated);
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Working);
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").attempt),
        (PolecatPhase::Done, Some(1))
    );
    assert!(scene.pods().is_empty());
}

#[test]
fn the_round_after_a_hand_back_is_told_why() {
    let mut scene = furnished();
    scene.at_work("nux");
    scene.finishes("nux");
    // As the Refinery hands back.
    scene.edit("nux", |p| {
        p.meta.generation -= 1;
        p.status.phase = PolecatPhase::Idle;
        p.status.round = Some(2);
        p.status.failures = None;
        p.status.rounds.push(RoundRecord {
            round: 1,
            outcome: "HandedBack".into(),
            reason: "TestFailed".into(),
            commit: Some(COMMIT.into()),
            evidence: Some(EvidenceRecord {
                kind: "TestFailed".into(),
                summary: "not ok 7".into(),
                onto: Some(BASE.into()),
                test_command: Some("sh test.sh".into()),
                ..Default::default()
            }),
            ..Default::default()
        });
    });
    let pod = scene.pod_made();
    assert_eq!((pod.orders.round, pod.orders.attempt), (2, 2));
    let told = pod.orders.evidence.as_ref().expect("evidence");
    assert_eq!(
        (told.summary.as_str(), told.commit.as_deref()),
        ("not ok 7", Some(COMMIT))
    );
    assert!(
        !scene.pods().contains(&"polecat-nux".to_owned()),
        "the old round's pod is gone"
    );
    assert_eq!(scene.status("nux").commit, None);
}

#[test]
fn idle_stops_the_pod_and_keeps_what_was_finished() {
    let mut scene = furnished();
    scene.at_work("nux");
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Idle);
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Idle);
    assert!(scene.pods().is_empty() && scene.plan().actions.is_empty());
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Working);
    scene.at_work("nux");
    assert_eq!(scene.status("nux").attempt, Some(2), "attempts only grow");
    // It finishes while it is being stopped.
    let pod = scene.status("nux").pod_name.clone().unwrap();
    let report = courier(CourierOutcome::Done, 1, 2).encode();
    scene.pod(&pod, |p| said(p, "courier", 0, &report));
    scene.edit("nux", |p| p.spec.desired_state = DesiredState::Idle);
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Done);
}

#[test]
fn an_attempt_waits_for_the_pod_before_it_but_not_for_ever() {
    let mut scene = furnished();
    scene.at_work("nux");
    let now = scene.now;
    scene.pod("polecat-nux", |p| {
        p.meta.deleting = Some(now + jiff::SignedDuration::from_secs(120))
    });
    assert!(
        scene.settle().iter().all(|a| a.key().name != "nux"),
        "it may still report"
    );
    let wake = scene.plan().wakes["standalone"];
    assert_eq!(wake, now + jiff::SignedDuration::from_secs(420));
    scene.later(419);
    assert!(scene.plan().actions.is_empty());
    scene.later(1);
    scene.settle();
    assert_eq!(scene.status("nux").attempt, Some(2));
    let mut pods = scene.pods();
    pods.retain(|p| p != "polecat-nux");
    assert_eq!(pods.len(), 1, "the next attempt has a name of its own");
}

#[test]
fn a_long_task_travels_in_a_config_map_made_first() {
    let mut scene = furnished();
    scene.settle();
    scene.writes.clear();
    let text = "é".repeat(32 * 1024);
    scene.polecat("slit", |p| {
        alone(p);
        p.spec.task_description = Some(text.clone());
    });
    scene.settle();
    let names = said_by(&of_polecats(&scene.writes));
    assert!(names[1].starts_with("create polecat-slit-texts-"), "{names:?}");
    assert_eq!(names[2], "create polecat-slit");
}

#[test]
fn a_pod_whose_containers_do_not_end_is_deleted_after_its_report() {
    let mut scene = furnished();
    scene.at_work("nux");
    let report = courier(CourierOutcome::Done, 1, 1).encode();
    scene.pod("polecat-nux", |p| said(p, "courier", 0, &report));
    scene.settle();
    assert_eq!(scene.pods(), ["polecat-nux"]);
    scene.later(30);
    assert_eq!(said_by(&of_polecats(&scene.settle())), ["delete polecat-nux"]);
}

#[test]
fn ttl_keeps_the_pod_of_landed_work() {
    let mut scene = scene();
    scene.polecat("nux", |p| {
        alone(p);
        p.spec.ttl_seconds_after_finished = Some(60);
    });
    scene.at_work("nux");
    scene.finishes("nux");
    scene.lands("nux");
    scene.settle();
    assert_eq!(scene.pods(), ["polecat-nux"]);
    scene.later(60);
    scene.settle();
    assert!(scene.pods().is_empty());
}

#[test]
fn a_node_that_does_not_end_a_pod_at_its_deadline_is_not_waited_for() {
    let mut scene = furnished();
    scene.at_work("nux");
    let wake = scene.plan().wakes["standalone"];
    scene.now = wake;
    scene.settle();
    assert_eq!(
        condition(&scene.status("nux").conditions, "Progressing").1,
        "DeadlineExceeded"
    );
    assert!(scene.pods().is_empty());
}

#[test]
fn a_stuck_polecats_logs_outlive_the_moment_before_its_pod_is_called_over() {
    for exits in [true, false] {
        let mut scene = furnished();
        scene.at_work("nux");
        let report = courier(CourierOutcome::NoChange, 1, 1);
        // As a kubelet tells it: the courier has ended, the pod not yet.
        scene.pod("polecat-nux", |p| said(p, "courier", 0, &report.encode()));
        scene.settle();
        assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
        assert_eq!(scene.pods(), ["polecat-nux"]);
        if exits {
            scene.pod("polecat-nux", |p| over(p, PodPhase::Succeeded));
        }
        scene.later(60);
        scene.settle();
        assert_eq!(
            scene.pods().len(),
            usize::from(exits),
            "one that does not end by itself is ended"
        );
    }
}
