//! The page that says what every field of a spec means, from the schema people's clusters hold.

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::fields::Rows;
use crate::generated::Generated;

const PATH: &str = "docs/CRD_REFERENCE.md";
const HEAD: &str = "<!-- Generated from crates/api and crates/operator/tests/fields by `make generate`. Do not edit. -->
# Resources

The six kinds of `gastown.gastown.io/v1alpha1`. `kubectl explain polecat.spec` tells the same from a cluster.
Durations are written as Go writes them: `30s`, `15m`, `1h30m`. A reference names an object in the namespace of the pod that uses it.
A field that is accepted but not served yet is named by the object's condition `FieldsHonoured`.

What a change does while work runs: *at once*, it counts from the next decision on; *next attempt*, a pod that runs keeps what it was
made with and the polecat's next one has it; *next run*, so do pods of the merge queue. The test of a field plays exactly that, and fails
where the manifest without the field shows the same; a field without a test fails the build.
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
///
/// # Errors
/// Where a field of a spec has no row that shows what it does, or a row no field.
pub(crate) fn page(crds: &[CustomResourceDefinition], rows: &Rows) -> Result<Generated> {
    let mut text = HEAD.to_owned();
    let mut shown = BTreeSet::new();
    for crd in crds {
        kind(crd, rows, &mut shown, &mut text).with_context(|| format!("describing {}", crd.spec.names.kind))?;
    }
    rows.are_all_of(&shown)?;
    Ok(Generated {
        path: PATH.to_owned(),
        text,
    })
}

fn kind(
    crd: &CustomResourceDefinition,
    rows: &Rows,
    shown: &mut BTreeSet<(String, String)>,
    text: &mut String,
) -> Result<()> {
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
    writeln!(text, "{}\n", Rows::place(&names.kind))?;
    let part = |name: &str| schema.properties.as_ref().and_then(|p| p.get(name));
    if let Some(spec) = part("spec") {
        writeln!(
            text,
            "| spec | Type | Default | Meaning | Changed while work runs | What shows it |\n|---|---|---|---|---|---|"
        )?;
        for line in lines(spec, "") {
            let (mut changed, mut shows) = (String::new(), String::new());
            if line.is_leaf {
                (changed, shows) = rows.cells(&names.kind, &line.path)?;
                shown.insert((names.kind.clone(), line.path.clone()));
            }
            let Line {
                path,
                kind,
                unset,
                meaning,
                ..
            } = line;
            row(text, &[&format!("`{path}`"), &kind, &unset, &meaning, &changed, &shows])?;
        }
        writeln!(text)?;
        let rules = spec.x_kubernetes_validations.iter().flatten();
        for message in rules.filter_map(|rule| rule.message.as_deref()) {
            writeln!(text, "Refused: {message}.\n")?;
        }
    }
    if let Some(status) = part("status") {
        writeln!(text, "| status | Type | Meaning |\n|---|---|---|")?;
        for line in lines(status, "") {
            row(text, &[&format!("`{}`", line.path), &line.kind, &line.meaning])?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// A field as the page has it.
struct Line {
    path: String,
    kind: String,
    unset: String,
    meaning: String,
    /// Nothing of ours is below it.
    is_leaf: bool,
}

fn lines(schema: &JSONSchemaProps, path: &str) -> Vec<Line> {
    let mut all = Vec::new();
    for (name, field) in schema.properties.iter().flatten() {
        let foreign = KUBERNETES
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, kind)| *kind);
        let required = schema.required.iter().flatten().any(|r| r == name);
        let (unset, meaning) = meaning(field, required);
        let path = format!("{path}{name}");
        let below = match (foreign, items(field)) {
            (Some(_), _) => Vec::new(),
            (None, Some(item)) => lines(item, &format!("{path}[].")),
            (None, None) => lines(field, &format!("{path}.")),
        };
        all.push(Line {
            kind: foreign.map_or_else(|| kind_of(field), str::to_owned),
            is_leaf: below.is_empty(),
            path,
            unset,
            meaning,
        });
        all.extend(below);
    }
    all
}

fn row(text: &mut String, cells: &[&str]) -> Result<()> {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    writeln!(text, "| {} |", cells.join(" | "))?;
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
