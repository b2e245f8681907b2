//! Owner collection, in the same transaction as the change that calls for it: a crash leaves no orphan.

use std::sync::Arc;

use serde_json::{Value, json};

use super::delete::{DeleteOptions, FOREGROUND, Propagation, remove};
use crate::kinds::{BuiltIn, CLEANUP};
use crate::object::{Key, Object, Owner, dig_str, finalizers, owners, set_finalizers, set_meta};
use crate::status::ApiResult;
use crate::store::{Follow, Txn};

const NODES: &str = "nodes";
const PODS: &str = "pods";
const NAMESPACES: &str = "namespaces";
const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Does all that follows from the changes made so far.
pub(crate) fn settle(txn: &mut Txn<'_>) -> ApiResult<()> {
    while let Some(follow) = txn.next_follow() {
        match follow {
            Follow::Removed(key, object) => after_removal(txn, &key, &object),
            Follow::CheckOwners(key) => collect(txn, &key),
            Follow::Foreground(key) => advance_foreground(txn, &key),
            Follow::Emptying(key) => empty(txn, &key),
        }
    }
    Ok(())
}

fn after_removal(txn: &mut Txn<'_>, key: &Key, object: &Arc<Object>) {
    for (dependent, _) in txn.dependents(object.uid()) {
        collect(txn, &dependent);
    }
    for owner in owners(&object.value) {
        if let Some((key, found)) = find(txn, &owner, &key.namespace)
            && waits_for_dependents(&found)
        {
            txn.follow_up(Follow::Foreground(key));
        }
    }
    if &*key.resource == NODES {
        abandon_pods(txn, &key.name);
    }
    for parent in [
        Key::new(&NAMESPACES.into(), "", &key.namespace),
        Key::new(&CRDS.into(), "", &key.resource),
    ] {
        if txn.get(&parent).is_some_and(|p| p.is_terminating()) {
            txn.follow_up(Follow::Emptying(parent));
        }
    }
}

/// Pods being deleted whose node is gone: nobody is left to say that they have stopped.
fn abandon_pods(txn: &mut Txn<'_>, node: &str) {
    let now = DeleteOptions {
        grace: Some(0),
        ..DeleteOptions::default()
    };
    for (key, pod) in txn.list(&PODS.into(), "") {
        if pod.is_terminating() && dig_str(&pod.value, &["spec", "nodeName"]) == node {
            remove(txn, &key, &pod, Some(BuiltIn::Pod), &now);
        }
    }
}

/// The owner an object names, if it exists; it lives in the same namespace or in none.
fn find(txn: &Txn<'_>, owner: &Owner, namespace: &str) -> Option<(Key, Arc<Object>)> {
    let resource = txn.catalog().find_kind(&owner.api_version, &owner.kind)?;
    let key = Key::new(
        &resource.id,
        if resource.namespaced { namespace } else { "" },
        &owner.name,
    );
    let found = txn.get(&key)?;
    (found.uid() == owner.uid).then_some((key, found))
}

fn waits_for_dependents(owner: &Object) -> bool {
    owner.is_terminating() && finalizers(&owner.value).iter().any(|f| f == FOREGROUND)
}

fn kind_of(txn: &Txn<'_>, key: &Key) -> Option<BuiltIn> {
    txn.catalog().get(&key.resource).and_then(|r| r.built_in)
}

/// Deletes an object none of whose owners is left, and makes it forget those that are gone.
fn collect(txn: &mut Txn<'_>, key: &Key) {
    let Some(object) = txn.get(key) else { return };
    let all = owners(&object.value);
    let (mut solid, mut waiting, mut gone) = (0, 0, Vec::new());
    for owner in &all {
        // An owner of a kind that is not served cannot be proven gone.
        if txn.catalog().find_kind(&owner.api_version, &owner.kind).is_none() {
            solid += 1;
            continue;
        }
        match find(txn, owner, &key.namespace) {
            Some((_, found)) if waits_for_dependents(&found) => waiting += 1,
            Some(_) => solid += 1,
            None => gone.push(owner.uid.clone()),
        }
    }
    if all.is_empty() || (gone.is_empty() && waiting == 0) {
        return;
    }
    if solid == 0 {
        let foreground = waiting > 0
            && txn
                .dependents(object.uid())
                .iter()
                .any(|(_, d)| blocks(d, object.uid()));
        let propagation = if foreground {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        if object.is_terminating() {
            return;
        }
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let kind = kind_of(txn, key);
        remove(txn, key, &object, kind, &options);
    } else if !gone.is_empty() {
        forget(txn, key, &object, &gone);
    }
}

fn blocks(dependent: &Object, uid: &str) -> bool {
    owners(&dependent.value).iter().any(|o| o.uid == uid && o.blocks)
}

/// Removes owner references to `uids`.
fn forget(txn: &mut Txn<'_>, key: &Key, object: &Object, uids: &[String]) {
    let mut value = object.value.clone();
    let left: Vec<Value> = crate::object::meta(&value, "ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|r| {
            !r.get("uid")
                .and_then(Value::as_str)
                .is_some_and(|u| uids.iter().any(|gone| gone == u))
        })
        .cloned()
        .collect();
    set_meta(
        &mut value,
        "ownerReferences",
        (!left.is_empty()).then_some(Value::Array(left)),
    );
    txn.put(key, value);
}

/// Cuts every dependent loose from an owner about to go.
pub(super) fn orphan(txn: &mut Txn<'_>, uid: &str) {
    for (key, object) in txn.dependents(uid) {
        forget(txn, &key, &object, &[uid.to_owned()]);
    }
}

/// An owner in foreground deletion: delete what it owns, and let it go when nothing blocks it.
fn advance_foreground(txn: &mut Txn<'_>, key: &Key) {
    let Some(owner) = txn.get(key) else { return };
    if !waits_for_dependents(&owner) {
        return;
    }
    for (dependent, _) in txn.dependents(owner.uid()) {
        collect(txn, &dependent);
    }
    if txn.dependents(owner.uid()).iter().any(|(_, d)| blocks(d, owner.uid())) {
        return;
    }
    release(txn, key, &owner, FOREGROUND);
}

/// Takes a finalizer of the server's own off an object, which goes if it was the last.
fn release(txn: &mut Txn<'_>, key: &Key, object: &Object, finalizer: &str) {
    let mut left = finalizers(&object.value);
    left.retain(|f| f != finalizer);
    let grace = crate::object::meta(&object.value, "deletionGracePeriodSeconds").and_then(Value::as_i64);
    if left.is_empty() && grace.unwrap_or(0) == 0 {
        txn.remove(key);
        return;
    }
    let mut value = object.value.clone();
    set_finalizers(&mut value, &left);
    txn.put(key, value);
}

/// A namespace or a definition that is being deleted: empties it, and lets it go when it is empty.
fn empty(txn: &mut Txn<'_>, key: &Key) {
    let Some(parent) = txn.get(key).filter(|p| p.is_terminating()) else {
        return;
    };
    let (resources, namespace) = if &*key.resource == NAMESPACES {
        (txn.resources(), key.name.as_str())
    } else {
        (vec![Arc::from(key.name.as_str())], "")
    };
    for resource in &resources {
        for (inner, object) in txn.list(resource, namespace) {
            if !object.is_terminating() {
                let kind = kind_of(txn, &inner);
                remove(txn, &inner, &object, kind, &DeleteOptions::default());
            }
        }
    }
    if !resources.iter().all(|r| txn.is_empty(r, namespace)) {
        return;
    }
    if &*key.resource == NAMESPACES {
        if finalizers(&parent.value).is_empty() {
            txn.remove(key);
        } else {
            forget_own_finalizer(txn, key, &parent);
        }
    } else {
        release(txn, key, &parent, CLEANUP);
    }
}

/// An empty namespace that somebody else's finalizer still holds.
fn forget_own_finalizer(txn: &mut Txn<'_>, key: &Key, namespace: &Object) {
    let mut value = namespace.value.clone();
    if value.pointer("/spec/finalizers").is_some_and(|f| *f != json!([])) {
        crate::object::child(&mut value, "spec").insert("finalizers".to_owned(), json!([]));
        txn.put(key, value);
    }
}
