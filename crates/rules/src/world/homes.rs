//! Which rigs an object concerns.

use super::{World, convoy_home, counts};
use crate::blueprint::Blueprint;
use crate::key::{Key, Kind, RigKey};
use crate::names;
use crate::plan::Action;
use crate::row::{ConvoyRow, PodRole, PodRow, PolecatRow};
use gastown_api as api;
use std::collections::BTreeSet;

impl World {
    pub(super) fn homes_of_action(&self, action: &Action) -> BTreeSet<RigKey> {
        let mut homes = self.homes_of(action.key());
        if let Action::Create { blueprint, .. } = action {
            match blueprint.as_ref() {
                Blueprint::PolecatPod(p) => {
                    homes.insert(p.orders.subject.rig.clone());
                }
                Blueprint::TestPod(p) => {
                    homes.insert(p.orders.rig.clone());
                }
                Blueprint::LandPod(p) => {
                    homes.insert(p.orders.rig.clone());
                }
                Blueprint::BeadsPod(p) => {
                    homes.insert(p.orders.rig.clone());
                }
                Blueprint::NotifyPod(p) => {
                    homes.extend(p.common.annotations.get(api::labels::RIG).cloned());
                }
                Blueprint::Witness { spec, .. } => {
                    homes.insert(spec.rig_ref.clone());
                }
                Blueprint::Refinery { spec, .. } => {
                    homes.insert(spec.rig_ref.clone());
                }
                Blueprint::Polecat(p) => {
                    homes.insert(p.spec.rig.clone());
                }
                Blueprint::Texts(t) => {
                    let owner = Key::new(Kind::Polecat, &t.key.namespace, &t.owner.0);
                    homes.extend(self.homes_of(&owner));
                }
            }
        }
        homes
    }

    /// The rigs whose plan an object may change.
    #[must_use]
    pub fn homes_of(&self, key: &Key) -> BTreeSet<RigKey> {
        match key.kind {
            Kind::Rig => self.sharing_repository(&key.name),
            Kind::Polecat => self
                .polecats()
                .get(key)
                .map(|p| self.homes_of_polecat(p))
                .unwrap_or_default(),
            Kind::Convoy => self
                .convoys
                .get(key)
                .map(|c| self.homes_of_convoy(c))
                .unwrap_or_default(),
            Kind::Witness => self
                .witnesses
                .get(key)
                .map(|w| w.spec.rig_ref.clone())
                .into_iter()
                .collect(),
            Kind::Refinery => self
                .refineries
                .get(key)
                .map(|r| self.sharing_repository(&r.spec.rig_ref))
                .unwrap_or_default(),
            Kind::BeadStore => self
                .bead_stores
                .get(key)
                .map(|b| b.spec.rig_ref.clone())
                .into_iter()
                .collect(),
            Kind::Pod => self.pods().get(key).map(|p| self.homes_of_pod(p)).unwrap_or_default(),
            Kind::ConfigMap => BTreeSet::new(),
        }
    }

    /// A rig and those on the same repository: of two queues on one branch the oldest acts.
    fn sharing_repository(&self, rig: &str) -> BTreeSet<RigKey> {
        let url = |name: &str| {
            self.rigs
                .get(name)
                .map(|r| names::repository(&r.spec.git_url))
                .filter(|u| !u.is_empty())
        };
        let own = url(rig);
        let others = self
            .rigs
            .keys()
            .filter(|name| own.is_some() && url(name) == own)
            .cloned();
        others.chain([rig.to_owned()]).collect()
    }

    /// A polecat concerns its rig, and the convoys that count it.
    fn homes_of_polecat(&self, polecat: &PolecatRow) -> BTreeSet<RigKey> {
        let mut homes = BTreeSet::from([polecat.spec.rig.clone()]);
        homes.extend(self.convoys.values().filter(|c| counts(c, polecat)).map(convoy_home));
        homes
    }

    /// A convoy concerns its rig; one that names none, the rig of each polecat it counts.
    pub(super) fn homes_of_convoy(&self, convoy: &ConvoyRow) -> BTreeSet<RigKey> {
        let mut homes = BTreeSet::from([convoy_home(convoy)]);
        if convoy.spec.rig_ref.is_none() {
            let counted = self
                .polecats_in(&convoy.meta.key.namespace)
                .filter(|p| counts(convoy, p));
            homes.extend(counted.map(|p| p.spec.rig.clone()));
        }
        homes
    }

    fn homes_of_pod(&self, pod: &PodRow) -> BTreeSet<RigKey> {
        let mut homes = BTreeSet::from([pod.rig.clone()]);
        if let Some(polecat) = self.owner_of(pod) {
            homes.extend(self.homes_of_polecat(polecat));
        }
        if pod.role == PodRole::Beads {
            // Its store may have gone over to another rig since.
            let stores = self.bead_stores.values();
            let own = stores.filter(|s| pod.owner.as_ref() == Some(&s.meta.uid));
            homes.extend(own.map(|s| s.spec.rig_ref.clone()));
        }
        homes
    }

    /// The polecat that owns a pod.
    fn owner_of<'a>(&'a self, pod: &'a PodRow) -> Option<&'a PolecatRow> {
        let owner = pod.owner.as_ref().filter(|_| pod.role == PodRole::Polecat)?;
        self.polecat(owner)
    }
}
