//! Our `node` as the kubelet of a real control plane: pods are processes, and `kubectl logs` reaches them.
//!
//! ```text
//! kube-apiserver ──watch──▶ gastown-node ──▶ processes
//!       └──── GET /containerLogs/… ─▶ this ──▶ their logs
//! ```
//! What only a real control plane asks of a node is here: a Lease that is renewed, and the port for logs.

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clap::Parser;
use gastown_node::{Isolation, LogQuery, LogsError, Node, NodeLogs, NodeOptions};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The node lifecycle controller gives a node up after 50 seconds without one.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// What pods get when the node ends.
const GRACE: Duration = Duration::from_secs(3);

#[derive(Parser)]
struct Flags {
    /// Name of the node.
    #[arg(long, default_value = "localhost")]
    name: String,
    /// Folder for volumes and logs.
    #[arg(long)]
    data: PathBuf,
    /// Folders of programs that containers find on their PATH.
    #[arg(long)]
    path_prefix: Vec<PathBuf>,
    /// Folders that no container sees.
    #[arg(long)]
    hide: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    // First of all: containers are started by a copy of this program that never gets further than here.
    gastown_node::launcher_main();
    let flags = Flags::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).compact().init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let client = Client::try_default().await?;
    let isolation = match gastown_node::probe_isolation().await {
        Ok(()) => Isolation::Namespaces,
        Err(e) => {
            eprintln!("{e}; going on without");
            Isolation::Unconfined
        }
    };
    let options = NodeOptions {
        name: flags.name.clone(),
        data: flags.data,
        isolation,
        path_prefix: flags.path_prefix,
        host_paths: Vec::new(),
        hide: flags.hide,
        max_concurrent_starts: 4,
    };
    let node = Node::start(client.clone(), options).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let served = Served {
        logs: node.logs(),
        client: client.clone(),
    };
    tokio::spawn(serve(listener, router(served), certificate(&flags.name)?));
    let nodes: Api<NodeObject> = Api::all(client.clone());
    let told = json!({ "status": { "daemonEndpoints": { "kubeletEndpoint": { "Port": port } } } });
    nodes
        .patch_status(&flags.name, &PatchParams::default(), &Patch::Merge(told))
        .await?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = beat(client, &flags.name) => {}
    }
    node.shutdown(GRACE).await;
    Ok(())
}

/// Says for ever that the node lives.
async fn beat(client: Client, node: &str) {
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    loop {
        let now = Timestamp::now();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": node },
            "spec": { "holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": format!("{now:.6}") },
        });
        let force = PatchParams::apply("process-node").force();
        if let Err(error) = leases.patch(node, &force, &Patch::Apply(lease)).await {
            eprintln!("the lease of the node: {error}");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

#[derive(Clone)]
struct Served {
    logs: NodeLogs,
    client: Client,
}

/// The one part of the kubelet's own API that tests read.
fn router(served: Served) -> Router {
    Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs))
        .with_state(served)
}

/// As kube-apiserver passes them on from `kubectl logs`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    follow: bool,
    previous: bool,
    timestamps: bool,
    tail_lines: Option<u64>,
    limit_bytes: Option<u64>,
}

async fn logs(
    State(served): State<Served>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let pods: Api<Pod> = Api::namespaced(served.client, &namespace);
    let uid = match pods.get(&pod).await {
        Ok(found) => found.metadata.uid,
        Err(e) => return (StatusCode::NOT_FOUND, e.to_string()).into_response(),
    };
    let query = LogQuery {
        namespace,
        pod,
        uid,
        container: Some(container),
        follow: wanted.follow,
        tail_lines: wanted.tail_lines,
        since_time: None,
        limit_bytes: wanted.limit_bytes,
        previous: wanted.previous,
        timestamps: wanted.timestamps,
    };
    match served.logs.open(query).await {
        Ok(stream) => Body::from_stream(stream).into_response(),
        Err(e @ LogsError::NoSuchPod { .. }) => (StatusCode::NOT_FOUND, e.to_string()).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// A certificate of its own: a kube-apiserver that is told no authority checks none.
fn certificate(name: &str) -> anyhow::Result<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .context("the node's certificate")
}

async fn serve(listener: TcpListener, router: Router, tls: rustls::ServerConfig) {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            // One that does not finish its greeting, or leaves, is no matter of ours.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper_util::service::TowerToHyperService::new(router);
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}
