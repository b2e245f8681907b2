//! API objects to rows: pure, and the only place that knows both shapes.

use gastown_rules::{Key, Kind, Meta, Rev, Row, Uid};
use jiff::Timestamp;
use kube::api::{DynamicObject, ObjectMeta};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Who an object is.
pub(crate) fn key(kind: Kind, object: &DynamicObject) -> Key {
    Key::new(
        kind,
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}

/// Kubernetes promises ordered decimal revisions since 1.35 and every server has always kept it.
pub(crate) fn rev(text: &str) -> Rev {
    Rev(text.parse().unwrap_or_default())
}

/// Identity and revision; of labels and annotations only ours.
pub(crate) fn meta(kind: Kind, metadata: &ObjectMeta) -> Meta {
    Meta {
        key: Key::new(
            kind,
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        ),
        uid: Uid(metadata.uid.clone().unwrap_or_default()),
        rev: rev(metadata.resource_version.as_deref().unwrap_or_default()),
        generation: metadata.generation.unwrap_or_default(),
        created: metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        deleting: metadata.deletion_timestamp.as_ref().map(|t| t.0),
        finalizers: metadata.finalizers.clone().unwrap_or_default(),
        labels: ours(metadata.labels.as_ref()),
        annotations: ours(metadata.annotations.as_ref()),
    }
}

fn ours(all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    all.into_iter()
        .flatten()
        .filter(|(k, _)| k.starts_with("gastown.io/"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// A row of one of our kinds. A missing spec or status reads as the empty one, as the predecessor's CRDs allow.
pub(crate) fn row<S, T>(kind: Kind, object: DynamicObject) -> Result<Row<S, T>, String>
where
    S: DeserializeOwned,
    T: DeserializeOwned + Default,
{
    let meta = meta(kind, &object.metadata);
    let mut data = object.data;
    let mut part = |name: &str| data.get_mut(name).map(serde_json::Value::take).filter(|v| !v.is_null());
    let spec = part("spec").unwrap_or_else(|| serde_json::json!({}));
    let spec = serde_json::from_value(spec).map_err(|e| format!("spec: {e}"))?;
    let status = match part("status") {
        None => T::default(),
        Some(status) => serde_json::from_value(status).map_err(|e| format!("status: {e}"))?,
    };
    Ok(Row { meta, spec, status })
}
