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
use gastown_rules::{Action, Blueprint, ContainerState, Ended, Fact, Outcome, PodPhase, PodRow};
use gastown_wire::{CloneOutcome, CourierOutcome, Report, exit};

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
    let writes: Vec<String> = said_by(&of_polecats(&scene.writes))
        .into_iter()
        .filter(|w| w.ends_with("slit"))
        .collect();
    assert_eq!(
        writes,
        [
            "publish slit",
            "create polecat-slit",
            "publish slit",
            "publish slit",
            "delete polecat-slit"
        ]
    );
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

/// A row of the table in DESIGN §5: what is seen, and what is decided.
struct Case {
    seen: &'static str,
    pod: fn(&mut PodRow),
    phase: PolecatPhase,
    reason: &'static str,
    attempt: i64,
    failures: Option<i64>,
    lost: Option<i64>,
}

fn report(pod: &mut PodRow, outcome: CourierOutcome) {
    over(pod, PodPhase::Failed);
    said(pod, "courier", 0, &courier(outcome, 1, 1).encode());
}

fn restarted(pod: &mut PodRow, name: &str, times: u32) {
    pod.containers
        .iter_mut()
        .find(|c| c.name == name)
        .unwrap()
        .restarts = times;
}

fn oom(pod: &mut PodRow) {
    over(pod, PodPhase::Failed);
    let killed = Ended {
        exit: 137,
        reason: "OOMKilled".into(),
        ..Default::default()
    };
    pod.containers
        .iter_mut()
        .find(|c| c.name == "agent")
        .unwrap()
        .state = ContainerState::Ended(killed);
}

const STUCK: PolecatPhase = PolecatPhase::Stuck;
const NEXT: PolecatPhase = PolecatPhase::Working;
const RETRY: PolecatPhase = PolecatPhase::Idle;

#[rustfmt::skip]
const TABLE: &[Case] = &[
    // courier ended with a valid report: that outcome; pod phase and other containers do not matter
    Case { seen: "done, though the pod failed", pod: |p| report(p, CourierOutcome::Done), phase: PolecatPhase::Done, reason: "WorkComplete", attempt: 1, failures: None, lost: None },
    Case { seen: "done, though a proxy still runs", pod: |p| said(p, "courier", 0, &courier(CourierOutcome::Done, 1, 1).encode()), phase: PolecatPhase::Done, reason: "WorkComplete", attempt: 1, failures: None, lost: None },
    Case { seen: "done, and then evicted", pod: |p| { report(p, CourierOutcome::Done); p.reason = "Evicted".into(); }, phase: PolecatPhase::Done, reason: "WorkComplete", attempt: 1, failures: None, lost: None },
    Case { seen: "no change", pod: |p| report(p, CourierOutcome::NoChange), phase: STUCK, reason: "NoChange", attempt: 1, failures: None, lost: None },
    Case { seen: "dirty tree", pod: |p| report(p, CourierOutcome::DirtyTree { files: 2 }), phase: STUCK, reason: "DirtyTree", attempt: 1, failures: None, lost: None },
    Case { seen: "wrong branch", pod: |p| report(p, CourierOutcome::WrongBranch { branch: "x".into() }), phase: STUCK, reason: "WrongBranch", attempt: 1, failures: None, lost: None },
    Case { seen: "push rejected", pod: |p| report(p, CourierOutcome::PushRejected { why: "protected".into() }), phase: STUCK, reason: "PushRejected", attempt: 1, failures: None, lost: None },
    Case { seen: "agent missing", pod: |p| report(p, CourierOutcome::AgentMissing { program: "claude".into() }), phase: STUCK, reason: "AgentMissing", attempt: 1, failures: None, lost: None },
    Case { seen: "agent failed", pod: |p| report(p, CourierOutcome::AgentFailed { exit: 1 }), phase: RETRY, reason: "AgentFailed", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "agent lost", pod: |p| report(p, CourierOutcome::AgentLost), phase: RETRY, reason: "AgentLost", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "push failed", pod: |p| report(p, CourierOutcome::PushFailed), phase: RETRY, reason: "PushFailed", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "stopped", pod: |p| report(p, CourierOutcome::Stopped), phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    Case { seen: "stopped by its deadline", pod: |p| { report(p, CourierOutcome::Stopped); p.reason = "DeadlineExceeded".into(); }, phase: RETRY, reason: "DeadlineExceeded", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "fenced", pod: |p| report(p, CourierOutcome::Fenced), phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    // a report that is not ours is no report
    Case { seen: "a report of another attempt", pod: |p| said(p, "courier", 0, &courier(CourierOutcome::Done, 1, 2).encode()), phase: NEXT, reason: "Running", attempt: 1, failures: None, lost: None },
    Case { seen: "a report of another round", pod: |p| said(p, "courier", 0, &courier(CourierOutcome::Done, 2, 1).encode()), phase: NEXT, reason: "Running", attempt: 1, failures: None, lost: None },
    Case { seen: "done without a commit", pod: |p| { let mut r = courier(CourierOutcome::Done, 1, 1); r.commit = "HEAD".into(); said(p, "courier", 0, &r.encode()); }, phase: NEXT, reason: "Running", attempt: 1, failures: None, lost: None },
    Case { seen: "words of the agent", pod: |p| said(p, "agent", 0, &courier(CourierOutcome::Done, 1, 1).encode()), phase: NEXT, reason: "Running", attempt: 1, failures: None, lost: None },
    Case { seen: "broken JSON and the pod over", pod: |p| { over(p, PodPhase::Failed); said(p, "courier", 1, "{\"outcome\":"); }, phase: RETRY, reason: "PodFailed", attempt: 1, failures: Some(1), lost: None },
    // node lost, evicted, preempted: next attempt, no retry spent
    Case { seen: "evicted by its node", pod: |p| { over(p, PodPhase::Failed); p.reason = "Evicted".into(); p.message = "The node was low on resource: memory.".into(); }, phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    Case { seen: "preempted", pod: |p| { over(p, PodPhase::Failed); p.disrupted = Some("PreemptionByScheduler".into()); }, phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    Case { seen: "node shutdown", pod: |p| { over(p, PodPhase::Failed); p.reason = "Terminated".into(); p.message = "Pod was terminated in response to imminent node shutdown.".into(); }, phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    Case { seen: "node lost", pod: |p| p.phase = PodPhase::Unknown, phase: NEXT, reason: "Starting", attempt: 2, failures: None, lost: Some(1) },
    // three restarts without a report: lost, bounded
    Case { seen: "courier restarted twice", pod: |p| restarted(p, "courier", 2), phase: NEXT, reason: "Running", attempt: 1, failures: None, lost: None },
    Case { seen: "courier restarted three times", pod: |p| restarted(p, "courier", 3), phase: RETRY, reason: "CrashLoop", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "run restarted three times", pod: |p| restarted(p, "agent", 3), phase: RETRY, reason: "CrashLoop", attempt: 1, failures: Some(1), lost: None },
    // deadline, memory, disk of its own: lost, and it counts
    Case { seen: "deadline exceeded", pod: |p| { over(p, PodPhase::Failed); p.reason = "DeadlineExceeded".into(); }, phase: RETRY, reason: "DeadlineExceeded", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "out of memory", pod: oom, phase: RETRY, reason: "OOMKilled", attempt: 1, failures: Some(1), lost: None },
    Case { seen: "out of its own disk", pod: |p| { over(p, PodPhase::Failed); p.reason = "Evicted".into(); p.message = "Usage of EmptyDir volume \"workspace\" exceeds the limit \"10Gi\".".into(); }, phase: RETRY, reason: "DiskLimit", attempt: 1, failures: Some(1), lost: None },
];

#[test]
fn how_a_running_pod_is_read() {
    for case in TABLE {
        let mut scene = furnished();
        scene.at_work("nux");
        scene.pod("polecat-nux", case.pod);
        scene.settle();
        let status = scene.status("nux");
        let reason = condition(&status.conditions, "Progressing").1;
        assert_eq!(
            (
                status.phase,
                reason,
                status.attempt,
                status.failures,
                status.lost
            ),
            (
                case.phase,
                case.reason,
                Some(case.attempt),
                case.failures,
                case.lost
            ),
            "{}: {:?}",
            case.seen,
            status.message
        );
        assert!(
            status.message.as_ref().is_some_and(|m| !m.is_empty()),
            "{}: no message",
            case.seen
        );
        if case.phase == PolecatPhase::Stuck {
            assert_eq!(
                condition(&status.conditions, "Degraded"),
                ("True", case.reason),
                "{}",
                case.seen
            );
        }
        // Whatever was decided is decided once.
        assert!(
            scene.plan().actions.is_empty(),
            "{}: {:#?}",
            case.seen,
            scene.plan()
        );
    }
}

#[test]
fn how_the_end_of_clone_is_read() {
    let config = |reason: &str| CloneOutcome::Config {
        reason: reason.into(),
    };
    let done = CloneOutcome::AlreadyDone {
        commit: COMMIT.into(),
        base: BASE.into(),
        commits: 3,
    };
    let cases: Vec<(CloneOutcome, i32, PolecatPhase, &str, i64)> = vec![
        (
            config("RepositoryNotFound"),
            exit::CONFIG,
            STUCK,
            "RepositoryNotFound",
            1,
        ),
        (
            config("BranchNotFound"),
            exit::CONFIG,
            STUCK,
            "BranchNotFound",
            1,
        ),
        (config("MadeUp"), exit::CONFIG, STUCK, "CloneFailed", 1),
        (
            CloneOutcome::BranchTaken,
            exit::CONFIG,
            STUCK,
            "BranchTaken",
            1,
        ),
        (CloneOutcome::Fenced, exit::FENCED, NEXT, "Starting", 2),
        (
            done,
            exit::ALREADY_DONE,
            PolecatPhase::Done,
            "WorkComplete",
            1,
        ),
        (
            CloneOutcome::Transient,
            exit::TRANSIENT,
            NEXT,
            "Starting",
            1,
        ),
    ];
    for (outcome, code, phase, reason, attempt) in cases {
        for running_again in [false, true] {
            let mut scene = furnished();
            scene.settle();
            let message = clone(outcome.clone(), 1).encode();
            scene.pod("polecat-nux", |p| {
                said(p, "clone", code, &message);
                if running_again {
                    let c = p.containers.iter_mut().find(|c| c.name == "clone").unwrap();
                    let ContainerState::Ended(ended) = c.state.clone() else {
                        panic!()
                    };
                    c.last = Some(ended);
                    c.state = ContainerState::Running { since: None };
                }
            });
            scene.settle();
            let status = scene.status("nux");
            let got = (
                status.phase,
                condition(&status.conditions, "Progressing").1,
                status.attempt,
            );
            assert_eq!(
                got,
                (phase, reason, Some(attempt)),
                "{outcome:?} {:?}",
                status.message
            );
            if phase == STUCK {
                assert!(
                    scene.pods().is_empty(),
                    "{outcome:?}: its pod frees its place"
                );
            }
        }
    }
}

#[test]
fn clone_exit_codes_stand_in_for_a_report_that_was_lost() {
    for (code, phase, reason) in [
        (exit::CONFIG, STUCK, "CloneFailed"),
        (exit::FENCED, NEXT, "Starting"),
        (exit::ALREADY_DONE, RETRY, "BadReport"),
        (1, NEXT, "Starting"),
    ] {
        let mut scene = furnished();
        scene.settle();
        scene.pod("polecat-nux", |p| said(p, "clone", code, ""));
        scene.settle();
        let status = scene.status("nux");
        assert_eq!(
            (status.phase, condition(&status.conditions, "Progressing").1),
            (phase, reason),
            "exit {code}"
        );
    }
}

#[test]
fn what_keeps_a_pod_from_starting_is_told_at_once_and_given_up_in_time() {
    type Trouble = (&'static str, fn(&mut PodRow), &'static str);
    let cases: [Trouble; 4] = [
        (
            "no image",
            |p| {
                waits(
                    p,
                    "agent",
                    "ImagePullBackOff",
                    "Back-off pulling image \"nope\"",
                )
            },
            "ImagePullFailed",
        ),
        (
            "bad config",
            |p| {
                waits(
                    p,
                    "courier",
                    "CreateContainerConfigError",
                    "secret not found",
                )
            },
            "ContainerConfigError",
        ),
        (
            "no node",
            |p| p.unschedulable = Some("0/3 nodes are available".into()),
            "Unschedulable",
        ),
        (
            "remote away",
            |p| waits(p, "clone", "CrashLoopBackOff", "back-off 40s"),
            "CloneRetrying",
        ),
    ];
    for (seen, change, reason) in cases {
        let mut scene = furnished();
        scene.settle();
        scene.pod("polecat-nux", change);
        let told = of_polecats(&scene.settle());
        assert_eq!(said_by(&told), ["publish nux"], "{seen}");
        let Action::Publish { notices, .. } = &told[0] else {
            panic!()
        };
        assert!(
            notices[0].warning && notices[0].because.code == reason,
            "{seen}: an event says so"
        );
        assert_eq!(
            condition(&scene.status("nux").conditions, "Progressing"),
            ("False", reason),
            "{seen}"
        );
        // The kubelet alternates its words; we do not.
        scene.pod("polecat-nux", |p| {
            change(p);
            p.containers.iter_mut().for_each(|c| {
                if let ContainerState::Waiting { message, .. } = &mut c.state {
                    message.push_str(" again");
                }
            });
        });
        assert!(of_polecats(&scene.settle()).is_empty(), "{seen}: told once");
        let wake = scene.plan().wakes["standalone"];
        scene.later(599);
        assert!(
            wake > scene.now && scene.plan().actions.is_empty(),
            "{seen}: waits for its deadline"
        );
        scene.later(2);
        assert!(wake <= scene.now, "{seen}: it had asked to be woken");
        scene.settle();
        assert_eq!(scene.status("nux").phase, STUCK, "{seen}");
        assert_eq!(
            condition(&scene.status("nux").conditions, "Degraded"),
            ("True", reason),
            "{seen}"
        );
        assert!(scene.pods().is_empty(), "{seen}: its place is free");
    }
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
    s.pod(&pod, |p| report(p, CourierOutcome::Done));
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
        let report = courier(
            CourierOutcome::AgentFailed { exit: 2 },
            1,
            status.attempt.unwrap(),
        );
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
    assert_eq!(scene.status("nux").phase, STUCK);
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
    let writes = of_polecats(&scene.settle());
    let pod = writes
        .iter()
        .find_map(|a| match a {
            Action::Create { blueprint, .. } => match &**blueprint {
                Blueprint::PolecatPod(pod) => Some(pod),
                _ => None,
            },
            _ => None,
        })
        .expect("a second attempt");
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
    assert!(
        names[1].starts_with("create polecat-slit-texts-"),
        "{names:?}"
    );
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
    assert_eq!(
        said_by(&of_polecats(&scene.settle())),
        ["delete polecat-nux"]
    );
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
