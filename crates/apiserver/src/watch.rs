//! Watches read the history at their own pace. A watcher that falls behind it is told 410; nobody waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::Response;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use crate::catalog::Resource;
use crate::object::{Object, to_bytes};
use crate::request::View;
use crate::respond::{self, Body};
use crate::selector::Selector;
use crate::server::ApiServer;
use crate::status::{ApiError, ApiResult};
use crate::store::{Change, ChangeKind, Since, stamped};
use crate::table;
use crate::verbs::{Call, render};

const BOOKMARKS: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Events in one chunk at most: bounds the memory of a frame.
const CHUNK: usize = 128;

struct Watcher {
    server: ApiServer,
    resource: Arc<Resource>,
    version: String,
    namespace: String,
    selector: Selector,
    view: View,
    shape: Option<table::Shape>,
    /// Everything up to here was sent or need not be.
    cursor: u64,
    initial: VecDeque<Arc<Object>>,
    /// Whether the end of the initial objects has to be marked.
    marks_end: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    wake: Receiver<u64>,
    /// Tables name their columns once.
    headed: bool,
    ended: bool,
}

impl Call<'_> {
    /// Starts a watch on the collection.
    pub(crate) fn watch(&self) -> ApiResult<Response<Body>> {
        let query = &self.context.query;
        self.check_list_options(true)?;
        let selector = self.selector()?;
        let timeout = query.number::<u64>("timeoutSeconds")?.filter(|t| *t > 0);
        let from = query.number::<u64>("resourceVersion")?.filter(|rv| *rv > 0);
        let streaming = query.flag("sendInitialEvents");
        let state = self.server.inner.state();
        let wake = state
            .subscribe(&self.resource.id)
            .ok_or_else(|| ApiError::not_served("this resource is no longer served"))?;
        let replay = from.is_none() || streaming;
        let mut initial = VecDeque::new();
        if replay && query.get("sendInitialEvents") != Some("false") {
            let all = state.range(&self.resource.id, &self.path.namespace, None);
            initial.extend(
                all.filter(|(_, o)| selector.admits(&o.value))
                    .map(|(_, o)| Arc::clone(o)),
            );
        }
        let cursor = if replay { state.rv } else { from.unwrap_or(state.rv) };
        drop(state);
        let shape = (self.context.view == View::Table)
            .then(|| table::Shape::new(&self.resource, &self.path.version, self.context));
        let now = Instant::now();
        let watcher = Watcher {
            server: self.server.clone(),
            resource: Arc::clone(&self.resource),
            version: self.path.version.clone(),
            namespace: self.path.namespace.clone(),
            selector,
            view: self.context.view,
            shape,
            cursor,
            initial,
            marks_end: streaming,
            bookmarks: query.flag("allowWatchBookmarks") || streaming,
            next_bookmark: now + BOOKMARKS,
            deadline: now + timeout.map_or(LONGEST, Duration::from_secs),
            wake,
            headed: false,
            ended: false,
        };
        let stream = futures::stream::unfold(watcher, |mut watcher| async move {
            let chunk = watcher.next().await?;
            Some((io::Result::Ok(chunk), watcher))
        });
        Ok(respond::stream(stream, "application/json"))
    }
}

impl Watcher {
    /// The next chunk of events, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            if let Some(chunk) = self.ready() {
                return Some(chunk);
            }
            let bookmark = self.next_bookmark.min(self.deadline);
            let closed = self.server.inner.closed.clone();
            tokio::select! {
                biased;
                () = closed.cancelled() => return None,
                woken = self.wake.changed() => {
                    // The resource is no longer served: send what it still had to say, then end.
                    if woken.is_err() {
                        self.ended = true;
                        return self.ready();
                    }
                }
                () = tokio::time::sleep_until(bookmark) => {
                    if let Some(chunk) = self.tick() {
                        return Some(chunk);
                    }
                }
            }
        }
        None
    }

    /// Time has passed: a bookmark is due, or the end, which a bookmark announces.
    fn tick(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        self.ended = now >= self.deadline;
        if now >= self.next_bookmark {
            self.next_bookmark = now + BOOKMARKS;
        }
        self.bookmarks.then(|| self.bookmark(false))
    }

    /// What can be sent without waiting.
    fn ready(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        if !self.initial.is_empty() {
            for _ in 0..CHUNK {
                let Some(object) = self.initial.pop_front() else {
                    break;
                };
                self.event(&mut out, ChangeKind::Added, &object);
            }
        }
        if self.initial.is_empty() && self.marks_end {
            self.marks_end = false;
            let mark = self.bookmark(true);
            out.put(mark);
        }
        if !out.is_empty() {
            return Some(out.freeze());
        }
        self.advance(&mut out);
        (!out.is_empty()).then(|| out.freeze())
    }

    fn advance(&mut self, out: &mut BytesMut) {
        loop {
            self.wake.borrow_and_update();
            let (since, now) = {
                let server = self.server.clone();
                let state = server.inner.state();
                let since = state.since(&self.resource.id, self.cursor, CHUNK);
                (since, state.rv)
            };
            match since {
                Since::TooOld => {
                    let why = format!("too old resource version: {} ({now})", self.cursor);
                    put_line(out, "ERROR", &to_bytes(&ApiError::expired(why).body()));
                    self.ended = true;
                    return;
                }
                Since::Changes(changes) if changes.is_empty() => {
                    // Nothing of ours up to the present: a quiet watch does not grow old.
                    self.cursor = now;
                    return;
                }
                Since::Changes(changes) => {
                    for change in changes {
                        self.cursor = change.rv;
                        if let Some(kind) = self.seen_as(&change) {
                            let shown = parting(kind, &change);
                            self.event(out, kind, &shown);
                        }
                    }
                    if !out.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// What a change is to somebody who sees only what the selector admits.
    fn seen_as(&self, change: &Change) -> Option<ChangeKind> {
        if !self.namespace.is_empty() && change.place.0 != self.namespace {
            return None;
        }
        let admits = |o: &Option<Arc<Object>>| o.as_ref().is_some_and(|o| self.selector.admits(&o.value));
        match (admits(&change.old), admits(&change.new)) {
            (false, true) => Some(ChangeKind::Added),
            (true, true) => Some(ChangeKind::Modified),
            (true, false) => Some(ChangeKind::Deleted),
            (false, false) => None,
        }
    }

    fn event(&mut self, out: &mut BytesMut, kind: ChangeKind, object: &Arc<Object>) {
        let word = match kind {
            ChangeKind::Added => "ADDED",
            ChangeKind::Modified => "MODIFIED",
            ChangeKind::Deleted => "DELETED",
        };
        let content = match (self.view, &self.shape) {
            (View::Table, Some(shape)) => {
                let metadata = json!({"resourceVersion": object.rv.to_string()});
                let table = shape.table([object].into_iter(), metadata, !self.headed);
                self.headed = true;
                to_bytes(&table)
            }
            (View::Partial, _) => to_bytes(&table::partial(&object.value)),
            _ => render(&self.resource, &self.version, object),
        };
        put_line(out, word, &content);
    }

    fn bookmark(&self, end_of_initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if end_of_initial && let Some(map) = metadata.as_object_mut() {
            map.insert("annotations".to_owned(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let object: Value = match self.view {
            View::Table => {
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": self.cursor.to_string()}, "columnDefinitions": [], "rows": []})
            }
            View::Partial => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            View::Full => json!({
                "kind": self.resource.kind,
                "apiVersion": self.resource.api_version(&self.version),
                "metadata": metadata,
            }),
        };
        let mut out = BytesMut::new();
        put_line(&mut out, "BOOKMARK", &to_bytes(&object));
        out.freeze()
    }
}

/// What leaves a selector is shown as it last was inside, with the revision at which it left.
fn parting(kind: ChangeKind, change: &Change) -> Arc<Object> {
    match (kind, &change.old, &change.new) {
        (ChangeKind::Deleted, Some(old), Some(_)) => stamped(old.value.clone(), change.rv),
        _ => Arc::clone(&change.shown),
    }
}

fn put_line(out: &mut BytesMut, kind: &str, object: &[u8]) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}
