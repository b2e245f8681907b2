//! apply: one API call an action, and what became of it. Exhaustive, without opinions.

mod book;
mod events;
mod patch;
mod quiet;
mod teller;

use crate::call::{self, Failed, Written, about_key};
use crate::metrics::Metrics;
use crate::observe::Scope;
use crate::render::{self, PodUser};
use crate::town::Settings;
use gastown_rules::{Action, Key, Outcome, Rev, Status, Uid};
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use quiet::Quiet;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use teller::{Teller, tell};

/// Writes under way at once: of all, and of those that only tell people, events among them.
#[derive(Clone)]
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    telling: Arc<Semaphore>,
    quiet: Quiet,
}

impl Slots {
    pub(crate) fn new(all: usize, telling: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            telling: Arc::new(Semaphore::new(telling)),
            quiet: Quiet::new(),
        }
    }
}

/// An action and its outcome.
pub(crate) struct Applied {
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
}

/// For the log and metrics.
pub(crate) fn verb(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Delete { .. } => "delete",
        Action::Publish { .. } => "publish",
        Action::Annotate { .. } => "annotate",
        Action::Release { .. } => "release",
    }
}

/// Writes what rules decided.
#[derive(Clone)]
pub(crate) struct Applier {
    client: Client,
    leader: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    teller: Teller,
    scope: Scope,
    pod_user: PodUser,
    slots: Slots,
    shutdown: CancellationToken,
}

impl Applier {
    pub(crate) fn new(
        client: Client,
        leader: watch::Receiver<bool>,
        metrics: Arc<Metrics>,
        teller: Teller,
        settings: &Settings,
        slots: Slots,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            client,
            leader,
            metrics,
            teller,
            scope: settings.scope.clone(),
            pod_user: settings.pod_user,
            slots,
            shutdown,
        }
    }

    /// Does it, unless we are no longer the leader, or stopping, by the time its turn comes.
    pub(crate) async fn apply(&self, action: Action) -> Applied {
        // The semaphores are never closed; were they, writing without a slot is still right.
        let _telling = match action.moves_work() {
            true => None,
            false => self.slots.telling.acquire().await.ok(),
        };
        let _slot = self.slots.all.acquire().await.ok();
        tokio::select! {
            () = self.slots.quiet.over() => {}
            () = self.shutdown.cancelled() => {}
        }
        if !*self.leader.borrow() || self.shutdown.is_cancelled() {
            return Applied {
                action,
                outcome: Outcome::Unknown,
            };
        }
        let outcome = match self.write(&action).await {
            Ok(outcome) => outcome,
            Err(failed) => self.refused(failed),
        };
        self.metrics.write(verb(&action), action.key().kind, &outcome);
        match &outcome {
            Outcome::Denied { why } => {
                tracing::warn!(object = %action.key(), why, "a write was refused")
            }
            Outcome::Done { .. } => {}
            other => {
                tracing::debug!(object = %action.key(), outcome = ?other, "a write did not go through")
            }
        }
        if let (Action::Publish { key, uid, notices, .. }, Outcome::Done { .. }) = (&action, &outcome)
            && self.scope.tells_of(key)
        {
            // Events are told after the write they belong to, and never hold anything up.
            for notice in notices {
                self.teller.tell(key, uid, notice);
            }
        }
        Applied { action, outcome }
    }

    fn refused(&self, failed: Failed) -> Outcome {
        self.slots.quiet.heed(&failed);
        refusal(failed)
    }

    async fn write(&self, action: &Action) -> Result<Outcome, Failed> {
        match action {
            Action::Create { blueprint, .. } => self.create(blueprint).await,
            Action::Delete { key, uid, .. } => self.delete(key, uid).await,
            Action::Publish { key, rev, from, to, .. } => self.publish(key, *rev, from, to).await,
            Action::Annotate { key, uid, rev, set, .. } => self.annotate(key, uid, *rev, set).await,
            Action::Release { key, rev, keep, .. } => self.release(key, *rev, keep).await,
        }
    }

    async fn create(&self, blueprint: &gastown_rules::Blueprint) -> Result<Outcome, Failed> {
        let object = render::object(blueprint, self.pod_user).and_then(|o| serde_json::to_vec(&o));
        let object = match object {
            Ok(object) => object,
            Err(e) => return Ok(Outcome::Denied { why: e.to_string() }),
        };
        let key = blueprint.key();
        let request = about_key(key).create(&PostParams::default(), object)?;
        match call::read::<Written>(&self.client, request).await {
            Ok(made) => Ok(done(&made)),
            Err(Failed::Refused { code: 409, reason, .. }) if reason == "AlreadyExists" => self.existing(key).await,
            Err(Failed::Refused { code: 404, message, .. }) => Ok(Outcome::Denied { why: message }),
            Err(e) => Err(e),
        }
    }

    /// Who holds the name we wanted.
    async fn existing(&self, key: &Key) -> Result<Outcome, Failed> {
        let request = about_key(key).get_metadata(&key.name, &kube::api::GetParams::default())?;
        match call::read::<Written>(&self.client, request).await {
            Ok(found) => Ok(Outcome::Exists {
                owner: found.owner(),
                uid: found.uid(),
                rev: found.rev(),
            }),
            Err(e) if e.code() == Some(404) => Ok(Outcome::Later { seconds: 1 }),
            Err(e) => Err(e),
        }
    }

    async fn delete(&self, key: &Key, uid: &Uid) -> Result<Outcome, Failed> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.0.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let request = about_key(key).delete(&key.name, &params)?;
        match call::ask(&self.client, request).await {
            Ok(_) => Ok(Outcome::Done {
                rev: Rev::default(),
                uid: uid.clone(),
            }),
            // Another incarnation stands there: ours is gone.
            Err(e) if e.code() == Some(409) => Ok(Outcome::Gone),
            Err(e) => Err(e),
        }
    }

    async fn publish(&self, key: &Key, rev: Rev, from: &Status, to: &Status) -> Result<Outcome, Failed> {
        let patch = match patch::status(from, to, rev) {
            Ok(patch) => Patch::Merge(patch),
            Err(e) => return Ok(Outcome::Denied { why: e.to_string() }),
        };
        let request = about_key(key).patch_subresource("status", &key.name, &PatchParams::default(), &patch)?;
        Ok(done(&call::read(&self.client, request).await?))
    }

    async fn annotate(
        &self,
        key: &Key,
        uid: &Uid,
        rev: Rev,
        set: &BTreeMap<String, Option<String>>,
    ) -> Result<Outcome, Failed> {
        let patch = serde_json::json!({"metadata": {
            "uid": uid.0, "resourceVersion": rev.0.to_string(), "annotations": set,
        }});
        let request = about_key(key).patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))?;
        Ok(done(&call::read(&self.client, request).await?))
    }

    async fn release(&self, key: &Key, rev: Rev, keep: &[String]) -> Result<Outcome, Failed> {
        let patch = serde_json::json!({"metadata": {"resourceVersion": rev.0.to_string(), "finalizers": keep}});
        let request = about_key(key).patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))?;
        Ok(done(&call::read(&self.client, request).await?))
    }
}

fn done(object: &Written) -> Outcome {
    Outcome::Done {
        rev: object.rev(),
        uid: object.uid(),
    }
}

/// What a failure means to rules. Only what the server certainly did not do counts as not done.
fn refusal(failed: Failed) -> Outcome {
    let after = failed.after().map_or(1, |d| Duration::as_secs(&d)).max(1);
    match failed {
        Failed::Refused { code: 404, .. } => Outcome::Gone,
        Failed::Refused { code: 409, .. } => Outcome::Stale,
        Failed::Refused { code: 429, .. } => Outcome::Later { seconds: after },
        // A server that lost its store, or a proxy its server, cannot say whether it was done.
        Failed::Refused { code: 500.., .. } | Failed::Silent(_) => Outcome::Unknown,
        Failed::Refused { message, .. } => Outcome::Denied { why: message },
        Failed::Unreadable(_) => Outcome::Unknown,
        Failed::Unspeakable(why) => Outcome::Denied { why },
    }
}
