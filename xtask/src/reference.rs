//! The page that says what every field of a spec means, from the schema people's clusters hold.

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use std::fmt::Write as _;

use crate::generated::Generated;

const PATH: &str = "docs/CRD_REFERENCE.md";
const HEAD: &str = "<!-- Generated from crates/api by `make generate`. Do not edit. -->
# Resources

The six kinds of `gastown.gastown.io/v1alpha1`. `kubectl explain polecat.spec` tells the same from a cluster.
Durations are written as Go writes them: `30s`, `15m`, `1h30m`. A reference names an object in the namespace of the pod that uses it.
A field that is accepted but not served yet is named by the object's condition `FieldsHonoured`.
";

/// Kubernetes' own types, which have their own documentation.
const KUBERNETES: [(&str, &str); 5] = [
    ("env", "EnvVar[]"),
    ("resources", "ResourceRequirements"),
    ("tolerations", "Toleration[]"),
    ("imagePullSecrets", "LocalObjectReference[]"),
    ("conditions", "Condition[]"),
];

/// The one page.
pub(crate) fn page(crds: &[CustomResourceDefinition]) -> Result<Generated> {
    let mut text = HEAD.to_owned();
    for crd in crds {
        kind(crd, &mut text).with_context(|| format!("describing {}", crd.spec.names.kind))?;
    }
    Ok(Generated {
        path: PATH.to_owned(),
        text,
    })
}

fn kind(crd: &CustomResourceDefinition, text: &mut String) -> Result<()> {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first().context("no version")?;
    let schema = version
        .schema
        .as_ref()
        .and_then(|s| s.open_api_v3_schema.as_ref())
        .context("no schema")?;
    let about = schema.description.as_deref().unwrap_or_default();
    writeln!(text, "\n## {}\n\n{about}\n", names.kind)?;
    let scope = if crd.spec.scope == "Cluster" {
        "in no namespace"
    } else {
        "in a namespace"
    };
    let short = names
        .short_names
        .iter()
        .flatten()
        .map(|name| format!(", `{name}`"))
        .collect::<String>();
    writeln!(
        text,
        "Lives {scope}. Names for kubectl: `{}`, `{}`{short}.\n",
        names.plural,
        names.singular.as_deref().unwrap_or_default()
    )?;
    for part in ["spec", "status"] {
        let Some(schema) = schema.properties.as_ref().and_then(|p| p.get(part)) else {
            continue;
        };
        writeln!(text, "| {part} | Type | Unset | Meaning |\n|---|---|---|---|")?;
        fields(schema, "", text)?;
        writeln!(text)?;
        let rules = schema.x_kubernetes_validations.iter().flatten();
        for message in rules.filter_map(|rule| rule.message.as_deref()) {
            writeln!(text, "Refused: {message}.\n")?;
        }
    }
    Ok(())
}

fn fields(schema: &JSONSchemaProps, path: &str, text: &mut String) -> Result<()> {
    for (name, field) in schema.properties.iter().flatten() {
        let foreign = KUBERNETES
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, kind)| *kind);
        let required = schema.required.iter().flatten().any(|r| r == name);
        let (unset, meaning) = meaning(field, required);
        let kind = foreign.map_or_else(|| kind_of(field), str::to_owned);
        writeln!(
            text,
            "| `{path}{name}` | {} | {} | {} |",
            cell(&kind),
            cell(&unset),
            cell(&meaning)
        )?;
        if foreign.is_some() {
            continue;
        }
        match items(field) {
            Some(item) => fields(item, &format!("{path}{name}[]."), text)?,
            None => fields(field, &format!("{path}{name}."), text)?,
        }
    }
    Ok(())
}

fn items(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match field.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// A type as a person would write it, with its bounds.
fn kind_of(field: &JSONSchemaProps) -> String {
    if let Some(item) = items(field) {
        return format!(
            "{}[]{}",
            kind_of(item),
            bounds(field.min_items, field.max_items, " items")
        );
    }
    if let Some(values) = &field.enum_ {
        let values: Vec<&str> = values.iter().filter_map(|value| value.0.as_str()).collect();
        return values.join(", ");
    }
    let base = match (field.type_.as_deref(), field.format.as_deref()) {
        (Some("string"), Some("date-time")) => "time",
        (Some("object"), _) if field.additional_properties.is_some() => "map of strings",
        (Some(kind), _) => kind,
        (None, _) => "quantity",
    };
    let whole = |bound: Option<f64>| bound.map(|b| b as i64);
    let range = bounds(whole(field.minimum), whole(field.maximum), "");
    let length = bounds(field.min_length, field.max_length, " characters");
    let pattern = field.pattern.as_ref().map(|p| format!(" `{p}`")).unwrap_or_default();
    format!("{base}{range}{length}{pattern}")
}

fn bounds(min: Option<i64>, max: Option<i64>, unit: &str) -> String {
    match (min, max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(" ≥ {min}{unit}"),
        (None, Some(max)) => format!(" ≤ {max}{unit}"),
        (Some(min), Some(max)) => format!(" {min} to {max}{unit}"),
    }
}

/// What holds where the field is left out, and the rest of its description. Descriptions say the first in a sentence
/// that begins with `Default` or `Unset`.
fn meaning(field: &JSONSchemaProps, required: bool) -> (String, String) {
    let about = field.description.as_deref().unwrap_or_default();
    for start in ["Default ", "Unset: ", "Unset parts are "] {
        if let Some(at) = about.find(start) {
            let (before, said) = about.split_at(at);
            let (said, after) = said.split_once(". ").unwrap_or((said, ""));
            let kept = if start == "Unset parts are " {
                said
            } else {
                said.trim_start_matches(start)
            };
            let rest = format!("{before}{after}");
            return (kept.trim_end_matches('.').to_owned(), rest.trim().to_owned());
        }
    }
    let unset = if required { "required" } else { "" };
    (unset.to_owned(), about.to_owned())
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
