//! Rig: one repository and what its polecats inherit.

use crate::common::{
    AgentConfig, AgentKind, Budget, MergeStrategy, MergeStyle, PodTemplate, RecordSpec, Retry, SecretKeyRef,
    SecretReference, TokenUse,
};
use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One repository: its polecats, its merge queue, and the settings they inherit.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "Rig",
    plural = "rigs",
    status = "RigStatus",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Polecats", type_ = "integer", json_path = ".status.polecatCount"),
    printcolumn(name = "Convoys", type_ = "integer", json_path = ".status.activeConvoys"),
    printcolumn(name = "Working", type_ = "integer", json_path = ".status.working", priority = 1),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queued", priority = 1),
    printcolumn(name = "Merged", type_ = "integer", json_path = ".status.merged", priority = 1),
    printcolumn(name = "Cost", type_ = "string", json_path = ".status.costUSD", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct RigSpec {
    /// URL of the repository: https, ssh, `git@host:path`; on one machine a path too. Never with a password in it.
    #[serde(rename = "gitURL")]
    pub git_url: String,
    /// Prefix of the rig's bead IDs.
    #[schemars(regex(pattern = r"^[a-z]{2,10}$"))]
    pub beads_prefix: String,
    /// Its checkout on the machine of whoever types: `kubectl gt sling` reads beads there first, committed or not. Where that
    /// machine has none at this path, they are read from the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    /// Names and numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<RigSettings>,
    /// Branch that work starts from and lands on. Default main.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9._/-]+$"), length(max = 200))]
    pub target_branch: Option<String>,
    /// Shell text that judges a candidate: exit code 0 is green. Without one nothing lands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub test_command: Option<String>,
    /// Longest one test run may take. Seconds. Default 1800.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub test_timeout_seconds: Option<i64>,
    /// How a change becomes commits. Default rebase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MergeStyle")]
    pub merge_style: Option<MergeStyle>,
    /// How a tested change reaches the branch. Default direct.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MergeStrategy")]
    pub merge_strategy: Option<MergeStrategy>,
    /// Secret with the git credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_secret_ref: Option<SecretReference>,
    /// ConfigMap with key `known_hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_known_hosts_config_map_ref: Option<LocalObjectReference>,
    /// Secret with Claude's OAuth credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claude_creds_secret_ref: Option<SecretReference>,
    /// Key of a Secret with an Anthropic API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
    /// Which coding agent its polecats run. Unset: claude-code when Claude credentials or an Anthropic key are named, else opencode.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AgentKind")]
    pub agent: Option<AgentKind>,
    /// How the agent is set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_config: Option<AgentConfig>,
    /// Image of the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image of the test container. Unset: the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_image: Option<String>,
    /// Resources of the agent's and the test's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// When failed work is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Longest one attempt may take. Seconds. Default 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after which a finished pod is deleted. Unset: at once where the work has landed, else after an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Without activity for this long an agent counts as stuck. Go duration. Default 15m.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub stuck_threshold: Option<String>,
    /// How often new commits are pushed. Seconds. Unset: 15 in a cluster, 1 on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub push_interval_seconds: Option<i32>,
    /// What is kept of work in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordSpec>,
    /// Laid over every pod of this rig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// What its polecats may spend on models together. Spent: nothing new starts. Unset: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What an agent is told, in place of the harness's own text. `{task}`, `{branch}`, `{base}`, `{bead}` and `{evidence}` are
    /// filled in. Not for `agent: custom`, which reads the task as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub prompt_template: Option<String>,
    /// Dispatches and lands nothing new while true. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Names and numbers of a rig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RigSettings {
    /// Where names of polecats come from: mad-max, minerals, wasteland. Default mad-max.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namepool_theme: Option<String>,
    /// Most polecats with a live pod. Default 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_polecats: Option<i32>,
}

/// How a rig is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RigPhase {
    /// Its children are being made.
    #[default]
    Initializing,
    /// It works.
    Ready,
    /// It needs somebody: see the message.
    Degraded,
}

/// What is known of a rig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RigStatus {
    /// How it is.
    pub phase: RigPhase,
    /// Why, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// All its polecats.
    pub polecat_count: i32,
    /// With an attempt under way.
    pub working: i32,
    /// Waiting for room.
    pub queued: i32,
    /// Finished, not landed.
    pub done: i32,
    /// Landed.
    pub merged: i32,
    /// Need somebody.
    pub stuck: i32,
    /// Convoys in progress.
    pub active_convoys: i32,
    /// Model tokens of its polecats that exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenUse>,
    /// US dollars of its polecats that exist, as their agents reckon them.
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// Its Witness exists.
    pub witness_created: bool,
    /// Its Refinery exists.
    pub refinery_created: bool,
    /// Where Witness and Refinery live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_namespace: Option<String>,
    /// v0.1.2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
}
