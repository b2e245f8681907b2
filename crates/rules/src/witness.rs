//! One witness: the health of its rig's polecats, from activity and not from age.

use crate::census::Census;
use crate::draft::Draft;
use crate::duration;
use crate::plan::Notice;
use crate::polecat::outcome;
use crate::reason::Reason;
use crate::row::{PodRow, PolecatRow, WitnessRow};
use gastown_api::conditions::{self, DEGRADED, FIELDS_HONOURED, READY};
use gastown_api::{PolecatPhase, PolecatsSummary, WitnessPhase, WitnessStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How often health is judged where the spec does not say.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);
/// Without activity for this long a polecat counts as stuck, where nobody says.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// Decides one witness.
pub(crate) fn decide(census: &Census<'_>, row: &WitnessRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        return;
    }
    let threshold = threshold(census, row);
    let polecats = census.polecats(&row.spec.rig_ref);
    let mut silent = Vec::new();
    for polecat in polecats {
        for since in census.pods(polecat).iter().filter_map(|pod| silence(pod)) {
            let at = since + threshold;
            if at <= census.now {
                silent.push(*polecat);
            } else {
                // Unready from the start counts once it has lasted: nothing else will tell.
                out.wake_at(&row.spec.rig_ref, at);
            }
        }
    }
    let to = judge(census, row, polecats, &silent);
    if to == row.status || !out.paced(&row.meta.key, interval(row)) {
        return;
    }
    let because = Reason::new("Checked", to.message.clone().unwrap_or_default());
    let worse = to.phase == WitnessPhase::Degraded && row.status.phase != WitnessPhase::Degraded;
    let notice = Notice {
        warning: true,
        because: because.clone(),
    };
    out.publish_witness(row, to, because, worse.then_some(notice).into_iter().collect());
}

/// Since when a running pod may have been without activity.
fn silence(pod: &PodRow) -> Option<Timestamp> {
    outcome::unready_since(pod).filter(|_| pod.live() && pod.meta.deleting.is_none())
}

fn interval(row: &WitnessRow) -> SignedDuration {
    let text = row.spec.health_check_interval.as_deref();
    text.and_then(duration::parse)
        .unwrap_or(INTERVAL)
        .max(SignedDuration::from_secs(1))
}

fn threshold(census: &Census<'_>, row: &WitnessRow) -> SignedDuration {
    let rigs = census
        .rig(&row.spec.rig_ref)
        .and_then(|r| r.spec.stuck_threshold.as_deref());
    rigs.or(row.spec.stuck_threshold.as_deref())
        .and_then(duration::parse)
        .unwrap_or(STUCK_AFTER)
}

fn judge(census: &Census<'_>, row: &WitnessRow, polecats: &[&PolecatRow], silent: &[&PolecatRow]) -> WitnessStatus {
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
    let mut to = row.status.clone();
    to.phase = match (healthy, summary.running) {
        (false, _) => WitnessPhase::Degraded,
        (true, 0) => WitnessPhase::Pending,
        (true, _) => WitnessPhase::Active,
    };
    to.polecats_summary = Some(summary);
    to.message = Some(because.message.clone());
    to.observed_generation = Some(row.meta.generation);
    let mut set = |kind: &str, on: bool, because: &Reason| {
        let generation = row.meta.generation;
        conditions::set(
            &mut to.conditions,
            kind,
            on,
            because.code,
            &because.message,
            generation,
            census.now,
        );
    };
    set(READY, healthy, &because);
    set(DEGRADED, !healthy, &because);
    set(
        FIELDS_HONOURED,
        false,
        &Reason::new(
            "NotYet",
            "accepted and not served yet: escalationTarget; nobody is told but by status and events",
        ),
    );
    if to != row.status {
        to.last_check_time = Some(Time(census.now));
    }
    to
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
        ("", quiet) => format!("without activity: {quiet}; see kubectl logs of their pods"),
        (stuck, quiet) => format!("stuck: {stuck}; without activity: {quiet}"),
    }
}

fn size(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
