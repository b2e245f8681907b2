//! Polecat: one agent's work.

use crate::common::{AgentConfig, AgentKind, Budget, Retry, SecretKeyRef, SecretReference, TokenUse};
use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One agent's work: a task, a branch, a pod at a time.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "Polecat",
    plural = "polecats",
    namespaced,
    status = "PolecatStatus",
    shortname = "pc",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Rig", type_ = "string", json_path = ".spec.rig"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Bead", type_ = "string", json_path = ".status.assignedBead"),
    printcolumn(name = "Pod", type_ = "string", json_path = ".status.podName"),
    printcolumn(name = "Active", type_ = "boolean", json_path = ".status.podActive"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.agentModel", priority = 1),
    printcolumn(name = "Round", type_ = "integer", json_path = ".status.round", priority = 1),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.attempt", priority = 1),
    printcolumn(name = "Cost", type_ = "string", json_path = ".status.costUSD", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct PolecatSpec {
    /// Name of the Rig whose settings it inherits and whose branch it lands on. `standalone`: none.
    pub rig: String,
    /// What is wanted: Idle stops and keeps the work, Working works, Terminated ends it. Default Idle.
    pub desired_state: DesiredState,
    /// The bead (issue) it works on.
    #[serde(rename = "beadID", skip_serializing_if = "Option::is_none")]
    pub bead_id: Option<String>,
    /// The task, as the predecessor's README writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The task as v0.4.2's schema spelled it. `task.description` wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_description: Option<String>,
    /// Where it runs. `local` is served by one machine (`gastown up`) only. Unset: wherever the operator is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ExecutionMode")]
    pub execution_mode: Option<ExecutionMode>,
    /// Which coding agent. Unset: the Rig's; else claude-code when Claude credentials or an Anthropic key are named; else opencode.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AgentKind")]
    pub agent: Option<AgentKind>,
    /// How the agent is set up. Unset parts are the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_config: Option<Box<AgentConfig>>,
    /// Repository, credentials and pod settings. Unset parts are the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Box<KubernetesSpec>>,
    /// Resources of the agent's container; `kubernetes.resources` wins. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Seconds after which a finished pod is deleted. Branch and record stay. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Seconds without activity after which the agent is stopped. Unset: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_idle_seconds: Option<i32>,
    /// Higher is dispatched and merged first. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// When failed work is tried again. Unset parts are the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// A person's wish for another try, with a word to the agent (`kubectl gt polecat retry`). Each `id` is granted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub another_round: Option<AnotherRound>,
    /// What it may spend on models over its whole life. Unset: no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// A wish for another try.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AnotherRound {
    /// Tells one wish from the next.
    #[schemars(length(max = 64))]
    pub id: String,
    /// What the agent is told: a new round begins with it. Unset: the same round, once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
}

/// What is wanted of a polecat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// Stopped; work kept.
    #[default]
    Idle,
    /// Working.
    Working,
    /// Ended.
    Terminated,
}

/// Where a polecat runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionMode {
    /// On one machine.
    Local,
    /// In a cluster.
    Kubernetes,
}

/// The task, as the READMEs print it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Task {
    /// What is to be done, in plain words. Unset: what `.beads/*.jsonl` on the target branch says of the bead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub description: Option<String>,
}

/// Repository, credentials and pod settings of one polecat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesSpec {
    /// URL of the repository: https, ssh, `git@host:path`; on one machine a path too. Never with a password in it. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(
        pattern = r"^(([a-zA-Z0-9][a-zA-Z0-9._-]*@[a-zA-Z0-9._-]+:|(https?|ssh)://([a-zA-Z0-9][a-zA-Z0-9._-]*@)?[a-zA-Z0-9._-]+(:[0-9]+)?/)[a-zA-Z0-9._/~+@%-]+|(file://)?/[^\x00-\x1f]+)$"
    ))]
    pub git_repository: Option<String>,
    /// Branch the work starts from and lands on. Unset: the Rig's, else main.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9._/-]+$"))]
    pub git_branch: Option<String>,
    /// Branch the work is pushed to. Unset: `feature/<beadID>`, or `polecat/<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9._/-]+$"))]
    pub work_branch: Option<String>,
    /// Secret with the git credential. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_secret_ref: Option<SecretReference>,
    /// Secret with Claude's OAuth credentials. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claude_creds_secret_ref: Option<SecretReference>,
    /// Key of a Secret with an Anthropic API key. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
    /// Image of the agent's container. Unset: `agentConfig.image`, else the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Resources of the agent's container. Unset: `resources` beside this block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Longest one attempt may take. Seconds. Unset: the Rig's, else 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// ConfigMap with key `known_hosts`. Unset: the Rig's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_known_hosts_config_map_ref: Option<LocalObjectReference>,
    /// Host keys are always checked. Default yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "StrictHostKeyChecking")]
    pub ssh_strict_host_key_checking: Option<StrictHostKeyChecking>,
}

/// The one value there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StrictHostKeyChecking {
    /// Checked.
    #[default]
    Yes,
}

/// Where a polecat stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PolecatPhase {
    /// No pod: not wanted, or waiting for room.
    #[default]
    Idle,
    /// An attempt is under way.
    Working,
    /// The work of this round is finished and pushed.
    Done,
    /// It needs somebody: see the message.
    Stuck,
    /// Ended.
    Terminated,
}

/// How one round ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RoundRecord {
    /// Which round, from 1.
    pub round: i64,
    /// `HandedBack`, `Merged`, `Failed`.
    pub outcome: String,
    /// Why, CamelCase.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// The commit of that round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What it started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What the next round is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceRecord>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// Why work came back. `summary` is output of untrusted code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EvidenceRecord {
    /// `TestFailed`, `Conflict`, `Asked`.
    pub kind: String,
    /// The test's last output or a message; untrusted.
    #[schemars(length(max = 4096))]
    pub summary: String,
    /// Conflicting paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub paths: Vec<String>,
    /// The target branch's commit it was tried on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// Polecats whose changes it met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub against: Vec<String>,
    /// The command that was red.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_command: Option<String>,
}

/// What is known of a polecat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolecatStatus {
    /// Where it stands.
    pub phase: PolecatPhase,
    /// Why it is where it is, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The bead it works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_bead: Option<String>,
    /// The branch its work is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The finished commit of this round, pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What it started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Its newest pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// Whether the agent runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_active: Option<bool>,
    /// When it last changed state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Time>,
    /// Which agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_image: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_model: Option<String>,
    /// The round: one more after each hand-back. From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<i64>,
    /// The newest attempt: one more for each pod, over the whole life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// Failures that count in this round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i64>,
    /// Pods of this round that were lost without their fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<i64>,
    /// The newest wish for another try that was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub another_round: Option<String>,
    /// Model tokens over its whole life, as far as the agent told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenUse>,
    /// US dollars over its whole life, as the agent reckons them: `0.0213`.
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// Not before this is it tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Time>,
    /// The commit of the target branch its work landed as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_commit: Option<String>,
    /// Rounds that ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub rounds: Vec<RoundRecord>,
    /// When the work of this round ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Progressing, Available, Degraded, Merged, Working.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// v0.1.2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<String>,
    /// v0.1.2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux_session: Option<String>,
    /// v0.1.2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_active: Option<bool>,
    /// v0.1.2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_status: Option<String>,
}
