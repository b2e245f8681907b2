//! Conditions by reason.

use crate::reason::Reason;
use gastown_api::conditions as api;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub(super) use api::is_true;

/// Whether a condition stands with this reason.
pub(super) fn has_reason(conditions: &[Condition], kind: &str, code: &str) -> bool {
    api::get(conditions, kind).is_some_and(|c| c.reason == code)
}

/// Sets a condition; its transition time moves with the status alone.
pub(super) fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: bool,
    because: &Reason,
    generation: i64,
    now: Timestamp,
) {
    api::set(
        conditions,
        kind,
        status,
        because.code,
        &because.message,
        generation,
        now,
    );
}
