//! Validation against a compiled schema, in kube-apiserver's words.

use serde_json::Value;

use super::shape::join;
use super::{Additional, Bounds, Kind, ListType, Schema};
use crate::status::FieldError;

impl Schema {
    /// Every violation in `value`. What equals its part of `old` is not judged again, so that objects
    /// from before a stricter schema stay writable (upstream calls it ratcheting).
    pub(crate) fn validate(&self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check(value, old, "", &mut errors);
        errors
    }

    fn check(&self, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        if old == Some(value) {
            return;
        }
        if value.is_null() {
            // Nulls that may not be are dropped before we get here, except inside lists and maps.
            if !self.nullable
                && let Some(kind) = self.kind
            {
                errors.push(wrong_type(path, kind.name(), value));
            }
            return;
        }
        if !self.check_type(value, path, errors) {
            return;
        }
        self.bounds.check(value, path, errors);
        match value {
            Value::Object(_) => self.check_object(value, old, path, errors),
            Value::Array(items) => self.check_array(items, old, path, errors),
            _ => {}
        }
        self.check_junctors(value, path, errors);
    }

    fn check_type(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) -> bool {
        if self.int_or_string {
            let fits = Kind::Integer.admits(value) || value.is_string();
            if !fits {
                errors.push(wrong_type(path, "integer,string", value));
            }
            return fits;
        }
        match self.kind {
            Some(kind) if !kind.admits(value) => {
                errors.push(wrong_type(path, kind.name(), value));
                false
            }
            _ => true,
        }
    }

    fn check_object(&self, value: &Value, old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        let Some(map) = value.as_object() else { return };
        for name in &self.required {
            if !map.contains_key(name) {
                errors.push(FieldError::required(&join(path, name), ""));
            }
        }
        for (name, below) in map {
            let old = old.and_then(|o| o.get(name));
            if let Some(schema) = self.properties.get(name) {
                schema.check(below, old, &join(path, name), errors);
            } else if let Additional::Of(schema) = &self.additional {
                schema.check(below, old, &join(path, name), errors);
            }
        }
        if self.embedded_resource {
            for name in ["apiVersion", "kind"] {
                if map.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                    errors.push(FieldError::required(&join(path, name), "must not be empty"));
                }
            }
        }
    }

    fn check_array(&self, items: &[Value], old: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
        for (i, item) in items.iter().enumerate() {
            let at = format!("{path}[{i}]");
            let earlier = items.get(..i).unwrap_or_default();
            match &self.list {
                ListType::Set if earlier.contains(item) => errors.push(FieldError::duplicate(&at, item)),
                ListType::Map(keys) => {
                    let key = map_key(item, keys);
                    if earlier.iter().any(|e| map_key(e, keys) == key) {
                        errors.push(FieldError::duplicate(&at, &key));
                    }
                }
                _ => {}
            }
            if let Some(schema) = &self.items {
                let old = match &self.list {
                    ListType::Map(keys) => old.and_then(Value::as_array).and_then(|o| {
                        let key = map_key(item, keys);
                        o.iter().find(|e| map_key(e, keys) == key)
                    }),
                    _ => None,
                };
                schema.check(item, old, &at, errors);
            }
        }
    }

    fn check_junctors(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let holds = |s: &Schema| {
            let mut inner = Vec::new();
            s.check(value, None, path, &mut inner);
            inner.is_empty()
        };
        for schema in &self.all_of {
            schema.check(value, None, path, errors);
        }
        let what = |word: &str| format!("{} in body must {word}", at(path));
        if !self.any_of.is_empty() && !self.int_or_string && !self.any_of.iter().any(&holds) {
            let detail = what("validate at least one schema (anyOf)");
            errors.push(FieldError::invalid(path, value, &detail));
        }
        if !self.one_of.is_empty() {
            let count = self.one_of.iter().filter(|s| holds(s)).count();
            if count != 1 {
                let found = if count == 0 {
                    "Found none valid"
                } else {
                    "Found more than one valid"
                };
                let detail = format!("{}. {found}", what("validate one and only one schema (oneOf)"));
                errors.push(FieldError::invalid(path, value, &detail));
            }
        }
        if let Some(not) = &self.not
            && holds(not)
        {
            errors.push(FieldError::invalid(path, value, &what("not validate the schema (not)")));
        }
    }
}

fn map_key(item: &Value, keys: &[String]) -> Value {
    keys.iter()
        .filter_map(|k| item.get(k).map(|v| (k.clone(), v.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn wrong_type(path: &str, expected: &str, value: &Value) -> FieldError {
    let actual = Value::from(type_name(value));
    let detail = format!("{} in body must be of type {expected}: {actual}", at(path));
    FieldError::type_invalid(path, &actual, &detail)
}

fn at(path: &str) -> &str {
    if path.is_empty() { "<root>" } else { path }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Bounds {
    fn check(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if let Some(choices) = &self.choices
            && !choices.contains(value)
        {
            errors.push(FieldError::unsupported(path, value, choices));
        }
        match value {
            Value::String(text) => self.check_text(text, value, path, errors),
            Value::Number(number) => {
                if let Some(number) = number.as_f64() {
                    self.check_number(number, value, path, errors);
                }
            }
            Value::Array(items) => self.check_count(items, path, errors),
            Value::Object(map) => {
                let count = map.len();
                if self.min_properties.is_some_and(|min| (count as u64) < min) {
                    let min = self.min_properties.unwrap_or_default();
                    let detail = format!("{} in body should have at least {min} properties", at(path));
                    errors.push(FieldError::invalid(path, &Value::from(count), &detail));
                }
                if let Some(max) = self.max_properties.filter(|max| count as u64 > *max) {
                    errors.push(FieldError::too_many(path, count, max));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_text(&self, text: &str, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count() as u64;
        if let Some(min) = self.min_length.filter(|min| length < *min) {
            let detail = format!("{} in body should be at least {min} chars long", at(path));
            errors.push(FieldError::invalid(path, value, &detail));
            // As upstream: the first fault of a text is the one told.
            return;
        }
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            errors.push(FieldError::too_long(path, max));
            return;
        }
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(text)
        {
            let detail = format!("{} in body should match '{pattern}'", at(path));
            errors.push(FieldError::invalid(path, value, &detail));
        }
        if self.format.as_deref() == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
            let detail = format!("{} in body must be of type date-time: {value}", at(path));
            errors.push(FieldError::type_invalid(path, value, &detail));
        }
    }

    fn check_number(&self, number: f64, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        if let Some(min) = self.minimum {
            let (bad, words) = if self.exclusive_minimum {
                (number <= min, "greater than")
            } else {
                (number < min, "greater than or equal to")
            };
            if bad {
                let detail = format!("{} in body should be {words} {min}", at(path));
                errors.push(FieldError::invalid(path, value, &detail));
            }
        }
        if let Some(max) = self.maximum {
            let (bad, words) = if self.exclusive_maximum {
                (number >= max, "less than")
            } else {
                (number > max, "less than or equal to")
            };
            if bad {
                let detail = format!("{} in body should be {words} {max}", at(path));
                errors.push(FieldError::invalid(path, value, &detail));
            }
        }
        if let Some(of) = self.multiple_of.filter(|of| *of != 0.0 && (number / of).fract() != 0.0) {
            let detail = format!("{} in body should be a multiple of {of}", at(path));
            errors.push(FieldError::invalid(path, value, &detail));
        }
        let range = match self.format.as_deref() {
            Some("int32") => Some((f64::from(i32::MIN), f64::from(i32::MAX), "int32")),
            _ => None,
        };
        if let Some((_, _, name)) = range.filter(|(low, high, _)| number < *low || number > *high) {
            let detail = format!("{} in body must be of type {name}: {value}", at(path));
            errors.push(FieldError::invalid(path, value, &detail));
        }
    }

    fn check_count(&self, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
        let count = items.len();
        if let Some(min) = self.min_items.filter(|min| (count as u64) < *min) {
            let detail = format!("{} in body should have at least {min} items", at(path));
            errors.push(FieldError::invalid(path, &Value::from(count), &detail));
        }
        if let Some(max) = self.max_items.filter(|max| count as u64 > *max) {
            errors.push(FieldError::too_many(path, count, max));
        }
        if self.unique_items {
            for (i, item) in items.iter().enumerate() {
                if items.get(..i).unwrap_or_default().contains(item) {
                    errors.push(FieldError::duplicate(&format!("{path}[{i}]"), item));
                }
            }
        }
    }
}
