//! Secrets and ConfigMaps as containers use them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
#[expect(
    clippy::disallowed_types,
    reason = "a node hands a pod the Secrets it names; the wall keeps them from the operator"
)]
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// Why something that a pod names cannot be given to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{kind} {name} not found")]
    Missing { kind: &'static str, name: String },
    #[error("{kind} {name} has no key {key}")]
    MissingKey {
        kind: &'static str,
        name: String,
        key: String,
    },
    #[error("cannot read {kind} {name}: {source}")]
    Api {
        kind: &'static str,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("{0} is not supported by this node")]
    Unsupported(String),
    #[error("volume {volume}: {why}")]
    Refused { volume: String, why: String },
    #[error("volume {volume}: {source}")]
    Disk { volume: String, source: std::io::Error },
}

/// Reads of one namespace. Values are never logged.
#[derive(Clone)]
pub(crate) struct Sources {
    client: Client,
    namespace: String,
}

impl Sources {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// All entries of a ConfigMap; empty where it is missing and `optional`.
    pub(crate) async fn config_map(
        &self,
        name: &str,
        optional: bool,
    ) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await;
        let Some(map) = present("ConfigMap", name, optional, found)? else {
            return Ok(BTreeMap::new());
        };
        let text = map.data.into_iter().flatten();
        let binary = map.binary_data.into_iter().flatten();
        Ok(text
            .map(|(k, v)| (k, v.into_bytes()))
            .chain(binary.map(|(k, v)| (k, v.0)))
            .collect())
    }

    /// All entries of a Secret; empty where it is missing and `optional`.
    pub(crate) async fn secret(&self, name: &str, optional: bool) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
        #[expect(clippy::disallowed_types, reason = "see the import")]
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get_opt(name).await;
        let Some(secret) = present("Secret", name, optional, found)? else {
            return Ok(BTreeMap::new());
        };
        let entries = secret.data.into_iter().flatten();
        Ok(entries.map(|(k, v)| (k, v.0)).collect())
    }
}

fn present<K>(
    kind: &'static str,
    name: &str,
    optional: bool,
    found: Result<Option<K>, kube::Error>,
) -> Result<Option<K>, SourceError> {
    match found {
        Ok(None) if !optional => Err(SourceError::Missing {
            kind,
            name: name.to_owned(),
        }),
        Ok(found) => Ok(found),
        Err(source) => Err(SourceError::Api {
            kind,
            name: name.to_owned(),
            source: Box::new(source),
        }),
    }
}
