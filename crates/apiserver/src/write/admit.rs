//! What every written object goes through: known fields only, defaults, types, bounds, CEL.

use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{Strictness, Subject, in_version};
use crate::catalog::Version;
use crate::kinds::{BuiltIn, definitions};
use crate::names::validate_metadata;
use crate::object::set_meta;
use crate::schema::Schema;
use crate::status::{ApiError, ApiResult};

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
            let kind = &subject.resource.kind;
            return Err(ApiError::bad_request(format!(
                "{kind} in version \"{}\" cannot be handled as a {kind}: strict decoding error: {}",
                subject.version,
                words.join(", ")
            )));
        }
        Strictness::Ignore => {}
        Strictness::Warn | Strictness::Strict => warnings.extend(words),
    }
    warnings.extend(version.deprecation.clone());
    warnings.extend(subject.resource.built_in.and_then(BuiltIn::warning).map(str::to_owned));
    Ok(warnings)
}

/// Judges a shaped object; `old` is what it replaces.
pub(super) fn judge(subject: &Subject, version: &Version, value: &Value, old: Option<&Value>) -> ApiResult<()> {
    let label_name = subject.resource.is(BuiltIn::Namespace);
    let mut errors = validate_metadata(value, label_name);
    errors.extend(version.schema.validate(value, old));
    if subject.resource.built_in.is_none() {
        errors.extend(metadata_schema().validate(value, old));
    }
    if let (Some(kind), true) = (subject.resource.built_in, errors.is_empty()) {
        errors.extend(kind.validate(value, old));
    }
    // As upstream: rules see only objects of the right shape.
    if errors.is_empty() {
        errors.extend(version.rules.validate(value, old));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = crate::object::meta_str(value, "name");
    Err(ApiError::invalid(subject.resource.about_kind(name), errors))
}

/// `apiVersion` and `kind` of a body must be those of the URL.
pub(super) fn check_type(subject: &Subject, value: &Value) -> ApiResult<()> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body of the request must be a JSON object"));
    }
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let expected = subject.resource.api_version(&subject.version);
    let (api_version, kind) = (text("apiVersion"), text("kind"));
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
