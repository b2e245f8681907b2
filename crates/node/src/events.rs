//! Events of pods, core/v1. Nobody waits for them and nothing depends on them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::logs::PodName;

/// Tells events of one pod.
#[derive(Clone)]
pub(crate) struct EventTeller {
    client: Client,
    node: String,
    pod: PodName,
}

impl EventTeller {
    pub(crate) fn new(client: Client, node: &str, pod: PodName) -> Self {
        Self {
            client,
            node: node.to_owned(),
            pod,
        }
    }

    /// Something that people should see.
    pub(crate) fn warn(&self, reason: &str, message: String) {
        self.tell("Warning", reason, message);
    }

    /// Tells once a life of a pod: the name of the event comes from the pod and the reason.
    pub(crate) fn once(&self, reason: &str, message: String) {
        let name = format!("{}.{}", self.pod.uid, reason.to_lowercase());
        self.send("Normal", reason, message, name);
    }

    fn tell(&self, kind: &str, reason: &str, message: String) {
        let name = format!("{}.{:x}", self.pod.uid, Timestamp::now().as_nanosecond());
        self.send(kind, reason, message, name);
    }

    fn send(&self, kind: &str, reason: &str, mut message: String, name: String) {
        // The API server takes 1024 bytes.
        if message.len() > 1000 {
            let cut = (0..=1000).rev().find(|i| message.is_char_boundary(*i));
            message.truncate(cut.unwrap_or(0));
        }
        let now = Time(Timestamp::now());
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.pod.namespace.clone()),
                ..Default::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(self.pod.name.clone()),
                namespace: Some(self.pod.namespace.clone()),
                uid: Some(self.pod.uid.clone()),
                ..Default::default()
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            source: Some(EventSource {
                component: Some("node".to_owned()),
                host: Some(self.node.clone()),
            }),
            reporting_component: Some("node".to_owned()),
            reporting_instance: Some(self.node.clone()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Default::default()
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.pod.namespace);
        tokio::spawn(async move {
            match api.create(&PostParams::default(), &event).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => tracing::debug!(%error, "an event was not recorded"),
            }
        });
    }
}
