//! What an attempt's pod says, read by the table of DESIGN §5. Reports first, then the pod's own state;
//! what agent code wrote decides nothing.

use crate::names::is_object_id;
use crate::reason::Reason;
use crate::remote;
use crate::row::{ContainerRow, ContainerState, Ended, PodPhase, PodRow};
use crate::settings::budget::Spent;
use gastown_api::TokenUse;
use gastown_wire::{CloneOutcome, CloneReport, CourierOutcome, CourierReport, Report as _, exit};
use jiff::{SignedDuration, Timestamp};

/// A container that ends without a report this often is given up.
const RESTART_LIMIT: u32 = 3;
/// A pod that is being deleted is given up this long after its grace is over.
pub(crate) const DELETION_SLACK: SignedDuration = SignedDuration::from_mins(5);
/// Names an agent's container may have.
const AGENT_CONTAINERS: [&str; 4] = ["claude", "opencode", "aider", "agent"];

/// What the pod of the current attempt says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// The agent does not run yet.
    Starting {
        /// What stands in the way, where something does.
        trouble: Option<Reason>,
    },
    /// The agent runs.
    Running,
    /// Courier's proven word.
    Reported(Box<CourierReport>),
    /// The record said done for this round before anything was started.
    AlreadyDone {
        /// The work branch's commit.
        commit: String,
        /// The target branch's commit it started from.
        base: String,
        /// How many commits.
        commits: u32,
    },
    /// Trying again changes nothing until somebody mends it.
    Hopeless(Reason),
    /// This attempt is over without an outcome.
    Lost {
        /// How.
        because: Reason,
        /// Whether it spends a retry.
        counts: bool,
    },
    /// It is being deleted and may still report.
    Leaving {
        /// Not waited for longer.
        until: Timestamp,
    },
}

/// Reads the pod of an attempt.
pub(crate) fn read(pod: &PodRow, round: u32, attempt: u32, now: Timestamp) -> Reading {
    if let Some(report) = courier_report(pod, round, attempt) {
        return reported(pod, report);
    }
    if let Some(reading) = clone_ended(pod, attempt) {
        return reading;
    }
    if !pod.live() {
        return over(pod);
    }
    if let Some(deleting) = pod.meta.deleting {
        let until = deleting + DELETION_SLACK;
        return if now < until {
            Reading::Leaving { until }
        } else {
            disruption("PodGone", "its pod was deleted and its node does not confirm the end")
        };
    }
    if pod.phase == PodPhase::Unknown || pod.reason == "NodeLost" {
        return disruption("NodeLost", "its node does not answer");
    }
    if let Some(container) = given_up(pod) {
        return Reading::Lost {
            because: Reason::new(
                "CrashLoop",
                format!(
                    "container {} ended {} times without a report: see kubectl logs {} -c {} --previous",
                    container.name, container.restarts, pod.meta.key.name, container.name
                ),
            ),
            counts: true,
        };
    }
    match agent(pod).map(|c| &c.state) {
        Some(ContainerState::Running { .. } | ContainerState::Ended(_)) => Reading::Running,
        _ => Reading::Starting { trouble: trouble(pod) },
    }
}

/// Whether a pod may still run something that counts against a limit.
pub(crate) fn occupies(pod: &PodRow, now: Timestamp) -> bool {
    pod.live() && pod.meta.deleting.is_none_or(|deleting| now < deleting + DELETION_SLACK)
}

/// Since when the courier has run without being ready.
pub(crate) fn unready_since(pod: &PodRow) -> Option<Timestamp> {
    match pod.container("courier") {
        Some(ContainerRow {
            state: ContainerState::Running { since },
            ready: false,
            ..
        }) => *since,
        _ => None,
    }
}

fn agent(pod: &PodRow) -> Option<&ContainerRow> {
    pod.containers
        .iter()
        .find(|c| !c.init && AGENT_CONTAINERS.contains(&c.name.as_str()))
}

/// How a container's runs ended, the newest first.
fn endings(container: &ContainerRow) -> impl Iterator<Item = &Ended> {
    let current = match &container.state {
        ContainerState::Ended(ended) => Some(ended),
        _ => None,
    };
    current.into_iter().chain(container.last.as_deref())
}

/// A report is believed when it can be read, is of this round and attempt, and holds together.
fn courier_report(pod: &PodRow, round: u32, attempt: u32) -> Option<CourierReport> {
    endings(pod.container("courier")?).find_map(|ended| {
        let report = CourierReport::decode(&ended.message).ok()?;
        let ours = report.round == round && report.attempt == attempt;
        let whole = report.outcome != CourierOutcome::Done || is_object_id(&report.commit);
        (ours && whole).then_some(report)
    })
}

/// What an attempt has spent, as far as its courier said.
pub(crate) fn spent_by(pod: &PodRow, round: u32, attempt: u32) -> Option<Spent> {
    let report = courier_report(pod, round, attempt)?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let tokens = report.tokens.unwrap_or_default();
    let spent = Spent {
        tokens: TokenUse {
            input: number(tokens.input),
            output: number(tokens.output),
        },
        micros: number(report.cost_micros.unwrap_or(0)),
    };
    (spent != Spent::default()).then_some(spent)
}

/// How the record repository does, as far as an attempt's pod says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Nobody has tried: what was said before stands.
    Unsaid,
    /// Nothing is wrong with it.
    Kept,
    /// It is not used as it should be.
    Not(Reason),
}

/// What `courier` says of it at its end; before that, what `clone` met.
pub(crate) fn content(pod: &PodRow, round: u32, attempt: u32) -> Content {
    let read = clone_report(pod, attempt).and_then(|report| report.content);
    let read = read.map_or(Content::Unsaid, |trouble| Content::Not(remote::of_content(&trouble)));
    let Some(report) = courier_report(pod, round, attempt) else {
        return read;
    };
    match (&report.content, &report.outcome) {
        (Some(trouble), _) => Content::Not(remote::of_content(trouble)),
        // It may have come to its end before it tried.
        (
            None,
            CourierOutcome::Stopped | CourierOutcome::AgentLost | CourierOutcome::PushFailed | CourierOutcome::Fenced,
        ) => read,
        (None, _) => Content::Kept,
    }
}

fn reported(pod: &PodRow, report: CourierReport) -> Reading {
    match &report.outcome {
        CourierOutcome::Stopped => match over(pod) {
            Reading::Lost { because, counts: true } if spent(pod).is_some() => Reading::Lost { because, counts: true },
            _ => disruption("Stopped", "its pod was stopped; its work so far is on the work branch"),
        },
        CourierOutcome::AgentLost => lost_work(
            pod,
            Reason::new("AgentLost", "the agent's container went away and did not come back"),
        ),
        CourierOutcome::PushFailed => lost_work(
            pod,
            Reason::new(
                "PushFailed",
                "the remote took no push until the deadline: is it reachable?",
            ),
        ),
        CourierOutcome::Fenced => disruption("Fenced", "a newer attempt holds the record"),
        CourierOutcome::Done
        | CourierOutcome::NoChange
        | CourierOutcome::DirtyTree { .. }
        | CourierOutcome::WrongBranch { .. }
        | CourierOutcome::AgentFailed { .. }
        | CourierOutcome::AgentMissing { .. }
        | CourierOutcome::Parked { .. }
        | CourierOutcome::CredentialUnusable { .. }
        | CourierOutcome::BudgetSpent
        | CourierOutcome::PushRejected { .. } => Reading::Reported(Box::new(report)),
    }
}

fn lost_work(pod: &PodRow, because: Reason) -> Reading {
    let counts = disrupted(pod).is_none();
    Reading::Lost {
        because: spent(pod).unwrap_or(because),
        counts,
    }
}

/// What `clone` said at its end, where it did not simply succeed.
fn clone_ended(pod: &PodRow, attempt: u32) -> Option<Reading> {
    let clone = pod.container("clone")?;
    let ended = endings(clone).find(|e| e.exit != 0)?;
    // A later run of the same container that succeeded has overtaken it.
    if matches!(&clone.state, ContainerState::Ended(e) if e.exit == 0) {
        return None;
    }
    let report = CloneReport::decode(&ended.message)
        .ok()
        .filter(|r| r.attempt == attempt);
    let detail = report.as_ref().map(|r| r.detail.clone()).unwrap_or_default();
    match report.map(|r| r.outcome) {
        Some(CloneOutcome::AlreadyDone { commit, base, commits }) if is_object_id(&commit) => {
            Some(Reading::AlreadyDone { commit, base, commits })
        }
        Some(CloneOutcome::BranchTaken) => Some(Reading::Hopeless(Reason::new(
            "BranchTaken",
            "the work branch exists already and is not this polecat's: delete it or set spec.kubernetes.workBranch",
        ))),
        Some(CloneOutcome::Fenced) => Some(disruption("Fenced", "a newer attempt holds the record")),
        Some(CloneOutcome::Config { reason }) => Some(Reading::Hopeless(config(&reason, &detail))),
        Some(CloneOutcome::Ready { .. } | CloneOutcome::Transient) => None,
        Some(CloneOutcome::AlreadyDone { .. }) | None => match ended.exit {
            exit::CONFIG => Some(Reading::Hopeless(config("CloneFailed", ""))),
            exit::FENCED => Some(disruption("Fenced", "a newer attempt holds the record")),
            exit::ALREADY_DONE => Some(Reading::Lost {
                because: Reason::new("BadReport", "clone found the work done and could not say which commit"),
                counts: true,
            }),
            _ => None,
        },
    }
}

/// What `clone` said at its last end.
fn clone_report(pod: &PodRow, attempt: u32) -> Option<CloneReport> {
    let ContainerState::Ended(ended) = &pod.container("clone")?.state else {
        return None;
    };
    CloneReport::decode(&ended.message)
        .ok()
        .filter(|r| r.attempt == attempt)
}

/// What `clone` found of earlier attempts and put back, in words; none for a fresh start.
pub(crate) fn resumed(pod: &PodRow, attempt: u32) -> Option<String> {
    let CloneOutcome::Ready { commits, dirty } = clone_report(pod, attempt)?.outcome else {
        return None;
    };
    if attempt < 2 || (commits == 0 && dirty == 0) {
        return None;
    }
    let counted = |n: u32, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    Some(format!(
        "{} and {}",
        counted(commits, "commit"),
        counted(dirty, "uncommitted file")
    ))
}

/// Clone's reasons, each with its fix.
fn config(reason: &str, detail: &str) -> Reason {
    remote::reason(reason, detail, || {
        Reason::new(
            "CloneFailed",
            "the workspace cannot be made: see the log of container clone",
        )
    })
}

/// A pod that is over and left no outcome.
fn over(pod: &PodRow) -> Reading {
    if let Some(because) = spent(pod) {
        return Reading::Lost { because, counts: true };
    }
    if let Some(because) = disrupted(pod) {
        return Reading::Lost { because, counts: false };
    }
    Reading::Lost {
        because: Reason::new("PodFailed", format!("its pod ended without a report: {}", words(pod))),
        counts: true,
    }
}

/// What the attempt brought on itself: its deadline, its memory, its disk.
fn spent(pod: &PodRow) -> Option<Reason> {
    if pod.reason == "DeadlineExceeded" {
        return Some(Reason::new(
            "DeadlineExceeded",
            "it took longer than activeDeadlineSeconds: raise it or make the task smaller",
        ));
    }
    if pod.reason == "Evicted" && over_own_limit(&pod.message) {
        return Some(Reason::new(
            "DiskLimit",
            format!("it used more disk than its limit: {}", one_line(&pod.message)),
        ));
    }
    let killed = |c: &&ContainerRow| endings(c).next().is_some_and(|e| e.reason == "OOMKilled");
    let container = (!pod.live()).then(|| pod.containers.iter().find(killed)).flatten()?;
    Some(Reason::new(
        "OOMKilled",
        format!(
            "container {} used more memory than its limit: raise spec.kubernetes.resources",
            container.name
        ),
    ))
}

/// The kubelet's words for a pod's own limit, as against pressure on its node.
fn over_own_limit(message: &str) -> bool {
    message.contains("exceeds the") || message.contains("exceeded its")
}

/// What befell the pod from outside.
fn disrupted(pod: &PodRow) -> Option<Reason> {
    if let Some(reason) = &pod.disrupted {
        return Some(Reason::new(
            "Disrupted",
            format!("its pod was disrupted: {}", one_line(reason)),
        ));
    }
    let known = [
        "Evicted",
        "NodeLost",
        "Preempting",
        "Preempted",
        "Shutdown",
        "NodeShutdown",
        "Terminated",
        "NodeAffinity",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "UnexpectedAdmissionError",
    ];
    if known.contains(&pod.reason.as_str()) || pod.meta.deleting.is_some() {
        return Some(Reason::new(
            "Disrupted",
            format!("its pod was disrupted: {}", words(pod)),
        ));
    }
    None
}

fn disruption(code: &'static str, message: &str) -> Reading {
    Reading::Lost {
        because: Reason::new(code, message),
        counts: false,
    }
}

/// A container that keeps ending without a word.
fn given_up(pod: &PodRow) -> Option<&ContainerRow> {
    pod.containers
        .iter()
        .filter(|c| !c.init && (c.name == "courier" || AGENT_CONTAINERS.contains(&c.name.as_str())))
        .find(|c| c.restarts >= RESTART_LIMIT)
}

/// What keeps a pod from starting. Codes are steady: the kubelet's own alternate while it backs off.
fn trouble(pod: &PodRow) -> Option<Reason> {
    if let Some(why) = &pod.unschedulable {
        return Some(Reason::new(
            "Unschedulable",
            format!("no node fits its pod: {}", one_line(why)),
        ));
    }
    pod.containers.iter().find_map(|c| {
        let ContainerState::Waiting { reason, message } = &c.state else {
            return None;
        };
        let (code, fix) = match reason.as_str() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed" => (
                "ImagePullFailed",
                "cannot get its image: check the image's name and the pull Secret",
            ),
            "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "StartError"
            | "PreCreateHookError"
            | "PreStartHookError"
            | "PostStartHookError" => ("ContainerConfigError", "cannot be started as configured"),
            "CrashLoopBackOff" if c.init => (
                "RemoteUnreachable",
                "could not reach the git remote yet and tries again",
            ),
            _ => return None,
        };
        // What clone said itself is worth more than how long the kubelet waits.
        let words = c
            .last
            .as_ref()
            .and_then(|e| CloneReport::decode(&e.message).ok())
            .map(|r| r.detail);
        let said = match (&words, message.as_str()) {
            (Some(words), _) if c.init && !words.is_empty() => words,
            (_, "") => reason,
            _ => message,
        };
        Some(Reason::new(
            code,
            format!("container {} {fix} ({})", c.name, one_line(said)),
        ))
    })
}

/// The pod's own words for its end.
fn words(pod: &PodRow) -> String {
    match (pod.reason.as_str(), pod.message.as_str()) {
        ("", "") => format!("{:?}", pod.phase),
        (reason, "") => reason.to_owned(),
        ("", message) => one_line(message),
        (reason, message) => format!("{reason}, {}", one_line(message)),
    }
}

/// Untrusted or foreign words as one bounded line.
pub(crate) fn one_line(text: &str) -> String {
    line_of(text, 200)
}

/// The same with another bound. Characters.
pub(crate) fn line_of(text: &str, limit: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if line.chars().count() > limit {
        line = line.chars().take(limit).chain("…".chars()).collect();
    }
    line
}
