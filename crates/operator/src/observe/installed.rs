//! Whether the cluster has our kinds, and of an age that can hold what we write.
//!
//! Read from OpenAPI v3, which every authenticated client may read: reading the definitions themselves would need a right
//! of its own, and a dry run asks admission webhooks and only of kinds that we may create.

use super::pace::Backoff;
use super::scope::{Scope, Watched, watched};
use crate::call::{self, Failed};
use crate::health::Health;
use crate::town::OperatorError;
use gastown_rules::Kind;
use kube::Client;
use kube::api::ListParams;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the schemas are read again before they count as stale: an API server publishes a new one after seconds.
const LOOKS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(500);
/// Fields that a refusal names.
const NAMED: usize = 4;

/// Refuses to start against an API server without our kinds, or with older ones, with the command that mends it.
/// A server that is away for a moment is waited for: who restarts waits as well, and longer.
pub(crate) async fn check_kinds(client: &Client, scope: &Scope, health: &Health) -> Result<(), OperatorError> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15));
    for watched in watched(scope) {
        for place in &watched.places {
            while let Err(e) = glance(client, &watched, place.as_deref()).await {
                health.turned();
                match e.code() {
                    Some(404) => return Err(OperatorError::MissingKind { kind: watched.kind }),
                    Some(403) => return Err(OperatorError::Forbidden { why: e.to_string() }),
                    _ if e.is_transient() => {}
                    _ => return Err(OperatorError::Unreachable(e.to_string())),
                }
                tracing::warn!(why = %e, "the API server does not answer; asking again");
                backoff.rest(&e).await;
            }
        }
    }
    let mut looks = 0..LOOKS;
    loop {
        let last = looks.next().is_none();
        match schemas(client).await.map(|served| stale(&served)) {
            Ok(None) => return Ok(()),
            Ok(Some(error)) if last => return Err(error),
            Err(e) if e.is_transient() => {
                looks = 0..LOOKS;
                health.turned();
                tracing::warn!(why = %e, "the API server does not tell the schemas of our kinds; asking again");
                backoff.rest(&e).await;
            }
            Err(e) if last || e.code() != Some(404) => {
                tracing::warn!(why = %e, "the API server does not tell the schemas of our kinds: their age is not checked");
                return Ok(());
            }
            // Not published yet, or of the definitions before the last.
            Ok(Some(_)) | Err(_) => tokio::time::sleep(BETWEEN).await,
        }
    }
}

/// Whether a kind is there and may be listed, as it will be: of pods, ours.
async fn glance(client: &Client, watched: &Watched, place: Option<&str>) -> Result<(), Failed> {
    #[derive(Deserialize)]
    struct Any {
        #[serde(rename = "metadata")]
        _metadata: IgnoredAny,
    }
    let one = ListParams {
        label_selector: watched.selector.clone(),
        ..ListParams::default().limit(1)
    };
    call::read::<Any>(client, call::about(watched.kind, place).list(&one)?)
        .await
        .map(drop)
}

/// The document of our group.
async fn schemas(client: &Client) -> Result<Value, Failed> {
    let path = format!("/openapi/v3/apis/{}/{}", gastown_api::GROUP, gastown_api::VERSION);
    let request = http::Request::get(path).body(Vec::new());
    call::read::<Value>(client, request.map_err(|e| Failed::Unspeakable(e.to_string()))?).await
}

/// The first kind that lacks something we write.
fn stale(document: &Value) -> Option<OperatorError> {
    for crd in gastown_api::crds() {
        let Ok(definition) = serde_json::to_value(&crd) else {
            continue;
        };
        let needed = definition.pointer("/spec/versions/0/schema/openAPIV3Schema")?;
        let served = served(document, &crd.spec.names.kind);
        let mut lacks = BTreeSet::new();
        for part in ["spec", "status"] {
            let of = |schema: &Value| schema.pointer(&format!("/properties/{part}")).cloned();
            compare(
                part,
                &of(needed).unwrap_or_default(),
                &served.and_then(of).unwrap_or_default(),
                &mut lacks,
            );
        }
        if !lacks.is_empty() {
            let more = lacks.len().saturating_sub(NAMED);
            let mut lacks = lacks.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
            if more > 0 {
                lacks.push_str(&format!(" and {more} more"));
            }
            return Some(OperatorError::StaleKind {
                name: format!("{}.{}", crd.spec.names.plural, crd.spec.group),
                lacks,
            });
        }
    }
    None
}

fn served<'a>(document: &'a Value, kind: &str) -> Option<&'a Value> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    schemas.values().find(|schema| {
        let kinds = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
        kinds.into_iter().flatten().any(|gvk| {
            gvk.get("kind").and_then(Value::as_str) == Some(kind)
                && gvk.get("group").and_then(Value::as_str) == Some(gastown_api::GROUP)
        })
    })
}

/// Fields that are not there, and values that an enum does not take. What is served beyond our needs is a newer operator's.
fn compare(path: &str, needed: &Value, served: &Value, lacks: &mut BTreeSet<String>) {
    let keeps_all = served.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    for (name, field) in needed
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path = format!("{path}.{name}");
        match served.pointer(&format!("/properties/{name}")) {
            Some(held) => compare(&path, field, held, lacks),
            None if keeps_all => {}
            None => {
                lacks.insert(path);
            }
        }
    }
    for nested in ["items", "additionalProperties"] {
        if let (Some(needed), Some(served)) = (needed.get(nested), served.get(nested)) {
            compare(path, needed, served, lacks);
        }
    }
    let (Some(needed), Some(served)) = (values(needed), values(served)) else {
        return;
    };
    for value in needed.iter().filter(|value| !served.contains(value)) {
        lacks.insert(format!("{path}={}", value.as_str().unwrap_or_default()));
    }
}

fn values(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("enum").and_then(Value::as_array)
}

impl OperatorError {
    /// What a person reads of a kind: its plural.
    pub(crate) fn named(kind: Kind) -> String {
        call::resource_of(kind).plural
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(change: impl Fn(&str, &mut Value)) -> Value {
        let mut schemas = serde_json::Map::new();
        for crd in gastown_api::crds() {
            let kind = crd.spec.names.kind.clone();
            let definition = serde_json::to_value(&crd).unwrap();
            let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            schema["x-kubernetes-group-version-kind"] =
                json!([{"group": gastown_api::GROUP, "version": "v1alpha1", "kind": kind}]);
            change(&kind, &mut schema);
            schemas.insert(kind, schema);
        }
        json!({"components": {"schemas": schemas}})
    }

    #[test]
    fn our_own_schemas_are_young_enough() {
        assert!(stale(&document(|_, _| {})).is_none());
    }

    #[test]
    fn a_newer_schema_is_young_enough() {
        let newer = document(|_, schema| {
            schema["properties"]["spec"]["properties"]["invented"] = json!({"type": "string"});
        });
        assert!(stale(&newer).is_none());
    }

    #[test]
    fn what_is_lacking_is_named_with_the_command_that_adds_it() {
        for (change, said) in [
            (
                "spec.task",
                Box::new(|kind: &str, schema: &mut Value| {
                    if kind == "Polecat" {
                        schema["properties"]["spec"]["properties"]
                            .as_object_mut()
                            .unwrap()
                            .remove("task");
                    }
                }) as Box<dyn Fn(&str, &mut Value)>,
            ),
            (
                "spec.agent=aider",
                Box::new(|kind: &str, schema: &mut Value| {
                    if kind == "Polecat" {
                        schema["properties"]["spec"]["properties"]["agent"]["enum"] =
                            json!(["claude-code", "opencode", "custom"]);
                    }
                }),
            ),
        ]
        .map(|(said, change)| (change, said))
        {
            let message = stale(&document(change)).unwrap().to_string();
            assert!(message.contains("polecats.gastown.gastown.io"), "{message}");
            assert!(message.contains(said), "{message}");
            assert!(
                message.contains("kubectl apply --server-side --force-conflicts"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_kind_that_is_not_told_lacks_everything() {
        let message = stale(&json!({})).unwrap().to_string();
        assert!(
            message.contains("rigs.gastown") && message.contains("spec.agent") && message.contains(" more"),
            "{message}"
        );
    }
}
