//! Orders: what a container is to do, decided by the operator, complete in itself.

use crate::NotifyOrders;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The orders of one pod. Every container of the pod gets the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase")]
pub enum Orders {
    /// Clone, run the agent, carry its commits to the remote.
    Polecat(Box<PolecatOrders>),
    /// Build a candidate; the test container then judges it.
    Test(Box<TestOrders>),
    /// Push a candidate that was tested.
    Land(Box<LandOrders>),
    /// Read the repository's issues.
    Beads(Box<BeadsOrders>),
    /// Tell somebody outside.
    Notify(Box<NotifyOrders>),
}

impl Orders {
    /// The version these orders were written in.
    #[must_use]
    pub fn version(&self) -> u32 {
        match self {
            Self::Polecat(o) => o.version,
            Self::Test(o) => o.version,
            Self::Land(o) => o.version,
            Self::Beads(o) => o.version,
            Self::Notify(o) => o.version,
        }
    }

    /// The value of [`crate::ORDERS_ENV`]. A kubelet expands `$(NAME)` and halves `$$` in values, and a node without mount
    /// namespaces rewrites paths in them: so dollars are written as JSON escapes, and so are the slashes of a task or a notice, which
    /// are the words of a person and arrive as they are.
    ///
    /// # Errors
    /// Never in practice: orders are plain data.
    pub fn to_env(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        let words: Vec<(&str, &String)> = match self {
            Self::Polecat(orders) => match &orders.task {
                Text::Inline(task) => vec![("inline", task)],
                Text::File(_) => Vec::new(),
            },
            Self::Notify(orders) => orders.words().collect(),
            Self::Test(_) | Self::Land(_) | Self::Beads(_) => Vec::new(),
        };
        for (name, word) in words {
            // Inside of a text its quotes would be escaped: this is the field itself.
            let field = format!("\"{name}\":{}", serde_json::to_string(word)?);
            text = text.replacen(&field, &field.replace('/', "\\u002f"), 1);
        }
        Ok(text.replace('$', "\\u0024"))
    }
}

/// Whose work this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// Namespace of the Polecat.
    pub namespace: String,
    /// Name of the Polecat.
    pub name: String,
    /// UID of the Polecat: names its record ref.
    pub uid: String,
    /// Its rig.
    pub rig: String,
    /// UID of that rig, where there is one: owns the record.
    #[serde(rename = "rigUID", skip_serializing_if = "Option::is_none")]
    pub rig_uid: Option<String>,
    /// Its bead, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bead: Option<String>,
}

/// A git remote and where its credential is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteOrders {
    /// URL or path of the repository.
    pub url: String,
    /// The branch work starts from and lands on.
    pub branch: String,
    /// Folder of the mounted git Secret, where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_dir: Option<String>,
    /// File of known SSH hosts, where one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// A text of any size: short ones travel inline, long ones in a mounted file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Text {
    /// The text itself.
    Inline(String),
    /// Path of a mounted file that holds it.
    File(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Inline(String::new())
    }
}

/// Every path a container uses. None is compiled in: a node without mount namespaces rewrites them here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Paths {
    /// The agent's checkout (`/workspace/repo`). Its parent is the volume.
    pub workspace: String,
    /// The agent's home (`/gastown/home`).
    pub home: String,
    /// Shared by clone, run and courier (`/gastown/shared`): the harness binary, task files, the link file.
    pub shared: String,
    /// Courier's own repository (`/gastown/courier`); the agent does not mount it.
    pub courier: String,
    /// Folder of the downward-API volume with the pod's annotations (`/gastown/pod`); nudges arrive there.
    pub pod_info: String,
    /// Folder of the mounted Secret with the agent's login and settings (`/gastown/claude`), where one is named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub settings: String,
}

/// The agent to start, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentOrders {
    /// `custom`, `claude-code`, `opencode`, `aider`.
    pub kind: String,
    /// Program and arguments, started in the workspace without a shell. `{session}`, `{home}` and `{prompt}` (the file that
    /// holds it) are filled in, here and in `start` and `resume`.
    pub command: Vec<String>,
    /// More arguments where the conversation is new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<String>,
    /// More arguments where it goes on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<String>,
    /// What its input holds.
    pub input: Input,
    /// How what it prints is read.
    pub transcript: Transcript,
    /// Files below its home that hold the conversation; `{cwd}` is the workspace's path as Claude Code writes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conversation: Vec<String>,
    /// Names in the workspace that are its own notes, never work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Files that it finds below its home, by path: their texts. A file of the user's own settings wins.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Told to stop by SIGINT first: it then ends its own tools.
    pub interrupt: bool,
    /// How it proves who pays, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Variables that a Secret fills: their values are not shown, whatever their names are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
    /// The Rig's text in place of the harness's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_template: Option<String>,
    /// What may still be spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Allowance>,
}

/// What an agent's input holds. It always ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    /// The task, byte for byte.
    #[default]
    Task,
    /// The task in the words of the prompt.
    Prompt,
    /// The prompt as the first of Claude Code's JSON lines; nudges follow.
    Stream,
    /// Nothing.
    Nothing,
}

/// The format of what an agent prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Transcript {
    /// Any text. Its exit code is its word.
    #[default]
    Text,
    /// Claude Code's `stream-json`.
    Claude,
    /// opencode's `json`.
    Opencode,
    /// aider's text.
    Aider,
}

/// A credential the agent cannot work without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credential {
    /// The variable that holds a key, where a Secret's key is named for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// The login in `settings` is used: no key is named.
    pub login: bool,
}

/// What may still be spent on models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Allowance {
    /// Tokens read and written together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// How often, how long. Milliseconds and seconds as named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pace {
    /// How often uncommitted work is snapshotted and new commits are pushed. Milliseconds.
    pub push_interval_ms: u64,
    /// Readiness turns false after this long without activity. Seconds.
    pub stuck_after_s: u64,
    /// The agent is ended after this long without any activity. Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_idle_s: Option<u64>,
    /// What the agent gets between SIGTERM and SIGKILL. Seconds.
    pub agent_grace_s: u64,
    /// Longest a single git command may take. Seconds.
    pub git_timeout_s: u64,
    /// The pod's own deadline, from when its node took it: what is to be said must be said before. Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            push_interval_ms: 15_000,
            stuck_after_s: 900,
            max_idle_s: None,
            agent_grace_s: 10,
            git_timeout_s: 300,
            deadline_s: None,
        }
    }
}

/// What a record keeps beside commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordLevel {
    /// Commits only.
    #[default]
    Commits,
    /// Uncommitted files too.
    Work,
    /// The conversation as well.
    Conversation,
}

/// Why work came back from the Refinery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvidenceKind {
    /// The tests were red with this change.
    #[default]
    TestFailed,
    /// The change does not apply to the branch it should land on.
    Conflict,
    /// A person or agent asked for another round.
    Asked,
}

/// What the agent is told of a hand-back. `summary` is output of untrusted code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Why it came back.
    pub kind: EvidenceKind,
    /// The test's last output, or a message; at most 2 KB; untrusted.
    pub summary: String,
    /// Conflicting paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The commit of the target branch it was tried on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// The commit that was handed back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The command that was red.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
}

/// Orders of a polecat's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolecatOrders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Whose work.
    pub subject: Subject,
    /// The round: one more after each hand-back. From 1.
    pub round: u32,
    /// The attempt: one more for each pod, over the whole life. From 1.
    pub attempt: u32,
    /// Where from and where to.
    pub remote: RemoteOrders,
    /// The one branch that is pushed.
    pub work_branch: String,
    /// The task.
    pub task: Text,
    /// The task is only the name of the bead: where the repository's export has it, what it says there is the task.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub task_of_bead: bool,
    /// Why it came back, from round 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What to start.
    pub agent: AgentOrders,
    /// Where everything is.
    pub paths: Paths,
    /// How often, how long.
    pub pace: Pace,
    /// What is kept.
    pub record: RecordLevel,
    /// Where uncommitted files and conversations go, if not to `remote`; its branch says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<RemoteOrders>,
}

/// How members become commits of the target branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MergeStyle {
    /// Each commit again, on top. The default.
    #[default]
    Rebase,
    /// One commit a member.
    Squash,
    /// A merge commit a member.
    Merge,
}

/// One change in a candidate, pinned to the commit that was ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Member {
    /// `namespace/name` of its polecat.
    pub polecat: String,
    /// UID of its polecat.
    pub uid: String,
    /// The ready commit.
    pub commit: String,
    /// The branch that holds it.
    pub branch: String,
    /// One line for squash and merge commits.
    pub title: String,
}

/// Orders of a test pod: `candidate` builds, `test` judges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TestOrders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The rig whose queue this is.
    pub rig: String,
    /// Where from and where to.
    pub remote: RemoteOrders,
    /// The commit to build on; none: the branch as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// In order. At most [`crate::MAX_MEMBERS`].
    pub members: Vec<Member>,
    /// How they are joined.
    pub merge_style: MergeStyle,
    /// Ref the candidate is pushed to.
    pub candidate_ref: String,
    /// Where the checkout goes (`workspace`), and the repository that builds it (`courier`).
    pub paths: Paths,
    /// Deadline of git commands.
    pub pace: Pace,
}

/// Orders of a land pod. They exist only after a green verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LandOrders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The rig whose queue this is.
    pub rig: String,
    /// Where to.
    pub remote: RemoteOrders,
    /// The branch's value that was tested upon: the lease.
    pub base: String,
    /// The commit that was tested.
    pub candidate: String,
    /// Its tree.
    pub tree: String,
    /// Ref that holds it.
    pub candidate_ref: String,
    /// Candidate refs below [`crate::candidates_prefix`] whose batch number is at most this are swept.
    pub batch: u64,
    /// Who lands, for the log.
    pub members: Vec<Member>,
    /// What is swept once it has landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// The repository used for checking and pushing (`courier`).
    pub paths: Paths,
    /// Deadline of git commands.
    pub pace: Pace,
}

/// Records to sweep: of that owner, of polecats that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sweep {
    /// UID of the rig, as it stands in its records: others have theirs in the same repository.
    pub owner: String,
    /// UIDs of the polecats there are, of any rig.
    pub living: Vec<String>,
    /// Where their uncommitted files and conversations are, if not beside the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<RemoteOrders>,
}

/// Orders of a pod that reads the repository's issues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BeadsOrders {
    /// [`crate::VERSION`].
    pub version: u32,
    /// The rig whose repository it is.
    pub rig: String,
    /// Where from.
    pub remote: RemoteOrders,
    /// The commit that was read last: nothing is read where the branch is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Issues whose ID begins so are counted.
    pub prefix: String,
    /// The repository used for reading (`courier`).
    pub paths: Paths,
    /// Deadline of git commands.
    pub pace: Pace,
}
