//! The Node object, and which pods are bound to it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as NodeObject, NodeAddress, NodeCondition, NodeStatus, NodeSystemInfo, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::logs::PodName;
use crate::node::Shared;
use crate::options::{NodeError, NodeOptions};
use crate::status::ADDRESS;

/// Creates the Node object, or says again that it is ready.
pub(crate) async fn register(client: &Client, options: &NodeOptions) -> Result<(), NodeError> {
    let api: Api<NodeObject> = Api::all(client.clone());
    let name = options.name.as_str();
    let object = NodeObject {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels(name)),
            ..Default::default()
        },
        spec: None,
        status: Some(status(name)),
    };
    let failed = |doing: &str| {
        let doing = format!("{doing} Node {name}");
        move |source| NodeError::Api {
            doing,
            source: Box::new(source),
        }
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(failed("register")(error)),
    }
    let body = json!({ "status": object.status });
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(body))
        .await
        .map_err(failed("report the status of"))?;
    Ok(())
}

fn labels(name: &str) -> BTreeMap<String, String> {
    [
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", std::env::consts::OS),
        ("kubernetes.io/arch", arch()),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn status(name: &str) -> NodeStatus {
    let now = Time(Timestamp::now());
    let condition = |type_: &str, status: &str, reason: &str| NodeCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
        ..Default::default()
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity: BTreeMap<String, Quantity> = [
        ("cpu", cpus.to_string()),
        ("memory", format!("{}Ki", memory_kib())),
        ("pods", "1000".to_owned()),
    ]
    .map(|(k, v)| (k.to_owned(), Quantity(v)))
    .into();
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.trim().to_owned()
    };
    NodeStatus {
        conditions: Some(vec![condition("Ready", "True", "NodeReady")]),
        addresses: Some(vec![
            NodeAddress {
                type_: "InternalIP".to_owned(),
                address: ADDRESS.to_owned(),
            },
            NodeAddress {
                type_: "Hostname".to_owned(),
                address: name.to_owned(),
            },
        ]),
        allocatable: Some(capacity.clone()),
        capacity: Some(capacity),
        node_info: Some(NodeSystemInfo {
            architecture: arch().to_owned(),
            operating_system: std::env::consts::OS.to_owned(),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            container_runtime_version: format!("process://{}", env!("CARGO_PKG_VERSION")),
            kubelet_version: format!("v{}", env!("CARGO_PKG_VERSION")),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Binds a pod that has no node. `None` where it is not to run here, or not yet.
pub(crate) async fn bind(shared: &Shared, mut pod: Pod, name: &PodName) -> Option<Pod> {
    let api: Api<Pod> = Api::namespaced(shared.client.clone(), &name.namespace);
    let node = &shared.options.name;
    if let Some(why) = unschedulable(&pod, node) {
        report_unschedulable(&api, name, &why).await;
        return None;
    }
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": name.name, "namespace": name.namespace, "uid": name.uid },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node },
    });
    let mut pause = Duration::from_millis(100);
    for _ in 0..8 {
        let bound: Result<Value, kube::Error> = api
            .create_subresource("binding", &name.name, &PostParams::default(), &binding)
            .await;
        match bound {
            Ok(_) => {
                pod.spec.get_or_insert_default().node_name = Some(node.clone());
                return Some(pod);
            }
            // Gone, or bound by somebody else: the watch says which.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return None,
            Err(error) => {
                tracing::warn!(%error, pod = name.name, "a pod was not bound, again soon");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }
    None
}

fn unschedulable(pod: &Pod, node: &str) -> Option<String> {
    let labels = labels(node);
    let wanted = pod.spec.as_ref()?.node_selector.as_ref()?;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(key, value)| labels.get(*key) != Some(value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "0/1 nodes are available: 1 node(s) didn't match Pod's node selector ({})",
            missing.join(", ")
        )
    })
}

async fn report_unschedulable(api: &Api<Pod>, name: &PodName, why: &str) {
    let current = api.get_opt(&name.name).await.ok().flatten();
    let told = current
        .and_then(|pod| pod.status?.conditions)
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "PodScheduled" && c.message.as_deref() == Some(why));
    if told {
        return;
    }
    let body = json!({
        "metadata": { "uid": name.uid },
        "status": { "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why,
            "lastTransitionTime": Time(Timestamp::now()),
        }]},
    });
    let patched = api
        .patch_status(&name.name, &PatchParams::default(), &Patch::Merge(body))
        .await;
    if let Err(error) = patched {
        tracing::warn!(%error, pod = name.name, "an unschedulable pod was not told");
    }
}
