//! One witness: the health of its rig's polecats, from activity and not from age, and who is told of it.
//!
//! The ladder: a silent agent is waited for, nudged, and ended for a new attempt with the same conversation
//! (`polecat/silence.rs`); whoever is Stuck then, or for another reason, is an incident, and escalated once.

mod incidents;

use crate::census::Census;
use crate::draft::Draft;
use crate::duration;
use crate::notify::{self, Sender, Standing, Target};
use crate::plan::Notice;
use crate::polecat;
use crate::reason::Reason;
use crate::row::{PolecatRow, WitnessRow};
use gastown_api::conditions::{self, DEGRADED, FIELDS_HONOURED, READY};
use gastown_api::{PolecatPhase, PolecatsSummary, WitnessPhase, WitnessStatus};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How often health is judged where the spec does not say.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Decides one witness.
pub(crate) fn decide(census: &Census<'_>, row: &WitnessRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        return;
    }
    let sender = sender(row);
    write(census, row, &sender, out);
    sender.serve(census, row.status.notification.as_ref(), out);
}

fn sender(row: &WitnessRow) -> Sender<'_> {
    let target = row.spec.escalation_target.as_deref().unwrap_or_default().trim();
    let target = if target.is_empty() { "mayor" } else { target };
    Sender {
        meta: &row.meta,
        rig: &row.spec.rig_ref,
        target: Target::parse(target, "spec.escalationTarget"),
        secret: row.spec.escalation_secret_ref.as_ref(),
    }
}

fn write(census: &Census<'_>, row: &WitnessRow, sender: &Sender<'_>, out: &mut Draft<'_>) {
    let (mut to, notices) = judge(census, row, sender, out);
    if to == row.status {
        return;
    }
    if out.paced(&row.meta.key, interval(row)) {
        to.last_check_time = Some(Time(census.now));
    } else {
        // Health is judged in intervals; what becomes of a notice is not waited for.
        to = row.status.clone();
        sender.carry(census, &mut standing(&mut to), out);
        if to == row.status {
            return;
        }
        let because = Reason::new("Notified", "a notice is on its way, or there");
        out.publish_witness(row, to, because, Vec::new());
        return;
    }
    let because = Reason::new("Checked", to.message.clone().unwrap_or_default());
    out.publish_witness(row, to, because, notices);
}

fn standing(to: &mut WitnessStatus) -> Standing<'_> {
    Standing {
        notification: &mut to.notification,
        conditions: &mut to.conditions,
    }
}

/// Whose health it judges: a rig's own Witness that of all its polecats; one that somebody made in another namespace, that of those
/// beside it. What is told of a polecat holds its words, which are nobody else's business.
fn watched<'w>(census: &Census<'w>, row: &WitnessRow) -> Vec<&'w PolecatRow> {
    let (own, all) = (&row.meta.key.namespace, &census.world.town.namespace);
    census
        .polecats(&row.spec.rig_ref)
        .filter(|p| own == all || p.meta.key.namespace == *own)
        .collect()
}

/// The whole status as it should be, and what is told with it.
fn judge(
    census: &Census<'_>,
    row: &WitnessRow,
    sender: &Sender<'_>,
    out: &mut Draft<'_>,
) -> (WitnessStatus, Vec<Notice>) {
    let polecats = watched(census, row);
    let silent: Vec<&PolecatRow> = polecats
        .iter()
        .copied()
        .filter(|p| polecat::is_silent(census, p, out))
        .collect();
    let mut to = row.status.clone();
    let because = health(&mut to, &polecats, &silent);
    to.observed_generation = Some(row.meta.generation);
    let healthy = to.phase != WitnessPhase::Degraded;
    let mut set = |kind: &str, on: bool, because: &Reason| {
        let Reason { code, message } = because;
        let generation = row.meta.generation;
        conditions::set(&mut to.conditions, kind, on, code, message, generation, census.now);
    };
    set(READY, healthy, &because);
    set(DEGRADED, !healthy, &because);
    match misspelt(row) {
        Some(because) => set(FIELDS_HONOURED, false, &because),
        None => to.conditions.retain(|c| c.type_ != FIELDS_HONOURED),
    }
    let mut notices = escalate(census, row, sender, &mut to, out);
    if notices.is_empty() && !healthy && row.status.phase != WitnessPhase::Degraded {
        notices.push(Notice { warning: true, because });
    }
    (to, notices)
}

/// What was not told yet is told, all in one notice, once the one before has come to its end.
fn escalate(
    census: &Census<'_>,
    row: &WitnessRow,
    sender: &Sender<'_>,
    to: &mut WitnessStatus,
    out: &mut Draft<'_>,
) -> Vec<Notice> {
    to.incidents = incidents::open(census, row, &watched(census, row), out);
    let held = to.notification.as_ref();
    let about = |id: &str| to.incidents.iter().any(|i| i.told.as_deref() == Some(id));
    if held.is_some_and(|n| n.sent_at.is_none() && !about(&n.id)) {
        // It is over before anybody heard of it.
        sender.forget(&mut standing(to));
    }
    sender.carry(census, &mut standing(to), out);
    let untold = to.incidents.iter().any(|i| i.told.is_none());
    if !untold || !notify::settled(to.notification.as_ref()) {
        return Vec::new();
    }
    let word = incidents::word(census, row, &to.incidents);
    let because = Reason::new("Escalated", word.text.clone());
    let id = sender.begin(word, &mut standing(to), census.now);
    for incident in to.incidents.iter_mut().filter(|i| i.told.is_none()) {
        incident.told = Some(id.clone());
    }
    vec![Notice { warning: true, because }]
}

fn interval(row: &WitnessRow) -> SignedDuration {
    let text = row.spec.health_check_interval.as_deref();
    text.and_then(duration::parse)
        .unwrap_or(INTERVAL)
        .max(SignedDuration::from_secs(1))
}

/// Durations that are none.
fn misspelt(row: &WitnessRow) -> Option<Reason> {
    let fields = [
        ("healthCheckInterval", &row.spec.health_check_interval, "30s"),
        ("stuckThreshold", &row.spec.stuck_threshold, "the Rig's, else 15m,"),
    ];
    // A threshold of nothing would call everybody stuck; an interval of nothing is the shortest there is.
    let counts = |name: &str, d: SignedDuration| d.is_positive() || name == "healthCheckInterval";
    let wrong: Vec<String> = fields
        .iter()
        .filter_map(|(name, text, default)| {
            let text = text
                .as_ref()
                .filter(|t| !duration::parse(t).is_some_and(|d| counts(name, d)))?;
            Some(format!("spec.{name} {text:?} is no duration, {default} counts"))
        })
        .collect();
    (!wrong.is_empty()).then(|| {
        let message = format!("{}: write 90s, 15m or 1h30m", wrong.join("; "));
        Reason::new("InvalidDuration", message)
    })
}

/// Counts, phase and message.
fn health(to: &mut WitnessStatus, polecats: &[&PolecatRow], silent: &[&PolecatRow]) -> Reason {
    let in_phase = |phase: PolecatPhase| size(polecats.iter().filter(|p| p.status.phase == phase).count());
    let summary = PolecatsSummary {
        total: size(polecats.len()),
        running: in_phase(PolecatPhase::Working),
        succeeded: in_phase(PolecatPhase::Done),
        failed: in_phase(PolecatPhase::Stuck),
        stuck: size(silent.len()),
    };
    let healthy = summary.failed == 0 && summary.stuck == 0;
    let because = if healthy {
        Reason::new("AllHealthy", "nobody is stuck")
    } else {
        Reason::new("IssuesDetected", issues(polecats, silent))
    };
    to.phase = match (healthy, summary.running) {
        (false, _) => WitnessPhase::Degraded,
        (true, 0) => WitnessPhase::Pending,
        (true, _) => WitnessPhase::Active,
    };
    to.polecats_summary = Some(summary);
    to.message = Some(because.message.clone());
    because
}

/// Who, and where to look.
fn issues(polecats: &[&PolecatRow], silent: &[&PolecatRow]) -> String {
    const SHOWN: usize = 5;
    let names = |rows: &mut dyn Iterator<Item = &&PolecatRow>| {
        rows.map(|p| p.meta.key.name.as_str())
            .take(SHOWN)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let stuck = names(&mut polecats.iter().filter(|p| p.status.phase == PolecatPhase::Stuck));
    let quiet = names(&mut silent.iter());
    match (stuck.as_str(), quiet.as_str()) {
        (stuck, "") => format!("stuck: {stuck}; their messages say why"),
        ("", quiet) => {
            format!(
                "without activity: {quiet}; nudged, and if that does not help tried anew; see kubectl logs of their pods"
            )
        }
        (stuck, quiet) => format!("stuck: {stuck}; without activity, nudged: {quiet}"),
    }
}

fn size(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
