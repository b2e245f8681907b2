//! core/v1 Events from notices, spelled as `kubectl describe` looks for them.

use gastown_rules::{Key, Kind, Uid};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// Events of cluster-scoped objects go where kubectl looks for them.
const CLUSTER_EVENTS: &str = "default";
/// Longest note the API accepts. Bytes.
const LONGEST: usize = 1024;
/// Longest name of an object.
const LONGEST_NAME: usize = 253;
/// Who tells.
const COMPONENT: &str = "gastown-operator";

/// Something worth telling about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) about: Key,
    pub(super) uid: Uid,
    pub(super) warning: bool,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Where events about an object lie.
pub(super) fn home(about: &Key) -> &str {
    match about.namespace.as_str() {
        "" => CLUSTER_EVENTS,
        namespace => namespace,
    }
}

/// A legal name, unique as kubectl's own are: object and nanoseconds.
pub(super) fn name(about: &Key, at: Timestamp) -> String {
    let suffix = format!(".{:x}", at.as_nanosecond());
    let mut end = about.name.len().min(LONGEST_NAME.saturating_sub(suffix.len()));
    while !about.name.is_char_boundary(end) {
        end -= 1;
    }
    let object = about.name.get(..end).unwrap_or_default();
    format!("{}{suffix}", object.trim_end_matches(['.', '-']))
}

pub(super) fn event(told: &Told, name: &str, at: Timestamp) -> Event {
    let about = &told.about;
    let core = matches!(about.kind, Kind::Pod | Kind::ConfigMap);
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(home(about).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(if core {
                "v1".into()
            } else {
                format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION)
            }),
            kind: Some(format!("{:?}", about.kind)),
            name: Some(about.name.clone()),
            namespace: (!about.namespace.is_empty()).then(|| about.namespace.clone()),
            uid: Some(told.uid.0.clone()),
            ..ObjectReference::default()
        },
        type_: Some(if told.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(told.code.to_owned()),
        message: Some(clipped(&told.message)),
        source: Some(EventSource {
            component: Some(COMPONENT.into()),
            host: None,
        }),
        first_timestamp: Some(Time(at)),
        last_timestamp: Some(Time(at)),
        count: Some(1),
        reporting_component: Some(COMPONENT.into()),
        reporting_instance: Some(COMPONENT.into()),
        ..Event::default()
    }
}

pub(super) fn clipped(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_whatever_the_object_is_called() {
        let at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_nanos(1_790_000_000_123_456_789);
        for object in [
            "nux".to_owned(),
            "a".repeat(253),
            format!("{}.{}", "b".repeat(233), "c".repeat(19)),
        ] {
            let name = name(&Key::new(Kind::Polecat, "town", &object), at);
            assert!(name.len() <= 253, "{} bytes", name.len());
            assert!(!name.contains("..") && !name.contains("-."), "{name}");
        }
    }
}
