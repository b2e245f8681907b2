//! What every written object goes through: known fields only, defaults, types, bounds, CEL.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{Strictness, Subject, in_version};
use crate::catalog::Version;
use crate::kinds::{BuiltIn, definitions};
use crate::names::validate_metadata;
use crate::object::set_meta;
use crate::schema::Schema;
use crate::status::{ApiError, ApiResult, FieldError};

/// The schema of `metadata`, which no CRD spells out.
fn metadata_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let reference = json!({"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"});
        let root = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"metadata": reference}});
        Schema::compile_with(&root, definitions()).unwrap_or_default()
    })
}

/// Brings a decoded body into shape: pruned, defaulted, in the storage version. Returns warnings.
pub(super) fn shape(
    subject: &Subject,
    version: &Version,
    value: &mut Value,
    strictness: Strictness,
) -> ApiResult<Vec<String>> {
    set_meta(value, "managedFields", None);
    set_meta(value, "selfLink", None);
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let empty = match (field, crate::object::meta(value, field)) {
            ("labels" | "annotations", Some(Value::Object(map))) => map.is_empty(),
            ("finalizers" | "ownerReferences", Some(Value::Array(items))) => items.is_empty(),
            _ => false,
        };
        if empty {
            set_meta(value, field, None);
        }
    }
    version.schema.drop_nulls(value);
    metadata_schema().drop_nulls(value);
    let mut unknown = version.schema.prune(value);
    if subject.resource.built_in.is_none() {
        unknown.extend(metadata_schema().prune(value));
    }
    version.schema.apply_defaults(value);
    in_version(&subject.resource, value, &subject.resource.storage);
    let mut warnings = Vec::new();
    let words: Vec<String> = unknown.iter().map(|f| format!("unknown field \"{f}\"")).collect();
    match strictness {
        Strictness::Strict if !words.is_empty() => {
            let why = format!("strict decoding error: {}", words.join(", "));
            return Err(undecodable(subject, &why));
        }
        Strictness::Ignore => {}
        Strictness::Warn | Strictness::Strict => warnings.extend(words),
    }
    warnings.extend(subject.resource.built_in.and_then(BuiltIn::warning).map(str::to_owned));
    Ok(warnings)
}

fn undecodable(subject: &Subject, why: &str) -> ApiError {
    let version = match subject.resource.built_in {
        // Upstream names the group of the kinds it has types for, and not that of others.
        Some(_) => subject.resource.api_version(&subject.version),
        None => subject.version.clone(),
    };
    ApiError::undecodable(&subject.resource.kind, &version, why)
}

/// Judges a shaped object; `old` is what it replaces.
pub(super) fn judge(subject: &Subject, version: &Version, value: &Value, old: Option<&Value>) -> ApiResult<()> {
    let label_name = subject.resource.is(BuiltIn::Namespace);
    let mut errors = validate_metadata(value, label_name);
    match subject.resource.built_in {
        Some(kind) => errors.extend(judge_built_in(subject, version, kind, value, old)?),
        None => errors.extend(judge_custom(subject, version, value, old)?),
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = crate::object::meta_str(value, "name");
    Err(ApiError::invalid(subject.resource.about_kind(name), errors))
}

/// Finalizers of core kinds have a domain, or are upstream's own.
fn unqualified_finalizers(value: &Value) -> Vec<FieldError> {
    const OWN: [&str; 3] = ["kubernetes", "foregroundDeletion", "orphan"];
    let all = crate::object::finalizers(value).into_iter().enumerate();
    all.filter(|(_, f)| !f.contains('/') && !OWN.contains(&f.as_str()))
        .map(|(i, f)| {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            FieldError::invalid(&format!("metadata.finalizers[{i}]"), &Value::from(f), detail)
        })
        .collect()
}

/// What owner references lack is said by the check of the metadata.
fn is_about_owners(error: &FieldError) -> bool {
    error.field.starts_with("metadata.ownerReferences")
}

/// A built-in kind: upstream decodes it into its type, so a wrong type is a body that cannot be read.
fn judge_built_in(
    subject: &Subject,
    version: &Version,
    kind: BuiltIn,
    value: &Value,
    old: Option<&Value>,
) -> ApiResult<Vec<FieldError>> {
    let mut errors = version.schema.validate(value, old);
    if let Some(wrong) = errors.iter().find(|e| e.reason == "FieldValueTypeInvalid") {
        return Err(undecodable(subject, &format!("{}: {}", wrong.field, wrong.message)));
    }
    kind.check_encoding(value).map_err(|why| undecodable(subject, &why))?;
    let own = kind.validate(value, old);
    // What a type of upstream's lacks is empty there, not missing; what must not be empty the kind says itself.
    errors.retain(|e| kind == BuiltIn::Crd || e.reason != "FieldValueRequired");
    errors.retain(|e| !own.iter().any(|o| o.field.starts_with(&e.field)));
    errors.extend(own);
    if subject.resource.group.is_empty() {
        errors.extend(unqualified_finalizers(value));
    }
    Ok(errors)
}

fn judge_custom(
    subject: &Subject,
    version: &Version,
    value: &Value,
    old: Option<&Value>,
) -> ApiResult<Vec<FieldError>> {
    let of_metadata = metadata_schema().validate(value, old);
    if let Some(wrong) = of_metadata.iter().find(|e| e.reason == "FieldValueTypeInvalid") {
        return Err(undecodable(subject, &format!("{}: {}", wrong.field, wrong.message)));
    }
    let mut errors = version.schema.validate(value, old);
    errors.extend(of_metadata.into_iter().filter(|e| !is_about_owners(e)));
    if version.rules.are_none() {
    } else if errors.iter().any(FieldError::blocks_rules) || crate::object::meta_str(value, "name").is_empty() {
        errors.push(FieldError::rules_not_checked());
    } else {
        errors.extend(version.rules.validate(value, old));
    }
    Ok(errors)
}

/// `apiVersion` and `kind` of a body must be those of the URL.
pub(super) fn check_type(subject: &Subject, value: &Value) -> ApiResult<()> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body of the request must be a JSON object"));
    }
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let expected = subject.resource.api_version(&subject.version);
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if subject.resource.built_in.is_none() {
        let wanted = &subject.resource.kind;
        if kind.is_empty() {
            return Err(ApiError::bad_request(format!(
                "the object provided is unrecognized (must be of type {wanted}): Object 'Kind' is missing"
            )));
        }
        if api_version.is_empty() {
            return Err(ApiError::bad_request(format!(
                "the API version in the data () does not match the expected API version ({expected})"
            )));
        }
    }
    if !api_version.is_empty() && api_version != expected {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected})"
        )));
    }
    if !kind.is_empty() && kind != subject.resource.kind {
        return Err(ApiError::bad_request(format!(
            "the kind in the data ({kind}) does not match the expected kind ({})",
            subject.resource.kind
        )));
    }
    Ok(())
}
