//! Recent changes of one resource: what watches read, and how lists go back to an older revision.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::object::{Object, Place};

/// One committed change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) rv: u64,
    pub(crate) place: Place,
    pub(crate) old: Option<Arc<Object>>,
    pub(crate) new: Option<Arc<Object>>,
    /// What a watch sends: the new object, or the last state of a removed one with the revision of its removal.
    pub(crate) shown: Arc<Object>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// The changes after a revision.
pub(crate) enum Since {
    Changes(Vec<Change>),
    /// They are gone: the reader was too slow, or comes from before a restart.
    TooOld,
}

/// A bounded queue of changes.
#[derive(Debug)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    limit: usize,
    /// Every change with a greater revision is still here.
    floor: u64,
}

impl History {
    pub(crate) fn new(limit: usize, floor: u64) -> Self {
        History {
            changes: VecDeque::new(),
            limit,
            floor,
        }
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        while self.changes.len() > self.limit {
            if let Some(gone) = self.changes.pop_front() {
                self.floor = gone.rv;
            }
        }
    }

    /// Up to `limit` changes after `rv`.
    pub(crate) fn since(&self, rv: u64, limit: usize) -> Since {
        if rv < self.floor {
            return Since::TooOld;
        }
        let start = self.changes.partition_point(|c| c.rv <= rv);
        Since::Changes(self.changes.iter().skip(start).take(limit).cloned().collect())
    }

    /// What differed at `rv` from now: the object of each place at that revision. `None` when unknown.
    pub(crate) fn rewind(&self, rv: u64) -> Option<BTreeMap<&Place, Option<&Arc<Object>>>> {
        if rv < self.floor {
            return None;
        }
        let mut was = BTreeMap::new();
        for change in self.changes.iter().rev().take_while(|c| c.rv > rv) {
            was.insert(&change.place, change.old.as_ref());
        }
        Some(was)
    }
}
