//! One look at the world, sorted the way decisions ask.

use crate::key::{RigKey, Uid};
use crate::polecat::outcome::{DELETION_SLACK, occupies};
use crate::row::{ConvoyRow, PodRole, PodRow, PolecatRow, RigRow};
use crate::world::{World, counts, limit};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Some rigs, and what the whole world holds against their starts.
#[derive(Debug)]
pub(crate) struct Census<'w> {
    pub(crate) world: &'w World,
    pub(crate) now: Timestamp,
    rigs: &'w BTreeSet<RigKey>,
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
    pub(crate) fn take(world: &'w World, rigs: &'w BTreeSet<RigKey>, now: Timestamp) -> Self {
        let mut census = Self {
            world,
            now,
            rigs,
            strays: BTreeMap::new(),
            coming: world.pods_to_come().map(|p| &p.common.owner.2).collect(),
            leaving: BTreeMap::new(),
            limits: HashMap::new(),
        };
        census.limit();
        for pod in world.leaving().filter(|pod| occupies(pod, now)) {
            if let Some(deleting) = pod.meta.deleting {
                let free = deleting + DELETION_SLACK;
                let first = census.leaving.entry(&pod.rig).or_insert(free);
                *first = free.min(*first);
            }
        }
        // Left to owner collection, but their places are taken.
        for pod in world.strays().filter(|pod| occupies(pod, now)) {
            *census.strays.entry(&pod.rig).or_default() += 1;
        }
        for pod in world.pods_to_come() {
            if world.polecat(&pod.common.owner.2).is_none() {
                *census.strays.entry(&pod.orders.subject.rig).or_default() += 1;
            }
        }
        census
    }

    fn limit(&mut self) {
        let limiting = |c: &&ConvoyRow| limit(c).is_some() && c.meta.deleting.is_none();
        for convoy in self.world.convoys.values().filter(limiting) {
            for bead in &convoy.spec.tracked_beads {
                let held = self.limits.entry((&convoy.meta.key.namespace, bead)).or_default();
                if held.last().is_none_or(|last| last.meta.key != convoy.meta.key) {
                    held.push(convoy);
                }
            }
        }
    }

    /// The rigs looked at.
    pub(crate) fn rigs(&self) -> impl Iterator<Item = &'w str> + use<'w> {
        self.rigs.iter().map(String::as_str)
    }

    /// The Rig of that name.
    pub(crate) fn rig(&self, name: &str) -> Option<&'w RigRow> {
        self.world.rigs.get(name)
    }

    /// The polecats of a rig, in key order.
    pub(crate) fn polecats(&self, rig: &str) -> impl Iterator<Item = &'w PolecatRow> + use<'w> {
        self.world.polecats_of(rig)
    }

    /// The pods a polecat owns.
    pub(crate) fn pods(&self, polecat: &PolecatRow) -> &'w [Arc<PodRow>] {
        self.world.pods_of(&polecat.meta.uid)
    }

    /// The pods by which an object tells somebody outside.
    pub(crate) fn notifying(&self, owner: &Uid) -> impl Iterator<Item = &'w PodRow> + use<'w> {
        let pods = self.world.pods_of(owner).iter().map(Arc::as_ref);
        pods.filter(|pod| pod.role == PodRole::Notify)
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

    /// The polecats that a convoy counts.
    pub(crate) fn counted(&self, convoy: &'w ConvoyRow) -> impl Iterator<Item = &'w PolecatRow> + use<'w> {
        let world = self.world;
        let rig = convoy.spec.rig_ref.as_deref();
        let of_rig = rig.into_iter().flat_map(|rig| world.polecats_of(rig));
        let anywhere = rig.is_none().then(|| world.polecats_in(&convoy.meta.key.namespace));
        of_rig
            .chain(anywhere.into_iter().flatten())
            .filter(|p| counts(convoy, p))
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
