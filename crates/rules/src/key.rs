//! Names of things.

use std::fmt;

/// The kinds the world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Cluster-scoped.
    Rig,
    /// One agent's work.
    Polecat,
    /// A batch.
    Convoy,
    /// Health of a rig's polecats.
    Witness,
    /// A merge queue.
    Refinery,
    /// Where issues come from.
    BeadStore,
    /// A pod of ours.
    Pod,
    /// A text of ours that does not fit in a pod's spec.
    ConfigMap,
}

/// Kind, namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which kind.
    pub kind: Kind,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl Key {
    /// A key from its parts.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{:?} {}", self.kind, self.name),
            ns => write!(f, "{:?} {ns}/{}", self.kind, self.name),
        }
    }
}

/// An object's UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub String);

/// A resourceVersion: ordered, as Kubernetes promises since 1.35 and has always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rev(pub u64);

/// The unit of dirtiness: the name in `spec.rig` or `spec.rigRef`, whether or not such a Rig exists.
/// Convoys that name no rig live under the empty name.
pub type RigKey = String;
