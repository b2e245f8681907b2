//! The six resources of `gastown.gastown.io/v1alpha1` and nothing else: types, schema, conditions, labels, names.
//! No client, no I/O.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column names its type; clippy reads them as one list"
)]

mod bead_store;
mod common;
pub mod conditions;
mod convoy;
pub mod labels;
pub mod names;
mod notification;
mod polecat;
mod refinery;
mod rig;
mod schema;
pub mod themes;
mod witness;

pub use bead_store::{BeadStore, BeadStorePhase, BeadStoreSpec, BeadStoreStatus};
pub use common::{
    AgentConfig, AgentKind, Budget, CacheVolume, MergeStrategy, MergeStyle, ModelProvider, PodTemplate, Provider,
    RecordLevel, RecordSpec, Retry, SecretKeyRef, SecretReference, TokenUse, dollars, micros,
};
pub use convoy::{Convoy, ConvoyPhase, ConvoySpec, ConvoyStatus};
pub use notification::Notification;
pub use polecat::{
    AnotherRound, DesiredState, EvidenceRecord, ExecutionMode, KubernetesSpec, Polecat, PolecatPhase, PolecatSpec,
    PolecatStatus, RoundRecord, StrictHostKeyChecking, Task,
};
pub use refinery::{
    MergesSummary, QueueMember, QueueOdds, Refinery, RefineryPhase, RefinerySpec, RefineryStatus, Suspect,
};
pub use rig::{Rig, RigPhase, RigSettings, RigSpec, RigStatus};
pub use witness::{Incident, PolecatsSummary, Witness, WitnessPhase, WitnessSpec, WitnessStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of all six kinds.
pub const GROUP: &str = "gastown.gastown.io";
/// The one version.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all six kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        Rig::crd(),
        Polecat::crd(),
        Convoy::crd(),
        Witness::crd(),
        Refinery::crd(),
        BeadStore::crd(),
    ]
    .into_iter()
    .map(schema::completed)
    .collect()
}
