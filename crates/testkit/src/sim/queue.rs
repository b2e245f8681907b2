//! What will happen, in order of time.

use std::collections::BTreeMap;

/// Milliseconds since the history began.
pub type Millis = i64;

/// Events by time; at the same instant, in the order they were set down.
#[derive(Clone, Debug)]
pub(crate) struct Agenda<E> {
    events: BTreeMap<(Millis, u64), E>,
    next: u64,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn put(&mut self, at: Millis, event: E) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<(Millis, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}
