//! Replacing objects and their status.

use serde_json::{Value, json};

use super::admit::{check_type, judge, shape};
use super::{Strictness, Subject, Written};
use crate::kinds::BuiltIn;
use crate::object::{Object, as_map, dig, finalizers, is_terminating, meta, meta_str, owners, set_meta};
use crate::status::{ApiError, ApiResult, FieldError};
use crate::store::{Follow, Txn};

/// Which part a request replaces, and how strictly it is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Update {
    pub(crate) status_only: bool,
    pub(crate) strictness: Strictness,
    /// A PUT without resourceVersion; upstream refuses it for custom resources.
    pub(crate) must_name_revision: bool,
}

/// Replaces the object at `subject` by `value`.
pub(crate) fn update(txn: &mut Txn<'_>, subject: &Subject, value: Value, how: Update) -> ApiResult<Written> {
    let old = txn.get(&subject.key()).ok_or_else(|| subject.missing())?;
    replace(txn, subject, &old, value, how)
}

/// Replaces `old` by `value`, both of one place.
pub(super) fn replace(
    txn: &mut Txn<'_>,
    subject: &Subject,
    old: &Object,
    mut value: Value,
    how: Update,
) -> ApiResult<Written> {
    check_type(subject, &value)?;
    check_identity(subject, &value)?;
    check_revision(subject, old, &value, how)?;
    let version = subject.version()?;
    let warnings = shape(subject, version, &mut value, how.strictness)?;
    keep_server_fields(&mut value, &old.value);
    if how.status_only {
        value = only_status(subject, &old.value, value);
    } else if version.has_status {
        keep_status(&mut value, &old.value);
    }
    if let Some(kind) = subject.resource.built_in
        && !how.status_only
    {
        kind.prepare_update(&mut value, &old.value, txn.now());
    }
    version.schema.apply_defaults(&mut value);
    count_generation(subject, version.has_status, &mut value, &old.value);
    if value == old.value {
        return Ok(Written {
            object: txn.get(&subject.key()).ok_or_else(|| subject.missing())?,
            warnings,
        });
    }
    check_finalizers(subject, &value, &old.value)?;
    judge(subject, version, &value, Some(&old.value))?;
    let object = store(txn, subject, old, value);
    Ok(Written { object, warnings })
}

fn store(txn: &mut Txn<'_>, subject: &Subject, old: &Object, value: Value) -> std::sync::Arc<Object> {
    let key = subject.key();
    let released = is_terminating(&value) && finalizers(&value).is_empty();
    let waits = meta(&value, "deletionGracePeriodSeconds")
        .and_then(Value::as_i64)
        .unwrap_or(0)
        > 0;
    let namespace = subject.resource.is(BuiltIn::Namespace);
    let owners_changed = owners_differ(&old.value, &value);
    if released && !waits && !namespace && !finalizers(&old.value).is_empty() {
        // It goes as it stood; only the answer shows what was asked for.
        txn.remove(&key);
        return std::sync::Arc::new(Object::new(value, old.rv));
    }
    let object = txn.put(&key, value);
    if namespace && object.is_terminating() {
        txn.follow_up(Follow::Emptying(key.clone()));
    }
    if owners_changed {
        txn.follow_up(Follow::CheckOwners(key));
    }
    object
}

fn owners_differ(old: &Value, new: &Value) -> bool {
    let uids = |v: &Value| owners(v).into_iter().map(|o| o.uid).collect::<Vec<_>>();
    let new = uids(new);
    !new.is_empty() && uids(old) != new
}

fn check_identity(subject: &Subject, value: &Value) -> ApiResult<()> {
    for (field, expected, what) in [
        ("name", &subject.name, "name"),
        ("namespace", &subject.namespace, "namespace"),
    ] {
        let said = meta_str(value, field);
        if field == "name" && said.is_empty() {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({expected} based on URL) was undeterminable: name must be provided"
            )));
        }
        if !said.is_empty() && said != expected {
            return Err(ApiError::bad_request(match what {
                "name" => format!("the name of the object ({said}) does not match the name on the URL ({expected})"),
                _ => "the namespace of the provided object does not match the namespace sent on the request".to_owned(),
            }));
        }
    }
    Ok(())
}

fn check_revision(subject: &Subject, old: &Object, value: &Value, how: Update) -> ApiResult<()> {
    let about = || subject.resource.about(&subject.name);
    let uid = meta_str(value, "uid");
    if !uid.is_empty() && uid != old.uid() {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            old.uid()
        );
        return Err(ApiError::conflict(about(), &why));
    }
    let revision = meta_str(value, "resourceVersion");
    if revision.is_empty() || revision == "0" {
        if how.must_name_revision && subject.resource.built_in.is_none() {
            let error = FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            return Err(ApiError::invalid(about(), vec![error]));
        }
        return Ok(());
    }
    if revision != meta_str(&old.value, "resourceVersion") {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(ApiError::conflict(about(), why));
    }
    Ok(())
}

/// What a client cannot change, whatever it sends.
fn keep_server_fields(value: &mut Value, old: &Value) {
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "generateName",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        set_meta(value, field, meta(old, field).cloned());
    }
}

fn keep_status(value: &mut Value, old: &Value) {
    let map = as_map(value);
    match old.get("status") {
        Some(status) => map.insert("status".to_owned(), status.clone()),
        None => map.remove("status"),
    };
}

fn only_status(subject: &Subject, old: &Value, new: Value) -> Value {
    let mut kept = old.clone();
    if let (Value::Object(kept), Value::Object(mut new)) = (&mut kept, new) {
        match new.remove("status") {
            Some(status) => kept.insert("status".to_owned(), status),
            None => kept.remove("status"),
        };
        // Upstream lets the status of built-in kinds carry labels and annotations along.
        if subject.resource.built_in.is_some()
            && let Some(metadata) = new.remove("metadata")
            && let Some(kept) = kept.get_mut("metadata").and_then(Value::as_object_mut)
        {
            for field in ["labels", "annotations"] {
                match metadata.get(field) {
                    Some(map) => kept.insert(field.to_owned(), map.clone()),
                    None => kept.remove(field),
                };
            }
        }
    }
    if let Some(kind) = subject.resource.built_in {
        kind.prepare_status(&mut kept, old);
    }
    kept
}

fn count_generation(subject: &Subject, has_status: bool, value: &mut Value, old: &Value) {
    if !subject.resource.built_in.is_none_or(BuiltIn::has_generation) {
        return;
    }
    let skip = |field: &str| field == "metadata" || (has_status && field == "status");
    let (Some(now), Some(was)) = (value.as_object(), old.as_object()) else {
        return;
    };
    let changed = now.iter().any(|(f, v)| !skip(f) && was.get(f) != Some(v))
        || was.keys().any(|f| !skip(f) && !now.contains_key(f));
    if changed {
        let generation = dig(old, &["metadata", "generation"])
            .and_then(Value::as_i64)
            .unwrap_or(0);
        set_meta(value, "generation", Some(json!(generation + 1)));
    }
}

fn check_finalizers(subject: &Subject, value: &Value, old: &Value) -> ApiResult<()> {
    if !is_terminating(old) {
        return Ok(());
    }
    let had = finalizers(old);
    let added: Vec<String> = finalizers(value).into_iter().filter(|f| !had.contains(f)).collect();
    if added.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.iter().map(|f| format!("\"{f}\"")).collect::<Vec<_>>().join(", ")
    );
    let error = FieldError::forbidden("metadata.finalizers", &detail);
    // Upstream finds it twice.
    Err(ApiError::invalid(
        subject.resource.about_kind(&subject.name),
        vec![error.clone(), error],
    ))
}
