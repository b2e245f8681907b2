//! The simulator: a whole town outside the rules, made of nothing but a seed.
//!
//! ```text
//!            ┌── watches: late, in order, sometimes a list instead ◀── store ◀── users, kubelet, owner collection
//! learn ◀────┤                                                          ▲
//! decide ──▶ requests: late, lost, refused, answered or not ────────────┘      pods ◀──▶ git remote ◀── outsiders
//! ```
//!
//! The only code under test is `gastown_rules` and, of the harness, what a record lets a pod do and how an agent's
//! end is judged. Everything else is a model: it may be simpler than the world, but not kinder.

mod api;
mod book;
mod calm;
mod dice;
mod operator;
mod pods;
mod queue;
mod remote;
mod rest;
mod store;
mod trace;
mod users;
mod watch;
mod weather;

pub use book::Violation;
pub use dice::Dice;
pub use operator::Operator;
pub use pods::{Mishap, Moment};
pub use queue::Millis;
pub use remote::{Commit, Joined, Lease, Move, Oid, Quality, Remote, Tree};
pub use store::{Change, Object, Store, Taken};
pub use weather::Weather;

use api::Request;
use book::Book;
use gastown_rules::{Kind, Town, Uid};
use jiff::{SignedDuration, Timestamp};
use pods::Process;
use queue::Agenda;
use std::collections::{BTreeMap, BTreeSet};
use trace::Trace;

/// Everything that can happen.
#[derive(Clone, Debug)]
enum Event {
    /// The operator's process is up and lists.
    Start(u32),
    /// The operator looks at the clock.
    Turn(u32),
    /// A watch of the operator delivers.
    Deliver(u32, Kind),
    /// A request reaches the API server.
    Arrive(u64),
    /// An answer, or its absence, reaches the operator.
    Answer(u64),
    /// A pod's process goes on.
    Step(Uid),
    /// The kubelet ends a pod that runs too long.
    Deadline(Uid),
    /// The kubelet learns that a pod is to go.
    Stop(Uid),
    /// A pod that was ended goes from the store.
    Reap(Uid),
    /// The control plane gives up a node.
    Forsake(Uid),
    /// A node answers again.
    Return(Uid),
    /// An owner is gone: what it owned goes.
    Collect(Uid),
    /// A user may do something.
    User,
    /// The faults end.
    Calm,
    /// Somebody looks after what is stuck.
    Tend,
}

/// What a history came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of any kind.
    pub events: u64,
    /// Writes that were accepted.
    pub writes: u64,
    /// Writes that were sent.
    pub sent: u64,
    /// Decisions.
    pub turns: u64,
    /// Times the operator died.
    pub crashes: u64,
    /// Attempts that started an agent.
    pub agents: u64,
    /// Pushes that a record's fence refused.
    pub fenced: u64,
    /// Things that befell pods.
    pub mishaps: u64,
    /// Test runs that came to a verdict.
    pub tests: u64,
    /// Landings.
    pub landings: u64,
    /// Polecats whose work landed.
    pub merged: u64,
    /// Rounds that were handed back.
    pub handed_back: u64,
    /// Polecats that needed somebody at the end.
    pub stuck: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let Self {
            events,
            writes,
            sent,
            turns,
            crashes,
            agents,
            fenced,
            mishaps,
            tests,
            landings,
            merged,
            handed_back,
            stuck,
        } = other;
        self.events += events;
        self.writes += writes;
        self.sent += sent;
        self.turns += turns;
        self.crashes += crashes;
        self.agents += agents;
        self.fenced += fenced;
        self.mishaps += mishaps;
        self.tests += tests;
        self.landings += landings;
        self.merged += merged;
        self.handed_back += handed_back;
        self.stuck += stuck;
    }
}

/// One history.
#[derive(Debug)]
pub struct History {
    now: Millis,
    agenda: Agenda<Event>,
    dice: Dice,
    weather: Weather,
    /// The API server.
    pub store: Store,
    /// Remotes by URL.
    pub remotes: BTreeMap<String, Remote>,
    /// The operator.
    pub operator: Operator,
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    processes: BTreeMap<Uid, Process>,
    tasks: BTreeMap<Uid, pods::Task>,
    book: Book,
    trace: Trace,
    /// Mishaps that come at a set moment, once.
    planned: Vec<(Moment, Mishap)>,
    /// The operator dies right after this many more writes were sent.
    crash_after: Option<u64>,
    /// Kinds whose watch delivers nothing until an instant.
    held: BTreeMap<Kind, Millis>,
    /// What the history came to so far.
    pub counts: Counts,
    violation: Option<Violation>,
    calm: bool,
    tended: u32,
    hopeless: BTreeSet<String>,
    next_bead: u32,
}

/// When every history begins.
const BEGINNING: Timestamp = Timestamp::constant(1_795_478_400, 0);
/// Longer than this no history may take to settle, once the faults are over.
const LONGEST: Millis = 14 * 24 * 3600 * 1000;
/// More than this may not happen in one.
const MOST_EVENTS: u64 = 400_000;

impl History {
    /// An empty town under a running operator.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut history = Self {
            now: 0,
            agenda: Agenda::new(),
            dice: Dice::new(seed),
            weather,
            store: Store::default(),
            remotes: BTreeMap::new(),
            operator: Operator::new(0, Town::default()),
            requests: BTreeMap::new(),
            next_request: 0,
            processes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            book: Book::default(),
            trace: Trace::off(),
            planned: Vec::new(),
            crash_after: None,
            held: BTreeMap::new(),
            counts: Counts::default(),
            violation: None,
            calm: false,
            tended: 0,
            hopeless: BTreeSet::new(),
            next_bead: 0,
        };
        history.put_in(5, Event::Start(0));
        history
    }

    /// Keeps what happens, for people.
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.trace = Trace::on();
        self
    }

    /// What happened, the newest last.
    pub fn told(&self) -> impl Iterator<Item = &str> {
        self.trace.lines()
    }

    /// The time, as the API server tells it: whole seconds.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        BEGINNING + SignedDuration::from_secs(self.now.div_euclid(1000))
    }

    /// The time, as the operator's clock tells it.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        BEGINNING + SignedDuration::from_millis(self.now)
    }

    /// Something befalls the next pod that comes to a moment.
    pub fn plan(&mut self, moment: Moment, mishap: Mishap) {
        self.planned.push((moment, mishap));
    }

    /// The operator dies right after it has sent so many more writes, and comes back.
    pub fn crash_after(&mut self, writes: u64) {
        self.crash_after = Some(writes);
    }

    /// A watch delivers nothing for so long.
    pub fn hold(&mut self, kind: Kind, millis: Millis) {
        self.held.insert(kind, self.now + millis);
    }

    /// Runs until nothing will happen any more.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn settle(&mut self) -> Result<(), Violation> {
        self.run(|_| false)
    }

    /// Runs until something is so, or nothing will happen any more.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn run(&mut self, until: impl Fn(&Self) -> bool) -> Result<(), Violation> {
        let first = self.counts.events;
        let by = self.now + LONGEST;
        while !until(self) {
            let Some((at, event)) = self.agenda.pop() else {
                return Ok(());
            };
            self.now = self.now.max(at);
            self.counts.events += 1;
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            if self.now > by || self.counts.events - first > MOST_EVENTS {
                return Err(Violation::new(
                    5,
                    format!("the town does not come to rest: {}", self.unrest()),
                ));
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(epoch) => self.start(epoch),
            Event::Turn(epoch) => self.wake(epoch),
            Event::Deliver(epoch, kind) => self.deliver(epoch, kind),
            Event::Arrive(id) => self.arrive(id),
            Event::Answer(id) => self.answer(id),
            Event::Step(uid) => self.step(&uid),
            Event::Deadline(uid) => self.deadline(&uid),
            Event::Stop(uid) => self.stop(&uid),
            Event::Reap(uid) => self.reap(&uid),
            Event::Forsake(uid) => self.forsake(&uid),
            Event::Return(uid) => self.back(&uid),
            Event::Collect(uid) => self.collect(&uid),
            Event::User => self.user(),
            Event::Calm => self.calm(),
            Event::Tend => self.tend(),
        }
    }

    fn put_in(&mut self, millis: Millis, event: Event) {
        self.agenda.put(self.now + millis.max(0), event);
    }

    fn put_between(&mut self, low: Millis, high: Millis, event: Event) {
        let millis = self.dice.between(low, high);
        self.put_in(millis, event);
    }

    fn note(&mut self, say: impl FnOnce() -> String) {
        self.trace.note(self.now, say);
    }

    /// The first broken promise counts: what follows it proves nothing.
    fn break_promise(&mut self, invariant: u8, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation::new(invariant, what));
        }
    }
}
