//! What a polecat's pod says, and what is decided: the table of DESIGN §5, row by row.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{self as api, PolecatPhase};
use gastown_rules::{Action, ContainerState, Ended, Notice, PodPhase, PodRow};
use gastown_wire::{CloneOutcome, CloneReport, ContentTrouble, CourierOutcome, CourierReport, Report, exit};

fn furnished() -> Scene {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene
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
    pod.containers.iter_mut().find(|c| c.name == name).unwrap().restarts = times;
}

fn oom(pod: &mut PodRow) {
    over(pod, PodPhase::Failed);
    let killed = Ended {
        exit: 137,
        reason: "OOMKilled".into(),
        ..Default::default()
    };
    pod.containers.iter_mut().find(|c| c.name == "agent").unwrap().state = ContainerState::Ended(killed);
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
            (status.phase, reason, status.attempt, status.failures, status.lost),
            (case.phase, case.reason, Some(case.attempt), case.failures, case.lost),
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
        assert!(scene.plan().actions.is_empty(), "{}: {:#?}", case.seen, scene.plan());
    }
}

#[test]
fn how_the_end_of_clone_is_read() {
    let config = |reason: &str| CloneOutcome::Config { reason: reason.into() };
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
        (config("BranchNotFound"), exit::CONFIG, STUCK, "BranchNotFound", 1),
        (config("MadeUp"), exit::CONFIG, STUCK, "CloneFailed", 1),
        (CloneOutcome::BranchTaken, exit::CONFIG, STUCK, "BranchTaken", 1),
        (CloneOutcome::Fenced, exit::FENCED, NEXT, "Starting", 2),
        (done, exit::ALREADY_DONE, PolecatPhase::Done, "WorkComplete", 1),
        (CloneOutcome::Transient, exit::TRANSIENT, NEXT, "Starting", 1),
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
                    c.last = Some(Box::new(ended));
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
            assert_eq!(got, (phase, reason, Some(attempt)), "{outcome:?} {:?}", status.message);
            if phase == STUCK {
                assert!(scene.pods().is_empty(), "{outcome:?}: its pod frees its place");
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
            |p| waits(p, "agent", "ImagePullBackOff", "Back-off pulling image \"nope\""),
            "ImagePullFailed",
        ),
        (
            "bad config",
            |p| waits(p, "courier", "CreateContainerConfigError", "secret not found"),
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
            "RemoteUnreachable",
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

fn trouble(reason: &str) -> Option<ContentTrouble> {
    Some(ContentTrouble {
        reason: reason.into(),
        detail: "its words".into(),
    })
}

/// An attempt whose clone and courier say that of the record repository: what is written for its polecat, and the condition
/// once it runs and at its end.
fn kept(
    start: Option<ContentTrouble>,
    outcome: CourierOutcome,
    end: Option<ContentTrouble>,
) -> (Vec<String>, [String; 2]) {
    let mut scene = furnished();
    scene.settle();
    let ready = CloneReport {
        content: start,
        ..clone(CloneOutcome::Ready { commits: 0, dirty: 0 }, 1)
    };
    let ended = CourierReport {
        content: end,
        ..courier(outcome, 1, 1)
    };
    let told = |scene: &Scene| condition(&scene.status("nux").conditions, "ContentKept").1.to_owned();
    scene.pod("polecat-nux", |p| {
        runs(p);
        said(p, "clone", 0, &ready.encode());
    });
    let mut written = said_by(&of_polecats(&scene.settle()));
    let running = told(&scene);
    scene.pod("polecat-nux", |p| {
        over(p, PodPhase::Failed);
        said(p, "courier", 0, &ended.encode());
    });
    written.extend(said_by(&of_polecats(&scene.settle())));
    let over = told(&scene);
    (written, [running, over])
}

#[test]
fn trouble_with_the_record_repository_is_told_with_writes_that_are_made_anyway() {
    use CourierOutcome::{AgentFailed, Done, Stopped};
    const NONE: &str = "-";
    let failed = AgentFailed { exit: 1 };
    for (start, outcome, end, running, over) in [
        (None, Done, None, NONE, NONE),
        (None, Done, trouble("CredentialReadOnly"), NONE, "CredentialReadOnly"),
        (None, failed.clone(), trouble("RefsRefused"), NONE, "RefsRefused"),
        (None, Stopped, trouble("RepositoryNotFound"), NONE, "RepositoryNotFound"),
        (None, Done, trouble("MadeUp"), NONE, "RemoteUnreachable"),
        // Without a record repository, from a server that takes commits and records alone.
        (None, Done, trouble("ContentRefused"), NONE, "ContentRefused"),
        // It could not be read, and what came after was kept.
        (trouble("RemoteUnreachable"), Done, None, "RemoteUnreachable", NONE),
        (trouble("RemoteUnreachable"), failed, None, "RemoteUnreachable", NONE),
        (
            trouble("SecretMissing"),
            Done,
            trouble("SecretMissing"),
            "SecretMissing",
            "SecretMissing",
        ),
        // Stopped before it tried.
        (
            trouble("HostKeyUnknown"),
            Stopped,
            None,
            "HostKeyUnknown",
            "HostKeyUnknown",
        ),
    ] {
        let seen = format!("{start:?}, {outcome:?}, {end:?}");
        let (without, _) = kept(None, outcome.clone(), None);
        let (written, told) = kept(start, outcome, end);
        assert_eq!(told, [running, over], "{seen}");
        assert_eq!(written, without, "{seen}: it costs no write");
    }
}

/// What attempts say of it one after another, and what of that is an event.
#[test]
fn what_is_kept_no_more_is_told_once_an_incident() {
    const TOLD: &[&str] = &["CredentialRefused"];
    const QUIET: &[&str] = &[];
    let mut scene = scene();
    scene.polecat("nux", |row| {
        alone(row);
        row.spec.retry = Some(api::Retry {
            limit: Some(9),
            ..Default::default()
        });
    });
    scene.at_work("nux");
    for (content, told) in [
        (None, QUIET),
        (trouble("CredentialRefused"), TOLD),
        (trouble("CredentialRefused"), QUIET),
        // Another one, with another fix.
        (trouble("ContentRefused"), &["ContentRefused"]),
        (None, QUIET),
        (trouble("CredentialRefused"), TOLD),
    ] {
        let status = scene.status("nux").clone();
        let ended = CourierReport {
            content: content.clone(),
            ..courier(CourierOutcome::AgentFailed { exit: 1 }, 1, status.attempt.unwrap())
        };
        scene.pod(&status.pod_name.unwrap(), |p| {
            runs(p);
            over(p, PodPhase::Failed);
            said(p, "courier", 0, &ended.encode());
        });
        let mut events = Vec::new();
        for action in scene.settle() {
            if let Action::Publish { notices, .. } = action {
                events.extend(notices);
            }
        }
        let of_content = |n: &&Notice| n.because.message.starts_with("work goes on without what record.");
        let heard: Vec<&Notice> = events.iter().filter(of_content).collect();
        let codes: Vec<&str> = heard.iter().map(|n| n.because.code).collect();
        assert_eq!(codes, told, "{content:?}: {events:?}");
        assert!(heard.iter().all(|n| n.warning));
        scene.later(3600);
        scene.settle();
    }
}

#[test]
fn the_next_attempt_that_keeps_everything_ends_the_trouble() {
    let mut scene = furnished();
    scene.at_work("nux");
    for (content, told) in [(trouble("CredentialRefused"), "False"), (None, "-")] {
        let status = scene.status("nux").clone();
        let ended = CourierReport {
            content,
            ..courier(CourierOutcome::AgentFailed { exit: 1 }, 1, status.attempt.unwrap())
        };
        scene.pod(&status.pod_name.unwrap(), |p| {
            runs(p);
            over(p, PodPhase::Failed);
            said(p, "courier", 0, &ended.encode());
        });
        scene.settle();
        assert_eq!(condition(&scene.status("nux").conditions, "ContentKept").0, told);
        assert_eq!(scene.status("nux").phase, RETRY, "it ends no attempt, and mends none");
        scene.later(120);
        scene.settle();
    }
}
