//! What we believe of each object: rows, never API objects.

use crate::key::{Key, Rev, Uid};
use gastown_api as api;
use gastown_wire as wire;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What every row has.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Who.
    pub key: Key,
    /// Which incarnation.
    pub uid: Uid,
    /// The newest revision we hold.
    pub rev: Rev,
    /// Of the spec.
    pub generation: i64,
    /// When it was created.
    pub created: Timestamp,
    /// When deletion was asked for.
    pub deleting: Option<Timestamp>,
    /// All finalizers on it.
    pub finalizers: Vec<String>,
    /// Labels under `gastown.io/` only.
    pub labels: BTreeMap<String, String>,
    /// Annotations under `gastown.io/` only.
    pub annotations: BTreeMap<String, String>,
}

/// One of our six kinds: its spec as parsed, and the status as last published.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<S, T> {
    /// Identity and revision.
    pub meta: Meta,
    /// What is wanted.
    pub spec: S,
    /// What is published.
    pub status: T,
}

/// A Rig.
pub type RigRow = Row<api::RigSpec, api::RigStatus>;
/// A Polecat.
pub type PolecatRow = Row<api::PolecatSpec, api::PolecatStatus>;
/// A Convoy.
pub type ConvoyRow = Row<api::ConvoySpec, api::ConvoyStatus>;
/// A Witness.
pub type WitnessRow = Row<api::WitnessSpec, api::WitnessStatus>;
/// A Refinery.
pub type RefineryRow = Row<api::RefinerySpec, api::RefineryStatus>;
/// A BeadStore.
pub type BeadStoreRow = Row<api::BeadStoreSpec, api::BeadStoreStatus>;

/// What a pod of ours is for; its `gastown.io/role` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodRole {
    /// `polecat`: one attempt of one agent.
    Polecat,
    /// `test`: a candidate and its test.
    Test,
    /// `land`: pushes what was tested.
    Land,
    /// `beads`: reads the repository's issues.
    Beads,
    /// `notify`: tells somebody outside.
    Notify,
}

/// Pod phase as the API has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// At least one runs.
    Running,
    /// All ended with 0.
    Succeeded,
    /// Ended, at least one not with 0, or the kubelet ended it.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Exit code; 128 + n for signal n.
    pub exit: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// Termination message.
    pub message: String,
    /// When.
    pub at: Option<Timestamp>,
}

/// A container's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Not running (yet, or between restarts).
    Waiting {
        /// `PodInitializing`, `ImagePullBackOff`, `CreateContainerConfigError`, `CrashLoopBackOff`, …
        reason: String,
        /// The kubelet's words.
        message: String,
    },
    /// Running.
    Running {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// Ended.
    Ended(Ended),
}

/// What a pod says of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRow {
    /// Its name.
    pub name: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Now.
    pub state: ContainerState,
    /// How the run before ended.
    pub last: Option<Box<Ended>>,
    /// How often it was restarted.
    pub restarts: u32,
    /// Readiness.
    pub ready: bool,
}

/// A pod of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct PodRow {
    /// Identity and revision. Labels and annotations carry rig, polecat, role, round, attempt.
    pub meta: Meta,
    /// What it is for.
    pub role: PodRole,
    /// `gastown.io/rig` (annotation first: labels cannot hold every name).
    pub rig: String,
    /// UID of the controlling owner: the Polecat, the Refinery, the BeadStore, or whoever has something to tell.
    pub owner: Option<Uid>,
    /// The attempt it was created as (annotation), for polecat pods.
    pub attempt: u32,
    /// The round it was created in (annotation), for polecat pods.
    pub round: u32,
    /// Test pods: their orders (annotation `gastown.io/orders`).
    pub test: Option<Box<wire::TestOrders>>,
    /// Land pods: their orders (annotation `gastown.io/orders`).
    pub land: Option<Box<wire::LandOrders>>,
    /// Where it runs.
    pub node: Option<String>,
    /// Phase.
    pub phase: PodPhase,
    /// `status.reason`: `Evicted`, `DeadlineExceeded`, `NodeLost`, `Preempting`, …
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// `PodScheduled=False`: the scheduler's words.
    pub unschedulable: Option<String>,
    /// `DisruptionTarget=True`: its reason.
    pub disrupted: Option<String>,
    /// When the kubelet took it.
    pub started: Option<Timestamp>,
    /// All containers.
    pub containers: Vec<ContainerRow>,
}

impl PodRow {
    /// A pod of which nothing is known but that it was made.
    pub(crate) fn new(meta: Meta, role: PodRole, rig: String, owner: Option<Uid>) -> Self {
        Self {
            meta,
            role,
            rig,
            owner,
            attempt: 0,
            round: 0,
            test: None,
            land: None,
            node: None,
            phase: PodPhase::Pending,
            reason: String::new(),
            message: String::new(),
            unschedulable: None,
            disrupted: None,
            started: None,
            containers: Vec::new(),
        }
    }

    /// The container of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerRow> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// Whether it may still run something: neither succeeded nor failed.
    #[must_use]
    pub fn live(&self) -> bool {
        !matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }
}
