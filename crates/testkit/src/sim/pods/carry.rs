//! What courier pushes: record and work branch at once, each with a lease on its old value.

use super::attempt::Attempt;
use super::{History, Process};
use crate::sim::{Lease, Move, Oid};
use gastown_harness::record::Record;
use gastown_wire::record_ref;

/// The refs of a remote that concern one polecat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub(super) target: Option<Oid>,
    pub(super) record: Option<Oid>,
    pub(super) work: Option<Oid>,
}

/// What became of an attempt to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// All there is, is on the remote, as far as the remote takes it.
    Level,
    /// The remote did not answer.
    Later,
    /// A newer attempt holds the record.
    Fenced,
}

fn branch(attempt: &Attempt) -> String {
    format!("refs/heads/{}", attempt.orders.work_branch)
}

impl History {
    pub(super) fn heads(&mut self, process: &Process, attempt: &Attempt) -> Heads {
        let remote = self.remote(&process.url);
        Heads {
            target: remote.main(),
            record: remote.at(&record_ref(&attempt.orders.subject.uid)),
            work: remote.at(&branch(attempt)),
        }
    }

    /// A branch that is not where our record says was moved by somebody else: it is not ours to move again.
    pub(super) fn mind_strangers(&mut self, attempt: &mut Attempt) {
        if attempt
            .known
            .work
            .is_some_and(|there| there.to_string() != attempt.record.commit)
        {
            attempt.refused = Some("somebody else moved the branch".to_owned());
        }
    }

    /// Pushes what is new, with a record that says a word. Looks again where a lease did not hold.
    pub(super) fn carry(&mut self, process: &Process, attempt: &mut Attempt, word: &str) -> Carried {
        for _ in 0..3 {
            if self.dice.chance(self.weather.git / 2.0) {
                return Carried::Later;
            }
            if self.push_record(process, attempt, word) {
                return Carried::Level;
            }
            if self.dice.chance(self.weather.git / 2.0) {
                return Carried::Later;
            }
            let heads = self.heads(process, attempt);
            let remote = self.remote(&process.url);
            let record = heads
                .record
                .and_then(|id| remote.record(id))
                .cloned()
                .unwrap_or_default();
            if !record.is_held_by(attempt.orders.attempt, &process.uid.0) {
                return Carried::Fenced;
            }
            attempt.known = heads;
            attempt.record = record;
            self.mind_strangers(attempt);
        }
        Carried::Later
    }

    /// One atomic push. False: a lease did not hold, or the answer was lost, which looks the same.
    pub(super) fn push_record(&mut self, process: &Process, attempt: &mut Attempt, word: &str) -> bool {
        let mut next: Record = attempt.record.clone();
        let word = if attempt.refused.is_some() && word == super::attempt::done() {
            "pushRejected"
        } else {
            word
        };
        word.clone_into(&mut next.outcome);
        next.version = gastown_wire::VERSION;
        next.branch.clone_from(&attempt.orders.work_branch);
        let tip = attempt.tip;
        let known = attempt.known;
        let behind = tip.is_some() && tip != known.work && attempt.refused.is_none();
        let name = branch(attempt);
        let remote = self.remote(&process.url);
        if let (Some(tip), Some(target), None) = (tip, known.target, &attempt.refused) {
            next.commit = tip.to_string();
            next.commits = remote.since(target, tip);
            next.base = remote.fork(target, tip).unwrap_or(target).to_string();
        }
        let parents: Vec<Oid> = known.record.into_iter().chain(tip).collect();
        let link = remote.record_commit(&parents, next.clone());
        let record = record_ref(&attempt.orders.subject.uid);
        let mut moves = vec![Move {
            name: record,
            to: Some(link),
            lease: Lease::Is(known.record),
        }];
        if behind {
            moves.push(Move {
                name,
                to: tip,
                lease: Lease::Is(known.work),
            });
        }
        if !remote.push(&moves) {
            self.note(|| format!("git     {} is refused ({word}): a lease did not hold", process.uid.0));
            return false;
        }
        self.note(|| {
            let tip = tip.map(Oid::short).unwrap_or_default();
            format!(
                "git     {} pushes {word} {tip} for attempt {}",
                process.uid.0, attempt.orders.attempt
            )
        });
        self.watch_push(process, &attempt.orders, tip.filter(|_| behind));
        if self.dice.chance(self.weather.git / 2.0) {
            // Carried out, and the answer lost.
            return false;
        }
        attempt.known.record = Some(link);
        if behind {
            attempt.known.work = tip;
        }
        attempt.record = next;
        true
    }
}
