//! How much of a plan is begun. What is left out is not queued: it is decided afresh once there is room, so a crowd costs
//! no memory while it waits, nothing is written that a moment ago was true, and no end queues behind a crowd's beginnings.

use gastown_rules::{Action, Key};

/// One kind of writes: begun and not answered.
struct Room {
    most: usize,
    begun: usize,
    /// Something found no room.
    short: bool,
}

impl Room {
    const fn of(most: usize) -> Self {
        Self {
            most,
            begun: 0,
            short: false,
        }
    }
}

/// What is begun and not answered, by what waits for it.
pub(crate) struct Begun {
    moves: Room,
    creates: Room,
    news: Room,
    /// Creations go round: under a load that lasts, nobody's name is a reason to wait for ever.
    last_created: Option<Key>,
}

impl Default for Begun {
    /// Enough to keep the writers busy from one decision to the next, which is 50 ms later at most.
    fn default() -> Self {
        Self {
            moves: Room::of(256),
            creates: Room::of(256),
            news: Room::of(64),
            last_created: None,
        }
    }
}

impl Begun {
    /// What of a plan there is room for, in its order, and whether that is all of it.
    pub(crate) fn take(&mut self, mut actions: Vec<Action>) -> (Vec<Action>, bool) {
        let planned = actions.len();
        let creates = actions.partition_point(|a| !matches!(a, Action::Create { .. }));
        if let Some(creates) = actions.get_mut(creates..) {
            let next = creates.partition_point(|a| Some(a.key()) <= self.last_created.as_ref());
            creates.rotate_left(next);
        }
        actions.retain(|action| {
            let room = self.of(action);
            let fits = room.begun < room.most;
            room.begun += usize::from(fits);
            room.short |= !fits;
            fits
        });
        if let Some(last @ Action::Create { .. }) = actions.last() {
            self.last_created = Some(last.key().clone());
        }
        let all = actions.len() == planned;
        (actions, all)
    }

    /// Whether nothing that matters can be begun now. Then it is asked for again as what found no room is.
    pub(crate) fn is_full(&mut self) -> bool {
        let full = [&self.moves, &self.creates].iter().all(|room| room.begun >= room.most);
        if full {
            (self.moves.short, self.creates.short) = (true, true);
        }
        full
    }

    /// One was answered. Whether to decide again what found no room: not before half of it is free, for each time a plan
    /// is made of all that waits.
    pub(crate) fn ended(&mut self, action: &Action) -> bool {
        let room = self.of(action);
        room.begun = room.begun.saturating_sub(1);
        let again = room.short && room.begun * 2 <= room.most;
        room.short &= !again;
        again
    }

    fn of(&mut self, action: &Action) -> &mut Room {
        match action {
            Action::Create { .. } => &mut self.creates,
            other if other.moves_work() => &mut self.moves,
            _ => &mut self.news,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_rules::{Blueprint, Kind, Reason, TextMap, Uid};
    use std::collections::BTreeSet;

    fn create(name: &str) -> Action {
        let blueprint = Blueprint::Texts(TextMap {
            key: Key::new(Kind::ConfigMap, "town", name),
            owner: ("nux".into(), Uid("u".into())),
            texts: Default::default(),
        });
        Action::Create {
            blueprint: Box::new(blueprint),
            because: Reason::new("Test", ""),
        }
    }

    fn delete(name: &str) -> Action {
        Action::Delete {
            key: Key::new(Kind::Pod, "town", name),
            uid: Uid("u".into()),
            over: false,
            because: Reason::new("Test", ""),
        }
    }

    fn names(actions: &[Action]) -> Vec<&str> {
        actions.iter().map(|a| a.key().name.as_str()).collect()
    }

    fn crowd(n: usize) -> Vec<Action> {
        (0..n).map(|n| create(&format!("c{n:04}"))).collect()
    }

    #[test]
    fn a_crowds_beginnings_leave_room_for_ends() {
        let mut begun = Begun::default();
        let (first, all) = begun.take(crowd(1000));
        assert_eq!((first.len(), all), (256, false));
        let (ends, all) = begun.take(vec![delete("a"), delete("b"), create("c0999")]);
        assert_eq!((names(&ends), all), (vec!["a", "b"], false));
    }

    #[test]
    fn what_found_no_room_is_decided_again_once_half_of_it_is_free() {
        let mut begun = Begun::default();
        let (first, _) = begun.take(crowd(256));
        let (mut early, late) = (first.iter(), 128);
        assert!(early.by_ref().take(late).all(|a| !begun.ended(a)), "nothing waits");
        let (more, all) = begun.take(crowd(1000));
        assert_eq!((more.len(), all), (128, false));
        let answers: Vec<bool> = first.iter().skip(late).map(|a| begun.ended(a)).collect();
        assert_eq!(answers.iter().filter(|again| **again).count(), 1, "once");
        assert_eq!(answers.last(), Some(&true), "when half is free, not before");
        assert!(begun.take(vec![create("x")]).1);
    }

    #[test]
    fn who_was_not_even_asked_is_asked_once_there_is_room() {
        let mut begun = Begun::default();
        let creates = begun.take(crowd(256)).0;
        assert!(!begun.is_full(), "ends may begin");
        begun.take((0..256).map(|n| delete(&format!("d{n}"))).collect());
        assert!(begun.is_full());
        assert!(creates.iter().take(128).any(|a| begun.ended(a)));
        assert!(!begun.is_full());
    }

    #[test]
    fn all_of_a_crowd_has_its_turn_though_who_comes_first_comes_again() {
        let mut begun = Begun::default();
        let mut served = BTreeSet::new();
        for _ in 0..4 {
            let (taken, _) = begun.take(crowd(1000));
            for action in &taken {
                begun.ended(action);
            }
            served.extend(taken.iter().map(|a| a.key().name.clone()));
        }
        assert_eq!(served.len(), 1000);
    }
}
