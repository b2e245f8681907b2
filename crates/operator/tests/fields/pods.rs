//! Pods that do what a row says.

use crate::town::{Town, WORK};
use gastown_rules::{ContainerRow, ContainerState, Ended, Fact, Key, Kind, PodPhase, PodRole, PodRow, Seen};
use gastown_wire::{
    BeadsOutcome, BeadsRead, BeadsReport, CandidateOutcome, CandidateReport, CourierOutcome, CourierReport, Included,
    Report, Tokens,
};

const COMMIT: &str = "9c1e77f09c1e77f09c1e77f09c1e77f09c1e77f0";
const BASE: &str = "0000000000000000000000000000000000000001";

impl Town {
    /// The live pod of a polecat's newest attempt.
    pub(crate) fn newest(&self, name: &str) -> Option<Key> {
        let row = self.world.polecats().get(&Key::new(Kind::Polecat, WORK, name))?;
        let key = Key::new(Kind::Pod, WORK, row.status.pod_name.clone()?);
        self.world
            .pods()
            .get(&key)
            .filter(|p| p.live())
            .map(|p| p.meta.key.clone())
    }

    pub(crate) fn change_pod(&mut self, name: &str, change: impl FnOnce(&mut PodRow)) {
        if let Some(key) = self.newest(name) {
            self.change(&key, change);
        }
    }

    pub(crate) fn change(&mut self, key: &Key, change: impl FnOnce(&mut PodRow)) {
        let mut pod = Box::new(PodRow::clone(&self.world.pods()[key]));
        pod.meta.rev = self.rev();
        change(&mut pod);
        self.world.learn(Fact::Seen(Seen::Pod(pod)));
    }

    pub(crate) fn work(&mut self, name: &str) {
        let since = Some(self.now);
        self.change_pod(name, |pod| {
            pod.phase = PodPhase::Running;
            pod.started = since;
            let running = || ContainerState::Running { since };
            pod.containers = vec![
                container("clone", true, ended(0, "")),
                container("agent", false, running()),
                container("courier", false, running()),
            ];
        });
    }

    pub(crate) fn ends(&mut self, name: &str, outcome: CourierOutcome, spent: Option<(u64, u64)>) {
        let Some(key) = self.newest(name) else { return };
        let pod = &self.world.pods()[&key];
        let report = CourierReport {
            version: 1,
            round: pod.round,
            attempt: pod.attempt,
            outcome,
            branch: format!("feature/mp-{name}"),
            base: BASE.into(),
            commit: COMMIT.into(),
            commits: 1,
            tokens: spent.map(|(tokens, _)| Tokens {
                input: tokens,
                output: 0,
            }),
            cost_micros: spent.map(|(_, micros)| micros),
            detail: String::new(),
            content: None,
        };
        self.change(&key, |pod| {
            pod.phase = PodPhase::Succeeded;
            pod.containers = vec![
                container("agent", false, ended(0, "")),
                container("courier", false, ended(0, &report.encode())),
            ];
        });
    }

    /// Its candidate is built, and its test has ended, or runs.
    pub(crate) fn tested(&mut self, exit: Option<i32>) {
        let live = |p: &&PodRow| p.role == PodRole::Test && p.live() && p.meta.deleting.is_none();
        let Some(pod) = self.world.pods().values().map(std::sync::Arc::as_ref).find(live) else {
            return;
        };
        let key = pod.meta.key.clone();
        let members = pod.test.as_ref().map_or(1, |orders| orders.members.len());
        let report = CandidateReport {
            version: 1,
            outcome: CandidateOutcome::Built {
                commit: COMMIT.into(),
                tree: BASE.into(),
            },
            base: BASE.into(),
            included: (0..members).map(|i| Included { i, c: COMMIT.into() }).collect(),
            conflicts: Vec::new(),
            empty: Vec::new(),
            detail: String::new(),
        };
        self.change(&key, |pod| {
            pod.phase = match exit {
                None => PodPhase::Running,
                Some(0) => PodPhase::Succeeded,
                Some(_) => PodPhase::Failed,
            };
            let test = exit.map_or(ContainerState::Running { since: None }, |exit| ended(exit, ""));
            pod.containers = vec![
                container("candidate", true, ended(0, &report.encode())),
                container("test", false, test),
            ];
        });
    }

    pub(crate) fn read(&mut self, issues: u32) {
        let live = |p: &&PodRow| p.role == PodRole::Beads && p.live() && p.meta.deleting.is_none();
        let Some(key) = self
            .world
            .pods()
            .values()
            .map(std::sync::Arc::as_ref)
            .find(live)
            .map(|p| p.meta.key.clone())
        else {
            return;
        };
        let report = BeadsReport {
            version: 1,
            outcome: BeadsOutcome::Read(BeadsRead {
                issues,
                ..BeadsRead::default()
            }),
            commit: COMMIT.into(),
            detail: String::new(),
            ranked: Vec::new(),
        };
        self.change(&key, |pod| {
            pod.phase = PodPhase::Succeeded;
            pod.containers = vec![container("beads", false, ended(0, &report.encode()))];
        });
    }
}

fn ended(exit: i32, message: &str) -> ContainerState {
    ContainerState::Ended(Ended {
        exit,
        message: message.into(),
        ..Ended::default()
    })
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
