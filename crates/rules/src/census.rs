//! One look at the world, sorted the way decisions ask.

use crate::key::{Key, Kind, RigKey, Uid};
use crate::polecat::outcome::{DELETION_SLACK, occupies};
use crate::row::{ConvoyRow, PodRole, PodRow, PolecatRow, RigRow};
use crate::world::{World, counts, limit};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The polecats of some rigs and all polecat pods by owner.
#[derive(Debug)]
pub(crate) struct Census<'w> {
    pub(crate) world: &'w World,
    pub(crate) now: Timestamp,
    polecats: BTreeMap<&'w str, Vec<&'w PolecatRow>>,
    pods: HashMap<&'w Uid, Vec<&'w PodRow>>,
    /// Pods that tell somebody outside, by owner.
    notifying: HashMap<&'w Uid, Vec<&'w PodRow>>,
    strays: BTreeMap<&'w str, usize>,
    /// Whose pod is being created: it may be there already.
    coming: HashSet<&'w Uid>,
    /// When the first place becomes free that a leaving pod still fills, should its node never confirm the end.
    leaving: BTreeMap<&'w str, Timestamp>,
    /// Convoys that limit their parallelism, by namespace and bead.
    limits: HashMap<(&'w str, &'w str), Vec<&'w ConvoyRow>>,
}

impl<'w> Census<'w> {
    /// Looks at all that concerns these rigs.
    pub(crate) fn take(world: &'w World, rigs: &BTreeSet<RigKey>, now: Timestamp) -> Self {
        let mut census = Self {
            world,
            now,
            polecats: BTreeMap::new(),
            pods: HashMap::new(),
            notifying: HashMap::new(),
            strays: BTreeMap::new(),
            coming: world.pods_to_come().map(|p| &p.common.owner.2).collect(),
            leaving: BTreeMap::new(),
            limits: HashMap::new(),
        };
        for convoy in world
            .convoys
            .values()
            .filter(|c| limit(c).is_some() && c.meta.deleting.is_none())
        {
            for bead in &convoy.spec.tracked_beads {
                let held = census.limits.entry((&convoy.meta.key.namespace, bead)).or_default();
                if held.last().is_none_or(|last| last.meta.key != convoy.meta.key) {
                    held.push(convoy);
                }
            }
        }
        let mut known: HashSet<&Uid> = HashSet::with_capacity(world.polecats.len());
        for row in world.polecats.values() {
            known.insert(&row.meta.uid);
            if rigs.contains(&row.spec.rig) {
                census.polecats.entry(&row.spec.rig).or_default().push(row);
            }
        }
        for pod in world.pods.values().filter(|p| p.role == PodRole::Notify) {
            if let Some(owner) = &pod.owner {
                census.notifying.entry(owner).or_default().push(pod);
            }
        }
        for pod in world.pods.values().filter(|p| p.role == PodRole::Polecat) {
            if let Some(deleting) = pod.meta.deleting.filter(|_| occupies(pod, now)) {
                let free = deleting + DELETION_SLACK;
                census
                    .leaving
                    .entry(&pod.rig)
                    .and_modify(|at| *at = free.min(*at))
                    .or_insert(free);
            }
            match &pod.owner {
                Some(owner) if known.contains(owner) => census.pods.entry(owner).or_default().push(pod),
                // Its polecat is gone or cannot be read: left to owner collection, but its place is taken.
                _ if occupies(pod, now) => *census.strays.entry(&pod.rig).or_default() += 1,
                _ => {}
            }
        }
        for pod in world.pods_to_come().filter(|p| !known.contains(&p.common.owner.2)) {
            *census.strays.entry(&pod.orders.subject.rig).or_default() += 1;
        }
        census
    }

    /// The Rig of that name.
    pub(crate) fn rig(&self, name: &str) -> Option<&'w RigRow> {
        self.world.rigs.get(name)
    }

    /// The polecats of a rig, in key order.
    pub(crate) fn polecats(&self, rig: &str) -> &[&'w PolecatRow] {
        self.polecats.get(rig).map_or(&[], Vec::as_slice)
    }

    /// All polecats of a namespace, whatever their rig.
    pub(crate) fn namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'w PolecatRow> + 'a {
        self.world
            .polecats
            .range(Key::new(Kind::Polecat, namespace, "")..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, row)| &**row)
    }

    /// The polecats of all rigs looked at.
    pub(crate) fn all_polecats(&self) -> impl Iterator<Item = &'w PolecatRow> + '_ {
        self.polecats.values().flatten().copied()
    }

    /// The pods a polecat owns.
    pub(crate) fn pods(&self, polecat: &PolecatRow) -> &[&'w PodRow] {
        self.pods.get(&polecat.meta.uid).map_or(&[], Vec::as_slice)
    }

    /// The pods by which an object tells somebody outside.
    pub(crate) fn notifying(&self, owner: &Uid) -> &[&'w PodRow] {
        self.notifying.get(owner).map_or(&[], Vec::as_slice)
    }

    /// Live pods of a rig whose polecat nobody knows, and pods that are being made for one.
    pub(crate) fn strays(&self, rig: &str) -> usize {
        self.strays.get(rig).copied().unwrap_or_default()
    }

    /// Whether a pod of it is being created. Until the answer it counts as there.
    pub(crate) fn is_coming(&self, polecat: &PolecatRow) -> bool {
        self.coming.contains(&polecat.meta.uid)
    }

    /// When a place of a rig becomes free by time alone.
    pub(crate) fn leaving(&self, rig: &str) -> Option<Timestamp> {
        self.leaving.get(rig).copied()
    }

    /// The convoys that name a rig.
    pub(crate) fn convoys_of<'a>(&'a self, rig: &'a str) -> impl Iterator<Item = &'w ConvoyRow> + 'a {
        self.world
            .convoys
            .values()
            .filter(move |c| c.spec.rig_ref.as_deref() == Some(rig))
    }

    /// The convoys whose parallelism a polecat counts against.
    pub(crate) fn limits(&self, polecat: &'w PolecatRow) -> impl Iterator<Item = &'w ConvoyRow> + '_ {
        let bead = polecat.spec.bead_id.as_deref().unwrap_or_default();
        let held = self.limits.get(&(polecat.meta.key.namespace.as_str(), bead));
        held.into_iter()
            .flatten()
            .copied()
            .filter(move |convoy| counts(convoy, polecat))
    }
}
