//! Facts: the only way into the world.

use crate::key::{Key, Kind, Rev, Uid};
use crate::plan::Action;
use crate::row::{BeadStoreRow, ConvoyRow, PodRow, PolecatRow, RefineryRow, RigRow, WitnessRow};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// An object as a watch or list delivered it.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A Rig.
    Rig(Box<RigRow>),
    /// A Polecat.
    Polecat(Box<PolecatRow>),
    /// A Convoy.
    Convoy(Box<ConvoyRow>),
    /// A Witness.
    Witness(Box<WitnessRow>),
    /// A Refinery.
    Refinery(Box<RefineryRow>),
    /// A BeadStore.
    BeadStore(Box<BeadStoreRow>),
    /// A pod of ours.
    Pod(Box<PodRow>),
}

/// How a write of ours ended. Refusals are news, not errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written; the object is at this revision. Creates learn the UID.
    Done {
        /// Of the object now.
        rev: Rev,
        /// Of the object.
        uid: Uid,
    },
    /// A create found the name taken.
    Exists {
        /// Controlling owner of what is there, where it could be read.
        owner: Option<Uid>,
        /// UID of what is there.
        uid: Uid,
        /// Its revision.
        rev: Rev,
    },
    /// The revision was not the newest.
    Stale,
    /// The object is not there.
    Gone,
    /// Refused for good: admission, quota, validation, permission.
    Denied {
        /// The API server's words.
        why: String,
    },
    /// Timed out or cut off: perhaps applied.
    Unknown,
    /// The server asked to come back.
    Later {
        /// Seconds.
        seconds: u64,
    },
}

/// An action and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// When we learned it.
    pub at: Timestamp,
}

/// Everything the world can learn.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// An object as it is.
    Seen(Seen),
    /// An object is gone, as of this revision.
    Vanished {
        /// Who.
        key: Key,
        /// The deletion's revision.
        rev: Rev,
    },
    /// A whole list: what is not in it and not newer is gone.
    Listed {
        /// Of which kind.
        kind: Kind,
        /// Who is there.
        keys: BTreeSet<Key>,
        /// As of this revision.
        rev: Rev,
    },
    /// An object that cannot be read. It is left alone, and stops no other.
    Malformed {
        /// Who.
        key: Key,
        /// What is wrong with it.
        why: String,
    },
    /// An action is on its way.
    Asked(Action),
    /// An action was answered.
    Answered(Answer),
}
