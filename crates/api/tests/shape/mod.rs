//! A reader of generated schemas, strict where an API server prunes: a field the schema does not name is a complaint.

use serde_json::Value;

/// What an API server would refuse or drop of `value`, each with its path. Rules are CEL's business, not this one's.
pub(crate) fn complaints(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, value, path, &mut found);
    found
}

fn look(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(options) = schema["enum"].as_array()
        && !options.contains(value)
    {
        found.push(format!("{path}: {value} is none of {options:?}"));
    }
    if schema["x-kubernetes-int-or-string"] == true {
        match value {
            Value::String(text) => look_at_text(schema, text, path, found),
            Value::Number(number) if number.is_i64() => {}
            _ => found.push(format!("{path}: neither integer nor string")),
        }
        return;
    }
    match (schema["type"].as_str().unwrap_or("nothing"), value) {
        ("object", Value::Object(fields)) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(name.as_str().unwrap_or_default()) {
                    found.push(format!("{path}.{name}: required"));
                }
            }
            for (name, field) in fields {
                let at = format!("{path}.{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(known), _) => look(known, field, &at, found),
                    (None, Some(any)) => look(any, field, &at, found),
                    (None, None) => found.push(format!("{at}: unknown")),
                }
            }
        }
        ("array", Value::Array(items)) => {
            if schema["minItems"]
                .as_u64()
                .is_some_and(|min| (items.len() as u64) < min)
                || schema["maxItems"].as_u64().is_some_and(|max| items.len() as u64 > max)
            {
                found.push(format!("{path}: {} items", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                look(&schema["items"], item, &format!("{path}[{index}]"), found);
            }
        }
        ("string", Value::String(text)) => look_at_text(schema, text, path, found),
        ("integer", Value::Number(number)) if number.is_i64() => {
            let number = number.as_i64().unwrap_or_default() as f64;
            if schema["minimum"].as_f64().is_some_and(|min| number < min)
                || schema["maximum"].as_f64().is_some_and(|max| number > max)
            {
                found.push(format!("{path}: {number} is out of bounds"));
            }
        }
        ("boolean", Value::Bool(_)) => {}
        (kind, _) => found.push(format!("{path}: not of type {kind}")),
    }
}

fn look_at_text(schema: &Value, text: &str, path: &str, found: &mut Vec<String>) {
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|min| length < min)
        || schema["maxLength"].as_u64().is_some_and(|max| length > max)
    {
        found.push(format!("{path}: {length} characters"));
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        found.push(format!("{path}: {text} does not match {pattern}"));
    }
}
