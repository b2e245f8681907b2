//! core/v1 Events from notices.

use gastown_rules::{Key, Kind, Notice, Uid};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// Events of cluster-scoped objects go where kubectl looks for them.
const CLUSTER_EVENTS: &str = "default";
/// Longest note the API accepts. Bytes.
const LONGEST: usize = 1024;

pub(super) fn event(about: &Key, uid: &Uid, notice: &Notice) -> Event {
    let now = Time(Timestamp::now());
    let namespace = match about.namespace.as_str() {
        "" => CLUSTER_EVENTS,
        namespace => namespace,
    };
    let core = matches!(about.kind, Kind::Pod | Kind::ConfigMap);
    Event {
        metadata: ObjectMeta {
            // The name is unique as kubectl's own are: object and nanoseconds.
            name: Some(format!("{}.{:x}", about.name, now.0.as_nanosecond())),
            namespace: Some(namespace.to_owned()),
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
            uid: Some(uid.0.clone()),
            ..ObjectReference::default()
        },
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.into()),
        reason: Some(notice.because.code.to_owned()),
        message: Some(clipped(&notice.because.message)),
        source: Some(EventSource {
            component: Some("gastown-operator".into()),
            host: None,
        }),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        reporting_component: Some("gastown-operator".into()),
        reporting_instance: Some("gastown-operator".into()),
        ..Event::default()
    }
}

fn clipped(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
