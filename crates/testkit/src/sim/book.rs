//! What was promised (DESIGN §8), checked at every write, push and start, and once more at rest.

use super::pods::Process;
use super::{History, Oid};
use gastown_api::{self as api, DesiredState, PolecatPhase, conditions};
use gastown_rules::{Action, Key, Outcome, PodRole, PodRow, PolecatRow, Rev, Status, Uid, World, counts, limit};
use gastown_wire::{LandOrders, PolecatOrders, record_ref};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in DESIGN §8.
    pub invariant: u8,
    /// How.
    pub what: String,
}

impl Violation {
    pub(super) fn new(invariant: u8, what: impl Into<String>) -> Self {
        Self {
            invariant,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {} is broken: {}", self.invariant, self.what)
    }
}

/// What the operator knew when it sent a write.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// UIDs of the convoys it counted the polecat against.
    convoys: BTreeSet<Uid>,
}

impl Sent {
    pub(super) fn of(action: &Action, world: &World) -> Self {
        let Action::Publish {
            key,
            to: Status::Polecat(_),
            ..
        } = action
        else {
            return Self::default();
        };
        let Some(row) = world.polecats().get(key) else {
            return Self::default();
        };
        let known = world.convoys.values().filter(|c| limit(c).is_some() && counts(c, row));
        Self {
            convoys: known.map(|c| c.meta.uid.clone()).collect(),
        }
    }
}

/// An attempt that was reserved.
#[derive(Clone, Debug)]
struct Reservation {
    /// By the leader, in time: it knew what it was doing.
    fresh: bool,
    convoys: BTreeSet<Uid>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    reservations: BTreeMap<(Uid, u32), Reservation>,
    /// Pods whose create arrived after it was given up, or after its leader was: no limit can know of them.
    late: BTreeSet<Uid>,
    /// Pods whose pushes a record took, in order.
    holders: BTreeMap<Uid, Vec<(u32, Uid)>>,
    /// Rounds whose work is on the remote as done.
    recorded: BTreeSet<(Uid, u32)>,
    /// Rounds published as done.
    done: BTreeSet<(Uid, i64)>,
    /// Commits published as ready.
    ready: BTreeSet<(Uid, String)>,
    /// Every tip a remote took, by URL.
    pub(super) tips: BTreeSet<(String, Oid)>,
    green: BTreeSet<(String, Oid)>,
    /// Polecats and commits that landed.
    pub(super) landed: Vec<(Uid, String)>,
    /// A queue was deleted, and with it what it remembered of landings under way.
    pub(super) forgot: bool,
    /// What an operator was told not to be the newest.
    stale: BTreeSet<(u32, Key, Rev)>,
    /// Who ever wanted a branch.
    branches: BTreeMap<(String, String), BTreeSet<Uid>>,
}

impl Book {
    /// Somebody wants a branch of a remote.
    pub(super) fn wants(&mut self, url: &str, orders: &PolecatOrders) {
        let branch = (url.to_owned(), orders.work_branch.clone());
        self.branches
            .entry(branch)
            .or_default()
            .insert(Uid(orders.subject.uid.clone()));
    }

    /// Whether others wanted the same branch: then only one can have it.
    pub(super) fn is_contested(&self, polecat: &Uid) -> bool {
        self.branches
            .values()
            .any(|uids| uids.len() > 1 && uids.contains(polecat))
    }

    /// A queue is gone.
    pub(super) fn forgets(&mut self) {
        self.forgot = true;
    }

    /// A pod was made by a request that everybody had given up.
    pub(super) fn is_late(&mut self, pod: &Uid) {
        self.late.insert(pod.clone());
    }

    /// Somebody no longer wants what was done.
    pub(super) fn unwanted(&mut self, polecat: &Uid) {
        self.done.retain(|(uid, _)| uid != polecat);
    }
}

// At every write.

impl History {
    /// A Polecat's status is written.
    pub(super) fn watch_polecat(&mut self, before: &PolecatRow, after: &api::PolecatStatus, sent: &Sent, fresh: bool) {
        let (uid, key, held) = (before.meta.uid.clone(), &before.meta.key, &before.status);
        let attempt = |s: &api::PolecatStatus| s.attempt.unwrap_or(0);
        let round = |s: &api::PolecatStatus| s.round.unwrap_or(1);
        let merged = |s: &api::PolecatStatus| conditions::is_true(&s.conditions, conditions::MERGED);
        if merged(held) && (!merged(after) || held.merged_commit != after.merged_commit) {
            self.break_promise(
                3,
                format!("{key} was merged as {:?}, and is no more", held.merged_commit),
            );
        }
        if attempt(after) < attempt(held) || attempt(after) > attempt(held) + 1 {
            self.break_promise(
                1,
                format!("{key} goes from attempt {} to {}", attempt(held), attempt(after)),
            );
        }
        if round(after) < round(held) || round(after) > round(held) + 1 {
            self.break_promise(3, format!("{key} goes from round {} to {}", round(held), round(after)));
        }
        let unwanted = before.spec.desired_state == DesiredState::Terminated;
        let left = held.phase == PolecatPhase::Done && after.phase != PolecatPhase::Done;
        if left && round(after) == round(held) && !unwanted && after.phase != PolecatPhase::Terminated {
            self.break_promise(
                3,
                format!("{key} was done in round {}, and goes to {:?}", round(held), after.phase),
            );
        }
        if round(after) > round(held) {
            self.counts.handed_back += 1;
            if !self.book.done.contains(&(uid.clone(), round(held))) && !unwanted {
                self.break_promise(
                    3,
                    format!("{key} is handed back from round {}, which was not done", round(held)),
                );
            }
        }
        if attempt(after) > attempt(held) {
            let number = u32::try_from(attempt(after)).unwrap_or(0);
            let reservation = Reservation {
                fresh,
                convoys: sent.convoys.clone(),
            };
            self.book.reservations.insert((uid.clone(), number), reservation);
        }
        if conditions::is_true(&after.conditions, conditions::AVAILABLE) {
            self.watch_ready(before, after);
        }
        if merged(after) && !merged(held) {
            self.watch_merged(before, after);
        }
    }

    fn watch_ready(&mut self, before: &PolecatRow, after: &api::PolecatStatus) {
        let commit = after.commit.clone().unwrap_or_default();
        let there = Oid::parse(&commit).is_some_and(|id| self.remotes.values().any(|r| r.reachable(id)));
        if !there {
            self.break_promise(
                2,
                format!("{} is done as {commit:?}, which is on no remote", before.meta.key),
            );
        }
        self.book
            .done
            .insert((before.meta.uid.clone(), after.round.unwrap_or(1)));
        self.book.ready.insert((before.meta.uid.clone(), commit));
    }

    fn watch_merged(&mut self, before: &PolecatRow, after: &api::PolecatStatus) {
        self.counts.merged += 1;
        let commit = after.merged_commit.clone().unwrap_or_default();
        let landed = Oid::parse(&commit).is_some_and(|id| {
            self.remotes
                .values()
                .any(|r| r.main().is_some_and(|main| r.is_ancestor(id, main)))
        });
        if !landed {
            self.break_promise(
                4,
                format!("{} is merged as {commit:?}, which is on no main", before.meta.key),
            );
        }
    }

    /// A pod is about to be created.
    pub(super) fn watch_pod(&mut self, pod: &PodRow, fresh: bool) {
        if pod.role != PodRole::Polecat || self.store.get(&pod.meta.key).is_some() {
            return;
        }
        let owner = self
            .store
            .polecats()
            .find(|p| Some(&p.meta.uid) == pod.owner.as_ref())
            .cloned();
        let Some(owner) = owner else { return };
        let reserved = owner.status.attempt.unwrap_or(0);
        if i64::from(pod.attempt) > reserved {
            let what = format!(
                "{} is attempt {}, and {reserved} is published",
                pod.meta.key, pod.attempt
            );
            self.break_promise(1, what);
        }
        let done = self.book.done.contains(&(owner.meta.uid.clone(), i64::from(pod.round)));
        if fresh && done {
            let what = format!(
                "{} is made for round {} of {}, which was done",
                pod.meta.key, pod.round, owner.meta.key
            );
            self.break_promise(3, what);
        }
    }

    /// The operator hears what became of a write. Told once that it has not seen the newest, it must wait to see it.
    pub(super) fn watch_answer(&mut self, action: &Action, outcome: &Outcome) {
        let on = match action {
            Action::Publish { key, rev, .. } | Action::Annotate { key, rev, .. } | Action::Release { key, rev, .. } => {
                (key.clone(), *rev)
            }
            Action::Create { .. } | Action::Delete { .. } => return,
        };
        let stale = (self.operator.epoch, on.0, on.1);
        if *outcome == Outcome::Stale && !self.book.stale.insert(stale.clone()) {
            self.break_promise(
                8,
                format!("{} is written again at {:?}, which was stale", stale.1, stale.2),
            );
        }
    }

    /// An agent is started.
    pub(super) fn watch_agent(&mut self, orders: &PolecatOrders) {
        let round = (Uid(orders.subject.uid.clone()), orders.round);
        if self.book.recorded.contains(&round) {
            let what = format!(
                "an agent starts in round {} of {}, which is done",
                orders.round, orders.subject.name
            );
            self.break_promise(3, what);
        }
    }

    /// A remote took a push of a polecat's pod.
    pub(super) fn watch_push(&mut self, process: &Process, orders: &PolecatOrders, tip: Option<Oid>) {
        let uid = Uid(orders.subject.uid.clone());
        let (url, pod, attempt) = (process.url().to_owned(), process.uid.clone(), orders.attempt);
        let holders = self.book.holders.entry(uid.clone()).or_default();
        let last = holders.last().cloned();
        let us = (attempt, pod);
        if last.as_ref() != Some(&us) {
            let newer = last.as_ref().is_none_or(|(held, _)| attempt > *held);
            holders.push(us.clone());
            if !newer {
                let what = format!("attempt {attempt} of pod {} pushes after {last:?}", us.1.0);
                self.break_promise(1, what);
            }
        }
        if let Some(tip) = tip {
            self.book.tips.insert((url.clone(), tip));
        }
        let record = self.remotes.get(&url).and_then(|r| {
            let at = r.at(&record_ref(&uid.0))?;
            r.record(at)
        });
        if let Some(record) = record.filter(|r| r.is_done(r.round)) {
            let round = record.round;
            self.book.recorded.insert((uid, round));
        }
    }

    /// The tests passed on a commit.
    pub(super) fn watch_green(&mut self, url: &str, commit: Oid) {
        self.book.green.insert((url.to_owned(), commit));
    }

    /// The target branch was moved by a land pod.
    pub(super) fn watch_landing(&mut self, url: &str, base: Oid, candidate: Oid, orders: &LandOrders) {
        let Some(remote) = self.remotes.get(url) else { return };
        let (old, new) = (remote.tree(base), remote.tree(candidate));
        let forward = remote.is_ancestor(base, candidate);
        let red = remote.is_red(&new);
        let values: BTreeSet<u64> = orders
            .members
            .iter()
            .filter_map(|m| Oid::parse(&m.commit))
            .flat_map(|c| remote.tree(c).into_values())
            .collect();
        let foreign = new
            .iter()
            .any(|(path, value)| old.get(path) != Some(value) && !values.contains(value));
        let member = |m: &gastown_wire::Member| (Uid(m.uid.clone()), m.commit.clone());
        let unready = orders
            .members
            .iter()
            .find(|m| !self.book.ready.contains(&member(m)))
            .cloned();
        if !self.book.green.contains(&(url.to_owned(), candidate)) {
            self.break_promise(4, format!("{candidate} lands and was never green"));
        }
        if !forward {
            self.break_promise(
                4,
                format!("main goes from {base} to {candidate}, which does not contain it"),
            );
        }
        if red {
            self.break_promise(4, format!("{candidate} lands and is red"));
        }
        if foreign {
            self.break_promise(4, format!("{candidate} holds a change of nobody who lands"));
        }
        if let Some(unready) = unready {
            self.break_promise(
                4,
                format!("{} lands at {} and was not ready", unready.polecat, unready.commit),
            );
        }
        self.book.landed.extend(orders.members.iter().map(member));
    }

    /// Live pods against the limits.
    pub(super) fn check_caps(&mut self) {
        let now = self.time();
        let lives = |p: &&PodRow| {
            // A node that never confirms an end is given up after five minutes (DESIGN §5).
            p.role == PodRole::Polecat
                && p.live()
                && !self.book.late.contains(&p.meta.uid)
                && p.meta.deleting.is_none_or(|at| now < at + SignedDuration::from_mins(5))
        };
        let reservation = |p: &PodRow| {
            let owner = p.owner.clone()?;
            self.book.reservations.get(&(owner, p.attempt))
        };
        let mut broken = None;
        for rig in self.store.rigs() {
            let Some(most) = rig.spec.settings.as_ref().and_then(|s| s.max_polecats) else {
                continue;
            };
            let name = &rig.meta.key.name;
            let count = self
                .store
                .pods()
                .filter(lives)
                .filter(|p| p.rig == *name && reservation(p).is_none_or(|r| r.fresh))
                .count();
            if count > usize::try_from(most).unwrap_or(0) {
                broken = Some(format!("{count} pods of rig {name} live, and maxPolecats is {most}"));
            }
        }
        for convoy in self.store.convoys() {
            let Some(most) = limit(convoy) else { continue };
            let known = |p: &PodRow| reservation(p).is_some_and(|r| r.fresh && r.convoys.contains(&convoy.meta.uid));
            let of_it = |p: &PodRow| {
                self.store
                    .polecats()
                    .any(|row| Some(&row.meta.uid) == p.owner.as_ref() && counts(convoy, row))
            };
            let count = self.store.pods().filter(lives).filter(|p| known(p) && of_it(p)).count();
            if count > most {
                broken = Some(format!(
                    "{count} pods of {} live, and parallelism is {most}",
                    convoy.meta.key
                ));
            }
        }
        if let Some(what) = broken {
            self.break_promise(6, what);
        }
    }
}
