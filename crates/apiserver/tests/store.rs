//! The store on a real disk: restarts, locks, damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{Gadget, GadgetSpec, Town};
use futures::StreamExt;
use gastown_apiserver::{ApiServer, OpenError, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};

fn on(path: &Path) -> Options {
    Options {
        data: Some(path.to_owned()),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_restart_keeps_objects_kinds_and_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::open(on(dir.path())).await;
    let gadgets: Api<Gadget> = town.namespaced();
    let spec = GadgetSpec {
        size: 3,
        ..Default::default()
    };
    let made = gadgets
        .create(&PostParams::default(), &Gadget::new("g", spec))
        .await
        .unwrap();
    let old = gadgets
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    let configs: Api<ConfigMap> = town.namespaced();
    configs
        .create(&PostParams::default(), &common::config("later", "k", "v"))
        .await
        .unwrap();
    town.server.close().await;

    let town = Town::open(on(dir.path())).await;
    let gadgets: Api<Gadget> = town.namespaced();
    assert_eq!(gadgets.get("g").await.unwrap().metadata, made.metadata);
    let now = gadgets
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    assert!(
        now.parse::<u64>().unwrap() > old.parse::<u64>().unwrap(),
        "revisions only grow"
    );

    // What happened before the restart is forgotten: a watch from there starts over.
    let mut watch = gadgets.watch(&WatchParams::default(), &old).await.unwrap().boxed();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Error(e))) if e.code == 410));
    // One from the present goes on.
    let mut watch = gadgets.watch(&WatchParams::default(), &now).await.unwrap().boxed();
    let spec = GadgetSpec {
        size: 1,
        ..Default::default()
    };
    gadgets
        .create(&PostParams::default(), &Gadget::new("h", spec))
        .await
        .unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Added(g))) if g.metadata.name.as_deref() == Some("h")));
}

#[tokio::test]
async fn data_in_use_is_refused_until_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let first = ApiServer::open(on(dir.path())).unwrap();
    let refused = ApiServer::open(on(dir.path())).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("in use"), "{refused}");
    first.close().await;
    ApiServer::open(on(dir.path())).unwrap();
}

#[tokio::test]
async fn many_writers_share_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::open(on(dir.path())).await;
    let api: Api<ConfigMap> = town.namespaced();
    let writes = (0..200).map(|i| {
        let api = api.clone();
        async move {
            api.create(&PostParams::default(), &common::config(&format!("c{i}"), "k", "v"))
                .await
        }
    });
    for made in futures::future::join_all(writes).await {
        made.unwrap();
    }
    town.server.close().await;
    let town = Town::open(on(dir.path())).await;
    let api: Api<ConfigMap> = town.namespaced();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 200);
}

/// Whatever part of the file is damaged: an error that says what to do, or, where the damage hit no
/// data, the whole town. Never a part of it, never an empty one.
#[tokio::test]
async fn a_damaged_store_is_refused_in_words_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let town = Town::open(on(dir.path())).await;
    let api: Api<ConfigMap> = town.namespaced();
    for i in 0..20 {
        api.create(
            &PostParams::default(),
            &common::config(&format!("c{i}"), "k", &"v".repeat(2_000)),
        )
        .await
        .unwrap();
    }
    town.server.close().await;
    let file = dir.path().join("objects.redb");
    let good = std::fs::read(&file).unwrap();

    let step = (good.len() / 24).max(1);
    let flips = (0..good.len()).step_by(step).map(|at| {
        let mut bad = good.clone();
        bad[at..(at + 64).min(good.len())].iter_mut().for_each(|b| *b ^= 0x5a);
        bad
    });
    let cuts = [0, 1, 100, good.len() / 2].into_iter().map(|len| good[..len].to_vec());
    let mut refused = 0;
    for bad in flips.chain(cuts).chain([b"this is no store".to_vec()]) {
        std::fs::write(&file, &bad).unwrap();
        match ApiServer::open(on(dir.path())) {
            Ok(server) => {
                let api: Api<ConfigMap> = Api::namespaced(server.client("default"), "default");
                assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 20);
                server.close().await;
            }
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(error, OpenError::Corrupt { .. } | OpenError::Newer { .. }),
                    "{error}"
                );
                assert!(error.to_string().contains("objects.redb"), "{error}");
            }
        }
    }
    assert!(refused >= 10, "damage to data went unseen: {refused}");
    std::fs::write(&file, &good).unwrap();
    ApiServer::open(on(dir.path())).unwrap();
}
