//! What people and tools see: TLS and token, logs, tables, discovery, warnings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{Gadget, GadgetSpec, Town};
use futures::future::BoxFuture;
use futures::{AsyncBufReadExt, FutureExt, StreamExt, TryStreamExt};
use gastown_apiserver::{Identity, LogError, LogRequest, LogStream, PodLogs, ServeError};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Discovery};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn client(kubeconfig: &str) -> Client {
    let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn a_kubeconfig_opens_the_door_and_nothing_else_does() {
    let town = Town::new().await;
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(dir.path()).unwrap();
    let stop = CancellationToken::new();
    let serving = town
        .server
        .serve(loopback(), identity.clone(), stop.clone())
        .await
        .unwrap();
    let kubeconfig = serving.kubeconfig("default");
    let outside = client(&kubeconfig).await;
    assert_eq!(outside.default_namespace(), "default");
    let api: Api<ConfigMap> = Api::default_namespaced(outside.clone());
    api.create(&PostParams::default(), &common::config("over-tls", "k", "v"))
        .await
        .unwrap();
    assert!(
        town.namespaced::<ConfigMap>()
            .get_opt("over-tls")
            .await
            .unwrap()
            .is_some()
    );

    let (head, token) = kubeconfig.trim_end().rsplit_once(' ').unwrap();
    assert!(token.len() >= 64, "a token that cannot be guessed");
    let stranger = client(&format!("{head} {}\n", "0".repeat(token.len()))).await;
    let refused = stranger.apiserver_version().await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(s) if s.code == 401 && s.reason == "Unauthorized"));

    // The same identity after a restart: the old kubeconfig still works.
    stop.cancel();
    serving.stopped().await;
    let again = Identity::load_or_create(dir.path()).unwrap();
    let serving = town
        .server
        .serve(serving.addr, again, CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(serving.kubeconfig("default"), kubeconfig);
    assert_eq!(client(&kubeconfig).await.apiserver_version().await.unwrap().minor, "35");

    let file = dir.path().join("identity.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        !format!("{identity:?}").contains(token),
        "secrets print nothing of themselves"
    );
    std::fs::write(&file, "{").unwrap();
    assert!(
        Identity::load_or_create(dir.path())
            .unwrap_err()
            .to_string()
            .contains("delete it")
    );
}

#[tokio::test]
async fn it_listens_to_its_own_machine_only() {
    let town = Town::new().await;
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = town
        .server
        .serve(everywhere, Identity::create().unwrap(), CancellationToken::new())
        .await;
    assert!(matches!(refused, Err(ServeError::NotLoopback(_))));
}

/// Remembers what it was asked and answers with fixed lines.
#[derive(Default)]
struct Tape(Mutex<Vec<LogRequest>>);

impl PodLogs for Tape {
    fn logs(&self, request: LogRequest) -> BoxFuture<'static, Result<LogStream, LogError>> {
        let unknown = request.pod == "never-was";
        self.0.lock().unwrap().push(request);
        async move {
            if unknown {
                return Err(LogError::NotFound("no such log".into()));
            }
            let lines = [Ok(Bytes::from("one\n")), Ok(Bytes::from("two\n"))];
            Ok(futures::stream::iter(lines).boxed())
        }
        .boxed()
    }
}

#[tokio::test]
async fn logs_come_from_the_source_even_when_the_pod_is_gone() {
    let town = Town::new().await;
    let pods: Api<Pod> = town.namespaced();
    let made = pods.create(&PostParams::default(), &common::pod("p")).await.unwrap();
    let nobody = pods.logs("p", &LogParams::default()).await.unwrap_err();
    assert!(matches!(nobody, kube::Error::Api(s) if s.code == 503 && s.message.contains("no node")));

    let tape = Arc::new(Tape::default());
    town.server.set_logs(tape.clone());
    let wanted = LogParams {
        follow: true,
        tail_lines: Some(7),
        timestamps: true,
        ..Default::default()
    };
    let lines: Vec<String> = pods
        .log_stream("p", &wanted)
        .await
        .unwrap()
        .lines()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines, ["one", "two"]);
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    assert_eq!(pods.logs("p", &LogParams::default()).await.unwrap(), "one\ntwo\n");
    let asked = tape.0.lock().unwrap().clone();
    assert_eq!(asked[0].uid, made.metadata.uid);
    assert_eq!(
        (
            asked[0].container.as_deref(),
            asked[0].follow,
            asked[0].tail_lines,
            asked[0].timestamps
        ),
        (Some("main"), true, Some(7), true)
    );
    assert_eq!((asked[1].uid.as_deref(), asked[1].container.as_deref()), (None, None));

    let never = pods.logs("never-was", &LogParams::default()).await.unwrap_err();
    assert!(matches!(never, kube::Error::Api(s) if s.message == "pods \"never-was\" not found"));
    let mut two = common::pod("two");
    let spec = two.spec.as_mut().unwrap();
    let mut second = spec.containers[0].clone();
    second.name = "side".into();
    spec.containers.push(second);
    pods.create(&PostParams::default(), &two).await.unwrap();
    let which = pods.logs("two", &LogParams::default()).await.unwrap_err();
    assert!(which.to_string().contains("choose one of: [main side]"), "{which}");
}

async fn raw(town: &Town, path: &str, accept: &str) -> Value {
    let request = http::Request::get(path)
        .header("accept", accept)
        .body(Vec::new())
        .unwrap();
    town.client.request(request).await.unwrap()
}

#[tokio::test]
async fn tables_print_what_kubectl_prints() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let town = Town::new().await;
    town.node("here").await;
    let spec = GadgetSpec {
        size: 3,
        ..Default::default()
    };
    town.namespaced()
        .create(&PostParams::default(), &Gadget::new("g", spec))
        .await
        .unwrap();
    town.namespaced()
        .create(&PostParams::default(), &common::pod("p"))
        .await
        .unwrap();

    let table = raw(
        &town,
        "/apis/things.example.org/v1alpha1/namespaces/default/gadgets",
        TABLE,
    )
    .await;
    let names: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Name", "Size", "State", "Age"]);
    assert_eq!(
        table["rows"][0]["cells"].as_array().unwrap()[..3],
        [json!("g"), json!(3), Value::Null]
    );
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "g");

    let table = raw(
        &town,
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dhere,status.phase%3DPending",
        TABLE,
    )
    .await;
    assert_eq!(
        table["rows"][0]["cells"].as_array().unwrap()[..4],
        [json!("p"), json!("0/1"), json!("Pending"), json!("0")]
    );
    let none = raw(&town, "/api/v1/pods?fieldSelector=spec.nodeName%3Dthere", TABLE).await;
    assert_eq!(none["rows"], json!([]));
    // Every kind prints as many cells as it names columns.
    for path in ["pods", "nodes", "namespaces", "secrets", "configmaps", "events"] {
        let table = raw(&town, &format!("/api/v1/{path}"), TABLE).await;
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        for row in table["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{path}");
        }
    }
}

#[tokio::test]
async fn discovery_names_every_kind() {
    let town = Town::new().await;
    for discovery in [
        Discovery::new(town.client.clone()).run().await.unwrap(),
        Discovery::new(town.client.clone()).run_aggregated().await.unwrap(),
    ] {
        let group = discovery.get("things.example.org").unwrap();
        let (resource, capabilities) = group.recommended_kind("Gadget").unwrap();
        assert_eq!(resource.plural, "gadgets");
        assert!(
            capabilities
                .subresources
                .iter()
                .any(|(r, _)| r.plural.ends_with("status"))
        );
        assert!(discovery.get("").unwrap().recommended_kind("Pod").is_some());
        assert!(discovery.get("apps").is_none());
    }
    let index = raw(&town, "/openapi/v3", "application/json").await;
    let address = index["paths"]["apis/things.example.org/v1alpha1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = raw(&town, &address, "application/json").await;
    let schema = &document["components"]["schemas"]["org.example.things.v1alpha1.Gadget"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Gadget");
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["maximum"], 10.0);
    assert!(document["components"]["schemas"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
}

#[tokio::test]
async fn half_served_things_come_with_a_warning() {
    let town = Town::new().await;
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": {}, "surprise": 1}});
    let request = http::Request::post("/apis/networking.k8s.io/v1/namespaces/default/networkpolicies")
        .body(kube::client::Body::from(serde_json::to_vec(&policy).unwrap()))
        .unwrap();
    let response = town.client.send(request).await.unwrap();
    assert_eq!(response.status(), 201);
    let warnings: Vec<&str> = response
        .headers()
        .get_all("warning")
        .iter()
        .map(|w| w.to_str().unwrap())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[0], "299 - \"unknown field \\\"spec.surprise\\\"\"");
    assert!(warnings[1].contains("not enforced"));
}

#[tokio::test]
async fn events_are_selected_by_what_they_are_about() {
    let town = Town::new().await;
    let events: Api<Event> = town.namespaced();
    for about in ["a", "b"] {
        let event: Event = serde_json::from_value(json!({
            "metadata": {"name": about}, "involvedObject": {"kind": "Pod", "name": about}, "reason": "Seen",
            "type": "Normal", "message": "hello",
        }))
        .unwrap();
        events.create(&PostParams::default(), &event).await.unwrap();
    }
    let about = ListParams::default().fields("involvedObject.name=b,type=Normal,reason=Seen");
    assert_eq!(events.list(&about).await.unwrap().items.len(), 1);
}
