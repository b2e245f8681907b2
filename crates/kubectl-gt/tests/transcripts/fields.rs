//! Fields of a spec that the plugin serves, or of which the API server takes one value: the rows of
//! `crates/operator/tests/fields` that say what is typed, or what is refused. The same without the field must show
//! something else.

use crate::objects::{polecat, rig};
use crate::scene::Scene;
use crate::slinging::checkout;
use gastown_api::{Polecat, Rig};
use gastown_testkit::documents::top;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Map, Value, json};

struct Row {
    kind: &'static str,
    all: Value,
}

impl Row {
    fn text(&self, key: &str) -> Option<&str> {
        self.all[key].as_str()
    }

    /// The specs that it shows, and those that must show something else.
    fn specs(&self, dir: &str) -> (Value, Vec<Value>) {
        let mut given = base(self.kind);
        let text = self.all["given"][self.kind].to_string().replace("DIR", dir);
        lay(&mut given, &serde_json::from_str(&text).unwrap());
        let field: Vec<&str> = self.text("field").unwrap().split('.').collect();
        let (mut without, mut other) = (given.clone(), given.clone());
        take(&mut without, &field);
        assert_ne!(without, given, "{field:?} is not given");
        let others = self.all.get("other").map(|value| {
            let pointer = format!("/{}", field.join("/"));
            *other.pointer_mut(&pointer).unwrap() = value.clone();
            other
        });
        (given, std::iter::once(without).chain(others).collect())
    }
}

fn base(kind: &str) -> Value {
    match kind {
        "rig" => rig("parts")["spec"].clone(),
        _ => polecat("nux", "parts", "mp-1", "Working")["spec"].clone(),
    }
}

fn lay(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                lay(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Takes a field out, and whatever that leaves empty.
fn take(from: &mut Value, path: &[&str]) {
    let [first, rest @ ..] = path else { return };
    let Some(map) = from.as_object_mut() else { return };
    if let Some(below) = map.get_mut(*first).filter(|_| !rest.is_empty()) {
        take(below, rest);
    }
    if rest.is_empty() || map.get(*first).and_then(Value::as_object).is_some_and(Map::is_empty) {
        map.remove(*first);
    }
}

fn rows() -> Vec<Row> {
    let mut found = Vec::new();
    for (kind, file) in [("rig", "rig"), ("polecat", "polecat")] {
        let path = top().join(format!("crates/operator/tests/fields/{file}.yaml"));
        let rows: Vec<Value> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let played = |row: &Value| row.get("typed").or(row.get("refused")).is_some();
        found.extend(rows.into_iter().filter(played).map(|all| Row { kind, all }));
    }
    found
}

/// Puts it there, anew; in the server's words why not.
async fn put(scene: &Scene, kind: &str, spec: &Value) -> Result<(), String> {
    let (now, posted) = (DeleteParams::default(), PostParams::default());
    let object = |name: &str| json!({"apiVersion": "gastown.gastown.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let created = match kind {
        "Rig" => {
            let api: Api<kube::api::DynamicObject> =
                Api::all_with(scene.client.clone(), &kube::api::ApiResource::erase::<Rig>(&()));
            let _ = api.delete("parts", &now).await;
            api.create(&posted, &serde_json::from_value(object("parts")).unwrap())
                .await
        }
        _ => {
            let resource = kube::api::ApiResource::erase::<Polecat>(&());
            let api: Api<kube::api::DynamicObject> =
                Api::namespaced_with(scene.client.clone(), crate::scene::NAMESPACE, &resource);
            let _ = api.delete("nux", &now).await;
            api.create(&posted, &serde_json::from_value(object("nux")).unwrap())
                .await
        }
    };
    created.map(|_| ()).map_err(|error| error.to_string())
}

/// Whether the row's words are said of that spec.
async fn is_shown(scene: &Scene, row: &Row, spec: &Value) -> Result<bool, String> {
    let kind = if row.kind == "rig" { "Rig" } else { "Polecat" };
    let taken = put(scene, kind, spec).await;
    match (row.text("typed"), row.text("says"), row.text("refused")) {
        (Some(typed), Some(says), None) => {
            taken?;
            let told = scene.run(typed).await;
            assert_eq!(told.code, 0, "{typed}: {}", told.stderr);
            Ok(told.stdout.contains(says))
        }
        (None, None, Some(words)) => Ok(taken.is_err_and(|said| said.contains(words))),
        _ => panic!("{}: typed and says, or refused", row.all),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_or_refused_shows_the_field() {
    let mut seen = Vec::new();
    for row in rows() {
        let scene = Scene::new().await;
        checkout(&scene, "https://github.com/org/parts.git");
        let field = row.text("field").unwrap();
        let (given, without) = row.specs(&scene.dir.path().display().to_string());
        let shown = is_shown(&scene, &row, &given).await;
        assert_eq!(shown, Ok(true), "{field}: with the field it is not so");
        for spec in without {
            // What the API server would refuse shows nothing.
            let shown = is_shown(&scene, &row, &spec).await;
            assert_ne!(shown, Ok(true), "{field}: without the field it is so all the same");
        }
        seen.push(field.to_owned());
    }
    let known = [
        "beadsPrefix",
        "localPath",
        "settings.namepoolTheme",
        "kubernetes.sshStrictHostKeyChecking",
    ];
    assert_eq!(seen, known);
}
