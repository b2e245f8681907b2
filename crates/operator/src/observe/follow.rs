//! One kind, listed and watched until shutdown. Never gives up, and never asks faster than it is answered.

use super::lines::Lines;
use super::pace::{Backoff, Lists};
use super::read::{self, Event};
use super::{News, Watched, slim};
use crate::call::{self, Failed};
use crate::metrics::Metrics;
use futures::future::select_all;
use gastown_rules::{Fact, Key};
use http::{HeaderValue, Request, header::ACCEPT_ENCODING};
use kube::Client;
use kube::api::{ListParams, WatchParams};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Objects in a page of a list: a pod has 8 KB on the wire, so a page is 2 MB of memory for a moment.
const PAGE: u32 = 250;
/// How long the server is asked to keep a watch. Seconds.
const WATCH_SECONDS: u32 = 290;
/// A watch that ends before this, without a word, is treated as one that failed.
const SHORT: Duration = Duration::from_secs(5);

/// Follows one kind until shutdown. A watch that says nothing for `silence` is opened anew from where it was, which
/// costs nothing where it was not dead.
pub(crate) async fn follow(
    client: Client,
    watched: Watched,
    out: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
    silence: Duration,
    shutdown: CancellationToken,
) {
    let follower = Follower {
        client,
        watched,
        out,
        metrics,
        silence,
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follower.forever() => {}
    }
}

struct Follower {
    client: Client,
    watched: Watched,
    out: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
    silence: Duration,
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
    Broken(Failed),
}

/// A watch under way.
struct Course {
    rev: String,
    spoke: bool,
}

impl Follower {
    async fn forever(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut lists = Lists::new();
        loop {
            lists.turn().await;
            let revs = match self.list().await {
                Ok(Some(revs)) => revs,
                Ok(None) => return,
                Err(e) => {
                    self.rest(&e, &mut backoff).await;
                    continue;
                }
            };
            backoff.reset();
            let places = self.watched.places.iter().zip(revs);
            let watches = places.map(|(place, rev)| Box::pin(self.keep_watching(place.as_deref(), rev)));
            // Where one place's history is gone, all are listed again: a list is of every place.
            if let (Ended::Closed, ..) = select_all(watches).await {
                return;
            }
        }
    }

    /// Watches one place until its history is gone, or the loop is.
    async fn keep_watching(&self, place: Option<&str>, rev: String) -> Ended {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let mut course = Course { rev, spoke: false };
        loop {
            course.spoke = false;
            let opened = Instant::now();
            let ended = self.watch(place, &mut course).await;
            let lived = course.spoke || opened.elapsed() >= SHORT;
            if lived {
                backoff.reset();
            }
            match ended {
                Ended::Closed => return Ended::Closed,
                Ended::Expired => {
                    self.metrics.watch_broken(self.watched.kind);
                    tracing::info!(kind = ?self.watched.kind, rev = course.rev, "the history is gone; listing again");
                    return Ended::Expired;
                }
                Ended::Normally if lived => {}
                Ended::Normally => tokio::time::sleep(backoff.next()).await,
                Ended::Broken(e) => self.rest(&e, &mut backoff).await,
            }
        }
    }

    /// Says what failed and waits: as long as we would, and at least as long as the server asks.
    async fn rest(&self, failed: &Failed, backoff: &mut Backoff) {
        self.metrics.watch_broken(self.watched.kind);
        tracing::warn!(kind = ?self.watched.kind, why = %failed, "a watch broke; trying again");
        backoff.rest(failed).await;
    }

    /// Lists every place; their revisions, or none when the loop is gone.
    async fn list(&self) -> Result<Option<Vec<String>>, Failed> {
        let kind = self.watched.kind;
        let (mut keys, mut revs) = (BTreeSet::new(), Vec::new());
        for place in &self.watched.places {
            match self.list_place(place.as_deref(), &mut keys).await? {
                Some(rev) => revs.push(rev),
                None => return Ok(None),
            }
        }
        // What the oldest list does not hold and is older than it is gone, wherever it was.
        let rev = revs.iter().map(|rev| slim::rev(rev)).min().unwrap_or_default();
        let listed = self.send(Box::new(Fact::Listed { kind, keys, rev })).await;
        let told = listed.is_ok() && self.out.send(News::Synced(kind)).await.is_ok();
        Ok(told.then_some(revs))
    }

    /// Lists one place, page by page.
    async fn list_place(&self, place: Option<&str>, keys: &mut BTreeSet<Key>) -> Result<Option<String>, Failed> {
        let kind = self.watched.kind;
        let mut params = ListParams {
            label_selector: self.watched.selector.clone(),
            ..ListParams::default()
        }
        .limit(PAGE);
        loop {
            let text = call::ask(&self.client, call::about(kind, place).list(&params)?).await?;
            let page = read::page(kind, &text)?;
            drop(text);
            for (key, fact) in page.objects {
                keys.insert(key);
                if self.send(Box::new(fact)).await.is_err() {
                    return Ok(None);
                }
            }
            match page.more {
                Some(more) => params.continue_token = Some(more),
                None => return Ok(Some(page.rev)),
            }
        }
    }

    async fn watch(&self, place: Option<&str>, course: &mut Course) -> Ended {
        let request = match self.request(place, &course.rev) {
            Ok(request) => request,
            Err(e) => return Ended::Broken(e),
        };
        let opened = match timeout(call::DEADLINE, call::open(&self.client, request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) if e.code() == Some(410) => return Ended::Expired,
            Ok(Err(e)) => return Ended::Broken(e),
            Err(_) => return Ended::Broken(Failed::Silent("a watch that does not begin".into())),
        };
        let mut lines = Lines::new(opened.into_body());
        loop {
            let line = match timeout(self.silence, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Ended::Normally,
                Ok(Err(e)) => return Ended::Broken(e),
                Err(_) => {
                    tracing::info!(kind = ?self.watched.kind, "no word, no bookmark: the watch is opened anew");
                    return Ended::Normally;
                }
            };
            if let Some(ended) = self.hear(&line, course).await {
                return ended;
            }
        }
    }

    fn request(&self, place: Option<&str>, rev: &str) -> Result<Request<Vec<u8>>, Failed> {
        let params = WatchParams {
            label_selector: self.watched.selector.clone(),
            timeout: Some(WATCH_SECONDS),
            ..WatchParams::default()
        };
        let mut request = call::about(self.watched.kind, place).watch(&params, rev)?;
        // Servers of 1.37 compress each event by itself: nothing is gained, and few clients read it.
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(request)
    }

    /// One event; how the watch ended, where this is its end.
    async fn hear(&self, line: &[u8], course: &mut Course) -> Option<Ended> {
        match read::event(self.watched.kind, line) {
            Event::Bookmark { rev } => {
                course.advance(rev);
                None
            }
            Event::Changed { rev, fact } => {
                course.advance(rev);
                course.spoke = true;
                self.metrics.watch_event(self.watched.kind);
                self.send(fact).await.is_err().then_some(Ended::Closed)
            }
            Event::Expired => Some(Ended::Expired),
            Event::Failed(e) => Some(Ended::Broken(e)),
        }
    }

    async fn send(&self, fact: Box<Fact>) -> Result<(), ()> {
        self.out.send(News::Fact(fact)).await.map_err(|_| ())
    }
}

impl Course {
    fn advance(&mut self, rev: String) {
        if !rev.is_empty() {
            self.rev = rev;
        }
    }
}
