//! As many as there can be, and a steady stream: operator and floor by turns.

use super::{Bench, LONGEST, count};
use crate::bench::observer::{Course, between, percentile};
use crate::bench::table::{Row, Table};
use std::time::{Duration, Instant};

impl Bench<'_> {
    /// As many polecats as can be created, until the last pod runs.
    pub(super) async fn throughput(&mut self, table: &mut Table) -> anyhow::Result<()> {
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

    /// Steady streams: of the budget's rate, a quarter and a tenth of it. Where one is more than the machine can do, floor and
    /// operator alike fall behind, and what they are late by says how long the stream was; the slowest is what a small machine
    /// holds with a control plane on it. The audit log says which it was.
    pub(super) async fn steady(&mut self, table: &mut Table) -> anyhow::Result<()> {
        let (n, rate) = (self.scale.steady, self.scale.rate);
        for share in [1, 4, 10] {
            self.stream(n / share, rate / share, table).await?;
        }
        Ok(())
    }

    /// A steady stream: how late each pod is, and how soon its end is told.
    async fn stream(&mut self, n: usize, rate: usize, table: &mut Table) -> anyhow::Result<()> {
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
                let prefix = format!("steady{rate}-{whose}-{round}-");
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
            table.add(Row::new(format!("created → pod created, {name}, {rate}/s"), "ms", own).floor(floor));
            if part > 0.9 {
                table.add(Row::new("… its p99 minus the floor's", "ms", own - floor).at_most(50.0));
            }
        }
        let mut done = between(&ours, |c| c.ended, |c| c.done);
        let p50 = percentile(&mut done, 0.5);
        table.add(Row::new(format!("courier exit → Done, p50, {rate}/s"), "ms", p50));
        let p99 = percentile(&mut done, 0.99);
        table.add(Row::new(format!("courier exit → Done, p99, {rate}/s"), "ms", p99).at_most(1000.0));
        Ok(())
    }
}
