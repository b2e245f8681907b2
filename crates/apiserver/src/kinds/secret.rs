//! Secrets and ConfigMaps.

use serde_json::Value;

use crate::base64;
use crate::object::{as_map, child, dig, dig_str};
use crate::status::FieldError;

/// Moves `stringData` into `data`, and names the default type.
pub(super) fn prepare(value: &mut Value) {
    let plain = as_map(value).remove("stringData");
    if let Some(Value::Object(plain)) = plain {
        let data = child(value, "data");
        for (key, text) in plain {
            if let Value::String(text) = text {
                data.insert(key, Value::from(base64::encode(text.as_bytes())));
            }
        }
    }
    as_map(value).entry("type").or_insert_with(|| Value::from("Opaque"));
}

pub(super) fn validate(value: &Value, old: Option<&Value>, kind: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["data", "binaryData"] {
        for (key, entry) in value.get(field).and_then(Value::as_object).into_iter().flatten() {
            let at = format!("{field}[{key}]");
            let ok = !key.is_empty()
                && key.len() <= 253
                && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && key != "."
                && !key.starts_with("..");
            if !ok {
                let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
                errors.push(FieldError::invalid(&at, &Value::from(key.as_str()), detail));
            }
            let encoded = kind == "Secret" || field == "binaryData";
            if encoded && entry.as_str().and_then(base64::decode).is_none() {
                errors.push(FieldError::invalid(&at, &Value::from("<hidden>"), "must be base64"));
            }
        }
    }
    let Some(old) = old else { return errors };
    if kind == "Secret" && dig_str(old, &["type"]) != dig_str(value, &["type"]) {
        errors.push(FieldError::invalid(
            "type",
            value.get("type").unwrap_or(&Value::Null),
            "field is immutable",
        ));
    }
    if dig(old, &["immutable"]) == Some(&Value::Bool(true)) {
        for field in ["immutable", "data", "binaryData"] {
            if old.get(field) != value.get(field) {
                let detail = "field is immutable when `immutable` is set";
                errors.push(FieldError::forbidden(field, detail));
            }
        }
    }
    errors
}
