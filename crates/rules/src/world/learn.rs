//! The only way into the world: watch events, and the answers to our own writes.

use super::{Refusal, World};
use crate::blueprint::Blueprint;
use crate::fact::{Answer, Fact, Outcome, Seen};
use crate::key::{Key, Kind, Rev, RigKey, Uid};
use crate::plan::{Action, Status};
use crate::row::{Meta, PodRole, PodRow, Row};
use gastown_api as api;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Backoff of refused writes: 1 s doubling to 5 min.
fn backoff(count: u32) -> SignedDuration {
    SignedDuration::from_secs((1_i64 << count.min(9)).min(300))
}

impl World {
    /// Takes a fact in. A fact older than what we hold changes nothing. Returns the rigs it may concern.
    pub fn learn(&mut self, fact: Fact) -> BTreeSet<RigKey> {
        match fact {
            Fact::Seen(seen) => self.see(seen),
            Fact::Vanished { key, rev } => self.vanish(&key, rev),
            Fact::Listed { kind, keys, rev } => self.list(kind, &keys, rev),
            Fact::Malformed { key, why } => {
                let mut dirty = self.homes_of(&key);
                self.remove(&key);
                dirty.extend(self.homes_of(&key));
                self.malformed.insert(key, why);
                dirty
            }
            Fact::Asked(action) => {
                let key = action.key().clone();
                let homes = self.homes_of_action(&action);
                self.homes.insert(key.clone(), homes);
                self.inflight.insert(key, action);
                BTreeSet::new()
            }
            Fact::Answered(answer) => self.hear(answer),
        }
    }

    fn see(&mut self, seen: Seen) -> BTreeSet<RigKey> {
        let meta = match &seen {
            Seen::Rig(r) => &r.meta,
            Seen::Polecat(r) => &r.meta,
            Seen::Convoy(r) => &r.meta,
            Seen::Witness(r) => &r.meta,
            Seen::Refinery(r) => &r.meta,
            Seen::BeadStore(r) => &r.meta,
            Seen::Pod(r) => &r.meta,
        };
        let (key, rev) = (meta.key.clone(), meta.rev);
        self.advance(key.kind, rev);
        if self.rev_of(&key).is_some_and(|held| held >= rev) {
            return BTreeSet::new();
        }
        let mut dirty = self.homes_of(&key);
        if self
            .perhaps
            .get(&key)
            .is_some_and(|action| action.decided_on().is_some_and(|on| on < rev))
        {
            self.perhaps.remove(&key);
        }
        if self.rev_of(&key).is_none() {
            // What a create was refused for is there now: nothing more is created under that name.
            self.refusals.remove(&key);
        }
        self.insert(seen);
        self.malformed.remove(&key);
        if self.stale.get(&key).is_some_and(|floor| rev > *floor) {
            self.stale.remove(&key);
        }
        dirty.extend(self.homes_of(&key));
        dirty
    }

    fn insert(&mut self, seen: Seen) {
        match seen {
            Seen::Rig(r) => {
                self.rigs.insert(r.meta.key.name.clone(), *r);
            }
            Seen::Polecat(r) => {
                self.rows.insert_polecat(r.into());
            }
            Seen::Convoy(r) => {
                self.convoys.insert(r.meta.key.clone(), *r);
            }
            Seen::Witness(r) => {
                self.witnesses.insert(r.meta.key.clone(), *r);
            }
            Seen::Refinery(r) => {
                self.refineries.insert(r.meta.key.clone(), *r);
            }
            Seen::BeadStore(r) => {
                self.bead_stores.insert(r.meta.key.clone(), *r);
            }
            Seen::Pod(r) => {
                self.rows.insert_pod(r.into());
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        match key.kind {
            Kind::Rig => drop(self.rigs.remove(&key.name)),
            Kind::Polecat => self.rows.remove_polecat(key),
            Kind::Convoy => drop(self.convoys.remove(key)),
            Kind::Witness => drop(self.witnesses.remove(key)),
            Kind::Refinery => drop(self.refineries.remove(key)),
            Kind::BeadStore => drop(self.bead_stores.remove(key)),
            Kind::Pod => self.rows.remove_pod(key),
            Kind::ConfigMap => drop(self.texts.remove(key)),
        }
    }

    fn advance(&mut self, kind: Kind, rev: Rev) {
        let horizon = self.horizon.entry(kind).or_default();
        *horizon = (*horizon).max(rev);
    }

    fn vanish(&mut self, key: &Key, rev: Rev) -> BTreeSet<RigKey> {
        self.advance(key.kind, rev);
        if self.rev_of(key).is_some_and(|held| held > rev) {
            return BTreeSet::new();
        }
        let mut dirty = self.homes_of(key);
        self.remove(key);
        self.malformed.remove(key);
        self.stale.remove(key);
        self.perhaps.remove(key);
        self.written.remove(key);
        if !self.inflight.contains_key(key) && self.refusals.remove(key).is_some() {
            // Whoever waits for the name may be of another rig than what held it.
            dirty.extend(self.all());
        }
        dirty
    }

    fn list(&mut self, kind: Kind, keys: &BTreeSet<Key>, rev: Rev) -> BTreeSet<RigKey> {
        let held: Vec<Key> = self
            .held(kind)
            .into_iter()
            .chain(self.malformed.keys().filter(|k| k.kind == kind).cloned())
            .filter(|k| !keys.contains(k))
            .collect();
        let mut dirty = BTreeSet::new();
        for key in held {
            dirty.extend(self.vanish(&key, rev));
        }
        self.advance(kind, rev);
        dirty
    }

    fn held(&self, kind: Kind) -> Vec<Key> {
        match kind {
            Kind::Rig => self.rigs.values().map(|r| r.meta.key.clone()).collect(),
            Kind::Polecat => self.polecats().keys().cloned().collect(),
            Kind::Convoy => self.convoys.keys().cloned().collect(),
            Kind::Witness => self.witnesses.keys().cloned().collect(),
            Kind::Refinery => self.refineries.keys().cloned().collect(),
            Kind::BeadStore => self.bead_stores.keys().cloned().collect(),
            Kind::Pod => self.pods().keys().cloned().collect(),
            Kind::ConfigMap => Vec::new(),
        }
    }

    fn hear(&mut self, answer: Answer) -> BTreeSet<RigKey> {
        let Answer { action, outcome, at } = answer;
        let key = action.key().clone();
        self.inflight.remove(&key);
        let mut dirty = self.homes.remove(&key).unwrap_or_default();
        dirty.extend(self.homes_of_action(&action));
        match outcome {
            Outcome::Done { rev, uid } => {
                self.refusals.remove(&key);
                self.perhaps.remove(&key);
                self.done(action, rev, uid, at);
            }
            Outcome::Exists { owner, uid, rev } => self.exists(&action, owner.as_ref(), (uid, rev), at),
            Outcome::Stale => self.must_see_newer(&action),
            Outcome::Gone => self.gone(&action, at),
            Outcome::Denied { why } => self.refuse(&key, at, None, Some(why)),
            Outcome::Unknown => {
                self.refuse(&key, at, Some(2), None);
                if matches!(action, Action::Publish { .. }) {
                    self.perhaps.insert(key.clone(), action);
                }
            }
            Outcome::Later { seconds } => self.refuse(&key, at, Some(seconds), None),
        }
        dirty.extend(self.homes_of(&key));
        dirty
    }

    /// Our own write, as if the watch had told us: so a lagging cache cannot make us act twice.
    fn done(&mut self, action: Action, rev: Rev, uid: Uid, at: Timestamp) {
        match action {
            Action::Create { blueprint, .. } => self.created(*blueprint, rev, uid, at),
            Action::Delete { key, .. } => {
                self.amend(&key, |meta| {
                    meta.deleting.get_or_insert(at);
                });
            }
            Action::Publish { key, to, .. } => {
                if self.rev_of(&key).is_some_and(|held| held < rev) {
                    self.set_status(&key, to, rev);
                    // Only sums are paced, and of polecats there are thousands.
                    if key.kind != Kind::Polecat {
                        self.written.insert(key, at);
                    }
                }
            }
            Action::Annotate { key, set, .. } => {
                if self.rev_of(&key).is_some_and(|held| held < rev) {
                    self.amend(&key, |meta| {
                        for (name, value) in set {
                            match value {
                                Some(value) => meta.annotations.insert(name, value),
                                None => meta.annotations.remove(&name),
                            };
                        }
                        meta.rev = rev;
                    });
                }
            }
            Action::Release { key, keep, .. } => {
                if self.rev_of(&key).is_some_and(|held| held < rev) {
                    self.amend(&key, |meta| {
                        meta.finalizers = keep;
                        meta.rev = rev;
                    });
                }
            }
        }
    }

    fn set_status(&mut self, key: &Key, status: Status, rev: Rev) {
        fn set<S, T>(row: Option<&mut Row<S, T>>, status: T, rev: Rev) {
            if let Some(row) = row {
                row.status = status;
                row.meta.rev = rev;
            }
        }
        match status {
            Status::Rig(s) => set(self.rigs.get_mut(&key.name), *s, rev),
            Status::Polecat(s) => self.amend_polecat(key, |row| set(Some(row), *s, rev)),
            Status::Convoy(s) => set(self.convoys.get_mut(key), *s, rev),
            Status::Witness(s) => set(self.witnesses.get_mut(key), *s, rev),
            Status::Refinery(s) => set(self.refineries.get_mut(key), *s, rev),
            Status::BeadStore(s) => set(self.bead_stores.get_mut(key), *s, rev),
        }
    }

    fn created(&mut self, blueprint: Blueprint, rev: Rev, uid: Uid, at: Timestamp) {
        let key = blueprint.key().clone();
        if key.kind == Kind::ConfigMap {
            self.texts.insert(key);
            return;
        }
        // The watch has come past this write: what it holds, or no longer holds, is newer than the answer.
        let horizon = self.horizon.get(&key.kind).copied().unwrap_or_default();
        if self.rev_of(&key).is_some() || horizon >= rev {
            return;
        }
        self.believe(blueprint, rev, uid, at);
    }

    /// Takes what was to be created for there.
    fn believe(&mut self, blueprint: Blueprint, rev: Rev, uid: Uid, at: Timestamp) {
        let key = blueprint.key().clone();
        let meta = new_meta(&blueprint, rev, uid, at);
        match blueprint {
            Blueprint::PolecatPod(p) => {
                let mut row = PodRow::new(meta, PodRole::Polecat, p.orders.subject.rig, Some(p.common.owner.2));
                row.attempt = p.orders.attempt;
                row.round = p.orders.round;
                self.rows.insert_pod(Arc::new(row));
            }
            Blueprint::TestPod(p) => {
                let mut row = PodRow::new(meta, PodRole::Test, p.orders.rig.clone(), Some(p.common.owner.2));
                row.test = Some(Box::new(p.orders));
                self.rows.insert_pod(Arc::new(row));
            }
            Blueprint::LandPod(p) => {
                let mut row = PodRow::new(meta, PodRole::Land, p.orders.rig.clone(), Some(p.common.owner.2));
                row.land = Some(Box::new(p.orders));
                self.rows.insert_pod(Arc::new(row));
            }
            Blueprint::BeadsPod(p) => {
                let row = PodRow::new(meta, PodRole::Beads, p.orders.rig, Some(p.common.owner.2));
                self.rows.insert_pod(Arc::new(row));
            }
            Blueprint::NotifyPod(p) => {
                let rig = meta.annotations.get(api::labels::RIG).cloned().unwrap_or_default();
                let row = PodRow::new(meta, PodRole::Notify, rig, Some(p.common.owner.2));
                self.rows.insert_pod(Arc::new(row));
            }
            Blueprint::Witness { spec, .. } => {
                self.witnesses.insert(
                    key,
                    Row {
                        meta,
                        spec,
                        status: Default::default(),
                    },
                );
            }
            Blueprint::Refinery { spec, .. } => {
                self.refineries.insert(
                    key,
                    Row {
                        meta,
                        spec,
                        status: Default::default(),
                    },
                );
            }
            Blueprint::Polecat(p) => {
                let row = Row {
                    meta,
                    spec: p.spec,
                    status: Default::default(),
                };
                self.rows.insert_polecat(Arc::new(row));
            }
            Blueprint::Texts(_) => {}
        }
    }

    fn exists(&mut self, action: &Action, owner: Option<&Uid>, found: (Uid, Rev), at: Timestamp) {
        let key = action.key().clone();
        let Action::Create { blueprint, .. } = action else {
            return;
        };
        let ours = match blueprint.as_ref() {
            Blueprint::PolecatPod(p) => owner == Some(&p.common.owner.2),
            Blueprint::TestPod(p) => owner == Some(&p.common.owner.2),
            Blueprint::LandPod(p) => owner == Some(&p.common.owner.2),
            Blueprint::BeadsPod(p) => owner == Some(&p.common.owner.2),
            Blueprint::NotifyPod(p) => owner == Some(&p.common.owner.2),
            Blueprint::Texts(t) => owner == Some(&t.owner.1),
            Blueprint::Witness { .. } | Blueprint::Refinery { .. } | Blueprint::Polecat(_) => true,
        };
        if !ours {
            let why = format!("the name {} is taken by an object that is not ours", key.name);
            self.refuse(&key, at, None, Some(why));
        } else if key.kind == Kind::ConfigMap {
            self.texts.insert(key);
        } else if self.rev_of(&key).is_none() {
            let (uid, rev) = found;
            let horizon = self.horizon.get(&key.kind).copied().unwrap_or_default();
            if key.kind == Kind::Pod && horizon < rev {
                // Ours, from a create whose answer was lost, and the watch has not come so far: it takes its place
                // from now on. Whatever the watch brings of it is newer.
                let before = Rev(rev.0.saturating_sub(1));
                return self.believe(blueprint.as_ref().clone(), before, uid, at);
            }
            // The watch should have brought it. If the object lacks our label or is gone again, the create is
            // tried once more: paced, and never in silence.
            let why = format!("{} exists already and is not visible to this operator", key.name);
            self.refuse(&key, at, None, Some(why));
        }
    }

    /// A conflict: nothing more is decided about the object until the watch brings what we have not seen.
    fn must_see_newer(&mut self, action: &Action) {
        match action {
            Action::Publish { key, rev, .. } | Action::Annotate { key, rev, .. } | Action::Release { key, rev, .. } => {
                if self.rev_of(key).is_some_and(|held| held <= *rev) {
                    self.stale.insert(key.clone(), *rev);
                }
            }
            Action::Delete { key, uid, .. } => {
                if let Some(held) = self.meta_of(key).filter(|m| m.uid == *uid).map(|m| m.rev) {
                    self.stale.insert(key.clone(), held);
                }
            }
            Action::Create { .. } => {}
        }
    }

    fn gone(&mut self, action: &Action, at: Timestamp) {
        let key = action.key().clone();
        match action {
            Action::Delete { uid, .. } => {
                if self.meta_of(&key).is_some_and(|m| m.uid == *uid) {
                    self.remove(&key);
                }
            }
            Action::Publish { rev, .. } | Action::Annotate { rev, .. } | Action::Release { rev, .. } => {
                if self.rev_of(&key).is_some_and(|held| held <= *rev) {
                    self.stale.insert(key, *rev);
                }
            }
            Action::Create { .. } => {
                let why = format!("namespace {} does not exist", key.namespace);
                self.refuse(&key, at, None, Some(why));
            }
        }
    }

    fn refuse(&mut self, key: &Key, at: Timestamp, seconds: Option<u64>, why: Option<String>) {
        let count = self.refusals.get(key).map_or(0, |r| r.count.saturating_add(1));
        let wait = seconds.map_or_else(
            || backoff(count),
            |s| SignedDuration::from_secs(i64::try_from(s.clamp(1, 300)).unwrap_or(300)),
        );
        self.refusals.insert(
            key.clone(),
            Refusal {
                until: at + wait,
                count,
                why,
            },
        );
    }
}

fn new_meta(blueprint: &Blueprint, rev: Rev, uid: Uid, at: Timestamp) -> Meta {
    let (labels, annotations) = match blueprint {
        Blueprint::PolecatPod(p) => (p.common.labels.clone(), p.common.annotations.clone()),
        Blueprint::TestPod(p) => (p.common.labels.clone(), p.common.annotations.clone()),
        Blueprint::LandPod(p) => (p.common.labels.clone(), p.common.annotations.clone()),
        Blueprint::BeadsPod(p) => (p.common.labels.clone(), p.common.annotations.clone()),
        Blueprint::NotifyPod(p) => (p.common.labels.clone(), p.common.annotations.clone()),
        Blueprint::Polecat(p) => (p.labels.clone(), BTreeMap::new()),
        Blueprint::Witness { .. } | Blueprint::Refinery { .. } | Blueprint::Texts(_) => Default::default(),
    };
    Meta {
        key: blueprint.key().clone(),
        uid,
        rev,
        generation: 1,
        created: at,
        deleting: None,
        finalizers: Vec::new(),
        labels,
        annotations,
    }
}
