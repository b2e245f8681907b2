//! Creating objects.

use serde_json::{Value, json};

use super::admit::{check_type, judge, shape};
use super::{Strictness, Subject, Written};
use crate::catalog::Resource;
use crate::kinds::BuiltIn;
use crate::names::timestamp;
use crate::object::{Key, as_map, meta_str, set_meta};
use crate::status::{About, ApiError, ApiResult, FieldError};
use crate::store::{Follow, Txn};

/// Creates the object in `value`; the subject's name is what the body names, or generates.
pub(crate) fn create(
    txn: &mut Txn<'_>,
    subject: &Subject,
    mut value: Value,
    strictness: Strictness,
) -> ApiResult<Written> {
    check_type(subject, &value)?;
    let resource = &subject.resource;
    let version = subject.version()?;
    check_namespace(txn, resource, &subject.namespace, &value)?;
    let mut warnings = shape(subject, version, &mut value, strictness)?;
    if !meta_str(&value, "resourceVersion").is_empty() {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    identify(txn, &mut value, &subject.namespace, resource.namespaced);
    if let Some(kind) = resource.built_in {
        kind.prepare_create(&mut value, txn.now());
        version.schema.apply_defaults(&mut value);
    } else if version.has_status {
        as_map(&mut value).remove("status");
        version.schema.apply_defaults(&mut value);
    }
    if resource.built_in.is_none_or(BuiltIn::has_generation) {
        set_meta(&mut value, "generation", Some(json!(1)));
    }
    if resource.is(BuiltIn::Pod) {
        schedule(txn, &mut value);
    }
    judge(subject, version, &value, None)?;
    let name = meta_str(&value, "name").to_owned();
    let key = Key::new(&resource.id, &subject.namespace, &name);
    if txn.get(&key).is_some() {
        return Err(ApiError::already_exists(resource.about(&name)));
    }
    if resource.is(BuiltIn::Event) {
        super::events::make_room(txn, &resource.id);
    }
    if resource.is(BuiltIn::Crd) {
        warnings.extend(shadow_warning(txn, &value));
    }
    if resource.built_in.is_none() {
        for finalizer in crate::object::finalizers(&value).iter().filter(|f| !f.contains('/')) {
            warnings.push(format!(
                "metadata.finalizers: \"{finalizer}\": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
            ));
        }
    }
    let owned = !crate::object::owners(&value).is_empty();
    let object = txn.put(&key, value);
    if owned {
        txn.follow_up(Follow::CheckOwners(key));
    }
    Ok(Written { object, warnings })
}

fn check_namespace(txn: &Txn<'_>, resource: &Resource, namespace: &str, value: &Value) -> ApiResult<()> {
    if !resource.namespaced {
        return Ok(());
    }
    let said = meta_str(value, "namespace");
    if !said.is_empty() && said != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let Some(found) = txn.get(&Key::new(&"namespaces".into(), "", namespace)) else {
        return Err(ApiError::not_found(About::new("", "namespaces", namespace)));
    };
    if found.is_terminating() {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = FieldError {
            reason: "NamespaceTerminating",
            field: "metadata.namespace".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
        };
        return Err(ApiError::forbidden(resource.about(meta_str(value, "name")), &why).with_cause(cause));
    }
    Ok(())
}

/// Sets what only the server may set.
fn identify(txn: &Txn<'_>, value: &mut Value, namespace: &str, namespaced: bool) {
    if meta_str(value, "name").is_empty() {
        let prefix = meta_str(value, "generateName").to_owned();
        if !prefix.is_empty() {
            let short: String = prefix.chars().take(58).collect();
            set_meta(value, "name", Some(Value::from(format!("{short}{}", suffix()))));
        }
    }
    set_meta(value, "namespace", namespaced.then(|| Value::from(namespace)));
    set_meta(value, "uid", Some(Value::from(uuid::Uuid::new_v4().to_string())));
    set_meta(value, "creationTimestamp", Some(Value::from(timestamp(txn.now()))));
    for field in [
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        set_meta(value, field, None);
    }
}

/// Five letters that cannot make a word, as upstream picks them.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    uuid::Uuid::new_v4()
        .as_bytes()
        .iter()
        .take(5)
        .map(|b| char::from(LETTERS.get(usize::from(*b) % LETTERS.len()).copied().unwrap_or(b'x')))
        .collect()
}

/// One machine has one node: a pod goes there at once, unless it asks for another scheduler.
fn schedule(txn: &Txn<'_>, value: &mut Value) {
    let nodes = txn.list(&"nodes".into(), "");
    if let [(node, found)] = nodes.as_slice()
        && crate::object::dig(value, &["spec", "nodeName"]).is_none()
        && found.value.pointer("/spec/unschedulable") != Some(&Value::Bool(true))
    {
        super::bind::assign(value, &node.name, txn.now());
    }
}

fn shadow_warning(txn: &Txn<'_>, value: &Value) -> Option<String> {
    let kind = crate::object::dig_str(value, &["spec", "names", "kind"]);
    let group = crate::object::dig_str(value, &["spec", "group"]);
    txn.catalog()
        .all()
        .any(|r| r.kind == kind && r.group != group)
        .then(|| format!("another group also serves a kind {kind}; say the group when you mean this one"))
}
