//! The control plane under measurement: our kinds, two users with the operator's rights, and an audit log.

use anyhow::Context;
use gastown_bench::audit::{self, Log};
use gastown_bench::client::client;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The operator's namespace, and everybody's.
pub(crate) const TOWN: &str = "gastown-system";

/// A control plane that goes away with its owner.
pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    pub(crate) admin: Client,
    top: PathBuf,
    keep: std::cell::Cell<bool>,
}

impl Cluster {
    /// Starts it and installs what the operator needs.
    pub(crate) async fn begin(top: &Path) -> anyhow::Result<Self> {
        let top = top.canonicalize()?;
        let dir = std::env::temp_dir().join(format!("gastown-bench-{}", std::process::id()));
        let status = Command::new(top.join("e2e/cluster/up.sh"))
            .args(["--audit", "--user", "operator", "--user", "floor"])
            .arg(&dir)
            .stdout(std::process::Stdio::null())
            .status()
            .context("e2e/cluster/up.sh")?;
        anyhow::ensure!(status.success(), "no control plane: see the lines above");
        let admin = client(&dir.join("kubeconfig"), "bench").await?;
        let cluster = Self {
            dir,
            admin,
            top,
            keep: std::cell::Cell::new(false),
        };
        cluster.without_scheduler()?;
        cluster.install().await?;
        Ok(cluster)
    }

    /// Pods run unscheduled here: a scheduler would only write on each that no node fits.
    fn without_scheduler(&self) -> anyhow::Result<()> {
        let pids = std::fs::read_to_string(self.dir.join("pids"))?;
        let scheduler = pids.lines().find_map(|l| l.strip_prefix("kube-scheduler "));
        if let Some(pid) = scheduler {
            Command::new("kill").arg(pid).status()?;
        }
        Ok(())
    }

    async fn install(&self) -> anyhow::Result<()> {
        let crds = Api::all(self.admin.clone());
        for crd in gastown_api::crds() {
            crds.create(&PostParams::default(), &crd).await?;
        }
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        let town = serde_json::from_value(json!({"metadata": {"name": TOWN}}))?;
        namespaces.create(&PostParams::default(), &town).await?;
        // The rights that are installed, in one role: the floor has the operator's.
        let documents = audit::roles(&self.top.join("deploy/install.yaml"))?;
        let roles = audit::bound(&documents, "gastown-operator");
        let rules: Vec<&audit::Rule> = roles.iter().flat_map(|r| &r.rules).collect();
        let role = json!({"metadata": {"name": "gastown-operator"}, "rules": rules});
        let role: ClusterRole = serde_json::from_value(role)?;
        Api::all(self.admin.clone())
            .create(&PostParams::default(), &role)
            .await?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "gastown-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gastown-operator"},
            "subjects": [{"kind": "User", "name": "operator", "apiGroup": "rbac.authorization.k8s.io"},
                         {"kind": "User", "name": "floor", "apiGroup": "rbac.authorization.k8s.io"}],
        }))?;
        Api::all(self.admin.clone())
            .create(&PostParams::default(), &binding)
            .await?;
        // A CRD is served a moment after it is made.
        for _ in 0..600 {
            let rigs: Api<gastown_api::Rig> = Api::all(self.admin.clone());
            let stores: Api<gastown_api::BeadStore> = Api::all(self.admin.clone());
            let none = kube::api::ListParams::default().limit(1);
            if rigs.list(&none).await.is_ok() && stores.list(&none).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the kinds are not served")
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir.join(format!("{user}.kubeconfig"))
    }

    pub(crate) fn audit(&self) -> Log {
        Log::open(&self.dir.join("audit.log"))
    }

    /// Leaves its folder for whoever looks for what failed.
    pub(crate) fn keep(&self) {
        self.keep.set(true);
        eprintln!("the control plane's logs stay in {}", self.dir.display());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut down = Command::new(self.top.join("e2e/cluster/down.sh"));
        if self.keep.get() {
            down.arg("--keep");
        }
        // Nothing better can be done about a failure here than the line it prints.
        let _ = down.arg(&self.dir).status();
    }
}
