//! What is seen of a town, as one JSON document in which named things are found by their names.

use gastown_operator::{PodUser, pod_manifest};
use gastown_rules::Blueprint;
use gastown_wire::ORDERS_ENV;
use serde_json::{Map, Value};

/// A pod as it is sent, with what its containers are ordered beside it.
pub(crate) fn pod(blueprint: &Blueprint) -> Value {
    let mut pod = named(pod_manifest(blueprint, PodUser::default()).unwrap());
    let spec = &pod["spec"];
    let containers = ["initContainers", "containers"].map(|list| spec[list].as_object().cloned());
    let mut all = containers.into_iter().flatten().flatten().map(|(_, c)| c);
    let orders = all.find_map(|c| c["env"][ORDERS_ENV]["value"].as_str().map(str::to_owned));
    let orders: Value = orders.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    pod["orders"] = orders;
    pod
}

/// Lists of things with names, or conditions with types, as maps.
pub(crate) fn named(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().map(|(k, v)| (k, named(v))).collect()),
        Value::Array(list) => {
            let name = |item: &Value| {
                let name = item.get("name").or_else(|| item.get("type"));
                name.and_then(Value::as_str).map(str::to_owned)
            };
            let by_name: Option<Map<String, Value>> =
                list.iter().map(|item| Some((name(item)?, item.clone()))).collect();
            match by_name.filter(|map| !map.is_empty() && map.len() == list.len()) {
                Some(map) => named(Value::Object(map)),
                None => Value::Array(list.into_iter().map(named).collect()),
            }
        }
        plain => plain,
    }
}
