//! The manifests that the predecessor's READMEs print, applied as they are to a machine that has none of their Secrets:
//! each is taken, says what it lacks, holds nothing up, and goes when it is deleted.

use crate::checkout::{Checkout, NAMESPACE, until};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
use kube::{Api, Client};
use serde_json::Value;
use std::path::Path;

/// The objects of a file.
fn objects(path: &Path) -> Vec<DynamicObject> {
    let text = std::fs::read_to_string(path).unwrap();
    let parts = text.split("\n---").filter(|part| part.contains("kind:"));
    let values = parts.map(|part| serde_saphyr::from_str::<Value>(part).unwrap());
    values.map(|v| serde_json::from_value(v).unwrap()).collect()
}

async fn api(client: Client, object: &DynamicObject) -> Api<DynamicObject> {
    let kind = &object.types.as_ref().unwrap().kind;
    let group = kube::discovery::group(&client, "gastown.gastown.io").await.unwrap();
    let found: (ApiResource, ApiCapabilities) = group.recommended_kind(kind).unwrap();
    let namespace = object.metadata.namespace.as_deref().unwrap_or(NAMESPACE);
    match found.1.scope {
        Scope::Cluster => Api::all_with(client, &found.0),
        Scope::Namespaced => Api::namespaced_with(client, namespace, &found.0),
    }
}

/// What the object says of itself, once it says anything.
fn word(checkout: &Checkout, object: &DynamicObject) -> String {
    let name = object.metadata.name.clone().unwrap();
    until(&format!("a word of {name}"), || {
        let found = checkout.ask(async |client| api(client, object).await.get(&name).await.unwrap());
        let conditions = &found.data["status"]["conditions"];
        let message = found.data["status"]["message"].as_str()?.to_owned();
        (conditions.as_array().is_some_and(|c| !c.is_empty()) && !message.is_empty()).then_some(message)
    })
}

#[test]
fn every_printed_manifest_is_taken_and_says_what_it_lacks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/tests/manifests");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.file_name().unwrap().to_str().unwrap().starts_with("readme-"));
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let checkout = Checkout::up();
    for file in files {
        let objects = objects(&file);
        assert!(!objects.is_empty(), "{}", file.display());
        for object in &objects {
            let made =
                checkout.ask(async |client| api(client, object).await.create(&PostParams::default(), object).await);
            made.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
        for object in &objects {
            println!("{}: {}", file.display(), word(&checkout, object));
        }
        for object in &objects {
            let name = object.metadata.name.clone().unwrap();
            checkout.ask(async |client| {
                api(client, object)
                    .await
                    .delete(&name, &DeleteParams::default())
                    .await
                    .unwrap();
            });
            until(&format!("the end of {name}"), || {
                let found = checkout.ask(async |client| api(client, object).await.get_opt(&name).await.unwrap());
                found.is_none().then_some(())
            });
        }
        until("the end of its pods", || checkout.live_pods().is_empty().then_some(()));
    }
}
