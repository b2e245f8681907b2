//! The table of calls is what the code does: a town is run through a gate that refuses what is not in it and notes what is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use gastown_apiserver::{ApiServer, Options};
use gastown_operator::{CALLS, Health, LeaseSettings, Metrics, OperatorError, Reach, Scope, Settings, is_called, run};
use gastown_rules::Town;
use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const NS: &str = "gastown-system";

/// A request as RBAC sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    group: String,
    resource: String,
    verb: String,
    namespace: Option<String>,
    name: Option<String>,
}

/// None: no resource, such as `/openapi/v3`.
fn asked(request: &Request<Body>) -> Option<Asked> {
    let mut words = request.uri().path().trim_matches('/').split('/');
    let group = match words.next()? {
        "api" => String::new(),
        "apis" => words.next()?.to_owned(),
        _ => return None,
    };
    words.next()?;
    let mut rest: Vec<&str> = words.collect();
    let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest[1].to_owned());
    if namespace.is_some() {
        rest.drain(..2);
    }
    let resource = match rest.get(2) {
        Some(sub) => format!("{}/{sub}", rest[0]),
        None => (*rest.first()?).to_owned(),
    };
    let name = rest.get(1).map(|name| (*name).to_owned());
    let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let verb = match *request.method() {
        Method::GET if watch => "watch",
        Method::GET if name.is_none() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ => "other",
    };
    Some(Asked {
        group,
        resource,
        verb: verb.to_owned(),
        namespace,
        name,
    })
}

#[derive(Default)]
struct Gate {
    seen: BTreeSet<Asked>,
    refused: Vec<Asked>,
    /// Creates whose first answer says that another was faster: then the operator looks who.
    raced: BTreeSet<String>,
    /// The first watch of polecats in that namespace finds its history gone.
    expire: Option<String>,
    expired: bool,
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": code.as_u16()});
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(status.to_string().into_bytes()))
        .unwrap()
}

/// A client whose every request passes the gate.
fn gated(inner: &Client, gate: &Arc<Mutex<Gate>>, scope: &Scope) -> Client {
    let (inner, gate, scope) = (inner.clone(), gate.clone(), scope.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (inner, gate, scope) = (inner.clone(), gate.clone(), scope.clone());
        async move {
            let Some(asked) = asked(&request) else {
                return inner.send(request).await;
            };
            let name = asked.name.as_deref();
            let in_table = is_called(
                &asked.group,
                &asked.resource,
                &asked.verb,
                asked.namespace.as_deref(),
                name,
                NS,
            );
            let in_scope = match (&scope, &asked.namespace) {
                (Scope::Cluster, _) => true,
                (Scope::Namespaces(names), Some(namespace)) => names.contains(namespace),
                (Scope::Namespaces(_), None) => asked.resource.starts_with("rigs"),
            };
            let race = {
                let mut gate = gate.lock().unwrap();
                if !in_table || !in_scope {
                    gate.refused.push(asked.clone());
                    return Ok(status(StatusCode::FORBIDDEN, "Forbidden", "not in the table"));
                }
                gate.seen.insert(asked.clone());
                if asked.verb == "watch"
                    && asked.resource == "polecats"
                    && gate.expire == asked.namespace
                    && gate.expire.take().is_some()
                {
                    gate.expired = true;
                    return Ok(status(StatusCode::GONE, "Expired", "too old resource version"));
                }
                asked.verb == "create"
                    && !["events", "leases"].contains(&asked.resource.as_str())
                    && gate.raced.insert(asked.resource.clone())
            };
            let answer = inner.send(request).await?;
            if race && answer.status().is_success() {
                return Ok(status(StatusCode::CONFLICT, "AlreadyExists", "another was faster"));
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, NS)
}

struct Fixture {
    /// Past the gate, as a person.
    client: Client,
    gate: Arc<Mutex<Gate>>,
    stop: CancellationToken,
    operator: tokio::task::JoinHandle<()>,
}

/// A town whose operator begins once `before` is there.
async fn fixture(scope: Scope, expire: Option<&str>, before: &[Value]) -> Fixture {
    let server = ApiServer::open(Options::default()).unwrap();
    let client = server.client(NS);
    let crds = Api::all(client.clone());
    for crd in gastown_api::crds() {
        crds.create(&PostParams::default(), &crd).await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [NS, "team-a", "team-b", "elsewhere"] {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.into());
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    for object in before {
        create(&client, object).await;
    }
    let gate = Gate {
        expire: expire.map(str::to_owned),
        ..Gate::default()
    };
    let (gate, stop) = (Arc::new(Mutex::new(gate)), CancellationToken::new());
    let mut settings = Settings::new(Town {
        namespace: NS.into(),
        ..Town::default()
    });
    settings.lease = Some(LeaseSettings::new(NS.into(), "one".into()));
    settings.scope = scope.clone();
    let (gated, ended) = (gated(&client, &gate, &scope), stop.clone());
    let operator = tokio::spawn(async move {
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        run(gated, settings, metrics, health, ended).await.unwrap();
    });
    Fixture {
        client,
        gate,
        stop,
        operator,
    }
}

fn api(client: &Client, plural: &str, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: gastown_api::GROUP.into(),
        version: gastown_api::VERSION.into(),
        api_version: format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION),
        kind: kind.into(),
        plural: plural.into(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn create(client: &Client, object: &Value) {
    let kind = object["kind"].as_str().unwrap();
    let plural = match kind {
        "Refinery" => "refineries".to_owned(),
        "Witness" => "witnesses".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    };
    let mut object = object.clone();
    object["apiVersion"] = format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION).into();
    let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api(client, &plural, kind, namespace.as_deref())
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

/// Polls until it holds; a deadline of two minutes is a failure that names what was waited for.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn rig() -> Value {
    json!({"kind": "Rig", "metadata": {"name": "parts", "finalizers": ["gastown.io/rig-cleanup"]}, "spec": {
        "gitURL": "https://example.com/org/parts.git", "beadsPrefix": "pa",
        "testCommand": "./test.sh", "agent": "custom", "agentConfig": {"command": ["./agent.sh"]}}})
}

fn polecat(namespace: &str, name: &str, task: &str) -> Value {
    json!({"kind": "Polecat",
        "metadata": {"name": name, "namespace": namespace, "finalizers": ["gastown.io/polecat-cleanup"]},
        "spec": {"rig": "parts", "desiredState": "Working", "beadID": format!("pa-{name}"), "task": {"description": task}}})
}

#[tokio::test]
async fn every_call_is_in_the_table_and_every_row_of_it_is_called() {
    let store = json!({"kind": "BeadStore",
        "metadata": {"name": "beads", "namespace": NS, "finalizers": ["gastown.io/beadstore-cleanup"]},
        "spec": {"rigRef": "parts", "prefix": "pa-"}});
    let convoy = json!({"kind": "Convoy", "metadata": {"name": "batch", "namespace": NS},
        "spec": {"description": "a batch", "trackedBeads": ["pa-convoyed"], "rigRef": "parts"}});
    let mut lost = polecat(NS, "slit", "Do it");
    lost["spec"]["rig"] = "nowhere".into();
    let long = "x".repeat(40_000);
    let f = fixture(
        Scope::Cluster,
        None,
        &[
            rig(),
            store,
            convoy,
            lost,
            polecat(NS, "furiosa", "Do it"),
            polecat(NS, "nux", &long),
        ],
    )
    .await;
    let pods: Api<Pod> = Api::namespaced(f.client.clone(), NS);
    for name in ["polecat-furiosa", "polecat-nux"] {
        eventually(name, async || pods.get_opt(name).await.unwrap()).await;
    }
    let polecats = api(&f.client, "polecats", "Polecat", Some(NS));
    let over = json!({"spec": {"desiredState": "Terminated"}});
    polecats
        .patch("furiosa", &PatchParams::default(), &Patch::Merge(over))
        .await
        .unwrap();
    // Running for years, and nothing is seen of it: it is nudged.
    let container = |name: &str| {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"running": {"startedAt": "2020-01-01T00:00:00Z"}}})
    };
    let silent =
        json!({"status": {"phase": "Running", "containerStatuses": [container("agent"), container("courier")]}});
    pods.patch_status("polecat-nux", &PatchParams::default(), &Patch::Merge(silent))
        .await
        .unwrap();
    // Told again in the same words, an event is counted.
    for (wanted, phase) in [("Working", "Stuck"), ("Terminated", "Terminated"), ("Working", "Stuck")] {
        let patch = json!({"spec": {"desiredState": wanted}});
        polecats
            .patch("slit", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        eventually(phase, async || {
            let lost = polecats.get("slit").await.unwrap();
            (lost.data["status"]["phase"] == phase).then_some(())
        })
        .await;
    }
    let missing = || {
        let gate = f.gate.lock().unwrap();
        let called = |resource: &str, verb: &str, reach: Reach| {
            gate.seen.iter().any(|a| {
                a.resource == resource && a.verb == verb && (reach != Reach::Own || a.namespace.as_deref() == Some(NS))
            })
        };
        CALLS
            .iter()
            .flat_map(|call| call.verbs.iter().map(move |verb| (call.reach, call.resource, *verb)))
            .filter(|(reach, resource, verb)| !called(resource, verb, *reach))
            .collect::<Vec<_>>()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while !missing().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "never called: {:?}", missing());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    f.stop.cancel();
    f.operator.await.unwrap();
    assert_eq!(f.gate.lock().unwrap().refused, [], "called, and not in the table");
}

#[tokio::test]
async fn an_operator_of_listed_namespaces_asks_nothing_elsewhere_and_loses_nothing_of_the_others() {
    let scope = Scope::of(&["team-a".into(), "team-b".into()], NS);
    let f = fixture(
        scope,
        // The history of one namespace is gone at once: all are listed again, and nothing is taken for gone.
        Some("team-b"),
        &[
            rig(),
            polecat("elsewhere", "immortan", "Do it"),
            polecat("team-a", "furiosa", "Do it"),
            polecat("team-b", "nux", "Do it"),
        ],
    )
    .await;
    let pods = |namespace: &str| Api::<Pod>::namespaced(f.client.clone(), namespace);
    let furiosa = eventually("furiosa's pod", async || {
        pods("team-a").get_opt("polecat-furiosa").await.unwrap()
    })
    .await;
    eventually("nux's pod", async || {
        pods("team-b").get_opt("polecat-nux").await.unwrap()
    })
    .await;

    create(&f.client, &polecat("team-b", "slit", "Do it")).await;
    eventually("slit's pod", async || {
        pods("team-b").get_opt("polecat-slit").await.unwrap()
    })
    .await;
    let still = pods("team-a").get("polecat-furiosa").await.unwrap();
    assert_eq!(still.metadata.uid, furiosa.metadata.uid);
    assert!(
        pods("elsewhere")
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    f.stop.cancel();
    f.operator.await.unwrap();
    assert!(f.gate.lock().unwrap().expired);
    assert_eq!(f.gate.lock().unwrap().refused, [], "asked outside its namespaces");
}

/// Definitions of an older release would drop what is written: the operator says so, and what to type.
#[tokio::test]
async fn stale_definitions_are_refused_with_the_command_that_mends_them() {
    let server = ApiServer::open(Options::default()).unwrap();
    let client = server.client(NS);
    let crds = Api::all(client.clone());
    for crd in gastown_api::crds() {
        let mut old = serde_json::to_value(&crd).unwrap();
        if crd.spec.names.kind == "Rig" {
            let spec = old
                .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
                .unwrap();
            spec.as_object_mut().unwrap().remove("x-kubernetes-validations");
            spec["properties"]
                .as_object_mut()
                .unwrap()
                .retain(|name, _| ["gitURL", "beadsPrefix", "settings"].contains(&name.as_str()));
        }
        let old: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
            serde_json::from_value(old).unwrap();
        crds.create(&PostParams::default(), &old).await.unwrap();
    }
    let end = run(
        client,
        Settings::new(Town::default()),
        Arc::new(Metrics::new()),
        Arc::new(Health::default()),
        CancellationToken::new(),
    )
    .await;
    let error = end.unwrap_err();
    assert!(matches!(error, OperatorError::StaleKind { .. }), "{error}");
    let message = error.to_string();
    for part in [
        "rigs.gastown.gastown.io",
        "spec.agent",
        "kubectl apply --server-side --force-conflicts",
    ] {
        assert!(message.contains(part), "{message}");
    }
}
