//! The operator as a citizen of a cluster: elections, outages, throttling, expired histories, silence, an orderly end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod faults;

use faults::{Call, Fault, Network};
use gastown_api::labels;
use gastown_api::{AgentConfig, AgentKind, DesiredState, Polecat, PolecatSpec, Rig, RigSpec, Task};
use gastown_apiserver::{ApiServer, Options};
use gastown_operator::{Health, LeaseSettings, Metrics, Settings, run};
use gastown_rules::Town;
use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NS: &str = "gastown-system";

/// A town's API, and somebody who uses it over a good line.
struct Place {
    server: ApiServer,
    user: Client,
}

/// One replica of the operator, over a line of its own.
struct Replica {
    network: Network,
    health: Arc<Health>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn town() -> Place {
    let server = ApiServer::open(Options::default()).unwrap();
    let user = server.client(NS);
    let crds = Api::all(user.clone());
    for crd in gastown_api::crds() {
        crds.create(&PostParams::default(), &crd).await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(user.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NS.into());
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let rigs: Api<Rig> = Api::all(user.clone());
    let spec = RigSpec {
        git_url: "https://example.com/org/parts.git".into(),
        beads_prefix: "pa".into(),
        agent: Some(AgentKind::Custom),
        agent_config: Some(AgentConfig {
            command: vec!["./agent.sh".into()],
            ..AgentConfig::default()
        }),
        settings: Some(gastown_api::RigSettings {
            max_polecats: Some(100),
            ..Default::default()
        }),
        ..RigSpec::default()
    };
    rigs.create(&PostParams::default(), &Rig::new("parts", spec))
        .await
        .unwrap();
    Place { server, user }
}

impl Place {
    /// A replica; with a name it stands for election with a lease of six seconds.
    fn replica(&self, name: Option<&str>, network: Network) -> Replica {
        let mut settings = Settings::new(Town {
            namespace: NS.into(),
            ..Town::default()
        });
        settings.watch_silence = Duration::from_secs(2);
        settings.lease = name.map(|name| LeaseSettings {
            duration: Duration::from_secs(6),
            renew: Duration::from_secs(2),
            ..LeaseSettings::new(NS.into(), name.into())
        });
        let (health, stop) = (Arc::new(Health::default()), CancellationToken::new());
        let client = network.client(&self.server, NS);
        let task = tokio::spawn({
            let (health, stop) = (health.clone(), stop.clone());
            async move {
                run(client, settings, Arc::new(Metrics::new()), health, stop)
                    .await
                    .unwrap();
            }
        });
        Replica {
            network,
            health,
            stop,
            task,
        }
    }

    async fn sling(&self, names: &[&str]) {
        let polecats: Api<Polecat> = Api::namespaced(self.user.clone(), NS);
        for name in names {
            let spec = PolecatSpec {
                rig: "parts".into(),
                desired_state: DesiredState::Working,
                task: Some(Task {
                    description: Some("Do it".into()),
                }),
                ..PolecatSpec::default()
            };
            polecats
                .create(&PostParams::default(), &Polecat::new(name, spec))
                .await
                .unwrap();
        }
    }

    async fn pods(&self) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.user.clone(), NS);
        pods.list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until there are so many pods, and says whose they are: each polecat's first, once.
    async fn housed(&self, names: &[&str]) {
        eventually(&format!("pods of {names:?}"), async || {
            (self.pods().await.len() >= names.len()).then_some(())
        })
        .await;
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        for pod in self.pods().await {
            *owners.entry(pod.owner_references()[0].name.clone()).or_default() += 1;
        }
        let expected: BTreeMap<String, usize> = names.iter().map(|n| ((*n).to_owned(), 1)).collect();
        assert_eq!(owners, expected, "each polecat has one pod");
        let polecats: Api<Polecat> = Api::namespaced(self.user.clone(), NS);
        for polecat in polecats.list(&ListParams::default()).await.unwrap() {
            let attempt = polecat.status.unwrap().attempt;
            assert_eq!(attempt, Some(1), "nothing was started twice");
        }
    }

    async fn holder(&self) -> String {
        let leases: Api<Lease> = Api::namespaced(self.user.clone(), NS);
        let lease = leases.get_opt("9a7b81dd.gastown.io").await.unwrap();
        let spec = lease.and_then(|l| l.spec);
        spec.and_then(|s| s.holder_identity).unwrap_or_default()
    }
}

impl Replica {
    async fn end(self) -> Network {
        self.stop.cancel();
        self.task.await.unwrap();
        asked_for_its_own_pods(&self.network.calls());
        self.network
    }
}

/// Of all pods of a cluster, only its own are ever sent to it: whatever befell it, every list and watch says which.
fn asked_for_its_own_pods(calls: &[Call]) {
    let selector = format!(
        "labelSelector={}%3D{}",
        labels::MANAGED_BY.replace('/', "%2F"),
        labels::MANAGED_BY_VALUE
    );
    let collections = calls.iter().filter(|c| {
        let path = c.uri.split('?').next().unwrap_or_default();
        c.method == Method::GET && path.ends_with("/pods")
    });
    let mut asked = 0;
    for call in collections {
        assert!(call.uri.contains(&selector), "all pods are asked for: {}", call.uri);
        asked += 1;
    }
    assert!(asked > 0, "no pods were asked for: is this how lists are addressed?");
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Writes to anything but the Lease.
fn deeds(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|c| c.writes() && !c.is_lease()).collect()
}

#[tokio::test]
async fn a_dead_leader_is_replaced_and_nothing_is_made_twice() {
    let town = town().await;
    let first = town.replica(Some("first"), Network::new());
    eventually("first leads", async || (town.holder().await == "first").then_some(())).await;
    let second = town.replica(Some("second"), Network::new());
    town.sling(&["furiosa", "nux"]).await;
    town.housed(&["furiosa", "nux"]).await;
    assert!(deeds(&second.network.calls()).is_empty(), "one acts");
    eventually("the other indexes", async || second.health.ready().ok()).await;

    // Its line goes dead: nothing it sends arrives, nothing it hears is new, and nothing says so.
    first.network.set(|_| Some(Fault::Lost));
    first.network.cut();
    town.sling(&["slit", "rictus", "dag"]).await;
    town.housed(&["furiosa", "nux", "slit", "rictus", "dag"]).await;
    assert_eq!(town.holder().await, "second");

    // It comes back and finds that it leads no more.
    let before = first.network.calls().len();
    first.network.set(|_| None);
    town.sling(&["toast"]).await;
    town.housed(&["furiosa", "nux", "slit", "rictus", "dag", "toast"]).await;
    let network = first.end().await;
    let after = &network.calls()[before..];
    assert!(deeds(after).is_empty(), "a deposed leader wrote: {:?}", deeds(after));
    second.end().await;
    assert_eq!(town.holder().await, "", "given up at the end");
}

#[tokio::test]
async fn at_the_end_the_writes_under_way_are_answered_before_the_lease_is_given_up() {
    let town = town().await;
    let network = Network::new();
    network
        .set(|c| (c.method == Method::POST && c.uri.contains("/pods")).then_some(Fault::Slow(Duration::from_secs(2))));
    let replica = town.replica(Some("first"), network.clone());
    town.sling(&["furiosa", "nux"]).await;
    eventually("a pod is being made", async || {
        network
            .calls()
            .iter()
            .any(|c| c.method == Method::POST && c.uri.contains("/pods"))
            .then_some(())
    })
    .await;
    let calls = replica.end().await.calls();
    let given_up = calls
        .iter()
        .find(|c| c.is_lease() && c.method == Method::PUT && c.body.contains("\"holderIdentity\":\"\""))
        .expect("the lease is given up");
    for deed in deeds(&calls) {
        let answered = deed.answered.expect("every write begun is answered");
        assert!(answered <= given_up.asked, "{deed:?} after the lease was given up");
    }
    assert_eq!(town.holder().await, "");
}

/// Caches first: decisions on half a world would make pods twice.
#[tokio::test]
async fn nothing_is_decided_and_nobody_is_told_ready_before_every_kind_is_listed() {
    let town = town().await;
    town.sling(&["furiosa"]).await;
    let network = Network::new();
    let list_of_pods = |c: &Call| c.method == Method::GET && c.uri.contains("/pods?") && !c.watches();
    network.set(move |c| list_of_pods(c).then_some(Fault::Refused { code: 500, after: None }));
    let replica = town.replica(None, network.clone());
    eventually("pods are asked for again", async || {
        (network.calls().iter().filter(|c| list_of_pods(c)).count() >= 2).then_some(())
    })
    .await;
    let why = replica.health.ready().unwrap_err();
    assert!(why.contains("Pod"), "{why}");
    replica.health.live().expect("waiting is alive");
    assert!(deeds(&network.calls()).is_empty());
    network.set(|_| None);
    town.housed(&["furiosa"]).await;
    replica.health.ready().unwrap();
    replica.end().await;
}

#[tokio::test]
async fn an_api_server_that_restarts_is_outlived() {
    let town = town().await;
    let network = Network::new();
    // It is away when we start, too.
    network.set(|_| Some(Fault::Down));
    let replica = town.replica(Some("first"), network.clone());
    eventually("it asks more than once", async || {
        (network.calls().len() >= 2).then_some(())
    })
    .await;
    network.set(|_| None);
    town.sling(&["furiosa"]).await;
    town.housed(&["furiosa"]).await;
    network.set(|_| Some(Fault::Down));
    network.cut();
    town.sling(&["nux"]).await;
    let asked = network.calls().len();
    eventually("it tries", async || (network.calls().len() >= asked + 7).then_some(())).await;
    network.set(|_| None);
    town.housed(&["furiosa", "nux"]).await;
    replica.end().await;
}

#[tokio::test]
async fn a_server_that_says_when_to_come_back_is_left_alone_until_then() {
    let town = town().await;
    let network = Network::new();
    let replica = town.replica(None, network.clone());
    eventually("ready", async || replica.health.ready().ok()).await;
    network.set(|c| {
        c.writes().then_some(Fault::Refused {
            code: 429,
            after: Some(3),
        })
    });
    town.sling(&["furiosa", "nux", "slit", "dag"]).await;
    let first = eventually("a write is refused", async || {
        deeds(&network.calls()).last().map(|c| c.asked)
    })
    .await;
    let settled = Instant::now();
    tokio::time::sleep_until((first + Duration::from_millis(2900)).into()).await;
    let meanwhile = deeds(&network.calls()).iter().filter(|c| c.asked > settled).count();
    // Those of the same moment were on their way.
    assert!(meanwhile <= 4, "{meanwhile} writes while asked to wait");
    network.set(|_| None);
    town.housed(&["furiosa", "nux", "slit", "dag"]).await;
    replica.end().await;
}

#[tokio::test]
async fn events_too_leave_a_server_alone_that_says_when_to_come_back() {
    let town = town().await;
    let network = Network::new();
    let replica = town.replica(None, network.clone());
    eventually("ready", async || replica.health.ready().ok()).await;
    let tells = |c: &Call| c.writes() && c.uri.contains("/events");
    let refused = Fault::Refused {
        code: 429,
        after: Some(3),
    };
    network.set(move |c| tells(c).then_some(refused));
    let began = Instant::now();
    town.sling(&["furiosa"]).await;
    let first = eventually("an event is refused", async || {
        let mut calls = network.calls().into_iter();
        calls.find(|c| tells(c) && c.asked > began)
    })
    .await;
    town.sling(&["nux", "slit", "dag"]).await;
    tokio::time::sleep_until((first.asked + Duration::from_millis(2900)).into()).await;
    let calls = network.calls();
    // Those of the same moment were on their way.
    let settled = first.asked + Duration::from_secs(1);
    let meanwhile: Vec<&Call> = calls.iter().filter(|c| c.writes() && c.asked > settled).collect();
    assert!(meanwhile.is_empty(), "while asked to wait: {meanwhile:?}");
    network.set(|_| None);
    town.housed(&["furiosa", "nux", "slit", "dag"]).await;
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::all(town.user.clone());
    eventually("what was refused is told", async || {
        let told = events.list(&ListParams::default()).await.unwrap();
        let said = |name: String| first.body.contains(&name);
        told.iter().any(|e| said(e.name_any())).then_some(())
    })
    .await;
    replica.end().await;
}

#[tokio::test]
async fn the_age_of_definitions_is_asked_until_it_is_told() {
    let town = town().await;
    let network = Network::new();
    let asks = |c: &Call| c.uri.contains("/openapi/v3");
    network.set(move |c| asks(c).then_some(Fault::Refused { code: 503, after: None }));
    let replica = town.replica(None, network.clone());
    town.sling(&["furiosa"]).await;
    eventually("it asks again", async || {
        (network.calls().iter().filter(|c| asks(c)).count() >= 3).then_some(())
    })
    .await;
    assert!(replica.health.ready().is_err());
    assert_eq!(deeds(&network.calls()).len(), 0, "nothing is written on a guess");
    network.set(|_| None);
    town.housed(&["furiosa"]).await;
    replica.end().await;
}

#[tokio::test]
async fn a_storm_of_expired_histories_is_no_storm_of_lists() {
    let town = town().await;
    let network = Network::new();
    network.set(|c| c.watches().then_some(Fault::Refused { code: 410, after: None }));
    let (replica, began) = (town.replica(None, network.clone()), Instant::now());
    town.sling(&["furiosa"]).await;
    // Lists alone bring it through.
    town.housed(&["furiosa"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lists = |kind: &str| {
        let calls = network.calls();
        calls
            .iter()
            .filter(|c| c.method == Method::GET && c.uri.contains(kind) && !c.watches())
            .count()
    };
    let most = 3 + usize::try_from(began.elapsed().as_secs()).unwrap();
    for kind in ["/rigs?", "/polecats?", "/pods?"] {
        assert!(
            lists(kind) <= most,
            "{} lists of {kind} in {:?}",
            lists(kind),
            began.elapsed()
        );
    }
    network.set(|_| None);
    town.sling(&["nux"]).await;
    town.housed(&["furiosa", "nux"]).await;
    replica.end().await;
}

#[tokio::test]
async fn a_watch_that_goes_silent_is_taken_for_dead() {
    let town = town().await;
    let network = Network::new();
    network.set(|c| (c.watches() && c.uri.contains("/polecats")).then_some(Fault::Mute));
    let replica = town.replica(None, network.clone());
    eventually("ready", async || replica.health.ready().ok()).await;
    eventually("the watch is open", async || {
        network
            .calls()
            .iter()
            .any(|c| c.watches() && c.uri.contains("/polecats"))
            .then_some(())
    })
    .await;
    network.set(|_| None);
    town.sling(&["furiosa"]).await;
    town.housed(&["furiosa"]).await;
    let lists = network.calls();
    let lists = lists
        .iter()
        .filter(|c| c.uri.contains("/polecats?") && c.uri.contains("limit=250"))
        .count();
    assert_eq!(lists, 1, "it goes on from where it was");
    replica.end().await;
}

/// A create whose answer is lost: perhaps done. It is looked at, not repeated blindly.
#[tokio::test]
async fn a_write_that_is_never_answered_is_given_up_and_made_once() {
    let town = town().await;
    let network = Network::new();
    network.set(|c| (c.method == Method::POST && c.uri.contains("/pods")).then_some(Fault::Unanswered));
    let replica = town.replica(None, network.clone());
    town.sling(&["furiosa"]).await;
    eventually("it is sent", async || {
        network
            .calls()
            .iter()
            .any(|c| c.method == Method::POST && c.uri.contains("/pods"))
            .then_some(())
    })
    .await;
    network.set(|_| None);
    town.housed(&["furiosa"]).await;
    // The watch told of the pod: another task is served meanwhile, nothing hangs on the lost answer.
    town.sling(&["nux"]).await;
    town.housed(&["furiosa", "nux"]).await;
    replica.end().await;
}
