//! validate: whether an API server would take the objects of templates, manifests and documents, with nothing made.
//!
//! ```text
//! files ─manifest─▶ objects ─create, dryRun=All, fieldValidation=Strict─▶ an API server in this process, or a cluster's
//! ```

mod manifest;

use clap::Args;
use gastown_apiserver::{ApiServer, Options};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind, Request};
use kube::discovery::{Scope, oneshot};
use kube::{Api, Client, Resource};
use kubectl_gt::{Access, DEFAULT_NAMESPACE, Failure, Globals, exit, print_one};
use manifest::{Found, Object, Part};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Arguments of validate.
#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// YAML files; Markdown files, whose manifests are taken; folders of either.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask the cluster of the kubeconfig, not the API server in this program.
    #[arg(long)]
    on_cluster: bool,
}

/// What an API server says of one object.
#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    /// Line where it begins.
    line: usize,
    kind: String,
    name: String,
    valid: bool,
    /// Why not; or why nobody judged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Placeholders that are still in it, and what they were judged with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    placeholders: Vec<String>,
}

pub(crate) async fn run(args: ValidateArgs, globals: &Globals, access: &Access) -> Result<(), Failure> {
    let mut parts = Vec::new();
    for file in &args.files {
        parts.extend(manifest::read(file)?);
    }
    let judge = match args.on_cluster {
        true => {
            let cluster = access.connect(globals).await?;
            Judge {
                client: cluster.client,
                namespace: cluster.namespace,
                knows_all: true,
            }
        }
        false => Judge::here(&parts).await?,
    };
    let mut verdicts = Vec::new();
    for part in parts {
        verdicts.push(judge.hear(part).await?);
    }
    let refused = verdicts.iter().filter(|v| !v.valid).count();
    let block: Vec<String> = verdicts.iter().map(told).collect();
    print_one(globals.output, "manifests", "validated", &verdicts, &block.join("\n"))?;
    match (refused, verdicts.len()) {
        (_, 0) => Err(Failure::new(exit::NOT_FOUND, "there is no manifest in what was named")),
        (0, _) => Ok(()),
        (n, all) => Err(Failure::new(exit::FAILED, format!("{n} of {all} would not be taken"))),
    }
}

fn told(v: &Verdict) -> String {
    let mark = if v.valid { "ok" } else { "NO" };
    let mut text = format!("{mark}  {}:{}  {} {}", v.file, v.line, v.kind, v.name);
    if let Some(message) = &v.message {
        text.push_str(&format!("\n    {}", message.replace('\n', "\n    ")));
    }
    if !v.placeholders.is_empty() {
        text.push_str(&format!("\n    to be replaced: {}", v.placeholders.join(", ")));
    }
    text
}

/// Whoever is asked.
struct Judge {
    client: Client,
    namespace: String,
    /// A kind it does not serve is no kind at all.
    knows_all: bool,
}

impl Judge {
    /// An API server in this process, with our kinds and every namespace that is named.
    async fn here(parts: &[Part]) -> Result<Self, Failure> {
        let server = ApiServer::open(Options::default())
            .map_err(|e| Failure::new(exit::FAILED, format!("no API server in this process: {e}")))?;
        let client = server.client(DEFAULT_NAMESPACE);
        let definitions = Api::all(client.clone());
        for crd in gastown_api::crds() {
            definitions.create(&PostParams::default(), &crd).await?;
        }
        let named = parts.iter().filter_map(|p| p.found.as_ref().ok()?.namespace());
        let namespaces: BTreeSet<&str> = named.chain([DEFAULT_NAMESPACE]).collect();
        let api: Api<Namespace> = Api::all(client.clone());
        for name in namespaces {
            let namespace = Namespace {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            // One that stands already, or whose name is none, is found out with the object.
            let _ = api.create(&PostParams::default(), &namespace).await;
        }
        Ok(Self {
            client,
            namespace: DEFAULT_NAMESPACE.to_owned(),
            knows_all: false,
        })
    }

    async fn hear(&self, part: Part) -> Result<Verdict, Failure> {
        let (kind, name, message) = match part.found {
            Found::Err(why) => ("?".to_owned(), "?".to_owned(), Some((false, why))),
            Found::Ok(object) => {
                let said = self.judge(&object).await?;
                (object.kind, object.name, said)
            }
        };
        Ok(Verdict {
            file: part.file,
            line: part.line,
            kind,
            name,
            valid: message.as_ref().is_none_or(|(valid, _)| *valid),
            message: message.map(|(_, text)| text),
            placeholders: part.placeholders,
        })
    }

    /// None: it would be taken. Else whether that is no fault of the object, and the words.
    async fn judge(&self, object: &Object) -> Result<Option<(bool, String)>, Failure> {
        let Some((kind, scope)) = self.served(object).await? else {
            let version = &object.api_version;
            return Ok(Some(match self.knows_all {
                true => (false, format!("the cluster has no kind {} in {version}", object.kind)),
                false => (
                    true,
                    format!(
                        "not judged: {} in {version} is no kind that one machine serves; see --on-cluster",
                        object.kind
                    ),
                ),
            }));
        };
        let namespace = object.namespace().unwrap_or(&self.namespace);
        let namespace = (scope == Scope::Namespaced).then_some(namespace);
        let path = DynamicObject::url_path(&kind, namespace);
        let dry = PostParams {
            dry_run: true,
            field_manager: Some("gastown-validate".to_owned()),
        };
        let body = serde_json::to_vec(&object.value).map_err(|e| Failure::new(exit::FAILED, e.to_string()))?;
        let failed = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, e.to_string());
        let mut request = Request::new(path).create(&dry, body).map_err(|e| failed(&e))?;
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().map_err(|e| failed(&e))?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(None),
            // It was judged before it was looked up.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(None),
            Err(kube::Error::Api(status)) => Ok(Some((false, status.message.clone()))),
            Err(other) => Err(other.into()),
        }
    }

    /// The kind as the server serves it.
    async fn served(&self, object: &Object) -> Result<Option<(ApiResource, Scope)>, Failure> {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        let wanted = GroupVersionKind::gvk(group, version, &object.kind);
        match oneshot::pinned_kind(&self.client, &wanted).await {
            Ok((kind, capabilities)) => Ok(Some((kind, capabilities.scope))),
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}
