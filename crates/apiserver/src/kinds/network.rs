//! NetworkPolicies: the defaults upstream writes into them.

use serde_json::{Value, json};

use crate::object::{child, dig};
use crate::status::FieldError;

pub(super) fn prepare(value: &mut Value) {
    let spec = child(value, "spec");
    let types = if spec.get("egress").is_some_and(|e| *e != json!([])) {
        json!(["Ingress", "Egress"])
    } else {
        json!(["Ingress"])
    };
    spec.entry("policyTypes").or_insert(types);
    for side in ["ingress", "egress"] {
        for rule in spec.get_mut(side).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in rule
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if let Some(port) = port.as_object_mut() {
                    port.entry("protocol").or_insert_with(|| json!("TCP"));
                }
            }
        }
    }
}

pub(super) fn validate(value: &Value) -> Vec<FieldError> {
    let choices = ["Ingress", "Egress"].map(Value::from);
    let types = dig(value, &["spec", "policyTypes"]).and_then(Value::as_array);
    let named = types.into_iter().flatten().enumerate();
    named
        .filter(|(_, t)| !choices.contains(t))
        .map(|(i, t)| FieldError::unsupported(&format!("spec.policyTypes[{i}]"), t, &choices))
        .collect()
}
