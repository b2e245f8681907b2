//! Writes a pod's status: one patch in flight, the newest state next, nothing where nothing changed.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::logs::PodName;

/// The writing end of a pod's status.
pub(crate) struct Reporter {
    wanted: watch::Sender<Value>,
    written: watch::Receiver<Value>,
    frozen: CancellationToken,
    _stop: DropGuard,
}

impl Reporter {
    /// `before` is the status as the API server has it.
    pub(crate) fn new(client: Client, pod: &PodName, before: &PodStatus) -> Self {
        let before = serde_json::to_value(before).unwrap_or_default();
        let (wanted, wanted_rx) = watch::channel(before.clone());
        let (written_tx, written) = watch::channel(before);
        let frozen = CancellationToken::new();
        let worker = Worker {
            api: Api::namespaced(client, &pod.namespace),
            pod: pod.clone(),
            wanted: wanted_rx,
            written: written_tx,
        };
        let stop = frozen.clone();
        tokio::spawn(async move {
            let _ = stop.run_until_cancelled(worker.run()).await;
        });
        Self {
            wanted,
            written,
            _stop: frozen.clone().drop_guard(),
            frozen,
        }
    }

    /// Reports this status, unless it is what was reported last.
    pub(crate) fn report(&self, status: &PodStatus) {
        let status = serde_json::to_value(status).unwrap_or_default();
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != status;
            if changed {
                *wanted = status;
            }
            changed
        });
    }

    /// Waits until the API server has the last report, or will never have it.
    pub(crate) async fn flush(&mut self) {
        let wanted = self.wanted.borrow().clone();
        // An error means that the worker has ended: the pod is gone.
        let _ = self.written.wait_for(|written| *written == wanted).await;
    }

    /// Reports nothing any more; a patch in flight is dropped.
    pub(crate) fn freeze(&self) {
        self.frozen.cancel();
    }
}

struct Worker {
    api: Api<Pod>,
    pod: PodName,
    wanted: watch::Receiver<Value>,
    written: watch::Sender<Value>,
}

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

impl Worker {
    async fn run(mut self) {
        let mut delay = RETRY_FIRST;
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            if wanted == *self.written.borrow() {
                if self.wanted.changed().await.is_err() {
                    return;
                }
                continue;
            }
            match self.patch(&wanted).await {
                Ok(()) => {
                    delay = RETRY_FIRST;
                    self.written.send_replace(wanted);
                }
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    // Gone, or another pod by now: a conflict can only be the UID's.
                    tracing::debug!(pod = self.pod.name, %status, "status not taken");
                    return;
                }
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
                    // It would be refused again; the next change may not be.
                    tracing::error!(pod = self.pod.name, %status, "status refused");
                    self.written.send_replace(wanted);
                }
                Err(error) => {
                    tracing::warn!(pod = self.pod.name, %error, "status not written, again soon");
                    tokio::time::sleep(delay).await;
                    delay = RETRY_MOST.min(delay * 2);
                }
            }
        }
    }

    async fn patch(&self, wanted: &Value) -> Result<(), kube::Error> {
        let status = difference(&self.written.borrow(), wanted);
        let body = json!({
            "metadata": { "uid": self.pod.uid },
            "status": status,
        });
        self.api
            .patch_status(&self.pod.name, &PatchParams::default(), &Patch::Merge(body))
            .await
            .map(|_| ())
    }
}

/// The merge patch of one level: what changed, and null for what is gone.
fn difference(before: &Value, after: &Value) -> Value {
    let empty = Map::new();
    let (before, after) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    let mut patch = Map::new();
    for (key, value) in after {
        if before.get(key) != Some(value) {
            patch.insert(key.clone(), value.clone());
        }
    }
    for key in before.keys().filter(|k| !after.contains_key(*k)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_only_what_changed() {
        let before = json!({"phase": "Running", "reason": "x", "podIP": "1"});
        let after = json!({"phase": "Failed", "podIP": "1"});
        assert_eq!(difference(&before, &after), json!({"phase": "Failed", "reason": null}));
    }
}
