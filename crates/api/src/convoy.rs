//! Convoy: a batch of beads.

use crate::common::{SecretReference, TokenUse};
use crate::notification::Notification;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A batch of beads: dispatched under `parallelism`, counted by what landed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "Convoy",
    plural = "convoys",
    namespaced,
    status = "ConvoyStatus",
    shortname = "cv",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ConvoySpec {
    /// What the batch is for.
    #[schemars(length(min = 1))]
    pub description: String,
    /// The beads; one named twice counts once.
    #[schemars(length(min = 1))]
    pub tracked_beads: Vec<String>,
    /// Most of its polecats with a live pod; 0: no limit of its own. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub parallelism: Option<i32>,
    /// The Rig. With one the convoy makes polecats for beads that have none; without, it only counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rig_ref: Option<String>,
    /// Who is told, once, when it is complete or cannot finish. `mayor` or `mayor/`: a Kubernetes Event. A URL (http or https): a
    /// POST of `{"text": …}`, as Slack takes it; the URL stands here for all to read. `slack`, `webhook`, `email`: the address is in
    /// `notifySecretRef`. Condition Notified says what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_on_complete: Option<String>,
    /// Secret beside the Convoy with the address: `slack-url`; `webhook-url`; or `smtp-url` (`smtps://host:465`, `smtp://host:587`),
    /// `email-from`, `email-to`, and `smtp-username` and `smtp-password` where the server wants them. Default gastown-notify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_secret_ref: Option<SecretReference>,
}

/// How far a convoy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConvoyPhase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Under way.
    InProgress,
    /// All landed.
    Complete,
    /// What is left cannot go on by itself.
    Failed,
}

/// What is known of a convoy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConvoyStatus {
    /// How far it is.
    pub phase: ConvoyPhase,
    /// Who waits for what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Landed of all, `3/8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Landed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub completed_beads: Vec<String>,
    /// Not landed yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending_beads: Vec<String>,
    /// Stuck or ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_beads: Vec<String>,
    /// Model tokens of its polecats that exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenUse>,
    /// US dollars of its polecats that exist, as their agents reckon them.
    #[serde(rename = "costUSD", skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// When the first was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the last landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// What was told of its end, where `notifyOnComplete` names somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<Notification>,
    /// v0.1.2 only.
    #[serde(rename = "beadsConvoyID", skip_serializing_if = "Option::is_none")]
    pub beads_convoy_id: Option<String>,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Complete, Notified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
}
