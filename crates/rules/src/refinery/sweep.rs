//! Which landing sweeps: the first of an hour takes along what polecats that are gone have left in the repository.

use super::lane::Lane;
use crate::key::Kind;
use crate::settings::{self, Target};
use crate::world::World;
use gastown_wire::Sweep;
use jiff::Timestamp;

/// Most UIDs that travel in orders: 80 kB of the 128 that a variable holds.
const MOST_LIVING: usize = 2_000;

/// What a landing sweeps, where it is the first of an hour and it is known who lives. Several clusters may share a
/// repository, and what others own is not ours to judge: hence the owner.
pub(super) fn orders(world: &World, lane: &Lane<'_>, now: Timestamp) -> Option<Sweep> {
    let last = lane.refinery.status.last_merge_time.as_ref().map(|t| hour(t.0));
    if last == Some(hour(now)) || !knows_who_lives(world) || world.polecats().len() > MOST_LIVING {
        return None;
    }
    Some(Sweep {
        owner: lane.rig.meta.uid.0.clone(),
        content: content(world, lane).map(|c| c.orders(&lane.credentials)),
        living: world.polecats().values().map(|p| p.meta.uid.0.clone()).collect(),
    })
}

/// Where this rig's uncommitted files and conversations are, if not beside the records. A path in a cluster: nowhere, for
/// nobody could ever put anything there.
pub(super) fn content(world: &World, lane: &Lane<'_>) -> Option<Target> {
    let reachable = |c: &Target| world.town.one_machine || c.local_path().is_none();
    settings::content(lane.rig, &lane.target).filter(reachable)
}

/// Of one that cannot be read the UID is not known, and of those in namespaces that are not watched nothing is.
fn knows_who_lives(world: &World) -> bool {
    world.town.every_namespace && !world.malformed.keys().any(|k| k.kind == Kind::Polecat)
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}
