//! A watch from the beginning, as a channel: the naive one, for whoever is no operator.

use futures::{AsyncBufReadExt, StreamExt};
use kube::Client;
use kube::api::WatchParams;
use kube::core::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::mpsc;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there, or changed.
    Seen,
    /// It is gone.
    Gone,
}

/// Has a revision, from which its watch goes on where the server ended it: a slow watcher is cut off, and what was deleted
/// meanwhile would never be told by a watch from the beginning.
pub trait Revised {
    /// As the server spells it.
    fn revision(&self) -> &str;
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Line<T> {
    r#type: String,
    object: T,
}

#[derive(Deserialize)]
struct Revision {
    metadata: RevisionMeta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RevisionMeta {
    resource_version: String,
}

/// Watches a collection from its beginning, for as long as somebody listens. What cannot be read is passed over.
pub fn follow<T>(client: Client, path: String, labels: Option<String>) -> mpsc::UnboundedReceiver<(Change, T)>
where
    T: DeserializeOwned + Revised + Send + 'static,
{
    let (out, all) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // 0: whatever the server has in memory, told as if it had just been added.
        let mut rev = "0".to_owned();
        while !out.is_closed() {
            if let Err(e) = once(&client, &path, labels.as_deref(), &mut rev, &out).await {
                tracing::debug!(path, why = %e, "a watch broke");
                rev = "0".to_owned();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    all
}

async fn once<T: DeserializeOwned + Revised>(
    client: &Client,
    path: &str,
    labels: Option<&str>,
    rev: &mut String,
    out: &mpsc::UnboundedSender<(Change, T)>,
) -> anyhow::Result<()> {
    let params = WatchParams {
        label_selector: labels.map(str::to_owned),
        ..WatchParams::default()
    };
    let stream = client.request_stream(Request::new(path).watch(&params, rev)?).await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next().await {
        let line = line?;
        let Ok(event) = serde_json::from_str::<Line<T>>(&line) else {
            if line.starts_with("{\"type\":\"ERROR\"") {
                anyhow::bail!("{line}");
            }
            continue;
        };
        let change = match event.r#type.as_str() {
            "ADDED" | "MODIFIED" => Change::Seen,
            "DELETED" => Change::Gone,
            "BOOKMARK" => {
                if let Ok(read) = serde_json::from_str::<Line<Revision>>(&line) {
                    *rev = read.object.metadata.resource_version;
                }
                continue;
            }
            _ => anyhow::bail!("{line}"),
        };
        event.object.revision().clone_into(rev);
        if out.send((change, event.object)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
