//! What a pod reports of a repository's issues.

use super::Ranked;
use crate::{
    QUEUE_REPORT_LIMIT,
    report::{Report, halve},
};
use serde::{Deserialize, Serialize};

/// How `beads` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum BeadsOutcome {
    /// The export was read.
    Read(BeadsRead),
    /// The branch has no export.
    NoBeads,
    /// The branch is where it was known to be.
    Unmoved,
    /// The repository, branch or credential is wrong.
    Config {
        /// CamelCase.
        reason: String,
    },
    /// The remote did not answer.
    Transient,
}

/// What an export holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BeadsRead {
    /// Issues with the prefix.
    pub issues: u32,
    /// Of these, not closed.
    pub open: u32,
    /// Issues with another prefix.
    #[serde(skip_serializing_if = "is_zero")]
    pub others: u32,
    /// Lines that are no JSON objects, or too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub broken: u32,
    /// Issues beyond those that are counted.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// Files that are too large or too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Report of `beads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BeadsReport {
    /// [`VERSION`].
    pub version: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: BeadsOutcome,
    /// The commit the branch is at; empty where that is not known.
    #[serde(default)]
    pub commit: String,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
    /// Which open issues go first and which last. The last of them are left out where they do not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranked: Ranked,
}

impl Report for BeadsReport {
    const LIMIT: usize = QUEUE_REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        if halve(&mut self.detail) {
            return true;
        }
        let Some((_, last)) = self.ranked.last_mut() else {
            return false;
        };
        if last.pop().is_none() {
            self.ranked.pop();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_too_long_leaves_out_the_least_urgent() {
        let ids = |from: usize| (from..from + 400).map(|n| format!("project-{n}")).collect::<Vec<_>>();
        let report = BeadsReport {
            version: 1,
            outcome: BeadsOutcome::Unmoved,
            commit: "c".repeat(40),
            detail: "x".repeat(4000),
            ranked: vec![(2, ids(0)), (-2, ids(1000))],
        };
        let text = report.encode();
        assert!(text.len() <= QUEUE_REPORT_LIMIT, "{}", text.len());
        let back = BeadsReport::decode(&text).unwrap();
        assert_eq!(back.ranked.len(), 1);
        assert!(back.ranked[0].1.len() > 200 && back.ranked[0].1[0] == "project-0");
    }
}
