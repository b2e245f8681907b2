//! A rig and its neighbours decided whole, an API server that accepts every write, and pods that do what a row says.

use crate::row::merge;
use crate::view;
use gastown_rules::{
    Action, Answer, Blueprint, ContainerState, Fact, Key, Kind, Meta, Outcome, PodRole, PodRow, Rev, Row, Seen,
    Town as Settings, Uid, World, decide,
};
use gastown_wire::CourierOutcome;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const WORK: &str = "work";
const HOME: &str = "gastown-system";

/// What happens. Between two steps everything that is decided is done.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// The agent of the newest attempt runs.
    Work,
    /// Its pod is lost, and the wait after that is over.
    Lose,
    /// It fails.
    Fail,
    /// It fails, and says what it has spent: tokens, millionths of a dollar.
    Spend(u64, u64),
    /// It says success and has changed nothing.
    Hopeless,
    /// Its work is on its branch.
    Done,
    /// So is another polecat's.
    DoneBy(String),
    /// Its work has landed.
    Landed,
    /// Nothing is seen of it for so many seconds.
    Quiet(i64),
    /// Seconds pass.
    Later(i64),
    /// The candidate is built, and its tests run.
    Built,
    /// The candidate's tests are red.
    Red,
    /// They are green.
    Green,
    /// The reader of issues has read so many.
    Read(u32),
    /// Somebody else edits, by kind.
    Edit(Map<String, Value>),
}

/// The manifests of a town with nothing in it that a row does not need.
pub(crate) fn base(kind: &str) -> Map<String, Value> {
    let all = json!({
        "rig": {"gitURL": "https://git.example/parts.git", "beadsPrefix": "mp", "testCommand": "make test"},
        "polecat": {"rig": "parts", "desiredState": "Working", "beadID": "mp-1"},
        "witness": {"rigRef": "parts"},
        "refinery": {"rigRef": "parts"},
        "convoy": {"description": "a batch", "trackedBeads": ["mp-1"], "rigRef": "parts"},
        "beadStore": {"rigRef": "parts", "prefix": "mp-"},
        "others": {},
    });
    let mut all = all.as_object().unwrap().clone();
    for own in ["convoy", "beadStore"].into_iter().filter(|own| *own != kind) {
        all.remove(own);
    }
    all
}

pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) now: Timestamp,
    rev: u64,
    given: Map<String, Value>,
    made: BTreeMap<&'static str, Blueprint>,
    log: Vec<String>,
}

impl Town {
    /// One with these objects, not decided on yet; an error where a manifest cannot be read.
    pub(crate) fn of(here: bool, given: &Map<String, Value>) -> Result<Self, String> {
        let mut town = Self {
            world: World::new(Settings {
                namespace: HOME.into(),
                one_machine: here,
                ..Settings::default()
            }),
            now: "2026-11-24T00:00:00Z".parse().unwrap(),
            rev: 100,
            given: given.clone(),
            made: BTreeMap::new(),
            log: Vec::new(),
        };
        for kind in ["rig", "convoy", "witness", "refinery", "beadStore"] {
            if let Some(spec) = given.get(kind).filter(|spec| !spec.is_null()) {
                town.learn(kind, spec)?;
            }
        }
        for (name, spec) in given["others"].as_object().into_iter().flatten() {
            let mut all = base("polecat")["polecat"].as_object().unwrap().clone();
            all.insert("beadID".into(), format!("mp-{name}").into());
            merge(&mut all, spec.as_object().unwrap());
            town.polecat(name, &all.into())?;
        }
        if let Some(spec) = given.get("polecat").filter(|spec| !spec.is_null()) {
            town.polecat("nux", spec)?;
        }
        Ok(town)
    }

    pub(crate) fn rev(&mut self) -> Rev {
        self.rev += 1;
        Rev(self.rev)
    }

    /// Somebody writes a spec.
    pub(crate) fn edit(&mut self, kind: &str, spec: &Value) -> Result<(), String> {
        self.given.insert(kind.to_owned(), spec.clone());
        match kind {
            "polecat" => self.polecat("nux", spec),
            _ => self.learn(kind, spec),
        }
    }

    pub(crate) fn play(&mut self, steps: &[Step]) {
        self.settle();
        for step in steps {
            self.step(step);
            self.settle();
        }
    }

    /// What is at a pointer.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        self.seen().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// What was written, and what polecats say.
    pub(crate) fn said(&self) -> String {
        let messages: Vec<_> = self
            .world
            .polecats()
            .values()
            .map(|p| p.status.message.clone())
            .collect();
        format!("{} {messages:?}", self.log.join(", "))
    }

    pub(crate) fn pods_of_polecats(&self) -> Vec<Key> {
        let live = |p: &&PodRow| p.role == PodRole::Polecat && p.live() && p.meta.deleting.is_none();
        self.world
            .pods()
            .values()
            .map(std::sync::Arc::as_ref)
            .filter(live)
            .map(|p| p.meta.key.clone())
            .collect()
    }

    fn seen(&self) -> Value {
        let status = |value: Value| view::named(value);
        let json = |value: Option<Value>| value.map_or(Value::Null, status);
        let of = |kind, namespace: &str, name: &str| Key::new(kind, namespace, name);
        let world = &self.world;
        let polecats = world.polecats().values().map(|p| {
            let mut shown = status(serde_json::to_value(&p.status).unwrap());
            let wait = p
                .status
                .retry_after
                .as_ref()
                .map(|t| t.0.duration_since(self.now).as_secs());
            shown["waits"] = json!(wait);
            (p.meta.key.name.clone(), shown)
        });
        let polecats: Map<String, Value> = polecats.collect();
        let mut seen = json!({
            "polecat": polecats.get("nux"),
            "polecats": polecats,
            "rig": json(world.rigs.get("parts").map(|r| json!(r.status))),
            "convoy": json(world.convoys.get(&of(Kind::Convoy, WORK, "cv")).map(|r| json!(r.status))),
            "witness": json(world.witnesses.get(&of(Kind::Witness, HOME, "parts-witness")).map(|r| json!(r.status))),
            "refinery": json(world.refineries.get(&of(Kind::Refinery, HOME, "parts-refinery")).map(|r| json!(r.status))),
            "beadStore": json(world.bead_stores.get(&of(Kind::BeadStore, WORK, "beads")).map(|r| json!(r.status))),
            "live": self.pods_of_polecats().len(),
            "kept": world.pods().values().filter(|p| p.role == PodRole::Polecat).count(),
            "testing": world.pods().values().filter(|p| p.role == PodRole::Test && p.live()).count(),
            "nudged": world.pods().values().any(|p| p.meta.annotations.contains_key("gastown.io/witness-nudge")),
            "looks": self.log.iter().filter(|line| line.starts_with("create beads-")).count(),
        });
        for (name, blueprint) in &self.made {
            seen[*name] = view::pod(blueprint);
        }
        seen
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Work => self.work("nux"),
            Step::Lose => {
                if let Some(key) = self.newest("nux") {
                    self.vanish(key);
                }
                self.later(120);
            }
            Step::Fail => self.ends("nux", CourierOutcome::AgentFailed { exit: 1 }, None),
            Step::Spend(tokens, micros) => {
                self.ends("nux", CourierOutcome::AgentFailed { exit: 1 }, Some((*tokens, *micros)));
                self.later(60);
            }
            Step::Hopeless => self.ends("nux", CourierOutcome::NoChange, None),
            Step::Done => self.ends("nux", CourierOutcome::Done, None),
            Step::DoneBy(name) => {
                self.work(name);
                self.settle();
                self.ends(name, CourierOutcome::Done, None);
            }
            Step::Landed => self.landed(),
            Step::Quiet(seconds) => {
                let since = Some(self.now);
                self.change_pod("nux", |pod| {
                    let courier = pod.containers.iter_mut().find(|c| c.name == "courier").unwrap();
                    (courier.ready, courier.state) = (false, ContainerState::Running { since });
                });
                self.later(*seconds);
            }
            Step::Later(seconds) => self.later(*seconds),
            Step::Built => self.tested(None),
            Step::Red => self.tested(Some(1)),
            Step::Green => self.tested(Some(0)),
            Step::Read(issues) => self.read(*issues),
            Step::Edit(specs) => {
                let mut all = self.given.clone();
                merge(&mut all, specs);
                for kind in specs.keys() {
                    self.edit(kind, &all[kind]).unwrap();
                }
            }
        }
    }

    /// In steps, so that what is paced or due in between happens.
    fn later(&mut self, seconds: i64) {
        for part in [seconds / 2, seconds - seconds / 2] {
            self.settle();
            self.now += SignedDuration::from_secs(part);
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let plan = decide(&self.world, &self.world.all(), self.now);
            if plan.actions.is_empty() {
                return;
            }
            plan.actions.into_iter().for_each(|action| self.accept(action));
        }
        panic!("the town does not settle: {}", self.log.join(", "));
    }

    fn accept(&mut self, action: Action) {
        let (rev, key) = (self.rev(), action.key().clone());
        let (verb, uid) = match &action {
            Action::Create { blueprint, .. } => {
                self.remember(blueprint);
                ("create", Uid(format!("uid-{}-{}", key.name, rev.0)))
            }
            Action::Delete { uid, .. } => ("delete", uid.clone()),
            Action::Publish { uid, .. } => ("publish", uid.clone()),
            Action::Annotate { uid, .. } => ("annotate", uid.clone()),
            Action::Release { uid, .. } => ("release", uid.clone()),
        };
        self.log.push(format!("{verb} {}", key.name));
        self.world.learn(Fact::Asked(action.clone()));
        let (outcome, at) = (Outcome::Done { rev, uid }, self.now);
        self.world.learn(Fact::Answered(Answer { action, outcome, at }));
        if verb == "delete" {
            self.vanish(key);
        }
    }

    fn remember(&mut self, blueprint: &Blueprint) {
        let name = match blueprint {
            Blueprint::PolecatPod(p) if p.orders.subject.name != "nux" => return,
            Blueprint::PolecatPod(_) => "pod",
            Blueprint::TestPod(_) => "test",
            Blueprint::LandPod(_) => "land",
            Blueprint::BeadsPod(_) => "beads",
            Blueprint::NotifyPod(_) => "notify",
            _ => return,
        };
        self.made.insert(name, blueprint.clone());
    }

    fn vanish(&mut self, key: Key) {
        let rev = self.rev();
        self.world.learn(Fact::Vanished { key, rev });
    }

    fn polecat(&mut self, name: &str, spec: &Value) -> Result<(), String> {
        let row = self.row(Kind::Polecat, WORK, name, spec, |w, k| {
            w.polecats().get(k).map(|row| (**row).clone())
        })?;
        self.world.learn(Fact::Seen(Seen::Polecat(Box::new(row))));
        Ok(())
    }

    fn learn(&mut self, kind: &str, spec: &Value) -> Result<(), String> {
        let seen = match kind {
            "rig" => Seen::Rig(Box::new(
                self.row(Kind::Rig, "", "parts", spec, |w, k| w.rigs.get(&k.name).cloned())?,
            )),
            "convoy" => Seen::Convoy(Box::new(
                self.row(Kind::Convoy, WORK, "cv", spec, |w, k| w.convoys.get(k).cloned())?,
            )),
            "witness" => Seen::Witness(Box::new(self.row(
                Kind::Witness,
                HOME,
                "parts-witness",
                spec,
                |w, k| w.witnesses.get(k).cloned(),
            )?)),
            "refinery" => Seen::Refinery(Box::new(self.row(
                Kind::Refinery,
                HOME,
                "parts-refinery",
                spec,
                |w, k| w.refineries.get(k).cloned(),
            )?)),
            "beadStore" => Seen::BeadStore(Box::new(self.row(Kind::BeadStore, WORK, "beads", spec, |w, k| {
                w.bead_stores.get(k).cloned()
            })?)),
            other => panic!("no kind {other}"),
        };
        self.world.learn(Fact::Seen(seen));
        Ok(())
    }

    /// A manifest as the watch brings it: new, or a newer generation of what is there.
    fn row<S: DeserializeOwned, T: Default>(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        spec: &Value,
        held: fn(&World, &Key) -> Option<Row<S, T>>,
    ) -> Result<Row<S, T>, String> {
        let (rev, key) = (self.rev(), Key::new(kind, namespace, name));
        let spec = serde_json::from_value(spec.clone()).map_err(|e| format!("{kind:?}: {e}"))?;
        let fresh = Meta {
            key: key.clone(),
            uid: Uid(format!("uid-{name}")),
            rev,
            generation: 0,
            created: self.now,
            deleting: None,
            finalizers: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let (mut meta, status) = held(&self.world, &key).map_or((fresh, T::default()), |row| (row.meta, row.status));
        meta.rev = rev;
        meta.generation += 1;
        Ok(Row { meta, spec, status })
    }

    /// As the Refinery records it.
    fn landed(&mut self) {
        let mut row = Box::new(gastown_rules::PolecatRow::clone(
            &self.world.polecats()[&Key::new(Kind::Polecat, WORK, "nux")],
        ));
        row.meta.rev = self.rev();
        gastown_api::conditions::set(&mut row.status.conditions, "Merged", true, "Landed", "", 1, self.now);
        self.world.learn(Fact::Seen(Seen::Polecat(row)));
        self.later(2);
    }
}
