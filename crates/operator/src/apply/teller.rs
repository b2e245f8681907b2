//! Tells events: behind the writes, never in their way, bounded in number and connections.

use super::Slots;
use super::book::{Book, Entry};
use super::events::{self, Told};
use crate::call::{self, Failed};
use crate::metrics::Metrics;
use gastown_rules::{Key, Notice, Uid};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events told at once. One object's are told in order.
const VOICES: usize = 4;
/// Events waiting for one voice; what comes on top is dropped: conditions say it too.
const WAITING: usize = 1024;
/// Tries an event gets.
const TRIES: u32 = 3;

/// Takes what is to be told. Cheap to clone; the telling ends when the last is dropped.
#[derive(Clone)]
pub(crate) struct Teller {
    voices: Vec<mpsc::Sender<Told>>,
    metrics: Arc<Metrics>,
}

impl Teller {
    pub(super) fn tell(&self, about: &Key, uid: &Uid, notice: &Notice) {
        let told = Told {
            about: about.clone(),
            uid: uid.clone(),
            warning: notice.warning,
            code: notice.because.code,
            message: events::clipped(&notice.because.message),
        };
        let mut hasher = DefaultHasher::new();
        uid.hash(&mut hasher);
        let nth = usize::try_from(hasher.finish() % VOICES as u64).unwrap_or_default();
        if self.voices.get(nth).is_none_or(|voice| voice.try_send(told).is_err()) {
            self.metrics.event_dropped();
        }
    }
}

/// Starts the voices. Each asks for a place among those that tell before it speaks.
pub(crate) fn tell(client: &Client, metrics: &Arc<Metrics>, slots: &Slots) -> (Teller, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let mut voices = Vec::new();
    for _ in 0..VOICES {
        let (voice, told) = mpsc::channel(WAITING);
        tasks.spawn(speak(client.clone(), metrics.clone(), slots.clone(), told));
        voices.push(voice);
    }
    let teller = Teller {
        voices,
        metrics: metrics.clone(),
    };
    (teller, tasks)
}

async fn speak(client: Client, metrics: Arc<Metrics>, slots: Slots, mut told: mpsc::Receiver<Told>) {
    let mut book = Book::default();
    while let Some(mut told) = told.recv().await {
        let at = Timestamp::now();
        let entry = book.enter(&mut told, at);
        for tried in 0..TRIES {
            let place = slots.telling.acquire().await;
            slots.quiet.over().await;
            let written = write(&client, &told, &entry, at).await;
            drop(place);
            if let Err(failed) = &written {
                slots.quiet.heed(failed);
            }
            match written {
                Ok(()) => break,
                Err(e) if e.is_transient() && tried + 1 < TRIES => {
                    tokio::time::sleep(Duration::from_secs(1 << tried)).await;
                }
                Err(e) => {
                    metrics.event_dropped();
                    tracing::debug!(why = %e, "an event was not accepted");
                    break;
                }
            }
        }
    }
}

async fn write(client: &Client, told: &Told, entry: &Entry, at: Timestamp) -> Result<(), Failed> {
    let path = kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Event>(&());
    let path = <kube::api::DynamicObject as kube::Resource>::url_path(&path, Some(events::home(&told.about)));
    let events_of = kube::core::Request::new(path);
    if let Entry::Again { name, count } = entry {
        let patch = serde_json::json!({"count": count, "lastTimestamp": at, "message": told.message});
        match call::ask(
            client,
            events_of.patch(name, &PatchParams::default(), &Patch::Merge(patch))?,
        )
        .await
        {
            Ok(_) => return Ok(()),
            // It expired in the meantime, or was deleted: told anew.
            Err(e) if e.code() == Some(404) => {}
            Err(e) => return Err(e),
        }
    }
    let (Entry::New { name } | Entry::Again { name, .. }) = entry;
    let event = events::event(told, name, at);
    let event = serde_json::to_vec(&event).map_err(|e| Failed::Unspeakable(e.to_string()))?;
    match call::ask(client, events_of.create(&PostParams::default(), event)?).await {
        Ok(_) => Ok(()),
        // An earlier try went through after all.
        Err(e) if e.code() == Some(409) => Ok(()),
        Err(e) => Err(e),
    }
}
