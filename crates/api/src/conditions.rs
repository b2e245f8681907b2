//! Conditions: set without touching what has not changed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Everything works.
pub const READY: &str = "Ready";
/// An attempt is under way.
pub const PROGRESSING: &str = "Progressing";
/// This round's work is finished: it may land.
pub const AVAILABLE: &str = "Available";
/// Somebody is needed.
pub const DEGRADED: &str = "Degraded";
/// Landed.
pub const MERGED: &str = "Merged";
/// The predecessor's older word for Progressing.
pub const WORKING: &str = "Working";
/// Whoever the spec names has been told.
pub const NOTIFIED: &str = "Notified";
/// Fields of the spec that are accepted and not served yet.
pub const FIELDS_HONOURED: &str = "FieldsHonoured";

/// There, and False, where uncommitted files and conversations are not kept in the record repository. Work goes on.
pub const CONTENT_KEPT: &str = "ContentKept";

/// Longest message the API accepts. Bytes.
const LONGEST: usize = 32768;

/// The condition of that type.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

/// Whether the condition of that type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    get(conditions, kind).is_some_and(|c| c.status == "True")
}

/// Sets a condition. `lastTransitionTime` moves only when the status changes.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) {
    let wanted = if status { "True" } else { "False" };
    let mut end = message.len().min(LONGEST);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let message = message.get(..end).unwrap_or_default();
    match conditions.iter_mut().find(|c| c.type_ == kind) {
        Some(held) => {
            if held.status != wanted {
                held.status = wanted.to_owned();
                held.last_transition_time = Time(now);
            }
            reason.clone_into(&mut held.reason);
            message.clone_into(&mut held.message);
            held.observed_generation = Some(generation);
        }
        None => conditions.push(Condition {
            type_: kind.to_owned(),
            status: wanted.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(generation),
            last_transition_time: Time(now),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut all = Vec::new();
        set(&mut all, READY, false, "Starting", "one", 1, at(10));
        set(&mut all, READY, false, "Waiting", "two", 2, at(20));
        let held = get(&all, READY).unwrap();
        assert_eq!((held.reason.as_str(), held.message.as_str()), ("Waiting", "two"));
        assert_eq!(
            (held.observed_generation, held.last_transition_time.0),
            (Some(2), at(10))
        );

        set(&mut all, READY, true, "Running", "three", 2, at(30));
        assert!(is_true(&all, READY));
        assert_eq!(get(&all, READY).unwrap().last_transition_time.0, at(30));
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn what_has_not_changed_is_equal() {
        let mut all = Vec::new();
        set(&mut all, READY, true, "Running", "text", 1, at(10));
        let before = all.clone();
        set(&mut all, READY, true, "Running", "text", 1, at(99));
        assert_eq!(all, before);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let mut all = Vec::new();
        let long = format!("a{}", "ä".repeat(LONGEST));
        set(&mut all, READY, true, "Running", &long, 1, at(10));
        assert_eq!(all[0].message.len(), LONGEST - 1);
    }
}
