//! What is read of an object as it comes over the wire: a few hundred bytes of the eight thousand a pod has.
//! managedFields alone would be ten times what is kept.

use gastown_rules::{Key, Kind, Meta, Rev, Row, Uid};
use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// An object, as much of it as is read. Generic over spec and status, so that nothing is decoded twice.
#[derive(Deserialize)]
#[serde(bound = "S: DeserializeOwned, T: DeserializeOwned")]
pub(super) struct Object<S, T> {
    #[serde(default = "Metadata::default")]
    pub(super) metadata: Metadata,
    #[serde(default = "Option::default")]
    pub(super) spec: Option<S>,
    #[serde(default = "Option::default")]
    pub(super) status: Option<T>,
}

/// Metadata without managedFields, and of labels and annotations only ours.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    finalizers: Vec<String>,
    #[serde(deserialize_with = "ours")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "ours")]
    annotations: BTreeMap<String, String>,
    owner_references: Vec<Owner>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Owner {
    uid: String,
    controller: bool,
}

/// Kubernetes promises ordered decimal revisions since 1.35 and every server has always kept it.
pub(crate) fn rev(text: &str) -> Rev {
    Rev(text.parse().unwrap_or_default())
}

impl<S, T> Object<S, T>
where
    S: DeserializeOwned,
    T: DeserializeOwned,
{
    /// Part by part, so that what cannot be read is named. For what failed at once.
    pub(super) fn in_parts(mut whole: Value) -> Result<Self, Broken> {
        let mut part = |name: &str| whole.get_mut(name).map(Value::take).filter(|v| !v.is_null());
        let metadata = part("metadata").unwrap_or_default();
        let (spec, status) = (part("spec"), part("status"));
        let key = |kind| {
            let text = |name: &str| {
                metadata
                    .get(name)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            (Key::new(kind, text("namespace"), text("name")), text("resourceVersion"))
        };
        let read = || -> Result<Self, String> {
            Ok(Self {
                metadata: Metadata::deserialize(&metadata).map_err(|e| format!("metadata: {e}"))?,
                spec: spec
                    .map(serde_json::from_value)
                    .transpose()
                    .map_err(|e| format!("spec: {e}"))?,
                status: status
                    .map(serde_json::from_value)
                    .transpose()
                    .map_err(|e| format!("status: {e}"))?,
            })
        };
        read().map_err(|why| {
            let (key, rev) = key(Kind::Pod);
            Broken { key, rev, why }
        })
    }
}

/// An object that cannot be read: who it is, and why. The kind is for the caller to say.
pub(super) struct Broken {
    pub(super) key: Key,
    pub(super) rev: String,
    pub(super) why: String,
}

impl Metadata {
    /// Who it is.
    pub(super) fn key(&self, kind: Kind) -> Key {
        Key::new(kind, self.namespace.clone(), self.name.clone())
    }

    /// Its revision, as the server spells it.
    pub(super) fn revision(&self) -> &str {
        &self.resource_version
    }

    /// UID of the controlling owner.
    pub(super) fn owner(&self) -> Option<Uid> {
        let mut owners = self.owner_references.iter();
        owners.find(|o| o.controller).map(|o| Uid(o.uid.clone()))
    }

    /// As rules hold it.
    pub(super) fn into_meta(self, kind: Kind) -> Meta {
        Meta {
            key: Key::new(kind, self.namespace, self.name),
            uid: Uid(self.uid),
            rev: rev(&self.resource_version),
            generation: self.generation,
            created: self.creation_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
            deleting: self.deletion_timestamp,
            finalizers: self.finalizers,
            labels: self.labels,
            annotations: self.annotations,
        }
    }
}

/// A row of one of our kinds. A missing spec reads as the empty one, as the predecessor's CRDs allow.
pub(super) fn row<S, T>(kind: Kind, object: Object<S, T>) -> Result<Row<S, T>, String>
where
    S: DeserializeOwned,
    T: DeserializeOwned + Default,
{
    let spec = match object.spec {
        Some(spec) => spec,
        None => serde_json::from_str("{}").map_err(|e| format!("spec: {e}"))?,
    };
    Ok(Row {
        spec,
        status: object.status.unwrap_or_default(),
        meta: object.metadata.into_meta(kind),
    })
}

/// Entries under `gastown.io/`; what others wrote is skipped unread, however large.
fn ours<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Ours;
    impl<'de> Visitor<'de> for Ours {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of texts")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kept = BTreeMap::new();
            while let Some(Text(name)) = map.next_key()? {
                if name.starts_with("gastown.io/") {
                    kept.insert(name.into_owned(), map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(kept)
        }
    }
    from.deserialize_any(Ours)
}

/// A text that is borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_api::{PolecatSpec, PolecatStatus};

    type Polecat = Object<PolecatSpec, PolecatStatus>;

    #[test]
    fn of_metadata_only_what_rules_ask_for_is_read() {
        let text = r#"{"metadata":{"name":"nux","namespace":"town","uid":"u","resourceVersion":"7","generation":2,
            "creationTimestamp":"2026-01-02T03:04:05Z","labels":null,
            "managedFields":[{"manager":"kubectl","fieldsV1":{"f:spec":{".":{}}}}],
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","gastown.io/nudge":"go \"on\""}},
            "spec":{"rig":"parts","desiredState":"Working","unknown":{"deep":[1]}},"status":null}"#;
        let object: Polecat = serde_json::from_str(text).unwrap();
        let row = row(Kind::Polecat, object).unwrap();
        assert_eq!((row.meta.rev, row.meta.generation), (Rev(7), 2));
        assert_eq!(row.meta.annotations.len(), 1);
        assert_eq!(row.meta.annotations["gastown.io/nudge"], "go \"on\"");
        assert_eq!((row.spec.rig.as_str(), row.status), ("parts", PolecatStatus::default()));
    }

    #[test]
    fn what_cannot_be_read_still_says_who_it_is_and_which_part_is_wrong() {
        let text = r#"{"metadata":{"name":"nux","namespace":"town","resourceVersion":"9"},"spec":{"rig":7}}"#;
        assert!(serde_json::from_str::<Polecat>(text).is_err());
        let broken = Polecat::in_parts(serde_json::from_str(text).unwrap()).err().unwrap();
        assert!(broken.why.starts_with("spec: "), "{}", broken.why);
        assert_eq!((broken.key.name.as_str(), broken.rev.as_str()), ("nux", "9"));
    }
}
