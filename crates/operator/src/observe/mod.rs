//! observe: one list-and-watch a kind, objects to facts.
//!
//! Not kube's `watcher`: rules need the list's own resourceVersion (what is not in it and not newer is gone), and
//! one object that does not decode must not spoil its list.

mod installed;
mod pods;
mod rows;
mod scope;

use crate::metrics::Metrics;
use futures::StreamExt;
use futures::future::select_all;
use gastown_rules::{Fact, Key, Kind, Rev, Seen};
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, Resource};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use installed::check_kinds;
use pods::pod_row;
#[cfg(test)]
pub(crate) use rows::meta;
pub use scope::Scope;
pub(crate) use scope::{Watched, watched};

/// What a watch tells the loop.
pub(crate) enum News {
    /// Something to learn.
    Fact(Box<Fact>),
    /// The kind's first list is complete.
    Synced(Kind),
}

/// Pages of the initial list.
const PAGE: u32 = 500;

/// Follows one kind until shutdown. Never gives up: backs off, and lists again where the history is gone.
pub(crate) async fn follow(
    client: Client,
    watched: Watched,
    out: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let follower = Follower {
        apis: watched.apis(&client),
        watched,
        out,
        metrics,
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follower.forever() => {}
    }
}

struct Follower {
    /// One for each place: the whole cluster, or namespaces.
    apis: Vec<Api<DynamicObject>>,
    watched: Watched,
    out: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
}

/// Why a watch ended.
enum Ended {
    /// The loop is gone.
    Closed,
    /// By the server, in good order: go on from the revision we have.
    Normally,
    /// The revision we have is too old: list again.
    Expired,
    /// Anything else: back off, go on from the revision we have.
    Broken(String),
}

impl Follower {
    async fn forever(&self) {
        let mut backoff = Backoff::default();
        loop {
            let revs = match self.list().await {
                Ok(Some(revs)) => revs,
                Ok(None) => return,
                Err(e) => {
                    self.broken(&e.to_string());
                    tokio::time::sleep(backoff.next()).await;
                    continue;
                }
            };
            let places = self.apis.iter().zip(revs);
            let watches = places.map(|(api, rev)| Box::pin(self.keep_watching(api, rev)));
            // Where one place's history is gone, all are listed again: a list is of every place.
            if let (Ended::Closed, ..) = select_all(watches).await {
                return;
            }
        }
    }

    /// Watches one place until its history is gone, or the loop is.
    async fn keep_watching(&self, api: &Api<DynamicObject>, mut from: String) -> Ended {
        let mut backoff = Backoff::default();
        loop {
            let (rev, ended) = self.watch(api, from, &mut backoff).await;
            from = rev;
            match ended {
                Ended::Normally => {}
                Ended::Broken(why) => {
                    self.broken(&why);
                    tokio::time::sleep(backoff.next()).await;
                }
                Ended::Closed | Ended::Expired => return ended,
            }
        }
    }

    fn broken(&self, why: &str) {
        self.metrics.watch_broken(self.watched.kind);
        tracing::warn!(kind = ?self.watched.kind, why, "a watch broke; trying again");
    }

    /// Lists every place; their revisions, or none when the loop is gone.
    async fn list(&self) -> Result<Option<Vec<String>>, kube::Error> {
        let mut keys = BTreeSet::new();
        let mut revs = Vec::new();
        for api in &self.apis {
            match self.list_place(api, &mut keys).await? {
                Some(rev) => revs.push(rev),
                None => return Ok(None),
            }
        }
        let listed = Fact::Listed {
            kind: self.watched.kind,
            keys,
            // What the oldest list does not hold and is older than it is gone, wherever it was.
            rev: revs.iter().map(|rev| rows::rev(rev)).min().unwrap_or_default(),
        };
        let told = self.send(listed).await.is_ok() && self.out.send(News::Synced(self.watched.kind)).await.is_ok();
        Ok(told.then_some(revs))
    }

    async fn list_place(
        &self,
        api: &Api<DynamicObject>,
        keys: &mut BTreeSet<Key>,
    ) -> Result<Option<String>, kube::Error> {
        let mut params = ListParams {
            label_selector: self.watched.selector.clone(),
            ..ListParams::default()
        }
        .limit(PAGE);
        loop {
            let page = api.list(&params).await?;
            for object in page.items {
                keys.insert(rows::key(self.watched.kind, &object));
                if self.send(fact(self.watched.kind, object)).await.is_err() {
                    return Ok(None);
                }
            }
            match page.metadata.continue_.filter(|c| !c.is_empty()) {
                Some(more) => params.continue_token = Some(more),
                None => return Ok(Some(page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }

    async fn watch(&self, api: &Api<DynamicObject>, mut rev: String, backoff: &mut Backoff) -> (String, Ended) {
        let params = WatchParams {
            label_selector: self.watched.selector.clone(),
            ..WatchParams::default()
        };
        let stream = match api.watch(&params, &rev).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if status.code == 410 => return (rev, Ended::Expired),
            Err(e) => return (rev, Ended::Broken(e.to_string())),
        };
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            let fact = match event {
                Ok(WatchEvent::Bookmark(b)) => {
                    rev = b.metadata.resource_version;
                    continue;
                }
                Ok(WatchEvent::Added(o) | WatchEvent::Modified(o)) => {
                    rev = o.metadata.resource_version.clone().unwrap_or(rev);
                    fact(self.watched.kind, o)
                }
                Ok(WatchEvent::Deleted(o)) => {
                    rev = o.metadata.resource_version.clone().unwrap_or(rev);
                    Fact::Vanished {
                        key: rows::key(self.watched.kind, &o),
                        rev: rows::rev(&rev),
                    }
                }
                Ok(WatchEvent::Error(status)) if status.code == 410 => {
                    return (rev, Ended::Expired);
                }
                Ok(WatchEvent::Error(status)) => return (rev, Ended::Broken(status.to_string())),
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    return (rev, Ended::Expired);
                }
                Err(e) => return (rev, Ended::Broken(e.to_string())),
            };
            backoff.reset();
            self.metrics.watch_event(self.watched.kind);
            if self.send(fact).await.is_err() {
                return (rev, Ended::Closed);
            }
        }
        (rev, Ended::Normally)
    }

    async fn send(&self, fact: Fact) -> Result<(), ()> {
        self.out.send(News::Fact(Box::new(fact))).await.map_err(|_| ())
    }
}

/// An object as a fact; one that does not decode is a fact too.
fn fact(kind: Kind, object: DynamicObject) -> Fact {
    let key = rows::key(kind, &object);
    let seen = match kind {
        Kind::Rig => rows::row(kind, object).map(|r| Seen::Rig(Box::new(r))),
        Kind::Polecat => rows::row(kind, object).map(|r| Seen::Polecat(Box::new(r))),
        Kind::Convoy => rows::row(kind, object).map(|r| Seen::Convoy(Box::new(r))),
        Kind::Witness => rows::row(kind, object).map(|r| Seen::Witness(Box::new(r))),
        Kind::Refinery => rows::row(kind, object).map(|r| Seen::Refinery(Box::new(r))),
        Kind::BeadStore => rows::row(kind, object).map(|r| Seen::BeadStore(Box::new(r))),
        Kind::Pod => pod_row(object).map(|r| Seen::Pod(Box::new(r))),
        Kind::ConfigMap => Err("ConfigMaps are not watched".into()),
    };
    match seen {
        Ok(seen) => Fact::Seen(seen),
        Err(why) => Fact::Malformed { key, why },
    }
}

/// 200 ms doubling to 30 s; reset by any event.
#[derive(Default)]
struct Backoff(u32);

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(200)
            .saturating_mul(1 << self.0.min(8))
            .min(Duration::from_secs(30));
        self.0 = self.0.saturating_add(1);
        wait
    }
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Kind's resource, for writes.
pub(crate) fn resource_of(kind: Kind) -> ApiResource {
    match kind {
        Kind::Rig => ApiResource::erase::<gastown_api::Rig>(&()),
        Kind::Polecat => ApiResource::erase::<gastown_api::Polecat>(&()),
        Kind::Convoy => ApiResource::erase::<gastown_api::Convoy>(&()),
        Kind::Witness => ApiResource::erase::<gastown_api::Witness>(&()),
        Kind::Refinery => ApiResource::erase::<gastown_api::Refinery>(&()),
        Kind::BeadStore => ApiResource::erase::<gastown_api::BeadStore>(&()),
        Kind::Pod => ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
        Kind::ConfigMap => ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
    }
}

/// An API for writing an object of that key.
pub(crate) fn api_of(client: &Client, key: &Key) -> Api<DynamicObject> {
    let resource = resource_of(key.kind);
    match key.namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// A revision as rules order it.
pub(crate) fn rev_of(object: &impl Resource) -> Rev {
    rows::rev(object.meta().resource_version.as_deref().unwrap_or_default())
}
