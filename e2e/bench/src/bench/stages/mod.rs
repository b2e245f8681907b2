//! The stages, in the order that lets each use what the one before left.

mod crowd;
mod lives;
mod load;

use super::cluster::{Cluster, TOWN};
use super::observer::Observer;
use super::process::Process;
use super::table::Table;
use super::{Options, Scale};
use gastown_api::{AgentConfig, AgentKind, DesiredState, Polecat, PolecatSpec, Rig, RigSettings, RigSpec, Task};
use gastown_bench::audit::Log;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Rigs the polecats are spread over: one holds a thousand at most.
const RIGS: usize = 10;
/// Longest a stage may take before it is a failure. A loaded machine is slow, not broken.
const LONGEST: Duration = Duration::from_secs(600);

/// What all stages share.
struct Bench<'a> {
    options: &'a Options,
    scale: Scale,
    cluster: &'a Cluster,
    observer: Observer,
    log: Log,
    pattern: PathBuf,
}

/// All stages.
pub(crate) async fn all(options: &Options, scale: Scale, cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let mut bench = Bench {
        options,
        scale,
        cluster,
        observer: Observer::start(&cluster.admin),
        log: cluster.audit(),
        pattern: cluster.dir.join("pattern.json"),
    };
    bench.rigs().await?;
    let wanted = |stage: &str| options.only.is_empty() || options.only.iter().any(|o| o == stage);
    bench.lives(table).await?;
    if wanted("throughput") {
        bench.throughput(table).await?;
    }
    if wanted("steady") {
        bench.steady(table).await?;
    }
    if wanted("memory") {
        bench.memory(table).await?;
    }
    Ok(())
}

impl Bench<'_> {
    async fn operator(&self) -> anyhow::Result<Process> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let probes = format!("127.0.0.1:{port}");
        let config = self.cluster.kubeconfig("operator");
        let image = std::fs::read_to_string(self.options.top.join("images/operator/Dockerfile"))?;
        let mut env = malloc(&image);
        let config = config.to_string_lossy();
        env.push(("KUBECONFIG", &config));
        let operator = Process::start(
            &self.options.bin.join("gastown-operator"),
            &[
                "--leader-elect",
                "--identity",
                "bench",
                "--namespace",
                TOWN,
                "--metrics-bind-address",
                "0",
                "--health-probe-bind-address",
                &probes,
            ],
            &env,
            &self.cluster.dir.join("log/operator"),
        )?;
        let deadline = Instant::now() + LONGEST;
        while !ready(&probes).await {
            anyhow::ensure!(Instant::now() < deadline, "the operator is not ready: see its log");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(operator)
    }

    fn floor(&self) -> anyhow::Result<Process> {
        let config = self.cluster.kubeconfig("floor");
        Process::start(
            &std::env::current_exe()?,
            &[
                "floor",
                "--kubeconfig",
                &config.to_string_lossy(),
                "--pattern",
                &self.pattern.to_string_lossy(),
            ],
            &[],
            &self.cluster.dir.join("log/floor"),
        )
    }

    fn kubelet(&self, life: Option<Duration>) -> anyhow::Result<Process> {
        let millis = life.map_or(0, |l| l.as_millis()).to_string();
        Process::start(
            &std::env::current_exe()?,
            &[
                "kubelet",
                "--kubeconfig",
                &self.cluster.dir.join("kubeconfig").to_string_lossy(),
                "--life-ms",
                &millis,
            ],
            &[],
            &self.cluster.dir.join("log/fake-kubelet"),
        )
    }

    async fn rigs(&self) -> anyhow::Result<()> {
        let rigs: Api<Rig> = Api::all(self.cluster.admin.clone());
        for n in 0..RIGS {
            let spec = RigSpec {
                git_url: format!("https://example.com/bench/parts-{n}.git"),
                beads_prefix: "pa".into(),
                test_command: Some("make test".into()),
                agent: Some(AgentKind::Custom),
                agent_config: Some(AgentConfig {
                    command: vec!["./agent.sh".into()],
                    ..AgentConfig::default()
                }),
                settings: Some(RigSettings {
                    max_polecats: Some(1000),
                    ..RigSettings::default()
                }),
                ..RigSpec::default()
            };
            rigs.create(&PostParams::default(), &Rig::new(&format!("parts-{n}"), spec))
                .await?;
        }
        Ok(())
    }

    /// Creates so many, at once or so many a second.
    async fn sling(&self, prefix: &str, n: usize, rate: Option<usize>) -> anyhow::Result<()> {
        let polecats: Api<Polecat> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let (slots, began) = (Arc::new(Semaphore::new(16)), tokio::time::Instant::now());
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..n {
            if let Some(rate) = rate {
                let due = Duration::from_micros(u64::try_from(i * 1_000_000 / rate)?);
                tokio::time::sleep_until(began + due).await;
            }
            let spec = PolecatSpec {
                rig: format!("parts-{}", i % RIGS),
                desired_state: DesiredState::Working,
                bead_id: Some(format!("pa-{prefix}{i}")),
                task: Some(Task {
                    description: Some(
                        "Add a flag that prints the version, with a test, and say so in the README.".into(),
                    ),
                }),
                ..PolecatSpec::default()
            };
            let (polecats, slot) = (polecats.clone(), slots.clone().acquire_owned().await?);
            let polecat = Polecat::new(&format!("{prefix}{i}"), spec);
            tasks.spawn(async move {
                let made = polecats.create(&PostParams::default(), &polecat).await;
                drop(slot);
                made.map(drop)
            });
        }
        while let Some(made) = tasks.join_next().await {
            made??;
        }
        Ok(())
    }

    /// Deletes every polecat and pod and waits until they are gone.
    async fn clear(&self) -> anyhow::Result<()> {
        let polecats: Api<Polecat> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let pods: Api<Pod> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let deadline = Instant::now() + LONGEST;
        loop {
            let one = ListParams::default().limit(1);
            let left = !polecats.list(&one).await?.items.is_empty() || !pods.list(&one).await?.items.is_empty();
            if !left {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "polecats and pods are not gone");
            // A collection that lost a race against another deletion answers 409: it is asked again.
            let now = DeleteParams::default().grace_period(0);
            let _ = polecats
                .delete_collection(&DeleteParams::default(), &ListParams::default())
                .await;
            let _ = pods.delete_collection(&now, &ListParams::default()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What the operator's image says to the C library: so it is measured as it is shipped.
fn malloc(image: &str) -> Vec<(&str, &str)> {
    let words = image
        .lines()
        .filter_map(|l| l.strip_prefix("ENV "))
        .flat_map(str::split_whitespace);
    words
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| name.starts_with("MALLOC_"))
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// Whether /readyz says so.
async fn ready(at: &str) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(at).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
