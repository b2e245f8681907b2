//! CEL rules (`x-kubernetes-validations`), compiled once a CRD version.

use std::sync::Arc;

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde_json::Value;

use crate::status::FieldError;

/// The rules of one schema. `None` inside when it has none, so that nothing is converted for nothing.
#[derive(Clone, Default)]
pub(crate) struct Rules(Option<Arc<CompiledSchema>>);

/// A rule that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RulesError(String);

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rules({})", if self.0.is_some() { "some" } else { "none" })
    }
}

impl Rules {
    pub(crate) fn compile(schema: &Value) -> Result<Rules, RulesError> {
        if !mentions_rules(schema) {
            return Ok(Rules(None));
        }
        let compiled = compile_schema(schema);
        let mut broken = Vec::new();
        collect_errors(&compiled, &mut broken);
        match broken.into_iter().next() {
            Some(first) => Err(RulesError(first)),
            None => Ok(Rules(Some(Arc::new(compiled)))),
        }
    }

    pub(crate) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// Violations of `value`; transition rules run when `old` is given.
    /// A rule that looks at nothing that changed is not held against an update.
    pub(crate) fn validate(&self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let Some(compiled) = &self.0 else {
            return Vec::new();
        };
        let Err(errors) = Validator::new().validate_compiled(compiled, value, old) else {
            return Vec::new();
        };
        errors
            .into_vec()
            .into_iter()
            .filter(|e| !is_unchanged(e, value, old))
            .map(|e| field_error(&e, value))
            .collect()
    }
}

fn mentions_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(mentions_rules),
        Value::Array(items) => items.iter().any(mentions_rules),
        _ => false,
    }
}

fn collect_errors(schema: &CompiledSchema, errors: &mut Vec<String>) {
    errors.extend(schema.compilation_errors().into_iter().map(ToString::to_string));
    let below = schema
        .properties
        .values()
        .chain(schema.items.as_deref())
        .chain(schema.additional_properties.as_deref())
        .chain(&schema.all_of)
        .chain(&schema.one_of)
        .chain(&schema.any_of);
    for child in below {
        collect_errors(child, errors);
    }
}

fn is_unchanged(error: &ValidationError, value: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else { return false };
    if error.rule.contains("oldSelf") {
        return false;
    }
    let now = at(value, &error.field_path);
    now.is_some() && now == at(old, &error.field_path)
}

/// Follows a path such as `spec.items[2].name`; maps keep their keys after dots.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .try_fold(value, |v, part| match part.strip_suffix(']') {
            Some(index) => match index.parse::<usize>() {
                Ok(index) => v.get(index),
                Err(_) => v.get(index.trim_matches('"')),
            },
            None => v.get(part),
        })
}

fn field_error(error: &ValidationError, value: &Value) -> FieldError {
    let field = error.field_path.trim_start_matches('.');
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message.clone(),
        _ => format!("{} (rule: {})", error.message, error.rule),
    };
    match error.reason.as_deref() {
        Some("FieldValueRequired") => FieldError::required(field, &message),
        Some("FieldValueForbidden") => FieldError::forbidden(field, &message),
        Some("FieldValueDuplicate") => FieldError::duplicate(field, at(value, field).unwrap_or(&Value::Null)),
        // Upstream shows plain values, and leaves objects and lists out: they may be large.
        _ => match at(value, field) {
            Some(plain) if !plain.is_object() && !plain.is_array() => FieldError::invalid(field, plain, &message),
            _ => FieldError::invalid_whole(field, &message),
        },
    }
}
