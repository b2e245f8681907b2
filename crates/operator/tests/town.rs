//! The operator against the API server of one machine, with the test as kubelet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use gastown_api::{
    AgentConfig, AgentKind, Convoy, ConvoySpec, DesiredState, Polecat, PolecatPhase, PolecatSpec, Refinery, Rig,
    RigSpec, Task, Witness, conditions,
};
use gastown_apiserver::{ApiServer, Options};
use gastown_operator::{Health, Metrics, Settings, run};
use gastown_rules::Town;
use gastown_wire::{CourierOutcome, CourierReport, Report, VERSION};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const NS: &str = "gastown-system";

struct Fixture {
    server: ApiServer,
    client: Client,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    operator: tokio::task::JoinHandle<()>,
}

async fn fixture() -> Fixture {
    let server = ApiServer::open(Options::default()).unwrap();
    let client = server.client(NS);
    let crds = Api::all(client.clone());
    for crd in gastown_api::crds() {
        crds.create(&PostParams::default(), &crd).await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NS.into());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let (metrics, stop) = (Arc::new(Metrics::new()), CancellationToken::new());
    let operator = start(&client, &metrics, &stop);
    Fixture {
        server,
        client,
        metrics,
        stop,
        operator,
    }
}

fn start(client: &Client, metrics: &Arc<Metrics>, stop: &CancellationToken) -> tokio::task::JoinHandle<()> {
    let (client, metrics, stop) = (client.clone(), metrics.clone(), stop.clone());
    tokio::spawn(async move {
        let settings = Settings::new(Town {
            namespace: NS.into(),
            ..Town::default()
        });
        run(client, settings, metrics, Arc::new(Health::default()), stop)
            .await
            .unwrap();
    })
}

/// Polls until it holds; a deadline of 20 s is a failure that names what was waited for.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn rig(max: i32) -> Rig {
    let spec = RigSpec {
        git_url: "https://example.com/org/parts.git".into(),
        beads_prefix: "pa".into(),
        test_command: Some("./test.sh".into()),
        agent: Some(AgentKind::Custom),
        agent_config: Some(AgentConfig {
            command: vec!["./agent.sh".into()],
            ..AgentConfig::default()
        }),
        settings: Some(gastown_api::RigSettings {
            max_polecats: Some(max),
            ..Default::default()
        }),
        ..RigSpec::default()
    };
    Rig::new("parts", spec)
}

fn polecat(name: &str) -> Polecat {
    let spec = PolecatSpec {
        rig: "parts".into(),
        desired_state: DesiredState::Working,
        bead_id: Some(format!("pa-{name}")),
        task: Some(Task {
            description: Some("Do it".into()),
        }),
        ..PolecatSpec::default()
    };
    Polecat::new(name, spec)
}

async fn pod_of(client: &Client, name: &str) -> Pod {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NS);
    eventually(&format!("pod {name}"), async || pods.get_opt(name).await.unwrap()).await
}

/// The kubelet: courier has ended with that outcome.
async fn report(client: &Client, pod: &str, outcome: CourierOutcome) {
    let report = CourierReport {
        version: VERSION,
        round: 1,
        attempt: 1,
        outcome,
        branch: "feature/pa-furiosa".into(),
        base: "b".repeat(40),
        commit: "c".repeat(40),
        commits: 2,
        tokens: None,
        cost_micros: None,
        detail: String::new(),
        content: None,
    };
    let ended = |message: String| json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": message}});
    let container = |name: &str, message: String| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended(message)});
    let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [
        container("agent", String::new()), container("courier", report.encode())]}});
    let pods: Api<Pod> = Api::namespaced(client.clone(), NS);
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_rig_gets_its_children_and_a_polecat_its_pod_and_the_report_becomes_done() {
    let f = fixture().await;
    let rigs: Api<Rig> = Api::all(f.client.clone());
    rigs.create(&PostParams::default(), &rig(2)).await.unwrap();
    let witnesses: Api<Witness> = Api::namespaced(f.client.clone(), NS);
    let refineries: Api<Refinery> = Api::namespaced(f.client.clone(), NS);
    eventually("the witness", async || {
        witnesses.get_opt("parts-witness").await.unwrap()
    })
    .await;
    let refinery = eventually("the refinery", async || {
        refineries.get_opt("parts-refinery").await.unwrap()
    })
    .await;
    assert_eq!(refinery.owner_references()[0].kind, "Rig");

    let polecats: Api<Polecat> = Api::namespaced(f.client.clone(), NS);
    polecats
        .create(&PostParams::default(), &polecat("furiosa"))
        .await
        .unwrap();
    let pod = pod_of(&f.client, "polecat-furiosa").await;
    let reserved = polecats.get("furiosa").await.unwrap().status.unwrap();
    assert_eq!(
        (reserved.phase, reserved.attempt),
        (PolecatPhase::Working, Some(1)),
        "published before the pod is made"
    );
    assert_eq!(pod.owner_references()[0].name, "furiosa");

    report(&f.client, "polecat-furiosa", CourierOutcome::Done).await;
    let done = eventually("Done", async || {
        polecats
            .get("furiosa")
            .await
            .unwrap()
            .status
            .filter(|s| s.phase == PolecatPhase::Done)
    })
    .await;
    assert_eq!(done.commit, Some("c".repeat(40)));
    assert!(conditions::is_true(&done.conditions, "Available"));
    // What is ready is tested at once.
    let pods: Api<Pod> = Api::namespaced(f.client.clone(), NS);
    let params = ListParams::default().labels("gastown.io/role=test");
    eventually("a test pod", async || pods.list(&params).await.unwrap().items.pop()).await;
    f.stop.cancel();
    f.operator.await.unwrap();
}

/// Invariant 6, and its promise that nobody waits in silence.
#[tokio::test]
async fn no_more_pods_than_the_rig_allows_and_the_rest_say_why_they_wait() {
    let f = fixture().await;
    let rigs: Api<Rig> = Api::all(f.client.clone());
    rigs.create(&PostParams::default(), &rig(2)).await.unwrap();
    let polecats: Api<Polecat> = Api::namespaced(f.client.clone(), NS);
    for name in ["a", "b", "c", "d"] {
        polecats.create(&PostParams::default(), &polecat(name)).await.unwrap();
    }
    let queued = eventually("two are queued", async || {
        let all = polecats.list(&ListParams::default()).await.unwrap().items;
        let queued: Vec<Polecat> = all
            .into_iter()
            .filter(|p| {
                let conditions = p.status.clone().unwrap_or_default().conditions;
                conditions::get(&conditions, "Progressing").is_some_and(|c| c.reason == "Queued")
            })
            .collect();
        (queued.len() == 2).then_some(queued)
    })
    .await;
    assert!(
        queued[0]
            .status
            .as_ref()
            .unwrap()
            .message
            .as_ref()
            .unwrap()
            .contains("maxPolecats")
    );
    let pods: Api<Pod> = Api::namespaced(f.client.clone(), NS);
    let held = eventually("two pods", async || {
        let held = pods.list(&ListParams::default()).await.unwrap().items;
        (held.len() >= 2).then_some(held)
    })
    .await;
    assert_eq!(held.len(), 2);
    f.stop.cancel();
    f.operator.await.unwrap();
}

/// Invariant 7.
#[tokio::test]
async fn a_town_at_rest_writes_nothing() {
    let f = fixture().await;
    let rigs: Api<Rig> = Api::all(f.client.clone());
    rigs.create(&PostParams::default(), &rig(2)).await.unwrap();
    let polecats: Api<Polecat> = Api::namespaced(f.client.clone(), NS);
    polecats
        .create(&PostParams::default(), &polecat("furiosa"))
        .await
        .unwrap();
    pod_of(&f.client, "polecat-furiosa").await;
    report(&f.client, "polecat-furiosa", CourierOutcome::NoChange).await;
    eventually("Stuck", async || {
        polecats
            .get("furiosa")
            .await
            .unwrap()
            .status
            .filter(|s| s.phase == PolecatPhase::Stuck)
    })
    .await;
    // Settled is when the sums, which are written once a second at most, have been.
    let writes = || {
        let text = f.metrics.text();
        text.lines()
            .filter(|l| l.starts_with("gastown_writes_total"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    eventually("the rig's sums", async || {
        rigs.get("parts").await.unwrap().status.filter(|s| s.stuck == 1)
    })
    .await;
    eventually("the witness's sums", async || {
        let witnesses: Api<Witness> = Api::namespaced(f.client.clone(), NS);
        witnesses
            .get("parts-witness")
            .await
            .unwrap()
            .status
            .filter(|s| s.message.is_some())
    })
    .await;
    let settled = writes();
    // Facts that change nothing: annotations that are not ours.
    for n in 0..20 {
        let patch = json!({"metadata": {"annotations": {"example.com/n": n.to_string()}}});
        polecats
            .patch("furiosa", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }
    // Something of another kind, decided after all of them: by then they have been looked at.
    let convoys: Api<Convoy> = Api::namespaced(f.client.clone(), NS);
    let spec = ConvoySpec {
        description: "a sentinel".into(),
        tracked_beads: vec!["none".into()],
        ..ConvoySpec::default()
    };
    convoys
        .create(&PostParams::default(), &Convoy::new("sentinel", spec))
        .await
        .unwrap();
    eventually("the sentinel", async || {
        convoys
            .get("sentinel")
            .await
            .unwrap()
            .status
            .filter(|s| s.progress.is_some())
    })
    .await;
    let others = |lines: Vec<String>| {
        lines
            .into_iter()
            .filter(|l| !l.contains("convoy"))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        others(writes()),
        others(settled),
        "twenty facts that change nothing wrote something"
    );
    let events: Api<Event> = Api::namespaced(f.client.clone(), NS);
    let told = events.list(&ListParams::default()).await.unwrap().items;
    let stuck = told
        .iter()
        .filter(|e| e.involved_object.name.as_deref() == Some("furiosa") && e.type_.as_deref() == Some("Warning"))
        .count();
    assert_eq!(stuck, 1, "told once");
    f.stop.cancel();
    f.operator.await.unwrap();
}

/// Invariant 8: one bad object stops no other.
#[tokio::test]
async fn an_object_that_cannot_be_read_stops_no_other() {
    let f = fixture().await;
    let rigs: Api<Rig> = Api::all(f.client.clone());
    rigs.create(&PostParams::default(), &rig(2)).await.unwrap();
    // A pod with our label that is none of ours.
    let pods: Api<Pod> = Api::namespaced(f.client.clone(), NS);
    let odd: Pod = serde_json::from_value(json!({
        "metadata": {"name": "odd", "labels": {"app.kubernetes.io/managed-by": "gastown-operator", "gastown.io/role": "mayor"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}
    }))
    .unwrap();
    pods.create(&PostParams::default(), &odd).await.unwrap();
    let polecats: Api<Polecat> = Api::namespaced(f.client.clone(), NS);
    polecats
        .create(&PostParams::default(), &polecat("furiosa"))
        .await
        .unwrap();
    pod_of(&f.client, "polecat-furiosa").await;
    f.stop.cancel();
    f.operator.await.unwrap();
}

/// Invariant 3, over a restart: what is done stays done though its pod is gone.
#[tokio::test]
async fn finished_work_never_runs_twice_whatever_restarts() {
    let f = fixture().await;
    let rigs: Api<Rig> = Api::all(f.client.clone());
    rigs.create(&PostParams::default(), &rig(2)).await.unwrap();
    let polecats: Api<Polecat> = Api::namespaced(f.client.clone(), NS);
    polecats
        .create(&PostParams::default(), &polecat("furiosa"))
        .await
        .unwrap();
    pod_of(&f.client, "polecat-furiosa").await;
    report(&f.client, "polecat-furiosa", CourierOutcome::Done).await;
    eventually("Done", async || {
        polecats
            .get("furiosa")
            .await
            .unwrap()
            .status
            .filter(|s| s.phase == PolecatPhase::Done)
    })
    .await;
    f.stop.cancel();
    f.operator.await.unwrap();
    let pods: Api<Pod> = Api::namespaced(f.client.clone(), NS);
    let _ = pods
        .delete("polecat-furiosa", &DeleteParams::default().grace_period(0))
        .await;

    let stop = CancellationToken::new();
    let operator = start(&f.client, &f.metrics, &stop);
    polecats.create(&PostParams::default(), &polecat("nux")).await.unwrap();
    pod_of(&f.client, "polecat-nux").await;
    let furiosa = polecats.get("furiosa").await.unwrap().status.unwrap();
    assert_eq!((furiosa.phase, furiosa.attempt), (PolecatPhase::Done, Some(1)));
    assert!(
        pods.get_opt("polecat-furiosa")
            .await
            .unwrap()
            .is_none_or(|p| p.metadata.deletion_timestamp.is_some())
    );
    stop.cancel();
    operator.await.unwrap();
    f.server.close().await;
}

#[tokio::test]
async fn without_its_kinds_it_says_which_and_how_to_install_them() {
    let server = ApiServer::open(Options::default()).unwrap();
    let settings = Settings::new(Town::default());
    let end = run(
        server.client(NS),
        settings,
        Arc::new(Metrics::new()),
        Arc::new(Health::default()),
        CancellationToken::new(),
    )
    .await;
    let message = end.unwrap_err().to_string();
    assert!(
        message.contains("rigs are not served") && message.contains("kubectl apply"),
        "{message}"
    );
}
