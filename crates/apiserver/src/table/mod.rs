//! `as=Table`: what `kubectl get` prints.

mod cells;
mod jsonpath;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::{Column, Resource};
use crate::kinds::BuiltIn;
use crate::object::{Object, meta_str};
use crate::request::{Context, Query};
use crate::status::{ApiError, ApiResult};

/// How a kind is printed.
pub(crate) struct Shape {
    columns: Vec<Column>,
    kind: Option<BuiltIn>,
    include: Include,
}

#[derive(Clone, Copy, PartialEq)]
enum Include {
    Nothing,
    Metadata,
    Object,
}

/// What `includeObject` cannot be.
pub(crate) fn check_include(query: &Query) -> ApiResult<()> {
    match query.text("includeObject") {
        "" | "None" | "Metadata" | "Object" => Ok(()),
        other => Err(ApiError::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": \
             must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

impl Shape {
    pub(crate) fn new(resource: &Resource, version: &str, context: &Context) -> Shape {
        Shape {
            columns: resource.version(version).map(|v| v.columns.clone()).unwrap_or_default(),
            kind: resource.built_in,
            include: match context.query.text("includeObject") {
                "None" => Include::Nothing,
                "Object" => Include::Object,
                _ => Include::Metadata,
            },
        }
    }

    /// A `Table`; `headed` says whether it names its columns.
    pub(crate) fn table<'a>(
        &self,
        objects: impl Iterator<Item = &'a Arc<Object>>,
        metadata: Value,
        headed: bool,
    ) -> Value {
        let now = Timestamp::now();
        let columns: Value = if headed {
            self.columns.iter().map(definition).collect()
        } else {
            Value::Null
        };
        json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": columns,
            "rows": objects.map(|o| self.row(&o.value, now)).collect::<Vec<_>>(),
        })
    }

    fn row(&self, object: &Value, now: Timestamp) -> Value {
        let cells = match self.kind {
            Some(kind) => cells::of(kind, object, now),
            None => self.columns.iter().map(|c| cell(c, object, now)).collect(),
        };
        let shown = match self.include {
            Include::Nothing => Value::Null,
            Include::Metadata => partial(object),
            Include::Object => object.clone(),
        };
        json!({"cells": cells, "object": shown})
    }
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// Metadata alone, as `PartialObjectMetadata`.
pub(crate) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata"),
    })
}

/// A cell of a custom resource. What is missing or of another type stays empty.
fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    if column.path.is_empty() {
        return Value::from(meta_str(object, "name"));
    }
    let Some(found) = jsonpath::first(object, &column.path) else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "integer" | "number" if found.is_number() => found.clone(),
        "boolean" if found.is_boolean() => found.clone(),
        "date" => found.as_str().map_or(Value::Null, |t| Value::from(cells::age(t, now))),
        "string" => match found {
            Value::String(_) => found.clone(),
            Value::Null => Value::Null,
            other => Value::from(other.to_string()),
        },
        _ => Value::Null,
    }
}
