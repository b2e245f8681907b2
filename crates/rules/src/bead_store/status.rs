//! What a bead store's status says.

use super::source::Source;
use crate::names::is_object_id;
use crate::plan::Notice;
use crate::reason::Reason;
use crate::row::BeadStoreRow;
use gastown_api::conditions::{self, FIELDS_HONOURED, READY};
use gastown_api::{BeadStorePhase, BeadStoreStatus};
use gastown_wire::beads::{FOLDER, MOST_RANKED};
use gastown_wire::{BeadsOutcome, BeadsRead, BeadsReport};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// Condition: what the status tells is what the branch holds, as of `lastSyncTime`.
const SYNCED: &str = "Synced";
/// Shown of a commit.
const SHORT: usize = 12;

/// A status, why, and what is told with it.
pub(super) struct Word {
    pub(super) status: BeadStoreStatus,
    pub(super) because: Reason,
    pub(super) notices: Vec<Notice>,
}

/// All stays.
pub(super) fn unchanged(row: &BeadStoreRow) -> Word {
    Word {
        status: row.status.clone(),
        because: Reason::new("Synced", row.status.message.clone().unwrap_or_default()),
        notices: Vec::new(),
    }
}

/// The reader is let go without being heard.
pub(super) fn abandoned(row: &BeadStoreRow) -> Word {
    let mut word = unchanged(row);
    word.status.reader = None;
    word
}

/// Nothing can be read: somebody is needed.
pub(super) fn closed(row: &BeadStoreRow, why: &Reason, now: Timestamp) -> Word {
    let mut word = abandoned(row);
    word.status.failures = None;
    settle(row, &mut word, BeadStorePhase::Error, [false, false], why, now);
    word
}

/// A reader is sent.
pub(super) fn begun(row: &BeadStoreRow, source: &Source<'_>, name: String, now: Timestamp) -> Word {
    let because = Reason::new("Reading", format!("pod {name} reads the issues"));
    let mut word = unchanged(row);
    let status = &mut word.status;
    if status.basis.as_ref() != Some(&source.basis) {
        // What was read is of something else.
        status.commit = None;
        status.issue_count = None;
        status.priorities.clear();
        status.last_sync_time = None;
        status.failures = None;
        status.phase = BeadStorePhase::Pending;
        status.message = Some(because.message.clone());
        for kind in [READY, SYNCED] {
            set(status, row, kind, false, &because, now);
        }
    }
    let status = &mut word.status;
    status.reader = Some(name);
    status.last_attempt_time = Some(Time(now));
    word.because = because;
    word
}

/// The reader is not done. Why it does not start is said at once.
pub(super) fn waiting(row: &BeadStoreRow, trouble: Option<&Reason>, now: Timestamp) -> Word {
    let mut word = unchanged(row);
    if let Some(why) = trouble {
        settle(row, &mut word, BeadStorePhase::Error, [false, false], why, now);
    }
    word
}

/// The reader could not read, or is lost. What was read before stays, and is said to be old.
pub(super) fn failed(row: &BeadStoreRow, why: &Reason, now: Timestamp) -> Word {
    let mut word = abandoned(row);
    let failures = row.status.failures.unwrap_or_default().saturating_add(1);
    word.status.failures = Some(failures);
    // From now on: what takes long to fail is not tried again at once.
    word.status.last_attempt_time = Some(Time(now));
    let why = Reason::new(why.code, format!("{}; it is tried again", why.message));
    settle(row, &mut word, BeadStorePhase::Error, [false, false], &why, now);
    word
}

/// The reader says what there is.
pub(super) fn told(row: &BeadStoreRow, source: &Source<'_>, report: &BeadsReport, now: Timestamp) -> Word {
    if !is_object_id(&report.commit) {
        return failed(
            row,
            &Reason::new("BadReport", "the reader's report names no commit"),
            now,
        );
    }
    let at: String = report.commit.chars().take(SHORT).collect();
    let branch = &source.target.branch;
    let (count, ready, because) = match &report.outcome {
        BeadsOutcome::Unmoved => return unmoved(row, report, now),
        BeadsOutcome::Read(read) => counted(row, read, &format!("{branch} at {at}")),
        // Failures are none of this.
        BeadsOutcome::NoBeads | BeadsOutcome::Config { .. } | BeadsOutcome::Transient => {
            let message = format!(
                "{branch} at {at} has no {FOLDER}/*.jsonl: bd export -o {FOLDER}/issues.jsonl, commit and push it; it is \
                 read when it is there"
            );
            (0, false, Reason::new("NoBeads", message))
        }
    };
    let mut word = abandoned(row);
    let status = &mut word.status;
    status.failures = None;
    status.commit = Some(report.commit.clone());
    status.issue_count = Some(count);
    status.priorities = priorities(row, report);
    status.last_sync_time = Some(Time(now));
    settle(row, &mut word, BeadStorePhase::Synced, [ready, true], &because, now);
    word
}

/// What a report says of priorities, as far as it may: anybody who can push has written it.
fn priorities(row: &BeadStoreRow, report: &BeadsReport) -> BTreeMap<String, i32> {
    let ranked = report.ranked.iter();
    let all = ranked.flat_map(|(urgency, ids)| ids.iter().map(|id| (id, (*urgency).clamp(-2, 2))));
    all.filter(|(id, urgency)| id.starts_with(&row.spec.prefix) && *urgency != 0)
        .take(MOST_RANKED)
        .map(|(id, urgency)| (id.clone(), urgency))
        .collect()
}

/// What was read is still what there is.
fn unmoved(row: &BeadStoreRow, report: &BeadsReport, now: Timestamp) -> Word {
    if super::reader::known(row).as_ref() != Some(&report.commit) {
        let message = "the reader's report says of an unknown commit that it has not moved";
        return failed(row, &Reason::new("BadReport", message), now);
    }
    let mut word = abandoned(row);
    word.status.last_sync_time = Some(Time(now));
    if !conditions::is_true(&row.status.conditions, SYNCED) {
        // The words for what was read gave way to a trouble that is over: all is read again, now.
        word.status.commit = None;
        word.status.last_attempt_time = None;
    }
    word
}

/// The count, whether that is well, and the words for it.
fn counted(row: &BeadStoreRow, read: &BeadsRead, at: &str) -> (i32, bool, Reason) {
    let count = i32::try_from(read.issues).unwrap_or(i32::MAX);
    let prefix = &row.spec.prefix;
    let mut message = format!("{} issues, {} open, on {at}", read.issues, read.open);
    let none_of_ours = read.issues == 0 && read.others > 0;
    if none_of_ours {
        message = format!(
            "{} issues on {at}, and the ID of none begins with {prefix}: correct spec.prefix",
            read.others
        );
    } else if read.others > 0 {
        message.push_str(&format!("; {} with another prefix are not counted", read.others));
    }
    for (n, what) in [
        (
            read.broken,
            "lines are no JSON objects (a merge conflict?) and were passed over",
        ),
        (read.unread, "files are too large or too many and were not read"),
        (read.left_out, "more issues are too many and were not counted"),
    ] {
        if n > 0 {
            message.push_str(&format!("; {n} {what}"));
        }
    }
    let code = match (none_of_ours, read.unread + read.left_out) {
        (true, _) => "NoneWithPrefix",
        (false, 0) => "SyncSucceeded",
        (false, _) => "ReadInPart",
    };
    (count, code == "SyncSucceeded", Reason::new(code, message))
}

/// Phase, message and both conditions; an event where the reason is another than before.
fn settle(
    row: &BeadStoreRow,
    word: &mut Word,
    phase: BeadStorePhase,
    [ready, synced]: [bool; 2],
    because: &Reason,
    now: Timestamp,
) {
    let news = conditions::get(&row.status.conditions, READY).is_none_or(|c| c.reason != because.code);
    word.status.phase = phase;
    word.status.message = Some(because.message.clone());
    set(&mut word.status, row, READY, ready, because, now);
    set(&mut word.status, row, SYNCED, synced, because, now);
    if news {
        word.notices.push(Notice {
            warning: !ready,
            because: because.clone(),
        });
    }
    word.because = because.clone();
}

fn set(status: &mut BeadStoreStatus, row: &BeadStoreRow, kind: &str, on: bool, because: &Reason, now: Timestamp) {
    let (code, message) = (because.code, &because.message);
    conditions::set(
        &mut status.conditions,
        kind,
        on,
        code,
        message,
        row.meta.generation,
        now,
    );
}

/// What is said whatever happened: what it was decided on, and what of the spec is not as asked.
pub(super) fn finish(
    row: &BeadStoreRow,
    mut word: Word,
    basis: Option<String>,
    remark: Option<&str>,
    now: Timestamp,
) -> Word {
    let status = &mut word.status;
    status.observed_generation = Some(row.meta.generation);
    // It is read anew when it can be read again.
    if basis.is_none() || status.reader.is_some() {
        status.basis = basis;
    }
    match remark {
        None => status.conditions.retain(|c| c.type_ != FIELDS_HONOURED),
        Some(said) => {
            let because = Reason::new("InvalidValue", said);
            set(status, row, FIELDS_HONOURED, false, &because, now);
        }
    }
    word
}
