//! What is published of a Refinery. Every text is a function of what is decided, so that an equal decision writes nothing.

use super::batch::Batch;
use super::conditions;
use super::course::End;
use super::lane::Lane;
use super::news::{count, headline, news};
use super::plan::Odds;
use super::queue::{self, list, name};
use crate::plan::Notice;
use crate::reason::Reason;
use crate::row::{PolecatRow, RefineryRow};
use gastown_api::{QueueMember, RefineryPhase, RefineryStatus, conditions as kind};
use gastown_wire::MAX_MEMBERS;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Condition: a batch is under way.
const PROCESSING: &str = "Processing";
/// Names of waiting polecats shown.
const SHOWN: usize = 50;

/// A status and what it says.
pub(super) struct Word {
    pub(super) status: RefineryStatus,
    pub(super) because: Reason,
    pub(super) notices: Vec<Notice>,
}

/// An event that is news.
pub(super) fn told(code: &'static str, message: String) -> Notice {
    Notice {
        warning: false,
        because: Reason::new(code, message),
    }
}

/// An event that somebody should look at.
pub(super) fn warned(code: &'static str, message: String) -> Notice {
    Notice {
        warning: true,
        because: Reason::new(code, message),
    }
}

/// What the runs so far taught.
pub(super) fn odds(status: &RefineryStatus) -> Odds {
    let held = status.odds.clone().unwrap_or_default();
    let count = |n: i64| u64::try_from(n).unwrap_or_default();
    Odds::learned(
        count(held.changes),
        count(held.bad),
        count(held.judged),
        count(held.flakes),
    )
}

/// It does nothing, and why.
pub(super) fn closed(row: &RefineryRow, why: &Reason, waiting: &[&PolecatRow], now: Timestamp) -> Word {
    let mut status = row.status.clone();
    let paused = why.code == "Paused";
    if status.members.is_empty() || !paused {
        status.phase = if paused {
            RefineryPhase::Idle
        } else {
            RefineryPhase::Error
        };
    }
    show_waiting(&mut status, waiting);
    say(&mut status, row, why, |c, g| {
        conditions::set(c, kind::READY, false, why, g, now);
        conditions::set(c, PROCESSING, false, why, g, now);
    });
    let notices = vec![Notice {
        warning: !paused,
        because: why.clone(),
    }];
    let news = row.status.message != status.message;
    Word {
        status,
        because: why.clone(),
        notices: if news { notices } else { Vec::new() },
    }
}

/// Nothing waits.
pub(super) fn idle(row: &RefineryRow, now: Timestamp) -> Word {
    let mut status = row.status.clone();
    // What the last batch came to is still the news; only trouble that passed is not.
    let trouble = !conditions::has_reason(&status.conditions, kind::READY, "Idle");
    let message = match &status.message {
        Some(held) if !trouble => held.clone(),
        _ => "nothing waits to be merged".to_owned(),
    };
    let because = Reason::new("Idle", message);
    rest(&mut status, row, &because, now);
    Word {
        status,
        because,
        notices: Vec::new(),
    }
}

/// A batch is under way; `trouble` hinders it.
pub(super) fn underway(
    row: &RefineryRow,
    lane: &Lane<'_>,
    batch: &Batch<'_>,
    trouble: Option<&Reason>,
    now: Timestamp,
) -> Word {
    let mut status = row.status.clone();
    let names = list(status.members.iter().map(name));
    let testing = testing(&status, lane);
    let mut notices = Vec::new();
    let because = match (trouble, batch.searching()) {
        (Some(trouble), _) => trouble.clone(),
        (None, Some((_, output))) => {
            let message = format!(
                "batch {}: {names} {} red together; searching for the first that is",
                status.batch,
                if status.members.len() == 1 { "is" } else { "are" }
            );
            if row.status.message.as_ref() != Some(&message)
                && !conditions::has_reason(&status.conditions, PROCESSING, "BatchRed")
            {
                notices.push(warned("BatchRed", message.clone()));
            }
            status.last_red = Some(format!("{names}: {}", headline(output)));
            Reason::new("BatchRed", message)
        }
        (None, None) => Reason::new("BatchTesting", testing),
    };
    status.phase = if trouble.is_some() {
        RefineryPhase::Error
    } else {
        RefineryPhase::Processing
    };
    if let Some(trouble) = trouble
        && !conditions::has_reason(&status.conditions, kind::DEGRADED, trouble.code)
    {
        notices.push(warned(trouble.code, trouble.message.clone()));
    }
    say(&mut status, row, &because, |c, g| {
        conditions::set(c, kind::READY, trouble.is_none(), &because, g, now);
        conditions::set(c, PROCESSING, trouble.is_none(), &because, g, now);
        degrade(c, trouble, g, now);
    });
    Word {
        status,
        because,
        notices,
    }
}

/// A batch ended: counts, news, and the next batch where there is one.
pub(super) fn ended(
    row: &RefineryRow,
    lane: &Lane<'_>,
    batch: &Batch<'_>,
    end: &End,
    waiting: &[&PolecatRow],
    now: Timestamp,
) -> Word {
    let mut status = row.status.clone();
    let members = std::mem::take(&mut status.members);
    status.current_merge = None;
    count(&mut status, &members, batch, end);
    let notices = news(&members, &row.status, lane, end);
    let message = match notices.is_empty() {
        true => "the branch, or what it is tested with, changed: the queue is planned anew".to_owned(),
        false => notices
            .iter()
            .map(|n| n.because.message.as_str())
            .collect::<Vec<_>>()
            .join("; "),
    };
    let because = Reason::new("Idle", message);
    rest(&mut status, row, &because, now);
    show_waiting(&mut status, waiting);
    let word = Word {
        status,
        because,
        notices,
    };
    if lane.gate.is_some() {
        word
    } else {
        begin(word, row, lane, waiting, now)
    }
}

/// The first batch after a rest.
pub(super) fn begun(row: &RefineryRow, lane: &Lane<'_>, waiting: &[&PolecatRow], now: Timestamp) -> Word {
    let word = Word {
        status: row.status.clone(),
        because: Reason::new("Idle", ""),
        notices: Vec::new(),
    };
    begin(word, row, lane, waiting, now)
}

/// Pins the next batch, where anybody waits: a suspect alone, else the longest prefix worth testing.
fn begin(mut word: Word, row: &RefineryRow, lane: &Lane<'_>, waiting: &[&PolecatRow], now: Timestamp) -> Word {
    let status = &mut word.status;
    let is_suspect = |p: &&&PolecatRow| {
        let commit = p.status.commit.as_deref();
        status
            .suspects
            .iter()
            .any(|s| s.uid == p.meta.uid.0 && Some(s.commit.as_str()) == commit)
    };
    let chosen: Vec<QueueMember> = match waiting.iter().find(is_suspect) {
        Some(suspect) => vec![queue::pin(suspect)],
        None => {
            let limit = status
                .limit
                .and_then(|l| usize::try_from(l).ok())
                .unwrap_or(MAX_MEMBERS)
                .max(1);
            let size = odds(status).longest().min(limit);
            status.suspects.clear();
            waiting.iter().take(size).map(|p| queue::pin(p)).collect()
        }
    };
    if chosen.is_empty() {
        return word;
    }
    let rest: Vec<&PolecatRow> = waiting
        .iter()
        .filter(|p| !chosen.iter().any(|c| c.uid == p.meta.uid.0))
        .copied()
        .collect();
    status.limit = None;
    status.batch += 1;
    status.members = chosen;
    status.phase = RefineryPhase::Processing;
    let names = list(status.members.iter().map(name));
    status.current_merge = Some(if status.members.len() == 1 {
        names
    } else {
        format!("{names} as one tree")
    });
    show_waiting(status, &rest);
    let because = Reason::new("BatchTesting", testing(status, lane));
    word.notices.push(told("BatchTesting", because.message.clone()));
    say(status, row, &because, |c, g| {
        conditions::set(c, kind::READY, true, &because, g, now);
        conditions::set(c, PROCESSING, true, &because, g, now);
        degrade(c, None, g, now);
    });
    word.because = because;
    word
}

fn testing(status: &RefineryStatus, lane: &Lane<'_>) -> String {
    let names = list(status.members.iter().map(name));
    let again = status.members.len() == 1
        && status
            .members
            .first()
            .is_some_and(|m| status.suspects.iter().any(|s| s.uid == m.uid && s.commit == m.commit));
    let how = match (again, status.members.len()) {
        (true, _) => " once more, alone",
        (false, 1) => "",
        (false, _) => " as one tree",
    };
    format!("batch {}: testing {names}{how} on {}", status.batch, lane.target.branch)
}

/// Nothing under way, nothing wrong.
fn rest(status: &mut RefineryStatus, row: &RefineryRow, because: &Reason, now: Timestamp) {
    status.phase = RefineryPhase::Idle;
    status.current_merge = None;
    show_waiting(status, &[]);
    let idle = Reason::new("Idle", "no batch is under way");
    say(status, row, because, |c, g| {
        conditions::set(c, kind::READY, true, &idle, g, now);
        conditions::set(c, PROCESSING, false, &idle, g, now);
        degrade(c, None, g, now);
    });
}

/// Degraded appears with the first trouble and turns False when it has passed.
fn degrade(conditions: &mut Vec<Condition>, trouble: Option<&Reason>, generation: i64, now: Timestamp) {
    match trouble {
        Some(trouble) => conditions::set(conditions, kind::DEGRADED, true, trouble, generation, now),
        None if conditions::is_true(conditions, kind::DEGRADED) => {
            let well = Reason::new("Recovered", "what hindered the queue has passed");
            conditions::set(conditions, kind::DEGRADED, false, &well, generation, now);
        }
        None => {}
    }
}

fn say(status: &mut RefineryStatus, row: &RefineryRow, because: &Reason, set: impl FnOnce(&mut Vec<Condition>, i64)) {
    let generation = row.meta.generation;
    status.message = Some(because.message.clone());
    status.observed_generation = Some(generation);
    set(&mut status.conditions, generation);
}

fn show_waiting(status: &mut RefineryStatus, waiting: &[&PolecatRow]) {
    let length = i32::try_from(waiting.len()).unwrap_or(i32::MAX);
    status.queue = waiting.iter().take(SHOWN).map(|p| p.meta.key.name.clone()).collect();
    status.queue_length = length;
    if length > 0 || status.merges_summary.is_some() {
        status.merges_summary.get_or_insert_default().pending = length;
    }
}
