//! Which events have been told of late: the same again is counted on the first, and a flood of kin becomes one.

use super::events::{self, Told};
use gastown_rules::Uid;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// The same thing told again within this is counted, not repeated.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Different words for one reason about one object within the window; what follows is told as one.
const KIN: usize = 10;
/// Series remembered. What is forgotten is told anew: more events, never fewer.
const SERIES: usize = 2048;

/// What to do about something told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A new event of that name.
    New { name: String },
    /// The event of that name happened again, so often by now; its words are these.
    Again { name: String, count: i32 },
}

/// Events of one object and reason.
struct Series {
    since: Timestamp,
    told: Vec<Line>,
    /// What many kin are told as, once there are too many.
    combined: Option<Line>,
}

struct Line {
    message: String,
    name: String,
    count: i32,
}

#[derive(Default)]
pub(super) struct Book {
    series: HashMap<(Uid, &'static str), Series>,
}

impl Book {
    /// Enters something; its message may become that of a combination.
    pub(super) fn enter(&mut self, told: &mut Told, at: Timestamp) -> Entry {
        if self.series.len() >= SERIES {
            self.series.retain(|_, s| at.duration_since(s.since) < WINDOW);
            if self.series.len() >= SERIES {
                self.series.clear();
            }
        }
        let fresh = || Series {
            since: at,
            told: Vec::new(),
            combined: None,
        };
        let series = self.series.entry((told.uid.clone(), told.code)).or_insert_with(fresh);
        if at.duration_since(series.since) >= WINDOW {
            *series = fresh();
        }
        if let Some(line) = series.told.iter_mut().find(|l| l.message == told.message) {
            return line.again();
        }
        let name = events::name(&told.about, at);
        if series.told.len() < KIN {
            series.told.push(Line {
                message: told.message.clone(),
                name: name.clone(),
                count: 1,
            });
            return Entry::New { name };
        }
        told.message = format!("(combined from similar events): {}", told.message);
        match &mut series.combined {
            Some(line) => line.again(),
            none => {
                *none = Some(Line {
                    message: String::new(),
                    name: name.clone(),
                    count: 1,
                });
                Entry::New { name }
            }
        }
    }
}

impl Line {
    fn again(&mut self) -> Entry {
        self.count = self.count.saturating_add(1);
        Entry::Again {
            name: self.name.clone(),
            count: self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_rules::{Key, Kind};

    fn told(message: &str) -> Told {
        Told {
            about: Key::new(Kind::Polecat, "town", "nux"),
            uid: Uid("u".into()),
            warning: true,
            code: "PodFailed",
            message: message.into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn the_same_again_is_counted_and_after_the_window_told_anew() {
        let mut book = Book::default();
        let Entry::New { name } = book.enter(&mut told("it failed"), at(0)) else {
            panic!("the first is new")
        };
        for n in 2..5 {
            let again = book.enter(&mut told("it failed"), at(n));
            let name = name.clone();
            assert_eq!(again, Entry::Again { name, count: n as i32 });
        }
        assert!(matches!(book.enter(&mut told("it failed"), at(601)), Entry::New { .. }));
    }

    #[test]
    fn a_flood_of_kin_becomes_one_event() {
        let mut book = Book::default();
        let entries: Vec<Entry> = (0..100)
            .map(|n| book.enter(&mut told(&format!("attempt {n} failed")), at(n)))
            .collect();
        let new = entries.iter().filter(|e| matches!(e, Entry::New { .. })).count();
        assert_eq!(new, KIN + 1);
        let mut last = told("attempt 100 failed");
        book.enter(&mut last, at(101));
        assert_eq!(last.message, "(combined from similar events): attempt 100 failed");
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = Book::default();
        for n in 0..10 * SERIES {
            let mut told = told("x");
            told.uid = Uid(n.to_string());
            book.enter(&mut told, at(0));
        }
        assert!(book.series.len() <= SERIES);
    }
}
