//! A pod as the kubelet and the observer read it.

use crate::follow::Revised;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A pod, as much of it as is read.
#[derive(Clone, Debug, Deserialize)]
pub struct Pod {
    /// Identity.
    pub metadata: Meta,
    /// What runs in it.
    #[serde(default)]
    pub spec: Spec,
    /// How far it is.
    #[serde(default)]
    pub status: Status,
}

/// Identity of any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Incarnation.
    pub uid: String,
    /// Revision.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Set once somebody asked for its deletion.
    pub deletion_timestamp: Option<String>,
}

impl Revised for Pod {
    fn revision(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// What runs in a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Where.
    pub node_name: Option<String>,
    /// Init containers.
    pub init_containers: Vec<Container>,
    /// Containers.
    pub containers: Vec<Container>,
}

/// One container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Variables.
    pub env: Vec<Variable>,
}

/// A variable of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Plain value.
    pub value: Option<String>,
}

/// How far a pod is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Pending, Running, Succeeded, Failed.
    pub phase: String,
}

impl Pod {
    /// What the pod is ordered to do, where it is one of ours.
    #[must_use]
    pub fn orders(&self) -> Option<gastown_wire::Orders> {
        let containers = self.spec.init_containers.iter().chain(&self.spec.containers);
        let text = containers
            .flat_map(|c| &c.env)
            .find(|v| v.name == gastown_wire::ORDERS_ENV)
            .and_then(|v| v.value.as_deref())?;
        serde_json::from_str(text).ok()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}
