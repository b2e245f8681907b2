//! Leases.

use serde_json::Value;

use crate::object::dig;
use crate::status::FieldError;

pub(super) fn validate(value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (field, least, detail) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        let Some(found) = dig(value, &["spec", field]).filter(|v| !v.is_null()) else {
            continue;
        };
        if found.as_i64().is_some_and(|n| n < least) {
            errors.push(FieldError::invalid(&format!("spec.{field}"), found, detail));
        }
    }
    errors
}
