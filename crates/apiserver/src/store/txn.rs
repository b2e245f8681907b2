//! A transaction: changes over the committed state, seen by those after them, undone when a job fails.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::history::Change;
use super::state::{State, stamped};
use crate::catalog::Catalog;
use crate::object::{Key, Object, owners};

/// What has to follow from a change before the transaction is whole.
#[derive(Debug, Clone)]
pub(crate) enum Follow {
    /// An object is gone: collect what it owned, finish what waited for it.
    Removed(Key, Arc<Object>),
    /// An object names owners that may not exist.
    CheckOwners(Key),
    /// An owner waits for its dependents.
    Foreground(Key),
    /// A namespace or a definition is being deleted: finish it if nothing is left inside.
    Emptying(Key),
}

/// Changes that nobody has seen yet.
pub(crate) struct Txn<'a> {
    base: &'a State,
    now: Timestamp,
    rv: u64,
    overlay: HashMap<Key, Option<Arc<Object>>>,
    by_resource: HashMap<Arc<str>, BTreeSet<Key>>,
    added_dependents: HashMap<String, BTreeSet<Key>>,
    changes: Vec<(Key, Change)>,
    follow: VecDeque<Follow>,
    // Checked last and once, however many removals ask for it.
    emptying: BTreeSet<Key>,
    /// Only played through: what is written keeps the revision it had, or has none.
    rehearsal: bool,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(base: &'a State) -> Self {
        Txn {
            base,
            now: base.clock.now(),
            rv: base.rv,
            overlay: HashMap::new(),
            by_resource: HashMap::new(),
            added_dependents: HashMap::new(),
            changes: Vec::new(),
            follow: VecDeque::new(),
            emptying: BTreeSet::new(),
            rehearsal: false,
        }
    }

    /// A transaction that will never be committed.
    pub(crate) fn rehearsal(base: &'a State) -> Self {
        Txn {
            rehearsal: true,
            ..Self::new(base)
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.base.catalog
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Object>> {
        match self.overlay.get(key) {
            Some(pending) => pending.clone(),
            None => self.base.get(key).cloned(),
        }
    }

    /// Objects of a resource in a namespace (all: empty), pending changes included.
    pub(crate) fn list(&self, resource: &Arc<str>, namespace: &str) -> Vec<(Key, Arc<Object>)> {
        let mut all: BTreeMap<Key, Arc<Object>> = self
            .base
            .range(resource, namespace, None)
            .map(|(p, o)| (Key::new(resource, &p.0, &p.1), Arc::clone(o)))
            .collect();
        for key in self.by_resource.get(resource).into_iter().flatten() {
            if !namespace.is_empty() && key.namespace != namespace {
                continue;
            }
            match self.overlay.get(key) {
                Some(Some(object)) => all.insert(key.clone(), Arc::clone(object)),
                _ => all.remove(key),
            };
        }
        all.into_iter().collect()
    }

    /// How many objects of a resource were committed before this transaction.
    pub(crate) fn count(&self, resource: &Arc<str>) -> usize {
        self.base.count(resource)
    }

    /// Whether anything of a resource is left in a namespace (anywhere: empty).
    pub(crate) fn is_empty(&self, resource: &Arc<str>, namespace: &str) -> bool {
        let pending_live = self.by_resource.get(resource).into_iter().flatten().any(|k| {
            (namespace.is_empty() || k.namespace == namespace) && self.overlay.get(k).is_some_and(Option::is_some)
        });
        !pending_live
            && self.base.range(resource, namespace, None).all(|(p, _)| {
                self.overlay
                    .get(&Key::new(resource, &p.0, &p.1))
                    .is_some_and(Option::is_none)
            })
    }

    pub(crate) fn resources(&self) -> Vec<Arc<str>> {
        self.base.namespaced_tables().cloned().collect()
    }

    pub(crate) fn dependents(&self, uid: &str) -> Vec<(Key, Arc<Object>)> {
        let mut keys: BTreeSet<Key> = self.base.dependents(uid).cloned().collect();
        keys.extend(self.added_dependents.get(uid).into_iter().flatten().cloned());
        keys.into_iter()
            .filter_map(|k| self.get(&k).map(|o| (k, o)))
            .filter(|(_, o)| owners(&o.value).iter().any(|r| r.uid == uid))
            .collect()
    }

    /// Stores `value` under `key` with the next revision.
    pub(crate) fn put(&mut self, key: &Key, value: Value) -> Arc<Object> {
        let object = self.stamped(key, value);
        for owner in owners(&object.value) {
            self.added_dependents.entry(owner.uid).or_default().insert(key.clone());
        }
        self.record(key, Some(Arc::clone(&object)), Arc::clone(&object));
        object
    }

    /// Removes an object; returns its last state, with the revision of the removal.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Object>> {
        let old = self.get(key)?;
        let last = self.stamped(key, old.value.clone());
        self.record(key, None, Arc::clone(&last));
        self.follow.push_back(Follow::Removed(key.clone(), Arc::clone(&last)));
        Some(last)
    }

    fn stamped(&mut self, key: &Key, mut value: Value) -> Arc<Object> {
        if !self.rehearsal {
            self.rv += 1;
            return stamped(value, self.rv);
        }
        match self.get(key) {
            Some(old) => stamped(value, old.rv),
            None => {
                crate::object::set_meta(&mut value, "resourceVersion", None);
                Arc::new(Object::new(value, 0))
            }
        }
    }

    fn record(&mut self, key: &Key, new: Option<Arc<Object>>, shown: Arc<Object>) {
        let old = self.get(key);
        self.by_resource
            .entry(Arc::clone(&key.resource))
            .or_default()
            .insert(key.clone());
        self.overlay.insert(key.clone(), new.clone());
        let change = Change {
            rv: self.rv,
            place: key.place(),
            old,
            new,
            shown,
        };
        self.changes.push((key.clone(), change));
    }

    pub(crate) fn follow_up(&mut self, follow: Follow) {
        match follow {
            Follow::Emptying(key) => {
                self.emptying.insert(key);
            }
            other => self.follow.push_back(other),
        }
    }

    pub(crate) fn next_follow(&mut self) -> Option<Follow> {
        let next = self.follow.pop_front();
        next.or_else(|| self.emptying.pop_first().map(Follow::Emptying))
    }

    /// A point to go back to if the job that starts here fails.
    pub(crate) fn mark(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn undo(&mut self, mark: usize) {
        self.follow.clear();
        self.emptying.clear();
        while self.changes.len() > mark {
            let Some((key, change)) = self.changes.pop() else {
                break;
            };
            self.overlay.insert(key, change.old);
        }
        self.rv = self.changes.last().map_or(self.base.rv, |(_, c)| c.rv);
    }

    pub(crate) fn into_changes(self) -> Vec<(Key, Change)> {
        self.changes
    }
}
