//! At rest: everybody landed or is told why not, nothing is left over, and nothing is written.

use super::book::Violation;
use super::operator::said;
use super::{History, Object};
use crate::build::NAMESPACE;
use gastown_api::{self as api, DesiredState, PolecatPhase, conditions};
use gastown_rules::{Key, Kind, PolecatRow, counts, decide};

impl History {
    /// Whether all is well where nothing will happen any more: everybody landed, or somebody is needed and it is
    /// said; nothing is left over; and a new operator finds nothing to write.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub fn check_rest(&mut self) -> Result<(), Violation> {
        let rest: Vec<PolecatRow> = self.store.polecats().cloned().collect();
        for row in &rest {
            self.rests(row)?;
        }
        self.nothing_is_left()?;
        self.all_is_recorded()?;
        self.convoys_count()?;
        self.nothing_is_lost()?;
        let now = self.clock();
        let plan = decide(&self.operator.world, &self.operator.world.all(), now);
        if let Some(action) = plan.actions.first() {
            return Err(Violation::new(7, format!("at rest, and yet: {}", said(action))));
        }
        let sent = self.counts.sent;
        self.crash();
        self.settle()?;
        if self.counts.sent != sent {
            return Err(Violation::new(
                7,
                format!("a new operator writes {} times at rest", self.counts.sent - sent),
            ));
        }
        Ok(())
    }

    fn rests(&mut self, row: &PolecatRow) -> Result<(), Violation> {
        let (key, status) = (&row.meta.key, &row.status);
        let say = |n: u8, what: &str| {
            let message = status.message.clone().unwrap_or_default();
            Err(Violation::new(
                n,
                format!(
                    "{key} ({:?} in round {:?}, {message}) {what}",
                    status.phase, status.round
                ),
            ))
        };
        if row.meta.deleting.is_some() {
            return say(10, "is deleted and does not go");
        }
        if conditions::is_true(&status.conditions, conditions::MERGED) {
            return Ok(());
        }
        let excused = self.is_hopeless(&key.name) || self.book.is_contested(&row.meta.uid);
        match (row.spec.desired_state, status.phase) {
            (DesiredState::Terminated, PolecatPhase::Terminated) => Ok(()),
            (DesiredState::Terminated, _) => say(5, "is not terminated"),
            (_, PolecatPhase::Stuck) if excused => {
                self.counts.stuck += 1;
                Ok(())
            }
            (DesiredState::Idle, PolecatPhase::Idle | PolecatPhase::Stuck) => Ok(()),
            (DesiredState::Working, PolecatPhase::Stuck) => say(5, "is stuck though its work is good"),
            (_, PolecatPhase::Done) => say(5, "is done and does not land"),
            _ => say(5, "waits for nothing"),
        }
    }

    fn nothing_is_left(&self) -> Result<(), Violation> {
        if let Some(pod) = self.store.pods().next() {
            let owned = pod.owner.as_ref().is_some_and(|o| self.store.has_uid(o));
            let (key, orphan) = (&pod.meta.key, if owned { "" } else { ", an orphan" });
            return Err(Violation::new(
                10,
                format!("{key} is left over{orphan} ({:?})", pod.phase),
            ));
        }
        for object in self.store.all() {
            if let Object::Refinery(r) = object
                && !r.status.members.is_empty()
            {
                return Err(Violation::new(
                    5,
                    format!("{} rests with a batch: {:?}", r.meta.key, r.status.message),
                ));
            }
            if object.meta().deleting.is_some() {
                return Err(Violation::new(
                    10,
                    format!("{} is deleted and does not go", object.meta().key),
                ));
            }
        }
        Ok(())
    }

    fn all_is_recorded(&self) -> Result<(), Violation> {
        for (uid, commit) in &self.book.landed {
            let Some(row) = self.store.polecats().find(|p| p.meta.uid == *uid) else {
                continue;
            };
            // Whoever is wanted goes through the next queue and is found on the branch; nobody asks for the others.
            if self.book.forgot && row.spec.desired_state != DesiredState::Working {
                continue;
            }
            if !conditions::is_true(&row.status.conditions, conditions::MERGED) {
                let phase = row.status.phase;
                return Err(Violation::new(
                    4,
                    format!("{} landed at {commit} and is {phase:?}", row.meta.key),
                ));
            }
        }
        Ok(())
    }

    fn convoys_count(&self) -> Result<(), Violation> {
        for convoy in self.store.convoys() {
            let landed = |bead: &String| {
                self.store.polecats().any(|p| {
                    counts(convoy, p)
                        && p.spec.bead_id.as_ref() == Some(bead)
                        && conditions::is_true(&p.status.conditions, conditions::MERGED)
                })
            };
            let status = &convoy.status;
            let uncounted = convoy
                .spec
                .tracked_beads
                .iter()
                .find(|b| landed(b) && !status.completed_beads.contains(b));
            if let Some(bead) = uncounted {
                return Err(Violation::new(
                    5,
                    format!("{} does not count {bead}, which landed", convoy.meta.key),
                ));
            }
            let all = convoy
                .spec
                .tracked_beads
                .iter()
                .all(|b| status.completed_beads.contains(b));
            if all != (status.phase == api::ConvoyPhase::Complete) {
                return Err(Violation::new(5, format!("{} is {:?}", convoy.meta.key, status.phase)));
            }
        }
        Ok(())
    }

    fn nothing_is_lost(&self) -> Result<(), Violation> {
        for (url, tip) in &self.book.tips {
            if !self.remotes.get(url).is_some_and(|r| r.reachable(*tip)) {
                return Err(Violation::new(2, format!("{tip} was on {url} and is lost")));
            }
        }
        Ok(())
    }

    /// Why the town is still busy, for people.
    pub(super) fn unrest(&self) -> String {
        let phases: Vec<String> = self
            .store
            .polecats()
            .map(|p| {
                let message = p.status.message.clone().unwrap_or_default();
                format!("{} {:?} ({message})", p.meta.key.name, p.status.phase)
            })
            .collect();
        let pods: Vec<String> = self.store.pods().map(|p| p.meta.key.name.clone()).collect();
        format!("{}; pods {}", phases.join(", "), pods.join(", "))
    }

    /// A polecat by name.
    #[must_use]
    pub fn polecat(&self, name: &str) -> Option<&PolecatRow> {
        match self.store.get(&Key::new(Kind::Polecat, NAMESPACE, name)) {
            Some(Object::Polecat(row)) => Some(row),
            _ => None,
        }
    }
}
