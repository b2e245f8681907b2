//! Patching: JSON patch, merge patch, and strategic merge patch for built-in kinds.

use serde_json::Value;

use super::update::{Update, replace};
use super::{Subject, Written, in_version, strategic};
use crate::object::meta_str;
use crate::status::{ApiError, ApiResult};
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
        })?,
        Patch::Merge(change) => json_patch::merge(&mut value, change),
        Patch::Strategic(change) => strategic::merge(&mut value, change)?,
    }
    // Removing the revision from a patched object would lift the check; upstream puts it back too.
    if meta_str(&value, "resourceVersion").is_empty() {
        let revision = meta_str(&old.value, "resourceVersion").to_owned();
        crate::object::set_meta(&mut value, "resourceVersion", Some(Value::from(revision)));
    }
    replace(txn, subject, &old, value, how)
}
