//! Plans: what to write, why, and when to look again.

use crate::blueprint::Blueprint;
use crate::key::{Key, Rev, RigKey, Uid};
use crate::reason::Reason;
use gastown_api as api;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The status of one of our kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Of a Rig.
    Rig(Box<api::RigStatus>),
    /// Of a Polecat.
    Polecat(Box<api::PolecatStatus>),
    /// Of a Convoy.
    Convoy(Box<api::ConvoyStatus>),
    /// Of a Witness.
    Witness(Box<api::WitnessStatus>),
    /// Of a Refinery.
    Refinery(Box<api::RefineryStatus>),
    /// Of a BeadStore.
    BeadStore(Box<api::BeadStoreStatus>),
}

/// An event (core/v1) about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `Warning` or `Normal`.
    pub warning: bool,
    /// Why.
    pub because: Reason,
}

/// One API call. Every write but a create names the revision it was decided on.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create what the blueprint says; names are deterministic.
    Create {
        /// What.
        blueprint: Box<Blueprint>,
        /// Why.
        because: Reason,
    },
    /// Delete, if it is still this incarnation.
    Delete {
        /// Who.
        key: Key,
        /// Which incarnation.
        uid: Uid,
        /// It has ended, and nothing waits for it to be gone.
        over: bool,
        /// Why.
        because: Reason,
    },
    /// Merge-patch the status from what was read to what it should be.
    /// The notice becomes an event once the write is accepted: so it is told once, whatever restarts.
    Publish {
        /// Who.
        key: Key,
        /// Which incarnation.
        uid: Uid,
        /// Decided on.
        rev: Rev,
        /// As published.
        from: Status,
        /// As it should be.
        to: Status,
        /// Told when accepted.
        notices: Vec<Notice>,
        /// Why.
        because: Reason,
    },
    /// Set annotations of a pod; those without a value are taken off.
    Annotate {
        /// Who.
        key: Key,
        /// Which incarnation.
        uid: Uid,
        /// Decided on.
        rev: Rev,
        /// Key to value.
        set: BTreeMap<String, Option<String>>,
        /// Why.
        because: Reason,
    },
    /// Remove the finalizers the predecessor left.
    Release {
        /// Who.
        key: Key,
        /// Which incarnation.
        uid: Uid,
        /// Decided on.
        rev: Rev,
        /// What stays.
        keep: Vec<String>,
    },
}

impl Action {
    /// The object it writes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Create { blueprint, .. } => blueprint.key(),
            Self::Delete { key, .. }
            | Self::Publish { key, .. }
            | Self::Annotate { key, .. }
            | Self::Release { key, .. } => key,
        }
    }

    /// The revision it was decided on, where it names one.
    pub(crate) fn decided_on(&self) -> Option<Rev> {
        match self {
            Self::Publish { rev, .. } | Self::Annotate { rev, .. } | Self::Release { rev, .. } => Some(*rev),
            Self::Create { .. } | Self::Delete { .. } => None,
        }
    }

    /// Whether something goes on only after it: a place that is taken or freed, a pod, a test run, a change that lands.
    /// What is left only tells people or tidies up, and waits while the API server has more to do than it can.
    #[must_use]
    pub fn moves_work(&self) -> bool {
        match self {
            Self::Publish {
                from: Status::Polecat(from),
                to: Status::Polecat(to),
                ..
            } => to.phase != api::PolecatPhase::Working || (from.round, from.attempt) != (to.round, to.attempt),
            Self::Publish { to, .. } => !matches!(to, Status::Rig(_) | Status::Witness(_)),
            Self::Delete { over, .. } => !over,
            _ => true,
        }
    }

    /// Why it is done, for the log.
    #[must_use]
    pub fn because(&self) -> Reason {
        match self {
            Self::Create { because, .. }
            | Self::Delete { because, .. }
            | Self::Publish { because, .. }
            | Self::Annotate { because, .. } => because.clone(),
            Self::Release { .. } => Reason::new("PredecessorFinalizer", "no finalizer of ours holds anything"),
        }
    }
}

/// What to do now, and when each rig wants to be looked at again though nothing happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Safest first; at most one an object.
    pub actions: Vec<Action>,
    /// A rig without an entry waits for facts alone.
    pub wakes: BTreeMap<RigKey, Timestamp>,
}
