//! The record of a polecat: what its ref says, and what a pod may conclude from it.
//!
//! The ref is a chain of commits. Each has a tree of one file, `record.json`, and as parents the record before
//! it and the tips it speaks of, so that no tip ever seen is lost. Every push moves it with a lease on its old
//! value: a pod that comes back from the dead finds another value there and can write nothing (invariant 1).

use serde::{Deserialize, Serialize};

/// Name of the one file in a record's tree.
pub const FILE: &str = "record.json";
/// The word for finished work in [`Record::outcome`].
pub const DONE: &str = "done";
/// The word while an attempt is under way.
pub const WORKING: &str = "working";

/// Content of `record.json`. Unknown fields are tolerated, a higher version is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// The format's version.
    pub version: u32,
    /// The round this was written in.
    pub round: u32,
    /// The attempt that holds the record.
    pub attempt: u32,
    /// UID of the pod that holds it.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// UID of the rig whose polecat it is: only its landings may sweep it. Empty: nobody's, it stays.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// [`WORKING`], [`DONE`], or another outcome in camelCase.
    pub outcome: String,
    /// The work branch.
    pub branch: String,
    /// The target branch's commit the work starts from.
    pub base: String,
    /// Tip of the work branch; empty before the first commit.
    pub commit: String,
    /// Commits from base to tip.
    pub commits: u32,
    /// Work that the remote's branch does not take; kept alive by the record.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unpushed: String,
    /// What was checked out when this was written; kept alive by the record where no branch has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// Commit that holds uncommitted files, when there are some and they are kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub snapshot: String,
    /// Commit that holds the agent's conversation, where it is kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub conversation: String,
    /// In a repository of its own the snapshot moves after this record: what lies there may still be this one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub snapshot_before: String,
    /// The same of the conversation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub conversation_before: String,
}

/// A record that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of our shape.
    #[error("the record on the remote cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer harness.
    #[error("the record is of version {0}, newer than this harness reads: update the harness image")]
    Version(u32),
}

impl Record {
    /// Reads `record.json`.
    ///
    /// # Errors
    /// When it is not JSON of our shape or of a newer version.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_slice(text)?;
        match record.version {
            v if v > gastown_wire::VERSION => Err(RecordError::Version(v)),
            _ => Ok(record),
        }
    }

    /// The file's content: pretty, because people will look at it with plain git.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        // Plain data with string keys always serialises.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Whether this attempt of this pod holds it.
    #[must_use]
    pub fn is_held_by(&self, attempt: u32, pod_uid: &str) -> bool {
        self.attempt == attempt && self.pod_uid == pod_uid
    }

    /// Whether the work of a round is finished.
    #[must_use]
    pub fn is_done(&self, round: u32) -> bool {
        self.round == round && self.outcome == DONE
    }

    /// One line for the record commit.
    #[must_use]
    pub fn title(&self) -> String {
        format!("round {} attempt {}: {}", self.round, self.attempt, self.outcome)
    }
}

/// Who asks for a record.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The round that is ordered.
    pub round: u32,
    /// The attempt that is ordered.
    pub attempt: u32,
    /// The pod that asks.
    pub pod_uid: &'a str,
}

/// What a claim may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody holds it, or a lower attempt does: move it.
    Free,
    /// It is ours already: this container started again.
    Ours,
    /// A newer attempt, or another pod of the same attempt, holds it.
    Fenced,
    /// This round's work is finished.
    Done,
    /// A work branch stands that no record of ours speaks of.
    BranchTaken,
}

/// Weighs a claim. `branch_tip` is the work branch on the remote; `holds` tells whether that tip contains the
/// record's commit (a person may have added to it).
#[must_use]
pub fn weigh(record: Option<&Record>, claim: Claim<'_>, branch_tip: Option<&str>, holds: bool) -> Standing {
    let Some(record) = record else {
        return match branch_tip {
            Some(_) => Standing::BranchTaken,
            None => Standing::Free,
        };
    };
    let held = record.is_held_by(claim.attempt, claim.pod_uid);
    if record.attempt > claim.attempt || (record.attempt == claim.attempt && !held) {
        return Standing::Fenced;
    }
    if record.is_done(claim.round) {
        return Standing::Done;
    }
    if branch_tip.is_some() && !holds {
        return Standing::BranchTaken;
    }
    if held { Standing::Ours } else { Standing::Free }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Claim<'static> = Claim {
        round: 2,
        attempt: 3,
        pod_uid: "me",
    };

    fn record(round: u32, attempt: u32, pod_uid: &str, outcome: &str) -> Record {
        Record {
            version: 1,
            round,
            attempt,
            pod_uid: pod_uid.into(),
            outcome: outcome.into(),
            ..Record::default()
        }
    }

    #[test]
    fn every_standing() {
        let tip = Some("tip");
        for (name, record, tip, holds, expected) in [
            ("first pod", None, None, false, Standing::Free),
            ("a branch of somebody else", None, tip, false, Standing::BranchTaken),
            (
                "a lower attempt",
                Some(record(2, 2, "old", WORKING)),
                tip,
                true,
                Standing::Free,
            ),
            (
                "a lower attempt without commits",
                Some(record(2, 2, "old", WORKING)),
                None,
                false,
                Standing::Free,
            ),
            (
                "started again",
                Some(record(2, 3, "me", WORKING)),
                tip,
                true,
                Standing::Ours,
            ),
            (
                "another pod of this attempt",
                Some(record(2, 3, "twin", WORKING)),
                tip,
                true,
                Standing::Fenced,
            ),
            (
                "a higher attempt",
                Some(record(2, 4, "new", WORKING)),
                tip,
                true,
                Standing::Fenced,
            ),
            (
                "a higher attempt that finished",
                Some(record(2, 4, "new", DONE)),
                tip,
                true,
                Standing::Fenced,
            ),
            (
                "finished by an earlier pod",
                Some(record(2, 2, "old", DONE)),
                tip,
                true,
                Standing::Done,
            ),
            (
                "finished by us",
                Some(record(2, 3, "me", DONE)),
                tip,
                true,
                Standing::Done,
            ),
            (
                "an earlier round",
                Some(record(1, 2, "old", DONE)),
                tip,
                true,
                Standing::Free,
            ),
            (
                "failed before",
                Some(record(2, 2, "old", "agentFailed")),
                tip,
                true,
                Standing::Free,
            ),
            (
                "somebody rewrote the branch",
                Some(record(2, 2, "old", WORKING)),
                tip,
                false,
                Standing::BranchTaken,
            ),
        ] {
            assert_eq!(weigh(record.as_ref(), US, tip, holds), expected, "{name}");
        }
    }

    #[test]
    fn a_record_reads_back_and_newer_ones_are_refused() {
        let mut r = record(1, 1, "me", WORKING);
        assert_eq!(Record::parse(&r.render()).unwrap(), r);
        r.version = 99;
        assert!(matches!(Record::parse(&r.render()), Err(RecordError::Version(99))));
        assert!(matches!(Record::parse(b"{"), Err(RecordError::Malformed(_))));
        assert!(Record::parse(br#"{"version":1,"later":true}"#).is_ok());
    }
}
