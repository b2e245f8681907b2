//! Who waits to land, in order.

use super::conditions;
use super::lane::{Lane, ready_since};
use crate::key::{Key, Kind};
use crate::names::{self, is_object_id};
use crate::row::PolecatRow;
use crate::world::World;
use gastown_api::{self as api, QueueMember};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Waiting this long counts as much as one step of priority, so that nobody starves.
const AGEING: SignedDuration = SignedDuration::from_mins(30);
/// A polecat whose record was refused this often is passed over until its backoff ends.
const REFUSED_OFTEN: u32 = 3;

/// Ready work of a queue: priority with ageing, then time ready.
pub(super) fn waiting<'w>(world: &'w World, lane: &Lane<'w>, now: Timestamp) -> Vec<&'w PolecatRow> {
    let mut ready: Vec<&PolecatRow> = world
        .polecats_of(&lane.rig.meta.key.name)
        .filter(|p| is_ready(p) && !given_up(world, p, now))
        .filter(|p| lane.serves(p))
        .collect();
    ready.sort_by_cached_key(|p| (rank(p), ready_since(p), p.meta.key.clone()));
    ready
}

/// Finished, pushed, not landed.
pub(super) fn is_ready(polecat: &PolecatRow) -> bool {
    let conditions = &polecat.status.conditions;
    polecat.meta.deleting.is_none()
        && polecat.status.phase == api::PolecatPhase::Done
        // Orders with anything else would be refused whole, and one record would stop all others.
        && polecat.status.commit.as_deref().is_some_and(is_object_id)
        && polecat.status.branch.as_deref().is_none_or(names::legal_branch)
        && conditions::is_true(conditions, api::conditions::AVAILABLE)
        && !conditions::is_true(conditions, api::conditions::MERGED)
        // Whoever was asked for another round is not pinned to this one any more.
        && crate::polecat::wished(polecat.spec.another_round.as_ref(), &polecat.status).is_none()
}

/// When it became ready, each step of priority counting as half an hour sooner. No clock in it: an order that changed
/// by itself would be written anew each time somebody looks.
fn rank(polecat: &PolecatRow) -> i64 {
    let sooner = i64::from(polecat.spec.priority.unwrap_or(0)).saturating_mul(AGEING.as_secs());
    ready_since(polecat).as_second().saturating_sub(sooner)
}

/// Whether the API server keeps refusing what we would write of it.
pub(super) fn given_up(world: &World, polecat: &PolecatRow, now: Timestamp) -> bool {
    world
        .refusal(&polecat.meta.key)
        .is_some_and(|r| r.why.is_some() && r.count >= REFUSED_OFTEN && r.until > now)
}

/// When the first of those who are passed over is to be looked at again.
pub(super) fn passed_over(world: &World, lane: &Lane<'_>, now: Timestamp) -> Option<Timestamp> {
    world
        .polecats_of(&lane.rig.meta.key.name)
        .filter(|p| is_ready(p) && given_up(world, p, now))
        .filter(|p| lane.serves(p))
        .filter_map(|p| world.refusal(&p.meta.key).map(|r| r.until))
        .min()
}

/// Pins a polecat to what is ready now.
pub(super) fn pin(polecat: &PolecatRow) -> QueueMember {
    QueueMember {
        polecat: format!("{}/{}", polecat.meta.key.namespace, polecat.meta.key.name),
        uid: polecat.meta.uid.0.clone(),
        commit: polecat.status.commit.clone().unwrap_or_default(),
        round: polecat.status.round.unwrap_or(1),
    }
}

/// The polecat of a member, where it is still the same one.
pub(super) fn find<'w>(world: &'w World, member: &QueueMember) -> Option<&'w PolecatRow> {
    let (namespace, name) = member.polecat.split_once('/')?;
    world
        .polecats()
        .get(&Key::new(Kind::Polecat, namespace, name))
        .map(Arc::as_ref)
        .filter(|p| p.meta.uid.0 == member.uid)
}

/// Whether it stands where it was pinned, and waits to hear what becomes of it.
pub(super) fn is_pinned(polecat: &PolecatRow, member: &QueueMember) -> bool {
    is_its_work(polecat, member) && conditions::is_true(&polecat.status.conditions, api::conditions::AVAILABLE)
}

/// Whether what was pinned is still its newest work: if it landed, that is recorded, also where nobody wants the
/// polecat any more.
pub(super) fn is_its_work(polecat: &PolecatRow, member: &QueueMember) -> bool {
    polecat.status.commit.as_deref() == Some(member.commit.as_str())
        && polecat.status.round.unwrap_or(1) == member.round
        && !conditions::is_true(&polecat.status.conditions, api::conditions::MERGED)
}

/// A member's name without its namespace.
pub(super) fn name(member: &QueueMember) -> &str {
    member
        .polecat
        .split_once('/')
        .map_or(member.polecat.as_str(), |(_, name)| name)
}

/// `a, b and c`.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.as_slice() {
        [] => "nobody".to_owned(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// The first digits of a commit or tree, as git shows them.
pub(super) fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
