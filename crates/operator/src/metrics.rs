//! Metrics: the predecessor's names where they mean something, plus what somebody on call needs.
//! Labelled by controller, kind, rig and outcome; never by an object's name.

use gastown_rules::{Kind, Outcome, World};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByResult {
    controller: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByError {
    controller: String,
    error_type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByPhase {
    phase: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRigPhase {
    rig: String,
    phase: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRig {
    rig: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRigResult {
    rig: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWrite {
    verb: String,
    kind: String,
    outcome: String,
}

/// Every metric of the operator. Counters of merges are read from Refinery status, so that a restart forgets nothing.
pub struct Metrics {
    registry: Registry,
    decide_seconds: Histogram,
    reconciles: Family<ByResult, Counter>,
    errors: Family<ByError, Counter>,
    rig_phases: Family<ByPhase, Gauge>,
    polecat_phases: Family<ByRigPhase, Gauge>,
    convoy_phases: Family<ByPhase, Gauge>,
    merges: Family<ByRigResult, Gauge<u64, AtomicU64>>,
    queue_length: Family<ByRig, Gauge>,
    test_runs: Family<ByRig, Gauge>,
    writes: Family<ByWrite, Counter>,
    watch_events: Family<ByKind, Counter>,
    watch_breaks: Family<ByKind, Counter>,
    facts: Counter,
    events_dropped: Counter,
    leader: Gauge,
    dirty: Gauge,
    live_pods: Gauge,
    malformed: Gauge,
    refreshed: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gastown"),
            decide_seconds: Histogram::new(exponential_buckets(0.000_05, 3.0, 10)),
            reconciles: Family::default(),
            errors: Family::default(),
            rig_phases: Family::default(),
            polecat_phases: Family::default(),
            convoy_phases: Family::default(),
            merges: Family::default(),
            queue_length: Family::default(),
            test_runs: Family::default(),
            writes: Family::default(),
            watch_events: Family::default(),
            watch_breaks: Family::default(),
            facts: Counter::default(),
            events_dropped: Counter::default(),
            leader: Gauge::default(),
            dirty: Gauge::default(),
            live_pods: Gauge::default(),
            malformed: Gauge::default(),
            refreshed: AtomicU64::new(0),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "reconcile_duration_seconds",
            "Time one decision over the dirty rigs took",
            self.decide_seconds.clone(),
        );
        r.register(
            "reconcile",
            "Writes by kind and result, under the predecessor's name",
            self.reconciles.clone(),
        );
        r.register(
            "reconcile_errors",
            "Writes refused, by kind and error",
            self.errors.clone(),
        );
        r.register("rig_phase_total", "Rigs by phase", self.rig_phases.clone());
        r.register(
            "polecat_phase_total",
            "Polecats by rig and phase",
            self.polecat_phases.clone(),
        );
        r.register("convoy_phase_total", "Convoys by phase", self.convoy_phases.clone());
        r.register(
            "refinery_merge_total",
            "Changes landed and sent back, by rig",
            self.merges.clone(),
        );
        r.register(
            "refinery_queue_length",
            "Changes waiting to land, by rig",
            self.queue_length.clone(),
        );
        r.register("refinery_test_runs", "Test runs spent, by rig", self.test_runs.clone());
        r.register("writes", "API writes by verb, kind and outcome", self.writes.clone());
        r.register("watch_events", "Watch events by kind", self.watch_events.clone());
        r.register("watch_breaks", "Watches that broke, by kind", self.watch_breaks.clone());
        r.register("facts", "Facts learned", self.facts.clone());
        r.register(
            "events_dropped",
            "Events that were not told: too many at once, or refused",
            self.events_dropped.clone(),
        );
        r.register("leader", "1 where this process decides", self.leader.clone());
        r.register("dirty_rigs", "Rigs looked at in the last decision", self.dirty.clone());
        r.register("live_pods", "Pods of ours that may still run", self.live_pods.clone());
        r.register(
            "malformed_objects",
            "Objects that cannot be read and are left alone",
            self.malformed.clone(),
        );
    }

    /// OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn fact(&self) {
        self.facts.inc();
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    pub(crate) fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(crate) fn watch_event(&self, kind: Kind) {
        self.watch_events
            .get_or_create(&ByKind {
                kind: format!("{kind:?}"),
            })
            .inc();
    }

    pub(crate) fn watch_broken(&self, kind: Kind) {
        self.watch_breaks
            .get_or_create(&ByKind {
                kind: format!("{kind:?}"),
            })
            .inc();
    }

    pub(crate) fn write(&self, verb: &str, kind: Kind, outcome: &Outcome) {
        let (name, error) = match outcome {
            Outcome::Done { .. } => ("done", None),
            Outcome::Exists { .. } => ("exists", None),
            Outcome::Stale => ("stale", None),
            Outcome::Gone => ("gone", None),
            Outcome::Denied { .. } => ("denied", Some("denied")),
            Outcome::Unknown => ("unknown", Some("unknown")),
            Outcome::Later { .. } => ("later", Some("throttled")),
        };
        let controller = format!("{kind:?}").to_lowercase();
        let result = if error.is_some() { "error" } else { "success" };
        self.writes
            .get_or_create(&ByWrite {
                verb: verb.into(),
                kind: controller.clone(),
                outcome: name.into(),
            })
            .inc();
        self.reconciles
            .get_or_create(&ByResult {
                controller: controller.clone(),
                result: result.into(),
            })
            .inc();
        if let Some(error_type) = error {
            self.errors
                .get_or_create(&ByError {
                    controller,
                    error_type: error_type.into(),
                })
                .inc();
        }
    }

    /// A decision was made. The sums over the world are taken at most once a second: they cost a walk.
    pub(crate) fn decided(&self, dirty: usize, took: Duration, world: &World) {
        self.decide_seconds.observe(took.as_secs_f64());
        self.dirty.set(i64::try_from(dirty).unwrap_or(i64::MAX));
        let second = jiff::Timestamp::now().as_second().unsigned_abs();
        if self.refreshed.swap(second, Ordering::Relaxed) != second {
            self.refresh(world);
        }
    }

    fn refresh(&self, world: &World) {
        self.live_pods
            .set(count(world.pods().values().filter(|p| p.live()).count()));
        self.malformed.set(count(world.malformed.len()));
        let mut phases: BTreeMap<String, usize> = BTreeMap::new();
        for rig in world.rigs.values() {
            *phases.entry(format!("{:?}", rig.status.phase)).or_default() += 1;
        }
        self.rig_phases.clear();
        for (phase, n) in phases {
            self.rig_phases.get_or_create(&ByPhase { phase }).set(count(n));
        }
        let mut phases: BTreeMap<(String, String), usize> = BTreeMap::new();
        for polecat in world.polecats().values() {
            *phases
                .entry((polecat.spec.rig.clone(), format!("{:?}", polecat.status.phase)))
                .or_default() += 1;
        }
        self.polecat_phases.clear();
        for ((rig, phase), n) in phases {
            self.polecat_phases
                .get_or_create(&ByRigPhase { rig, phase })
                .set(count(n));
        }
        let mut phases: BTreeMap<String, usize> = BTreeMap::new();
        for convoy in world.convoys.values() {
            *phases.entry(format!("{:?}", convoy.status.phase)).or_default() += 1;
        }
        self.convoy_phases.clear();
        for (phase, n) in phases {
            self.convoy_phases.get_or_create(&ByPhase { phase }).set(count(n));
        }
        self.queue_length.clear();
        for refinery in world.refineries.values() {
            let rig = refinery.spec.rig_ref.clone();
            let status = &refinery.status;
            self.queue_length
                .get_or_create(&ByRig { rig: rig.clone() })
                .set(i64::from(status.queue_length));
            self.test_runs
                .get_or_create(&ByRig { rig: rig.clone() })
                .set(status.test_runs);
            for (result, n) in [
                ("success", status.merges_summary.as_ref().map_or(0, |s| s.succeeded)),
                ("failure", status.merges_summary.as_ref().map_or(0, |s| s.failed)),
            ] {
                let label = ByRigResult {
                    rig: rig.clone(),
                    result: result.into(),
                };
                self.merges
                    .get_or_create(&label)
                    .set(u64::try_from(n).unwrap_or_default());
            }
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_rules::{Fact, Seen};
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    fn row<S: DeserializeOwned, T: DeserializeOwned + Default>(kind: Kind) -> gastown_rules::Row<S, T> {
        crate::observe::row(kind)
    }

    /// One of each kind that is counted: a family without a member is not printed.
    fn populated() -> World {
        let mut world = World::default();
        world.learn(Fact::Seen(Seen::Rig(Box::new(row(Kind::Rig)))));
        world.learn(Fact::Seen(Seen::Polecat(Box::new(row(Kind::Polecat)))));
        world.learn(Fact::Seen(Seen::Convoy(Box::new(row(Kind::Convoy)))));
        world.learn(Fact::Seen(Seen::Refinery(Box::new(row(Kind::Refinery)))));
        world
    }

    #[test]
    fn the_names_people_alert_on_are_these() {
        let metrics = Metrics::new();
        metrics.write("create", Kind::Pod, &Outcome::Denied { why: String::new() });
        metrics.watch_event(Kind::Pod);
        metrics.watch_broken(Kind::Pod);
        metrics.refresh(&populated());
        let names: Vec<String> = metrics
            .text()
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE ").map(str::to_owned))
            .collect();
        insta::assert_snapshot!(names.join("\n"));
    }

    #[test]
    fn the_documents_name_these_metrics_and_no_other() {
        let metrics = Metrics::new();
        metrics.write("create", Kind::Pod, &Outcome::Denied { why: String::new() });
        metrics.watch_event(Kind::Pod);
        metrics.watch_broken(Kind::Pod);
        metrics.refresh(&populated());
        let text = metrics.text();
        // As they are scraped: a counter's sample has a name of its own.
        let there: BTreeSet<String> = text
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                _ => name.to_owned(),
            })
            .collect();
        let page = include_str!("../../../docs/OPERATIONS.md");
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let named: BTreeSet<String> = page
            .split(|c| !is_name(c))
            .filter(|w| w.starts_with("gastown_"))
            .map(|w| w.strip_suffix("_bucket").unwrap_or(w).to_owned())
            .collect();
        assert_eq!(there, named);
    }
}
