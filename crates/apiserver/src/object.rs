//! A stored object: its JSON value, its revision, and its bytes once somebody asked for them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

/// Where an object lives. `namespace` is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// `plural` or `plural.group`: versions share one store.
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        Key {
            resource: Arc::clone(resource),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The place inside its resource; the order lists are given in.
    pub(crate) fn place(&self) -> Place {
        (self.namespace.clone(), self.name.clone())
    }
}

/// Namespace and name.
pub(crate) type Place = (String, String);

/// An immutable object. A change makes a new one, so that readers never wait.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    pub(crate) rv: u64,
    json: OnceLock<Bytes>,
}

impl Object {
    pub(crate) fn new(value: Value, rv: u64) -> Self {
        Object {
            value,
            rv,
            json: OnceLock::new(),
        }
    }

    /// The bytes lists and watches share.
    pub(crate) fn json(&self) -> Bytes {
        self.json.get_or_init(|| to_bytes(&self.value)).clone()
    }

    pub(crate) fn uid(&self) -> &str {
        meta_str(&self.value, "uid")
    }

    pub(crate) fn name(&self) -> &str {
        meta_str(&self.value, "name")
    }

    pub(crate) fn is_terminating(&self) -> bool {
        is_terminating(&self.value)
    }
}

/// Serialises a value that we know to be JSON.
pub(crate) fn to_bytes(value: &Value) -> Bytes {
    // A `Value` has string keys only and no failing Serialize: the error arm is unreachable.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

/// `metadata.<field>` as text; empty when unset.
pub(crate) fn meta_str<'a>(value: &'a Value, field: &str) -> &'a str {
    value
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `metadata.<field>`, if it is there and not null.
pub(crate) fn meta<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value
        .get("metadata")
        .and_then(|m| m.get(field))
        .filter(|v| !v.is_null())
}

/// The value as an object, made one if it is not.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(map) = value else {
        unreachable!("made an object two lines above")
    };
    map
}

/// The child object under `field`, made if it is missing.
pub(crate) fn child<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    as_map(as_map(value).entry(field).or_insert_with(|| Value::Object(Map::new())))
}

/// Sets `metadata.<field>`, or removes it.
pub(crate) fn set_meta(value: &mut Value, field: &str, to: Option<Value>) {
    let metadata = child(value, "metadata");
    match to {
        Some(to) => {
            metadata.insert(field.to_owned(), to);
        }
        None => {
            metadata.remove(field);
        }
    }
}

pub(crate) fn is_terminating(value: &Value) -> bool {
    meta(value, "deletionTimestamp").is_some()
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(value: &Value) -> Vec<String> {
    meta(value, "finalizers")
        .and_then(Value::as_array)
        .map(|a| a.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default()
}

pub(crate) fn set_finalizers(value: &mut Value, finalizers: &[String]) {
    let to = (!finalizers.is_empty()).then(|| Value::from(finalizers.to_vec()));
    set_meta(value, "finalizers", to);
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) blocks: bool,
}

pub(crate) fn owners(value: &Value) -> Vec<Owner> {
    let text = |v: &Value, f: &str| v.get(f).and_then(Value::as_str).unwrap_or_default().to_owned();
    meta(value, "ownerReferences")
        .and_then(Value::as_array)
        .map(|refs| {
            refs.iter()
                .map(|r| Owner {
                    api_version: text(r, "apiVersion"),
                    kind: text(r, "kind"),
                    name: text(r, "name"),
                    uid: text(r, "uid"),
                    blocks: r.get("blockOwnerDeletion").and_then(Value::as_bool).unwrap_or(false),
                })
                .collect()
        })
        .unwrap_or_default()
}

/// Follows object fields; `None` when one is missing.
pub(crate) fn dig<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, field| v.get(*field))
}

/// Follows object fields to a text; empty when missing.
pub(crate) fn dig_str<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    dig(value, path).and_then(Value::as_str).unwrap_or_default()
}
