//! An API server's store: one revision counter, optimistic concurrency, UID preconditions, a history a kind.

use gastown_rules::{ConvoyRow, Key, Kind, Meta, PodRow, PolecatRow, RefineryRow, Rev, RigRow, Seen, Uid, WitnessRow};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// An object. Rows are what the operator reads of them; nothing it does not read is modelled.
#[expect(clippy::large_enum_variant, reason = "some dozens of a simulated town")]
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A Rig.
    Rig(RigRow),
    /// A Polecat.
    Polecat(PolecatRow),
    /// A Convoy.
    Convoy(ConvoyRow),
    /// A Witness.
    Witness(WitnessRow),
    /// A Refinery.
    Refinery(RefineryRow),
    /// A pod.
    Pod(PodRow),
    /// A ConfigMap.
    Texts(Meta),
}

impl Object {
    /// Identity and revision.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Rig(r) => &r.meta,
            Self::Polecat(r) => &r.meta,
            Self::Convoy(r) => &r.meta,
            Self::Witness(r) => &r.meta,
            Self::Refinery(r) => &r.meta,
            Self::Pod(r) => &r.meta,
            Self::Texts(meta) => meta,
        }
    }

    /// Identity and revision.
    pub fn meta_mut(&mut self) -> &mut Meta {
        match self {
            Self::Rig(r) => &mut r.meta,
            Self::Polecat(r) => &mut r.meta,
            Self::Convoy(r) => &mut r.meta,
            Self::Witness(r) => &mut r.meta,
            Self::Refinery(r) => &mut r.meta,
            Self::Pod(r) => &mut r.meta,
            Self::Texts(meta) => meta,
        }
    }

    /// As a watch delivers it; none for what nobody watches.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        Some(match self {
            Self::Rig(r) => Seen::Rig(Box::new(r.clone())),
            Self::Polecat(r) => Seen::Polecat(Box::new(r.clone())),
            Self::Convoy(r) => Seen::Convoy(Box::new(r.clone())),
            Self::Witness(r) => Seen::Witness(Box::new(r.clone())),
            Self::Refinery(r) => Seen::Refinery(Box::new(r.clone())),
            Self::Pod(r) => Seen::Pod(Box::new(r.clone())),
            Self::Texts(_) => return None,
        })
    }
}

/// One entry of a kind's history.
#[derive(Clone, Debug)]
pub enum Change {
    /// Made or changed.
    Is(Seen),
    /// Gone.
    Gone(Key, Rev),
}

#[derive(Clone, Debug)]
struct Held {
    object: Object,
    owner: Option<Uid>,
}

/// Everything the API server holds.
#[derive(Clone, Debug, Default)]
pub struct Store {
    rev: u64,
    uids: u64,
    objects: BTreeMap<Key, Held>,
    history: BTreeMap<Kind, Vec<Change>>,
}

/// A name that is taken: by whom, as what, at which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Controlling owner.
    pub owner: Option<Uid>,
    /// UID.
    pub uid: Uid,
    /// Revision.
    pub rev: Rev,
}

impl Store {
    fn next(&mut self) -> Rev {
        self.rev += 1;
        Rev(self.rev)
    }

    /// The newest revision.
    #[must_use]
    pub fn rev(&self) -> Rev {
        Rev(self.rev)
    }

    /// An object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key).map(|h| &h.object)
    }

    /// All objects, by key.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().map(|h| &h.object)
    }

    /// All polecats.
    pub fn polecats(&self) -> impl Iterator<Item = &PolecatRow> {
        self.all().filter_map(|o| match o {
            Object::Polecat(p) => Some(p),
            _ => None,
        })
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = &PodRow> {
        self.all().filter_map(|o| match o {
            Object::Pod(p) => Some(p),
            _ => None,
        })
    }

    /// All convoys.
    pub fn convoys(&self) -> impl Iterator<Item = &ConvoyRow> {
        self.all().filter_map(|o| match o {
            Object::Convoy(c) => Some(c),
            _ => None,
        })
    }

    /// All rigs.
    pub fn rigs(&self) -> impl Iterator<Item = &RigRow> {
        self.all().filter_map(|o| match o {
            Object::Rig(r) => Some(r),
            _ => None,
        })
    }

    /// The pod of that UID.
    #[must_use]
    pub fn pod(&self, key: &Key, uid: &Uid) -> Option<&PodRow> {
        match self.get(key) {
            Some(Object::Pod(p)) if p.meta.uid == *uid => Some(p),
            _ => None,
        }
    }

    /// Keys of the objects an owner controls.
    #[must_use]
    pub fn owned_by(&self, owner: &Uid) -> Vec<Key> {
        self.objects
            .iter()
            .filter(|(_, h)| h.owner.as_ref() == Some(owner))
            .map(|(k, _)| k.clone())
            .collect()
    }

    /// Whether an object of that UID exists.
    #[must_use]
    pub fn has_uid(&self, uid: &Uid) -> bool {
        self.all().any(|o| o.meta().uid == *uid)
    }

    /// The history of a kind from an index on.
    #[must_use]
    pub fn changes(&self, kind: Kind, from: usize) -> &[Change] {
        self.history.get(&kind).and_then(|h| h.get(from..)).unwrap_or_default()
    }

    /// How long the history of a kind is.
    #[must_use]
    pub fn length(&self, kind: Kind) -> usize {
        self.history.get(&kind).map_or(0, Vec::len)
    }

    /// Makes an object: gives it UID, revision and time.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn create(&mut self, mut object: Object, owner: Option<Uid>, now: Timestamp) -> Result<(Rev, Uid), Taken> {
        let key = object.meta().key.clone();
        if let Some(held) = self.objects.get(&key) {
            let meta = held.object.meta();
            return Err(Taken {
                owner: held.owner.clone(),
                uid: meta.uid.clone(),
                rev: meta.rev,
            });
        }
        self.uids += 1;
        let (rev, uid) = (self.next(), Uid(format!("u{}-{}", self.uids, key.name)));
        let meta = object.meta_mut();
        meta.uid = uid.clone();
        meta.rev = rev;
        meta.generation = 1;
        meta.created = now;
        self.note(&key, object.seen());
        self.objects.insert(key, Held { object, owner });
        Ok((rev, uid))
    }

    fn note(&mut self, key: &Key, seen: Option<Seen>) {
        if let Some(seen) = seen {
            self.history.entry(key.kind).or_default().push(Change::Is(seen));
        }
    }

    /// Changes an object in place, under a new revision; nothing where nothing changed, as a real server does.
    pub fn update(&mut self, key: &Key, change: impl FnOnce(&mut Object)) -> Option<Rev> {
        let held = self.objects.get_mut(key)?;
        let before = held.object.clone();
        change(&mut held.object);
        if held.object == before {
            return Some(before.meta().rev);
        }
        let rev = self.next();
        let held = self.objects.get_mut(key)?;
        held.object.meta_mut().rev = rev;
        let seen = held.object.seen();
        self.note(key, seen);
        Some(rev)
    }

    /// Changes a pod's status.
    pub fn update_pod(&mut self, key: &Key, uid: &Uid, change: impl FnOnce(&mut PodRow)) {
        if self.pod(key, uid).is_some() {
            self.update(key, |o| {
                if let Object::Pod(p) = o {
                    change(p);
                }
            });
        }
    }

    /// Takes an object away at once. Returns its UID.
    pub fn remove(&mut self, key: &Key) -> Option<Uid> {
        let held = self.objects.remove(key)?;
        let rev = self.next();
        if key.kind != Kind::ConfigMap {
            self.history
                .entry(key.kind)
                .or_default()
                .push(Change::Gone(key.clone(), rev));
        }
        Some(held.object.meta().uid.clone())
    }
}
