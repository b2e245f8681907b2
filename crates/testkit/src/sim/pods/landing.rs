//! A land pod: pushes exactly what was tested, if the branch is still what it was tested upon.

use super::mishap::Moment;
use super::{History, Process};
use crate::sim::remote::MAIN;
use crate::sim::{Lease, Millis, Move, Oid};
use gastown_wire::{LandOrders, LandOutcome, LandReport, Report as _, VERSION, candidates_prefix, exit, landed_prefix};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Looking,
    /// What it saw of the branch.
    Pushing(Oid),
    Reporting(LandOutcome),
    Over,
}

/// One try to land.
#[derive(Clone, Debug)]
pub(super) struct Landing {
    orders: LandOrders,
    stage: Stage,
}

impl Landing {
    pub(super) fn new(orders: &LandOrders) -> Self {
        Self {
            orders: orders.clone(),
            stage: Stage::Pending,
        }
    }

    /// No landing: stands in while a process is being stepped.
    pub(super) fn none() -> Self {
        Self {
            orders: LandOrders::default(),
            stage: Stage::Over,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        match self.stage {
            Stage::Pending => Moment::Pending,
            Stage::Looking | Stage::Pushing(_) => Moment::Landing,
            Stage::Reporting(_) => Moment::Landed,
            Stage::Over => Moment::Over,
        }
    }
}

impl History {
    pub(super) fn step_landing(&mut self, process: &mut Process, landing: &mut Landing) -> Option<Millis> {
        match landing.stage.clone() {
            Stage::Pending => {
                self.begin(process);
                let now = self.time();
                process.shown.container_runs("land", now);
                process.shown.runs();
                self.show(process);
                landing.stage = Stage::Looking;
                Some(self.dice.between(50, 3_000))
            }
            Stage::Looking => {
                landing.stage = self.view(process, &landing.orders);
                if self.dice.chance(self.weather.outsiders) {
                    let url = process.url.clone();
                    self.outsider(&url);
                }
                Some(self.dice.between(1, 1_000))
            }
            Stage::Pushing(base) => {
                landing.stage = Stage::Reporting(self.land(process, &landing.orders, base));
                Some(self.dice.between(1, 1_000))
            }
            Stage::Reporting(outcome) => {
                landing.stage = Stage::Over;
                self.tell_landing(process, &landing.orders, outcome);
                None
            }
            Stage::Over => None,
        }
    }

    /// What is settled without a push.
    fn view(&mut self, process: &Process, orders: &LandOrders) -> Stage {
        if self.dice.chance(self.weather.git) {
            return Stage::Reporting(LandOutcome::Transient);
        }
        let remote = self.remote(&process.url);
        let (Some(tip), Some(base), Some(candidate)) =
            (remote.main(), Oid::parse(&orders.base), Oid::parse(&orders.candidate))
        else {
            return Stage::Reporting(LandOutcome::Config {
                reason: "BadOrders".to_owned(),
            });
        };
        if remote.get(candidate).is_some() && remote.is_ancestor(candidate, tip) {
            return Stage::Reporting(LandOutcome::Landed);
        }
        if tip != base {
            return Stage::Reporting(LandOutcome::Stale { now: tip.to_string() });
        }
        match remote.at(&orders.candidate_ref) {
            Some(held) if held == candidate => Stage::Pushing(base),
            held => Stage::Reporting(LandOutcome::Mismatch {
                why: format!("the candidate ref holds {held:?}, {candidate} was tested"),
            }),
        }
    }

    fn land(&mut self, process: &Process, orders: &LandOrders, base: Oid) -> LandOutcome {
        if self.dice.chance(self.weather.git / 3.0) {
            return LandOutcome::Refused {
                why: "protected branch".to_owned(),
            };
        }
        let lost = self.dice.chance(self.weather.git / 2.0);
        let remote = self.remote(&process.url);
        let Some(candidate) = Oid::parse(&orders.candidate) else {
            return LandOutcome::Config {
                reason: "BadOrders".to_owned(),
            };
        };
        let moves = [
            Move {
                name: MAIN.to_owned(),
                to: Some(candidate),
                lease: Lease::Is(Some(base)),
            },
            Move {
                name: format!("{}{candidate}", landed_prefix(&orders.rig)),
                to: Some(candidate),
                lease: Lease::Any,
            },
        ];
        if !remote.push(&moves) {
            // Looked at again: a twin of this pod may have landed it meanwhile.
            if remote.main().is_some_and(|main| remote.is_ancestor(candidate, main)) {
                return LandOutcome::Landed;
            }
            let now = remote.main().map(|o| o.to_string()).unwrap_or_default();
            return LandOutcome::Stale { now };
        }
        self.note(|| format!("git     {} lands {}", process.uid.0, candidate.short()));
        self.counts.landings += 1;
        self.watch_landing(&process.url, base, candidate, orders);
        match lost {
            true => LandOutcome::Transient,
            false => LandOutcome::Landed,
        }
    }

    fn tell_landing(&mut self, process: &mut Process, orders: &LandOrders, outcome: LandOutcome) {
        let landed = outcome == LandOutcome::Landed;
        if landed {
            self.sweep(process, orders);
        }
        let code = match &outcome {
            LandOutcome::Landed => 0,
            LandOutcome::Transient => exit::TRANSIENT,
            _ => 1,
        };
        let commit = if landed {
            orders.candidate.clone()
        } else {
            String::new()
        };
        let report = LandReport {
            version: VERSION,
            outcome,
            commit,
            detail: String::new(),
        };
        let now = self.time();
        process.shown.ends("land", code, "Completed", &report.encode(), now);
        process.shown.over(landed);
        self.show(process);
    }

    /// Candidate refs that this landing settled go.
    fn sweep(&mut self, process: &Process, orders: &LandOrders) {
        let prefix = candidates_prefix(&orders.rig);
        let remote = self.remote(&process.url);
        let batch = |name: &str| name.strip_prefix(&prefix)?.split('-').next()?.parse::<u64>().ok();
        let old: Vec<String> = remote
            .refs
            .keys()
            .filter(|n| batch(n).is_some_and(|b| b <= orders.batch))
            .cloned()
            .collect();
        for name in old {
            remote.refs.remove(&name);
        }
    }

    /// Somebody else pushes to the target branch. Their changes are good.
    pub(in crate::sim) fn outsider(&mut self, url: &str) {
        let path = match self.dice.chance(self.weather.conflict) {
            true => u32::try_from(self.dice.below(3)).unwrap_or(0),
            false => u32::try_from(self.dice.between(10_000, 20_000)).unwrap_or(10_000),
        };
        let remote = self.remote(url);
        let Some(main) = remote.main() else { return };
        let value = remote.value(crate::sim::Quality::default());
        let mut tree = remote.tree(main);
        tree.insert(path, value);
        let commit = remote.commit(&[main], tree);
        remote.refs.insert(MAIN.to_owned(), commit);
        self.note(|| format!("git     an outsider pushes {} to main", commit.short()));
    }
}
