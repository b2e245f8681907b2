//! The API as a client sees it, in process: objects, revisions, watches, schemas.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Town, status};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::ResourceExt;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
    WatchEvent, WatchParams,
};
use serde_json::json;

#[tokio::test]
async fn an_object_lives_from_create_to_delete() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    let made = api
        .create(&PostParams::default(), &common::config("first", "k", "v"))
        .await
        .unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    let rv = made.resource_version().unwrap();

    // Changing nothing changes no revision.
    let same = api
        .patch(
            "first",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"k": "v"}})),
        )
        .await
        .unwrap();
    assert_eq!(same.resource_version().unwrap(), rv);

    let changed = api
        .patch(
            "first",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"k": "w"}})),
        )
        .await
        .unwrap();
    assert!(changed.resource_version().unwrap().parse::<u64>().unwrap() > rv.parse::<u64>().unwrap());

    // A write that names an old revision is refused.
    let stale = json!({"metadata": {"resourceVersion": rv}, "data": {"k": "x"}});
    let conflict = status(
        api.patch("first", &PatchParams::default(), &Patch::Merge(stale))
            .await
            .unwrap_err(),
    );
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    assert!(
        conflict.message.contains("the object has been modified"),
        "{}",
        conflict.message
    );

    let again = status(
        api.create(&PostParams::default(), &common::config("first", "k", "v"))
            .await
            .unwrap_err(),
    );
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "configmaps \"first\" already exists");

    // Deletion holds its preconditions.
    let wrong = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some("not-it".into()),
            resource_version: None,
        }),
        ..Default::default()
    };
    assert_eq!(status(api.delete("first", &wrong).await.unwrap_err()).code, 409);
    let right = DeleteParams {
        preconditions: Some(Preconditions {
            uid: changed.uid(),
            resource_version: changed.resource_version(),
        }),
        ..Default::default()
    };
    assert!(api.delete("first", &right).await.unwrap().is_right());
    let gone = status(api.get("first").await.unwrap_err());
    assert_eq!(
        (gone.code, gone.message.as_str()),
        (404, "configmaps \"first\" not found")
    );
}

#[tokio::test]
async fn a_dry_run_and_a_wrong_namespace_store_nothing() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    let dry = PostParams {
        dry_run: true,
        ..Default::default()
    };
    api.create(&dry, &common::config("ghost", "k", "v")).await.unwrap();
    assert!(api.get_opt("ghost").await.unwrap().is_none());

    let elsewhere: Api<ConfigMap> = Api::namespaced(town.client.clone(), "nowhere");
    let missing = status(
        elsewhere
            .create(&PostParams::default(), &common::config("x", "k", "v"))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (missing.code, missing.message.as_str()),
        (404, "namespaces \"nowhere\" not found")
    );
}

#[tokio::test]
async fn kinds_of_a_cluster_are_refused_by_name() {
    let town = Town::new().await;
    let services = ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "Service".into(),
        plural: "services".into(),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(town.client.clone(), "default", &services);
    let refused = status(api.list(&ListParams::default()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (404, "NotFound"));
    assert!(
        refused.message.contains("services") && refused.message.contains("one machine"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn selectors_and_chunks_show_one_consistent_list() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    for i in 0..10 {
        let mut config = common::config(&format!("c{i}"), "k", "v");
        config
            .labels_mut()
            .insert("parity".into(), if i % 2 == 0 { "even" } else { "odd" }.into());
        api.create(&PostParams::default(), &config).await.unwrap();
    }
    let even = api
        .list(&ListParams::default().labels("parity in (even)"))
        .await
        .unwrap();
    assert_eq!(even.items.len(), 5);
    let one = api
        .list(&ListParams::default().fields("metadata.name=c3"))
        .await
        .unwrap();
    assert_eq!(one.items.len(), 1);
    let bad = status(api.list(&ListParams::default().fields("data.k=v")).await.unwrap_err());
    assert_eq!(
        (bad.code, bad.message.as_str()),
        (400, "field label not supported: data.k")
    );

    let first = api.list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (4, Some(6)));
    // What happens between two chunks is not seen by the second.
    api.delete("c5", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &common::config("c55", "k", "v"))
        .await
        .unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = api
        .list(&ListParams::default().limit(100).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<String> = rest.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["c4", "c5", "c6", "c7", "c8", "c9"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn a_watch_tells_every_change_in_order() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    let start = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut labelled = common::config("a", "k", "1");
    labelled.labels_mut().insert("see".into(), "me".into());
    api.create(&PostParams::default(), &labelled).await.unwrap();
    api.create(&PostParams::default(), &common::config("hidden", "k", "1"))
        .await
        .unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}})))
        .await
        .unwrap();
    // It leaves the selection, comes back, and is deleted.
    for label in [json!(null), json!("me")] {
        api.patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"labels": {"see": label}}})),
        )
        .await
        .unwrap();
    }
    api.delete("a", &DeleteParams::default()).await.unwrap();

    let stream = api
        .watch(&WatchParams::default().labels("see=me"), &start)
        .await
        .unwrap();
    let seen: Vec<String> = stream
        .take(5)
        .map_ok(|event| match event {
            WatchEvent::Added(o) => format!("added {}", o.name_any()),
            WatchEvent::Modified(o) => format!("modified {}", o.name_any()),
            WatchEvent::Deleted(o) => format!("deleted {}", o.name_any()),
            other => format!("{other:?}"),
        })
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen, ["added a", "modified a", "deleted a", "added a", "deleted a"]);
}

#[tokio::test]
async fn a_watch_from_before_the_kept_history_is_told_410() {
    let town = Town::with_history(4).await;
    let api: Api<ConfigMap> = town.namespaced();
    let start = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    for i in 0..6 {
        api.create(&PostParams::default(), &common::config(&format!("c{i}"), "k", "v"))
            .await
            .unwrap();
    }
    let mut stream = api.watch(&WatchParams::default(), &start).await.unwrap().boxed();
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Error(e) => assert_eq!((e.code, e.reason.as_str()), (410, "Expired")),
        other => panic!("{other:?}"),
    }
    assert!(stream.next().await.is_none(), "the watch ends after the error");
    let list = ListParams::default()
        .at(&start)
        .matching(kube::api::VersionMatch::Exact);
    assert_eq!(status(api.list(&list).await.unwrap_err()).code, 410);
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_nobody_waits_for_it() {
    let town = Town::with_history(16).await;
    let api: Api<ConfigMap> = town.namespaced();
    let start = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut slow = api.watch(&WatchParams::default(), &start).await.unwrap().boxed();
    for i in 0..400 {
        api.create(&PostParams::default(), &common::config(&format!("c{i:03}"), "k", "v"))
            .await
            .unwrap();
    }
    let mut last = None;
    while let Some(event) = slow.next().await {
        last = Some(event.unwrap());
    }
    assert!(matches!(last, Some(WatchEvent::Error(e)) if e.code == 410));
}

#[tokio::test]
async fn a_quiet_watch_ends_in_time_with_a_bookmark_of_the_present() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    let start = api
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let mut stream = api
        .watch(&WatchParams::default().timeout(1), &start)
        .await
        .unwrap()
        .boxed();
    // A change of another kind moves the revision that the bookmark carries.
    let namespaces: Api<Namespace> = Api::all(town.client.clone());
    namespaces
        .create(&PostParams::default(), &common::namespace("other"))
        .await
        .unwrap();
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Bookmark(b) => {
            assert!(b.metadata.resource_version.parse::<u64>().unwrap() > start.parse().unwrap())
        }
        other => panic!("{other:?}"),
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn json_patches_test_before_they_change() {
    let town = Town::new().await;
    let api: Api<ConfigMap> = town.namespaced();
    api.create(&PostParams::default(), &common::config("c", "k", "v"))
        .await
        .unwrap();
    let patch = |from: &str, to: &str| -> json_patch::Patch {
        serde_json::from_value(json!([{"op": "test", "path": "/data/k", "value": from}, {"op": "replace", "path": "/data/k", "value": to}])).unwrap()
    };
    let done = api
        .patch("c", &PatchParams::default(), &Patch::Json::<()>(patch("v", "w")))
        .await
        .unwrap();
    assert_eq!(done.data.unwrap()["k"], "w");
    let refused = status(
        api.patch("c", &PatchParams::default(), &Patch::Json::<()>(patch("v", "x")))
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.code, 422);
    // Server-side apply is refused in words, not half done.
    let apply = api
        .patch(
            "c",
            &PatchParams::apply("me"),
            &Patch::Apply(common::config("c", "k", "y")),
        )
        .await
        .unwrap_err();
    assert_eq!(status(apply).code, 415);
}

#[tokio::test]
async fn a_bound_pod_waits_for_its_node() {
    let town = Town::new().await;
    let pods: Api<Pod> = town.namespaced();
    pods.create(&PostParams::default(), &common::pod("free")).await.unwrap();
    pods.delete("free", &DeleteParams::default()).await.unwrap();
    assert!(
        pods.get_opt("free").await.unwrap().is_none(),
        "nobody runs it, so it goes at once"
    );

    town.node("here").await;
    let bound = pods
        .create(&PostParams::default(), &common::pod("bound"))
        .await
        .unwrap();
    assert_eq!(bound.spec.unwrap().node_name.as_deref(), Some("here"));
    let marked = pods
        .delete("bound", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(30));
    pods.delete("bound", &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    assert!(pods.get_opt("bound").await.unwrap().is_none());

    // A node that is gone cannot report its pods stopped.
    pods.create(&PostParams::default(), &common::pod("left")).await.unwrap();
    pods.delete("left", &DeleteParams::default()).await.unwrap();
    let nodes: Api<Node> = Api::all(town.client.clone());
    nodes.delete("here", &DeleteParams::default()).await.unwrap();
    assert!(pods.get_opt("left").await.unwrap().is_none());
}
