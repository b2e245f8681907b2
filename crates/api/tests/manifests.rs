//! Every manifest the predecessor's READMEs print, and every field its schemas had, is accepted and nothing is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a scene that cannot go on should say where"
)]

mod shape;

use gastown_api::{BeadStore, Convoy, Polecat, Refinery, Rig, Witness};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;

/// The whole schema of a kind, as the API server sees it.
fn schema(kind: &str) -> Value {
    let crds = gastown_api::crds();
    let crd = crds.iter().find(|c| c.spec.names.kind == kind).unwrap();
    let root = crd.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(root.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// What the schema and its rules have against an object. The server itself looks at the first three fields.
fn refusals(object: &Value) -> Vec<String> {
    let schema = schema(object["kind"].as_str().unwrap());
    let mut body = object.clone();
    for own in ["apiVersion", "kind", "metadata"] {
        body.as_object_mut().unwrap().remove(own);
    }
    let body = kube_cel::apply_defaults(&schema, &body);
    let mut found = shape::complaints(&schema, &body, "");
    if let Err(errors) = kube_cel::Validator::new().validate(&schema, &body, None) {
        found.extend(errors.into_vec().into_iter().map(|e| e.message));
    }
    found
}

/// Through our types and back.
fn through<K: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: K = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"));
    serde_json::to_value(typed).unwrap()
}

fn through_its_type(object: &Value) -> Value {
    match object["kind"].as_str().unwrap() {
        "Rig" => through::<Rig>(object),
        "Polecat" => through::<Polecat>(object),
        "Convoy" => through::<Convoy>(object),
        "Witness" => through::<Witness>(object),
        "Refinery" => through::<Refinery>(object),
        "BeadStore" => through::<BeadStore>(object),
        other => panic!("no kind of ours: {other}"),
    }
}

/// What `after` no longer says of `before`. An empty list may be left out; a quantity may become text.
fn lost(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(fields), Value::Object(kept)) => {
            for (name, value) in fields {
                lost(
                    value,
                    kept.get(name).unwrap_or(&Value::Null),
                    &format!("{path}.{name}"),
                    found,
                );
            }
        }
        (Value::Array(items), Value::Array(kept)) if items.len() == kept.len() => {
            for (index, (item, kept)) in items.iter().zip(kept).enumerate() {
                lost(item, kept, &format!("{path}[{index}]"), found);
            }
        }
        (Value::Array(items), Value::Null) if items.is_empty() => {}
        (Value::Number(number), Value::String(text)) if number.to_string() == *text => {}
        (before, after) if before == after => {}
        (before, after) => found.push(format!("{path}: {before} became {after}")),
    }
}

/// The objects of every file in `tests/manifests` whose name starts so.
fn manifests(prefix: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            let text = std::fs::read_to_string(&path).unwrap();
            let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            found.extend(objects.into_iter().map(|object| (name.clone(), object)));
        }
    }
    found
}

fn accepted(prefix: &str, at_least: usize) {
    let all = manifests(prefix);
    assert!(all.len() >= at_least, "{} manifests of {prefix}", all.len());
    for (name, object) in all {
        assert_eq!(refusals(&object), Vec::<String>::new(), "{name}: {object}");
        if object.get("spec").is_some() {
            let mut found = Vec::new();
            lost(&object, &through_its_type(&object), "", &mut found);
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
    }
}

#[test]
fn readmes_of_both_predecessors_are_accepted_verbatim() {
    accepted("readme-v0.1.2-", 2);
    accepted("readme-v0.4.2-", 3);
}

#[test]
fn every_field_of_both_predecessors_and_ours_is_accepted() {
    accepted("v0.1.2-every-field", 5);
    accepted("v0.4.2-every-field", 10);
    accepted("v0.5.0-every-field", 6);
}

/// A field of the schema that no every-field manifest sets is a field whose way through our types nobody looked at.
#[test]
fn the_every_field_manifests_live_up_to_their_name() {
    for crd in gastown_api::crds() {
        let kind = crd.spec.names.kind;
        let objects: Vec<Value> = manifests("v")
            .into_iter()
            .map(|(_, object)| object)
            .filter(|object| object["kind"] == kind.as_str())
            .collect();
        let schema = schema(&kind);
        for part in ["spec", "status"] {
            for field in schema["properties"][part]["properties"].as_object().unwrap().keys() {
                assert!(
                    objects.iter().any(|o| o[part].get(field).is_some()),
                    "no manifest sets {kind}.{part}.{field}"
                );
            }
        }
    }
}

#[test]
fn desired_state_is_idle_unless_said() {
    let polecat = json!({"kind": "Polecat", "spec": {"rig": "r"}});
    assert_eq!(refusals(&polecat), Vec::<String>::new());
    let filled = kube_cel::apply_defaults(&schema("Polecat"), &polecat);
    assert_eq!(
        filled["spec"],
        json!({"rig": "r", "desiredState": "Idle"}),
        "and nothing else is written in"
    );
}

#[test]
fn unknown_fields_and_a_newer_status_are_read() {
    let polecat = json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "metadata": {"name": "a"},
        "spec": {"rig": "r", "fromTheFuture": {"a": 1}}, "status": {"phase": "Working", "alsoNew": []},
    });
    let read: Polecat = serde_json::from_value(polecat).unwrap();
    assert_eq!(read.spec.rig, "r");
}

/// Field by field: what is wrong, and a piece of what the person is told.
#[test]
fn what_cannot_be_meant_is_refused_with_what_to_write_instead() {
    let rig = |more: Value| {
        let mut spec = json!({"gitURL": "https://github.com/org/repo", "beadsPrefix": "mp"});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        json!({"kind": "Rig", "spec": spec})
    };
    let polecat = |spec: Value| json!({"kind": "Polecat", "spec": spec});
    let repository =
        |url: &str| polecat(json!({"rig": "r", "desiredState": "Idle", "kubernetes": {"gitRepository": url}}));
    let cases = [
        (
            rig(json!({"gitURL": "/srv/repo.git", "mergeStrategy": "pullRequest"})),
            "or mergeStrategy: direct",
        ),
        (rig(json!({"podTemplate": {"runAsUser": 0}})), "write another UID"),
        (
            rig(json!({"podTemplate": {"labels": {"gastown.io/rig": "x"}}})),
            "write other keys",
        ),
        (
            rig(json!({"podTemplate": {"env": [{"name": "GASTOWN_ORDERS", "value": "x"}]}})),
            "write other names",
        ),
        (
            rig(json!({"podTemplate": {"cacheVolumes": [{"name": "c", "mountPath": "/workspace/repo"}]}})),
            "write another mountPath",
        ),
        (
            rig(json!({"podTemplate": {"cacheVolumes": [{"name": "c", "mountPath": "cache"}]}})),
            ".mountPath: cache does not match",
        ),
        (rig(json!({"beadsPrefix": "MP"})), ".beadsPrefix: MP does not match"),
        (
            rig(json!({"settings": {"maxPolecats": 0}})),
            ".maxPolecats: 0 is out of bounds",
        ),
        (rig(json!({"mergeStyle": "fast"})), ".mergeStyle: \"fast\" is none of"),
        (
            rig(json!({"stuckThreshold": "soon"})),
            ".stuckThreshold: soon does not match",
        ),
        (
            rig(json!({"resources": {"limits": {"cpu": "lots"}}})),
            ".cpu: lots does not match",
        ),
        (polecat(json!({"desiredState": "Idle"})), "required"),
        (polecat(json!({"rig": "r", "desiredState": "Done"})), "is none of"),
        (
            polecat(json!({"rig": "r", "desiredState": "Idle", "task": {"description": "a"}, "taskDescription": "b"})),
            "write the task in task.description only",
        ),
        (repository("https://user:password@host/repo"), ".gitRepository"),
        (repository("-oProxyCommand=x@host:repo"), ".gitRepository"),
        (repository("ext::sh -c id"), ".gitRepository"),
        (repository("../repo"), ".gitRepository"),
        (
            json!({"kind": "Convoy", "spec": {"description": "d", "trackedBeads": []}}),
            ".trackedBeads: 0 items",
        ),
        (json!({"kind": "Refinery"}), "required"),
    ];
    for (object, told) in cases {
        let found = refusals(&object);
        assert!(
            found.iter().any(|text| text.contains(told)),
            "{object}: {told:?} not in {found:?}"
        );
    }
}

#[test]
fn repositories_people_have_are_accepted() {
    for url in [
        "git@github.com:org/repo.git",
        "gitea@git.example.com:~me/repo",
        "https://github.com/org/repo.git",
        "https://git.example.com:8443/org/a%20b.git",
        "http://host/repo",
        "ssh://git@git.example.com:2222/~team/repo.git",
        "file:///srv/git/repo.git",
        "/home/me/Meine Projekte/repo",
    ] {
        let object = json!({"kind": "Polecat", "spec": {"rig": "r", "kubernetes": {"gitRepository": url}}});
        assert_eq!(refusals(&object), Vec::<String>::new(), "{url}");
    }
}
