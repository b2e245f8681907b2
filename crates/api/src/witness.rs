//! Witness: the health of a rig's polecats.

use crate::common::SecretReference;
use crate::notification::Notification;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The health of a rig's polecats, from activity and not from age.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "Witness",
    plural = "witnesses",
    namespaced,
    status = "WitnessStatus",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Rig", type_ = "string", json_path = ".spec.rigRef"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.polecatsSummary.running"),
    printcolumn(name = "Stuck", type_ = "integer", json_path = ".status.polecatsSummary.stuck"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct WitnessSpec {
    /// The Rig whose polecats it watches: all of them from the operator's namespace, from another those beside it.
    pub rig_ref: String,
    /// Health is judged anew at most this often. Go duration. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_interval: Option<String>,
    /// Without activity for this long a polecat counts as stuck and is nudged; for as long again, and its agent is ended and a new
    /// attempt takes up its work and conversation. That spends a retry; the last one spent, the polecat is Stuck and escalated. Go
    /// duration. Unset: the Rig's, else 15m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_threshold: Option<String>,
    /// Who is told of polecats that need somebody, once an incident. `mayor`: a Kubernetes Event on this Witness. A URL (http or
    /// https): a POST of `{"text": …}`, as Slack takes it; the URL stands here for all to read. `slack`, `webhook`, `email`: the
    /// address is in `escalationSecretRef`. Condition Notified says what became of it. Default mayor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_target: Option<String>,
    /// Secret beside the Witness with the address: `slack-url`; `webhook-url`; or `smtp-url` (`smtps://host:465`,
    /// `smtp://host:587`), `email-from`, `email-to`, and `smtp-username` and `smtp-password` where the server wants them. Default
    /// gastown-notify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation_secret_ref: Option<SecretReference>,
}

/// How a rig's polecats are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WitnessPhase {
    /// None works.
    #[default]
    Pending,
    /// All well.
    Active,
    /// Somebody is stuck.
    Degraded,
}

/// Polecats by how they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolecatsSummary {
    /// All the rig has.
    pub total: i32,
    /// Working.
    pub running: i32,
    /// Done.
    pub succeeded: i32,
    /// Need somebody.
    pub failed: i32,
    /// Working without activity.
    pub stuck: i32,
}

/// A polecat that needs somebody. Open until somebody acted, its work is done, or it has worked well for `stuckThreshold`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Incident {
    /// `namespace/name`.
    pub polecat: String,
    /// Its UID.
    pub uid: String,
    /// Of its spec: an edit is somebody's act.
    pub generation: i64,
    /// Its round.
    pub round: i64,
    /// Why, in a word.
    pub reason: String,
    /// Why, and what to do.
    pub message: String,
    /// When it was noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The notification that tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// What is known of a witness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WitnessStatus {
    /// How its rig's polecats are.
    pub phase: WitnessPhase,
    /// Who is stuck, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When this last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// Counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polecats_summary: Option<PolecatsSummary>,
    /// Who needs somebody; the first 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// What was told of them last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<Notification>,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Degraded, Notified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
}
