//! Reports: what a container says at its end, through its termination message.

use crate::{QUEUE_REPORT_LIMIT, REPORT_LIMIT, VERSION};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Exit codes that mean something to the operator, read from `state` or `lastState`.
pub mod exit {
    /// The orders or the repository are wrong; trying again changes nothing.
    pub const CONFIG: i32 = 78;
    /// A newer attempt holds the record; this pod may write nothing.
    pub const FENCED: i32 = 76;
    /// The record says done for this round; the report carries it.
    pub const ALREADY_DONE: i32 = 77;
    /// The remote did not answer; trying again may help.
    pub const TRANSIENT: i32 = 75;
}

/// A report that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReportError {
    /// No message was left.
    #[error("the container left no report")]
    Empty,
    /// Not a report: cut off, or written by something else.
    #[error("the container's last message is not a report: {0}")]
    Malformed(String),
    /// Written by a newer harness.
    #[error("the report is of version {found}, this operator reads up to {VERSION}; update the operator")]
    Version {
        /// What it says.
        found: u32,
    },
    /// Larger than any report may be.
    #[error("the report has {0} bytes, more than a termination message may hold")]
    TooLarge(usize),
}

/// A report with its size bound. Encoding always yields valid JSON within it.
pub trait Report: Serialize + DeserializeOwned + Clone {
    /// Largest encoding. Bytes.
    const LIMIT: usize;
    /// The version written in it.
    fn version(&self) -> u32;
    /// Drops some free text or detail; false when there is nothing left to drop.
    fn shorten(&mut self) -> bool;

    /// JSON within [`Report::LIMIT`].
    fn encode(&self) -> String {
        let mut report = self.clone();
        loop {
            // Serialising plain data with string keys cannot fail.
            let text = serde_json::to_string(&report).unwrap_or_default();
            if text.len() <= Self::LIMIT || !report.shorten() {
                return text;
            }
        }
    }

    /// Reads what a container left.
    ///
    /// # Errors
    /// When there is none, it is not a report, or it is of a newer version.
    fn decode(text: &str) -> Result<Self, ReportError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ReportError::Empty);
        }
        if text.len() > QUEUE_REPORT_LIMIT + 96 {
            return Err(ReportError::TooLarge(text.len()));
        }
        let report: Self = serde_json::from_str(text).map_err(|e| ReportError::Malformed(e.to_string()))?;
        match report.version() {
            v if v > VERSION => Err(ReportError::Version { found: v }),
            _ => Ok(report),
        }
    }
}

/// Halves a text on a character boundary; false when it was empty.
pub(crate) fn halve(text: &mut String) -> bool {
    if text.is_empty() {
        return false;
    }
    let mut cut = text.len() / 2;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    text.truncate(cut);
    true
}

/// Model tokens used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Read by the model, caches included.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
}

impl Tokens {
    /// Read and written together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// What is wrong with a model credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialProblem {
    /// The Secret or its key is not there.
    Missing,
    /// The key is there and holds nothing, or nothing that can be read.
    Empty,
    /// It was good until a time that is over.
    Expired,
    /// The provider does not accept it.
    Refused,
}

/// Why what is not committed is not kept now, beside the code or in the record repository, or not read from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContentTrouble {
    /// The name of a [`RemoteTrouble`](crate::RemoteTrouble); another where it does not answer.
    pub reason: String,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
}

impl std::fmt::Display for ContentTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// Halves the longer of two free texts.
fn halve_a_detail(own: &mut String, content: Option<&mut ContentTrouble>) -> bool {
    match content {
        Some(content) if content.detail.len() > own.len() => halve(&mut content.detail),
        _ => halve(own),
    }
}

/// How `clone` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum CloneOutcome {
    /// The workspace stands and the attempt is taken.
    Ready {
        /// Commits of earlier attempts found on the work branch.
        #[serde(default)]
        commits: u32,
        /// Uncommitted files put back.
        #[serde(default)]
        dirty: u32,
    },
    /// The record says this round is done: the work stands as said here.
    AlreadyDone {
        /// The work branch's commit.
        commit: String,
        /// The target branch's commit it started from.
        base: String,
        /// How many commits.
        #[serde(default)]
        commits: u32,
    },
    /// A newer attempt holds the record.
    Fenced,
    /// The work branch exists and is not ours.
    BranchTaken,
    /// The repository, branch or credential is wrong. `reason` is CamelCase.
    Config {
        /// The name of a [`RemoteTrouble`](crate::RemoteTrouble).
        reason: String,
    },
    /// The remote did not answer.
    Transient,
}

/// Report of `clone`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloneReport {
    /// [`VERSION`].
    pub version: u32,
    /// The attempt it was ordered as.
    pub attempt: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CloneOutcome,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
    /// Why the record repository is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentTrouble>,
}

impl Report for CloneReport {
    const LIMIT: usize = REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        halve_a_detail(&mut self.detail, self.content.as_mut())
    }
}

/// How the agent's work ended, as proven by courier from the pushed branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum CourierOutcome {
    /// The agent said success and its commits are on the pushed branch.
    Done,
    /// The agent said success and changed nothing.
    NoChange,
    /// The agent said success and left uncommitted files.
    DirtyTree {
        /// How many.
        files: u32,
    },
    /// The agent's commits are on another branch.
    WrongBranch {
        /// Which. Not `branch` in JSON: that is the report's own field, which this one is flattened into.
        #[serde(rename = "onBranch")]
        branch: String,
    },
    /// The agent failed.
    AgentFailed {
        /// Its exit code; 128 + n for signal n.
        exit: i32,
    },
    /// The agent could not be started at all.
    AgentMissing {
        /// The program that was not found or not executable.
        program: String,
    },
    /// The model provider takes no more until then: no failure.
    Parked {
        /// Seconds since 1970.
        until: i64,
    },
    /// The agent cannot prove who pays.
    CredentialUnusable {
        /// What is wrong.
        problem: CredentialProblem,
    },
    /// What it was allowed to spend is spent; its work is kept.
    BudgetSpent,
    /// Told to stop (the pod is being deleted); work so far is pushed.
    Stopped,
    /// `run` never connected, or went away and did not come back.
    AgentLost,
    /// A newer attempt holds the record; nothing of this one was pushed after that.
    Fenced,
    /// The remote refused the push for good (protected branch, no right to write).
    PushRejected {
        /// The remote's words; untrusted.
        why: String,
    },
    /// The remote did not accept a push until the deadline.
    PushFailed,
}

/// Report of `courier`: all the pod has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CourierReport {
    /// [`VERSION`].
    pub version: u32,
    /// The round.
    pub round: u32,
    /// The attempt.
    pub attempt: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CourierOutcome,
    /// The work branch.
    #[serde(default)]
    pub branch: String,
    /// The target branch's commit it started from.
    #[serde(default)]
    pub base: String,
    /// The pushed commit; empty where nothing was pushed.
    #[serde(default)]
    pub commit: String,
    /// Commits since the base.
    #[serde(default)]
    pub commits: u32,
    /// Model tokens, where the agent tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Millionths of a US dollar, where the agent reckons them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
    /// Why what is not committed is not kept as it should be. It ends no attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentTrouble>,
}

impl Report for CourierReport {
    const LIMIT: usize = REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        if halve_a_detail(&mut self.detail, self.content.as_mut()) {
            return true;
        }
        match &mut self.outcome {
            CourierOutcome::PushRejected { why } => halve(why),
            CourierOutcome::AgentMissing { program } => halve(program),
            _ => false,
        }
    }
}

/// A member that is in the candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Included {
    /// Index in the orders' members.
    pub i: usize,
    /// Its last commit on the candidate.
    pub c: String,
}

/// A member that did not apply on what came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Index in the orders' members.
    pub i: usize,
    /// Conflicting paths; the first few.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// How `candidate` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum CandidateOutcome {
    /// A candidate stands, is pushed, and its checkout is ready to be tested.
    Built {
        /// Its commit.
        commit: String,
        /// Its tree.
        tree: String,
    },
    /// No member changes anything on this base: there is nothing to test.
    Nothing,
    /// The branch is not at the ordered base any more.
    BaseMoved,
    /// A member's commit is not on the remote. `i` is its index.
    Missing {
        /// Index in the orders' members.
        i: usize,
    },
    /// The repository, branch or credential is wrong.
    Config {
        /// CamelCase.
        reason: String,
    },
    /// The remote did not answer.
    Transient,
}

/// Report of `candidate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateReport {
    /// [`VERSION`].
    pub version: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CandidateOutcome,
    /// The branch's commit it was built on.
    #[serde(default)]
    pub base: String,
    /// Who is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<Included>,
    /// Who does not apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// Whose change the base has already (indices).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<usize>,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
}

impl Report for CandidateReport {
    const LIMIT: usize = QUEUE_REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        if halve(&mut self.detail) {
            return true;
        }
        // Who conflicts must survive; where, only as far as there is room.
        match self.conflicts.iter_mut().max_by_key(|c| c.paths.len()) {
            Some(c) if !c.paths.is_empty() => {
                c.paths.truncate(c.paths.len() / 2);
                true
            }
            _ => false,
        }
    }
}

/// How `land` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum LandOutcome {
    /// The branch is, or already contained, the candidate.
    Landed,
    /// The branch moved: nothing was pushed.
    Stale {
        /// Where it is now.
        now: String,
    },
    /// The remote refuses for good.
    Refused {
        /// Its words; untrusted.
        why: String,
    },
    /// Candidate, tree or ancestry is not what was tested: nothing was pushed.
    Mismatch {
        /// What differs.
        why: String,
    },
    /// The repository or credential is wrong.
    Config {
        /// CamelCase.
        reason: String,
    },
    /// The remote did not answer.
    Transient,
}

/// Report of `land`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LandReport {
    /// [`VERSION`].
    pub version: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: LandOutcome,
    /// The landed commit; empty where nothing landed.
    #[serde(default)]
    pub commit: String,
    /// For people; untrusted.
    #[serde(default)]
    pub detail: String,
}

impl Report for LandReport {
    const LIMIT: usize = QUEUE_REPORT_LIMIT;
    fn version(&self) -> u32 {
        self.version
    }
    fn shorten(&mut self) -> bool {
        if halve(&mut self.detail) {
            return true;
        }
        match &mut self.outcome {
            LandOutcome::Refused { why } | LandOutcome::Mismatch { why } => halve(why),
            _ => false,
        }
    }
}
