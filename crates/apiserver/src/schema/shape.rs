//! Pruning and defaulting: the two ways a schema changes an object.

use serde_json::{Map, Value};

use super::{Additional, Schema};

impl Schema {
    /// Removes fields the schema does not know and returns their paths.
    /// The root keeps `apiVersion`, `kind` and `metadata`, which no CRD schema spells out.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        self.prune_node(object, "", true, &mut unknown);
        unknown
    }

    fn prune_node(&self, value: &mut Value, path: &str, resource: bool, unknown: &mut Vec<String>) {
        match value {
            Value::Object(map) => self.prune_map(map, path, resource, unknown),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (i, item) in items.iter_mut().enumerate() {
                        schema.prune_node(item, &format!("{path}[{i}]"), schema.embedded_resource, unknown);
                    }
                }
            }
            _ => {}
        }
    }

    fn prune_map(&self, map: &mut Map<String, Value>, path: &str, resource: bool, unknown: &mut Vec<String>) {
        let of_resource = |name: &str| resource && matches!(name, "apiVersion" | "kind" | "metadata");
        map.retain(|name, value| {
            let below = join(path, name);
            if let Some(schema) = self.properties.get(name) {
                schema.prune_node(value, &below, schema.embedded_resource, unknown);
                return true;
            }
            if of_resource(name) {
                return true;
            }
            match &self.additional {
                Additional::Of(schema) => {
                    schema.prune_node(value, &below, schema.embedded_resource, unknown);
                    true
                }
                Additional::Any => true,
                Additional::Closed if self.keeps_unknown() => true,
                Additional::Closed => {
                    unknown.push(below);
                    false
                }
            }
        });
    }

    fn keeps_unknown(&self) -> bool {
        // A node that says nothing at all (a JSON of any shape) has no fields to be unknown.
        self.preserve_unknown || (self.kind.is_none() && self.properties.is_empty())
    }

    /// Fills in defaults, also inside defaults just filled in. A null where null is not allowed
    /// gives way to the default, as upstream does it.
    pub(crate) fn apply_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    let absent = match map.get(name) {
                        None => true,
                        Some(Value::Null) => !schema.nullable,
                        Some(_) => false,
                    };
                    if absent && let Some(default) = &schema.default {
                        map.insert(name.clone(), default.clone());
                    }
                    if let Some(below) = map.get_mut(name) {
                        schema.apply_defaults(below);
                    }
                }
                if let Additional::Of(schema) = &self.additional {
                    for (name, below) in map.iter_mut() {
                        if !self.properties.contains_key(name) {
                            schema.apply_defaults(below);
                        }
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.apply_defaults(item));
                }
            }
            _ => {}
        }
    }

    /// Drops nulls of fields and map entries that may not be null, as upstream does.
    pub(crate) fn drop_nulls(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|name, below| {
                    let schema = match (self.properties.get(name), &self.additional) {
                        (Some(schema), _) | (None, Additional::Of(schema)) => Some(schema),
                        _ => None,
                    };
                    if below.is_null() {
                        return schema.is_none_or(|s| s.nullable || (s.kind.is_none() && !s.int_or_string));
                    }
                    if let Some(schema) = schema {
                        schema.drop_nulls(below);
                    }
                    true
                });
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.drop_nulls(item));
                }
            }
            _ => {}
        }
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
