//! What containers ask for: canonical quantities, requests that follow limits, the quality of service.

use serde_json::{Map, Value, json};

use super::quantity::{GRAMMAR, Quantity};
use crate::object::{as_map, dig};
use crate::status::FieldError;

const SIDES: [&str; 2] = ["limits", "requests"];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn amount(value: Option<&Value>) -> Option<Quantity> {
    value.and_then(|v| Quantity::parse(&text(v)))
}

fn containers(pod: &Value) -> impl Iterator<Item = (String, &Value)> {
    ["initContainers", "containers"].into_iter().flat_map(move |list| {
        let items = dig(pod, &["spec", list]).and_then(Value::as_array);
        let named = move |(i, c)| (format!("spec.{list}[{i}]"), c);
        items.into_iter().flatten().enumerate().map(named)
    })
}

/// Why a quantity cannot be read.
pub(super) fn check(pod: &Value) -> Result<(), String> {
    let sides = containers(pod).flat_map(|(_, c)| SIDES.into_iter().filter_map(move |s| dig(c, &["resources", s])));
    let mut all = sides.filter_map(Value::as_object).flat_map(Map::values);
    match all.any(|v| Quantity::parse(&text(v)).is_none()) {
        true => Err(GRAMMAR.to_owned()),
        false => Ok(()),
    }
}

/// Writes quantities in one way and lets requests follow limits.
pub(super) fn default(container: &mut Map<String, Value>) {
    let resources = as_map(container.entry("resources").or_insert_with(|| json!({})));
    for side in SIDES {
        for value in resources
            .get_mut(side)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(Map::values_mut)
        {
            if let Some(quantity) = amount(Some(value)) {
                *value = Value::from(quantity.to_string());
            }
        }
    }
    let limits = resources
        .get("limits")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    let requests = as_map(resources.entry("requests").or_insert_with(|| json!({})));
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// How a pod is treated when its node runs short.
pub(super) fn quality(pod: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for (_, container) in containers(pod) {
        for name in ["cpu", "memory"] {
            let side = |side: &str| amount(dig(container, &["resources", side, name])).filter(|q| !q.is_zero());
            let (limit, request) = (side("limits"), side("requests"));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|r| limit == Some(r));
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Requests over their limits.
pub(super) fn validate(pod: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (at, container) in containers(pod) {
        let requests = dig(container, &["resources", "requests"]).and_then(Value::as_object);
        for (name, value) in requests.into_iter().flatten() {
            let limit = amount(dig(container, &["resources", "limits", name]));
            if let (Some(request), Some(limit)) = (amount(Some(value)), limit)
                && request > limit
            {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&format!("{at}.resources.requests"), value, &detail));
            }
        }
    }
    errors
}
