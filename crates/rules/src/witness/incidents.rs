//! Incidents: polecats that need somebody, each told once.

use crate::census::Census;
use crate::draft::Draft;
use crate::notify::Word;
use crate::row::{PolecatRow, WitnessRow};
use crate::settings;
use gastown_api::conditions::{self, DEGRADED};
use gastown_api::{DesiredState, Incident, PolecatPhase, PolecatStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Kept in a status. Who does not fit is taken up when there is room.
const KEPT: usize = 50;
/// Named in a notice.
const NAMED: usize = 10;

/// Those open now: what was there and is not over, and what is new.
pub(super) fn open(
    census: &Census<'_>,
    row: &WitnessRow,
    polecats: &[&PolecatRow],
    out: &mut Draft<'_>,
) -> Vec<Incident> {
    let mut all: Vec<Incident> = Vec::new();
    for held in &row.status.incidents {
        let polecat = polecats.iter().find(|p| p.meta.uid.0 == held.uid);
        if polecat.is_some_and(|p| goes_on(census, p, held, out)) {
            all.push(held.clone());
        }
    }
    for polecat in polecats.iter().filter(|p| p.status.phase == PolecatPhase::Stuck) {
        if all.len() < KEPT && !all.iter().any(|i| i.uid == polecat.meta.uid.0) {
            all.push(new(polecat, census.now));
        }
    }
    all
}

/// Tried again by itself it is the same incident still: a Secret that nobody mends must not be told every five minutes.
fn goes_on(census: &Census<'_>, polecat: &PolecatRow, held: &Incident, out: &mut Draft<'_>) -> bool {
    let status = &polecat.status;
    if polecat.meta.generation != held.generation || round(status) != held.round {
        return false;
    }
    match status.phase {
        PolecatPhase::Stuck => true,
        PolecatPhase::Done | PolecatPhase::Terminated => false,
        PolecatPhase::Idle => polecat.spec.desired_state == DesiredState::Working,
        PolecatPhase::Working if status.pod_active == Some(true) => {
            // Working well for a while is over.
            let rig = census.rig(&polecat.spec.rig);
            let since = status.last_activity.as_ref().map_or(polecat.meta.created, |t| t.0);
            let well = since + settings::stuck_threshold(census.world, polecat, rig);
            if well > census.now {
                out.wake_at(&polecat.spec.rig, well);
            }
            well > census.now
        }
        PolecatPhase::Working => true,
    }
}

fn new(polecat: &PolecatRow, now: Timestamp) -> Incident {
    let status = &polecat.status;
    let reason = conditions::get(&status.conditions, DEGRADED).map_or("Stuck", |c| c.reason.as_str());
    Incident {
        polecat: format!("{}/{}", polecat.meta.key.namespace, polecat.meta.key.name),
        uid: polecat.meta.uid.0.clone(),
        generation: polecat.meta.generation,
        round: round(status),
        reason: reason.to_owned(),
        message: status.message.clone().unwrap_or_default(),
        since: Some(Time(now)),
        told: None,
    }
}

fn round(status: &PolecatStatus) -> i64 {
    status.round.unwrap_or(1)
}

/// What is told of those that were not told yet: who, why, and what to type.
pub(super) fn word(census: &Census<'_>, row: &WitnessRow, incidents: &[Incident]) -> Word {
    let gt = census.world.town.program();
    let rig = &row.spec.rig_ref;
    let untold: Vec<&Incident> = incidents.iter().filter(|i| i.told.is_none()).collect();
    let (who, needs) = match untold.len() {
        1 => ("1 polecat".to_owned(), "needs"),
        n => (format!("{n} polecats"), "need"),
    };
    let subject = format!("Rig {rig}: {who} {needs} somebody");
    let mut text = format!("{subject}.");
    for incident in untold.iter().take(NAMED) {
        let (namespace, name) = incident.polecat.split_once('/').unwrap_or(("", &incident.polecat));
        let Incident { reason, message, .. } = incident;
        text.push_str(&format!(
            "\n- {name} ({reason}): {message}\n  Look: {gt} polecat status {name} -n {namespace}\n  Mended: {gt} polecat retry {name} -n {namespace}"
        ));
    }
    if untold.len() > NAMED {
        text.push_str(&format!("\nand {} more: {gt} polecat list {rig}", untold.len() - NAMED));
    }
    Word { subject, text }
}
