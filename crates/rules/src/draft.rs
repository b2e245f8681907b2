//! The plan under construction: what may be written now, at most once an object.

use crate::key::{Key, RigKey};
use crate::plan::{Action, Notice, Plan, Status};
use crate::reason::Reason;
use crate::remote;
use crate::row::{BeadStoreRow, ConvoyRow, Meta, PodRow, PolecatRow, RefineryRow, RigRow, WitnessRow};
use crate::world::{Blocked, World};
use gastown_api as api;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Collects the actions of one rig after another.
///
/// An object is written at most once a plan, and not at all while an earlier write of it is unanswered,
/// refused, or overtaken by something the watch has not brought yet. Whoever pushes need not care: the fact
/// that lifts the block makes the rig dirty again, and a block that only time lifts becomes a wake.
#[derive(Debug)]
pub(crate) struct Draft<'w> {
    world: &'w World,
    now: Timestamp,
    rig: RigKey,
    actions: BTreeMap<Key, Action>,
    wakes: BTreeMap<RigKey, Timestamp>,
}

impl<'w> Draft<'w> {
    /// An empty draft.
    pub(crate) fn new(world: &'w World, now: Timestamp) -> Self {
        Self {
            world,
            now,
            rig: RigKey::default(),
            actions: BTreeMap::new(),
            wakes: BTreeMap::new(),
        }
    }

    /// From here on, blocked writes wake this rig.
    pub(crate) fn begin(&mut self, rig: &RigKey) {
        self.rig.clone_from(rig);
    }

    /// Plans the deletion of a pod that is not being deleted yet. `over`: it has ended, and nothing waits for it to be gone.
    pub(crate) fn delete(&mut self, pod: &PodRow, over: bool, because: Reason) {
        if pod.meta.deleting.is_none() {
            self.push(Action::Delete {
                key: pod.meta.key.clone(),
                uid: pod.meta.uid.clone(),
                over,
                because,
            });
        }
    }

    /// Plans an action unless its object is blocked or written already. True when it was taken.
    pub(crate) fn push(&mut self, action: Action) -> bool {
        let key = action.key();
        if self.actions.contains_key(key) {
            return false;
        }
        match self.world.blocked(key, self.now) {
            Some(Blocked::ForFacts) => false,
            Some(Blocked::Until(at)) => {
                let rig = self.rig.clone();
                self.wake_at(&rig, at);
                false
            }
            None => {
                self.actions.insert(key.clone(), action);
                true
            }
        }
    }

    /// Whether nothing can be written to an object before a fact comes that makes its rig dirty again.
    pub(crate) fn awaits(&self, key: &Key) -> bool {
        self.world.blocked(key, self.now) == Some(Blocked::ForFacts)
    }

    /// Looks at a rig again at an instant, or earlier where something else asks for it.
    pub(crate) fn wake_at(&mut self, rig: &RigKey, at: Timestamp) {
        let wake = self.wakes.entry(rig.clone()).or_insert(at);
        *wake = (*wake).min(at);
    }

    /// Whether an object's status may be written again; if not, its rig is woken when it may. For sums, which
    /// change with every member.
    pub(crate) fn paced(&mut self, key: &Key, pace: SignedDuration) -> bool {
        let next = self.world.written(key).map(|at| at + pace).filter(|at| *at > self.now);
        if let Some(at) = next {
            let rig = self.rig.clone();
            self.wake_at(&rig, at);
        }
        next.is_none()
    }

    /// Publishes a Polecat's status where it differs. Whatever it says, what is kept no more is told with it.
    pub(crate) fn publish_polecat(
        &mut self,
        row: &PolecatRow,
        to: api::PolecatStatus,
        because: Reason,
        mut notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        notices.extend(remote::kept_no_more(&row.status, &to).map(|because| Notice { warning: true, because }));
        let (from, to) = (
            Status::Polecat(Box::new(row.status.clone())),
            Status::Polecat(Box::new(to)),
        );
        self.publish(&row.meta, from, to, because, notices)
    }

    /// Publishes a Refinery's status where it differs.
    pub(crate) fn publish_refinery(
        &mut self,
        row: &RefineryRow,
        to: api::RefineryStatus,
        because: Reason,
        notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        let (from, to) = (
            Status::Refinery(Box::new(row.status.clone())),
            Status::Refinery(Box::new(to)),
        );
        self.publish(&row.meta, from, to, because, notices)
    }

    /// Publishes a Rig's status where it differs.
    pub(crate) fn publish_rig(
        &mut self,
        row: &RigRow,
        to: api::RigStatus,
        because: Reason,
        notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        let (from, to) = (Status::Rig(Box::new(row.status.clone())), Status::Rig(Box::new(to)));
        self.publish(&row.meta, from, to, because, notices)
    }

    /// Publishes a Convoy's status where it differs.
    pub(crate) fn publish_convoy(
        &mut self,
        row: &ConvoyRow,
        to: api::ConvoyStatus,
        because: Reason,
        notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        let (from, to) = (
            Status::Convoy(Box::new(row.status.clone())),
            Status::Convoy(Box::new(to)),
        );
        self.publish(&row.meta, from, to, because, notices)
    }

    /// Publishes a Witness's status where it differs.
    pub(crate) fn publish_witness(
        &mut self,
        row: &WitnessRow,
        to: api::WitnessStatus,
        because: Reason,
        notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        let (from, to) = (
            Status::Witness(Box::new(row.status.clone())),
            Status::Witness(Box::new(to)),
        );
        self.publish(&row.meta, from, to, because, notices)
    }

    /// Publishes a BeadStore's status where it differs.
    pub(crate) fn publish_bead_store(
        &mut self,
        row: &BeadStoreRow,
        to: api::BeadStoreStatus,
        because: Reason,
        notices: Vec<Notice>,
    ) -> bool {
        if to == row.status {
            return false;
        }
        let (from, to) = (
            Status::BeadStore(Box::new(row.status.clone())),
            Status::BeadStore(Box::new(to)),
        );
        self.publish(&row.meta, from, to, because, notices)
    }

    fn publish(&mut self, meta: &Meta, from: Status, to: Status, because: Reason, notices: Vec<Notice>) -> bool {
        self.push(Action::Publish {
            key: meta.key.clone(),
            uid: meta.uid.clone(),
            rev: meta.rev,
            from,
            to,
            notices,
            because,
        })
    }

    /// The plan: records first, then what frees, then what starts.
    pub(crate) fn finish(self) -> Plan {
        let mut actions: Vec<Action> = self.actions.into_values().collect();
        // Among equals whoever was left alone longest, where not all can be written at once.
        actions.sort_by_key(|action| (rank(action), action.decided_on()));
        Plan {
            actions,
            wakes: self.wakes,
        }
    }
}

/// Safest first: a record lost costs more than a pod started late. The sort is stable, so equals keep key order.
fn rank(action: &Action) -> u8 {
    match action {
        Action::Publish { .. } => 0,
        Action::Release { .. } | Action::Annotate { .. } => 1,
        Action::Delete { .. } => 2,
        Action::Create { .. } => 3,
    }
}
