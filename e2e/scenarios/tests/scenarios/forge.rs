//! Where the repositories are: a real `git http-backend` with an account of its own; unless pods
//! reach it on loopback, behind TLS with an authority of its own.

use crate::backend::{Backend, SYSTEM};
use gastown_testkit::remotes::{Access, Authority, HttpGit, HttpPlan};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Name of the Secret with the account.
pub(crate) const SECRET: &str = "e2e-git";
/// Name of the ConfigMap with the authority.
pub(crate) const AUTHORITY: &str = "e2e-ca";
const USER: &str = "town";
const PASSWORD: &str = "thunderdome";

/// The server, and the folder of its repositories.
pub(crate) struct Forge {
    folder: TempDir,
    server: HttpGit,
    /// None where nothing leaves this machine: most of what git does with https is reading all authorities it trusts.
    authority: Option<Authority>,
}

impl Forge {
    /// Listens where pods of that backend reach it.
    pub(crate) fn open(backend: &dyn Backend) -> Self {
        let folder = TempDir::with_prefix("e2e-forge-").unwrap();
        let host = backend.host();
        let authority = (!host.is_loopback()).then(Authority::new);
        let plan = |plan: HttpPlan| plan.account(USER, PASSWORD, Access::Write);
        let server = serve(folder.path(), authority.as_ref(), host, plan);
        Self {
            folder,
            server,
            authority,
        }
    }

    /// Another server of the same repositories and authority, with accounts of its own.
    pub(crate) fn beside(&self, host: IpAddr, with: impl FnOnce(HttpPlan) -> HttpPlan) -> HttpGit {
        serve(self.folder.path(), self.authority.as_ref(), host, with)
    }

    /// Where a repository lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where all of them lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How pods reach it.
    pub(crate) fn url(&self, name: &str) -> String {
        self.server.url(name)
    }

    /// What a rig says so that its pods are let in.
    pub(crate) fn rig_spec(&self) -> Value {
        let mut spec = json!({ "gitSecretRef": { "name": SECRET } });
        if self.authority.is_some() {
            spec["podTemplate"] = json!({ "caBundleConfigMapRef": { "name": AUTHORITY } });
        }
        spec
    }

    /// Puts account and authority into a scene's namespace, and into the operator's, where the queue's pods are.
    pub(crate) async fn furnish(&self, client: &Client, namespace: &str) {
        let secret = account(SECRET, USER, PASSWORD);
        let authority = self.authority.as_ref().map(|a| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": AUTHORITY },
                "data": { "ca.crt": a.pem() },
            })
        });
        put::<Secret>(client, namespace, SECRET, &secret).await;
        if let Some(authority) = &authority {
            put::<ConfigMap>(client, namespace, AUTHORITY, authority).await;
        }
    }
}

/// A Secret with an account of a server.
pub(crate) fn account(name: &str, user: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
        "type": "kubernetes.io/basic-auth", "stringData": { "username": user, "password": password },
    })
}

fn serve(
    folder: &Path,
    authority: Option<&Authority>,
    host: IpAddr,
    with: impl FnOnce(HttpPlan) -> HttpPlan,
) -> HttpGit {
    let plan = HttpPlan::of(folder).at((host, 0).into()).named(&host.to_string());
    match authority {
        Some(authority) => with(plan).start_tls(authority),
        None => with(plan).start(),
    }
}

/// Creates it in a scene's namespace and in the operator's, or makes the one that stands like it.
pub(crate) async fn put<K>(client: &Client, namespace: &str, name: &str, object: &Value)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    for namespace in [namespace, SYSTEM] {
        put_in(&Api::<K>::namespaced(client.clone(), namespace), name, object).await;
    }
}

async fn put_in<K>(api: &Api<K>, name: &str, object: &Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let whole: K = serde_json::from_value(object.clone()).unwrap();
    match api.create(&kube::api::PostParams::default(), &whole).await {
        Ok(_) => {}
        Err(kube::Error::Api(s)) if s.code == 409 => {
            api.patch(name, &PatchParams::default(), &Patch::Merge(object))
                .await
                .unwrap();
        }
        Err(e) => panic!("{name}: {e}"),
    }
}
