//! Strategic merge patch for the built-in kinds: like a merge patch, but some lists are merged by key.

use serde_json::{Map, Value};

use crate::object::as_map;
use crate::status::{ApiError, ApiResult};

/// Lists merged by a key, by the name of their field. Everything else is replaced whole. The OpenAPI
/// document says the same, or kubectl would send patches that mean something else.
pub(crate) const KEYS: &[(&str, &[&str])] = &[
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
    ("addresses", &["type"]),
    ("topologySpreadConstraints", &["topologyKey"]),
];

/// Lists of plain values that are merged as sets.
pub(crate) const SETS: &[&str] = &["finalizers"];

/// Merges `patch` into `value`. `$patch: delete` and `replace` are known; `$setElementOrder` only
/// orders lists, which a merge by key keeps anyway; other directives are refused.
pub(super) fn merge(value: &mut Value, patch: &Value) -> ApiResult<()> {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return Ok(());
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        let mut plain = patch.clone();
        plain.remove("$patch");
        *value = Value::Object(plain);
        return Ok(());
    }
    let map = as_map(value);
    for (field, change) in patch {
        if field.starts_with("$setElementOrder/") {
            continue;
        }
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from(map, list, change);
            continue;
        }
        if field == "$retainKeys" {
            retain(map, change);
            continue;
        }
        if field.starts_with('$') {
            return Err(ApiError::unsupported_media(format!(
                "the strategic merge directive {field} is not served by this one-machine API; \
                 send application/merge-patch+json or application/json-patch+json"
            )));
        }
        merge_field(map, field, change)?;
    }
    Ok(())
}

fn merge_field(map: &mut Map<String, Value>, field: &str, change: &Value) -> ApiResult<()> {
    match change {
        Value::Null => {
            map.remove(field);
        }
        Value::Object(object) if object.get("$patch").and_then(Value::as_str) == Some("delete") => {
            map.remove(field);
        }
        Value::Object(_) => merge(map.entry(field).or_insert(Value::Null), change)?,
        Value::Array(items) => merge_list(map.entry(field).or_insert(Value::Null), field, items)?,
        plain => {
            map.insert(field.to_owned(), plain.clone());
        }
    }
    Ok(())
}

fn merge_list(value: &mut Value, field: &str, changes: &[Value]) -> ApiResult<()> {
    if SETS.contains(&field)
        && let Some(list) = value.as_array_mut()
    {
        // As upstream: what the patch names comes first.
        list.retain(|item| !changes.contains(item));
        list.splice(..0, changes.iter().cloned());
        return Ok(());
    }
    let keys = KEYS
        .iter()
        .find(|(f, _)| *f == field)
        .map(|(_, keys)| *keys)
        .unwrap_or_default();
    let key = keys.iter().find(|k| changes.iter().all(|c| c.get(**k).is_some()));
    let Some(key) = key else {
        *value = strip(changes);
        return Ok(());
    };
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    let Some(list) = value.as_array_mut() else {
        return Ok(());
    };
    for change in changes {
        let found = list.iter().position(|item| item.get(*key) == change.get(*key));
        match (change.get("$patch").and_then(Value::as_str), found) {
            (Some("delete"), Some(at)) => {
                list.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => {
                if let Some(item) = list.get_mut(at) {
                    merge(item, change)?;
                }
            }
            (_, None) => {
                let mut item = Value::Null;
                merge(&mut item, change)?;
                list.push(item);
            }
        }
    }
    Ok(())
}

/// A whole list, without the directive that says it is one.
fn strip(changes: &[Value]) -> Value {
    changes.iter().filter(|c| c.get("$patch").is_none()).cloned().collect()
}

fn delete_from(map: &mut Map<String, Value>, list: &str, gone: &Value) {
    let gone = gone.as_array().cloned().unwrap_or_default();
    if let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) {
        items.retain(|item| !gone.contains(item));
    }
}

fn retain(map: &mut Map<String, Value>, keys: &Value) {
    let keys = keys.as_array().cloned().unwrap_or_default();
    map.retain(|field, _| keys.iter().any(|k| k.as_str() == Some(field)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_with_a_key_are_merged_and_others_replaced() {
        let mut pod = json!({"spec": {
            "containers": [{"name": "a", "image": "one", "args": ["x", "y"]}, {"name": "b", "image": "two"}],
            "tolerations": [{"key": "old"}],
        }});
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}, {"name": "c"}],
            "containers": [{"name": "a", "image": "three", "args": ["z"]}, {"$patch": "delete", "name": "b"}, {"name": "c"}],
            "tolerations": [{"key": "new"}],
        }});
        merge(&mut pod, &patch).unwrap();
        assert_eq!(
            pod,
            json!({"spec": {
                "containers": [{"name": "a", "image": "three", "args": ["z"]}, {"name": "c"}],
                "tolerations": [{"key": "new"}],
            }})
        );
        assert!(merge(&mut pod, &json!({"$unheardOf": 1})).is_err());
    }
}
