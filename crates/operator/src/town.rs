//! The loop that owns the world: facts in, actions out.

use crate::apply::{Applied, Applier, Slots, tell};
use crate::health::Health;
use crate::lease::{self, LeaseSettings};
use crate::metrics::Metrics;
use crate::observe::{self, News, Scope};
use crate::render::PodUser;
use crate::room::Begun;
use gastown_rules::{Action, Answer, Fact, Kind, RigKey, Town, World, decide};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
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
    /// A watch that says nothing for this long, not even a bookmark, is taken for dead.
    pub watch_silence: Duration,
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
            // Servers send a bookmark each minute.
            watch_silence: Duration::from_secs(90),
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
    /// The API server answered, and not with what it serves.
    #[error("the API server refuses to say what it serves: {0}")]
    Unreachable(String),
}

/// Facts taken in one turn before deciding: bursts are decided once, and answers are never starved.
const BURST: usize = 2048;
/// Writes under way at once, and how many of them may only tell people: a pod never queues behind a burst of news.
const CONCURRENT_WRITES: usize = 32;
const CONCURRENT_NEWS: usize = 4;
/// A decision walks the world: after one, the loop gathers facts for this many times as long, so that in a large town
/// a burst is decided a few times and not once a fact.
const BREATHS: u32 = 4;
/// Longest breath, and the shortest decision worth one.
const LONGEST_BREATH: Duration = Duration::from_millis(50);
const CHEAP: Duration = Duration::from_micros(250);
/// What in-flight writes get at shutdown: their own deadline, so that each is answered.
const LAST_WRITES: Duration = Duration::from_secs(11);
/// What events that wait to be told get after that.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Runs until `shutdown`, then finishes the writes under way and, after that, gives up the lease. At most 20 seconds.
///
/// # Errors
/// When the CRDs are missing or the API server refuses to be asked.
pub async fn run(
    client: kube::Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: CancellationToken,
) -> Result<(), OperatorError> {
    let watched = observe::watched(&settings.scope);
    let unsynced: BTreeSet<Kind> = watched.iter().map(|w| w.kind).collect();
    for kind in &unsynced {
        // From the first breath on: who waits for the API server is not ready.
        health.expect(*kind);
    }
    tokio::select! {
        served = observe::check_kinds(&client, &settings.scope, &health) => served?,
        () = shutdown.cancelled() => return Ok(()),
    }
    let (news_out, news) = mpsc::channel(BURST);
    let mut tasks = JoinSet::new();
    for watched in watched {
        let (client, out) = (client.clone(), news_out.clone());
        tasks.spawn(observe::follow(
            client,
            watched,
            out,
            metrics.clone(),
            settings.watch_silence,
            shutdown.clone(),
        ));
    }
    drop(news_out);
    let drained = CancellationToken::new();
    let leader = match &settings.lease {
        None => watch::channel(true).1,
        Some(lease) => {
            let (leader_out, leader) = watch::channel(false);
            let (client, clock) = (client.clone(), settings.clock.clone());
            tasks.spawn(lease::hold(client, lease.clone(), clock, leader_out, drained.clone()));
            leader
        }
    };
    let (answers_out, answers) = mpsc::unbounded_channel();
    let slots = Slots::new(CONCURRENT_WRITES, CONCURRENT_NEWS);
    let (teller, mut told) = tell(&client, &metrics, &slots);
    let applier = Applier::new(
        client,
        leader.clone(),
        metrics.clone(),
        teller,
        &settings,
        slots,
        shutdown.clone(),
    );
    let turning = Turning {
        world: World::new(Town {
            every_namespace: settings.scope == Scope::Cluster,
            ..settings.town.clone()
        }),
        dirty: BTreeSet::new(),
        wakes: BTreeMap::new(),
        unsynced,
        applier,
        answers_out,
        clock: settings.clock.clone(),
        metrics,
        health,
        writes: JoinSet::new(),
        begun: Begun::default(),
        held: BTreeSet::new(),
        breath: Instant::now(),
        last: RigKey::default(),
    };
    turning.turn(news, answers, leader, shutdown).await;
    // The last teller went with the loop: what waits is told, then the voices end.
    let last = async { while told.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_EVENTS, last).await.is_err() {
        tracing::warn!("some events were not told before shutdown; conditions say the same");
    }
    drained.cancel();
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
    begun: Begun,
    /// Rigs of whose plan something was not begun: decided again when there is.
    held: BTreeSet<RigKey>,
    /// No decision before this.
    breath: Instant,
    /// The rig that was decided last: they go round.
    last: RigKey,
}

/// The first after that one, round.
fn after<'a>(rigs: &'a BTreeSet<RigKey>, last: &RigKey) -> Option<&'a RigKey> {
    use std::ops::Bound::{Excluded, Unbounded};
    let next = rigs.range::<RigKey, _>((Excluded(last), Unbounded)).next();
    next.or_else(|| rigs.first())
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
            let nap = match self.breath.checked_duration_since(Instant::now()) {
                Some(left) if was_leader && !self.dirty.is_empty() => left,
                _ => self.nap(),
            };
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
            if self.unsynced.is_empty() && leads && Instant::now() >= self.breath {
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
        if self.begun.ended(&action) {
            self.dirty.append(&mut self.held);
        }
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
        let mut left = std::mem::take(&mut self.dirty);
        let rigs = left.len();
        let started = Instant::now();
        while let Some(rig) = after(&left, &self.last).filter(|_| !self.begun.is_full()).cloned() {
            self.decide_one(rig, &mut left, now);
        }
        // Nothing of theirs could be begun: not looked at before there is room again.
        self.wakes.retain(|rig, _| !left.contains(rig));
        self.held.append(&mut left);
        let took = started.elapsed();
        self.metrics.decided(rigs, took, &self.world);
        if took > CHEAP {
            self.breath = Instant::now() + (took * BREATHS).min(LONGEST_BREATH);
        }
    }

    /// Decides a rig and those it hangs together with. One after another: in a crowd the first of them use up what can be
    /// begun, and each plan is made of all that waits.
    fn decide_one(&mut self, rig: RigKey, left: &mut BTreeSet<RigKey>, now: Timestamp) {
        let joined = self.world.joined(&BTreeSet::from([rig.clone()]));
        for rig in &joined {
            left.remove(rig);
            self.wakes.remove(rig);
        }
        self.last = rig;
        let plan = decide(&self.world, &joined, now);
        self.wakes.extend(plan.wakes);
        let (actions, all) = self.begun.take(plan.actions);
        for action in actions {
            self.start(action);
        }
        if !all {
            self.held.extend(joined);
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
