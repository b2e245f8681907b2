//! A test pod: `candidate` builds, `test` judges.

use super::mishap::Moment;
use super::{History, Process};
use crate::sim::{Joined, Lease, Millis, Move, Oid};
use gastown_wire::{CandidateOutcome, CandidateReport, Conflict, Included, Report as _, TestOrders, VERSION, exit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Building,
    Testing(Oid),
    Over,
}

/// One run of one prefix.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    orders: TestOrders,
    stage: Stage,
}

impl Trial {
    pub(super) fn new(orders: &TestOrders) -> Self {
        Self {
            orders: orders.clone(),
            stage: Stage::Pending,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        match self.stage {
            Stage::Pending => Moment::Pending,
            Stage::Building => Moment::Building,
            Stage::Testing(_) => Moment::Testing,
            Stage::Over => Moment::Over,
        }
    }

    /// The container that runs.
    pub(super) fn container(&self) -> Option<&'static str> {
        match self.stage {
            Stage::Building => Some("candidate"),
            Stage::Testing(_) => Some("test"),
            Stage::Pending | Stage::Over => None,
        }
    }
}

impl History {
    pub(super) fn step_trial(&mut self, process: &mut Process, trial: &mut Trial) -> Option<Millis> {
        match trial.stage {
            Stage::Pending => {
                if self.dice.chance(self.weather.pods / 2.0) {
                    process.shown.waits("candidate", "ErrImagePull", "no such image");
                    self.show(process);
                    return Some(self.dice.between(10_000, 400_000));
                }
                self.begin(process);
                let now = self.time();
                process.shown.container_runs("candidate", now);
                self.show(process);
                trial.stage = Stage::Building;
                Some(self.dice.between(50, 5_000))
            }
            Stage::Building => self.build(process, trial),
            Stage::Testing(commit) => self.judge(process, trial, commit),
            Stage::Over => None,
        }
    }

    fn build(&mut self, process: &mut Process, trial: &mut Trial) -> Option<Millis> {
        let now = self.time();
        let report = self.candidate(process, &trial.orders);
        let commit = match &report.outcome {
            CandidateOutcome::Built { commit, .. } => Oid::parse(commit),
            _ => None,
        };
        let code = match &report.outcome {
            CandidateOutcome::Built { .. } => 0,
            CandidateOutcome::Transient => exit::TRANSIENT,
            _ => 1,
        };
        process
            .shown
            .ends("candidate", code, "Completed", &report.encode(), now);
        let next = match commit {
            Some(commit) => {
                trial.stage = Stage::Testing(commit);
                process.shown.container_runs("test", now);
                process.shown.runs();
                Some(self.dice.between(1_000, 300_000))
            }
            None => {
                trial.stage = Stage::Over;
                process.shown.over(false);
                None
            }
        };
        self.show(process);
        next
    }

    fn candidate(&mut self, process: &Process, orders: &TestOrders) -> CandidateReport {
        let mut report = CandidateReport {
            version: VERSION,
            outcome: CandidateOutcome::Transient,
            base: String::new(),
            included: Vec::new(),
            conflicts: Vec::new(),
            empty: Vec::new(),
            detail: String::new(),
        };
        if self.dice.chance(self.weather.git) {
            return report;
        }
        let remote = self.remote(&process.url);
        let Some(base) = remote.main() else { return report };
        report.base = base.to_string();
        if orders.base.as_ref().is_some_and(|wanted| *wanted != report.base) {
            report.outcome = CandidateOutcome::BaseMoved;
            return report;
        }
        let mut tip = base;
        for (i, member) in orders.members.iter().enumerate() {
            let Some(commit) = Oid::parse(&member.commit).filter(|c| remote.reachable(*c)) else {
                report.outcome = CandidateOutcome::Missing { i };
                report.included.clear();
                return report;
            };
            match remote.join(tip, commit) {
                Joined::As(next) => {
                    report.included.push(Included { i, c: next.to_string() });
                    tip = next;
                }
                Joined::Empty => report.empty.push(i),
                Joined::Conflict(paths) => report.conflicts.push(Conflict { i, paths }),
            }
        }
        if report.included.is_empty() {
            report.outcome = CandidateOutcome::Nothing;
            return report;
        }
        let there = remote.at(&orders.candidate_ref);
        let lease = Lease::Is(there);
        remote.push(&[Move {
            name: orders.candidate_ref.clone(),
            to: Some(tip),
            lease,
        }]);
        // A tree is named by its content; the model's commits are too.
        report.outcome = CandidateOutcome::Built {
            commit: tip.to_string(),
            tree: tip.to_string(),
        };
        report
    }

    /// The kubelet's word on the test container.
    fn judge(&mut self, process: &mut Process, trial: &mut Trial, commit: Oid) -> Option<Millis> {
        trial.stage = Stage::Over;
        let remote = self.remote(&process.url);
        let tree = remote.tree(commit);
        let red = remote.is_red(&tree) || self.dice.chance(self.weather.flake);
        self.counts.tests += 1;
        let url = process.url.clone();
        self.note(|| format!("tests   {} is {}", commit.short(), if red { "RED" } else { "green" }));
        if !red {
            self.watch_green(&url, commit);
        }
        let now = self.time();
        let output = if red { "not ok 7 - parts fit" } else { "" };
        process.shown.ends(
            "test",
            i32::from(red),
            if red { "Error" } else { "Completed" },
            output,
            now,
        );
        process.shown.over(!red);
        self.show(process);
        None
    }
}
