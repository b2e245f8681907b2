//! The agent: what it writes, and how it ends.

use super::attempt::Attempt;
use super::{History, Process};
use crate::sim::Quality;
use gastown_harness::link::Ended;
use gastown_rules::Uid;
use gastown_wire::{CourierOutcome, EvidenceKind, Report as _};

/// How an agent will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    Works,
    Fails,
    Idles,
    LeavesDirt,
    Strays,
    Missing,
    Forges,
    Hangs,
}

impl History {
    /// How an agent will end.
    pub(super) fn temper(&mut self) -> Temper {
        if !self.dice.chance(self.weather.agents) {
            return Temper::Works;
        }
        let all = [
            Temper::Fails,
            Temper::Fails,
            Temper::Idles,
            Temper::LeavesDirt,
            Temper::Strays,
            Temper::Missing,
            Temper::Forges,
            Temper::Hangs,
        ];
        self.dice.pick(&all).copied().unwrap_or(Temper::Works)
    }

    /// One commit: the task's file gets this attempt's value; after a conflict, on top of the target branch.
    pub(super) fn commit(&mut self, process: &Process, attempt: &mut Attempt) {
        let subject = &attempt.orders.subject;
        let task = self.task(&Uid(subject.uid.clone()), &subject.name);
        let quality = self.quality(attempt, task.hopeless);
        let remote = self.remote(&process.url);
        let Some(main) = attempt.known.target.or(remote.main()) else {
            return;
        };
        let value = *attempt.value.get_or_insert_with(|| remote.value(quality));
        let conflict = attempt
            .orders
            .evidence
            .as_ref()
            .is_some_and(|e| e.kind == EvidenceKind::Conflict);
        let from = attempt.tip.unwrap_or(main);
        let mends = conflict && !remote.is_ancestor(main, from);
        let (parents, mut tree) = match mends {
            true => (vec![from, main], remote.tree(main)),
            false => (vec![from], remote.tree(from)),
        };
        tree.insert(task.path, value);
        attempt.tip = Some(remote.commit(&parents, tree));
    }

    fn quality(&mut self, attempt: &Attempt, hopeless: bool) -> Quality {
        if hopeless {
            return Quality { bad: true, clash: None };
        }
        let first = attempt.orders.round <= 1;
        let bad = self.dice.chance(if first {
            self.weather.bad
        } else {
            self.weather.bad / 3.0
        });
        let clash = first && self.dice.chance(self.weather.clash);
        let group = u32::try_from(self.dice.below(2)).unwrap_or(0);
        Quality {
            bad,
            clash: clash.then_some(group),
        }
    }
}

/// The agent's own end, as courier hears of it.
pub(super) fn ending(attempt: &Attempt) -> Ended {
    let mut ended = Ended {
        exit: Some(0),
        branch: attempt.orders.work_branch.clone(),
        ..Ended::default()
    };
    match attempt.temper {
        Some(Temper::Fails | Temper::Forges) => ended.exit = Some(1),
        Some(Temper::LeavesDirt) => ended.dirty = 2,
        Some(Temper::Strays) => ended.branch = "elsewhere".to_owned(),
        Some(Temper::Missing) => {
            ended.exit = None;
            ended.missing = Some("./agent.sh".to_owned());
        }
        _ => {}
    }
    ended
}

/// What a hostile agent leaves where only courier is believed.
pub(super) fn forgery(attempt: &Attempt) -> String {
    if attempt.temper != Some(Temper::Forges) {
        return String::new();
    }
    let mut report = attempt.report(CourierOutcome::Done);
    report.commit = "f".repeat(40);
    report.encode()
}
