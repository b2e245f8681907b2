//! polecat logs: what the agent prints, also after its pod is gone where the node keeps it.

use crate::{Access, Cluster, Failure, exit, polecat};
use clap::Args;
use futures::{AsyncReadExt, io::AsyncRead};
use gastown_api::{Polecat, PolecatPhase};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt};
use std::io::Write;
use std::time::Duration;

/// Arguments of polecat logs.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// NAME or RIG/NAME.
    pub name: String,
    /// Go on until the pod ends.
    #[arg(short, long)]
    pub follow: bool,
    /// Container: the agent's by default; clone, courier.
    #[arg(short, long)]
    pub container: Option<String>,
    /// Only the last lines.
    #[arg(long)]
    pub tail: Option<i64>,
    /// Only of the last seconds.
    #[arg(long, value_parser = crate::wait::duration)]
    pub since: Option<Duration>,
    /// Of the container's run before.
    #[arg(short, long)]
    pub previous: bool,
}

/// How long a pod may take to start while somebody follows.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run(args: LogArgs, cluster: &Cluster, access: &Access) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let polecat = polecat::find(cluster, &args.name, access).await?;
        let not_yet = match attempt(&args, cluster, &polecat).await {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        let waits = args.follow && starting(&polecat) && not_yet.code != exit::NOT_FOUND;
        if !waits || tokio::time::Instant::now() > deadline {
            return Err(not_yet.hint(format!("{} polecat status {}", access.program, polecat.name_any())));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Whether there will be something to read.
fn starting(polecat: &Polecat) -> bool {
    matches!(
        polecat.status.as_ref().map(|s| s.phase).unwrap_or_default(),
        PolecatPhase::Idle | PolecatPhase::Working
    )
}

/// Name of the agent's container.
fn container_of(polecat: &Polecat) -> String {
    match polecat.status.as_ref().and_then(|s| s.agent.as_deref()) {
        Some("custom") => "agent",
        Some("opencode") => "opencode",
        Some("aider") => "aider",
        _ => "claude",
    }
    .to_owned()
}

async fn attempt(args: &LogArgs, cluster: &Cluster, polecat: &Polecat) -> Result<(), Failure> {
    let Some(pod) = polecat.status.as_ref().and_then(|s| s.pod_name.clone()) else {
        return Err(Failure::new(
            exit::FAILED,
            format!("{} has had no pod yet", polecat.name_any()),
        ));
    };
    let params = LogParams {
        container: Some(args.container.clone().unwrap_or_else(|| container_of(polecat))),
        follow: args.follow,
        tail_lines: args.tail,
        since_seconds: args
            .since
            .map(|d| i64::try_from(d.as_secs().max(1)).unwrap_or(i64::MAX)),
        previous: args.previous,
        ..LogParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let stream = match pods.log_stream(&pod, &params).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(s)) if s.code == 404 && starting(polecat) => {
            return Err(Failure::new(exit::FAILED, format!("pod {pod} has not started yet")));
        }
        Err(e) => return Err(e.into()),
    };
    copy(stream).await
}

async fn copy(mut stream: impl AsyncRead + Unpin) -> Result<(), Failure> {
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut out = std::io::stdout();
    loop {
        let n = stream.read(&mut buffer).await?;
        let Some(part) = buffer.get(..n).filter(|p| !p.is_empty()) else {
            return Ok(());
        };
        // What the agent printed may hold escape sequences; none reaches the reader's terminal.
        let clean: Vec<u8> = part
            .iter()
            .map(|b| {
                if *b < 0x20 && *b != b'\n' && *b != b'\t' {
                    b' '
                } else {
                    *b
                }
            })
            .collect();
        match out.write_all(&clean).and_then(|()| out.flush()) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}
