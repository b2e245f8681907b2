//! Patching: JSON patch, merge patch, and strategic merge patch for built-in kinds.

use serde_json::Value;

use super::update::{Update, replace};
use super::{Subject, Written, in_version, strategic};
use crate::object::meta_str;
use crate::status::{About, ApiError, ApiResult, FieldError};
use crate::store::Txn;

/// A decoded patch.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

/// Patches the object at `subject`.
pub(crate) fn patch(txn: &mut Txn<'_>, subject: &Subject, patch: &Patch, how: Update) -> ApiResult<Written> {
    let old = txn.get(&subject.key()).ok_or_else(|| subject.missing())?;
    let mut value = old.value.clone();
    in_version(&subject.resource, &mut value, &subject.version);
    match patch {
        Patch::Json(operations) => json_patch::patch(&mut value, operations).map_err(|e| {
            ApiError::new(
                http::StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                format!("the server rejected our request due to an error in our request: {e}"),
            )
            .with_empty_details()
        })?,
        Patch::Merge(change) => json_patch::merge(&mut value, change),
        Patch::Strategic(change) => strategic::merge(&mut value, change)?,
    }
    let uid = meta_str(&value, "uid");
    if !uid.is_empty() && uid != old.uid() {
        let cause = FieldError::invalid("metadata.uid", &Value::from(uid), "field is immutable");
        // Upstream finds it twice.
        return Err(ApiError::invalid(
            subject.resource.about_kind(&subject.name),
            vec![cause.clone(), cause],
        ));
    }
    let whole = value.clone();
    // A patch that takes the revision away is an update without one.
    let how = Update {
        must_name_revision: true,
        ..how
    };
    replace(txn, subject, &old, value, how).map_err(|e| misfit(subject, e, &whole))
}

/// A patch whose result cannot be read as its kind is an invalid patch, not a bad request.
fn misfit(subject: &Subject, error: ApiError, whole: &Value) -> ApiError {
    let prefix = format!("{} in version ", subject.resource.kind);
    let why = match error.message.strip_prefix(&prefix).and_then(|m| m.split_once(": ")) {
        Some((_, why)) => why.to_owned(),
        _ => return error,
    };
    let cause = FieldError::invalid("patch", &Value::from(whole.to_string()), &why);
    ApiError::invalid(About::default(), vec![cause])
}
