//! The pod that reads a store, and what it says.

use super::source::Source;
use crate::blueprint::{BeadsPod, PodCommon};
use crate::key::{Key, Kind};
use crate::passwd;
use crate::pods::{self, Patience, death, ended, patience, why};
use crate::reason::Reason;
use crate::refinery::evidence::clean;
use crate::remote;
use crate::row::{BeadStoreRow, PodRole, PodRow};
use crate::world::World;
use gastown_wire::{self as wire, BeadsOrders, BeadsOutcome, BeadsReport, Pace, Paths, Report, ReportError, exit};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Its one container.
const BEADS: &str = "beads";
/// The kubelet ends it after this.
const DEADLINE: SignedDuration = SignedDuration::from_mins(5);

/// The pod of one look.
pub(super) fn pod(world: &World, row: &BeadStoreRow, source: &Source<'_>, key: Key) -> BeadsPod {
    let rig = source.rig.meta.key.name.clone();
    let orders = BeadsOrders {
        version: wire::VERSION,
        rig: rig.clone(),
        remote: source.target.orders(&source.credentials),
        known: known(row),
        prefix: row.spec.prefix.clone(),
        paths: Paths {
            courier: "/gastown/courier".to_owned(),
            ..Paths::default()
        },
        pace: Pace {
            git_timeout_s: 240,
            ..Pace::default()
        },
    };
    let labels = pods::labels(BEADS, &rig);
    let template = source.rig.spec.pod_template.clone();
    // Safe to evict: the next one reads the same.
    let mut annotations = BTreeMap::from([(gastown_api::labels::RIG.to_owned(), rig)]);
    annotations.extend(passwd::annotation(world.town.one_machine, template.as_ref()));
    let common = PodCommon {
        key,
        owner: (Kind::BeadStore, row.meta.key.name.clone(), row.meta.uid.clone()),
        labels,
        annotations,
        harness_image: world.town.harness_image.clone(),
        credentials: source.credentials.clone(),
        deadline: Some(DEADLINE.as_secs()),
        template,
        local_remote: source.target.local_path(),
        local_content: None,
    };
    BeadsPod { common, orders }
}

/// The commit whose issues the status tells. After a failure it tells of the failure, so that all is read again.
pub(super) fn known(row: &BeadStoreRow) -> Option<String> {
    row.status.commit.clone().filter(|_| row.status.failures.is_none())
}

/// The pods that read a store, or have read it.
pub(super) fn all<'w>(world: &'w World, row: &'w BeadStoreRow) -> impl Iterator<Item = &'w PodRow> {
    let pods = world.pods_of(&row.meta.uid).iter().map(Arc::as_ref);
    pods.filter(|pod| pod.role == PodRole::Beads)
}

/// What a pod has come to.
pub(super) enum Look {
    /// Not yet anything: look again then; why it does not start.
    Running { until: Timestamp, trouble: Option<Reason> },
    /// It says what the repository holds.
    Told(BeadsReport),
    /// It says nothing, or that it cannot be read.
    Failed(Reason),
}

/// Reads a pod.
pub(super) fn look(pod: &PodRow, now: Timestamp) -> Look {
    if let Some(end) = ended(pod, BEADS) {
        return match BeadsReport::decode(&end.message) {
            Ok(report) => heard(report),
            Err(error @ ReportError::Version { .. }) => Look::Failed(Reason::new("HarnessVersion", error.to_string())),
            Err(_) => Look::Failed(dead(pod, end.exit)),
        };
    }
    if !pod.live() {
        return Look::Failed(dead(pod, 0));
    }
    match patience(pod, BEADS, DEADLINE, now) {
        Patience::Running { until, trouble } => Look::Running { until, trouble },
        Patience::NeverStarted { reason, .. } => Look::Failed(reason),
        Patience::Over(why) => Look::Failed(lost(&why)),
    }
}

fn heard(report: BeadsReport) -> Look {
    let detail = clean(&report.detail);
    match &report.outcome {
        BeadsOutcome::Read(_) | BeadsOutcome::NoBeads | BeadsOutcome::Unmoved => Look::Told(report),
        BeadsOutcome::Config { reason } => Look::Failed(remote::reason(reason, &detail, || {
            let message = "the repository cannot be read as configured: check gitURL, targetBranch and gitSecretRef";
            Reason::new("RemoteRefused", message)
        })),
        BeadsOutcome::Transient => {
            let message = format!("the git remote does not answer: {detail}");
            Look::Failed(Reason::new(remote::UNREACHABLE, message))
        }
    }
}

/// It ended and left no report.
fn dead(pod: &PodRow, code: i32) -> Reason {
    if pod.reason == "DeadlineExceeded" {
        let message = format!("the repository was not read within {DEADLINE:#}: is the git remote slow?");
        return Reason::new("ReaderTimedOut", message);
    }
    match code {
        exit::CONFIG => remote::reason("BadOrders", &death(pod, BEADS), || Reason::new("BadOrders", "")),
        _ if ended(pod, BEADS).is_some() && pod.reason.is_empty() => Reason::new("ReaderFailed", death(pod, BEADS)),
        _ => lost(&why(pod)),
    }
}

/// Nobody will ever know.
pub(super) fn lost(why: &str) -> Reason {
    Reason::new(
        "ReaderLost",
        format!("the pod that reads the issues ended without an answer: {why}"),
    )
}
