//! Names, labels and times, as Kubernetes checks and writes them.

use jiff::Timestamp;
use serde_json::Value;

use crate::object::{dig, meta, meta_str};
use crate::status::FieldError;

pub(crate) const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Second precision, as `metav1.Time` is written.
pub(crate) fn timestamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn alphanumeric_ends(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(text.bytes().next()) && edge(text.bytes().last())
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63
        && alphanumeric_ends(text)
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            alphanumeric_ends(part)
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

fn is_word(text: &str) -> bool {
    text.len() <= 63
        && alphanumeric_ends(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `[prefix/]name`, as label and annotation keys are.
pub(crate) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_word(name),
        None => is_word(text),
    }
}

/// Why a text is no label or annotation key.
fn unqualified(text: &str) -> Option<String> {
    let (prefix, name) = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            let (_, grammar) = QUALIFIED.split_once(' ').unwrap_or_default();
            let (_, grammar) = grammar.split_once(' ').unwrap_or_default();
            return Some(format!(
                "a valid label key {grammar} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    match prefix {
        Some("") => Some("prefix part must be non-empty".to_owned()),
        Some(prefix) if !is_dns_subdomain(prefix) => Some(format!("prefix part {DNS_SUBDOMAIN}")),
        _ if name.is_empty() => Some("name part must be non-empty".to_owned()),
        _ => (!is_word(name)).then(|| QUALIFIED.to_owned()),
    }
}

pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

/// What metadata must satisfy, whatever the kind.
pub(crate) fn validate_metadata(value: &Value, label_name: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = meta_str(value, "name");
    let quoted = Value::from(name);
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if label_name && name.contains('.') {
        errors.push(FieldError::invalid("metadata.name", &quoted, "must not contain dots"));
    } else if label_name && !is_dns_label(name) {
        errors.push(FieldError::invalid("metadata.name", &quoted, DNS_LABEL));
    } else if !is_dns_subdomain(name) {
        errors.push(FieldError::invalid("metadata.name", &quoted, DNS_SUBDOMAIN));
    }
    for (key, label) in meta(value, "labels").and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = unqualified(key) {
            errors.push(FieldError::invalid("metadata.labels", &Value::from(key.as_str()), &why));
        }
        match label.as_str() {
            Some(text) if text.len() > 63 => {
                errors.push(FieldError::invalid(
                    "metadata.labels",
                    label,
                    "must be no more than 63 bytes",
                ));
            }
            Some(text) if is_label_value(text) => {}
            _ => errors.push(FieldError::invalid("metadata.labels", label, LABEL_VALUE)),
        }
    }
    validate_annotations(value, &mut errors);
    for finalizer in crate::object::finalizers(value) {
        if !is_qualified(&finalizer) {
            let at = "metadata.finalizers";
            errors.push(FieldError::invalid(at, &Value::from(finalizer), QUALIFIED));
        }
    }
    validate_owners(value, &mut errors);
    errors
}

fn validate_annotations(value: &Value, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, text) in meta(value, "annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(why) = unqualified(&key.to_lowercase()) {
            errors.push(FieldError::invalid(
                "metadata.annotations",
                &Value::from(key.as_str()),
                &why,
            ));
        }
        if !text.is_string() {
            errors.push(FieldError::type_invalid(
                "metadata.annotations",
                text,
                "must be a string",
            ));
        }
        size += key.len() + text.as_str().map_or(0, str::len);
    }
    if size > 256 * 1024 {
        errors.push(FieldError::too_long("metadata.annotations", 256 * 1024));
    }
}

fn validate_owners(value: &Value, errors: &mut Vec<FieldError>) {
    const AT: &str = "metadata.ownerReferences";
    let list = meta(value, "ownerReferences").and_then(Value::as_array);
    let mut controller: Option<String> = None;
    for owner in list.into_iter().flatten() {
        let text = |field: &str| dig(owner, &[field]).and_then(Value::as_str).unwrap_or_default();
        let version = text("apiVersion");
        if version.is_empty() || version.matches('/').count() > 1 {
            let detail = "version must not be empty";
            errors.push(FieldError::invalid(
                &format!("{AT}.apiVersion"),
                &Value::from(version),
                detail,
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                let at = format!("{AT}.{field}");
                errors.push(FieldError::invalid(&at, &Value::from(""), "must not be empty"));
            }
        }
        if version == "v1" && text("kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(AT, owner, detail));
        }
        if dig(owner, &["controller"]) != Some(&Value::Bool(true)) {
            continue;
        }
        let name = format!("{}/{}", text("kind"), text("name"));
        match &controller {
            None => controller = Some(name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                let all = meta(value, "ownerReferences").unwrap_or(&Value::Null);
                errors.push(FieldError::invalid(AT, all, &detail));
            }
        }
    }
}
