//! Structural schemas, compiled once a CRD: validation, defaults, pruning. CEL lives in [`rules`].

mod rules;
mod shape;
mod validate;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

pub(crate) use rules::Rules;

/// A compiled schema node.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    kind: Option<Kind>,
    nullable: bool,
    int_or_string: bool,
    preserve_unknown: bool,
    embedded_resource: bool,
    properties: BTreeMap<String, Arc<Schema>>,
    required: Vec<String>,
    additional: Additional,
    items: Option<Arc<Schema>>,
    list: ListType,
    default: Option<Value>,
    bounds: Bounds,
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    not: Option<Box<Schema>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "object" => Kind::Object,
            "array" => Kind::Array,
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Kind::Object => value.is_object(),
            Kind::Array => value.is_array(),
            Kind::String => value.is_string(),
            Kind::Boolean => value.is_boolean(),
            Kind::Number => value.is_number(),
            // 1.0 is an integer in JSON Schema, as upstream has it.
            Kind::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        }
    }
}

#[derive(Debug, Default)]
enum Additional {
    #[default]
    Closed,
    Any,
    Of(Arc<Schema>),
}

#[derive(Debug, Default, PartialEq)]
enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What a value itself must satisfy, its type apart.
#[derive(Debug, Default)]
struct Bounds {
    choices: Option<Vec<Value>>,
    pattern: Option<Regex>,
    format: Option<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    unique_items: bool,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
}

/// A schema that cannot be compiled: where, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub(crate) struct SchemaError {
    pub(crate) path: String,
    pub(crate) why: String,
}

impl Schema {
    /// Compiles an `openAPIV3Schema` that refers to nothing outside itself.
    pub(crate) fn compile(schema: &Value) -> Result<Schema, SchemaError> {
        Compiler::new(None).node(schema, "openAPIV3Schema")
    }

    /// Compiles `schema`, looking `$ref`s up in `definitions` by the last word of their path.
    pub(crate) fn compile_with(schema: &Value, definitions: &Value) -> Result<Arc<Schema>, SchemaError> {
        Compiler::new(Some(definitions)).shared(schema, "schema")
    }

    fn anything() -> Schema {
        Schema {
            preserve_unknown: true,
            ..Schema::default()
        }
    }
}

struct Compiler<'a> {
    definitions: Option<&'a Value>,
    // `None` while a definition is being compiled: a schema that contains itself stays open there.
    known: HashMap<String, Option<Arc<Schema>>>,
}

impl<'a> Compiler<'a> {
    fn new(definitions: Option<&'a Value>) -> Self {
        Compiler {
            definitions,
            known: HashMap::new(),
        }
    }

    fn shared(&mut self, schema: &Value, path: &str) -> Result<Arc<Schema>, SchemaError> {
        let Some(name) = schema.get("$ref").and_then(Value::as_str) else {
            return self.node(schema, path).map(Arc::new);
        };
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        match self.known.get(&name) {
            Some(Some(known)) => return Ok(Arc::clone(known)),
            Some(None) => return Ok(Arc::new(Schema::anything())),
            None => {}
        }
        let Some(target) = self.definitions.and_then(|d| d.get(&name)) else {
            return Err(SchemaError {
                path: path.to_owned(),
                why: format!("$ref to {name} cannot be resolved"),
            });
        };
        self.known.insert(name.clone(), None);
        let compiled = Arc::new(self.node(target, path)?);
        self.known.insert(name, Some(Arc::clone(&compiled)));
        Ok(compiled)
    }

    fn node(&mut self, schema: &Value, path: &str) -> Result<Schema, SchemaError> {
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        let mut node = Schema {
            kind: schema.get("type").and_then(Value::as_str).and_then(Kind::parse),
            nullable: flag("nullable"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded_resource: flag("x-kubernetes-embedded-resource"),
            required: texts(schema.get("required")),
            list: list_type(schema),
            default: schema.get("default").cloned(),
            bounds: bounds(schema, path)?,
            ..Schema::default()
        };
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let child = self.shared(property, &format!("{path}.properties[{name}]"))?;
                node.properties.insert(name.clone(), child);
            }
        }
        node.additional = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => Additional::Closed,
            Some(Value::Bool(true)) => Additional::Any,
            Some(of) => Additional::Of(self.shared(of, &format!("{path}.additionalProperties"))?),
        };
        if let Some(items) = schema.get("items") {
            node.items = Some(self.shared(items, &format!("{path}.items"))?);
        }
        node.all_of = self.several(schema, "allOf", path)?;
        node.any_of = self.several(schema, "anyOf", path)?;
        node.one_of = self.several(schema, "oneOf", path)?;
        if let Some(not) = schema.get("not") {
            node.not = Some(Box::new(self.node(not, &format!("{path}.not"))?));
        }
        Ok(node)
    }

    fn several(&mut self, schema: &Value, word: &str, path: &str) -> Result<Vec<Schema>, SchemaError> {
        let Some(list) = schema.get(word).and_then(Value::as_array) else {
            return Ok(Vec::new());
        };
        list.iter()
            .enumerate()
            .map(|(i, s)| self.node(s, &format!("{path}.{word}[{i}]")))
            .collect()
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .map(|a| a.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default()
}

fn list_type(schema: &Value) -> ListType {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(schema.get("x-kubernetes-list-map-keys"))),
        _ => ListType::Atomic,
    }
}

fn bounds(schema: &Value, path: &str) -> Result<Bounds, SchemaError> {
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    let flag = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
    let pattern = match schema.get("pattern").and_then(Value::as_str) {
        None => None,
        Some(text) => Some(Regex::new(text).map_err(|e| SchemaError {
            path: format!("{path}.pattern"),
            why: format!("must be a valid regular expression, but isn't: {e}"),
        })?),
    };
    Ok(Bounds {
        choices: schema.get("enum").and_then(Value::as_array).cloned(),
        pattern,
        format: schema.get("format").and_then(Value::as_str).map(str::to_owned),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: flag("uniqueItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
    })
}
