//! The operator's process: facts in, decisions out, death at any instant.

use super::api::kinds;
use super::{Event, History, Millis};
use gastown_rules::{Action, Fact, Kind, Plan, RigKey, Town, World, decide};
use std::collections::{BTreeMap, BTreeSet};

/// A new process is up again within this.
const RESTART: (Millis, Millis) = (200, 20_000);

/// One process, from its start to its death.
#[derive(Debug)]
pub struct Operator {
    /// Which process: requests and watches of an earlier one are not its own.
    pub epoch: u32,
    /// What it believes.
    pub world: World,
    /// How far each watch has come; none before its list.
    pub(super) cursors: BTreeMap<Kind, usize>,
    /// Watches whose next delivery is set down.
    pub(super) due: BTreeSet<Kind>,
    dirty: BTreeSet<RigKey>,
    /// When each rig wants to be looked at again.
    pub wakes: BTreeMap<RigKey, jiff::Timestamp>,
    synced: bool,
    alive: bool,
    /// The next time it looks at the clock by itself.
    alarm: Option<Millis>,
}

impl Operator {
    pub(super) fn new(epoch: u32, town: Town) -> Self {
        Self {
            epoch,
            world: World::new(town),
            cursors: BTreeMap::new(),
            due: BTreeSet::new(),
            dirty: BTreeSet::new(),
            wakes: BTreeMap::new(),
            synced: false,
            alive: false,
            alarm: None,
        }
    }

    pub(super) fn learn(&mut self, fact: Fact) {
        let dirty = self.world.learn(fact);
        self.dirty.extend(dirty);
    }
}

impl History {
    /// The process is up: every kind is listed, each in its own time.
    pub(super) fn start(&mut self, epoch: u32) {
        if epoch != self.operator.epoch {
            return;
        }
        self.note(|| format!("operator {epoch} is up"));
        self.operator.alive = true;
        for kind in kinds() {
            self.operator.due.insert(kind);
            self.put_between(1, 50, Event::Deliver(epoch, kind));
        }
    }

    /// The process dies. What it has sent is on its way all the same.
    pub fn crash(&mut self) {
        self.counts.crashes += 1;
        let epoch = self.operator.epoch + 1;
        self.note(|| format!("CRASH of operator {}", epoch - 1));
        self.operator = Operator::new(epoch, self.operator.world.town.clone());
        self.put_between(RESTART.0, RESTART.1, Event::Start(epoch));
    }

    pub(super) fn is_leading(&self, epoch: u32) -> bool {
        self.operator.epoch == epoch && self.operator.alive
    }

    /// After every news. Decides once all kinds are listed.
    pub(super) fn turn(&mut self) {
        if !self.operator.synced {
            if kinds().iter().any(|k| !self.operator.cursors.contains_key(k)) {
                return;
            }
            self.operator.synced = true;
            self.operator.dirty = self.operator.world.all();
        }
        let now = self.clock();
        let due = self
            .operator
            .wakes
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(rig, _)| rig.clone());
        let due: Vec<RigKey> = due.collect();
        self.operator.dirty.extend(due);
        if self.operator.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.operator.dirty);
        let plan = decide(&self.operator.world, &dirty, now);
        self.counts.turns += 1;
        // The whole world is the specification: now and then it is asked as well.
        if self.counts.turns.is_multiple_of(4) {
            self.check_dirty(&dirty, &plan);
        }
        for rig in &dirty {
            self.operator.wakes.remove(rig);
        }
        self.operator.wakes.extend(plan.wakes.clone());
        self.check_waits(&plan);
        self.set_alarm();
        for action in plan.actions {
            if !self.send(action) {
                return;
            }
        }
        if self.dice.chance(self.weather.crash / 4.0) {
            self.crash();
        }
    }

    fn set_alarm(&mut self) {
        if let Some(at) = self.operator.wakes.values().min() {
            // Rounded up: a timer never fires early.
            let millis = at.duration_since(super::BEGINNING).as_millis();
            let at = Millis::try_from(millis).unwrap_or(Millis::MAX / 2).saturating_add(1);
            if self.operator.alarm.is_none_or(|set| at < set || set <= self.now) {
                self.operator.alarm = Some(at);
                self.agenda.put(at.max(self.now), Event::Turn(self.operator.epoch));
            }
        }
    }

    pub(super) fn wake(&mut self, epoch: u32) {
        if self.is_leading(epoch) {
            self.operator.alarm = self.operator.alarm.filter(|at| *at > self.now);
            self.turn();
            self.set_alarm();
        }
    }

    /// Sends one action. False when the process died of it.
    fn send(&mut self, action: Action) -> bool {
        self.note(|| format!("plan    {}", said(&action)));
        self.operator.learn(Fact::Asked(action.clone()));
        self.request(action);
        let planned = match &mut self.crash_after {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            None => false,
        };
        if planned {
            self.crash_after = None;
        }
        let dies = planned || self.dice.chance(self.weather.crash);
        if dies {
            self.crash();
        }
        !dies
    }

    /// The whole world is the specification, dirty rigs are the execution: nothing else may want to be written.
    fn check_dirty(&mut self, dirty: &BTreeSet<RigKey>, plan: &Plan) {
        let all = decide(&self.operator.world, &self.operator.world.all(), self.clock());
        for action in &all.actions {
            if !plan.actions.contains(action) {
                let said = said(action);
                self.break_promise(
                    8,
                    format!("nobody looks: {said} is due, and only {dirty:?} were looked at"),
                );
                return;
            }
        }
    }

    /// No wait without an instant at which it ends: whoever has an attempt under way is looked at again.
    fn check_waits(&mut self, plan: &Plan) {
        let world = &self.operator.world;
        let forgotten = world.polecats().values().find(|p| {
            let rig = &p.spec.rig;
            let waits = p.meta.deleting.is_none()
                && p.status.phase == gastown_api::PolecatPhase::Working
                && p.status.attempt.is_some();
            let pod = p
                .status
                .pod_name
                .as_ref()
                .map(|n| gastown_rules::Key::new(Kind::Pod, &p.meta.key.namespace, n));
            let under_way = |key: &gastown_rules::Key| {
                world.in_flight(key).is_some() || plan.actions.iter().any(|a| a.key() == key)
            };
            let settled = p.spec.desired_state != gastown_api::DesiredState::Working;
            waits
                && !settled
                && !self.operator.wakes.contains_key(rig)
                && !under_way(&p.meta.key)
                && !pod.is_some_and(|key| under_way(&key))
                && world.blocked(&p.meta.key, self.clock()).is_none()
        });
        if let Some(row) = forgotten {
            let what = format!("{} works, and nothing will look at it again", row.meta.key);
            self.break_promise(8, what);
        }
    }
}

/// One action in a few words.
pub(super) fn said(action: &Action) -> String {
    let verb = match action {
        Action::Create { .. } => "create",
        Action::Delete { .. } => "delete",
        Action::Publish { .. } => "publish",
        Action::Annotate { .. } => "annotate",
        Action::Release { .. } => "release",
    };
    format!("{verb} {} because {}", action.key(), action.because())
}
