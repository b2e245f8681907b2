//! Pods: the defaults upstream writes into them, and what of them may change.

use serde_json::{Map, Value, json};

use super::resources;
use crate::object::{as_map, child, dig, dig_str};
use crate::status::FieldError;

pub(super) fn prepare_create(value: &mut Value) {
    default(value);
    let class = resources::quality(value);
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
    resources::default(map);
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
            if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
                put(get, "path", json!("/"));
                put(get, "scheme", json!("HTTP"));
            }
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
    if let Some(host) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        put(host, "type", json!(""));
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

/// Whoever writes the status need not repeat what was decided at the start.
pub(super) fn keep_quality(value: &mut Value, old: &Value) {
    if let Some(class) = dig(old, &["status", "qosClass"]) {
        child(value, "status")
            .entry("qosClass")
            .or_insert_with(|| class.clone());
    }
}

pub(super) fn check_quantities(value: &Value) -> Result<(), String> {
    resources::check(value)
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
    let mut volumes: Vec<String> = Vec::new();
    for (i, volume) in list("volumes").iter().enumerate() {
        let name = dig_str(volume, &["name"]).to_owned();
        if volumes.contains(&name) {
            errors.push(FieldError::duplicate(
                &format!("spec.volumes[{i}].name"),
                &Value::from(name.as_str()),
            ));
        }
        volumes.push(name);
    }
    let mut seen: Vec<String> = Vec::new();
    for kind in ["containers", "initContainers"] {
        for (i, container) in list(kind).iter().enumerate() {
            let at = format!("spec.{kind}[{i}]");
            let name = dig_str(container, &["name"]);
            if name.is_empty() {
                errors.push(FieldError::required(&format!("{at}.name"), ""));
            } else if !crate::names::is_dns_label(name) {
                let detail = crate::names::DNS_LABEL;
                errors.push(FieldError::invalid(&format!("{at}.name"), &Value::from(name), detail));
            } else if seen.iter().any(|s| s == name) {
                errors.push(FieldError::duplicate(&format!("{at}.name"), &Value::from(name)));
            }
            seen.push(name.to_owned());
            if dig_str(container, &["image"]).is_empty() {
                errors.push(FieldError::required(&format!("{at}.image"), ""));
            }
            for (j, env) in container
                .get("env")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .enumerate()
            {
                if dig_str(env, &["name"]).is_empty() {
                    errors.push(FieldError::required(&format!("{at}.env[{j}].name"), ""));
                }
            }
            let policies = ["Always", "IfNotPresent", "Never"];
            one_of(&mut errors, container, &["imagePullPolicy"], &at, &policies);
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
    if list("containers").is_empty() {
        errors.push(FieldError::required("spec.containers", ""));
    }
    let policies = ["Always", "OnFailure", "Never"];
    one_of(&mut errors, value, &["spec", "restartPolicy"], "", &policies);
    errors.extend(resources::validate(value));
    if let Some(deadline) = dig(value, &["spec", "activeDeadlineSeconds"])
        && deadline
            .as_i64()
            .is_some_and(|d| !(1..=i64::from(i32::MAX)).contains(&d))
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid("spec.activeDeadlineSeconds", deadline, detail));
    }
    errors
}

fn one_of(errors: &mut Vec<FieldError>, value: &Value, path: &[&str], at: &str, choices: &[&str]) {
    let found = dig_str(value, path);
    if !found.is_empty() && !choices.contains(&found) {
        let field = path.join(".");
        let field = if at.is_empty() { field } else { format!("{at}.{field}") };
        let choices: Vec<Value> = choices.iter().map(|c| Value::from(*c)).collect();
        errors.push(FieldError::unsupported(&field, &Value::from(found), &choices));
    }
}

/// Seconds may be cut, tolerations added.
fn tightened(value: &Value, old: &Value) -> Option<FieldError> {
    const DEADLINE: &[&str] = &["spec", "activeDeadlineSeconds"];
    let seconds = |v: &Value| dig(v, DEADLINE).and_then(Value::as_i64);
    let later = match (seconds(value), seconds(old)) {
        (Some(new), Some(old)) => new > old,
        _ => false,
    };
    let detail = "must be less than or equal to previous value";
    later.then(|| {
        FieldError::invalid(
            "spec.activeDeadlineSeconds",
            dig(value, DEADLINE).unwrap_or(&Value::Null),
            detail,
        )
    })
}

fn validate_change(value: &Value, old: &Value) -> Vec<FieldError> {
    if let Some(error) = tightened(value, old) {
        return vec![error];
    }
    let count = |v: &Value| dig(v, &["spec", "containers"]).and_then(Value::as_array).map(Vec::len);
    if count(value) != count(old) {
        let detail = "pod updates may not add or remove containers";
        return vec![FieldError::forbidden("spec.containers", detail)];
    }
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
