//! What we believe, folded from watches and from the answers to our own writes.

mod homes;
mod learn;
mod rows;

use crate::blueprint::{Blueprint, PolecatPod};
use crate::key::{Key, Kind, Rev, RigKey, Uid};
use crate::plan::{Action, Status};
use crate::row::{BeadStoreRow, ConvoyRow, Meta, PodRow, PolecatRow, RefineryRow, RigRow, WitnessRow};
use jiff::Timestamp;
use rows::Rows;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Settings of the town that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Town {
    /// Namespace of the operator: children of rigs and their pods live here.
    pub namespace: String,
    /// Image of every container that runs the harness.
    pub harness_image: String,
    /// Image of the agent's container where nobody names one.
    pub agent_image: String,
    /// Agents that have an image of their own there, by their names.
    pub agent_images: BTreeMap<String, String>,
    /// One machine: file remotes are mounted from the host, `executionMode: local` is served.
    pub one_machine: bool,
    /// Every namespace is watched: whom we do not know is not there.
    pub every_namespace: bool,
    /// How often pods push where the rig says nothing. Milliseconds.
    pub push_interval_ms: u64,
    /// What records keep where the rig says nothing.
    pub record: gastown_wire::RecordLevel,
}

impl Town {
    /// What people type here.
    pub(crate) fn program(&self) -> &'static str {
        match self.one_machine {
            true => "gastown",
            false => "kubectl gt",
        }
    }
}

impl Default for Town {
    fn default() -> Self {
        Self {
            namespace: "gastown-system".into(),
            harness_image: "gastown-harness".into(),
            agent_image: "polecat-agent".into(),
            agent_images: BTreeMap::new(),
            one_machine: false,
            every_namespace: true,
            push_interval_ms: 15_000,
            record: gastown_wire::RecordLevel::Commits,
        }
    }
}

/// A write that was refused, and until when it is not tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Not before.
    pub until: Timestamp,
    /// How often in a row.
    pub count: u32,
    /// The API server's words; none: nothing was refused, the answer was lost or put off.
    pub why: Option<String>,
}

/// Rows, and what is under way.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Settings.
    pub town: Town,
    /// By name.
    pub rigs: BTreeMap<String, RigRow>,
    /// By key.
    pub convoys: BTreeMap<Key, ConvoyRow>,
    /// By key.
    pub witnesses: BTreeMap<Key, WitnessRow>,
    /// By key.
    pub refineries: BTreeMap<Key, RefineryRow>,
    /// By key.
    pub bead_stores: BTreeMap<Key, BeadStoreRow>,
    /// ConfigMaps of ours that exist.
    pub texts: BTreeSet<Key>,
    /// Objects that cannot be read, and why.
    pub malformed: BTreeMap<Key, String>,
    /// Polecats and pods.
    rows: Rows,
    /// How far each kind's watch has come.
    horizon: BTreeMap<Kind, Rev>,
    /// Writes under way: at most one an object.
    inflight: BTreeMap<Key, Action>,
    /// Objects whose newest revision we have not seen yet: nothing is written below or at it.
    stale: BTreeMap<Key, Rev>,
    /// Status writes whose answer was lost: perhaps applied, so what they take counts as taken.
    perhaps: BTreeMap<Key, Action>,
    /// Writes refused.
    refusals: BTreeMap<Key, Refusal>,
    /// When a status other than a polecat's was last accepted: sums are paced by it.
    written: BTreeMap<Key, Timestamp>,
    /// Which rig a pod, polecat … belonged to when it vanished mid-write; kept until answered.
    homes: BTreeMap<Key, BTreeSet<RigKey>>,
}

impl World {
    /// An empty world of that town.
    #[must_use]
    pub fn new(town: Town) -> Self {
        Self {
            town,
            ..Self::default()
        }
    }

    /// All rigs that anything belongs to: the specification's notion of dirty.
    #[must_use]
    pub fn all(&self) -> BTreeSet<RigKey> {
        let mut all: BTreeSet<RigKey> = self.rigs.keys().cloned().collect();
        all.extend(self.polecats().values().map(|p| p.spec.rig.clone()));
        all.extend(self.convoys.values().map(convoy_home));
        all.extend(self.witnesses.values().map(|w| w.spec.rig_ref.clone()));
        all.extend(self.refineries.values().map(|r| r.spec.rig_ref.clone()));
        all.extend(self.bead_stores.values().map(|b| b.spec.rig_ref.clone()));
        all.extend(self.pods().values().map(|p| p.rig.clone()));
        all
    }

    /// All polecats.
    #[must_use]
    pub fn polecats(&self) -> &BTreeMap<Key, Arc<PolecatRow>> {
        self.rows.polecats()
    }

    /// All pods of ours.
    #[must_use]
    pub fn pods(&self) -> &BTreeMap<Key, Arc<PodRow>> {
        self.rows.pods()
    }

    /// The polecats of a rig, in key order.
    pub(crate) fn polecats_of<'w>(&'w self, rig: &str) -> impl Iterator<Item = &'w PolecatRow> + use<'w> {
        self.rows.of_rig(rig).iter().map(Arc::as_ref)
    }

    /// All polecats of a namespace, whatever their rig.
    pub(crate) fn polecats_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a PolecatRow> + 'a {
        self.rows.in_namespace(namespace)
    }

    /// The pods that an object controls, in key order.
    pub(crate) fn pods_of(&self, owner: &Uid) -> &[Arc<PodRow>] {
        self.rows.of_owner(owner)
    }

    /// The polecat of that UID.
    pub(crate) fn polecat(&self, uid: &Uid) -> Option<&PolecatRow> {
        self.rows.polecat(uid)
    }

    /// Pods of polecats that nobody knows: gone, or not to be read.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &PodRow> {
        self.rows.strays()
    }

    /// Pods of polecats that are being deleted.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &PodRow> {
        self.rows.leaving()
    }

    /// The write under way for an object.
    #[must_use]
    pub fn in_flight(&self, key: &Key) -> Option<&Action> {
        self.inflight.get(key)
    }

    /// Polecat pods whose creation is under way.
    pub(crate) fn pods_to_come(&self) -> impl Iterator<Item = &PolecatPod> {
        self.inflight.values().filter_map(|action| match action {
            Action::Create { blueprint, .. } => match blueprint.as_ref() {
                Blueprint::PolecatPod(pod) => Some(pod),
                _ => None,
            },
            _ => None,
        })
    }

    /// Statuses that are on their way to the API server, or perhaps there already.
    pub fn pending_statuses(&self, key: &Key) -> impl Iterator<Item = &Status> {
        let writes = self.inflight.get(key).into_iter().chain(self.perhaps.get(key));
        writes.filter_map(|action| match action {
            Action::Publish { to, .. } => Some(to),
            _ => None,
        })
    }

    /// When this process last wrote a sum into an object's status, where it did.
    #[must_use]
    pub fn written(&self, key: &Key) -> Option<Timestamp> {
        self.written.get(key).copied()
    }

    /// The rigs and every rig whose admissions hang together with theirs: convoys that name no rig and
    /// limit their parallelism join the rigs of their polecats.
    #[must_use]
    pub fn joined(&self, rigs: &BTreeSet<RigKey>) -> BTreeSet<RigKey> {
        let mut joined = rigs.clone();
        let mut bridges: Vec<BTreeSet<RigKey>> = self
            .convoys
            .values()
            .filter(|c| c.spec.rig_ref.is_none() && limit(c).is_some())
            .map(|c| self.homes_of_convoy(c))
            .collect();
        loop {
            let (crossed, rest): (Vec<_>, Vec<_>) =
                bridges.into_iter().partition(|bridge| !bridge.is_disjoint(&joined));
            if crossed.is_empty() {
                return joined;
            }
            joined.extend(crossed.into_iter().flatten());
            bridges = rest;
        }
    }

    /// Why an object's last write was refused, where it was.
    #[must_use]
    pub fn refusal(&self, key: &Key) -> Option<&Refusal> {
        self.refusals.get(key)
    }

    /// Whether a write to an object must wait: for an answer, for the watch, or until an instant.
    #[must_use]
    pub fn blocked(&self, key: &Key, now: Timestamp) -> Option<Blocked> {
        if self.inflight.contains_key(key) || self.stale.contains_key(key) {
            return Some(Blocked::ForFacts);
        }
        match self.refusals.get(key) {
            Some(r) if r.until > now => Some(Blocked::Until(r.until)),
            _ => None,
        }
    }

    fn meta_of(&self, key: &Key) -> Option<&Meta> {
        match key.kind {
            Kind::Rig => self.rigs.get(&key.name).map(|r| &r.meta),
            Kind::Polecat => self.polecats().get(key).map(|r| &r.meta),
            Kind::Convoy => self.convoys.get(key).map(|r| &r.meta),
            Kind::Witness => self.witnesses.get(key).map(|r| &r.meta),
            Kind::Refinery => self.refineries.get(key).map(|r| &r.meta),
            Kind::BeadStore => self.bead_stores.get(key).map(|r| &r.meta),
            Kind::Pod => self.pods().get(key).map(|r| &r.meta),
            Kind::ConfigMap => None,
        }
    }

    fn rev_of(&self, key: &Key) -> Option<Rev> {
        self.meta_of(key).map(|m| m.rev)
    }

    /// Changes what every row has, where the object is there.
    fn amend(&mut self, key: &Key, change: impl FnOnce(&mut Meta)) {
        let meta = match key.kind {
            Kind::Polecat => return self.amend_polecat(key, |row| change(&mut row.meta)),
            Kind::Pod => {
                if let Some(row) = self.rows.pods().get(key) {
                    let mut row = PodRow::clone(row);
                    change(&mut row.meta);
                    self.rows.insert_pod(Arc::new(row));
                }
                return;
            }
            Kind::Rig => self.rigs.get_mut(&key.name).map(|r| &mut r.meta),
            Kind::Convoy => self.convoys.get_mut(key).map(|r| &mut r.meta),
            Kind::Witness => self.witnesses.get_mut(key).map(|r| &mut r.meta),
            Kind::Refinery => self.refineries.get_mut(key).map(|r| &mut r.meta),
            Kind::BeadStore => self.bead_stores.get_mut(key).map(|r| &mut r.meta),
            Kind::ConfigMap => None,
        };
        if let Some(meta) = meta {
            change(meta);
        }
    }

    fn amend_polecat(&mut self, key: &Key, change: impl FnOnce(&mut PolecatRow)) {
        if let Some(row) = self.rows.polecats().get(key) {
            let mut row = PolecatRow::clone(row);
            change(&mut row);
            self.rows.insert_polecat(Arc::new(row));
        }
    }
}

/// What a write has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// An answer or the watch.
    ForFacts,
    /// An instant.
    Until(Timestamp),
}

/// The rig a convoy lives under; the empty name where it names none.
#[must_use]
pub fn convoy_home(convoy: &ConvoyRow) -> RigKey {
    convoy.spec.rig_ref.clone().unwrap_or_default()
}

/// Most polecats of a convoy with a live pod, where it limits them.
#[must_use]
pub fn limit(convoy: &ConvoyRow) -> Option<usize> {
    convoy
        .spec
        .parallelism
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
}

/// Whether a convoy counts a polecat: it tracks its bead, in the same namespace, for the same rig where it names one.
#[must_use]
pub fn counts(convoy: &ConvoyRow, polecat: &PolecatRow) -> bool {
    convoy.meta.key.namespace == polecat.meta.key.namespace
        && convoy.spec.rig_ref.as_ref().is_none_or(|rig| *rig == polecat.spec.rig)
        && polecat
            .spec
            .bead_id
            .as_ref()
            .is_some_and(|bead| convoy.spec.tracked_beads.contains(bead))
}
