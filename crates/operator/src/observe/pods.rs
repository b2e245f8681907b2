//! Pods to rows: a slim reading of what a kubelet says. Never the typed `Pod`, whose decoded form is 20 times larger.

use super::slim;
use gastown_api::labels;
use gastown_rules::{ContainerRow, ContainerState, Ended, Kind, PodPhase, PodRole, PodRow};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    node_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    phase: String,
    reason: String,
    message: String,
    start_time: Option<Timestamp>,
    conditions: Vec<Condition>,
    init_container_statuses: Vec<Container>,
    container_statuses: Vec<Container>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    ready: bool,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Running {
    started_at: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    reason: String,
    message: String,
    finished_at: Option<Timestamp>,
}

impl From<Terminated> for Ended {
    fn from(t: Terminated) -> Self {
        Self {
            exit: t.exit_code,
            reason: t.reason,
            message: t.message,
            at: t.finished_at,
        }
    }
}

fn container(c: Container, init: bool) -> ContainerRow {
    let state = match c.state {
        State {
            terminated: Some(t), ..
        } => ContainerState::Ended(t.into()),
        State { running: Some(r), .. } => ContainerState::Running { since: r.started_at },
        State { waiting: Some(w), .. } => ContainerState::Waiting {
            reason: w.reason,
            message: w.message,
        },
        State { .. } => ContainerState::Waiting {
            reason: String::new(),
            message: String::new(),
        },
    };
    ContainerRow {
        name: c.name,
        init,
        state,
        last: c.last_state.terminated.map(|t| Box::new(t.into())),
        restarts: c.restart_count,
        ready: c.ready,
    }
}

fn phase(text: &str) -> PodPhase {
    match text {
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        "Unknown" => PodPhase::Unknown,
        _ => PodPhase::Pending,
    }
}

fn orders<T: serde::de::DeserializeOwned>(text: Option<&String>) -> Result<Option<Box<T>>, String> {
    text.map(|t| {
        serde_json::from_str(t)
            .map(Box::new)
            .map_err(|e| format!("annotation {}: {e}", labels::ORDERS))
    })
    .transpose()
}

/// A pod as it comes over the wire.
pub(super) type Pod = slim::Object<Spec, Status>;

/// A pod of ours as rules see it.
pub(super) fn pod_row(object: Pod) -> Result<PodRow, String> {
    let (spec, status) = (object.spec.unwrap_or_default(), object.status.unwrap_or_default());
    let owner = object.metadata.owner();
    let mut meta = object.metadata.into_meta(Kind::Pod);
    let role = match meta.labels.get(labels::ROLE).map(String::as_str) {
        Some("polecat") => PodRole::Polecat,
        Some("test") => PodRole::Test,
        Some("land") => PodRole::Land,
        Some("beads") => PodRole::Beads,
        Some("notify") => PodRole::Notify,
        other => {
            return Err(format!(
                "label {}={other:?} is not polecat, test, land, beads or notify",
                labels::ROLE
            ));
        }
    };
    let annotation = |name: &str| meta.annotations.get(name);
    let number = |name: &str| annotation(name).and_then(|v| v.parse().ok()).unwrap_or_default();
    let condition = |kind: &str, value: &str| status.conditions.iter().find(|c| c.r#type == kind && c.status == value);
    let rig = annotation(labels::RIG)
        .or_else(|| meta.labels.get(labels::RIG))
        .cloned()
        .unwrap_or_default();
    let (attempt, round) = (number(labels::ATTEMPT), number(labels::ROUND));
    let test = match role {
        PodRole::Test => orders(annotation(labels::ORDERS))?,
        _ => None,
    };
    let land = match role {
        PodRole::Land => orders(annotation(labels::ORDERS))?,
        _ => None,
    };
    // What is read is not kept twice: there are thousands of pods, and even an empty map that was filled once has its node.
    meta.labels = BTreeMap::new();
    meta.annotations
        .retain(|name, _| ![labels::RIG, labels::ATTEMPT, labels::ROUND, labels::ORDERS].contains(&name.as_str()));
    if meta.annotations.is_empty() {
        meta.annotations = BTreeMap::new();
    }
    Ok(PodRow {
        role,
        rig,
        owner,
        attempt,
        round,
        test,
        land,
        node: spec.node_name,
        phase: phase(&status.phase),
        unschedulable: condition("PodScheduled", "False").map(|c| c.message.clone()),
        disrupted: condition("DisruptionTarget", "True").map(|c| c.reason.clone()),
        reason: status.reason,
        message: status.message,
        started: status.start_time,
        containers: status
            .init_container_statuses
            .into_iter()
            .map(|c| container(c, true))
            .chain(status.container_statuses.into_iter().map(|c| container(c, false)))
            .collect(),
        meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_rules::Uid;
    use serde_json::json;

    fn pod(role: &str, status: serde_json::Value) -> serde_json::Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "polecat-nux-2", "namespace": "town", "uid": "u1", "resourceVersion": "7",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "labels": {"gastown.io/role": role, "app": "x"},
                "annotations": {"gastown.io/rig": "parts", "gastown.io/attempt": "2", "gastown.io/round": "3", "other": "y"},
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "not-controlling"},
                    {"apiVersion": "g", "kind": "Polecat", "name": "nux", "uid": "owner", "controller": true}],
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "agent"}]},
            "status": status,
        })
    }

    fn read(pod: serde_json::Value) -> Result<PodRow, String> {
        pod_row(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn a_pod_reads_as_what_its_kubelet_says() {
        let row = read(pod("polecat", json!({
            "phase": "Running", "startTime": "2026-01-02T03:04:06Z",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}],
            "initContainerStatuses": [{"name": "clone", "state": {"terminated": {"exitCode": 0, "message": "m"}}}],
            "containerStatuses": [
                {"name": "agent", "restartCount": 2, "ready": true, "state": {"running": {"startedAt": "2026-01-02T03:04:07Z"}},
                 "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
                {"name": "courier", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}],
        })))
        .unwrap();
        assert_eq!(
            (row.role, row.rig.as_str(), row.attempt, row.round),
            (PodRole::Polecat, "parts", 2, 3)
        );
        assert_eq!(row.owner, Some(Uid("owner".into())));
        assert_eq!((row.phase, row.node.as_deref()), (PodPhase::Running, Some("n1")));
        assert_eq!(row.disrupted.as_deref(), Some("EvictionByEvictionAPI"));
        let agent = row.container("agent").unwrap();
        assert_eq!((agent.restarts, agent.last.as_ref().unwrap().exit), (2, 137));
        assert!(matches!(&row.container("clone").unwrap().state, ContainerState::Ended(e) if e.message == "m"));
        assert!(
            matches!(&row.container("courier").unwrap().state, ContainerState::Waiting { reason, .. } if reason == "ImagePullBackOff")
        );
        assert!(
            row.meta.labels.is_empty() && row.meta.annotations.is_empty(),
            "what is not ours, or is read, is not kept"
        );
    }

    #[test]
    fn a_pod_without_status_is_pending_and_one_of_no_role_of_ours_is_malformed() {
        assert_eq!(read(pod("polecat", json!(null))).unwrap().phase, PodPhase::Pending);
        assert!(read(pod("mayor", json!({}))).unwrap_err().contains("gastown.io/role"));
    }

    #[test]
    fn orders_that_do_not_parse_make_the_pod_malformed_and_nothing_else() {
        let mut odd = pod("test", json!({}));
        odd["metadata"]["annotations"]["gastown.io/orders"] = "{".into();
        assert!(read(odd).unwrap_err().contains("gastown.io/orders"));
    }
}
