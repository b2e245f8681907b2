//! Polecats and pods, and the ways decisions ask for them: by key, by rig, by owner.
//!
//! There are thousands of them, and a decision concerns some rigs. So each row goes in and out here alone, and the orders
//! are kept in step with it: what a rig costs to decide does not depend on what else there is.

use crate::key::{Key, Kind, RigKey, Uid};
use crate::row::{PodRole, PodRow, PolecatRow};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All polecats and pods. A row is never changed: a new one takes its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    polecats: BTreeMap<Key, Arc<PolecatRow>>,
    pods: BTreeMap<Key, Arc<PodRow>>,
    /// In key order.
    of_rig: BTreeMap<RigKey, Vec<Arc<PolecatRow>>>,
    of_owner: HashMap<Uid, Owned>,
    /// Pods of polecats that nobody knows.
    strays: BTreeMap<Key, Arc<PodRow>>,
    /// Pods of polecats that are being deleted.
    leaving: BTreeMap<Key, Arc<PodRow>>,
}

/// What is known under one UID.
#[derive(Clone, Debug, Default)]
struct Owned {
    /// Where it is a polecat's.
    polecat: Option<Arc<PolecatRow>>,
    /// In key order.
    pods: Vec<Arc<PodRow>>,
}

impl Rows {
    pub(super) fn polecats(&self) -> &BTreeMap<Key, Arc<PolecatRow>> {
        &self.polecats
    }

    pub(super) fn pods(&self) -> &BTreeMap<Key, Arc<PodRow>> {
        &self.pods
    }

    /// The polecats of a rig, in key order.
    pub(super) fn of_rig(&self, rig: &str) -> &[Arc<PolecatRow>] {
        self.of_rig.get(rig).map_or(&[], Vec::as_slice)
    }

    /// The pods that an object controls, in key order.
    pub(super) fn of_owner(&self, owner: &Uid) -> &[Arc<PodRow>] {
        self.of_owner.get(owner).map_or(&[], |o| o.pods.as_slice())
    }

    /// The polecat of that UID.
    pub(super) fn polecat(&self, uid: &Uid) -> Option<&PolecatRow> {
        self.of_owner.get(uid)?.polecat.as_deref()
    }

    pub(super) fn strays(&self) -> impl Iterator<Item = &PodRow> {
        self.strays.values().map(Arc::as_ref)
    }

    pub(super) fn leaving(&self) -> impl Iterator<Item = &PodRow> {
        self.leaving.values().map(Arc::as_ref)
    }

    pub(super) fn insert_polecat(&mut self, row: Arc<PolecatRow>) {
        let key = row.meta.key.clone();
        let moves = |held: &Arc<PolecatRow>| held.meta.uid != row.meta.uid || held.spec.rig != row.spec.rig;
        if self.polecats.get(&key).is_some_and(moves) {
            self.remove_polecat(&key);
        }
        place(self.of_rig.entry(row.spec.rig.clone()).or_default(), &row, |p| {
            &p.meta.key
        });
        let owned = self.of_owner.entry(row.meta.uid.clone()).or_default();
        owned.polecat = Some(row.clone());
        for pod in &owned.pods {
            self.strays.remove(&pod.meta.key);
        }
        self.polecats.insert(key, row);
    }

    pub(super) fn remove_polecat(&mut self, key: &Key) {
        let Some(row) = self.polecats.remove(key) else { return };
        if let Some(rows) = self.of_rig.get_mut(&row.spec.rig) {
            take(rows, key, |p| &p.meta.key);
            if rows.is_empty() {
                self.of_rig.remove(&row.spec.rig);
            }
        }
        let Some(owned) = self.of_owner.get_mut(&row.meta.uid) else {
            return;
        };
        owned.polecat = None;
        let left = owned.pods.iter().filter(|p| p.role == PodRole::Polecat);
        self.strays.extend(left.map(|pod| (pod.meta.key.clone(), pod.clone())));
        if owned.pods.is_empty() {
            self.of_owner.remove(&row.meta.uid);
        }
    }

    pub(super) fn insert_pod(&mut self, row: Arc<PodRow>) {
        let key = row.meta.key.clone();
        self.remove_pod(&key);
        if row.role == PodRole::Polecat {
            if row.owner.as_ref().and_then(|uid| self.polecat(uid)).is_none() {
                self.strays.insert(key.clone(), row.clone());
            }
            if row.meta.deleting.is_some() {
                self.leaving.insert(key.clone(), row.clone());
            }
        }
        if let Some(owner) = &row.owner {
            let owned = self.of_owner.entry(owner.clone()).or_default();
            place(&mut owned.pods, &row, |p| &p.meta.key);
        }
        self.pods.insert(key, row);
    }

    pub(super) fn remove_pod(&mut self, key: &Key) {
        let Some(row) = self.pods.remove(key) else { return };
        self.strays.remove(key);
        self.leaving.remove(key);
        let Some(owner) = &row.owner else { return };
        let Some(owned) = self.of_owner.get_mut(owner) else {
            return;
        };
        take(&mut owned.pods, key, |p| &p.meta.key);
        if owned.pods.is_empty() && owned.polecat.is_none() {
            self.of_owner.remove(owner);
        }
    }

    /// The polecats of a namespace.
    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a PolecatRow> + 'a {
        self.polecats
            .range(Key::new(Kind::Polecat, namespace, "")..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, row)| &**row)
    }
}

/// Puts a row where its key belongs. Lists come in key order: mostly that is the end.
fn place<T>(rows: &mut Vec<Arc<T>>, row: &Arc<T>, key: impl Fn(&T) -> &Key) {
    match rows.binary_search_by(|held| key(held).cmp(key(row))) {
        Ok(at) => {
            if let Some(held) = rows.get_mut(at) {
                *held = row.clone();
            }
        }
        Err(at) => rows.insert(at, row.clone()),
    }
}

fn take<T>(rows: &mut Vec<Arc<T>>, wanted: &Key, key: impl Fn(&T) -> &Key) {
    if let Ok(at) = rows.binary_search_by(|held| key(held).cmp(wanted)) {
        rows.remove(at);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use super::*;
    use crate::key::Rev;
    use crate::row::{Meta, Row};
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Change {
        Polecat {
            name: u8,
            uid: u8,
            rig: u8,
        },
        NoPolecat {
            name: u8,
        },
        Pod {
            name: u8,
            owner: Option<u8>,
            role: PodRole,
            leaves: bool,
        },
        NoPod {
            name: u8,
        },
    }

    fn change() -> impl Strategy<Value = Change> {
        let role = prop_oneof![Just(PodRole::Polecat), Just(PodRole::Notify)];
        prop_oneof![
            (0..6_u8, 0..2_u8, 0..3_u8).prop_map(|(name, life, rig)| {
                // A UID is of one name for ever.
                Change::Polecat {
                    name,
                    uid: name * 2 + life,
                    rig,
                }
            }),
            (0..6_u8).prop_map(|name| Change::NoPolecat { name }),
            (0..8_u8, proptest::option::of(0..14_u8), role, any::<bool>()).prop_map(|(name, owner, role, leaves)| {
                Change::Pod {
                    name,
                    owner,
                    role,
                    leaves,
                }
            }),
            (0..8_u8).prop_map(|name| Change::NoPod { name }),
        ]
    }

    fn key(kind: Kind, name: u8) -> Key {
        Key::new(kind, format!("ns-{}", name % 2), name.to_string())
    }

    fn meta(kind: Kind, name: u8, uid: u8) -> Meta {
        Meta {
            key: key(kind, name),
            uid: Uid(uid.to_string()),
            rev: Rev(1),
            generation: 1,
            created: Timestamp::UNIX_EPOCH,
            deleting: None,
            finalizers: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    fn pod(name: u8, owner: Option<u8>, role: PodRole, leaves: bool) -> PodRow {
        let mut meta = meta(Kind::Pod, name, name);
        meta.deleting = leaves.then_some(Timestamp::UNIX_EPOCH);
        let owner = owner.map(|uid| Uid(uid.to_string()));
        PodRow::new(meta, role, String::new(), owner)
    }

    fn make(rows: &mut Rows, change: Change) {
        match change {
            Change::Polecat { name, uid, rig } => {
                let mut row: PolecatRow = Row {
                    meta: meta(Kind::Polecat, name, uid),
                    spec: Default::default(),
                    status: Default::default(),
                };
                row.spec.rig = rig.to_string();
                rows.insert_polecat(Arc::new(row));
            }
            Change::NoPolecat { name } => rows.remove_polecat(&key(Kind::Polecat, name)),
            Change::Pod {
                name,
                owner,
                role,
                leaves,
            } => rows.insert_pod(Arc::new(pod(name, owner, role, leaves))),
            Change::NoPod { name } => rows.remove_pod(&key(Kind::Pod, name)),
        }
    }

    proptest! {
        #[test]
        fn every_order_is_what_a_walk_over_all_rows_would_find(changes in proptest::collection::vec(change(), 1..60)) {
            let mut rows = Rows::default();
            for change in changes {
                make(&mut rows, change);
                let rigs: BTreeSet<&str> = rows.polecats.values().map(|p| p.spec.rig.as_str()).collect();
                prop_assert_eq!(rows.of_rig.keys().map(String::as_str).collect::<BTreeSet<_>>(), rigs.clone());
                for rig in rigs {
                    let walked: Vec<_> = rows.polecats.values().filter(|p| p.spec.rig == rig).cloned().collect();
                    prop_assert_eq!(rows.of_rig(rig), walked);
                }
                let known = |uid: &Uid| rows.polecats.values().find(|p| p.meta.uid == *uid).map(Arc::as_ref);
                for uid in (0..14_u8).map(|uid| Uid(uid.to_string())) {
                    let walked: Vec<_> = rows.pods.values().filter(|p| p.owner.as_ref() == Some(&uid)).cloned().collect();
                    prop_assert_eq!(rows.polecat(&uid), known(&uid));
                    let left = known(&uid).is_some() || !walked.is_empty();
                    prop_assert_eq!(rows.of_owner.contains_key(&uid), left, "nothing is kept of what is gone");
                    prop_assert_eq!(rows.of_owner(&uid), walked);
                }
                let polecats = || rows.pods.values().filter(|p| p.role == PodRole::Polecat).map(Arc::as_ref);
                let strays = polecats().filter(|p| p.owner.as_ref().is_none_or(|uid| known(uid).is_none()));
                prop_assert_eq!(rows.strays().collect::<Vec<_>>(), strays.collect::<Vec<_>>());
                let leaving = polecats().filter(|p| p.meta.deleting.is_some());
                prop_assert_eq!(rows.leaving().collect::<Vec<_>>(), leaving.collect::<Vec<_>>());
            }
        }
    }
}
