//! The smallest merge patch from one status to another.

use gastown_rules::{Rev, Status};
use serde_json::{Map, Value, json};

fn value(status: &Status) -> Result<Value, serde_json::Error> {
    match status {
        Status::Rig(s) => serde_json::to_value(s),
        Status::Polecat(s) => serde_json::to_value(s),
        Status::Convoy(s) => serde_json::to_value(s),
        Status::Witness(s) => serde_json::to_value(s),
        Status::Refinery(s) => serde_json::to_value(s),
        Status::BeadStore(s) => serde_json::to_value(s),
    }
}

/// A merge patch of the status subresource that names the revision it was decided on.
pub(crate) fn status(from: &Status, to: &Status, rev: Rev) -> Result<Value, serde_json::Error> {
    // A status that was never written reads as the default: then everything is news, zeros and first phases too.
    let held = if unwritten(from) { json!({}) } else { value(from)? };
    let patch = difference(&held, &value(to)?);
    Ok(json!({"metadata": {"resourceVersion": rev.0.to_string()}, "status": patch}))
}

fn unwritten(status: &Status) -> bool {
    match status {
        Status::Rig(s) => **s == Default::default(),
        Status::Polecat(s) => **s == Default::default(),
        Status::Convoy(s) => **s == Default::default(),
        Status::Witness(s) => **s == Default::default(),
        Status::Refinery(s) => **s == Default::default(),
        Status::BeadStore(s) => **s == Default::default(),
    }
}

/// RFC 7386: what is new or changed, and null for what is gone. Lists are whole.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let mut patch = Map::new();
    for (name, wanted) in to {
        match from.get(name) {
            Some(held) if held == wanted => {}
            Some(held @ Value::Object(_)) => {
                patch.insert(name.clone(), difference(held, wanted));
            }
            _ => {
                patch.insert(name.clone(), wanted.clone());
            }
        }
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::difference;
    use gastown_rules::{Rev, Status};
    use serde_json::json;

    #[test]
    fn only_what_differs_is_sent_and_what_is_gone_is_null() {
        let from = json!({"phase": "Working", "podName": "p", "sums": {"a": 1, "b": 2}, "list": [1, 2]});
        let to = json!({"phase": "Done", "sums": {"a": 1, "c": 3}, "list": [1], "branch": "x"});
        assert_eq!(
            difference(&from, &to),
            json!({"phase": "Done", "podName": null, "sums": {"c": 3, "b": null}, "list": [1], "branch": "x"})
        );
    }

    #[test]
    fn the_first_write_says_everything_also_what_is_zero() {
        let from = Status::Rig(Box::default());
        let to = gastown_api::RigStatus {
            message: Some("new".into()),
            ..Default::default()
        };
        let patch = super::status(&from, &Status::Rig(Box::new(to)), Rev(7)).unwrap();
        assert_eq!(patch["status"]["phase"], "Initializing");
        assert_eq!(patch["status"]["polecatCount"], 0);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn equal_statuses_send_nothing() {
        let same = json!({"phase": "Done", "conditions": [{"type": "Ready"}]});
        assert_eq!(difference(&same, &same), json!({}));
    }
}
