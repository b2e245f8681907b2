//! The floor: the least anybody could do for a polecat. The same watches as the operator, a pod and one status patch
//! each, no decision, no cap, no event, no second thought.

use crate::follow::{Change, Revised, follow};
use crate::pod::Meta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Writes under way at once: as many as the operator has.
const AT_ONCE: usize = 32;

#[derive(Deserialize)]
struct Named {
    metadata: Meta,
}

impl Revised for Named {
    fn revision(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// Runs for ever over polecats, with that pod as the pattern of all.
///
/// # Errors
/// Never on its own account.
pub async fn run(client: Client, pattern: Value) -> anyhow::Result<()> {
    let paths = [
        gastown_api::Rig::url_path(&(), None),
        gastown_api::Convoy::url_path(&(), None),
        gastown_api::Witness::url_path(&(), None),
        gastown_api::Refinery::url_path(&(), None),
        gastown_api::BeadStore::url_path(&(), None),
    ];
    let ours = format!(
        "{}={}",
        gastown_api::labels::MANAGED_BY,
        gastown_api::labels::MANAGED_BY_VALUE
    );
    let pods = k8s_openapi::api::core::v1::Pod::url_path(&(), None);
    let mut others: Vec<_> = paths
        .into_iter()
        .map(|path| follow::<Named>(client.clone(), path, None))
        .chain([follow::<Named>(client.clone(), pods, Some(ours))])
        .collect();
    for mut other in others.drain(..) {
        tokio::spawn(async move { while other.recv().await.is_some() {} });
    }
    let (slots, pattern) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(pattern));
    let mut polecats = follow::<Named>(client.clone(), gastown_api::Polecat::url_path(&(), None), None);
    let mut known = HashSet::new();
    while let Some((change, polecat)) = polecats.recv().await {
        let meta = polecat.metadata;
        if change == Change::Gone {
            known.remove(&meta.uid);
        } else if known.insert(meta.uid.clone()) {
            let (client, slots, pattern) = (client.clone(), slots.clone(), pattern.clone());
            tokio::spawn(async move {
                let _slot = slots.acquire().await.ok();
                if let Err(e) = serve(&client, &meta, &pattern).await {
                    tracing::warn!(polecat = meta.name, why = %e, "the floor could not serve it");
                }
            });
        }
    }
    Ok(())
}

async fn serve(client: &Client, polecat: &Meta, pattern: &Value) -> anyhow::Result<()> {
    let mut pod = pattern.clone();
    if let Some(meta) = pod.get_mut("metadata") {
        *meta = json!({
            "name": format!("polecat-{}", polecat.name), "namespace": polecat.namespace,
            "labels": meta.get("labels"), "annotations": meta.get("annotations"),
            "ownerReferences": [{"apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "controller": true,
                "name": polecat.name, "uid": polecat.uid, "blockOwnerDeletion": false}],
        });
        if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
            labels.insert(gastown_api::labels::POLECAT.to_owned(), polecat.name.clone().into());
        }
    }
    let pods = k8s_openapi::api::core::v1::Pod::url_path(&(), Some(&polecat.namespace));
    let create = Request::new(pods).create(&PostParams::default(), serde_json::to_vec(&pod)?)?;
    client.request_text(create).await?;
    let polecats = gastown_api::Polecat::url_path(&(), Some(&polecat.namespace));
    let status =
        json!({"status": {"phase": "Working", "podName": format!("polecat-{}", polecat.name), "podActive": true}});
    let patch = Patch::Merge(status);
    let patch = Request::new(polecats).patch_subresource("status", &polecat.name, &PatchParams::default(), &patch)?;
    client.request_text(patch).await?;
    Ok(())
}
