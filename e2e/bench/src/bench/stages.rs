//! The stages, in the order that lets each use what the one before left.

use super::cluster::{Cluster, TOWN};
use super::observer::{Course, Observer, between, percentile};
use super::process::Process;
use super::table::{Row, Table};
use super::{Options, Scale, cli};
use anyhow::Context;
use gastown_api::{AgentConfig, AgentKind, DesiredState, Polecat, PolecatSpec, Rig, RigSettings, RigSpec, Task};
use gastown_bench::audit::{Entry, Log};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::Value;
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
            &[("KUBECONFIG", &config.to_string_lossy())],
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

    /// Happy polecats, from created to deleted: writes, processor time, and what else a whole life shows.
    async fn lives(&mut self, table: &mut Table) -> anyhow::Result<()> {
        eprintln!("lives: {} polecats from created to merged", self.scale.lives);
        let operator = self.operator().await?;
        let kubelet = self.kubelet(Some(Duration::from_secs(4)))?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        table.add(Row::new("operator memory, idle", "MiB", operator.resident()?).at_most(20.0));
        let (cpu, began) = (operator.cpu()?, Instant::now());
        self.log.since("operator")?;
        let n = self.scale.lives;
        self.sling("life-", n, None).await?;
        self.save_pattern("polecat-life-0").await?;
        self.observer
            .until("life-", n, "merged and swept", LONGEST, |c| {
                c.merged.is_some() && c.pod_gone
            })
            .await?;
        let took = began.elapsed();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let spent = operator.cpu()?.saturating_sub(cpu);
        let entries = self.log.since("operator")?;
        self.writes(table, &entries, took);
        let each = spent.as_secs_f64() * 1000.0 / count(n);
        table.add(Row::new("processor time a polecat, created to merged", "ms", each));
        let mut done = between(&self.observer.courses("life-"), |c| c.ended, |c| c.done);
        let p99 = percentile(&mut done, 0.99);
        table.add(Row::new("courier exit → Done, p99, burst", "ms", p99).at_most(1000.0));
        operator.end().await?;
        kubelet.end().await?;
        self.clear().await
    }

    /// What a polecat and a merge batch cost, by verb and resource.
    fn writes(&self, table: &mut Table, entries: &[Entry], took: Duration) {
        let n = count(self.scale.lives);
        let writes: Vec<&Entry> = entries.iter().filter(|e| e.call.writes() && e.code < 400).collect();
        let of = |resource: &str, part: &str| {
            let ours = |e: &&&Entry| e.call.resource == resource && e.name.contains(part);
            count(writes.iter().filter(ours).count())
        };
        let polecats = of("polecats/status", "") + of("polecats", "");
        let pods = of("pods", "polecat-life-");
        let each = (polecats + pods) / n;
        let parts = format!(
            "{} status, {} pod",
            super::table::short(polecats / n),
            super::table::short(pods / n)
        );
        table.add(Row::new("writes a happy polecat", "", each).at_most(6.0).note(parts));
        table.add(Row::new("events a happy polecat", "", of("events", "life-") / n).at_most(3.0));
        // A candidate's pod is made once a batch, and again for each part of a search; these are all green.
        let batches = writes
            .iter()
            .filter(|e| e.call.resource == "pods" && e.call.verb == "create" && e.name.starts_with("land-"))
            .count();
        let queue = of("refineries/status", "") + of("pods", "test-") + of("pods", "land-");
        let note = format!("{batches} batches");
        table.add(
            Row::new("writes a merge batch", "", queue / count(batches))
                .at_most(10.0)
                .note(note),
        );
        let sums = of("rigs/status", "") + of("witnesses/status", "");
        let rate = sums / count(RIGS) / took.as_secs_f64();
        table.add(
            Row::new("writes of sums, a rig and second", "", rate)
                .at_most(2.0)
                .note("Rig and Witness, each ≤ 1"),
        );
        let refused = entries.iter().filter(|e| e.code >= 400).count();
        table.add(Row::new("calls refused (409, 404, 429)", "", count(refused)));
        for (call, times) in gastown_bench::audit::tally(entries) {
            eprintln!("    {times:>6}  {call}");
        }
    }

    /// The pod the floor's are made like.
    async fn save_pattern(&self, name: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let deadline = Instant::now() + LONGEST;
        let pod = loop {
            if let Some(pod) = pods.get_opt(name).await? {
                break pod;
            }
            anyhow::ensure!(Instant::now() < deadline, "no pod {name}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut pod = serde_json::to_value(pod)?;
        if let Some(map) = pod.as_object_mut() {
            map.remove("status");
            map.insert("apiVersion".into(), "v1".into());
            map.insert("kind".into(), "Pod".into());
        }
        // What a server adds by itself it may add again.
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            for added in [
                "serviceAccountName",
                "serviceAccount",
                "tolerations",
                "preemptionPolicy",
                "priority",
            ] {
                spec.remove(added);
            }
        }
        std::fs::write(&self.pattern, serde_json::to_vec(&pod)?).context("writing the pattern")
    }

    /// As many polecats as can be created, until the last pod runs.
    async fn throughput(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let (n, mut floors, mut ours) = (self.scale.burst, Vec::new(), Vec::new());
        eprintln!(
            "throughput: {} rounds of {n}, floor and operator by turns",
            self.scale.rounds
        );
        for round in 0..self.scale.rounds {
            for (whose, rates) in [("floor", &mut floors), ("operator", &mut ours)] {
                let actor = if whose == "floor" {
                    self.floor()?
                } else {
                    self.operator().await?
                };
                let kubelet = self.kubelet(None)?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                let prefix = format!("burst-{whose}-{round}-");
                let began = Instant::now();
                self.sling(&prefix, n, None).await?;
                self.observer
                    .until(&prefix, n, "running", LONGEST, |c| c.running.is_some())
                    .await?;
                let rate = count(n) / began.elapsed().as_secs_f64();
                eprintln!("    {whose} {round}: {rate:.0}/s");
                rates.push(rate);
                // What it owes each polecat it still does before the next round begins.
                self.observer
                    .until(&prefix, n, "told Working", LONGEST, |c| c.told.is_some())
                    .await?;
                actor.end().await?;
                kubelet.end().await?;
                self.clear().await?;
            }
        }
        let rate = Row::new("polecats to running pods", "/s", percentile(&mut ours, 0.5));
        table.add(rate.floor(percentile(&mut floors, 0.5)).ratio_at_least(0.8));
        Ok(())
    }

    /// A steady stream: how late each pod is, and how soon its end is told.
    async fn steady(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let (n, rate) = (self.scale.steady, self.scale.rate);
        eprintln!(
            "steady: {} rounds of {n} at {rate}/s, floor and operator by turns",
            self.scale.rounds
        );
        let (mut floors, mut ours): (Vec<Course>, Vec<Course>) = Default::default();
        for round in 0..self.scale.rounds {
            for (whose, courses) in [("floor", &mut floors), ("operator", &mut ours)] {
                let actor = if whose == "floor" {
                    self.floor()?
                } else {
                    self.operator().await?
                };
                let kubelet = self.kubelet(Some(Duration::from_secs(3)))?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                let prefix = format!("steady-{whose}-{round}-");
                self.sling(&prefix, n, Some(rate)).await?;
                self.observer
                    .until(&prefix, n, "ended", LONGEST, |c| c.ended.is_some())
                    .await?;
                if whose == "operator" {
                    self.observer
                        .until(&prefix, n, "Done", LONGEST, |c| c.done.is_some())
                        .await?;
                }
                courses.extend(self.observer.courses(&prefix));
                actor.end().await?;
                kubelet.end().await?;
                self.clear().await?;
            }
        }
        let made = |all: &[Course]| between(all, |c| c.created, |c| c.pod);
        let (mut floor, mut own) = (made(&floors), made(&ours));
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            let (own, floor) = (percentile(&mut own, part), percentile(&mut floor, part));
            let row = Row::new(format!("created → pod created, {name}, {rate}/s"), "ms", own).floor(floor);
            if part > 0.9 {
                table.add(row);
                table.add(Row::new("… its p99 minus the floor's", "ms", own - floor).at_most(50.0));
            } else {
                table.add(row);
            }
        }
        let mut done = between(&ours, |c| c.ended, |c| c.done);
        table.add(Row::new(
            format!("courier exit → Done, p50, {rate}/s"),
            "ms",
            percentile(&mut done, 0.5),
        ));
        let p99 = percentile(&mut done, 0.99);
        table.add(Row::new(format!("courier exit → Done, p99, {rate}/s"), "ms", p99).at_most(1000.0));
        Ok(())
    }

    /// Many live polecats: memory, silence, the CLI's list, and a start among them.
    async fn memory(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let operator = self.operator().await?;
        let kubelet = self.kubelet(None)?;
        let n = self.scale.live;
        eprintln!("memory: {n} live polecats");
        self.sling("live-", n, None).await?;
        self.observer
            .until("live-", n, "told Working", LONGEST, |c| c.told.is_some())
            .await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let row = Row::new(
            format!("operator memory, {n} live polecats"),
            "MiB",
            operator.resident()?,
        );
        table.add(row.at_most(30.0));
        self.quiet(table, &operator).await?;
        cli::list(self.options, &self.cluster.dir.join("kubeconfig"), n, table)?;
        let operator = match self.scale.large {
            None => operator,
            Some(large) => {
                eprintln!("memory: {large} live polecats");
                self.sling("more-", large - n, None).await?;
                self.observer
                    .until("more-", large - n, "told Working", LONGEST, |c| c.told.is_some())
                    .await?;
                tokio::time::sleep(Duration::from_secs(5)).await;
                let row = Row::new(
                    format!("operator memory, {large} live polecats"),
                    "MiB",
                    operator.resident()?,
                );
                table.add(row.at_most(100.0));
                operator.end().await?;
                self.start_among(table, large).await?
            }
        };
        operator.end().await?;
        kubelet.end().await
    }

    /// Nothing happens, so nothing is written.
    async fn quiet(&mut self, table: &mut Table, operator: &Process) -> anyhow::Result<()> {
        self.log.since("operator")?;
        let cpu = operator.cpu()?;
        tokio::time::sleep(Duration::from_secs(self.scale.quiet)).await;
        let entries = self.log.since("operator")?;
        let busy: Vec<&Entry> = entries
            .iter()
            .filter(|e| e.call.writes() && e.call.resource != "leases")
            .collect();
        for entry in busy.iter().take(10) {
            eprintln!("    {} {}", entry.call, entry.name);
        }
        let what = format!(
            "writes in {} quiet seconds with {} polecats",
            self.scale.quiet, self.scale.live
        );
        table.add(Row::new(what, "", count(busy.len())).at_most(0.0));
        let share = (operator.cpu()?.saturating_sub(cpu)).as_secs_f64() / count(usize::try_from(self.scale.quiet)?);
        table.add(Row::new("processor at rest", "% of a core", share * 100.0));
        Ok(())
    }

    /// From a process that starts to a decision about a polecat that waits: the last of very many.
    async fn start_among(&mut self, table: &mut Table, large: usize) -> anyhow::Result<Process> {
        // The rigs are full: one more rig, with room.
        let rigs: Api<Rig> = Api::all(self.cluster.admin.clone());
        let mut rig = rigs.get("parts-0").await?;
        rig = Rig::new(
            "parts-x",
            RigSpec {
                git_url: "https://example.com/bench/parts-x.git".into(),
                ..rig.spec
            },
        );
        rigs.create(&PostParams::default(), &rig).await?;
        let polecats: Api<Polecat> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let spec = PolecatSpec {
            rig: "parts-x".into(),
            desired_state: DesiredState::Working,
            task: Some(Task {
                description: Some("The first decision.".into()),
            }),
            ..PolecatSpec::default()
        };
        polecats
            .create(&PostParams::default(), &Polecat::new("first-decision", spec))
            .await?;
        let began = Instant::now();
        let operator = self.operator().await?;
        self.observer
            .until("first-decision", 1, "housed", LONGEST, |c| c.pod.is_some())
            .await?;
        let took = began.elapsed().as_secs_f64();
        let row = Row::new(
            format!("start with {large} polecats to the first pod it decides"),
            "s",
            took,
        );
        table.add(row.at_most(5.0));
        table.add(Row::new(
            format!("operator memory after that start, {large} polecats"),
            "MiB",
            operator.resident()?,
        ));
        Ok(operator)
    }
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
