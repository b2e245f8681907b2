//! Secrets and ConfigMaps.

use serde_json::{Map, Value};

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

fn bad_key(key: &str) -> Option<&'static str> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if key.is_empty() || !plain {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." => Some("must not be '.'"),
        ".." => Some("must not be '..'"),
        _ if key.starts_with("..") => Some("must not start with '..'"),
        _ if key.len() > 253 => Some("must be no more than 253 characters"),
        _ => None,
    }
}

/// Keys that the type of a Secret promises to its readers.
fn lacking(value: &Value) -> Vec<FieldError> {
    let has = |key: &str| value.get("data").is_some_and(|d| d.get(key).is_some());
    let need = |key: &str| (!has(key)).then(|| FieldError::required(&format!("data[{key}]"), ""));
    match dig_str(value, &["type"]) {
        "kubernetes.io/ssh-auth" => need("ssh-privatekey").into_iter().collect(),
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().filter_map(need).collect(),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            ["username", "password"].into_iter().filter_map(need).collect()
        }
        "kubernetes.io/dockerconfigjson" => docker(value, has(".dockerconfigjson")),
        _ => Vec::new(),
    }
}

fn docker(value: &Value, present: bool) -> Vec<FieldError> {
    const AT: &str = "data[.dockerconfigjson]";
    let content = dig_str(value, &["data", ".dockerconfigjson"]);
    let decoded = base64::decode(content).unwrap_or_default();
    match serde_json::from_slice::<Value>(&decoded) {
        _ if !present => vec![FieldError::required(AT, "")],
        Ok(_) => Vec::new(),
        Err(_) => vec![FieldError::invalid(
            AT,
            &Value::from("<secret contents redacted>"),
            "unexpected end of JSON input",
        )],
    }
}

/// Bytes travel as base64; what is none cannot be read.
pub(super) fn check_encoding(value: &Value, field: &str) -> Result<(), String> {
    for text in value
        .get(field)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|m| m.values())
    {
        let Some(text) = text.as_str() else { continue };
        if base64::decode(text).is_none() {
            let bad = |b: u8| !(b.is_ascii_alphanumeric() || b"+/=".contains(&b));
            let at = text
                .bytes()
                .position(bad)
                .unwrap_or(text.len().saturating_sub(text.len() % 4));
            return Err(format!("illegal base64 data at input byte {at}"));
        }
    }
    Ok(())
}

pub(super) fn validate(value: &Value, old: Option<&Value>, kind: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["data", "binaryData"] {
        for key in value
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            let at = format!("{field}[{key}]");
            if let Some(detail) = bad_key(key) {
                errors.push(FieldError::invalid(&at, &Value::from(key.as_str()), detail));
            }
            let other = value.get("binaryData").and_then(|b| b.get(key));
            if field == "data" && kind == "ConfigMap" && other.is_some() {
                let detail = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&at, &Value::from(key.as_str()), detail));
            }
        }
    }
    let missing = if kind == "Secret" { lacking(value) } else { Vec::new() };
    let Some(old) = old else {
        errors.extend(missing);
        return errors;
    };
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
    errors.extend(missing);
    errors
}
