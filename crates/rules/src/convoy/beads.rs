//! Where each bead of a convoy is, and who waits for what.

use crate::census::Census;
use crate::key::{Key, Kind};
use crate::names;
use crate::polecat;
use crate::row::{ConvoyRow, PolecatRow};
use crate::world::limit;
use gastown_api::conditions::{self, PROGRESSING};
use gastown_api::{DesiredState, PolecatPhase};
use std::collections::{BTreeMap, BTreeSet};

/// Where one bead is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bead<'w> {
    /// Its change is on the branch; for ever.
    Landed,
    /// A polecat has it.
    Under(&'w PolecatRow),
    /// Whoever had it is stuck or ended, and goes on only if somebody acts.
    Failed,
    /// The name its polecat would have is somebody else's: said in the status, and left to a person.
    NameTaken,
    /// Nobody has it.
    Free,
}

impl Bead<'_> {
    /// A polecat has it and has not finished its round.
    pub(super) fn is_active(self) -> bool {
        matches!(self, Self::Under(p) if p.status.phase != PolecatPhase::Done)
    }

    /// It may land without anybody's help.
    pub(super) fn is_pending(self) -> bool {
        matches!(self, Self::Under(_) | Self::Free)
    }
}

/// Every bead once, in the order of the spec.
pub(super) fn of<'w>(census: &Census<'w>, row: &'w ConvoyRow) -> Vec<(&'w str, Bead<'w>)> {
    let mut by_bead: BTreeMap<&str, Vec<&'w PolecatRow>> = BTreeMap::new();
    for polecat in census.counted(row) {
        let bead = polecat.spec.bead_id.as_deref().unwrap_or_default();
        by_bead.entry(bead).or_default().push(polecat);
    }
    let mut seen = BTreeSet::new();
    let tracked = row.spec.tracked_beads.iter().map(String::as_str);
    tracked
        .filter(|bead| seen.insert(*bead))
        .map(|bead| {
            (
                bead,
                standing(census, row, bead, by_bead.get(bead).map_or(&[], Vec::as_slice)),
            )
        })
        .collect()
}

fn standing<'w>(census: &Census<'w>, row: &ConvoyRow, bead: &str, polecats: &[&'w PolecatRow]) -> Bead<'w> {
    // What was counted stays counted, also when its polecat is deleted.
    if row.status.completed_beads.iter().any(|b| b == bead) || polecats.iter().any(|p| polecat::landed(&p.status)) {
        return Bead::Landed;
    }
    let goes_on = |p: &&&'w PolecatRow| {
        p.meta.deleting.is_none()
            && p.spec.desired_state != DesiredState::Terminated
            && match p.status.phase {
                // Tried again by itself: what it lacks may be mended where we cannot see it.
                PolecatPhase::Stuck => p.status.retry_after.is_some(),
                PolecatPhase::Terminated => false,
                PolecatPhase::Idle | PolecatPhase::Working | PolecatPhase::Done => true,
            }
    };
    // The oldest live one has it; others of the same bead change nothing.
    let oldest = polecats
        .iter()
        .filter(goes_on)
        .min_by_key(|p| (p.meta.created, &p.meta.key));
    match oldest {
        Some(p) => Bead::Under(p),
        None if !polecats.is_empty() => Bead::Failed,
        None if row.spec.rig_ref.is_some() && census.world.polecats().contains_key(&polecat_key(row, bead)) => {
            Bead::NameTaken
        }
        None => Bead::Free,
    }
}

/// The polecat that a convoy makes for a bead.
pub(super) fn polecat_key(row: &ConvoyRow, bead: &str) -> Key {
    let name = names::convoy_polecat(&row.meta.key.name, bead);
    Key::new(Kind::Polecat, &row.meta.key.namespace, name)
}

/// What a bead that has not landed waits for, in the order of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    Work,
    Landing,
    Room,
    Retry,
    Start,
    Place,
    Somebody,
}

fn waits(row: &ConvoyRow, bead: Bead<'_>) -> Option<Waits> {
    match bead {
        Bead::Under(p) => Some(match p.status.phase {
            PolecatPhase::Working => Waits::Work,
            PolecatPhase::Done => Waits::Landing,
            _ if is_queued(p) => Waits::Room,
            _ if p.status.retry_after.is_some() => Waits::Retry,
            _ => Waits::Start,
        }),
        Bead::Failed | Bead::NameTaken => Some(Waits::Somebody),
        // Without a rig it is a person who slings them: said by itself.
        Bead::Free => row.spec.rig_ref.is_some().then_some(Waits::Place),
        Bead::Landed => None,
    }
}

/// Who waits for what; nothing of what has landed.
pub(super) fn who_waits(row: &ConvoyRow, beads: &[(&str, Bead<'_>)]) -> String {
    let mut groups: BTreeMap<Waits, Vec<&str>> = BTreeMap::new();
    for (name, bead) in beads {
        if let Some(what) = waits(row, *bead) {
            groups.entry(what).or_default().push(name);
        }
    }
    let mut said = String::new();
    for (what, names) in groups {
        let names = shortened(names.into_iter());
        let parallelism = row.spec.parallelism.unwrap_or_default();
        said.push_str(&match what {
            Waits::Work => format!("; at work: {names}"),
            Waits::Landing => format!("; wait to land: {names}"),
            Waits::Room => format!("; wait for room in their rig: {names}"),
            Waits::Retry => format!("; wait to be tried again: {names}"),
            Waits::Start => format!("; about to start: {names}"),
            Waits::Place if limit(row).is_some() => format!("; wait for a place (parallelism {parallelism}): {names}"),
            Waits::Place => format!("; to be slung: {names}"),
            Waits::Somebody => format!("; stuck: {names}"),
        });
    }
    said
}

fn is_queued(polecat: &PolecatRow) -> bool {
    polecat.status.phase == PolecatPhase::Idle
        && conditions::get(&polecat.status.conditions, PROGRESSING).is_some_and(|c| c.reason == "Queued")
}

pub(super) fn shortened<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut list = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    list
}
