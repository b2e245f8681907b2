//! Very many live polecats: memory, silence, a list, a start.

use super::{Bench, LONGEST, RIGS, TOWN, count};
use crate::bench::cli;
use crate::bench::process::Process;
use crate::bench::table::{Row, Table};
use gastown_api::{DesiredState, Polecat, PolecatSpec, Rig, RigSpec, Task, Witness};
use gastown_bench::audit::Entry;
use kube::api::{Api, ListParams, PostParams};
use std::time::{Duration, Instant};

impl Bench<'_> {
    /// Many live polecats: memory, silence, the CLI's list, and a start among them.
    pub(super) async fn memory(&mut self, table: &mut Table) -> anyhow::Result<()> {
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
        self.counted(n).await?;
        self.quiet(table, &operator).await?;
        cli::list(self.options, &self.cluster.dir.join("kubeconfig"), n, table).await?;
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

    /// Witnesses count in intervals: the last thing that is written of a crowd is its size.
    async fn counted(&self, n: usize) -> anyhow::Result<()> {
        let witnesses: Api<Witness> = Api::namespaced(self.cluster.admin.clone(), TOWN);
        let each = i32::try_from(n / RIGS)?;
        let deadline = Instant::now() + LONGEST;
        loop {
            let all = witnesses.list(&ListParams::default()).await?;
            let counts = |w: &Witness| w.status.as_ref()?.polecats_summary.as_ref().map(|s| s.running);
            if all.items.iter().all(|w| counts(w) == Some(each)) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the Witnesses do not count {each} each");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
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
