//! Refinery: the merge queue of one branch.

use crate::common::{MergeStyle, SecretReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The merge queue of one (repository, branch). Unset fields are the Rig's.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "Refinery",
    plural = "refineries",
    namespaced,
    status = "RefineryStatus",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Rig", type_ = "string", json_path = ".spec.rigRef"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Queue", type_ = "integer", json_path = ".status.queueLength"),
    printcolumn(name = "Current", type_ = "string", json_path = ".status.currentMerge"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct RefinerySpec {
    /// The Rig whose work it lands.
    pub rig_ref: String,
    /// The branch it lands on. Unset: the Rig's, else main.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_branch: Option<String>,
    /// Shell text that judges a candidate. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
    /// Test pods at once: above 1, shorter prefixes of a batch are tested beside the whole, so that a bad change is found sooner. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub parallelism: Option<i32>,
    /// Secret with the git credential. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_secret_ref: Option<SecretReference>,
    /// How a change becomes commits. Unset: the Rig's, else rebase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MergeStyle")]
    pub merge_style: Option<MergeStyle>,
    /// Lands nothing new while true. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// What a refinery does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefineryPhase {
    /// Nothing waits.
    #[default]
    Idle,
    /// A batch is tested or landed.
    Processing,
    /// It needs somebody: see the message.
    Error,
}

/// Merges by how they went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MergesSummary {
    /// Landed and sent back.
    pub total: i32,
    /// Landed.
    pub succeeded: i32,
    /// Sent back.
    pub failed: i32,
    /// Waiting.
    pub pending: i32,
}

/// A change that was red as the last of a prefix, and is confirmed once before it is sent back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Suspect {
    /// `namespace/name` of its polecat.
    pub polecat: String,
    /// UID of its polecat.
    pub uid: String,
    /// The red commit.
    pub commit: String,
    /// How often it was red.
    pub reds: i32,
}

/// A change of the batch under way, pinned to the commit that was ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueMember {
    /// `namespace/name` of its polecat.
    pub polecat: String,
    /// UID of its polecat.
    pub uid: String,
    /// The ready commit.
    pub commit: String,
    /// The polecat's round.
    pub round: i64,
}

/// What the queue's runs taught: how long the next batch may be is estimated from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueOdds {
    /// Changes that their tests decided.
    pub changes: i64,
    /// How many of them were sent back red.
    pub bad: i64,
    /// Prefixes that were judged.
    pub judged: i64,
    /// Suspects that were green alone.
    pub flakes: i64,
}

/// What is known of a refinery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RefineryStatus {
    /// What it does.
    pub phase: RefineryPhase,
    /// Why, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many wait.
    pub queue_length: i32,
    /// Who waits, in order; the first 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub queue: Vec<String>,
    /// What is tested or landed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_merge: Option<String>,
    /// When something last landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_merge_time: Option<Time>,
    /// Counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merges_summary: Option<MergesSummary>,
    /// Number of the newest batch.
    pub batch: i64,
    /// The changes of the batch under way, in order. Empty: none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub members: Vec<QueueMember>,
    /// Most changes of the next batch, where the branch moved while a red one was being searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i32>,
    /// What the runs taught so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odds: Option<QueueOdds>,
    /// Last known commit of the branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Red once, to be confirmed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub suspects: Vec<Suspect>,
    /// Who was last red, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_red: Option<String>,
    /// Test runs spent.
    pub test_runs: i64,
    /// Times the branch was moved.
    pub landings: i64,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Processing, Degraded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
}
