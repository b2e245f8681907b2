//! CustomResourceDefinitions: what they must say, and what they compile to.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::column;
use crate::catalog::{Column, Resource, Version, resource_id};
use crate::object::{as_map, child, dig, dig_str, finalizers, is_terminating, meta_str, set_finalizers};
use crate::schema::{Rules, Schema};
use crate::status::FieldError;

/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) fn prepare_create(value: &mut Value, now: Timestamp) {
    default_names(value);
    let mut list = finalizers(value);
    if !list.iter().any(|f| f == CLEANUP) {
        list.push(CLEANUP.to_owned());
    }
    set_finalizers(value, &list);
    let time = crate::names::timestamp(now);
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time});
    let status = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": dig(value, &["spec", "names"]),
        "storedVersions": [storage_version(value)],
    });
    as_map(value).insert("status".to_owned(), status);
}

pub(super) fn prepare_update(value: &mut Value, old: &Value, _now: Timestamp) {
    default_names(value);
    if finalizers(old).iter().any(|f| f == CLEANUP) && !is_terminating(old) {
        let mut list = finalizers(value);
        if !list.iter().any(|f| f == CLEANUP) {
            list.push(CLEANUP.to_owned());
            set_finalizers(value, &list);
        }
    }
    let names = dig(value, &["spec", "names"]).cloned();
    let storage = storage_version(value);
    let status = child(value, "status");
    if let Some(names) = names {
        status.insert("acceptedNames".to_owned(), names);
    }
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(list) = stored.as_array_mut()
        && !list.iter().any(|v| v == storage.as_str())
    {
        list.push(Value::from(storage));
    }
}

fn default_names(value: &mut Value) {
    let kind = dig_str(value, &["spec", "names", "kind"]).to_owned();
    let spec = child(value, "spec");
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let names = as_map(spec.entry("names").or_insert_with(|| json!({})));
    names
        .entry("singular")
        .or_insert_with(|| Value::from(kind.to_lowercase()));
    names
        .entry("listKind")
        .or_insert_with(|| Value::from(format!("{kind}List")));
}

fn versions(value: &Value) -> impl Iterator<Item = &Value> {
    dig(value, &["spec", "versions"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn is_true(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or(false)
}

fn storage_version(value: &Value) -> String {
    versions(value)
        .find(|v| is_true(v, "storage"))
        .map(|v| dig_str(v, &["name"]).to_owned())
        .unwrap_or_default()
}

pub(super) fn validate(value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |path: &[&str]| dig_str(value, path).to_owned();
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    for (path, content) in [
        ("spec.group", &group),
        ("spec.names.plural", &plural),
        ("spec.names.kind", &text(&["spec", "names", "kind"])),
    ] {
        if content.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
    }
    let name = meta_str(value, "name");
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", &Value::from(name), detail));
    }
    let scope = text(&["spec", "scope"]);
    if !matches!(scope.as_str(), "Namespaced" | "Cluster") {
        let choices = [json!("Cluster"), json!("Namespaced")];
        errors.push(FieldError::unsupported("spec.scope", &Value::from(scope), &choices));
    }
    if dig_str(value, &["spec", "conversion", "strategy"]) == "Webhook" {
        let detail = "conversion webhooks are not served by this one-machine API; use None";
        errors.push(FieldError::forbidden("spec.conversion.strategy", detail));
    }
    if versions(value).filter(|v| is_true(v, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &json!("array"), detail));
    }
    for (i, version) in versions(value).enumerate() {
        let only = versions(value).count() == 1;
        validate_version(version, &format!("spec.versions[{i}]"), only, &mut errors);
    }
    if let Some(old) = old {
        for path in [
            ["spec", "scope"].as_slice(),
            &["spec", "group"],
            &["spec", "names", "plural"],
            &["spec", "names", "kind"],
        ] {
            if dig(value, path) != dig(old, path) {
                let new = dig(value, path).unwrap_or(&Value::Null);
                errors.push(FieldError::invalid(&path.join("."), new, "field is immutable"));
            }
        }
    }
    errors
}

fn validate_version(version: &Value, at: &str, only: bool, errors: &mut Vec<FieldError>) {
    let Some(schema) = dig(version, &["schema", "openAPIV3Schema"]) else {
        errors.push(FieldError::required(&format!("{at}.schema.openAPIV3Schema"), ""));
        return;
    };
    // Upstream speaks of the schema of an only version as if it were everybody's.
    let at = if only {
        "spec.validation".to_owned()
    } else {
        format!("{at}.schema")
    };
    let before = errors.len();
    check_types(schema, &format!("{at}.openAPIV3Schema"), "at the root", errors);
    if errors.len() > before {
        return;
    }
    if let Err(error) = Schema::compile(schema) {
        errors.push(FieldError::invalid(
            &format!("{at}.{}", error.path),
            &json!("object"),
            &error.why,
        ));
    }
    if let Err(error) = Rules::compile(schema) {
        let field = format!("{at}.openAPIV3Schema.x-kubernetes-validations");
        errors.push(FieldError::invalid(&field, &json!("object"), &error.to_string()));
    }
}

/// A structural schema says the type of everything in it.
fn check_types(schema: &Value, at: &str, what: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let open = |word: &str| is_true(schema, &format!("x-kubernetes-{word}"));
    let field = format!("{at}.type");
    match dig_str(schema, &["type"]) {
        "" if open("int-or-string") || open("preserve-unknown-fields") => {}
        "" => errors.push(FieldError::required(&field, &format!("must not be empty {what}"))),
        known if TYPES.contains(&known) => {}
        other => errors.push(FieldError::unsupported(
            &field,
            &Value::from(other),
            &TYPES.map(Value::from),
        )),
    }
    for (name, below) in dig(schema, &["properties"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        check_types(
            below,
            &format!("{at}.properties[{name}]"),
            "for specified object fields",
            errors,
        );
    }
    if let Some(items) = schema.get("items") {
        check_types(items, &format!("{at}.items"), "for specified array items", errors);
    }
    if let Some(below) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        check_types(
            below,
            &format!("{at}.additionalProperties"),
            "for specified object fields",
            errors,
        );
    }
}

/// The resource a definition describes.
pub(crate) fn compile(value: &Value) -> Result<Resource, String> {
    let text = |path: &[&str]| dig_str(value, path).to_owned();
    let strings = |path: &[&str]| -> Vec<String> {
        dig(value, path)
            .and_then(Value::as_array)
            .map(|a| a.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    let mut served = Vec::new();
    for version in versions(value).filter(|v| is_true(v, "served")) {
        served.push(compile_version(version, &group, &text(&["spec", "names", "kind"]))?);
    }
    served.sort_by_key(|v: &Version| std::cmp::Reverse(version_rank(&v.name)));
    Ok(Resource {
        id: resource_id(&group, &plural).into(),
        singular: text(&["spec", "names", "singular"]),
        kind: text(&["spec", "names", "kind"]),
        list_kind: text(&["spec", "names", "listKind"]),
        short_names: strings(&["spec", "names", "shortNames"]),
        categories: strings(&["spec", "names", "categories"]),
        namespaced: text(&["spec", "scope"]) == "Namespaced",
        storage: storage_version(value),
        versions: served,
        built_in: None,
        group,
        plural,
    })
}

fn compile_version(version: &Value, group: &str, kind: &str) -> Result<Version, String> {
    let name = dig_str(version, &["name"]).to_owned();
    let raw = dig(version, &["schema", "openAPIV3Schema"])
        .cloned()
        .unwrap_or_default();
    let schema = Schema::compile(&raw).map_err(|e| e.to_string())?;
    let rules = Rules::compile(&raw).map_err(|e| e.to_string())?;
    let deprecation = is_true(version, "deprecated").then(|| {
        let said = dig_str(version, &["deprecationWarning"]);
        if said.is_empty() {
            format!("{group}/{name} {kind} is deprecated")
        } else {
            said.to_owned()
        }
    });
    let selectable = version
        .get("selectableFields")
        .and_then(Value::as_array)
        .map(|a| {
            a.iter()
                .map(|f| dig_str(f, &["jsonPath"]).trim_start_matches('.').to_owned())
                .collect()
        })
        .unwrap_or_default();
    Ok(Version {
        name,
        schema: Arc::new(schema),
        rules,
        open_api: Arc::new(raw),
        has_status: dig(version, &["subresources", "status"]).is_some(),
        columns: columns(version),
        selectable,
        deprecation,
    })
}

fn columns(version: &Value) -> Vec<Column> {
    let mut columns = vec![column("Name", "string", 0)];
    let Some(list) = version.get("additionalPrinterColumns").and_then(Value::as_array) else {
        let mut age = column("Age", "date", 0);
        age.path = ".metadata.creationTimestamp".to_owned();
        age.description = super::described("creationTimestamp");
        columns.push(age);
        return columns;
    };
    columns.extend(list.iter().map(|c| Column {
        name: dig_str(c, &["name"]).to_owned(),
        kind: dig_str(c, &["type"]).to_owned(),
        format: dig_str(c, &["format"]).to_owned(),
        description: match dig_str(c, &["description"]) {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                dig_str(c, &["jsonPath"])
            ),
            said => said.to_owned(),
        },
        priority: c.get("priority").and_then(Value::as_i64).unwrap_or(0),
        path: dig_str(c, &["jsonPath"]).to_owned(),
    }));
    columns
}

/// Kubernetes' order of versions: v2 over v1 over v1beta1 over v1alpha1 over anything else.
pub(crate) fn version_rank(name: &str) -> (u8, u64, u64) {
    let Some(rest) = name.strip_prefix('v') else {
        return (0, 0, 0);
    };
    for (stage, word) in [(2, "beta"), (1, "alpha")] {
        if let Some((major, minor)) = rest.split_once(word) {
            return (stage, major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
        }
    }
    (3, rest.parse().unwrap_or(0), 0)
}
