//! Watches: in order, late, and sometimes a whole list instead.

use super::api::kinds;
use super::{Change, Event, History};
use gastown_rules::{Fact, Kind, Rev};
use std::collections::BTreeSet;

impl History {
    /// Something was written: every watch that lags gets its delivery set down.
    pub(super) fn spread(&mut self) {
        for kind in kinds() {
            let Some(cursor) = self.operator.cursors.get(&kind).copied() else {
                continue;
            };
            if cursor < self.store.length(kind) && self.operator.due.insert(kind) {
                let lag = self.lag();
                let epoch = self.operator.epoch;
                self.put_in(lag, Event::Deliver(epoch, kind));
            }
        }
    }

    fn lag(&mut self) -> i64 {
        if !self.dice.chance(self.weather.lag) {
            return self.dice.between(1, 30);
        }
        match self.dice.below(10) {
            0 => self.dice.between(20_000, 180_000),
            1..4 => self.dice.between(2_000, 20_000),
            _ => self.dice.between(30, 2_000),
        }
    }

    pub(super) fn deliver(&mut self, epoch: u32, kind: Kind) {
        if !self.is_leading(epoch) {
            return;
        }
        if let Some(until) = self.held.get(&kind).copied() {
            if until > self.now {
                self.agenda.put(until, Event::Deliver(epoch, kind));
                return;
            }
            self.held.remove(&kind);
        }
        self.operator.due.remove(&kind);
        match self.operator.cursors.get(&kind).copied() {
            Some(cursor) if !self.dice.chance(self.weather.relist) => self.follow(kind, cursor),
            _ => self.list(kind),
        }
        self.turn();
        self.spread();
    }

    fn list(&mut self, kind: Kind) {
        self.note(|| format!("list    {kind:?}"));
        let objects: Vec<_> = self
            .store
            .all()
            .filter(|o| o.meta().key.kind == kind)
            .cloned()
            .collect();
        let mut keys = BTreeSet::new();
        for object in objects {
            keys.insert(object.meta().key.clone());
            if let Some(seen) = object.seen() {
                self.operator.learn(Fact::Seen(seen));
            }
        }
        let rev: Rev = self.store.rev();
        self.operator.learn(Fact::Listed { kind, keys, rev });
        let length = self.store.length(kind);
        self.operator.cursors.insert(kind, length);
    }

    /// One change, or all there are.
    fn follow(&mut self, kind: Kind, cursor: usize) {
        let left = self.store.length(kind).saturating_sub(cursor);
        let take = if self.dice.chance(0.5) { left } else { left.min(1) };
        let changes: Vec<Change> = self.store.changes(kind, cursor).iter().take(take).cloned().collect();
        for change in changes {
            self.operator.learn(match change {
                Change::Is(seen) => Fact::Seen(seen),
                Change::Gone(key, rev) => Fact::Vanished { key, rev },
            });
        }
        self.operator.cursors.insert(kind, cursor + take);
    }
}
