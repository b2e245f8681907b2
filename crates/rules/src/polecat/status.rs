//! Statuses of a polecat. Each is built from the published one, so that what did not change is not written.

use super::Case;
use super::outcome::{self, Content, line_of};
use crate::reason::Reason;
use crate::settings::budget::Spent;
use crate::settings::{self, Settings};
use gastown_api::conditions::{self, AVAILABLE, CONTENT_KEPT, DEGRADED, FIELDS_HONOURED, PROGRESSING, READY, WORKING};
use gastown_api::{self as api, PolecatPhase, PolecatStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Rounds kept in a status.
const ROUNDS_KEPT: usize = 20;
/// Longest message, in characters: what happened, and all that is to be typed.
const MESSAGE_LIMIT: usize = 400;

/// Finished work, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Empty: the branch in status.
    pub(crate) branch: String,
    pub(crate) commit: String,
    pub(crate) base: String,
    pub(crate) commits: u32,
}

/// An attempt takes its place; its pod does not exist yet.
pub(crate) fn reserved(
    case: &Case<'_, '_>,
    settings: &Settings,
    attempt: u32,
    pod: String,
    because: &Reason,
) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Working;
    to.attempt = Some(attempt.into());
    to.pod_name = Some(pod);
    to.pod_active = Some(false);
    to.agent = Some(settings.agent.kind.clone());
    to.agent_image = Some(settings.image.clone());
    to.agent_model.clone_from(&settings.model);
    to.branch = Some(settings.work_branch.clone());
    to.commit = None;
    to.base = None;
    to.finished_at = None;
    to.retry_after = None;
    start_over(&mut to, case);
    judge(
        &mut to,
        case,
        because,
        Marks {
            progressing: true,
            working: true,
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, because)
}

/// The agent runs.
pub(crate) fn running(case: &Case<'_, '_>, because: &Reason) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.pod_active = Some(true);
    judge(
        &mut to,
        case,
        because,
        Marks {
            progressing: true,
            working: true,
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, because)
}

/// Something stands in the way of the start. The reservation's time stays: the deadline counts from it.
pub(crate) fn troubled(case: &Case<'_, '_>, because: &Reason) -> PolecatStatus {
    let mut to = case.row.status.clone();
    let since = to.last_activity.clone();
    judge(
        &mut to,
        case,
        because,
        Marks {
            working: true,
            ready: true,
            ..Marks::default()
        },
    );
    to = stamp(to, case, because);
    to.last_activity = since;
    to
}

/// No room now.
pub(crate) fn queued(case: &Case<'_, '_>, because: &Reason) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Idle;
    to.pod_active = Some(false);
    to.retry_after = None;
    start_over(&mut to, case);
    judge(
        &mut to,
        case,
        because,
        Marks {
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, because)
}

/// An attempt is over without success; the next follows.
pub(crate) fn waiting(case: &Case<'_, '_>, because: &Reason, tally: Tally, until: Timestamp) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Idle;
    to.pod_active = Some(false);
    tally.put(&mut to);
    to.retry_after = Some(Time(until));
    judge(
        &mut to,
        case,
        because,
        Marks {
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, because)
}

/// The round that ended is recorded with what the next one is told.
pub(crate) fn next_round(to: &mut PolecatStatus, because: &Reason, word: Option<&str>, now: Timestamp) {
    let round = to.round.unwrap_or(1);
    to.rounds.push(api::RoundRecord {
        round,
        outcome: "Asked".to_owned(),
        reason: because.code.to_owned(),
        message: because.message.clone(),
        commit: to.commit.take(),
        base: to.base.clone(),
        evidence: word.map(|word| api::EvidenceRecord {
            kind: "Asked".to_owned(),
            summary: word.to_owned(),
            ..api::EvidenceRecord::default()
        }),
        finished_at: Some(Time(now)),
    });
    let surplus = to.rounds.len().saturating_sub(ROUNDS_KEPT);
    to.rounds.drain(..surplus);
    to.round = Some(round + 1);
    to.finished_at = None;
}

/// Somebody is needed.
pub(crate) fn stuck(case: &Case<'_, '_>, because: &Reason, tally: Tally) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Stuck;
    to.pod_active = Some(false);
    to.retry_after = None;
    tally.put(&mut to);
    judge(
        &mut to,
        case,
        because,
        Marks {
            degraded: true,
            ..Marks::default()
        },
    );
    let mut to = stamp(to, case, because);
    if to != case.row.status {
        to.finished_at = Some(Time(case.census.now));
    }
    to
}

/// Somebody is needed where we cannot see it done: it is tried again by and by.
pub(crate) fn stuck_until(case: &Case<'_, '_>, because: &Reason, until: Timestamp) -> PolecatStatus {
    let mut to = stuck(case, because, Tally::of(&case.row.status));
    to.retry_after = Some(Time(until));
    to
}

/// The round's work is finished and pushed.
pub(crate) fn done(case: &Case<'_, '_>, work: &Finished, because: &Reason) -> PolecatStatus {
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Done;
    to.pod_active = Some(false);
    if !work.branch.is_empty() {
        to.branch = Some(work.branch.clone());
    }
    to.commit = Some(work.commit.clone());
    to.base = Some(work.base.clone()).filter(|b| !b.is_empty());
    to.finished_at = Some(Time(case.census.now));
    to.retry_after = None;
    judge(
        &mut to,
        case,
        because,
        Marks {
            available: true,
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, because)
}

/// Not wanted; work kept.
pub(crate) fn idle(case: &Case<'_, '_>) -> PolecatStatus {
    let because = Reason::new("Idle", "desiredState is Idle: set it to Working to go on");
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Idle;
    to.pod_active = Some(false);
    to.pod_name = None;
    to.retry_after = None;
    Tally::default().put(&mut to);
    judge(
        &mut to,
        case,
        &because,
        Marks {
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, &because)
}

/// Ended.
pub(crate) fn terminated(case: &Case<'_, '_>) -> PolecatStatus {
    let because = Reason::new("Terminated", "desiredState is Terminated: its branch and record stay");
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Terminated;
    to.pod_active = Some(false);
    to.pod_name = None;
    to.retry_after = None;
    judge(
        &mut to,
        case,
        &because,
        Marks {
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, &because)
}

/// Landed work stays landed, whatever its phase was.
pub(crate) fn landed(case: &Case<'_, '_>) -> PolecatStatus {
    let commit = case.row.status.merged_commit.clone().unwrap_or_default();
    let because = Reason::new("Landed", format!("landed as {commit}"));
    let mut to = case.row.status.clone();
    to.phase = PolecatPhase::Done;
    to.pod_active = Some(false);
    judge(
        &mut to,
        case,
        &because,
        Marks {
            available: true,
            ready: true,
            ..Marks::default()
        },
    );
    stamp(to, case, &because)
}

/// Failures and losses of this round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// They count against `retry.limit`.
    pub(crate) failures: i64,
    /// They do not.
    pub(crate) lost: i64,
}

impl Tally {
    pub(crate) fn of(status: &PolecatStatus) -> Self {
        Self {
            failures: status.failures.unwrap_or(0),
            lost: status.lost.unwrap_or(0),
        }
    }

    fn put(self, to: &mut PolecatStatus) {
        to.failures = Some(self.failures).filter(|n| *n > 0);
        to.lost = Some(self.lost).filter(|n| *n > 0);
    }
}

/// Whoever was stuck or ended and is wanted again has all retries again.
fn start_over(to: &mut PolecatStatus, case: &Case<'_, '_>) {
    if matches!(case.row.status.phase, PolecatPhase::Stuck | PolecatPhase::Terminated) {
        Tally::default().put(to);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    progressing: bool,
    available: bool,
    degraded: bool,
    ready: bool,
    working: bool,
}

fn judge(to: &mut PolecatStatus, case: &Case<'_, '_>, because: &Reason, marks: Marks) {
    let Marks {
        progressing,
        available,
        degraded,
        ready,
        working,
    } = marks;
    let healthy = Reason::new("Healthy", "");
    let degraded_by = if degraded { because } else { &healthy };
    for (kind, on, because) in [
        (PROGRESSING, progressing, because),
        (AVAILABLE, available, because),
        (DEGRADED, degraded, degraded_by),
        (READY, ready, because),
        (WORKING, working, because),
    ] {
        conditions::set(
            &mut to.conditions,
            kind,
            on,
            because.code,
            &because.message,
            case.row.meta.generation,
            case.census.now,
        );
    }
}

/// What every write brings up to date; nothing where nothing else changed.
fn stamp(mut to: PolecatStatus, case: &Case<'_, '_>, because: &Reason) -> PolecatStatus {
    to.message = Some(line_of(&because.message, MESSAGE_LIMIT));
    to.observed_generation = Some(case.row.meta.generation);
    to.round = Some(to.round.unwrap_or(1));
    to.assigned_bead.clone_from(&case.row.spec.bead_id);
    honour(&mut to, case);
    keep(&mut to, case);
    if let Some(spent) = case.spent {
        (to.tokens, to.cost_usd) = Spent::by(&to).plus(spent).shown();
    }
    if to != case.row.status {
        to.last_activity = Some(Time(case.census.now));
    }
    to
}

/// Says where uncommitted files and conversations are not kept; gone with the first attempt that keeps them.
fn keep(to: &mut PolecatStatus, case: &Case<'_, '_>) {
    // Of an attempt that is under way, with a write that says how it goes: never one of its own.
    let pod = case.pod().filter(|_| super::reserved(&case.row.status));
    let content = pod.map_or(Content::Unsaid, |pod| {
        outcome::content(pod, case.round(), case.attempt())
    });
    match content {
        Content::Unsaid => {}
        Content::Kept => to.conditions.retain(|c| c.type_ != CONTENT_KEPT),
        Content::Not(because) => conditions::set(
            &mut to.conditions,
            CONTENT_KEPT,
            false,
            because.code,
            &because.message,
            case.row.meta.generation,
            case.census.now,
        ),
    }
}

/// Says which fields are accepted and have no effect.
fn honour(to: &mut PolecatStatus, case: &Case<'_, '_>) {
    let (reason, message) = if case.row.spec.max_idle_seconds.is_some_and(|s| s < 0) {
        (
            "NotYet",
            "maxIdleSeconds below 0 means nothing: leave it out".to_owned(),
        )
    } else if settings::key_wins(case.row, case.rig) {
        (
            "KeyWins",
            "an API key and a login (claudeCredsSecretRef) are named: the key is used; remove one of them".to_owned(),
        )
    } else {
        to.conditions.retain(|c| c.type_ != FIELDS_HONOURED);
        return;
    };
    conditions::set(
        &mut to.conditions,
        FIELDS_HONOURED,
        false,
        reason,
        &message,
        case.row.meta.generation,
        case.census.now,
    );
}
