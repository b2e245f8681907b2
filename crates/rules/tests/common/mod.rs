//! A town in a table: builders that read as sentences, and an API server that accepts every write.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

use gastown_api as api;
use gastown_rules::{
    Action, Answer, BeadStoreRow, Blueprint, ContainerRow, ContainerState, ConvoyRow, Ended, Fact, Key, Kind, Meta,
    Outcome, Plan, PodPhase, PodRow, PolecatPod, PolecatRow, Rev, RigRow, Row, Seen, Status, Town, Uid, World, decide,
};
use gastown_wire::{CloneOutcome, CloneReport, CourierOutcome, CourierReport, Report};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::collections::{BTreeMap, BTreeSet};

pub const NS: &str = "work";
pub const COMMIT: &str = "9c1e77f09c1e77f09c1e77f09c1e77f09c1e77f0";
pub const BASE: &str = "0000000000000000000000000000000000000001";

/// A world, a clock, and every write that was made.
pub struct Scene {
    pub world: World,
    pub now: Timestamp,
    pub writes: Vec<Action>,
    rev: u64,
}

pub fn scene() -> Scene {
    Scene::of(Town {
        one_machine: true,
        ..Town::default()
    })
}

impl Scene {
    pub fn of(town: Town) -> Self {
        Self {
            world: World::new(town),
            now: "2026-11-24T00:00:00Z".parse().unwrap(),
            writes: Vec::new(),
            rev: 100,
        }
    }

    pub fn rev(&mut self) -> Rev {
        self.rev += 1;
        Rev(self.rev)
    }

    fn meta(&mut self, kind: Kind, namespace: &str, name: &str) -> Meta {
        Meta {
            key: Key::new(kind, namespace, name),
            uid: Uid(format!("uid-{name}")),
            rev: self.rev(),
            generation: 1,
            created: self.now,
            deleting: None,
            finalizers: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// A Rig with a repository, a test command and a custom agent.
    pub fn rig(&mut self, name: &str, change: impl FnOnce(&mut RigRow)) {
        let spec = api::RigSpec {
            git_url: "/srv/parts.git".into(),
            beads_prefix: "mp".into(),
            test_command: Some("sh test.sh".into()),
            agent: Some(api::AgentKind::Custom),
            agent_config: Some(api::AgentConfig {
                command: vec!["./agent.sh".into()],
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut row = Row {
            meta: self.meta(Kind::Rig, "", name),
            spec,
            status: Default::default(),
        };
        change(&mut row);
        self.world.learn(Fact::Seen(Seen::Rig(Box::new(row))));
    }

    /// A polecat that wants to work on `mp-<name>`.
    pub fn polecat(&mut self, name: &str, change: impl FnOnce(&mut PolecatRow)) {
        let spec = api::PolecatSpec {
            rig: "parts".into(),
            desired_state: api::DesiredState::Working,
            bead_id: Some(format!("mp-{name}")),
            task_description: Some("mend it".into()),
            ..Default::default()
        };
        let mut row = Row {
            meta: self.meta(Kind::Polecat, NS, name),
            spec,
            status: Default::default(),
        };
        change(&mut row);
        self.world.learn(Fact::Seen(Seen::Polecat(Box::new(row))));
    }

    pub fn convoy(&mut self, name: &str, beads: &[&str], change: impl FnOnce(&mut ConvoyRow)) {
        let spec = api::ConvoySpec {
            description: "a batch".into(),
            tracked_beads: beads.iter().map(|&b| b.to_owned()).collect(),
            rig_ref: Some("parts".into()),
            ..Default::default()
        };
        let mut row = Row {
            meta: self.meta(Kind::Convoy, NS, name),
            spec,
            status: Default::default(),
        };
        change(&mut row);
        self.world.learn(Fact::Seen(Seen::Convoy(Box::new(row))));
    }

    /// A store of the rig's `mp-` issues.
    pub fn bead_store(&mut self, name: &str, change: impl FnOnce(&mut BeadStoreRow)) {
        let spec = api::BeadStoreSpec {
            rig_ref: "parts".into(),
            prefix: "mp-".into(),
            ..Default::default()
        };
        let mut row = Row {
            meta: self.meta(Kind::BeadStore, NS, name),
            spec,
            status: Default::default(),
        };
        change(&mut row);
        self.world.learn(Fact::Seen(Seen::BeadStore(Box::new(row))));
    }

    /// Somebody edits a polecat: newer revision, newer generation.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut PolecatRow)) {
        let mut row = self.row(name).clone();
        row.meta.rev = self.rev();
        row.meta.generation += 1;
        change(&mut row);
        self.world.learn(Fact::Seen(Seen::Polecat(Box::new(row))));
    }

    /// The watch tells of a pod.
    pub fn pod(&mut self, name: &str, change: impl FnOnce(&mut PodRow)) {
        let mut pod = self.pod_row(name).clone();
        pod.meta.rev = self.rev();
        change(&mut pod);
        self.world.learn(Fact::Seen(Seen::Pod(Box::new(pod))));
    }

    /// The watch tells that a pod is gone.
    pub fn vanish(&mut self, name: &str) {
        let rev = self.rev();
        self.world.learn(Fact::Vanished {
            key: Key::new(Kind::Pod, NS, name),
            rev,
        });
    }

    pub fn later(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub fn plan(&self) -> Plan {
        decide(&self.world, &self.world.all(), self.now)
    }

    /// The next write of an object of that kind.
    #[track_caller]
    pub fn next(&self, kind: Kind) -> Action {
        let found = self.plan().actions.into_iter().find(|a| a.key().kind == kind);
        found.unwrap_or_else(|| panic!("nothing is written about a {kind:?}"))
    }

    /// Settles, and shows the pod that nux got.
    #[track_caller]
    pub fn pod_made(&mut self) -> PolecatPod {
        let made = self.settle().into_iter().find_map(|a| match a {
            Action::Create { blueprint, .. } => match *blueprint {
                Blueprint::PolecatPod(pod) => Some(pod),
                _ => None,
            },
            _ => None,
        });
        made.unwrap_or_else(|| panic!("no pod: {:?}", self.status("nux").message))
    }

    /// Accepts an action as the API server would; deleted pods are gone at once.
    pub fn accept(&mut self, action: Action) {
        let rev = self.rev();
        let uid = match &action {
            Action::Create { blueprint, .. } => Uid(format!("uid-{}", blueprint.key().name)),
            Action::Delete { uid, .. }
            | Action::Publish { uid, .. }
            | Action::Annotate { uid, .. }
            | Action::Release { uid, .. } => uid.clone(),
        };
        self.world.learn(Fact::Asked(action.clone()));
        self.answer(action.clone(), Outcome::Done { rev, uid });
        if let Action::Delete { key, .. } = &action {
            let rev = self.rev();
            self.world.learn(Fact::Vanished { key: key.clone(), rev });
        }
        self.writes.push(action);
    }

    pub fn answer(&mut self, action: Action, outcome: Outcome) {
        self.world.learn(Fact::Answered(Answer {
            action,
            outcome,
            at: self.now,
        }));
    }

    /// Decides and accepts until nothing is left to do; what was written.
    pub fn settle(&mut self) -> Vec<Action> {
        let before = self.writes.len();
        for _ in 0..100 {
            let plan = self.plan();
            if plan.actions.is_empty() {
                return self.writes[before..].to_vec();
            }
            for action in plan.actions {
                self.accept(action);
            }
        }
        panic!("the world does not settle: {:#?}", self.plan());
    }

    /// One round of writes; what they bring about is left for the next.
    pub fn step(&mut self) {
        for action in self.plan().actions {
            self.accept(action);
        }
    }

    pub fn row(&self, name: &str) -> &PolecatRow {
        &self.world.polecats()[&Key::new(Kind::Polecat, NS, name)]
    }

    pub fn status(&self, name: &str) -> &api::PolecatStatus {
        &self.row(name).status
    }

    pub fn pod_row(&self, name: &str) -> &PodRow {
        let key = Key::new(Kind::Pod, NS, name);
        self.world
            .pods()
            .get(&key)
            .unwrap_or_else(|| panic!("no pod {name} in {:?}", self.world.pods().keys()))
    }

    pub fn pods(&self) -> Vec<String> {
        self.world.pods().keys().map(|k| k.name.clone()).collect()
    }

    /// How many polecats of the scene hold a place.
    pub fn working(&self) -> BTreeSet<String> {
        let working = |p: &&PolecatRow| p.status.phase == api::PolecatPhase::Working;
        self.world
            .polecats()
            .values()
            .map(std::sync::Arc::as_ref)
            .filter(working)
            .map(|p| p.meta.key.name.clone())
            .collect()
    }

    /// Slung, reserved, created, running.
    pub fn at_work(&mut self, name: &str) {
        self.settle();
        let pod = self.status(name).pod_name.clone().expect("reserved");
        self.pod(&pod, runs);
        self.settle();
    }

    /// Done, with a report of the current attempt.
    pub fn finishes(&mut self, name: &str) {
        let status = self.status(name).clone();
        let report = CourierReport {
            commits: 2,
            ..courier(CourierOutcome::Done, status.round.unwrap(), status.attempt.unwrap())
        };
        self.pod(&status.pod_name.unwrap(), |p| {
            over(p, PodPhase::Succeeded);
            said(p, "courier", 0, &report.encode());
        });
        self.settle();
    }

    /// As the Refinery writes it.
    pub fn lands(&mut self, name: &str) {
        let mut row = self.row(name).clone();
        row.meta.rev = self.rev();
        row.status.merged_commit = Some(COMMIT.into());
        api::conditions::set(&mut row.status.conditions, "Merged", true, "Landed", "", 1, self.now);
        self.world.learn(Fact::Seen(Seen::Polecat(Box::new(row))));
    }
}

pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> (&'a str, &'a str) {
    api::conditions::get(conditions, kind).map_or(("-", "-"), |c| (&c.status, &c.reason))
}

fn container(name: &str, init: bool, state: ContainerState) -> ContainerRow {
    ContainerRow {
        name: name.into(),
        init,
        state,
        last: None,
        restarts: 0,
        ready: true,
    }
}

/// No Rig: no queue, no sums, nothing but the polecat itself.
pub fn alone(row: &mut PolecatRow) {
    row.spec.rig = "standalone".into();
    row.spec.agent = Some(api::AgentKind::Custom);
    row.spec.agent_config = Some(Box::new(api::AgentConfig {
        command: vec!["./agent.sh".into()],
        ..Default::default()
    }));
    row.spec.kubernetes = Some(Box::new(api::KubernetesSpec {
        git_repository: Some("/srv/parts.git".into()),
        ..Default::default()
    }));
}

/// The agent runs.
pub fn runs(pod: &mut PodRow) {
    pod.phase = PodPhase::Running;
    pod.started = Some(pod.meta.created);
    let ended = Ended {
        exit: 0,
        reason: "Completed".into(),
        message: String::new(),
        at: None,
    };
    pod.containers = vec![
        container("clone", true, ContainerState::Ended(ended)),
        container(
            "agent",
            false,
            ContainerState::Running {
                since: Some(pod.meta.created),
            },
        ),
        container(
            "courier",
            false,
            ContainerState::Running {
                since: Some(pod.meta.created),
            },
        ),
    ];
}

/// All containers ended.
pub fn over(pod: &mut PodRow, phase: PodPhase) {
    pod.phase = phase;
    for c in &mut pod.containers {
        c.state = ContainerState::Ended(Ended {
            exit: 0,
            ..Default::default()
        });
    }
}

/// A container ended with a code and words.
pub fn said(pod: &mut PodRow, name: &str, exit: i32, message: &str) {
    let state = ContainerState::Ended(Ended {
        exit,
        message: message.into(),
        ..Default::default()
    });
    match pod.containers.iter_mut().find(|c| c.name == name) {
        Some(c) => c.state = state,
        None => pod.containers.push(container(name, name == "clone", state)),
    }
}

pub fn waits(pod: &mut PodRow, name: &str, reason: &str, message: &str) {
    let state = ContainerState::Waiting {
        reason: reason.into(),
        message: message.into(),
    };
    pod.containers.retain(|c| c.name != name);
    pod.containers.push(container(name, name == "clone", state));
}

pub fn courier(outcome: CourierOutcome, round: i64, attempt: i64) -> CourierReport {
    CourierReport {
        version: 1,
        round: round.try_into().unwrap(),
        attempt: attempt.try_into().unwrap(),
        outcome,
        branch: "feature/mp-nux".into(),
        base: BASE.into(),
        commit: COMMIT.into(),
        commits: 1,
        tokens: None,
        cost_micros: None,
        detail: String::new(),
        content: None,
    }
}

pub fn clone(outcome: CloneOutcome, attempt: u32) -> CloneReport {
    CloneReport {
        version: 1,
        attempt,
        outcome,
        detail: String::new(),
        content: None,
    }
}

/// What a plan says, one word an action: `publish nux`, `create polecat-nux`.
pub fn said_by(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|a| {
            let verb = match a {
                Action::Create { .. } => "create",
                Action::Delete { .. } => "delete",
                Action::Publish { .. } => "publish",
                Action::Annotate { .. } => "annotate",
                Action::Release { .. } => "release",
            };
            format!("{verb} {}", a.key().name)
        })
        .collect()
}

/// The actions that concern polecats and their pods alone.
pub fn of_polecats(actions: &[Action]) -> Vec<Action> {
    let mine = |a: &&Action| match a {
        Action::Create { blueprint, .. } => {
            matches!(**blueprint, Blueprint::PolecatPod(_) | Blueprint::Texts(_))
        }
        Action::Publish { to, .. } => matches!(to, Status::Polecat(_)),
        Action::Delete { .. } | Action::Annotate { .. } | Action::Release { .. } => true,
    };
    actions.iter().filter(mine).cloned().collect()
}
