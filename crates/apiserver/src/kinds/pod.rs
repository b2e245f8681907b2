//! Pods: the defaults upstream writes into them, and what of them may change.

use serde_json::{Map, Value, json};

use crate::object::{as_map, child, dig, dig_str};
use crate::status::FieldError;

pub(super) fn prepare_create(value: &mut Value) {
    default(value);
    let class = quality(value);
    as_map(value).insert("status".to_owned(), json!({"phase": "Pending", "qosClass": class}));
}

pub(super) fn default(value: &mut Value) {
    let spec = child(value, "spec");
    put(spec, "restartPolicy", json!("Always"));
    put(spec, "terminationGracePeriodSeconds", json!(30));
    put(spec, "dnsPolicy", json!("ClusterFirst"));
    put(spec, "securityContext", json!({}));
    put(spec, "schedulerName", json!("default-scheduler"));
    put(spec, "enableServiceLinks", json!(true));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec.get_mut(list)) {
            default_container(container);
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        if let Some(volume) = volume.as_object_mut() {
            default_volume(volume);
        }
    }
}

fn default_container(container: &mut Value) {
    let Some(map) = container.as_object_mut() else {
        return;
    };
    put(map, "terminationMessagePath", json!("/dev/termination-log"));
    put(map, "terminationMessagePolicy", json!("File"));
    put(map, "resources", json!({}));
    let image = map.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let pinned = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    put(
        map,
        "imagePullPolicy",
        json!(if pinned { "IfNotPresent" } else { "Always" }),
    );
    for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if let Some(probe) = map.get_mut(probe).and_then(Value::as_object_mut) {
            put(probe, "timeoutSeconds", json!(1));
            put(probe, "periodSeconds", json!(10));
            put(probe, "successThreshold", json!(1));
            put(probe, "failureThreshold", json!(3));
        }
    }
    for port in items(map.get_mut("ports")) {
        if let Some(port) = port.as_object_mut() {
            put(port, "protocol", json!("TCP"));
        }
    }
    for env in items(map.get_mut("env")) {
        if let Some(from) = env.pointer_mut("/valueFrom/fieldRef").and_then(Value::as_object_mut) {
            put(from, "apiVersion", json!("v1"));
        }
    }
}

fn default_volume(volume: &mut Map<String, Value>) {
    // A volume without a source is an emptyDir.
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            put(source, "defaultMode", json!(420));
        }
    }
    for item in items(volume.get_mut("downwardAPI").and_then(|d| d.get_mut("items"))) {
        if let Some(from) = item.get_mut("fieldRef").and_then(Value::as_object_mut) {
            put(from, "apiVersion", json!("v1"));
        }
    }
}

fn put(map: &mut Map<String, Value>, name: &str, to: Value) {
    if map.get(name).is_none_or(Value::is_null) {
        map.insert(name.to_owned(), to);
    }
}

fn items(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

fn quality(value: &Value) -> &'static str {
    let containers: Vec<&Value> = dig(value, &["spec", "containers"])
        .and_then(Value::as_array)
        .map(|c| c.iter().collect())
        .unwrap_or_default();
    let side = |c: &Value, side: &str| {
        dig(c, &["resources", side])
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    if containers
        .iter()
        .all(|c| side(c, "limits").is_empty() && side(c, "requests").is_empty())
    {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|c| {
        let (limits, requests) = (side(c, "limits"), side(c, "requests"));
        ["cpu", "memory"]
            .iter()
            .all(|r| limits.contains_key(*r) && requests.get(*r).is_none_or(|q| limits.get(*r) == Some(q)))
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

pub(super) fn validate(value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match old {
        None => validate_new(value),
        Some(old) => validate_change(value, old),
    }
}

fn validate_new(value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = |name: &str| -> Vec<Value> {
        dig(value, &["spec", name])
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    if list("containers").is_empty() {
        errors.push(FieldError::required("spec.containers", ""));
    }
    let volumes: Vec<String> = list("volumes")
        .iter()
        .map(|v| dig_str(v, &["name"]).to_owned())
        .collect();
    let mut seen: Vec<String> = Vec::new();
    for kind in ["containers", "initContainers"] {
        for (i, container) in list(kind).iter().enumerate() {
            let at = format!("spec.{kind}[{i}]");
            let name = dig_str(container, &["name"]);
            if !crate::names::is_dns_label(name) {
                let detail = crate::names::DNS_LABEL;
                errors.push(FieldError::invalid(&format!("{at}.name"), &Value::from(name), detail));
            } else if seen.iter().any(|s| s == name) {
                errors.push(FieldError::duplicate(&format!("{at}.name"), &Value::from(name)));
            }
            seen.push(name.to_owned());
            if dig_str(container, &["image"]).is_empty() {
                errors.push(FieldError::required(&format!("{at}.image"), ""));
            }
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            for (j, mount) in mounts.into_iter().flatten().enumerate() {
                let volume = dig_str(mount, &["name"]);
                if !volumes.iter().any(|v| v == volume) {
                    errors.push(FieldError {
                        reason: "FieldValueNotFound",
                        field: format!("{at}.volumeMounts[{j}].name"),
                        message: format!("Not found: {}", Value::from(volume)),
                    });
                }
            }
        }
    }
    errors
}

fn validate_change(value: &Value, old: &Value) -> Vec<FieldError> {
    let frozen = |v: &Value| {
        let mut spec = v.get("spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            for container in items(spec.get_mut(list)) {
                as_map(container).remove("image");
            }
        }
        let map = as_map(&mut spec);
        for free in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            map.remove(free);
        }
        spec
    };
    if frozen(value) == frozen(old) {
        return Vec::new();
    }
    let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    vec![FieldError::forbidden("spec", detail)]
}
