//! Blueprints to API objects. Adds no opinion: what a pod may hold is decided, how it is spelled is here.

mod parts;
mod polecat;
mod queue;

use gastown_rules::{Blueprint, Kind};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::DynamicObject;
use serde_json::{Value, json};

/// The object a blueprint stands for.
pub(crate) fn object(blueprint: &Blueprint) -> Result<DynamicObject, serde_json::Error> {
    let value = match blueprint {
        Blueprint::PolecatPod(_) | Blueprint::TestPod(_) | Blueprint::LandPod(_) => {
            serde_json::to_value(pod_manifest(blueprint)?)?
        }
        Blueprint::Witness { key, owner, spec } => json!({
            "apiVersion": api_version(), "kind": "Witness",
            "metadata": child(&key.namespace, &key.name, &owner.0, &owner.1.0)?, "spec": spec,
        }),
        Blueprint::Refinery { key, owner, spec } => json!({
            "apiVersion": api_version(), "kind": "Refinery",
            "metadata": child(&key.namespace, &key.name, &owner.0, &owner.1.0)?, "spec": spec,
        }),
        Blueprint::Polecat(p) => json!({
            "apiVersion": api_version(), "kind": "Polecat",
            "metadata": ObjectMeta {
                name: Some(p.key.name.clone()),
                namespace: Some(p.key.namespace.clone()),
                labels: Some(p.labels.clone()),
                ..ObjectMeta::default()
            },
            "spec": p.spec,
        }),
        Blueprint::Texts(t) => {
            let mut map = serde_json::to_value(ConfigMap {
                metadata: ObjectMeta {
                    name: Some(t.key.name.clone()),
                    namespace: Some(t.key.namespace.clone()),
                    labels: Some(parts::managed_by()),
                    owner_references: Some(vec![owner_reference(Kind::Polecat, &t.owner.0, &t.owner.1.0)]),
                    ..ObjectMeta::default()
                },
                data: Some(t.texts.clone()),
                immutable: Some(true),
                ..ConfigMap::default()
            })?;
            typed(&mut map, "v1", "ConfigMap");
            map
        }
    };
    serde_json::from_value(value)
}

/// The pod a blueprint stands for.
///
/// # Errors
/// When the orders cannot be written as JSON, or the blueprint is not a pod's.
pub fn pod_manifest(blueprint: &Blueprint) -> Result<Value, serde_json::Error> {
    let pod: Pod = match blueprint {
        Blueprint::PolecatPod(p) => polecat::pod(p)?,
        Blueprint::TestPod(p) => queue::test_pod(p)?,
        Blueprint::LandPod(p) => queue::land_pod(p)?,
        _ => return Err(serde::de::Error::custom("not a pod")),
    };
    let mut value = serde_json::to_value(pod)?;
    typed(&mut value, "v1", "Pod");
    Ok(value)
}

fn typed(value: &mut Value, api_version: &str, kind: &str) {
    if let Value::Object(map) = value {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
}

fn api_version() -> String {
    format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION)
}

fn child(namespace: &str, name: &str, rig: &str, uid: &str) -> Result<Value, serde_json::Error> {
    let mut labels = parts::managed_by();
    if gastown_api::labels::legal_label_value(rig) {
        labels.insert(gastown_api::labels::RIG_OWNER.into(), rig.to_owned());
    }
    serde_json::to_value(ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels),
        owner_references: Some(vec![owner_reference(Kind::Rig, rig, uid)]),
        ..ObjectMeta::default()
    })
}

/// A controlling owner: the garbage collector cleans up with the operator gone.
pub(crate) fn owner_reference(kind: Kind, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version(),
        kind: format!("{kind:?}"),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}
