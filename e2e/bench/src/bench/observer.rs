//! When things became visible: one watch over polecats and one over pods, the same for floor and operator.

use gastown_bench::follow::{Change, Revised, follow};
use gastown_bench::pod::{Meta, Pod};
use kube::{Client, Resource};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Deserialize)]
struct Polecat {
    metadata: Meta,
    #[serde(default)]
    status: PolecatStatus,
}

impl Revised for Polecat {
    fn revision(&self) -> &str {
        &self.metadata.resource_version
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PolecatStatus {
    phase: String,
    pod_active: bool,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
}

/// What was seen of one polecat, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    pub(crate) created: Option<Instant>,
    pub(crate) pod: Option<Instant>,
    pub(crate) running: Option<Instant>,
    pub(crate) told: Option<Instant>,
    pub(crate) ended: Option<Instant>,
    pub(crate) done: Option<Instant>,
    pub(crate) merged: Option<Instant>,
    pub(crate) gone: bool,
    pub(crate) pod_gone: bool,
}

/// Watches until it is dropped.
#[derive(Clone)]
pub(crate) struct Observer {
    seen: Arc<Mutex<HashMap<String, Course>>>,
}

impl Observer {
    pub(crate) fn start(client: &Client) -> Self {
        let observer = Self { seen: Arc::default() };
        let mut polecats = follow::<Polecat>(client.clone(), gastown_api::Polecat::url_path(&(), None), None);
        let of_polecats = observer.clone();
        tokio::spawn(async move {
            while let Some((change, polecat)) = polecats.recv().await {
                of_polecats.polecat(change, &polecat);
            }
        });
        let path = k8s_openapi::api::core::v1::Pod::url_path(&(), None);
        let labels = format!("{}=polecat", gastown_api::labels::ROLE);
        let mut pods = follow::<Pod>(client.clone(), path, Some(labels));
        let of_pods = observer.clone();
        tokio::spawn(async move {
            while let Some((change, pod)) = pods.recv().await {
                of_pods.pod(change, &pod);
            }
        });
        observer
    }

    fn polecat(&self, change: Change, polecat: &Polecat) {
        let now = Instant::now();
        self.with(&polecat.metadata.name, |c| {
            c.created.get_or_insert(now);
            c.gone = change == Change::Gone;
            if polecat.status.pod_active {
                c.told.get_or_insert(now);
            }
            if polecat.status.phase == "Done" {
                c.done.get_or_insert(now);
            }
            let merged = |k: &Condition| k.r#type == "Merged" && k.status == "True";
            if polecat.status.conditions.iter().any(merged) {
                c.merged.get_or_insert(now);
            }
        });
    }

    fn pod(&self, change: Change, pod: &Pod) {
        let now = Instant::now();
        let Some(polecat) = pod.metadata.labels.get(gastown_api::labels::POLECAT) else {
            return;
        };
        self.with(polecat, |c| {
            c.pod.get_or_insert(now);
            c.pod_gone = change == Change::Gone;
            match pod.status.phase.as_str() {
                "Running" => drop(c.running.get_or_insert(now)),
                "Succeeded" => drop(c.ended.get_or_insert(now)),
                _ => {}
            }
        });
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Course)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        change(seen.entry(name.to_owned()).or_default());
    }

    /// What was seen of the polecats whose names begin so.
    pub(crate) fn courses(&self, prefix: &str) -> Vec<Course> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = seen.iter().filter(|(name, _)| name.starts_with(prefix));
        ours.map(|(_, c)| c.clone()).collect()
    }

    /// Waits until it holds for so many.
    pub(crate) async fn until(
        &self,
        prefix: &str,
        n: usize,
        what: &str,
        longest: Duration,
        holds: impl Fn(&Course) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + longest;
        loop {
            let held = self.courses(prefix).iter().filter(|c| holds(c)).count();
            if held >= n {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{held} of {n} {prefix} {what} after {longest:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A part of sorted milliseconds.
pub(crate) fn percentile(all: &mut [f64], part: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((all.len() as f64 - 1.0) * part).round().max(0.0) as usize;
    all.get(at).copied().unwrap_or(f64::NAN)
}

/// Milliseconds between two sights, of all that have both.
pub(crate) fn between(
    all: &[Course],
    from: impl Fn(&Course) -> Option<Instant>,
    to: impl Fn(&Course) -> Option<Instant>,
) -> Vec<f64> {
    let gap = |c: &Course| Some((from(c)?, to(c)?));
    let all = all.iter().filter_map(gap);
    // The two watches are two connections: what overtook its cause took no time.
    all.map(|(a, b)| b.saturating_duration_since(a).as_secs_f64() * 1000.0)
        .collect()
}
