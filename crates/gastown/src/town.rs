//! A whole town in one process.

use crate::place::{Place, TownSettings, replace};
use futures::StreamExt;
use futures::future::BoxFuture;
use gastown_apiserver::{ApiServer, Identity, LogError, LogRequest, OpenError, Options, PodLogs, Serving};
use gastown_node::{Isolation, LogQuery, LogsError, Node, NodeLogs, NodeOptions};
use gastown_operator::{Health, Metrics, Settings};
use gastown_rules::Town as Rules;
use gastown_wire::RecordLevel;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubectl_gt::{DEFAULT_NAMESPACE, Failure, exit};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The port that is tried first.
const PORT: u16 = 7443;
/// Namespaces that stand from the start: ours, and the one the predecessor's first README uses.
const NAMESPACES: [&str; 2] = [DEFAULT_NAMESPACE, "gastown-workers"];
/// What pods get when the town goes down: they go on where they were when it comes up again.
const GRACE: Duration = Duration::from_secs(8);

/// How a town is started.
pub(crate) struct Plan {
    /// Where its data is.
    pub(crate) place: Place,
    /// Run pods without isolation where there is none.
    pub(crate) unconfined: bool,
    /// Folders on the host that pods may mount: the repositories.
    pub(crate) repositories: Vec<PathBuf>,
}

/// A town that runs.
pub(crate) struct Town {
    pub(crate) client: Client,
    pub(crate) node: Node,
    pub(crate) serving: Serving,
    /// How pods are isolated, for people.
    pub(crate) isolation: String,
    server: ApiServer,
    operator: JoinHandle<Result<(), gastown_operator::OperatorError>>,
    shutdown: CancellationToken,
}

fn failed(what: &str, e: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::FAILED, format!("{what}: {e}"))
}

impl Town {
    /// Starts API, node and operator on the data of a place.
    pub(crate) async fn start(plan: Plan) -> Result<Self, Failure> {
        let place = &plan.place;
        std::fs::create_dir_all(&place.data)
            .map_err(|e| failed(&format!("the data folder {}", place.data.display()), &e))?;
        let (isolation, described) = isolation(plan.unconfined).await?;
        let server = open(place)?;
        let shutdown = CancellationToken::new();
        let serving = serve(&server, place, &shutdown).await?;
        let client = server.client(DEFAULT_NAMESPACE);
        install(&client).await?;
        let node = Node::start(client.clone(), node_options(&plan, isolation)?)
            .await
            .map_err(|e| failed("the node", &e))?;
        server.set_logs(Arc::new(Logs(node.logs())));
        let settings = Settings::new(Rules {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            one_machine: true,
            push_interval_ms: 1000,
            record: RecordLevel::Conversation,
            ..Rules::default()
        });
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let operator = tokio::spawn(gastown_operator::run(
            client.clone(),
            settings,
            metrics,
            health,
            shutdown.clone(),
        ));
        Ok(Self {
            client,
            node,
            serving,
            isolation: described,
            server,
            operator,
            shutdown,
        })
    }

    /// Stops in order: the operator decides nothing more, pods get their grace, the store closes.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        match self.operator.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => eprintln!("the operator ended: {e}"),
            Err(e) => eprintln!("the operator ended badly: {e}"),
        }
        self.node.shutdown(GRACE).await;
        self.server.close().await;
    }

    /// Waits for the operator to end by itself, which it does only when it cannot go on.
    pub(crate) async fn broken(&mut self) -> Failure {
        match (&mut self.operator).await {
            Ok(Ok(())) => Failure::new(exit::FAILED, "the operator has stopped"),
            Ok(Err(e)) => failed("the operator has stopped", &e),
            Err(e) => failed("the operator has stopped", &e),
        }
    }
}

async fn isolation(unconfined: bool) -> Result<(Isolation, String), Failure> {
    match gastown_node::probe_isolation().await {
        Ok(()) if !unconfined => Ok((
            Isolation::Namespaces,
            "own user, mount and PID namespaces; your home is hidden from them, but for toolchains".to_owned(),
        )),
        Ok(()) => Ok((
            Isolation::Unconfined,
            "none (--unconfined): agents can do what you can".to_owned(),
        )),
        Err(_) if unconfined => Ok((
            Isolation::Unconfined,
            "none (this system forbids user namespaces): agents can do what you can".to_owned(),
        )),
        Err(e) => Err(
            Failure::new(exit::REFUSED, format!("pods cannot be isolated here: {}", e.reason)).hint(format!(
                "{}; or go on without isolation, as agents run on most laptops: --unconfined",
                e.advice
            )),
        ),
    }
}

fn open(place: &Place) -> Result<ApiServer, Failure> {
    let options = Options {
        data: Some(place.data.join("store")),
        ..Options::default()
    };
    ApiServer::open(options).map_err(|e| match e {
        OpenError::Locked { .. } => {
            let pid = place.pid().map(|p| format!(" (process {p})")).unwrap_or_default();
            Failure::new(exit::REFUSED, format!("this town is up already{pid}: {e}"))
                .hint("use it as it is, or stop it first: gastown down")
        }
        other => failed("the store", &other),
    })
}

async fn serve(server: &ApiServer, place: &Place, shutdown: &CancellationToken) -> Result<Serving, Failure> {
    let identity = |e: &dyn std::fmt::Display| failed("the API server's certificate", e);
    let dir = place.data.join("identity");
    let load = || Identity::load_or_create(&dir).map_err(|e| identity(&e));
    let wanted = place.settings().map_or(PORT, |s| s.port);
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let serving = match server.serve(at(wanted), load()?, shutdown.clone()).await {
        Ok(serving) => serving,
        // Taken, by another town perhaps: any free one.
        Err(_) => server
            .serve(at(0), load()?, shutdown.clone())
            .await
            .map_err(|e| failed("the API server", &e))?,
    };
    replace(
        &place.kubeconfig(),
        serving.kubeconfig(DEFAULT_NAMESPACE).as_bytes(),
        0o600,
    )?;
    let settings = TownSettings {
        port: serving.addr.port(),
        ..place.settings().unwrap_or_default()
    };
    place.keep(&settings)?;
    Ok(serving)
}

/// CRDs and namespaces; those that stand are brought up to date.
async fn install(client: &Client) -> Result<(), Failure> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in gastown_api::crds() {
        let name = crd.name_any();
        match api.create(&PostParams::default(), &crd).await {
            Ok(_) => {}
            Err(kube::Error::Api(s)) if s.code == 409 => {
                let patch = serde_json::json!({ "spec": crd.spec });
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Err(e) => return Err(e.into()),
        }
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in NAMESPACES {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(s)) if s.code == 409 => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn node_options(plan: &Plan, isolation: Isolation) -> Result<NodeOptions, Failure> {
    let here = std::env::current_exe()?;
    let bin = here.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
    if !bin.join("gastown-harness").is_file() {
        return Err(Failure::new(
            exit::FAILED,
            format!("gastown-harness is not beside {}", here.display()),
        )
        .hint("build it too: cargo build -p gastown-harness"));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut path_prefix = vec![bin];
    // A Rust toolchain lies under the hidden home: brought back by name, read-only.
    path_prefix.extend(home.iter().map(|h| h.join(".cargo/bin")).filter(|p| p.is_dir()));
    // And so do agents, often: what they are made of comes back too.
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    path_prefix.extend(home.iter().flat_map(|home| crate::programs::needed(home, &on_path)));
    let mut hide = vec![plan.place.data.clone()];
    hide.extend(home);
    Ok(NodeOptions {
        name: "localhost".to_owned(),
        data: plan.place.data.join("node"),
        isolation,
        path_prefix,
        host_paths: plan.repositories.clone(),
        hide,
        max_concurrent_starts: 4,
    })
}

/// The API server asks, the node's files answer.
struct Logs(NodeLogs);

impl PodLogs for Logs {
    fn logs(&self, request: LogRequest) -> BoxFuture<'static, Result<gastown_apiserver::LogStream, LogError>> {
        let logs = self.0.clone();
        Box::pin(async move {
            let since = request
                .since_seconds
                .and_then(|s| i64::try_from(s).ok())
                .map(jiff::SignedDuration::from_secs);
            let query = LogQuery {
                namespace: request.namespace,
                pod: request.pod,
                uid: request.uid,
                container: request.container,
                follow: request.follow,
                tail_lines: request.tail_lines,
                since_time: request.since_time.or_else(|| since.map(|s| jiff::Timestamp::now() - s)),
                limit_bytes: request.limit_bytes,
                previous: request.previous,
                timestamps: request.timestamps,
            };
            match logs.open(query).await {
                Ok(stream) => Ok(stream.boxed()),
                Err(e @ LogsError::NoSuchPod { .. }) => Err(LogError::NotFound(e.to_string())),
                Err(e @ LogsError::Disk(_)) => Err(LogError::Other(e.to_string())),
                Err(e) => Err(LogError::BadRequest(e.to_string())),
            }
        })
    }
}
