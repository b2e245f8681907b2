//! One convoy: makes polecats for its beads, counts what landed, fails honestly, and tells whom it is to tell.

mod beads;

use crate::blueprint::{Blueprint, PolecatForBead};
use crate::census::Census;
use crate::draft::Draft;
use crate::notify::{Sender, Standing, Target, Word};
use crate::plan::{Action, Notice};
use crate::reason::Reason;
use crate::row::ConvoyRow;
use crate::settings::budget::Spent;
use crate::world::limit;
use beads::{Bead, polecat_key, shortened, who_waits};
use gastown_api::conditions::{self, FIELDS_HONOURED, READY};
use gastown_api::{self as api, ConvoyPhase, ConvoyStatus, DesiredState, labels};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Condition: all landed.
const COMPLETE: &str = "Complete";
/// Counts are written at most this often.
const PACE: SignedDuration = SignedDuration::from_secs(1);

/// Decides one convoy.
pub(crate) fn decide<'w>(census: &Census<'w>, row: &'w ConvoyRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        return;
    }
    let beads = beads::of(census, row);
    let rig = row.spec.rig_ref.as_deref();
    if rig.is_some_and(|name| census.rig(name).is_some_and(|r| r.meta.deleting.is_none())) {
        dispatch(census, row, &beads, out);
    }
    let mut to = count(census, row, &beads);
    let sender = sender(row);
    tell(census, row, &sender, &mut to, out);
    publish(row, to, out);
    sender.serve(census, row.status.notification.as_ref(), out);
}

fn sender(row: &ConvoyRow) -> Sender<'_> {
    let target = row.spec.notify_on_complete.as_deref().unwrap_or_default();
    Sender {
        meta: &row.meta,
        rig: row.spec.rig_ref.as_deref().unwrap_or_default(),
        target: Target::parse(target, "spec.notifyOnComplete"),
        secret: row.spec.notify_secret_ref.as_ref(),
    }
}

/// One notice of its end, whether all landed or nothing goes on. A convoy that is opened again may end again.
fn tell(census: &Census<'_>, row: &ConvoyRow, sender: &Sender<'_>, to: &mut ConvoyStatus, out: &mut Draft<'_>) {
    let nobody = row
        .spec
        .notify_on_complete
        .as_deref()
        .is_none_or(|t| t.trim().is_empty());
    let is_over = matches!(to.phase, ConvoyPhase::Complete | ConvoyPhase::Failed);
    let word = word(census, row, to);
    let mut standing = Standing {
        notification: &mut to.notification,
        conditions: &mut to.conditions,
    };
    if nobody || !is_over {
        sender.forget(&mut standing);
    }
    if nobody {
        return;
    }
    if is_over && (row.status.phase != to.phase || standing.notification.is_none()) {
        sender.begin(word, &mut standing, census.now);
    } else {
        sender.carry(census, &mut standing, out);
    }
}

fn word(census: &Census<'_>, row: &ConvoyRow, to: &ConvoyStatus) -> Word {
    let gt = census.world.town.program();
    let (name, namespace) = (&row.meta.key.name, &row.meta.key.namespace);
    let how = match to.phase {
        ConvoyPhase::Complete => "is complete",
        _ => "cannot finish",
    };
    let progress = to.progress.as_deref().unwrap_or_default();
    let subject = format!("Convoy {name} {how}: {progress} landed");
    let why = match to.phase {
        ConvoyPhase::Complete => String::new(),
        _ => format!("\n{}", to.message.as_deref().unwrap_or_default()),
    };
    let about: String = row.spec.description.chars().take(200).collect();
    let text = format!("{subject} ({about}).{why}\nLook: {gt} convoy status {name} -n {namespace}");
    Word { subject, text }
}

/// Makes polecats for free beads, as many as may run: the most urgent first, else in the order of the spec.
fn dispatch(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead<'_>)], out: &mut Draft<'_>) {
    let Some(rig) = &row.spec.rig_ref else { return };
    let active = beads.iter().filter(|(_, bead)| bead.is_active()).count();
    let room = limit(row).map_or(usize::MAX, |most| most.saturating_sub(active));
    let free = beads.iter().filter(|(_, bead)| *bead == Bead::Free);
    let mut free: Vec<(&str, i32)> = free.map(|(bead, _)| (*bead, urgency(census, rig, bead))).collect();
    free.sort_by_key(|(_, urgency)| Reverse(*urgency));
    for (bead, urgency) in free.into_iter().take(room) {
        let blueprint = PolecatForBead {
            key: polecat_key(row, bead),
            spec: api::PolecatSpec {
                rig: rig.clone(),
                desired_state: DesiredState::Working,
                bead_id: Some(bead.to_owned()),
                priority: Some(urgency).filter(|n| *n != 0),
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

/// What the rig's bead stores say of a bead's priority; 0: the middle, or not known.
fn urgency(census: &Census<'_>, rig: &str, bead: &str) -> i32 {
    let stores = census.world.bead_stores.values().filter(|s| s.spec.rig_ref == rig);
    let mut told = stores.filter_map(|s| s.status.priorities.get(bead));
    told.next().copied().unwrap_or(0)
}

fn convoy_labels(row: &ConvoyRow) -> BTreeMap<String, String> {
    let name = &row.meta.key.name;
    let label = labels::legal_label_value(name).then(|| (labels::CONVOY.to_owned(), name.clone()));
    label.into_iter().collect()
}

fn count(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead<'_>)]) -> ConvoyStatus {
    let now = census.now;
    let names = |pick: fn(Bead<'_>) -> bool| -> Vec<String> {
        beads
            .iter()
            .filter(|(_, bead)| pick(*bead))
            .map(|(name, _)| (*name).to_owned())
            .collect()
    };
    let mut to = row.status.clone();
    to.completed_beads = names(|b| b == Bead::Landed);
    to.pending_beads = names(|b| b.is_pending());
    to.failed_beads = names(|b| matches!(b, Bead::Failed | Bead::NameTaken));
    to.progress = Some(format!("{}/{}", to.completed_beads.len(), beads.len()));
    to.phase = if to.completed_beads.len() == beads.len() {
        ConvoyPhase::Complete
    } else if to.pending_beads.is_empty() {
        ConvoyPhase::Failed
    } else {
        ConvoyPhase::InProgress
    };
    let spent = census
        .counted(row)
        .fold(Spent::default(), |sum, p| sum.plus(Spent::by(&p.status)));
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
    to.conditions.retain(|c| c.type_ != FIELDS_HONOURED);
    to
}

/// Why it is where it is, and what to do.
fn judge(census: &Census<'_>, row: &ConvoyRow, beads: &[(&str, Bead<'_>)], to: &ConvoyStatus) -> (bool, Reason) {
    let free = || beads.iter().filter(|(_, b)| *b == Bead::Free).map(|(name, _)| *name);
    let progress = to.progress.as_deref().unwrap_or_default();
    if to.phase == ConvoyPhase::Complete {
        return (true, Reason::new("Complete", format!("all {} landed", beads.len())));
    }
    if let Some(rig) = row.spec.rig_ref.as_ref().filter(|name| census.rig(name).is_none()) {
        let fix = format!("there is no Rig {rig:?}: create it or correct spec.rigRef");
        return (false, Reason::new("RigNotFound", fix));
    }
    if let Some((bead, _)) = beads.iter().find(|(_, b)| *b == Bead::NameTaken) {
        let name = polecat_key(row, bead).name;
        let fix = format!("Polecat {name} works on something else, so {bead} gets none: rename or delete it");
        return (false, Reason::new("NameTaken", fix));
    }
    let refused = free().find_map(|bead| Some((bead, census.world.refusal(&polecat_key(row, bead))?.why.as_ref()?)));
    if let Some((bead, why)) = refused {
        let message = format!("{progress} landed; no polecat can be created for {bead}: {why}");
        return (false, Reason::new("PolecatRefused", message));
    }
    let waits = who_waits(row, beads);
    if to.phase == ConvoyPhase::Failed {
        let message = format!("nothing goes on by itself{waits}: see their polecats' messages");
        return (false, Reason::new("Failed", message));
    }
    if row.spec.rig_ref.is_none() && free().next().is_some() {
        let free: Vec<&str> = free().collect();
        let message = format!(
            "{progress} landed{waits}; no polecat for {}: sling them, or set spec.rigRef",
            shortened(free.into_iter())
        );
        return (true, Reason::new("Synced", message));
    }
    (true, Reason::new("Synced", format!("{progress} landed{waits}")))
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
