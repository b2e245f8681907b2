//! A queue in a model town: a model of git, a kubelet that answers as told, an API server that always says yes.

mod history;
mod parallel;
mod pods;
mod queueing;
mod sweeping;
mod trouble;
mod turned_away;
mod verdicts;
mod whole;

use pods::ended;

use crate::draft::Draft;
use crate::fact::{Answer, Fact, Outcome, Seen};
use crate::key::{Key, Kind, Rev, Uid};
use crate::plan::{Action, Notice, Plan, Status};
use crate::row::{
    ContainerRow, ContainerState, Ended, Meta, PodPhase, PodRole, PodRow, PolecatRow, RefineryRow, RigRow, Row,
};
use crate::world::{Town as Settings, World};
use gastown_api::{self as api, conditions as kind};
use gastown_wire::{CandidateOutcome, CandidateReport, Conflict, Included, LandOutcome, LandReport, Report, VERSION};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const RIG: &str = "parts";
const NS: &str = "gastown-system";

/// What a change does to the tests and to other changes.
#[derive(Clone, Default)]
pub(super) struct Change {
    pub(super) bad: bool,
    /// Commits it does not apply on.
    pub(super) conflicts: BTreeSet<String>,
    /// Commits it only breaks together with.
    pub(super) breaks: BTreeSet<String>,
}

pub(super) struct Town {
    pub(super) world: World,
    pub(super) now: Timestamp,
    rev: u64,
    uid: u64,
    pub(super) changes: BTreeMap<String, Change>,
    /// Every value the branch has had, with the changes in it.
    pub(super) main: Vec<(String, BTreeSet<String>)>,
    candidates: BTreeMap<String, (String, BTreeSet<String>)>,
    pub(super) greens: BTreeSet<String>,
    pub(super) told: Vec<(String, String, String)>,
    pub(super) writes: BTreeMap<String, usize>,
    pub(super) runs: usize,
    /// Whether the other rooms decide as well.
    pub(super) whole: bool,
    /// Orders of test pods: the members' names.
    pub(super) tested: Vec<Vec<String>>,
}

pub(super) fn id(text: &str) -> String {
    let part = |n: u8| crate::names::short_hash(&[text, &n.to_string()]);
    (0..5).map(part).collect()
}

impl Town {
    pub(super) fn new() -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut town = Self {
            world: World::new(Settings {
                namespace: NS.into(),
                ..Settings::default()
            }),
            now,
            rev: 10,
            uid: 0,
            changes: BTreeMap::new(),
            main: vec![(id("main"), BTreeSet::new())],
            candidates: BTreeMap::new(),
            greens: BTreeSet::new(),
            told: Vec::new(),
            writes: BTreeMap::new(),
            runs: 0,
            whole: false,
            tested: Vec::new(),
        };
        let meta = town.meta(Kind::Rig, "", RIG);
        let spec = api::RigSpec {
            git_url: "https://example.com/parts.git".into(),
            beads_prefix: "pt".into(),
            test_command: Some("make test".into()),
            ..api::RigSpec::default()
        };
        town.see(Seen::Rig(Box::new(Row {
            meta,
            spec,
            status: Default::default(),
        })));
        town.refinery(&format!("{RIG}-refinery"));
        town
    }

    fn meta(&mut self, kind: Kind, namespace: &str, name: &str) -> Meta {
        self.uid += 1;
        self.rev += 1;
        Meta {
            key: Key::new(kind, namespace, name),
            uid: Uid(format!("uid-{}", self.uid)),
            rev: Rev(self.rev),
            generation: 1,
            created: self.now,
            deleting: None,
            finalizers: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    pub(super) fn see(&mut self, seen: Seen) {
        self.world.learn(Fact::Seen(seen));
    }

    pub(super) fn refinery(&mut self, name: &str) {
        let meta = self.meta(Kind::Refinery, NS, name);
        let spec = api::RefinerySpec {
            rig_ref: RIG.into(),
            ..api::RefinerySpec::default()
        };
        self.see(Seen::Refinery(Box::new(Row {
            meta,
            spec,
            status: Default::default(),
        })));
    }

    /// A polecat whose work of this round is finished as this change.
    pub(super) fn ready(&mut self, name: &str, change: Change) -> String {
        let round = self
            .world
            .polecats()
            .get(&Key::new(Kind::Polecat, NS, name))
            .map_or(1, |p| p.status.round.unwrap());
        let commit = id(&format!("{name}-{round}"));
        self.changes.insert(commit.clone(), change);
        let mut row = match self.world.polecats().get(&Key::new(Kind::Polecat, NS, name)) {
            Some(row) => (**row).clone(),
            None => {
                let meta = self.meta(Kind::Polecat, NS, name);
                let spec = api::PolecatSpec {
                    rig: RIG.into(),
                    desired_state: api::DesiredState::Working,
                    bead_id: Some(format!("pt-{name}")),
                    ..api::PolecatSpec::default()
                };
                let status = api::PolecatStatus {
                    round: Some(1),
                    attempt: Some(1),
                    ..Default::default()
                };
                Row { meta, spec, status }
            }
        };
        row.status.phase = api::PolecatPhase::Done;
        row.status.commit = Some(commit.clone());
        row.status.branch = Some(format!("polecat/{name}"));
        api::conditions::set(
            &mut row.status.conditions,
            kind::AVAILABLE,
            true,
            "Done",
            "",
            1,
            self.now,
        );
        self.now += SignedDuration::from_secs(1);
        self.edit(row);
        commit
    }

    pub(super) fn good(&mut self, names: &[&str]) {
        for name in names {
            self.ready(name, Change::default());
        }
    }

    fn edit(&mut self, mut row: PolecatRow) {
        self.rev += 1;
        row.meta.rev = Rev(self.rev);
        self.see(Seen::Polecat(Box::new(row)));
    }

    pub(super) fn edit_polecat(&mut self, name: &str, change: impl FnOnce(&mut PolecatRow)) {
        let mut row = self.polecat(name).clone();
        change(&mut row);
        self.edit(row);
    }

    pub(super) fn edit_rig(&mut self, change: impl FnOnce(&mut RigRow)) {
        let mut row = self.world.rigs[RIG].clone();
        change(&mut row);
        self.rev += 1;
        (row.meta.rev, row.meta.generation) = (Rev(self.rev), row.meta.generation + 1);
        self.see(Seen::Rig(Box::new(row)));
    }

    pub(super) fn edit_refinery(&mut self, change: impl FnOnce(&mut RefineryRow)) {
        let mut row = self.queue().clone();
        change(&mut row);
        self.rev += 1;
        (row.meta.rev, row.meta.generation) = (Rev(self.rev), row.meta.generation + 1);
        self.see(Seen::Refinery(Box::new(row)));
    }

    pub(super) fn vanish(&mut self, key: Key) {
        self.rev += 1;
        self.world.learn(Fact::Vanished {
            key,
            rev: Rev(self.rev),
        });
    }

    pub(super) fn queue(&self) -> &RefineryRow {
        &self.world.refineries[&Key::new(Kind::Refinery, NS, format!("{RIG}-refinery"))]
    }

    pub(super) fn polecat(&self, name: &str) -> &PolecatRow {
        &self.world.polecats()[&Key::new(Kind::Polecat, NS, name)]
    }

    pub(super) fn merged(&self, name: &str) -> Option<&str> {
        let status = &self.polecat(name).status;
        kind::is_true(&status.conditions, kind::MERGED)
            .then_some(status.merged_commit.as_deref())
            .flatten()
    }

    pub(super) fn condition(&self, name: &str, of: &str) -> Option<(String, String)> {
        kind::get(&self.polecat(name).status.conditions, of).map(|c| (c.status.clone(), c.reason.clone()))
    }

    pub(super) fn queue_condition(&self, of: &str) -> Option<(String, String)> {
        kind::get(&self.queue().status.conditions, of).map(|c| (c.status.clone(), c.reason.clone()))
    }

    pub(super) fn heard(&self, code: &str) -> Vec<&str> {
        self.told
            .iter()
            .filter(|(_, c, _)| c == code)
            .map(|(.., m)| m.as_str())
            .collect()
    }

    pub(super) fn plan(&self) -> Plan {
        if self.whole {
            return crate::decide::decide(&self.world, &[RIG.to_owned()].into(), self.now);
        }
        let mut draft = Draft::new(&self.world, self.now);
        draft.begin(&RIG.to_owned());
        super::decide(&self.world, &RIG.to_owned(), self.now, &mut draft);
        draft.finish()
    }

    /// Carries one plan out; false when there was nothing to do.
    pub(super) fn act(&mut self) -> bool {
        let plan = self.plan();
        assert_eq!(plan, self.plan(), "equal inputs, equal plans");
        for action in &plan.actions {
            self.carry_out(action.clone());
        }
        !plan.actions.is_empty()
    }

    fn carry_out(&mut self, action: Action) {
        self.rev += 1;
        let kind = action.key().kind;
        *self.writes.entry(format!("{kind:?}")).or_default() += 1;
        let mut uid = Uid::default();
        match &action {
            Action::Publish { key, notices, to, .. } => {
                self.hear(key, notices);
                if let Status::Refinery(status) = to {
                    assert!(status.members.len() <= gastown_wire::MAX_MEMBERS);
                }
            }
            Action::Create { .. } => {
                self.uid += 1;
                uid = Uid(format!("uid-{}", self.uid));
            }
            _ => {}
        }
        let gone = matches!(action, Action::Delete { .. }).then(|| action.key().clone());
        self.world.learn(Fact::Asked(action.clone()));
        let outcome = Outcome::Done {
            rev: Rev(self.rev),
            uid,
        };
        self.world.learn(Fact::Answered(Answer {
            action,
            outcome,
            at: self.now,
        }));
        if let Some(key) = gone {
            self.vanish(key);
        }
    }

    fn hear(&mut self, key: &Key, notices: &[Notice]) {
        for n in notices {
            self.told
                .push((key.name.clone(), n.because.code.to_owned(), n.because.message.clone()));
        }
    }

    /// Plans and carries out until nothing is left to write.
    pub(super) fn rest(&mut self) {
        for _ in 0..200 {
            if !self.act() {
                return;
            }
        }
        panic!("the queue never rests: {:#?}", self.plan().actions);
    }

    pub(super) fn live(&self, role: PodRole) -> Option<PodRow> {
        let live = |p: &&PodRow| p.role == role && p.live() && p.meta.deleting.is_none();
        self.world
            .pods()
            .values()
            .map(std::sync::Arc::as_ref)
            .find(live)
            .cloned()
    }

    /// Test pods that live, shortest prefix first.
    pub(super) fn testing(&self) -> Vec<PodRow> {
        let live = |p: &&PodRow| p.role == PodRole::Test && p.live() && p.meta.deleting.is_none();
        let live = self.world.pods().values().map(std::sync::Arc::as_ref).filter(live);
        let mut pods: Vec<PodRow> = live.cloned().collect();
        pods.sort_by_key(|p| p.test.as_ref().map(|o| o.members.len()));
        pods
    }

    /// Until nothing is written and no pod runs.
    pub(super) fn run(&mut self) {
        for _ in 0..2000 {
            self.rest();
            if !self.kubelet() {
                return;
            }
        }
        panic!("the queue never ends");
    }

    /// Runs the pod that waits; false when none does.
    pub(super) fn kubelet(&mut self) -> bool {
        self.now += SignedDuration::from_secs(5);
        if let Some(pod) = self.live(PodRole::Test) {
            self.run_test(pod);
        } else if let Some(pod) = self.live(PodRole::Land) {
            self.run_land(pod);
        } else {
            return false;
        }
        true
    }

    /// A new operator that knows only what the API server holds.
    pub(super) fn restart(&mut self) {
        let old = std::mem::replace(
            &mut self.world,
            World::new(Settings {
                namespace: NS.into(),
                ..Settings::default()
            }),
        );
        for row in old.rigs.values().cloned() {
            self.see(Seen::Rig(Box::new(row)));
        }
        for row in old.refineries.values().cloned() {
            self.see(Seen::Refinery(Box::new(row)));
        }
        for row in old.polecats().values() {
            self.see(Seen::Polecat(Box::new(PolecatRow::clone(row))));
        }
        for row in old.witnesses.values().cloned() {
            self.see(Seen::Witness(Box::new(row)));
        }
        for row in old.pods().values() {
            self.see(Seen::Pod(Box::new(PodRow::clone(row))));
        }
    }
}
