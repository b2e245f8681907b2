//! How each state of a pod is read.

use super::super::evidence::{EVIDENCE_LIMIT, clean};
use super::super::verdict::{self, Tested};
use super::{Town, ended, id};
use crate::blueprint::Blueprint;
use crate::plan::Action;
use crate::row::{ContainerRow, ContainerState, Ended, PodPhase, PodRole, PodRow};
use gastown_wire::{CandidateOutcome, CandidateReport, Included, Report, VERSION};
use jiff::SignedDuration;

const TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

fn report() -> CandidateReport {
    CandidateReport {
        version: VERSION,
        outcome: CandidateOutcome::Built {
            commit: id("c"),
            tree: id("t"),
        },
        base: id("main"),
        included: vec![Included { i: 0, c: id("c") }],
        conflicts: Vec::new(),
        empty: Vec::new(),
        detail: String::new(),
    }
}

/// A test pod whose candidate reported this and whose test ended so.
fn pod(report: &CandidateReport, test: Option<(i32, &str, &str)>) -> PodRow {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let mut pod = town.live(PodRole::Test).unwrap();
    pod.containers = vec![ended("candidate", 0, &report.encode(), town.now)];
    if let Some((exit, reason, message)) = test {
        let end = Ended {
            exit,
            reason: reason.into(),
            message: message.into(),
            at: Some(town.now),
        };
        pod.containers.push(ContainerRow {
            state: ContainerState::Ended(end),
            ..ended("test", 0, "", town.now)
        });
        pod.phase = if exit == 0 {
            PodPhase::Succeeded
        } else {
            PodPhase::Failed
        };
    }
    pod
}

fn read(pod: &PodRow) -> Tested {
    verdict::of_test(pod, TIMEOUT, pod.meta.created + SignedDuration::from_secs(1))
}

#[test]
fn exit_code_0_of_the_test_container_is_green_and_nothing_else_is() {
    assert_eq!(read(&pod(&report(), Some((0, "Completed", "")))), Tested::Green);
    for exit in [1, 2, 77, 126, 137, 143, 255, -1] {
        let said = pod(
            &report(),
            Some((exit, "Error", r#"{"outcome":"built","verdict":"green"}"#)),
        );
        assert!(matches!(read(&said), Tested::Red(_)), "exit {exit}");
    }
    let mut odd = pod(&report(), None);
    odd.phase = PodPhase::Succeeded;
    assert!(
        matches!(read(&odd), Tested::Lost(_)),
        "a pod's phase alone proves nothing"
    );
    let mut unbuilt = pod(&report(), Some((0, "Completed", "")));
    unbuilt.containers.remove(0);
    assert!(
        matches!(read(&unbuilt), Tested::Lost(_)),
        "green without a candidate's report proves nothing"
    );
}

#[test]
fn memory_and_deadline_are_the_changes_doing() {
    assert!(matches!(
        read(&pod(&report(), Some((137, "OOMKilled", "")))),
        Tested::Red(_)
    ));
    let mut late = pod(&report(), Some((137, "Error", "still running")));
    late.reason = "DeadlineExceeded".into();
    assert!(matches!(read(&late), Tested::Red(text) if text.contains("still running")));
    let mut late = pod(&report(), None);
    (late.phase, late.reason) = (PodPhase::Failed, "DeadlineExceeded".into());
    assert!(matches!(read(&late), Tested::Red(_)));
    let mut full = pod(&report(), Some((137, "Error", "")));
    (full.reason, full.message) = (
        "Evicted".into(),
        "Container test exceeded its local ephemeral storage limit \"1Gi\".".into(),
    );
    assert!(matches!(read(&full), Tested::Red(_)), "its own disk limit");
}

/// The pod's deadline ends whatever runs; who is to blame depends on what took the time.
#[test]
fn a_slow_candidate_is_no_changes_doing() {
    let built = report().encode();
    // (timeout, seconds of the candidate, its exit code and report, exit code of the tests) → what it came to
    type Case<'a> = (i64, i64, (i32, &'a str), Option<i32>, &'a str);
    let cases: [Case<'_>; 8] = [
        (3, 18, (143, ""), None, "CandidateTimedOut"),
        (3, 18, (137, ""), None, "CandidateTimedOut"),
        (3, 17, (0, &built), None, "CandidateTimedOut"),
        (3, 17, (0, &built), Some(137), "CandidateTimedOut"),
        (3, 17, (0, &built), Some(0), "green"),
        (3, 14, (0, &built), Some(137), "red"),
        (1800, 500, (0, &built), Some(137), "red"),
        (1800, 700, (0, &built), Some(137), "CandidateTimedOut"),
    ];
    for (timeout, took, (exit, words), tests, wanted) in cases {
        let mut pod = pod(&report(), tests.map(|exit| (exit, "Error", "")));
        let start = pod.meta.created;
        pod.started = Some(start);
        pod.containers[0] = ended("candidate", exit, words, start + SignedDuration::from_secs(took));
        (pod.phase, pod.reason) = (PodPhase::Failed, "DeadlineExceeded".into());
        let timeout = SignedDuration::from_secs(timeout);
        let end = start + verdict::test_deadline(timeout);
        let said = match verdict::of_test(&pod, timeout, end) {
            Tested::Green => "green",
            Tested::Red(_) => "red",
            Tested::Lost(_) => "lost",
            Tested::Hindered(h) => h.reason.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(said, wanted, "{timeout:#}, {took} s, exit {exit}, tests {tests:?}");
    }
}

#[test]
fn the_tests_have_all_of_their_timeout() {
    for (timeout, deadline) in [(1, 16), (90, 120), (1800, 2400)] {
        let mut town = Town::new();
        town.edit_rig(|rig| rig.spec.test_timeout_seconds = Some(timeout));
        town.good(&["a"]);
        let ordered = (0..9).find_map(|_| {
            let found = town.plan().actions.into_iter().find_map(|action| match action {
                Action::Create { blueprint, .. } => match *blueprint {
                    Blueprint::TestPod(pod) => pod.common.deadline,
                    _ => None,
                },
                _ => None,
            });
            town.act();
            found
        });
        assert_eq!(ordered, Some(deadline), "of {timeout} s");
    }
}

#[test]
fn a_disruption_is_nobodys_doing() {
    for reason in ["Evicted", "NodeLost", "Preempting", "NodeShutdown", "Terminated"] {
        let mut pod = pod(&report(), Some((137, "Error", "")));
        pod.reason = reason.into();
        assert!(matches!(read(&pod), Tested::Lost(_)), "{reason}");
    }
    let mut drained = pod(&report(), Some((143, "Error", "")));
    drained.disrupted = Some("EvictionByEvictionAPI".into());
    assert!(matches!(read(&drained), Tested::Lost(_)));
    let mut deleted = pod(&report(), Some((143, "Error", "")));
    deleted.meta.deleting = Some(deleted.meta.created);
    assert!(matches!(read(&deleted), Tested::Lost(_)));
    assert!(matches!(
        read(&pod(&report(), Some((137, "ContainerStatusUnknown", "")))),
        Tested::Lost(_)
    ));
}

#[test]
fn a_test_image_without_a_shell_is_a_setting() {
    let said = read(&pod(
        &report(),
        Some((128, "StartError", "exec: \"/bin/sh\": no such file")),
    ));
    assert!(matches!(said, Tested::Hindered(h) if h.reason.code == "TestCannotStart"));
}

#[test]
fn a_report_that_does_not_fit_its_orders_is_never_believed() {
    let with = |change: fn(&mut CandidateReport)| {
        let mut report = report();
        change(&mut report);
        read(&pod(&report, Some((0, "Completed", ""))))
    };
    let forged: [fn(&mut CandidateReport); 5] = [
        |r| r.included[0].i = 9,
        |r| r.included.clear(),
        |r| r.base = "main".into(),
        |r| {
            r.outcome = CandidateOutcome::Built {
                commit: "--force".into(),
                tree: id("t"),
            }
        },
        |r| r.included.push(Included { i: 0, c: id("d") }),
    ];
    for change in forged {
        assert!(matches!(with(change), Tested::Hindered(h) if h.reason.code == "BadReport"));
    }
    let mut newer = report();
    newer.version = VERSION + 1;
    assert!(matches!(read(&pod(&newer, None)), Tested::Hindered(h) if h.reason.code == "HarnessVersion"));
    let mut other = pod(&report(), Some((0, "Completed", "")));
    other.test.as_mut().unwrap().base = Some(id("another base"));
    assert!(
        matches!(read(&other), Tested::Hindered(_)),
        "built on what was not ordered"
    );
}

#[test]
fn evidence_is_the_last_output_short_and_clean() {
    let noise = "x".repeat(10_000);
    let said = read(&pod(
        &report(),
        Some((
            1,
            "Error",
            &format!("{noise}\u{1b}[31mnot ok 3\u{1b}[0m\u{202e}\u{7}\r\n"),
        )),
    ));
    let Tested::Red(text) = said else { panic!("red") };
    assert!(text.len() <= EVIDENCE_LIMIT, "{} bytes", text.len());
    assert!(
        text.starts_with("exit code 1\n") && text.ends_with("not ok 3"),
        "{text}"
    );
    assert_eq!(clean("a\u{1b}[1;31mb\u{0}c\td\ne\u{1b}"), "abc\td\ne");
    assert!(clean(&"ü".repeat(3000)).len() <= EVIDENCE_LIMIT);
    let Tested::Red(silent) = read(&pod(&report(), Some((3, "Error", "")))) else {
        panic!("red")
    };
    assert_eq!(silent, "exit code 3, and no output");
}
