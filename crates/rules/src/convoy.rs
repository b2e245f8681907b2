//! One convoy: makes polecats for its beads, counts what landed, fails honestly.

use crate::blueprint::{Blueprint, PolecatForBead};
use crate::census::Census;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::names;
use crate::plan::{Action, Notice};
use crate::polecat;
use crate::reason::Reason;
use crate::row::{ConvoyRow, PolecatRow};
use crate::settings::budget::Spent;
use crate::world::{counts, limit};
use gastown_api::conditions::{self, FIELDS_HONOURED, READY};
use gastown_api::{self as api, ConvoyPhase, ConvoyStatus, DesiredState, PolecatPhase, labels};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Condition: all landed.
const COMPLETE: &str = "Complete";
/// Counts are written at most this often.
const PACE: SignedDuration = SignedDuration::from_secs(1);

/// Where one bead is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bead {
    /// Its change is on the branch; for ever.
    Landed,
    /// A polecat has it. `active`: it has not finished its round.
    Under { active: bool },
    /// Whoever had it is stuck or ended.
    Failed,
    /// Nobody has it.
    Free,
}

/// Decides one convoy.
pub(crate) fn decide<'w>(census: &Census<'w>, row: &'w ConvoyRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        return;
    }
    let beads = beads(census, row);
    let rig = row.spec.rig_ref.as_deref();
    if rig.is_some_and(|name| census.rig(name).is_some_and(|r| r.meta.deleting.is_none())) {
        dispatch(census, row, &beads, out);
    }
    let to = count(census, row, &beads);
    publish(row, to, out);
}

/// Every bead once, in the order of the spec.
fn beads<'w>(census: &Census<'w>, row: &'w ConvoyRow) -> Vec<(&'w str, Bead)> {
    let mut by_bead: BTreeMap<&str, Vec<&PolecatRow>> = BTreeMap::new();
    for polecat in census.namespace(&row.meta.key.namespace).filter(|p| counts(row, p)) {
        by_bead
            .entry(polecat.spec.bead_id.as_deref().unwrap_or_default())
            .or_default()
            .push(polecat);
    }
    let mut seen = BTreeSet::new();
    let tracked = row
        .spec
        .tracked_beads
        .iter()
        .map(String::as_str)
        .filter(|bead| seen.insert(*bead));
    tracked
        .map(|bead| (bead, standing(row, bead, by_bead.get(bead).map_or(&[], Vec::as_slice))))
        .collect()
}

fn standing(row: &ConvoyRow, bead: &str, polecats: &[&PolecatRow]) -> Bead {
    // What was counted stays counted, also when its polecat is deleted.
    if row.status.completed_beads.iter().any(|b| b == bead) || polecats.iter().any(|p| polecat::landed(&p.status)) {
        return Bead::Landed;
    }
    let alive = |p: &&&PolecatRow| {
        p.meta.deleting.is_none()
            && p.spec.desired_state != DesiredState::Terminated
            && !matches!(p.status.phase, PolecatPhase::Stuck | PolecatPhase::Terminated)
    };
    // The oldest live one has it; others of the same bead change nothing.
    match polecats
        .iter()
        .filter(alive)
        .min_by_key(|p| (p.meta.created, &p.meta.key))
    {
        Some(p) => Bead::Under {
            active: p.status.phase != PolecatPhase::Done,
        },
        None if polecats.is_empty() => Bead::Free,
        None => Bead::Failed,
    }
}

/// Makes polecats for free beads, as many as may run.
fn dispatch(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead)], out: &mut Draft<'_>) {
    let Some(rig) = &row.spec.rig_ref else { return };
    let active = beads
        .iter()
        .filter(|(_, bead)| *bead == Bead::Under { active: true })
        .count();
    let room = limit(row).map_or(usize::MAX, |most| most.saturating_sub(active));
    for (bead, _) in beads.iter().filter(|(_, bead)| *bead == Bead::Free).take(room) {
        let key = polecat_key(row, bead);
        // The name is somebody else's: said in the status, and left to a person.
        if census.world.polecats.contains_key(&key) {
            continue;
        }
        let blueprint = PolecatForBead {
            key,
            spec: api::PolecatSpec {
                rig: rig.clone(),
                desired_state: DesiredState::Working,
                bead_id: Some((*bead).to_owned()),
                ..api::PolecatSpec::default()
            },
            labels: convoy_labels(row),
        };
        let because = Reason::new("Dispatched", format!("Convoy {} tracks {bead}", row.meta.key.name));
        out.push(Action::Create {
            blueprint: Box::new(Blueprint::Polecat(blueprint)),
            because,
        });
    }
}

fn polecat_key(row: &ConvoyRow, bead: &str) -> Key {
    let name = names::convoy_polecat(&row.meta.key.name, bead);
    Key::new(Kind::Polecat, &row.meta.key.namespace, name)
}

fn convoy_labels(row: &ConvoyRow) -> BTreeMap<String, String> {
    let name = &row.meta.key.name;
    let label = labels::legal_label_value(name).then(|| (labels::CONVOY.to_owned(), name.clone()));
    label.into_iter().collect()
}

fn count(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead)]) -> ConvoyStatus {
    let now = census.now;
    let names = |pick: fn(Bead) -> bool| -> Vec<String> {
        beads
            .iter()
            .filter(|(_, bead)| pick(*bead))
            .map(|(name, _)| (*name).to_owned())
            .collect()
    };
    let mut to = row.status.clone();
    to.completed_beads = names(|b| b == Bead::Landed);
    to.pending_beads = names(|b| matches!(b, Bead::Under { .. } | Bead::Free));
    to.failed_beads = names(|b| b == Bead::Failed);
    to.progress = Some(format!("{}/{}", to.completed_beads.len(), beads.len()));
    to.phase = if to.completed_beads.len() == beads.len() {
        ConvoyPhase::Complete
    } else if to.pending_beads.is_empty() {
        ConvoyPhase::Failed
    } else {
        ConvoyPhase::InProgress
    };
    let mine = census.namespace(&row.meta.key.namespace).filter(|p| counts(row, p));
    let spent = mine.fold(Spent::default(), |sum, p| sum.plus(Spent::by(&p.status)));
    (to.tokens, to.cost_usd) = spent.shown();
    to.started_at.get_or_insert(Time(now));
    if to.phase == ConvoyPhase::Complete {
        to.completed_at.get_or_insert(Time(now));
    } else {
        to.completed_at = None;
    }
    to.observed_generation = Some(row.meta.generation);
    let (ready, because) = judge(census, row, beads, &to);
    to.message = Some(because.message.clone());
    let phase = to.phase;
    let mut set = |kind: &str, on: bool, code: &str, message: &str| {
        conditions::set(&mut to.conditions, kind, on, code, message, row.meta.generation, now);
    };
    set(READY, ready, because.code, &because.message);
    match phase {
        ConvoyPhase::Complete => set(COMPLETE, true, "Complete", "all beads have landed"),
        ConvoyPhase::Failed => set(COMPLETE, false, "Failed", &because.message),
        ConvoyPhase::Pending | ConvoyPhase::InProgress => set(COMPLETE, false, "InProgress", ""),
    }
    if row.spec.notify_on_complete.is_some() {
        set(
            FIELDS_HONOURED,
            false,
            "NotYet",
            "accepted and not served yet: notifyOnComplete",
        );
    } else {
        to.conditions.retain(|c| c.type_ != FIELDS_HONOURED);
    }
    to
}

/// Why it is where it is, and what to do.
fn judge(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead)], to: &ConvoyStatus) -> (bool, Reason) {
    let free: Vec<&str> = beads
        .iter()
        .filter(|(_, b)| *b == Bead::Free)
        .map(|(name, _)| *name)
        .collect();
    if to.phase == ConvoyPhase::Complete {
        return (true, Reason::new("Complete", format!("all {} landed", beads.len())));
    }
    if let Some(rig) = row.spec.rig_ref.as_ref().filter(|name| census.rig(name).is_none()) {
        let fix = format!("there is no Rig {rig:?}: create it or correct spec.rigRef");
        return (false, Reason::new("RigNotFound", fix));
    }
    let taken = free
        .iter()
        .find(|bead| census.world.polecats.contains_key(&polecat_key(row, bead)));
    if let Some(bead) = taken {
        let name = polecat_key(row, bead).name;
        let fix = format!("Polecat {name} works on something else, so {bead} gets none: rename or delete it");
        return (false, Reason::new("NameTaken", fix));
    }
    let stuck = match to.failed_beads.as_slice() {
        [] => String::new(),
        failed => format!("; stuck: {}", shortened(failed.iter().map(String::as_str))),
    };
    if to.phase == ConvoyPhase::Failed {
        let message = format!("nothing goes on by itself{stuck}: see their polecats' messages");
        return (false, Reason::new("Failed", message));
    }
    if row.spec.rig_ref.is_none() && !free.is_empty() {
        let message = format!(
            "{} landed{stuck}; no polecat for {}: sling them, or set spec.rigRef",
            to.progress.as_deref().unwrap_or_default(),
            shortened(free.iter().copied())
        );
        return (true, Reason::new("Synced", message));
    }
    (
        true,
        Reason::new(
            "Synced",
            format!("{} landed{stuck}", to.progress.as_deref().unwrap_or_default()),
        ),
    )
}

fn shortened<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut list = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list.push_str(&format!(" and {more} more"));
    }
    list
}

fn publish(row: &ConvoyRow, to: ConvoyStatus, out: &mut Draft<'_>) {
    if to == row.status || !out.paced(&row.meta.key, PACE) {
        return;
    }
    let because = Reason::new("Synced", to.message.clone().unwrap_or_default());
    let mut notices = Vec::new();
    if to.phase != row.status.phase && matches!(to.phase, ConvoyPhase::Complete | ConvoyPhase::Failed) {
        let failed = to.phase == ConvoyPhase::Failed;
        let code = if failed { "Failed" } else { "Complete" };
        notices.push(Notice {
            warning: failed,
            because: Reason::new(code, because.message.clone()),
        });
    }
    out.publish_convoy(row, to, because, notices);
}
