//! What to create, decided whole; rendering it into an API object adds no opinion.

use crate::key::{Key, Kind, Uid};
use gastown_api as api;
use gastown_wire as wire;
use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use std::collections::BTreeMap;

/// Secrets and ConfigMaps by name; resolved in the pod's own namespace, mounted optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Secret with a git credential: only for containers that talk to the remote.
    pub git: Option<String>,
    /// ConfigMap with `known_hosts`.
    pub known_hosts: Option<String>,
    /// Secret with Claude OAuth credentials: only for the agent.
    pub claude: Option<String>,
    /// Secret name and key of a model API key, and the variable it becomes: only for the agent.
    pub api_key: Option<(String, String, String)>,
}

/// What every pod of ours has.
#[derive(Clone, Debug, PartialEq)]
pub struct PodCommon {
    /// Its deterministic name.
    pub key: Key,
    /// Controlling owner: kind, name, UID.
    pub owner: (Kind, String, Uid),
    /// Labels that are legal.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Image of the containers that run the harness.
    pub harness_image: String,
    /// Secrets by name.
    pub credentials: Credentials,
    /// The kubelet ends the pod after this. Seconds.
    pub deadline: Option<i64>,
    /// What the rig lays over every pod.
    pub template: Option<api::PodTemplate>,
    /// A path on the host that the remote is (only on one machine); mounted where the remote is spoken to.
    pub local_remote: Option<String>,
    /// The same for the repository of uncommitted files and conversations, where that is another.
    pub local_content: Option<String>,
}

/// One attempt of one agent: containers `clone`, the agent's, `courier`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolecatPod {
    /// What every pod has.
    pub common: PodCommon,
    /// What it is told.
    pub orders: wire::PolecatOrders,
    /// Name of the agent's container: `claude`, `opencode`, `aider`, `agent`.
    pub container: String,
    /// Its image.
    pub image: String,
    /// The user's environment for it.
    pub env: Vec<EnvVar>,
    /// ConfigMap mounted for the agent's configuration.
    pub config_map: Option<String>,
    /// Its resources.
    pub resources: Option<ResourceRequirements>,
    /// ConfigMap with the task's text, where it is too long for the orders: name and mount path.
    pub texts: Option<String>,
    /// Reads with "unready" after this. Seconds between probes.
    pub probe_seconds: i32,
}

/// A candidate and its test: containers `candidate`, `test`.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPod {
    /// What every pod has.
    pub common: PodCommon,
    /// What it is told.
    pub orders: wire::TestOrders,
    /// Image of the test container.
    pub image: String,
    /// Shell text that judges: its exit code is the verdict.
    pub command: String,
    /// Its resources.
    pub resources: Option<ResourceRequirements>,
}

/// Pushes what was tested: container `land`.
#[derive(Clone, Debug, PartialEq)]
pub struct LandPod {
    /// What every pod has.
    pub common: PodCommon,
    /// What it is told.
    pub orders: wire::LandOrders,
}

/// Reads the repository's issues: container `beads`.
#[derive(Clone, Debug, PartialEq)]
pub struct BeadsPod {
    /// What every pod has.
    pub common: PodCommon,
    /// What it is told.
    pub orders: wire::BeadsOrders,
}

/// Tells somebody outside: container `notify`.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyPod {
    /// What every pod has.
    pub common: PodCommon,
    /// What it is told.
    pub orders: wire::NotifyOrders,
    /// Secret with the address, where the orders have none.
    pub secret: Option<String>,
}

/// A polecat that a convoy makes for a bead.
#[derive(Clone, Debug, PartialEq)]
pub struct PolecatForBead {
    /// Its deterministic name.
    pub key: Key,
    /// What it is to do.
    pub spec: api::PolecatSpec,
    /// The convoy: controlling it is not, deleting a convoy keeps the work; a label names it.
    pub labels: BTreeMap<String, String>,
}

/// A ConfigMap of texts that a Polecat owns.
#[derive(Clone, Debug, PartialEq)]
pub struct TextMap {
    /// Its deterministic name.
    pub key: Key,
    /// The Polecat: name and UID.
    pub owner: (String, Uid),
    /// File name to text.
    pub texts: BTreeMap<String, String>,
}

/// Everything we create.
#[expect(clippy::large_enum_variant, reason = "actions box it whole")]
#[derive(Clone, Debug, PartialEq)]
pub enum Blueprint {
    /// An attempt.
    PolecatPod(PolecatPod),
    /// A candidate and its test.
    TestPod(TestPod),
    /// A landing.
    LandPod(LandPod),
    /// A look at the repository's issues.
    BeadsPod(BeadsPod),
    /// A notice.
    NotifyPod(NotifyPod),
    /// A rig's witness; owned by the Rig.
    Witness {
        /// Who.
        key: Key,
        /// The Rig: name and UID.
        owner: (String, Uid),
        /// What it watches.
        spec: api::WitnessSpec,
    },
    /// A rig's merge queue; owned by the Rig.
    Refinery {
        /// Who.
        key: Key,
        /// The Rig: name and UID.
        owner: (String, Uid),
        /// What it merges.
        spec: api::RefinerySpec,
    },
    /// A convoy's polecat.
    Polecat(PolecatForBead),
    /// Long texts.
    Texts(TextMap),
}

impl Blueprint {
    /// Who it will be.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::PolecatPod(p) => &p.common.key,
            Self::TestPod(p) => &p.common.key,
            Self::LandPod(p) => &p.common.key,
            Self::BeadsPod(p) => &p.common.key,
            Self::NotifyPod(p) => &p.common.key,
            Self::Witness { key, .. } | Self::Refinery { key, .. } => key,
            Self::Polecat(p) => &p.key,
            Self::Texts(t) => &t.key,
        }
    }
}
