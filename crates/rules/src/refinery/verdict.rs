//! What a test or land pod says. The verdict is the kubelet's word on a container, never anything that tests wrote.

use super::evidence::{clean, evidence};
use crate::names::is_object_id;
use crate::pods::{Patience, death, ended, is_begun, patience, why};
use crate::reason::Reason;
use crate::remote;
use crate::row::{Ended, PodRow};
use gastown_wire::{CandidateOutcome, CandidateReport, LandOutcome, LandReport, Report, ReportError, exit};
use jiff::{SignedDuration, Timestamp};

/// Container that builds the candidate.
pub(super) const CANDIDATE: &str = "candidate";
/// Container whose exit code is the verdict.
pub(super) const TEST: &str = "test";
/// Container that pushes.
pub(super) const LAND: &str = "land";
/// Least time that building a candidate has of its own.
const CANDIDATE_TIME: SignedDuration = SignedDuration::from_secs(15);
/// Something that hinders a pod and no change is to blame for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hindrance {
    /// What, and what to do.
    pub(super) reason: Reason,
    /// Since when: backoff counts from here.
    pub(super) since: Timestamp,
}

/// What a test pod came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tested {
    /// Not yet anything.
    Running {
        /// Look again then.
        until: Timestamp,
        /// Why it does not start.
        trouble: Option<Reason>,
    },
    /// The tests passed on the candidate of the report.
    Green,
    /// They failed; their last output, cleaned.
    Red(String),
    /// Nobody will ever know: evicted, node gone, pod gone. Counts towards [`super::plan::MAX_LOST_RUNS`].
    Lost(String),
    /// No change is to blame: configuration, remote, image. Tried again with backoff.
    Hindered(Hindrance),
    /// No member changes anything on the base.
    Nothing,
    /// The branch is not at the base any more.
    Moved,
    /// The commit of the member with this index is not on the remote.
    Missing(usize),
}

/// What a land pod came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Landing {
    /// Not yet anything.
    Running {
        /// Look again then.
        until: Timestamp,
        /// Why it does not start.
        trouble: Option<Reason>,
    },
    /// The branch is, or contains, the candidate.
    Landed {
        /// When.
        at: Timestamp,
    },
    /// The branch moved.
    Stale,
    /// No answer: the next one looks whether it landed.
    Lost(Hindrance),
    /// The remote, its configuration or its protection is in the way.
    Hindered(Hindrance),
    /// Candidate, tree or ancestry is not what was tested.
    Mismatch(Hindrance),
}

/// What building a candidate has of its own: a slow remote takes nothing away from the tests.
fn candidate_time(timeout: SignedDuration) -> SignedDuration {
    CANDIDATE_TIME.max(timeout / 3)
}

/// How long a test pod may run: the tests have all of their timeout, whatever the candidate takes.
pub(super) fn test_deadline(timeout: SignedDuration) -> SignedDuration {
    timeout + candidate_time(timeout)
}

/// The candidate's report, where it left one.
pub(super) fn candidate_report(pod: &PodRow) -> Option<Result<CandidateReport, ReportError>> {
    ended(pod, CANDIDATE).map(|e| CandidateReport::decode(&e.message))
}

/// Reads a test pod.
pub(super) fn of_test(pod: &PodRow, timeout: SignedDuration, now: Timestamp) -> Tested {
    let built = match candidate_report(pod) {
        None => false,
        Some(Ok(report)) => match report.outcome {
            CandidateOutcome::Built { .. } => match flaw(pod, &report) {
                None => true,
                Some(why) => return Tested::Hindered(hindered(pod, "BadReport", why)),
            },
            CandidateOutcome::Nothing => return Tested::Nothing,
            CandidateOutcome::BaseMoved => return Tested::Moved,
            CandidateOutcome::Missing { i } => return Tested::Missing(i),
            CandidateOutcome::Config { reason } => {
                return Tested::Hindered(because(pod, config(&reason, &report.detail)));
            }
            CandidateOutcome::Transient => {
                return Tested::Hindered(hindered(pod, "RemoteUnreachable", unreachable(&report.detail)));
            }
        },
        Some(Err(error)) => match unreadable(pod, CANDIDATE, &error) {
            Some(hindrance) => return Tested::Hindered(hindrance),
            None if pod.reason == "DeadlineExceeded" => return Tested::Hindered(candidate_late(pod, timeout)),
            None => {
                return Tested::Lost(format!("the candidate was not built: {}", death(pod, CANDIDATE)));
            }
        },
    };
    if pod.reason == "DeadlineExceeded" && candidate_took(pod) > candidate_time(timeout) {
        let passed = ended(pod, TEST).is_some_and(|e| e.exit == 0);
        if !passed {
            return Tested::Hindered(candidate_late(pod, timeout));
        }
    }
    if let Some(end) = ended(pod, TEST) {
        return judged(pod, end, built);
    }
    if !pod.live() {
        return match (pod.reason.as_str(), built) {
            ("DeadlineExceeded", true) => Tested::Red(format!("the tests did not end within {timeout:#}")),
            ("DeadlineExceeded", false) => Tested::Hindered(candidate_late(pod, timeout)),
            _ if own_disk_limit(pod) => Tested::Red(clean(&pod.message)),
            _ => Tested::Lost(format!("the test pod ended without a verdict: {}", why(pod))),
        };
    }
    match patience(pod, CANDIDATE, test_deadline(timeout), now) {
        Patience::Running { until, trouble } => Tested::Running { until, trouble },
        Patience::NeverStarted { reason, since } => Tested::Hindered(Hindrance { reason, since }),
        Patience::Over(why) => Tested::Lost(why),
    }
}

/// How long the candidate took, where its end is known.
fn candidate_took(pod: &PodRow) -> SignedDuration {
    let end = ended(pod, CANDIDATE).and_then(|e| e.at);
    let took = end.zip(pod.started).map(|(end, start)| end.duration_since(start));
    took.unwrap_or_default()
}

/// The pod's time was over before the tests had theirs. No change is to blame for that.
fn candidate_late(pod: &PodRow, timeout: SignedDuration) -> Hindrance {
    let why = format!(
        "building the candidate took longer than the {:#} it has, and the tests had no time left; is the git remote \
         slow? Raise spec.testTimeoutSeconds of the Rig: the candidate has a third of it, and 15s at least",
        candidate_time(timeout)
    );
    hindered(pod, "CandidateTimedOut", why)
}

/// The test container has ended: its exit code, unless the end was not its own.
fn judged(pod: &PodRow, end: &Ended, built: bool) -> Tested {
    if !built {
        return Tested::Lost("the tests ran without a candidate's report".to_owned());
    }
    if end.exit == 0 {
        return Tested::Green;
    }
    if pod.reason == "DeadlineExceeded" {
        return Tested::Red(evidence("the tests did not end within their timeout", &end.message));
    }
    if end.reason == "OOMKilled" {
        return Tested::Red(evidence("the tests used more memory than their limit", &end.message));
    }
    if own_disk_limit(pod) {
        return Tested::Red(evidence(&clean(&pod.message), &end.message));
    }
    if matches!(end.reason.as_str(), "StartError" | "ContainerCannotRun") {
        let why = format!(
            "the test container could not start: {}; the test image needs /bin/sh",
            clean(&end.message)
        );
        return Tested::Hindered(hindered(pod, "TestCannotStart", why));
    }
    let not_its_own = pod.disrupted.is_some()
        || pod.meta.deleting.is_some()
        || end.reason == "ContainerStatusUnknown"
        || !matches!(pod.reason.as_str(), "" | "Error" | "Completed");
    if not_its_own {
        return Tested::Lost(format!("the tests were interrupted: {}", why(pod)));
    }
    Tested::Red(evidence(&format!("exit code {}", end.exit), &end.message))
}

/// Reads a land pod.
pub(super) fn of_land(pod: &PodRow, deadline: SignedDuration, now: Timestamp) -> Landing {
    let Some(end) = ended(pod, LAND) else {
        if !pod.live() {
            let why = format!("the land pod ended without an answer: {}", why(pod));
            return Landing::Lost(hindered(pod, "LandPodLost", why));
        }
        return match patience(pod, LAND, deadline, now) {
            Patience::Running { until, trouble } => Landing::Running { until, trouble },
            Patience::NeverStarted { reason, since } => Landing::Hindered(Hindrance { reason, since }),
            Patience::Over(why) => Landing::Lost(hindered(pod, "LandPodLost", why)),
        };
    };
    let report = match LandReport::decode(&end.message) {
        Ok(report) => report,
        Err(error) => {
            return match unreadable(pod, LAND, &error) {
                Some(hindrance) => Landing::Hindered(hindrance),
                None => Landing::Lost(hindered(pod, "LandPodLost", death(pod, LAND))),
            };
        }
    };
    let ordered = pod.land.as_ref().map_or("", |o| o.candidate.as_str());
    match report.outcome {
        LandOutcome::Landed if report.commit.is_empty() || report.commit == ordered => Landing::Landed {
            at: end.at.unwrap_or(now),
        },
        LandOutcome::Landed => Landing::Mismatch(hindered(
            pod,
            "LandingMismatch",
            format!(
                "{} was reported as landed, {ordered} was ordered",
                clean(&report.commit)
            ),
        )),
        LandOutcome::Stale { .. } => Landing::Stale,
        LandOutcome::Refused { why } => Landing::Hindered(hindered(pod, "PushRejected", refused(&why))),
        LandOutcome::Mismatch { why } => Landing::Mismatch(hindered(pod, "LandingMismatch", clean(&why))),
        LandOutcome::Config { reason } => Landing::Hindered(because(pod, config(&reason, &report.detail))),
        LandOutcome::Transient => Landing::Hindered(hindered(pod, "RemoteUnreachable", unreachable(&report.detail))),
    }
}

fn refused(why: &str) -> String {
    format!(
        "the remote refuses the push: {}; let this credential push to the target branch, or name another branch; \
         nobody is sent back, it is tried again",
        clean(why)
    )
}

fn config(reason: &str, detail: &str) -> Reason {
    remote::reason(reason, &clean(detail), || {
        Reason::new(
            "RemoteRefused",
            "the git remote cannot be used as configured: check gitURL, targetBranch and gitSecretRef of the Rig or Refinery",
        )
    })
}

fn unreachable(detail: &str) -> String {
    format!("the git remote does not answer: {}; it is tried again", clean(detail))
}

/// What is wrong with a report of a candidate that was built.
fn flaw(pod: &PodRow, report: &CandidateReport) -> Option<String> {
    let CandidateOutcome::Built { commit, tree } = &report.outcome else {
        return None;
    };
    let orders = pod.test.as_deref()?;
    let ids = [commit, tree, &report.base]
        .into_iter()
        .chain(report.included.iter().map(|i| &i.c));
    if let Some(bad) = ids.into_iter().find(|id| !is_object_id(id)) {
        return Some(format!(
            "the candidate's report names {:?} as a commit or tree",
            clean(bad)
        ));
    }
    if orders.base.as_ref().is_some_and(|base| *base != report.base) {
        return Some(format!(
            "the candidate stands on {}, not on the ordered base",
            report.base
        ));
    }
    let increasing = report.included.windows(2).all(|w| matches!(w, [a, b] if a.i < b.i));
    if report.included.is_empty() || !increasing || report.included.last().is_some_and(|l| l.i >= orders.members.len())
    {
        return Some("the candidate's report names members that were not ordered".to_owned());
    }
    None
}

/// What an unreadable report means, unless the container just died.
fn unreadable(pod: &PodRow, container: &str, error: &ReportError) -> Option<Hindrance> {
    if let ReportError::Version { .. } = error {
        return Some(hindered(pod, "HarnessVersion", error.to_string()));
    }
    match ended(pod, container).map(|e| e.exit) {
        Some(exit::CONFIG) => Some(because(pod, config("BadOrders", &death(pod, container)))),
        Some(exit::TRANSIENT) => Some(hindered(pod, "RemoteUnreachable", unreachable(&death(pod, container)))),
        _ => None,
    }
}

/// Whether anything of a test or land pod runs, or has run.
pub(super) fn has_begun(pod: &PodRow) -> bool {
    pod.containers.iter().any(is_begun)
}

fn hindered(pod: &PodRow, code: &'static str, message: impl Into<String>) -> Hindrance {
    because(pod, Reason::new(code, message))
}

fn because(pod: &PodRow, reason: Reason) -> Hindrance {
    let since = [CANDIDATE, TEST, LAND]
        .into_iter()
        .filter_map(|c| ended(pod, c).and_then(|e| e.at))
        .max()
        .unwrap_or(pod.meta.created);
    Hindrance { reason, since }
}

/// The pod's own disk limit is the change's doing; a full node is not.
fn own_disk_limit(pod: &PodRow) -> bool {
    pod.reason == "Evicted"
        && [
            "exceeded its local ephemeral storage limit",
            "exceeds the total limit",
            "exceeds the limit",
        ]
        .iter()
        .any(|mark| pod.message.contains(mark))
}
