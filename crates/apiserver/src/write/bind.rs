//! Binding a pod to the node.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Subject;
use crate::names::timestamp;
use crate::object::{as_map, child, dig_str, meta_str};
use crate::status::{About, ApiError, ApiResult};
use crate::store::Txn;

/// `pods/binding`: gives a pod its node.
pub(crate) fn bind(txn: &mut Txn<'_>, subject: &Subject, binding: &Value) -> ApiResult<()> {
    let node = dig_str(binding, &["target", "name"]);
    if node.is_empty() {
        return Err(ApiError::bad_request("the binding names no node in target.name"));
    }
    let pod = txn.get(&subject.key()).ok_or_else(|| subject.missing())?;
    let said = meta_str(binding, "name");
    if !said.is_empty() && said != subject.name {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    let about = About::new("", "pods/binding", &subject.name);
    let refuse = |why: &str| Err(ApiError::conflict(about.clone(), why));
    if pod.is_terminating() {
        return refuse(&format!(
            "pod {} is being deleted, cannot be assigned to a host",
            subject.name
        ));
    }
    let current = dig_str(&pod.value, &["spec", "nodeName"]);
    if !current.is_empty() {
        return refuse(&format!(
            "pod {} is already assigned to node \"{current}\"",
            subject.name
        ));
    }
    let mut value = pod.value.clone();
    assign(&mut value, node, txn.now());
    txn.put(&subject.key(), value);
    Ok(())
}

/// Writes the node and the condition that says so.
pub(super) fn assign(value: &mut Value, node: &str, now: Timestamp) {
    child(value, "spec").insert("nodeName".to_owned(), Value::from(node));
    let status = child(value, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        list.retain(|c| c.get("type").and_then(Value::as_str) != Some("PodScheduled"));
        let mut condition = json!({"type": "PodScheduled", "status": "True"});
        as_map(&mut condition).insert("lastTransitionTime".to_owned(), Value::from(timestamp(now)));
        list.push(condition);
    }
}
