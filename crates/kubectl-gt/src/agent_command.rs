//! `--agent-command`: a program for one task, brought along where it is a local file.

use crate::{Cluster, DryRun, Failure, exit};
use gastown_api::{AgentConfig, labels};
use k8s_openapi::api::core::v1::{ConfigMap, LocalObjectReference};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::collections::BTreeMap;

/// Where the operator mounts the agent's configuration.
const MOUNT: &str = "/gastown/agent-config";
/// A ConfigMap holds a MiB with its names.
const LARGEST: u64 = 900 * 1024;

/// The agent's set-up for that command. A local file is uploaded under a name made of its content, so that what runs is
/// what is here now, committed or not.
pub(crate) async fn configured(cluster: &Cluster, command: &str, dry: DryRun) -> Result<AgentConfig, Failure> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let Some(first) = words.first() else {
        return Err(Failure::new(exit::USAGE, "--agent-command is empty"));
    };
    let plain = !command.contains(['"', '\'', '$', '`', ';', '|', '&', '<', '>', '\\']);
    let local = std::path::Path::new(first);
    if !plain || !local.is_file() {
        let words = if plain {
            words.iter().map(|w| (*w).to_owned()).collect()
        } else {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()]
        };
        return Ok(AgentConfig {
            command: words,
            ..AgentConfig::default()
        });
    }
    let wrong = |why: String| Failure::new(exit::USAGE, format!("{first} cannot be brought along: {why}"));
    if std::fs::metadata(local).map_err(|e| wrong(e.to_string()))?.len() > LARGEST {
        return Err(wrong(
            "it is larger than 900 KiB; put it into the agent's image".to_owned(),
        ));
    }
    let text = std::fs::read_to_string(local).map_err(|e| wrong(format!("it is not a text file ({e})")))?;
    let file = local
        .file_name()
        .map_or_else(|| "agent".into(), |n| n.to_string_lossy().into_owned());
    let name = format!("agent-command-{}", gastown_api::names::short_hash(&[&file, &text]));
    if dry.is_real() {
        upload(cluster, &name, &file, text).await?;
    }
    let mut command = vec![format!("{MOUNT}/{file}")];
    command.extend(words.iter().skip(1).map(|w| (*w).to_owned()));
    Ok(AgentConfig {
        command,
        config_map_ref: Some(LocalObjectReference { name }),
        ..AgentConfig::default()
    })
}

async fn upload(cluster: &Cluster, name: &str, file: &str, text: String) -> Result<(), Failure> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                labels::MANAGED_BY.to_owned(),
                "kubectl-gt".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(file.to_owned(), text)])),
        ..ConfigMap::default()
    };
    match api.create(&PostParams::default(), &map).await {
        Ok(_) => Ok(()),
        // Same name, same content.
        Err(kube::Error::Api(s)) if s.code == 409 => Ok(()),
        Err(e) => Err(e.into()),
    }
}
