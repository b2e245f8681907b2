//! A Secret as a plain object: read and written with the user's own right, never through the typed kind, which the
//! operator must not have.

use crate::Failure;
use crate::session::Session;
use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// When it was last uploaded (the predecessor's).
pub(super) const LAST_SYNC: &str = "gastown.io/last-sync";
/// A hash over what was uploaded.
pub(super) const CONTENT: &str = "gastown.io/content-hash";

fn kind() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "Secret".into(),
        plural: "secrets".into(),
    }
}

pub(crate) fn secrets(session: &Session<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(session.cluster.client.clone(), session.namespace(), &kind())
}

/// Its values by key. What is no base64 is left out.
pub(crate) fn values(secret: &DynamicObject) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let bytes: ByteString = serde_json::from_value(value.clone()).ok()?;
            Some((key.clone(), bytes.0))
        })
        .collect()
}

/// A new one.
pub(super) fn fresh(name: &str) -> DynamicObject {
    let mut secret = DynamicObject::new(name, &kind());
    secret.data = json!({"type": "Opaque"});
    secret
}

/// Puts values in place of those it has; everything else of it stays.
pub(super) fn fill(
    secret: &mut DynamicObject,
    values: &BTreeMap<String, Vec<u8>>,
    now: jiff::Timestamp,
) -> Result<(), Failure> {
    let mut data = Map::new();
    for (key, value) in values {
        let encoded = serde_json::to_value(ByteString(value.clone()))
            .map_err(|e| Failure::new(crate::exit::FAILED, format!("{key} cannot be written: {e}")))?;
        data.insert(key.clone(), encoded);
    }
    if let Some(object) = secret.data.as_object_mut() {
        object.insert("data".into(), Value::Object(data));
        object.remove("stringData");
    }
    let annotations = secret.annotations_mut();
    // Whole seconds, as the predecessor wrote it.
    let stamp = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    annotations.insert(LAST_SYNC.into(), stamp.to_string());
    annotations.insert(CONTENT.into(), hash(values));
    Ok(())
}

/// The same for the same keys and values, whatever the order they were found in.
pub(super) fn hash(values: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (key, value) in values {
        for part in [key.as_bytes(), value.as_slice()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
