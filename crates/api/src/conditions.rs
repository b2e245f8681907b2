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
/// Fields of the spec that are accepted and not served yet.
pub const FIELDS_HONOURED: &str = "FieldsHonoured";

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
