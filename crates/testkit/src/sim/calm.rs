//! The end of the storm: nothing goes wrong any more, and somebody looks after what is stuck.

use super::{Event, History, Millis, Object, Weather};
use gastown_api::{DesiredState, PolecatPhase, conditions};
use gastown_rules::Key;

/// Somebody looks this often …
const ROUND: Millis = 3_600_000;
/// … and so many times.
const ROUNDS: u32 = 10;

impl History {
    /// The faults end: nodes come back, rigs are there and not paused.
    pub fn calm(&mut self) {
        self.note(|| "CALM    the faults end".to_owned());
        self.weather = Weather::calm();
        self.calm = true;
        self.held.clear();
        self.planned.clear();
        let cut: Vec<_> = self
            .processes
            .values()
            .filter(|p| p.is_cut())
            .map(|p| p.uid.clone())
            .collect();
        for uid in cut {
            self.put_between(1_000, 60_000, Event::Return(uid));
        }
        self.restore_rigs();
        self.put_in(600_000, Event::Tend);
    }

    /// Whoever is stuck for a reason that passed is told to try again, by an edit of its spec.
    pub(super) fn tend(&mut self) {
        self.tended += 1;
        self.restore_rigs();
        let stuck: Vec<Key> = self
            .store
            .polecats()
            .filter(|p| {
                p.status.phase == PolecatPhase::Stuck
                    && p.spec.desired_state == DesiredState::Working
                    && !conditions::is_true(&p.status.conditions, conditions::MERGED)
                    && !self.is_hopeless(&p.meta.key.name)
            })
            .map(|p| p.meta.key.clone())
            .collect();
        for key in stuck {
            self.note(|| format!("user    tends {key}"));
            self.edit_polecat(&key, |p| p.spec.priority = Some(p.spec.priority.unwrap_or(0) + 1));
        }
        if self.tended < ROUNDS {
            self.put_in(ROUND, Event::Tend);
        }
    }

    pub(super) fn is_hopeless(&self, name: &str) -> bool {
        self.hopeless.contains(name)
    }

    /// An edit of a spec: newer revision, newer generation.
    pub(super) fn edit_polecat(&mut self, key: &Key, change: impl FnOnce(&mut gastown_rules::PolecatRow)) {
        self.store.update(key, |o| {
            if let Object::Polecat(p) = o {
                change(p);
                p.meta.generation += 1;
            }
        });
        self.spread();
    }
}
