//! Whole lives: what a polecat and a merge batch cost.

use super::{Bench, LONGEST, RIGS, TOWN, count};
use crate::bench::observer::{between, percentile};
use crate::bench::table::{Row, Table, short};
use anyhow::Context;
use gastown_bench::audit::Entry;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::Value;
use std::time::{Duration, Instant};

impl Bench<'_> {
    /// Happy polecats, from created to deleted: writes, processor time, and what else a whole life shows.
    pub(super) async fn lives(&mut self, table: &mut Table) -> anyhow::Result<()> {
        eprintln!("lives: {} polecats from created to merged", self.scale.lives);
        let operator = self.operator().await?;
        let kubelet = self.kubelet(Some(Duration::from_secs(4)))?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        table.add(Row::new("operator memory, idle", "MiB", operator.resident()?).at_most(20.0));
        let (cpu, began) = (operator.cpu()?, Instant::now());
        self.log.since("operator")?;
        let n = self.scale.lives;
        // Beside it: the first pod may be gone by the time the last is asked for.
        tokio::try_join!(self.sling("life-", n, None), self.save_pattern("polecat-life-0"))?;
        self.observer
            .until("life-", n, "merged and swept", LONGEST, |c| {
                c.merged.is_some() && c.pod_gone
            })
            .await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let spent = operator.cpu()?.saturating_sub(cpu);
        let (entries, took) = (self.log.since("operator")?, began.elapsed());
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
        let parts = format!("{} status, {} pod", short(polecats / n), short(pods / n));
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
        for (whose, sums) in [("Rig", "rigs/status"), ("Witness", "witnesses/status")] {
            let rate = of(sums, "") / count(RIGS) / took.as_secs_f64();
            table.add(Row::new(format!("writes of a {whose}'s sums a second"), "", rate).at_most(1.0));
        }
        let refused = entries.iter().filter(|e| e.code >= 400).count();
        table.add(Row::new("calls refused (409, 404, 429)", "", count(refused)));
        table.calls = gastown_bench::audit::tally(entries)
            .into_iter()
            .map(|(call, times)| (call.to_string(), times))
            .collect();
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
}
