//! Everything committed, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::history::{Change, History, Since};
use crate::catalog::{Catalog, Resource};
use crate::kinds::compile_crd;
use crate::object::{Key, Object, Place, owners};
use crate::server::Clock;

/// Committed objects of all resources.
#[derive(Debug)]
pub(crate) struct State {
    /// The revision of the last committed change.
    pub(crate) rv: u64,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Clock,
    tables: HashMap<Arc<str>, Table>,
    dependents: HashMap<String, BTreeSet<Key>>,
    history: usize,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Place, Arc<Object>>,
    history: History,
    /// `None` once the resource is no longer served: dropping the sender ends its watches.
    wake: Option<watch::Sender<u64>>,
}

impl State {
    /// The state as loaded: watches cannot go back behind `rv`.
    pub(crate) fn new(history: usize, rv: u64, clock: Clock) -> Self {
        let catalog = Catalog::built_in();
        let mut state = State {
            rv,
            catalog,
            clock,
            tables: HashMap::new(),
            dependents: HashMap::new(),
            history,
        };
        let ids: Vec<Arc<str>> = state.catalog.all().map(|r| Arc::clone(&r.id)).collect();
        for id in ids {
            state.open_table(&id);
        }
        state
    }

    fn open_table(&mut self, id: &Arc<str>) {
        let (limit, floor) = (self.history, self.rv);
        let table = self.tables.entry(Arc::clone(id)).or_insert_with(|| Table {
            objects: BTreeMap::new(),
            history: History::new(limit, floor),
            wake: None,
        });
        table.wake.get_or_insert_with(|| watch::Sender::new(floor));
    }

    /// Takes in an object from disk; no watch hears of it.
    pub(crate) fn load(&mut self, key: Key, object: Arc<Object>) -> Result<(), String> {
        if &*key.resource == CRDS {
            let resource = compile_crd(&object.value)?;
            self.define(Arc::new(resource));
        }
        self.index(&key, None, Some(&object));
        self.open_table(&key.resource);
        if let Some(table) = self.tables.get_mut(&key.resource) {
            table.objects.insert(key.place(), object);
        }
        Ok(())
    }

    fn define(&mut self, resource: Arc<Resource>) {
        self.open_table(&resource.id);
        self.catalog.insert(resource);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.tables.get(&key.resource)?.objects.get(&key.place())
    }

    pub(crate) fn count(&self, resource: &str) -> usize {
        self.tables.get(resource).map_or(0, |t| t.objects.len())
    }

    /// The objects of a resource after `after`, in one namespace or in all (empty).
    pub(crate) fn range<'a>(
        &'a self,
        resource: &str,
        namespace: &'a str,
        after: Option<&Place>,
    ) -> impl Iterator<Item = (&'a Place, &'a Arc<Object>)> + use<'a> {
        let from = match after {
            Some(place) => Bound::Excluded(place.clone()),
            None => Bound::Included((namespace.to_owned(), String::new())),
        };
        self.tables
            .get(resource)
            .into_iter()
            .flat_map(move |t| t.objects.range((from.clone(), Bound::Unbounded)))
            .take_while(move |(place, _)| namespace.is_empty() || place.0 == namespace)
    }

    /// The objects of a resource as they were at `rv`; `None` when that is forgotten.
    pub(crate) fn at(&self, resource: &str, namespace: &str, rv: u64) -> Option<BTreeMap<Place, Arc<Object>>> {
        let mut objects: BTreeMap<Place, Arc<Object>> = self
            .range(resource, namespace, None)
            .map(|(p, o)| (p.clone(), Arc::clone(o)))
            .collect();
        if rv == self.rv {
            return Some(objects);
        }
        for (place, was) in self.tables.get(resource)?.history.rewind(rv)? {
            if !namespace.is_empty() && place.0 != namespace {
                continue;
            }
            match was {
                Some(object) => objects.insert(place.clone(), Arc::clone(object)),
                None => objects.remove(place),
            };
        }
        Some(objects)
    }

    pub(crate) fn since(&self, resource: &str, rv: u64, limit: usize) -> Since {
        // A revision from the future was given out by another store.
        if rv > self.rv {
            return Since::TooOld;
        }
        match self.tables.get(resource) {
            Some(table) => table.history.since(rv, limit),
            None => Since::TooOld,
        }
    }

    /// Wakes at each change of a resource; closed when the resource is no longer served.
    pub(crate) fn subscribe(&self, resource: &str) -> Option<watch::Receiver<u64>> {
        self.tables.get(resource)?.wake.as_ref().map(watch::Sender::subscribe)
    }

    /// Objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(uid).into_iter().flatten()
    }

    pub(crate) fn namespaced_tables(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tables.keys()
    }

    /// Makes committed changes visible and wakes the watches. The only way the state changes.
    pub(crate) fn apply(&mut self, changes: Vec<(Key, Change)>) {
        let mut woken: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let mut redefined = false;
        for (key, change) in changes {
            self.rv = change.rv;
            if &*key.resource == CRDS {
                redefined = true;
                self.apply_definition(&change);
            }
            self.index(&key, change.old.as_ref(), change.new.as_ref());
            self.open_table(&key.resource);
            if let Some(table) = self.tables.get_mut(&key.resource) {
                match &change.new {
                    Some(object) => table.objects.insert(key.place(), Arc::clone(object)),
                    None => table.objects.remove(&key.place()),
                };
                woken.insert(Arc::clone(&key.resource), change.rv);
                table.history.push(change);
            }
        }
        for (id, rv) in woken {
            if let Some(wake) = self.tables.get(&id).and_then(|t| t.wake.as_ref()) {
                wake.send_replace(rv);
            }
        }
        if redefined {
            let served: BTreeSet<Arc<str>> = self.catalog.all().map(|r| Arc::clone(&r.id)).collect();
            for (_, table) in self.tables.iter_mut().filter(|(id, _)| !served.contains(*id)) {
                table.wake = None;
            }
        }
    }

    fn apply_definition(&mut self, change: &Change) {
        let generation = |o: &Arc<Object>| o.value.get("metadata").and_then(|m| m.get("generation")).cloned();
        match (&change.old, &change.new) {
            (Some(old), Some(new)) if generation(old) == generation(new) && old.uid() == new.uid() => {}
            (_, Some(new)) => match compile_crd(&new.value) {
                Ok(resource) => self.define(Arc::new(resource)),
                // Validation compiled it before the commit.
                Err(error) => {
                    tracing::error!(name = new.name(), error, "a stored CRD does not compile")
                }
            },
            (Some(old), None) => self.catalog.remove(old.name()),
            (None, None) => {}
        }
    }

    fn index(&mut self, key: &Key, old: Option<&Arc<Object>>, new: Option<&Arc<Object>>) {
        for owner in old.map(|o| owners(&o.value)).unwrap_or_default() {
            if let Some(set) = self.dependents.get_mut(&owner.uid) {
                set.remove(key);
                if set.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        for owner in new.map(|o| owners(&o.value)).unwrap_or_default() {
            self.dependents.entry(owner.uid).or_default().insert(key.clone());
        }
    }
}

/// The id of the resource of CRDs.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// A value as a fresh object of revision `rv`.
pub(crate) fn stamped(mut value: Value, rv: u64) -> Arc<Object> {
    crate::object::set_meta(&mut value, "resourceVersion", Some(Value::from(rv.to_string())));
    Arc::new(Object::new(value, rv))
}
