//! Namespaces.

use serde_json::{Value, json};

use crate::object::{as_map, child, dig, meta_str};

pub(super) fn prepare_create(value: &mut Value) {
    let name = meta_str(value, "name").to_owned();
    label(value, &name);
    let map = as_map(value);
    map.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
    map.insert("status".to_owned(), json!({"phase": "Active"}));
}

pub(super) fn prepare_update(value: &mut Value, old: &Value) {
    let name = meta_str(old, "name").to_owned();
    label(value, &name);
    if let Some(spec) = dig(old, &["spec"]) {
        as_map(value).insert("spec".to_owned(), spec.clone());
    }
}

/// The label that says the name, which nobody can take away.
pub(super) fn keep_label(value: &mut Value) {
    let name = meta_str(value, "name").to_owned();
    label(value, &name);
}

fn label(value: &mut Value, name: &str) {
    let metadata = child(value, "metadata");
    let labels = as_map(metadata.entry("labels").or_insert_with(|| json!({})));
    labels.insert("kubernetes.io/metadata.name".to_owned(), Value::from(name));
}
