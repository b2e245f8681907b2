//! `decide`: what the dirty rigs call for.

use crate::admission::Admission;
use crate::census::Census;
use crate::draft::Draft;
use crate::key::RigKey;
use crate::plan::{Action, Plan};
use crate::world::{World, convoy_home};
use crate::{bead_store, convoy, polecat, refinery, rig, witness};
use gastown_api::labels::PREDECESSOR_FINALIZERS;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What the dirty rigs call for, safest first. Equal inputs, equal plans; a settled world, an empty one.
///
/// Rigs that share a convoy's limit are decided together ([`World::joined`]): what one may start depends on
/// what the others run.
#[must_use]
pub fn decide(world: &World, dirty: &BTreeSet<RigKey>, now: Timestamp) -> Plan {
    let rigs = world.joined(dirty);
    let census = Census::take(world, &rigs, now);
    let admission = Admission::judge(&census);
    let mut draft = Draft::new(world, now);
    for rig in &rigs {
        draft.begin(rig);
        if let Some(at) = census.leaving(rig) {
            draft.wake_at(rig, at);
        }
        release(&census, rig, &mut draft);
        for row in census.polecats(rig) {
            polecat::decide(&census, row, &admission, &mut draft);
        }
        for row in world.convoys.values().filter(|c| convoy_home(c) == *rig) {
            convoy::decide(&census, row, &mut draft);
        }
        refinery::decide(world, rig, now, &mut draft);
        for row in world.witnesses.values().filter(|w| w.spec.rig_ref == *rig) {
            witness::decide(&census, row, &mut draft);
        }
        for row in world.bead_stores.values().filter(|b| b.spec.rig_ref == *rig) {
            bead_store::decide(&census, row, &mut draft);
        }
        if let Some(row) = world.rigs.get(rig) {
            rig::decide(&census, row, &mut draft);
        }
    }
    draft.finish()
}

/// Strips the finalizers the predecessor left: nothing of ours may hang when the operator is gone.
fn release(census: &Census<'_>, rig: &RigKey, out: &mut Draft<'_>) {
    let rigs = census.rig(rig).map(|r| &r.meta);
    let polecats = census.polecats(rig).map(|p| &p.meta);
    let stores = census
        .world
        .bead_stores
        .values()
        .filter(|b| b.spec.rig_ref == *rig)
        .map(|b| &b.meta);
    for meta in rigs.into_iter().chain(polecats).chain(stores) {
        let left = |name: &String| PREDECESSOR_FINALIZERS.contains(&name.as_str());
        if meta.finalizers.iter().any(left) {
            out.push(Action::Release {
                key: meta.key.clone(),
                uid: meta.uid.clone(),
                rev: meta.rev,
                keep: meta.finalizers.iter().filter(|name| !left(name)).cloned().collect(),
            });
        }
    }
}
