//! A kubelet that runs nothing: pods are Running and ready at once, and end after a while with the reports a real
//! harness would have left. One patch to start a pod and one to end it; thousands of pods are one task each.

use crate::follow::{Change, follow};
use crate::pod::{Container, Pod};
use gastown_wire::{
    BeadsOutcome, BeadsReport, CandidateOutcome, CandidateReport, CloneOutcome, CloneReport, CourierOutcome,
    CourierReport, Included, LandOrders, LandOutcome, LandReport, Orders, PolecatOrders, Report, TestOrders, VERSION,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod as CorePod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How pods live.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only pods with these labels.
    pub labels: Option<String>,
    /// How long a polecat's pod runs before it reports; none: until it is deleted.
    pub life: Option<Duration>,
    /// How long tests and landings take.
    pub queue_life: Duration,
    /// Registers as this node and takes the pods that are scheduled to it; none: takes every pod as it is, unscheduled.
    pub node: Option<String>,
    /// Writes under way at once.
    pub at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            labels: Some(format!(
                "{}={}",
                gastown_api::labels::MANAGED_BY,
                gastown_api::labels::MANAGED_BY_VALUE
            )),
            life: Some(Duration::from_secs(2)),
            queue_life: Duration::from_millis(200),
            node: None,
            at_once: 16,
        }
    }
}

/// Runs until its watch has nobody to tell: for ever.
///
/// # Errors
/// When the node cannot be registered.
pub async fn run(client: Client, settings: Settings) -> anyhow::Result<()> {
    if let Some(node) = &settings.node {
        register(&client, node).await?;
    }
    let path = CorePod::url_path(&(), None);
    let mut pods = follow::<Pod>(client.clone(), path, settings.labels.clone());
    let host = Arc::new(Host {
        client,
        slots: Semaphore::new(settings.at_once),
        heads: Mutex::default(),
        settings,
    });
    // By UID: what is running here. A pod is started once, whatever its watch repeats.
    let mut running: HashMap<String, tokio::task::JoinHandle<()>> = HashMap::new();
    while let Some((change, pod)) = pods.recv().await {
        let uid = pod.metadata.uid.clone();
        if change == Change::Gone {
            if let Some(task) = running.remove(&uid) {
                task.abort();
            }
            continue;
        }
        if !host.takes(&pod) {
            continue;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if let Some(task) = running.remove(&uid) {
                task.abort();
            }
            let host = host.clone();
            tokio::spawn(async move { host.end(&pod).await });
        } else if !pod.ended() && !running.contains_key(&uid) {
            let host = host.clone();
            running.insert(uid, tokio::spawn(async move { host.live(pod).await }));
        }
    }
    Ok(())
}

/// A node that takes everything, and says so each ten seconds.
async fn register(client: &Client, name: &str) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}
    }))?;
    match nodes.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(s)) if s.code == 409 => {}
        made => drop(made?),
    }
    let room = json!({"cpu": "100000", "memory": "100Ti", "pods": "100000", "ephemeral-storage": "1000Ti"});
    let (name, nodes) = (name.to_owned(), nodes.clone());
    tokio::spawn(async move {
        loop {
            let now = Timestamp::now();
            let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it runs nothing",
                "lastHeartbeatTime": now, "lastTransitionTime": now});
            let status = json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready]}});
            let patched = nodes
                .patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
                .await;
            if let Err(e) = patched {
                tracing::warn!(node = name, why = %e, "the node's status was not taken");
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    });
    Ok(())
}

struct Host {
    client: Client,
    settings: Settings,
    slots: Semaphore,
    /// The commit each branch is at, by URL and branch: what landings move.
    heads: Mutex<HashMap<(String, String), String>>,
}

impl Host {
    fn takes(&self, pod: &Pod) -> bool {
        self.settings
            .node
            .as_ref()
            .is_none_or(|n| pod.spec.node_name.as_ref() == Some(n))
    }

    async fn live(&self, pod: Pod) {
        let orders = pod.orders();
        let before = self.said_before(orders.as_ref());
        if pod.status.phase != "Running" {
            self.patch(&pod, running(&pod, before.as_ref())).await;
        }
        let life = match orders {
            Some(Orders::Test(_) | Orders::Land(_) | Orders::Beads(_) | Orders::Notify(_)) => {
                Some(self.settings.queue_life)
            }
            _ => self.settings.life,
        };
        let Some(life) = life else { return };
        tokio::time::sleep(life).await;
        let last = match &orders {
            Some(Orders::Polecat(o)) => Some(("courier", courier(o, &pod.metadata.uid))),
            Some(Orders::Land(o)) => Some(("land", self.land(o))),
            Some(Orders::Beads(_)) => Some(("beads", no_beads())),
            Some(Orders::Notify(_)) => Some(("notify", r#"{"version":1,"outcome":"sent"}"#.to_owned())),
            Some(Orders::Test(_)) | None => None,
        };
        let said: Vec<_> = before.into_iter().chain(last).collect();
        self.patch(&pod, succeeded(&pod, &said)).await;
    }

    /// What a pod's init container reports, and its name.
    fn said_before(&self, orders: Option<&Orders>) -> Option<(&'static str, String)> {
        match orders {
            Some(Orders::Polecat(o)) => Some(("clone", fresh_clone(o))),
            Some(Orders::Test(o)) => Some(("candidate", self.candidate(o))),
            Some(Orders::Land(_) | Orders::Beads(_) | Orders::Notify(_)) | None => None,
        }
    }

    /// The kubelet's last word on a pod that is being deleted.
    async fn end(&self, pod: &Pod) {
        let _slot = self.slots.acquire().await.ok();
        let pods: Api<CorePod> = Api::namespaced(self.client.clone(), &pod.metadata.namespace);
        let now = DeleteParams::default().grace_period(0);
        if let Err(e) = pods.delete(&pod.metadata.name, &now).await {
            tracing::debug!(pod = pod.metadata.name, why = %e, "already gone");
        }
    }

    async fn patch(&self, pod: &Pod, status: Value) {
        let _slot = self.slots.acquire().await.ok();
        let pods: Api<CorePod> = Api::namespaced(self.client.clone(), &pod.metadata.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        for _ in 0..5 {
            match pods
                .patch_status(&pod.metadata.name, &PatchParams::default(), &patch)
                .await
            {
                Ok(_) => return,
                Err(kube::Error::Api(s)) if s.code == 404 => return,
                Err(e) => {
                    tracing::warn!(pod = pod.metadata.name, why = %e, "a pod's status was not taken");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn head(&self, url: &str, branch: &str) -> String {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (url.to_owned(), branch.to_owned());
        heads.get(&key).cloned().unwrap_or_else(|| commit(&[url, branch]))
    }

    fn candidate(&self, orders: &TestOrders) -> String {
        let base = self.head(&orders.remote.url, &orders.remote.branch);
        let members: Vec<&str> = orders.members.iter().map(|m| m.commit.as_str()).collect();
        let moved = orders.base.as_ref().is_some_and(|b| *b != base);
        let outcome = if moved {
            CandidateOutcome::BaseMoved
        } else {
            CandidateOutcome::Built {
                commit: commit(&[&base, &members.join(",")]),
                tree: commit(&["tree", &base, &members.join(",")]),
            }
        };
        let included = members.iter().enumerate().map(|(i, m)| Included {
            i,
            c: commit(&[&base, m]),
        });
        CandidateReport {
            version: VERSION,
            included: if moved { Vec::new() } else { included.collect() },
            outcome,
            base,
            conflicts: Vec::new(),
            empty: Vec::new(),
            detail: String::new(),
        }
        .encode()
    }

    fn land(&self, orders: &LandOrders) -> String {
        let key = (orders.remote.url.clone(), orders.remote.branch.clone());
        let now = self.head(&key.0, &key.1);
        let (outcome, commit) = if now == orders.base || now == orders.candidate {
            let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            heads.insert(key, orders.candidate.clone());
            (LandOutcome::Landed, orders.candidate.clone())
        } else {
            (LandOutcome::Stale { now }, String::new())
        };
        LandReport {
            version: VERSION,
            outcome,
            commit,
            detail: String::new(),
        }
        .encode()
    }
}

fn commit(of: &[&str]) -> String {
    let digest = Sha256::digest(of.join("\n"));
    digest.iter().take(20).map(|b| format!("{b:02x}")).collect()
}

fn courier(orders: &PolecatOrders, uid: &str) -> String {
    let url = &orders.remote.url;
    CourierReport {
        version: VERSION,
        round: orders.round,
        attempt: orders.attempt,
        outcome: CourierOutcome::Done,
        branch: orders.work_branch.clone(),
        base: commit(&[url, &orders.remote.branch]),
        commit: commit(&[uid, &orders.attempt.to_string()]),
        commits: 2,
        tokens: None,
        cost_micros: None,
        detail: String::new(),
        content: None,
    }
    .encode()
}

fn container(c: &Container, ready: bool, state: &Value) -> Value {
    json!({"name": c.name, "image": c.image, "imageID": "", "ready": ready, "started": ready, "restartCount": 0, "state": state})
}

fn ended(message: &str, now: Timestamp) -> Value {
    json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": message, "startedAt": now, "finishedAt": now}})
}

fn conditions(ready: bool, now: Timestamp) -> Value {
    let kinds = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    let all = kinds.map(|kind| {
        let on = ready || matches!(kind, "PodScheduled" | "Initialized");
        json!({"type": kind, "status": if on { "True" } else { "False" }, "lastTransitionTime": now})
    });
    json!(all)
}

/// What `clone` says: a fresh start.
fn fresh_clone(orders: &PolecatOrders) -> String {
    CloneReport {
        version: VERSION,
        attempt: orders.attempt,
        outcome: CloneOutcome::Ready { commits: 0, dirty: 0 },
        detail: String::new(),
        content: None,
    }
    .encode()
}

fn no_beads() -> String {
    BeadsReport {
        version: VERSION,
        outcome: BeadsOutcome::NoBeads,
        commit: commit(&["beads"]),
        detail: String::new(),
        ranked: Vec::new(),
    }
    .encode()
}

/// The message of the container with that name.
fn message<'a>(said: impl IntoIterator<Item = &'a (&'static str, String)>, name: &str) -> &'a str {
    let found = said.into_iter().find(|(of, _)| *of == name);
    found.map_or("", |(_, text)| text)
}

fn running(pod: &Pod, before: Option<&(&'static str, String)>) -> Value {
    let now = Timestamp::now();
    let init = pod.spec.init_containers.iter();
    let all = pod.spec.containers.iter();
    let end = |c: &Container| container(c, true, &ended(message(before, &c.name), now));
    json!({
        "phase": "Running", "startTime": now, "conditions": conditions(true, now), "podIP": "10.244.0.1",
        "initContainerStatuses": init.map(end).collect::<Vec<_>>(),
        "containerStatuses": all.map(|c| container(c, true, &json!({"running": {"startedAt": now}}))).collect::<Vec<_>>(),
    })
}

fn succeeded(pod: &Pod, said: &[(&'static str, String)]) -> Value {
    let now = Timestamp::now();
    let end = |c: &Container| container(c, false, &ended(message(said, &c.name), now));
    json!({
        "phase": "Succeeded", "conditions": conditions(false, now),
        "initContainerStatuses": pod.spec.init_containers.iter().map(end).collect::<Vec<_>>(),
        "containerStatuses": pod.spec.containers.iter().map(end).collect::<Vec<_>>(),
    })
}
