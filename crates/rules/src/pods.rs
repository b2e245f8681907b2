//! Pods that run their steps once: how they are found, and what a kubelet and a scheduler say of them: how long one is waited for,
//! and why it does not go on.

use crate::reason::Reason;
use crate::refinery::evidence::clean;
use crate::row::{ContainerRow, ContainerState, Ended, PodPhase, PodRow};
use gastown_api::labels;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A pod that does not start within this is given up.
const START_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// What a kubelet gets beyond a pod's own deadline before its silence counts as the pod's loss.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// By which a pod that does one step for a rig is found; a rig whose name is no label's value stands in an annotation only.
pub(crate) fn labels(role: &str, rig: &str) -> BTreeMap<String, String> {
    let mut set = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_VALUE.to_owned()),
        (labels::ROLE.to_owned(), role.to_owned()),
    ]);
    if !rig.is_empty() && labels::legal_label_value(rig) {
        set.insert(labels::RIG.to_owned(), rig.to_owned());
    }
    set
}

/// Whether a container runs, or has run.
pub(crate) fn is_begun(container: &ContainerRow) -> bool {
    !matches!(container.state, ContainerState::Waiting { .. })
}

/// What may still be expected of a live pod.
pub(crate) enum Patience {
    /// Look again then; why it does not start.
    Running { until: Timestamp, trouble: Option<Reason> },
    /// What stood in the way, and since when it is given up.
    NeverStarted { reason: Reason, since: Timestamp },
    /// It will never end.
    Over(String),
}

/// How long a live pod is waited for.
pub(crate) fn patience(pod: &PodRow, first: &str, limit: SignedDuration, now: Timestamp) -> Patience {
    if pod.meta.deleting.is_some() {
        return Patience::Over("the pod was deleted".to_owned());
    }
    let trouble = trouble(pod);
    let start_by = pod.meta.created + START_DEADLINE;
    let begun = pod.container(first).is_some_and(is_begun);
    if trouble.is_some() || !begun {
        if now < start_by {
            return Patience::Running {
                until: start_by,
                trouble,
            };
        }
        let reason = trouble.unwrap_or_else(|| {
            Reason::new(
                "PodNotStarted",
                format!("pod {} did not start within {START_DEADLINE:#}", pod.meta.key.name),
            )
        });
        return Patience::NeverStarted {
            reason,
            since: start_by,
        };
    }
    let until = pod.started.unwrap_or(pod.meta.created) + limit + SLACK;
    if now < until {
        return Patience::Running { until, trouble: None };
    }
    Patience::Over(format!(
        "pod {} did not end by its deadline and its node is silent",
        pod.meta.key.name
    ))
}

/// Why a pod does not start, as the scheduler or the kubelet says it.
fn trouble(pod: &PodRow) -> Option<Reason> {
    if let Some(words) = &pod.unschedulable {
        return Some(Reason::new(
            "Unschedulable",
            format!("pod {} fits on no node: {}", pod.meta.key.name, clean(words)),
        ));
    }
    pod.containers
        .iter()
        .find_map(|ContainerRow { name, state, .. }| match state {
            ContainerState::Waiting { reason, message } => {
                let code = match reason.as_str() {
                    "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => "ImagePullFailed",
                    "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => "PodConfigInvalid",
                    _ => return None,
                };
                let why = format!(
                    "container {name} of pod {} does not start: {reason}: {}",
                    pod.meta.key.name,
                    clean(message)
                );
                Some(Reason::new(code, why))
            }
            ContainerState::Running { .. } | ContainerState::Ended(_) => None,
        })
}

/// How a container ended, where it did.
pub(crate) fn ended<'p>(pod: &'p PodRow, container: &str) -> Option<&'p Ended> {
    match &pod.container(container)?.state {
        ContainerState::Ended(end) => Some(end),
        ContainerState::Waiting { .. } | ContainerState::Running { .. } => None,
    }
}

/// Why a pod is no more what it was.
pub(crate) fn why(pod: &PodRow) -> String {
    let words = [pod.disrupted.as_deref().unwrap_or(""), &pod.reason, &pod.message];
    let known: Vec<String> = words.iter().filter(|w| !w.is_empty()).map(|w| clean(w)).collect();
    match (known.is_empty(), pod.phase, pod.meta.deleting) {
        (false, ..) => known.join(": "),
        (true, _, Some(_)) => "the pod was deleted".to_owned(),
        (true, PodPhase::Unknown, _) => "its node does not answer".to_owned(),
        (true, ..) => "no reason was given".to_owned(),
    }
}

/// How a container ended that left no report.
pub(crate) fn death(pod: &PodRow, container: &str) -> String {
    match ended(pod, container) {
        Some(e) => format!(
            "container {container} ended with exit code {} {}",
            e.exit,
            clean(&e.reason)
        ),
        None => format!("container {container} has not ended"),
    }
}
