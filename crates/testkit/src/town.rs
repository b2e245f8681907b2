//! A town in one process on a paused clock: our API server in memory, the operator, and pods that do what a test says.
//!
//! Under `#[tokio::test(start_paused = true)]` a day passes at once: time moves only when everybody waits for it, and
//! the API server stamps objects with the same time that the operator decides by.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "never shipped: what is wrong with a test's town fails the test"
)]

use gastown_apiserver::{ApiServer, Clock, Options};
use gastown_operator::{Health, Metrics, OperatorError, Settings};
use gastown_rules::Town as Rules;
use gastown_wire::{CourierOutcome, CourierReport, Report, VERSION};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where the operator and all polecats of a test live.
pub const NAMESPACE: &str = "gastown-system";
/// Between two looks at what is waited for. Of the paused clock.
const LOOK: Duration = Duration::from_millis(50);

/// The town.
pub struct Town {
    /// Speaks to its API server.
    pub client: Client,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    stop: CancellationToken,
    operator: JoinHandle<Result<(), OperatorError>>,
}

/// Time as tokio tells it, from a fixed morning on.
fn paused_clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let began = Instant::now();
    let morning = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50);
    Arc::new(move || morning + SignedDuration::try_from(began.elapsed()).unwrap_or_default())
}

impl Town {
    /// One with the six kinds and a running operator.
    ///
    /// # Panics
    /// When it cannot be built; so does everything here: it is for tests.
    pub async fn start() -> Self {
        let clock = paused_clock();
        let stamps = clock.clone();
        let server = ApiServer::open(Options {
            clock: Clock::new(move || stamps()),
            ..Options::default()
        })
        .unwrap();
        let client = server.client(NAMESPACE);
        let crds = Api::all(client.clone());
        for crd in gastown_api::crds() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(NAMESPACE.into());
        Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let mut settings = Settings::new(Rules {
            namespace: NAMESPACE.into(),
            ..Rules::default()
        });
        settings.clock = clock.clone();
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let operator = tokio::spawn(gastown_operator::run(
            client.clone(),
            settings,
            metrics,
            health,
            stop.clone(),
        ));
        Self {
            client,
            clock,
            stop,
            operator,
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Objects of a kind in the town's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates something.
    pub async fn create<K>(&self, api: Api<K>, object: &K) -> K
    where
        K: Clone + serde::Serialize + DeserializeOwned + Debug,
    {
        api.create(&PostParams::default(), object).await.unwrap()
    }

    /// Looks until there is something. `within` is of the paused clock; without it the test fails.
    pub async fn until<T>(&self, what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The pod of that name, once it is there.
    pub async fn pod(&self, name: &str) -> Pod {
        let pods = self.api::<Pod>();
        self.until(&format!("pod {name}"), Duration::from_secs(60), async || {
            pods.get_opt(name).await.unwrap()
        })
        .await
    }

    /// Names of the pods there are.
    pub async fn pods(&self) -> Vec<String> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await.unwrap();
        pods.items.into_iter().filter_map(|p| p.metadata.name).collect()
    }

    /// The kubelet: cannot get an image.
    pub async fn cannot_pull(&self, pod: &str) {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
        self.set(pod, "Pending", &[("clone", true, false, waiting)]).await;
    }

    /// The kubelet: agent and courier run; `ready` is the courier's word for activity.
    pub async fn runs(&self, pod: &str, ready: bool) {
        let running = json!({"running": {"startedAt": self.now().to_string()}});
        self.set(
            pod,
            "Running",
            &[
                ("agent", false, true, running.clone()),
                ("courier", false, ready, running),
            ],
        )
        .await;
    }

    /// The kubelet: courier has ended with that outcome, in that round and attempt.
    pub async fn reports(&self, pod: &str, round: u32, attempt: u32, outcome: CourierOutcome) {
        let report = CourierReport {
            version: VERSION,
            round,
            attempt,
            outcome,
            branch: "polecat/x".into(),
            base: "b".repeat(40),
            commit: "c".repeat(40),
            commits: 1,
            tokens: None,
            cost_micros: None,
            detail: String::new(),
            content: None,
        };
        let ended = |message: String| json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": message}});
        self.set(
            pod,
            "Succeeded",
            &[
                ("agent", false, false, ended(String::new())),
                ("courier", false, false, ended(report.encode())),
            ],
        )
        .await;
    }

    async fn set(&self, pod: &str, phase: &str, containers: &[(&str, bool, bool, Value)]) {
        let of = |init: bool| -> Vec<Value> {
            let own = containers.iter().filter(|c| c.1 == init);
            own.map(|(name, _, ready, state)| {
                json!({"name": name, "image": "", "imageID": "", "ready": ready, "restartCount": 0, "state": state})
            })
            .collect()
        };
        let status = json!({"status": {
            "phase": phase,
            "startTime": self.now().to_string(),
            "initContainerStatuses": of(true),
            "containerStatuses": of(false),
        }});
        let (params, patch) = (PatchParams::default(), Patch::Merge(status));
        self.api::<Pod>().patch_status(pod, &params, &patch).await.unwrap();
    }

    /// Revisions of everything there is. Equal ones: nobody has written.
    pub async fn revisions(&self) -> BTreeMap<String, String> {
        async fn of<K>(api: Api<K>, into: &mut BTreeMap<String, String>)
        where
            K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
        {
            for object in api.list(&ListParams::default()).await.unwrap() {
                let name = object.meta().name.clone().unwrap_or_default();
                let revision = object.meta().resource_version.clone().unwrap_or_default();
                into.insert(format!("{} {name}", K::kind(&())), revision);
            }
        }
        let mut all = BTreeMap::new();
        of(Api::<gastown_api::Rig>::all(self.client.clone()), &mut all).await;
        of(self.api::<gastown_api::Polecat>(), &mut all).await;
        of(self.api::<gastown_api::Convoy>(), &mut all).await;
        of(self.api::<gastown_api::Witness>(), &mut all).await;
        of(self.api::<gastown_api::Refinery>(), &mut all).await;
        of(self.api::<gastown_api::BeadStore>(), &mut all).await;
        of(self.api::<Pod>(), &mut all).await;
        all
    }

    /// Stops the operator, in order.
    pub async fn stop(self) {
        self.stop.cancel();
        self.operator.await.unwrap().unwrap();
    }
}
