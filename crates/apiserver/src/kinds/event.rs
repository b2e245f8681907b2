//! Events.

use serde_json::{Value, json};

use crate::object::{as_map, dig_str, meta_str};
use crate::status::FieldError;

/// Fields that are always there, empty or not.
pub(super) fn prepare(value: &mut Value) {
    let map = as_map(value);
    for field in ["reportingComponent", "reportingInstance"] {
        map.entry(field).or_insert_with(|| json!(""));
    }
    map.entry("source").or_insert_with(|| json!({}));
    map.entry("involvedObject").or_insert_with(|| json!({}));
}

/// An event lives beside what it is about; one about a cluster-wide object in `default`.
pub(super) fn validate(value: &Value) -> Vec<FieldError> {
    let about = dig_str(value, &["involvedObject", "namespace"]);
    let home = meta_str(value, "namespace");
    let fits = about == home || (about.is_empty() && matches!(home, "default" | "kube-system"));
    if fits {
        return Vec::new();
    }
    let detail = "does not match event.namespace";
    vec![FieldError::invalid(
        "involvedObject.namespace",
        &Value::from(about),
        detail,
    )]
}
