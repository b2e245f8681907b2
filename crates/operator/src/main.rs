//! The operator's process: flags, logs, probes, and an orderly end.

use anyhow::Context;
use clap::{Parser, ValueEnum};
use gastown_operator::{Health, LeaseSettings, Metrics, PodUser, Scope, Settings, router, run};
use gastown_rules::Town;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

/// Runs Gas Town's polecats as pods and lands what they write.
#[derive(Parser)]
#[command(name = "gastown-operator", version)]
struct Flags {
    /// Where metrics are served; 0 turns them off.
    #[arg(long, default_value = ":8443")]
    metrics_bind_address: String,
    /// Where /healthz and /readyz are served.
    #[arg(long, default_value = ":8081")]
    health_probe_bind_address: String,
    /// Stand for election, so that of several replicas one acts.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// The operator's own namespace: witnesses, refineries and their pods live here.
    #[arg(long, env = "GASTOWN_NAMESPACE", default_value = "gastown-system")]
    namespace: String,
    /// Serve these namespaces and the operator's own only, with rights in no other. Several, separated by commas; none is all.
    #[arg(long, env = "GASTOWN_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// User and group of the pods whose rig names none: an ID, or none where the cluster names one (OpenShift).
    #[arg(long, env = "GASTOWN_POD_USER", default_value = "65532")]
    pod_user: PodUser,
    /// Name of this replica in the election.
    #[arg(long, env = "POD_NAME", default_value = "gastown-operator")]
    identity: String,
    /// Image of the containers that talk to git.
    #[arg(long, env = "GASTOWN_HARNESS_IMAGE", default_value = "gastown-harness")]
    harness_image: String,
    /// Image of the agent where neither polecat nor rig names one (GASTOWN_CLAUDE_IMAGE is read too).
    #[arg(long, env = "GASTOWN_AGENT_IMAGE")]
    agent_image: Option<String>,
    /// The same for opencode, where it has one of its own.
    #[arg(long, env = "GASTOWN_OPENCODE_IMAGE")]
    opencode_image: Option<String>,
    /// The same for aider.
    #[arg(long, env = "GASTOWN_AIDER_IMAGE")]
    aider_image: Option<String>,
    /// How logs are written.
    #[arg(long, value_enum, default_value = "json")]
    log_format: LogFormat,
    /// Accepted for the predecessor's manifests; without effect.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    metrics_secure: Option<String>,
    /// Accepted for the predecessor's manifests; without effect.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    enable_http2: Option<String>,
    /// Accepted for the predecessor's manifests; without effect.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    disable_webhooks: Option<String>,
}

/// `:8081` as Go programs write it means every address: of both families, or of IPv4 alone where there is no other.
fn addresses(text: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let each = match text {
        "0" | "" => Vec::new(),
        port if port.starts_with(':') => vec![format!("[::]{port}"), format!("0.0.0.0{port}")],
        full => vec![full.to_owned()],
    };
    let parse = |at: String| {
        at.parse()
            .with_context(|| format!("{at} is no address: :8081, 0.0.0.0:8081"))
    };
    each.into_iter().map(parse).collect()
}

/// A client that neither retries by itself (a refusal is news to the rules, and `Retry-After` is everybody's) nor
/// hides who calls.
async fn client() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer().await?;
    config.default_retry = false;
    let agent = concat!("gastown-operator/", env!("CARGO_PKG_VERSION"));
    config
        .headers
        .push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    Ok(kube::Client::try_from(config)?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match flags.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.compact().with_ansi(std::io::stderr().is_terminal()).init(),
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    for (flag, given) in [
        ("--metrics-secure", &flags.metrics_secure),
        ("--enable-http2", &flags.enable_http2),
        ("--disable-webhooks", &flags.disable_webhooks),
    ] {
        if given.is_some() {
            tracing::warn!(flag, "this flag of the predecessor has no effect; remove it");
        }
    }
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let shutdown = CancellationToken::new();
    let mut served = vec![
        addresses(&flags.health_probe_bind_address)?,
        addresses(&flags.metrics_bind_address)?,
    ];
    served.dedup();
    for any in served.iter().filter(|any| !any.is_empty()) {
        // The first of them that can be had.
        let listener = tokio::net::TcpListener::bind(&any[..]).await?;
        let (app, stop) = (router(metrics.clone(), health.clone()), shutdown.clone());
        tokio::spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        });
    }
    let client = client().await?;
    let agent_image = flags.agent_image.or_else(|| std::env::var("GASTOWN_CLAUDE_IMAGE").ok());
    let own_images = [("opencode", flags.opencode_image), ("aider", flags.aider_image)];
    let own_images = own_images
        .into_iter()
        .filter_map(|(agent, image)| Some((agent.to_owned(), image?)));
    let defaults = Town::default();
    let mut settings = Settings::new(Town {
        namespace: flags.namespace.clone(),
        harness_image: flags.harness_image,
        agent_image: agent_image.unwrap_or_else(|| defaults.agent_image.clone()),
        agent_images: own_images.collect(),
        ..defaults
    });
    settings.scope = Scope::of(&flags.watch_namespaces, &flags.namespace);
    settings.pod_user = flags.pod_user;
    if flags.leader_elect {
        settings.lease = Some(LeaseSettings::new(flags.namespace, flags.identity));
    }
    let stop = shutdown.clone();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping");
        stop.cancel();
    });
    run(client, settings, metrics, health, shutdown).await?;
    Ok(())
}
