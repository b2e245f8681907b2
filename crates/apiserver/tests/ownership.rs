//! What follows from a deletion: owners, finalizers, namespaces, definitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Gadget, GadgetSpec, Town};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;

async fn gadget(town: &Town, name: &str) -> Gadget {
    let spec = GadgetSpec {
        size: 1,
        ..Default::default()
    };
    town.namespaced()
        .create(&PostParams::default(), &Gadget::new(name, spec))
        .await
        .unwrap()
}

/// A ConfigMap that names `owners`.
async fn owned(town: &Town, name: &str, owners: &[&Gadget]) -> ConfigMap {
    let mut config = common::config(name, "k", "v");
    let references = owners.iter().map(|o| {
        let mut reference = o.owner_ref(&()).unwrap();
        reference.block_owner_deletion = Some(true);
        reference
    });
    config.metadata.owner_references = Some(references.collect());
    town.namespaced().create(&PostParams::default(), &config).await.unwrap()
}

async fn exists(town: &Town, name: &str) -> bool {
    let api: Api<ConfigMap> = town.namespaced();
    api.get_opt(name).await.unwrap().is_some()
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let town = Town::new().await;
    let gadgets: Api<Gadget> = town.namespaced();
    let (first, second) = (gadget(&town, "first").await, gadget(&town, "second").await);
    owned(&town, "one", &[&first]).await;
    owned(&town, "two", &[&first, &second]).await;

    gadgets.delete("first", &DeleteParams::default()).await.unwrap();
    assert!(!exists(&town, "one").await);
    let configs: Api<ConfigMap> = town.namespaced();
    let left = configs.get("two").await.unwrap().owner_references().to_vec();
    assert_eq!(left.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["second"]);
    gadgets.delete("second", &DeleteParams::default()).await.unwrap();
    assert!(!exists(&town, "two").await);

    // An owner of the same name is another owner.
    gadget(&town, "first").await;
    owned(&town, "late", &[&first]).await;
    assert!(!exists(&town, "late").await, "its owner was gone before it came");
}

#[tokio::test]
async fn orphans_live_and_foreground_waits() {
    let town = Town::new().await;
    let gadgets: Api<Gadget> = town.namespaced();
    let owner = gadget(&town, "owner").await;
    owned(&town, "orphan", &[&owner]).await;
    gadgets.delete("owner", &DeleteParams::orphan()).await.unwrap();
    let configs: Api<ConfigMap> = town.namespaced();
    assert!(configs.get("orphan").await.unwrap().owner_references().is_empty());

    let owner = gadget(&town, "patient").await;
    let mut held = owned(&town, "held", &[&owner]).await;
    held.finalizers_mut().push("example.org/hold".into());
    configs.replace("held", &PostParams::default(), &held).await.unwrap();
    let waiting = gadgets
        .delete("patient", &DeleteParams::foreground())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(waiting.finalizers(), ["foregroundDeletion"]);
    assert!(configs.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    let release = json!({"metadata": {"finalizers": null}});
    configs
        .patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    assert!(!exists(&town, "held").await);
    assert!(gadgets.get_opt("patient").await.unwrap().is_none());
}

#[tokio::test]
async fn finalizers_hold_an_object_and_admit_no_new_ones() {
    let town = Town::new().await;
    let configs: Api<ConfigMap> = town.namespaced();
    let mut config = common::config("held", "k", "v");
    config.finalizers_mut().push("example.org/hold".into());
    configs.create(&PostParams::default(), &config).await.unwrap();
    let marked = configs
        .delete("held", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());

    let more = json!({"metadata": {"finalizers": ["example.org/hold", "example.org/late"]}});
    let refused = configs
        .patch("held", &PatchParams::default(), &Patch::Merge(more))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("no new finalizers can be added"),
        "{refused}"
    );
    let release = json!({"metadata": {"finalizers": []}});
    configs
        .patch("held", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    assert!(!exists(&town, "held").await);
}

#[tokio::test]
async fn a_namespace_takes_its_contents_along() {
    let town = Town::new().await;
    town.node("here").await;
    let namespaces: Api<Namespace> = Api::all(town.client.clone());
    namespaces
        .create(&PostParams::default(), &common::namespace("doomed"))
        .await
        .unwrap();
    let configs: Api<ConfigMap> = Api::namespaced(town.client.clone(), "doomed");
    let pods: Api<Pod> = Api::namespaced(town.client.clone(), "doomed");
    configs
        .create(&PostParams::default(), &common::config("c", "k", "v"))
        .await
        .unwrap();
    pods.create(&PostParams::default(), &common::pod("p")).await.unwrap();

    let marked = namespaces
        .delete("doomed", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(marked.status.unwrap().phase.as_deref(), Some("Terminating"));
    assert!(configs.get_opt("c").await.unwrap().is_none());
    let refused = configs
        .create(&PostParams::default(), &common::config("d", "k", "v"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("it is being terminated"), "{refused}");
    // The pod's node has the last word.
    assert!(namespaces.get_opt("doomed").await.unwrap().is_some());
    pods.delete("p", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(namespaces.get_opt("doomed").await.unwrap().is_none());

    let kept = namespaces
        .delete("default", &DeleteParams::default())
        .await
        .unwrap_err();
    assert!(matches!(kept, kube::Error::Api(s) if s.code == 403));
}

#[tokio::test]
async fn a_definition_takes_its_objects_along_and_its_watches_hear_of_it() {
    let town = Town::new().await;
    gadget(&town, "g").await;
    let gadgets: Api<Gadget> = town.namespaced();
    let now = gadgets
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut watch = gadgets.watch(&WatchParams::default(), &now).await.unwrap().boxed();
    let crds: Api<CustomResourceDefinition> = Api::all(town.client.clone());
    crds.delete("gadgets.things.example.org", &DeleteParams::default())
        .await
        .unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Deleted(g))) if g.name_any() == "g"));
    assert!(watch.next().await.is_none());
    assert!(crds.get_opt("gadgets.things.example.org").await.unwrap().is_none());
    let gone = gadgets.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(gone, kube::Error::Api(s) if s.code == 404));
    // It may come back, empty.
    let again = <Gadget as kube::CustomResourceExt>::crd();
    crds.create(&PostParams::default(), &again).await.unwrap();
    assert!(gadgets.list(&ListParams::default()).await.unwrap().items.is_empty());
}
