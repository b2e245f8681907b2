//! Deleting: preconditions, grace, finalizers, and what happens to dependents.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::Subject;
use crate::kinds::BuiltIn;
use crate::names::timestamp;
use crate::object::{Key, Object, child, dig, dig_str, finalizers, is_terminating, meta, set_finalizers, set_meta};
use crate::status::{ApiError, ApiResult};
use crate::store::{Follow, Txn};

/// Holds an owner until its blocking dependents are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
const KEPT: &[&str] = &["default", "kube-system", "kube-public"];

/// What becomes of the objects that name the deleted one as owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// A decoded `DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
}

/// The object as it is now, or as it was when it went.
#[derive(Debug, Clone)]
pub(crate) struct Deleted {
    pub(crate) object: Arc<Object>,
    pub(crate) gone: bool,
}

/// Deletes the object at `subject`, or marks it.
pub(crate) fn delete(txn: &mut Txn<'_>, subject: &Subject, options: &DeleteOptions) -> ApiResult<Deleted> {
    let old = txn.get(&subject.key()).ok_or_else(|| subject.missing())?;
    check_preconditions(subject, &old, options)?;
    if subject.resource.is(BuiltIn::Namespace) && KEPT.contains(&subject.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(ApiError::forbidden(subject.resource.about(&subject.name), why));
    }
    Ok(remove(txn, &subject.key(), &old, subject.resource.built_in, options))
}

fn check_preconditions(subject: &Subject, old: &Object, options: &DeleteOptions) -> ApiResult<()> {
    let refuse = |what: &str, wanted: &str, found: &str| {
        let fate = match what {
            "UID" => "deleted and then recreated",
            _ => "modified",
        };
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). \
             The object might have been {fate}"
        );
        Err(ApiError::conflict(subject.resource.about_kind(&subject.name), &why))
    };
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != old.uid()) {
        return refuse("UID", uid, old.uid());
    }
    let revision = old.rv.to_string();
    match options.resource_version.as_deref().filter(|rv| *rv != revision) {
        Some(wanted) => refuse("ResourceVersion", wanted, &revision),
        None => Ok(()),
    }
}

/// Removes an object, or marks it when somebody has still to act on it.
pub(super) fn remove(
    txn: &mut Txn<'_>,
    key: &Key,
    old: &Arc<Object>,
    kind: Option<BuiltIn>,
    options: &DeleteOptions,
) -> Deleted {
    let mut keep = finalizers(&old.value);
    match options.propagation {
        Some(Propagation::Orphan) => super::collect::orphan(txn, old.uid()),
        Some(Propagation::Foreground) if !keep.iter().any(|f| f == FOREGROUND) => {
            keep.push(FOREGROUND.to_owned());
        }
        Some(Propagation::Background) => keep.retain(|f| f != FOREGROUND),
        _ => {}
    }
    let grace = if kind == Some(BuiltIn::Pod) {
        pod_grace(&old.value, options.grace)
    } else {
        0
    };
    if keep.is_empty() && grace == 0 && kind != Some(BuiltIn::Namespace) {
        // A pod says on its way out that nobody waits for it any more; the answer shows it.
        let shown = (kind == Some(BuiltIn::Pod)).then(|| mark(txn, key, old, kind, &keep, grace));
        let removed = txn.remove(key).unwrap_or_else(|| Arc::clone(old));
        return Deleted {
            object: shown.unwrap_or(removed),
            gone: true,
        };
    }
    let object = mark(txn, key, old, kind, &keep, grace);
    if kind == Some(BuiltIn::Namespace) || kind == Some(BuiltIn::Crd) {
        txn.follow_up(Follow::Emptying(key.clone()));
    }
    if keep.iter().any(|f| f == FOREGROUND) {
        txn.follow_up(Follow::Foreground(key.clone()));
    }
    Deleted { object, gone: false }
}

/// Seconds the node has to stop a pod. A pod no node runs, or that has ended, needs none.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let idle = dig_str(pod, &["spec", "nodeName"]).is_empty()
        || matches!(dig_str(pod, &["status", "phase"]), "Succeeded" | "Failed");
    let own = dig(pod, &["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64);
    let wanted = match asked.or(own).unwrap_or(30) {
        negative if negative < 0 => 1,
        wanted => wanted,
    };
    if idle {
        return 0;
    }
    // A second delete may only shorten the wait.
    match meta(pod, "deletionGracePeriodSeconds").and_then(Value::as_i64) {
        Some(running) if is_terminating(pod) => wanted.min(running),
        _ => wanted,
    }
}

fn mark(
    txn: &mut Txn<'_>,
    key: &Key,
    old: &Arc<Object>,
    kind: Option<BuiltIn>,
    keep: &[String],
    grace: i64,
) -> Arc<Object> {
    let marked = is_terminating(&old.value)
        && meta(&old.value, "deletionGracePeriodSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(0)
            <= grace;
    if marked && finalizers(&old.value) == keep {
        return Arc::clone(old);
    }
    let mut value = old.value.clone();
    if !marked {
        let at = txn.now() + SignedDuration::from_secs(grace);
        if !is_terminating(&value)
            && let Some(generation) = meta(&value, "generation").and_then(Value::as_i64)
        {
            set_meta(&mut value, "generation", Some(json!(generation + 1)));
        }
        set_meta(&mut value, "deletionTimestamp", Some(Value::from(timestamp(at))));
        if kind != Some(BuiltIn::Namespace) {
            set_meta(&mut value, "deletionGracePeriodSeconds", Some(json!(grace)));
        }
        if kind == Some(BuiltIn::Namespace) {
            child(&mut value, "status").insert("phase".to_owned(), json!("Terminating"));
        }
    }
    set_finalizers(&mut value, keep);
    txn.put(key, value)
}
