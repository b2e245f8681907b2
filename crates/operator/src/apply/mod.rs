//! apply: one API call an action, and what became of it. Exhaustive, without opinions.

mod events;
mod patch;

use crate::metrics::Metrics;
use crate::observe::{Scope, api_of, rev_of};
use crate::render::{self, PodUser};
use crate::town::Settings;
use gastown_rules::{Action, Key, Notice, Outcome, Rev, Status, Uid};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Longest a write may take before its answer counts as unknown.
const DEADLINE: Duration = Duration::from_secs(10);

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
        Action::Release { .. } => "release",
    }
}

/// Writes what rules decided.
#[derive(Clone)]
pub(crate) struct Applier {
    client: Client,
    leader: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    scope: Scope,
    pod_user: PodUser,
    slots: Arc<Semaphore>,
}

impl Applier {
    pub(crate) fn new(
        client: Client,
        leader: watch::Receiver<bool>,
        metrics: Arc<Metrics>,
        settings: &Settings,
        at_once: usize,
    ) -> Self {
        Self {
            client,
            leader,
            metrics,
            scope: settings.scope.clone(),
            pod_user: settings.pod_user,
            slots: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Does it, unless we are no longer the leader by the time its turn comes.
    pub(crate) async fn apply(&self, action: Action) -> Applied {
        // The semaphore is never closed; were it, writing without a slot is still right.
        let _slot = self.slots.acquire().await.ok();
        if !*self.leader.borrow() {
            return Applied {
                action,
                outcome: Outcome::Unknown,
            };
        }
        let outcome = match tokio::time::timeout(DEADLINE, self.write(&action)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown,
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
        if let (Action::Publish { key, uid, notices, .. }, Outcome::Done { .. }) = (&action, &outcome) {
            self.tell(key, uid, notices);
        }
        Applied { action, outcome }
    }

    async fn write(&self, action: &Action) -> Outcome {
        match action {
            Action::Create { blueprint, .. } => self.create(blueprint).await,
            Action::Delete { key, uid, grace, .. } => self.delete(key, uid, *grace).await,
            Action::Publish { key, rev, from, to, .. } => self.publish(key, *rev, from, to).await,
            Action::Release { key, rev, keep, .. } => self.release(key, *rev, keep).await,
        }
    }

    async fn create(&self, blueprint: &gastown_rules::Blueprint) -> Outcome {
        let object = match render::object(blueprint, self.pod_user) {
            Ok(object) => object,
            Err(e) => return Outcome::Denied { why: e.to_string() },
        };
        let key = blueprint.key();
        let api = api_of(&self.client, key);
        match api.create(&PostParams::default(), &object).await {
            Ok(made) => done(&made),
            Err(kube::Error::Api(s)) if s.code == 409 && s.reason == "AlreadyExists" => existing(&api, key).await,
            Err(kube::Error::Api(s)) if s.code == 404 => Outcome::Denied { why: s.message },
            Err(e) => refusal(e),
        }
    }

    async fn delete(&self, key: &Key, uid: &Uid, grace: Option<u32>) -> Outcome {
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(Preconditions {
                uid: Some(uid.0.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api_of(&self.client, key).delete(&key.name, &params).await {
            Ok(_) => Outcome::Done {
                rev: Rev::default(),
                uid: uid.clone(),
            },
            // Another incarnation stands there: ours is gone.
            Err(kube::Error::Api(s)) if s.code == 409 => Outcome::Gone,
            Err(e) => refusal(e),
        }
    }

    async fn publish(&self, key: &Key, rev: Rev, from: &Status, to: &Status) -> Outcome {
        let patch = match patch::status(from, to, rev) {
            Ok(patch) => patch,
            Err(e) => return Outcome::Denied { why: e.to_string() },
        };
        let params = PatchParams::default();
        match api_of(&self.client, key)
            .patch_status(&key.name, &params, &Patch::Merge(patch))
            .await
        {
            Ok(object) => done(&object),
            Err(e) => refusal(e),
        }
    }

    async fn release(&self, key: &Key, rev: Rev, keep: &[String]) -> Outcome {
        let patch = serde_json::json!({"metadata": {"resourceVersion": rev.0.to_string(), "finalizers": keep}});
        match api_of(&self.client, key)
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            Ok(object) => done(&object),
            Err(e) => refusal(e),
        }
    }

    /// Events are told after the write they belong to, and never hold anything up.
    fn tell(&self, key: &Key, uid: &Uid, notices: &[Notice]) {
        if !self.scope.tells_of(key) {
            return;
        }
        for notice in notices {
            let (client, event) = (self.client.clone(), events::event(key, uid, notice));
            tokio::spawn(async move {
                let api = Api::namespaced(client, event.metadata.namespace.as_deref().unwrap_or("default"));
                if let Err(e) = api.create(&PostParams::default(), &event).await {
                    tracing::debug!(error = %e, "an event was not accepted");
                }
            });
        }
    }
}

fn done(object: &DynamicObject) -> Outcome {
    Outcome::Done {
        rev: rev_of(object),
        uid: Uid(object.uid().unwrap_or_default()),
    }
}

/// Who holds the name we wanted.
async fn existing(api: &Api<DynamicObject>, key: &Key) -> Outcome {
    match api.get_metadata(&key.name).await {
        Ok(found) => Outcome::Exists {
            owner: found
                .metadata
                .owner_references
                .iter()
                .flatten()
                .find(|o| o.controller == Some(true))
                .map(|o| Uid(o.uid.clone())),
            uid: Uid(found.uid().unwrap_or_default()),
            rev: rev_of(&found),
        },
        Err(kube::Error::Api(s)) if s.code == 404 => Outcome::Later { seconds: 1 },
        Err(e) => refusal(e),
    }
}

/// What an error means to rules. Only what the server said itself counts as a refusal.
fn refusal(error: kube::Error) -> Outcome {
    match error {
        kube::Error::Api(s) => match s.code {
            404 => Outcome::Gone,
            409 => Outcome::Stale,
            429 | 500 | 503 | 504 => Outcome::Later {
                seconds: s
                    .details
                    .as_ref()
                    .map(|d| u64::from(d.retry_after_seconds))
                    .unwrap_or(1)
                    .max(1),
            },
            _ => Outcome::Denied { why: s.message },
        },
        kube::Error::SerdeError(e) => Outcome::Denied { why: e.to_string() },
        _ => Outcome::Unknown,
    }
}
