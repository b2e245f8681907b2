//! The cells of built-in kinds, as kubectl users know them.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::BuiltIn;
use crate::object::{dig, dig_str, is_terminating, meta, meta_str};

/// The cells of `object`, one for each column of its kind.
pub(super) fn of(kind: BuiltIn, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = Value::from(meta_str(object, "name"));
    let created = Value::from(age(meta_str(object, "creationTimestamp"), now));
    let count = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len)
    };
    match kind {
        BuiltIn::ConfigMap => vec![name, json!(count("data") + count("binaryData")), created],
        BuiltIn::Secret => vec![name, json!(dig_str(object, &["type"])), json!(count("data")), created],
        BuiltIn::Namespace => vec![name, json!(dig_str(object, &["status", "phase"])), created],
        BuiltIn::Lease => vec![name, json!(dig_str(object, &["spec", "holderIdentity"])), created],
        BuiltIn::Crd => vec![name, json!(meta_str(object, "creationTimestamp"))],
        BuiltIn::NetworkPolicy => vec![name, json!(pod_selector(object)), created],
        BuiltIn::Pod => pod(object, name, created, now),
        BuiltIn::Node => node(object, name, created),
        BuiltIn::Event => event(object, name, now),
    }
}

/// The time since `then`, as `kubectl` writes ages.
pub(super) fn age(then: &str, now: Timestamp) -> String {
    match then.parse::<Timestamp>() {
        Ok(then) => duration(now.duration_since(then).as_secs()),
        Err(_) => "<unknown>".to_owned(),
    }
}

fn duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let pair = |whole: i64, unit: &str, part: i64, small: &str| match part {
        0 => format!("{whole}{unit}"),
        part => format!("{whole}{unit}{part}{small}"),
    };
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 120 => format!("{s}s"),
        s if minutes < 10 => pair(minutes, "m", s % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair(days, "d", hours % 24, "h"),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

fn or_none(text: &str) -> Value {
    Value::from(if text.is_empty() { "<none>" } else { text })
}

fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    dig(object, path)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn pod_selector(object: &Value) -> String {
    let labels = dig(object, &["spec", "podSelector", "matchLabels"]).and_then(Value::as_object);
    let words: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    if words.is_empty() {
        "<none>".to_owned()
    } else {
        words.join(",")
    }
}

fn pod(object: &Value, name: Value, created: Value, now: Timestamp) -> Vec<Value> {
    let statuses = list(object, &["status", "containerStatuses"]);
    let ready = statuses
        .iter()
        .filter(|s| s.get("ready") == Some(&Value::Bool(true)))
        .count();
    let total = list(object, &["spec", "containers"]).len();
    vec![
        name,
        json!(format!("{ready}/{total}")),
        json!(pod_status(object)),
        json!(restarts(object, now)),
        created,
        or_none(dig_str(object, &["status", "podIP"])),
        or_none(dig_str(object, &["spec", "nodeName"])),
        or_none(dig_str(object, &["status", "nominatedNodeName"])),
        json!("<none>"),
    ]
}

fn restarts(object: &Value, now: Timestamp) -> String {
    let all = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|l| list(object, &["status", l]));
    let (mut count, mut last) = (0, None);
    for status in all {
        count += status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
        let finished = dig_str(status, &["lastState", "terminated", "finishedAt"]);
        last = last.max(finished.parse::<Timestamp>().ok());
    }
    match last {
        Some(at) if count > 0 => format!("{count} ({} ago)", duration(now.duration_since(at).as_secs())),
        _ => count.to_string(),
    }
}

/// The word a pod is summed up in, after kubectl's own printer.
fn pod_status(object: &Value) -> String {
    let mut word = match dig_str(object, &["status", "reason"]) {
        "" => dig_str(object, &["status", "phase"]).to_owned(),
        reason => reason.to_owned(),
    };
    let mut initialising = false;
    let inits = list(object, &["status", "initContainerStatuses"]);
    for (i, status) in inits.iter().enumerate() {
        let code = dig(status, &["state", "terminated", "exitCode"]).and_then(Value::as_i64);
        if code == Some(0) {
            continue;
        }
        let waiting = dig_str(status, &["state", "waiting", "reason"]);
        word = if code.is_some() {
            format!("Init:{}", ended(status))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{i}/{}", list(object, &["spec", "initContainers"]).len())
        };
        initialising = true;
        break;
    }
    if !initialising {
        word = containers(object, word);
    }
    if is_terminating(object) {
        word = if dig_str(object, &["status", "reason"]) == "NodeLost" {
            "Unknown"
        } else {
            "Terminating"
        }
        .to_owned();
    }
    word
}

/// What its containers make of a pod's word. One that completed speaks for all only where no other runs or failed.
fn containers(object: &Value, mut word: String) -> String {
    let mut running = false;
    let mut failed = None;
    for status in list(object, &["status", "containerStatuses"]).iter().rev() {
        let waiting = dig_str(status, &["state", "waiting", "reason"]);
        let code = dig(status, &["state", "terminated", "exitCode"]).and_then(Value::as_i64);
        if !waiting.is_empty() {
            waiting.clone_into(&mut word);
        } else if dig(status, &["state", "terminated"]).is_some() {
            word = ended(status);
            if code.is_some_and(|code| code != 0) {
                failed = Some(word.clone());
            }
        } else if dig(status, &["state", "running"]).is_some() && status.get("ready") == Some(&Value::Bool(true)) {
            running = true;
        }
    }
    let is_ready = |c: &Value| dig_str(c, &["type"]) == "Ready" && dig_str(c, &["status"]) == "True";
    let ready = list(object, &["status", "conditions"]).iter().any(is_ready);
    match (word.as_str(), failed) {
        ("Completed", _) if running && ready => "Running".to_owned(),
        ("Completed", Some(failure)) => failure,
        ("Completed", None) if running => "NotReady".to_owned(),
        _ => word,
    }
}

fn ended(status: &Value) -> String {
    let terminated = dig(status, &["state", "terminated"]).unwrap_or(&Value::Null);
    let number = |field: &str| terminated.get(field).and_then(Value::as_i64).unwrap_or(0);
    match (dig_str(terminated, &["reason"]), number("signal")) {
        ("", 0) => format!("ExitCode:{}", number("exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn node(object: &Value, name: Value, created: Value) -> Vec<Value> {
    let ready = list(object, &["status", "conditions"])
        .iter()
        .find(|c| dig_str(c, &["type"]) == "Ready");
    let mut status = match ready.map(|c| dig_str(c, &["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if dig(object, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = meta(object, "labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    let address = |kind: &str| {
        let found = list(object, &["status", "addresses"])
            .iter()
            .find(|a| dig_str(a, &["type"]) == kind);
        or_none(found.map(|a| dig_str(a, &["address"])).unwrap_or_default())
    };
    let info = |field: &str| {
        let text = dig_str(object, &["status", "nodeInfo", field]);
        Value::from(if text.is_empty() { "<unknown>" } else { text })
    };
    vec![
        name,
        json!(status),
        or_none(&roles.join(",")),
        created,
        json!(dig_str(object, &["status", "nodeInfo", "kubeletVersion"])),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let time = |fields: &[&str]| {
        let found = fields.iter().map(|f| dig_str(object, &[f])).find(|t| !t.is_empty());
        age(found.unwrap_or_else(|| meta_str(object, "creationTimestamp")), now)
    };
    let source = [
        dig_str(object, &["source", "component"]),
        dig_str(object, &["source", "host"]),
    ];
    let source = source
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    let source = if source.is_empty() {
        dig_str(object, &["reportingComponent"]).to_owned()
    } else {
        source
    };
    let about = format!(
        "{}/{}",
        dig_str(object, &["involvedObject", "kind"]).to_lowercase(),
        dig_str(object, &["involvedObject", "name"])
    );
    let count = object.get("count").and_then(Value::as_i64).unwrap_or(1);
    vec![
        json!(time(&["lastTimestamp", "eventTime"])),
        json!(dig_str(object, &["type"])),
        json!(dig_str(object, &["reason"])),
        json!(about),
        json!(dig_str(object, &["involvedObject", "fieldPath"])),
        json!(source),
        json!(dig_str(object, &["message"]).trim()),
        json!(time(&["firstTimestamp", "eventTime"])),
        json!(count.to_string()),
        name,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_writes_them() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (86_400 * 400, "400d"),
            (86_400 * 800, "2y70d"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn pods_are_summed_up_in_a_word() {
        let status = |s: Value| pod_status(&json!({"spec": {"initContainers": [{}, {}]}, "status": s}));
        assert_eq!(status(json!({"phase": "Pending"})), "Pending");
        assert_eq!(
            status(json!({"phase": "Pending", "initContainerStatuses": [
            {"state": {"terminated": {"exitCode": 0}}}, {"state": {"running": {}}}]})),
            "Init:1/2"
        );
        assert_eq!(
            status(json!({"phase": "Failed", "initContainerStatuses": [
            {"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]})),
            "Init:Error"
        );
        assert_eq!(
            status(json!({"phase": "Running", "containerStatuses": [
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})),
            "CrashLoopBackOff"
        );
        assert_eq!(
            status(json!({"phase": "Succeeded", "containerStatuses": [
            {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]})),
            "Completed"
        );
    }
}
