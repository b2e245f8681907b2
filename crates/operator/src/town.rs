//! The loop that owns the world: facts in, actions out.

use crate::apply::{Applied, Applier};
use crate::health::Health;
use crate::lease::{self, LeaseSettings};
use crate::metrics::Metrics;
use crate::observe::{self, News, Scope};
use crate::render::PodUser;
use gastown_rules::{Action, Answer, Fact, Kind, RigKey, Town, World, decide};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tells the time. Injected, so that a test can stop it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the operator runs.
#[derive(Clone)]
pub struct Settings {
    /// What decisions depend on.
    pub town: Town,
    /// Leader election; none on one machine, where the store's lock already is one.
    pub lease: Option<LeaseSettings>,
    /// Which namespaces are served.
    pub scope: Scope,
    /// Whom pods run as where their rig does not say.
    pub pod_user: PodUser,
    /// The time.
    pub clock: Clock,
}

impl Settings {
    /// Settings of a town on the system's clock, without election.
    #[must_use]
    pub fn new(town: Town) -> Self {
        Self {
            town,
            lease: None,
            scope: Scope::default(),
            pod_user: PodUser::default(),
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// Adds and updates the definitions from a checkout, whoever wrote them before.
const APPLY: &str = "kubectl apply --server-side --force-conflicts -f charts/gastown-operator/files/crds/";

/// Why the operator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The six kinds are not (all) installed.
    #[error("{} are not served by this cluster: install the CRDs first: {APPLY}", Self::named(*kind))]
    MissingKind {
        /// Which.
        kind: Kind,
    },
    /// A kind is there, but of an older release: what it lacks would be dropped from what we write.
    #[error("CRD {name} is older than this operator: it lacks {lacks}. Update the CRDs: {APPLY}")]
    StaleKind {
        /// The definition's name.
        name: String,
        /// Fields and values.
        lacks: String,
    },
    /// We may not look.
    #[error(
        "{why}. The chart's RBAC has the right: helm upgrade --install it again with rbac.create=true; with listed namespaces, list each in watchNamespaces"
    )]
    Forbidden {
        /// The API server's words.
        why: String,
    },
    /// The API server could not be asked.
    #[error("the API server does not answer: {0}")]
    Unreachable(#[source] kube::Error),
}

/// Facts taken in one turn before deciding: bursts are decided once, and answers are never starved.
const BURST: usize = 2048;
/// Writes under way at once.
const CONCURRENT_WRITES: usize = 32;
/// What in-flight writes get at shutdown.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Runs until `shutdown`, then finishes the writes under way and gives up the lease.
///
/// # Errors
/// When the CRDs are missing or the API server does not answer at start.
pub async fn run(
    client: kube::Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: CancellationToken,
) -> Result<(), OperatorError> {
    observe::check_kinds(&client, &settings.scope).await?;
    let kinds = observe::watched(&settings.scope);
    let (news_out, news) = mpsc::channel(BURST * 2);
    let mut tasks = JoinSet::new();
    for watched in kinds.iter().cloned() {
        let kind = watched.kind;
        tasks.spawn(observe::follow(
            client.clone(),
            watched,
            news_out.clone(),
            metrics.clone(),
            shutdown.clone(),
        ));
        health.expect(kind);
    }
    drop(news_out);
    let leader = match &settings.lease {
        None => watch::channel(true).1,
        Some(lease) => {
            let (leader_out, leader) = watch::channel(false);
            tasks.spawn(lease::hold(
                client.clone(),
                lease.clone(),
                settings.clock.clone(),
                leader_out,
                shutdown.clone(),
            ));
            leader
        }
    };
    let (answers_out, answers) = mpsc::unbounded_channel();
    let applier = Applier::new(client, leader.clone(), metrics.clone(), &settings, CONCURRENT_WRITES);
    let turning = Turning {
        world: World::new(settings.town.clone()),
        dirty: BTreeSet::new(),
        wakes: BTreeMap::new(),
        unsynced: kinds.iter().map(|watched| watched.kind).collect(),
        applier,
        answers_out,
        clock: settings.clock.clone(),
        metrics,
        health,
        writes: JoinSet::new(),
    };
    turning.turn(news, answers, leader, shutdown).await;
    while tasks.join_next().await.is_some() {}
    Ok(())
}

struct Turning {
    world: World,
    dirty: BTreeSet<RigKey>,
    wakes: BTreeMap<RigKey, Timestamp>,
    unsynced: BTreeSet<Kind>,
    applier: Applier,
    answers_out: mpsc::UnboundedSender<Applied>,
    clock: Clock,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    writes: JoinSet<()>,
}

impl Turning {
    async fn turn(
        mut self,
        mut news: mpsc::Receiver<News>,
        mut answers: mpsc::UnboundedReceiver<Applied>,
        mut leader: watch::Receiver<bool>,
        shutdown: CancellationToken,
    ) {
        let mut was_leader = false;
        loop {
            let nap = self.nap();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(applied) = answers.recv() => self.hear(applied),
                Some(item) = news.recv() => self.take(item),
                changed = leader.changed(), if leader.has_changed().is_ok() => {
                    if changed.is_err() { break; }
                }
                () = tokio::time::sleep(nap) => {}
            }
            for _ in 0..BURST {
                if let Ok(applied) = answers.try_recv() {
                    self.hear(applied);
                } else if let Ok(item) = news.try_recv() {
                    self.take(item);
                } else {
                    break;
                }
            }
            while self.writes.try_join_next().is_some() {}
            self.health.turned();
            let leads = *leader.borrow_and_update();
            if leads && !was_leader {
                // What another leader decided is in the watches by now or will be: look at everything afresh.
                self.dirty = self.world.all();
            }
            was_leader = leads;
            self.metrics.leader(leads);
            if self.unsynced.is_empty() && leads {
                self.decide();
            }
        }
        let finish = async { while self.writes.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WRITES, finish).await.is_err() {
            tracing::warn!(
                "some writes did not finish before shutdown; the next leader learns them from the API server"
            );
        }
    }

    /// Until the next wake; a minute at most, so that health shows a living loop.
    fn nap(&self) -> Duration {
        let longest = Duration::from_secs(20);
        let now = (self.clock)();
        match self.wakes.values().min() {
            Some(at) if *at <= now => Duration::from_millis(1),
            Some(at) => Duration::try_from(at.duration_since(now))
                .unwrap_or(longest)
                .min(longest),
            None => longest,
        }
    }

    fn take(&mut self, item: News) {
        match item {
            News::Fact(fact) => {
                if let Fact::Malformed { key, why } = &*fact {
                    tracing::warn!(object = %key, why, "an object cannot be read and is left alone");
                }
                self.learn(*fact);
            }
            News::Synced(kind) => {
                self.health.synced(kind);
                if self.unsynced.remove(&kind) && self.unsynced.is_empty() {
                    tracing::info!("every kind is listed: deciding");
                    self.dirty = self.world.all();
                }
            }
        }
    }

    fn learn(&mut self, fact: Fact) {
        self.metrics.fact();
        let dirty = self.world.learn(fact);
        self.dirty.extend(dirty);
    }

    fn hear(&mut self, applied: Applied) {
        let Applied { action, outcome } = applied;
        let at = (self.clock)();
        self.learn(Fact::Answered(Answer { action, outcome, at }));
    }

    fn decide(&mut self) {
        let now = (self.clock)();
        let due: Vec<RigKey> = self
            .wakes
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(rig, _)| rig.clone())
            .collect();
        self.dirty.extend(due);
        if self.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.dirty);
        let started = std::time::Instant::now();
        let plan = decide(&self.world, &dirty, now);
        self.metrics.decided(dirty.len(), started.elapsed(), &self.world);
        for rig in &dirty {
            self.wakes.remove(rig);
        }
        self.wakes.extend(plan.wakes);
        for action in plan.actions {
            self.start(action);
        }
    }

    fn start(&mut self, action: Action) {
        let because = action.because();
        tracing::info!(object = %action.key(), act = crate::apply::verb(&action), code = because.code, why = %because.message);
        self.learn(Fact::Asked(action.clone()));
        let (applier, out) = (self.applier.clone(), self.answers_out.clone());
        self.writes.spawn(async move {
            let applied = applier.apply(action).await;
            // The loop ends first only at shutdown: then nobody needs the answer.
            let _ = out.send(applied);
        });
    }
}
