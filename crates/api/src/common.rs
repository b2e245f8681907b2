//! What several kinds share.

use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A Secret by name, in the namespace of the pod that mounts it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: String,
}

/// One key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key within it.
    pub key: String,
}

/// Which coding agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// opencode.
    Opencode,
    /// Claude Code.
    ClaudeCode,
    /// aider.
    Aider,
    /// The command in `agentConfig`.
    Custom,
}

/// Who serves the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A LiteLLM proxy.
    Litellm,
    /// Anthropic.
    Anthropic,
    /// OpenAI, or any endpoint that speaks its wire format.
    Openai,
    /// Ollama.
    Ollama,
}

/// Where the model is reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelProvider {
    /// Base URL of the model's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The key for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretKeyRef>,
}

/// How the agent is set up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentConfig {
    /// Who serves the model. Default litellm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Provider")]
    pub provider: Option<Provider>,
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where the model is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<ModelProvider>,
    /// Image of the agent's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Program to start, without a shell. Required for `agent: custom`, here or on the Rig.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments after the command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// ConfigMap with the agent's configuration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalObjectReference>,
    /// Environment of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
}

/// When failed work is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// How often a failure of the agent is tried again in one round. Default 2. Lost pods do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub limit: Option<i32>,
    /// Seconds before the first retry; doubles each time. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub backoff_seconds: Option<i32>,
}

/// What may be spent on models. Spent: nothing new starts, a running agent is ended with its work kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Budget {
    /// US dollars, as the agents reckon them: `5` or `"2.50"`. An agent that tells no cost spends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub usd: Option<IntOrString>,
    /// Tokens read and written together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tokens: Option<i64>,
}

/// What models were given and gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenUse {
    /// Read by the model, caches included.
    pub input: i64,
    /// Written by the model.
    pub output: i64,
}

impl TokenUse {
    /// Read and written together.
    #[must_use]
    pub fn total(self) -> i64 {
        self.input.saturating_add(self.output)
    }

    /// Both sums.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
        }
    }
}

/// Millionths of a dollar in an amount like `5`, `2.50` or `0.0123`; none where it is no amount.
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let part: i64 = format!("{part:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// An amount of dollars as [`micros`] reads it, with at least cents.
#[must_use]
pub fn dollars(micros: i64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let keep = text.trim_end_matches('0').len().max(text.len() - 4);
    text.get(..keep).unwrap_or(&text).to_owned()
}

/// How a change becomes commits of the target branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MergeStyle {
    /// Each commit again, on top. The default.
    Rebase,
    /// One commit a change.
    Squash,
    /// A merge commit a change.
    Merge,
}

/// How a tested change reaches the target branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MergeStrategy {
    /// Pushed by the Refinery. The default.
    Direct,
    /// Merged by the forge.
    PullRequest,
}

/// What a record keeps beside commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RecordLevel {
    /// Commits only. The default in a cluster.
    Commits,
    /// Uncommitted files too.
    Work,
    /// The conversation as well.
    Conversation,
}

/// What is kept of a polecat's work in progress, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordSpec {
    /// How much is kept. Unset: commits in a cluster, conversation on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RecordLevel")]
    pub level: Option<RecordLevel>,
    /// A repository of its own for uncommitted files and conversations, so that readers of the code cannot read them; the same git
    /// Secret opens it. https, ssh; on one machine a path too. Unset: the rig's own repository.
    #[serde(rename = "gitURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub git_url: Option<String>,
}

/// A volume that outlives pods, mounted into all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheVolume {
    /// Its name.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"), length(max = 50))]
    pub name: String,
    /// Where it is mounted.
    #[schemars(regex(pattern = r"^/[^:]*$"), length(max = 1024))]
    pub mount_path: String,
    /// The PersistentVolumeClaim behind it. Unset: an emptyDir a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
}

/// What a rig lays over every pod of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodTemplate {
    /// Nodes the pods may run on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints the pods tolerate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// Secrets for pulling images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,
    /// Priority class of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Runtime class of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Environment of every container; proxies, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub env: Option<Vec<EnvVar>>,
    /// ConfigMap whose key `ca.crt` every container trusts, beside the authorities that the harness image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle_config_map_ref: Option<LocalObjectReference>,
    /// Caches mounted into every container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub cache_volumes: Option<Vec<CacheVolume>>,
    /// More labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: Option<BTreeMap<String, String>>,
    /// More annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The one UID, GID and fsGroup of the pods. Default 65532.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Whether the root of the agent's and the test's container is read-only. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

/// Conditions as Kubernetes has them: a map keyed by `type`.
pub(crate) fn conditions_schema(g: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = g.subschema_for::<Vec<Condition>>();
    // An inlined list, so that the map keys stand beside its items.
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema
}
