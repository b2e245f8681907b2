//! BeadStore: where issues come from.

use crate::common::SecretReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a rig's issues come from: an export of beads in its repository, `.beads/*.jsonl` on the target branch. Read only.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "gastown.gastown.io",
    version = "v1alpha1",
    kind = "BeadStore",
    plural = "beadstores",
    namespaced,
    status = "BeadStoreStatus",
    category = "gastown",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Rig", type_ = "string", json_path = ".spec.rigRef"),
    printcolumn(name = "Prefix", type_ = "string", json_path = ".spec.prefix"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Issues", type_ = "integer", json_path = ".status.issueCount"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct BeadStoreSpec {
    /// The Rig whose issues these are.
    pub rig_ref: String,
    /// Prefix of its issues, with the dash: only issues whose ID begins so are counted.
    #[schemars(regex(pattern = r"^[a-z]+-$"))]
    pub prefix: String,
    /// Secret with the git credential, in the store's own namespace. Unset: the name the Rig gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_secret_ref: Option<SecretReference>,
    /// How often a pod looks whether the branch has moved, and reads it if so. Go duration, at least 10s. Default 5m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<String>,
}

/// How a bead store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BeadStorePhase {
    /// Not read yet.
    #[default]
    Pending,
    /// Read.
    Synced,
    /// It needs somebody: see the message.
    Error,
}

/// What is known of a bead store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BeadStoreStatus {
    /// How it is.
    pub phase: BeadStorePhase,
    /// Why, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was last known to be so: read, or found not to have moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// How many issues it has, closed ones too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue_count: Option<i32>,
    /// The commit of the branch that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Open issues whose priority is not the middle one: higher goes first, as a Polecat's `priority`; at most some hundreds, the
    /// most urgent first. A convoy starts its polecats in this order.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<String, i32>,
    /// When a pod was last sent to read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt_time: Option<Time>,
    /// The pod that reads it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// How often in a row it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
    /// What is read, as a fingerprint of repository, branch, prefix and names of credentials: another one is read at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// The spec's generation this was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Synced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::common::conditions_schema")]
    pub conditions: Vec<Condition>,
}
