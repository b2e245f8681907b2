//! A cluster with Gas Town's kinds in it, and a shell before it.

use gastown_api::{BeadStore, Convoy, Polecat, Refinery, Rig, Witness};
use gastown_apiserver::{ApiServer, Identity, LogError, LogRequest, LogStream, Options, PodLogs};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ClusterResourceScope, NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Client, Config, Resource, ResourceExt};
use regex::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Names a cluster that is there for tests.
const REAL: &str = "REAL_KUBECONFIG";
/// Longest that one line may take: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where everything lies.
pub const NAMESPACE: &str = "gastown-system";

/// kubectl, as far as it calls the plugin.
const KUBECTL: &str = "#!/bin/sh\nshift\nexec kubectl-gt \"$@\"\n";

/// The real git, cut off from the world: no test depends on what is out there.
const GIT: &str = r#"#!/bin/sh
for word in "$@"; do
  case $word in
    https://* | git@*) echo "fatal: unable to access '$word': Could not resolve host" >&2; exit 128 ;;
  esac
done
PATH=${PATH#*:} exec git "$@"
"#;

pub struct Scene {
    pub client: Client,
    pub dir: TempDir,
    /// Whether the cluster is a real one.
    pub real: bool,
    kubeconfig: PathBuf,
    _stop: DropGuard,
    _alone: Option<OwnedMutexGuard<()>>,
}

/// One line and what it did.
pub struct Told {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

static ALONE: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);

impl Scene {
    /// With the six kinds and nothing else.
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let kubeconfig = dir.path().join("kubeconfig");
        let (client, real, alone) = match std::env::var_os(REAL) {
            Some(path) => {
                let alone = Arc::clone(&ALONE).lock_owned().await;
                std::fs::copy(&path, &kubeconfig).unwrap();
                let file = Kubeconfig::read_from(&path).unwrap();
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(file, &options).await.unwrap();
                (Client::try_from(config).unwrap(), true, Some(alone))
            }
            None => {
                let server = ApiServer::open(Options::default()).unwrap();
                server.set_logs(Arc::new(Prattle));
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
                let serving = server
                    .serve(address, Identity::create().unwrap(), stop.clone())
                    .await
                    .unwrap();
                // As a person's: the context names no namespace of Gas Town.
                let text = serving
                    .kubeconfig(NAMESPACE)
                    .replace(&format!("    namespace: {NAMESPACE}\n"), "");
                std::fs::write(&kubeconfig, text).unwrap();
                (server.client(NAMESPACE), false, None)
            }
        };
        let scene = Self {
            client,
            dir,
            real,
            kubeconfig,
            _stop: stop.drop_guard(),
            _alone: alone,
        };
        let bin = scene.dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for (name, script) in [("kubectl", KUBECTL), ("git", GIT)] {
            std::fs::write(bin.join(name), script).unwrap();
            std::fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        scene.install().await;
        scene
    }

    async fn install(&self) {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for crd in gastown_api::crds() {
            let patch = Patch::Merge(json!({"spec": crd.spec}));
            if crds.create(&PostParams::default(), &crd).await.is_err() {
                crds.patch(&crd.name_any(), &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            }
        }
        for name in [NAMESPACE, "gastown-workers"] {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            let _ = namespaces.create(&PostParams::default(), &namespace).await;
        }
        if self.real {
            self.established().await;
            self.clear().await;
        }
    }

    /// Waits until the kinds are served.
    async fn established(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let served = async || {
            let polecats: Api<Polecat> = Api::all(self.client.clone());
            polecats.list(&ListParams::default().limit(1)).await.is_ok()
        };
        while !served().await {
            assert!(tokio::time::Instant::now() < deadline, "the kinds are not served");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nothing of the scene before is left.
    async fn clear(&self) {
        self.empty_cluster::<Rig>().await;
        for namespace in [NAMESPACE, "gastown-workers"] {
            self.empty::<Polecat>(namespace).await;
            self.empty::<Convoy>(namespace).await;
            self.empty::<Witness>(namespace).await;
            self.empty::<Refinery>(namespace).await;
            self.empty::<BeadStore>(namespace).await;
            self.empty::<Pod>(namespace).await;
            self.empty::<Secret>(namespace).await;
        }
    }

    async fn empty<K>(&self, namespace: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        // Metadata alone: some scenes leave what cannot be read.
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.client.clone(), namespace);
        let now = DeleteParams::default().grace_period(0);
        api.delete_collection(&now, &ListParams::default()).await.unwrap();
    }

    async fn empty_cluster<K>(&self)
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .unwrap();
    }

    /// Puts an object there, with its status.
    pub async fn put(&self, object: Value) {
        match object["kind"].as_str().unwrap() {
            "Rig" => self.create::<Rig>(Api::all(self.client.clone()), object).await,
            "Polecat" => self.create::<Polecat>(self.api(&object), object).await,
            "Convoy" => self.create::<Convoy>(self.api(&object), object).await,
            "Witness" => self.create::<Witness>(self.api(&object), object).await,
            "Refinery" => self.create::<Refinery>(self.api(&object), object).await,
            "BeadStore" => self.create::<BeadStore>(self.api(&object), object).await,
            "Pod" => self.create::<Pod>(self.api(&object), object).await,
            "ConfigMap" => self.create::<ConfigMap>(self.api(&object), object).await,
            "Secret" => self.create::<Secret>(self.api(&object), object).await,
            other => panic!("no scene has a {other}"),
        }
    }

    /// The same for a polecat that our types cannot read.
    pub async fn put_strange(&self, object: Value) {
        let kind = ApiResource::erase::<Polecat>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &kind);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let status = object["status"].clone();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Takes a field out of a kind's spec, as an older definition has it.
    pub async fn forget(&self, kind: &str, field: &str) {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let ours = gastown_api::crds()
            .into_iter()
            .find(|c| c.spec.names.kind == kind)
            .unwrap();
        let mut held = crds.get(&ours.name_any()).await.unwrap();
        let schema = held.spec.versions[0]
            .schema
            .as_mut()
            .unwrap()
            .open_api_v3_schema
            .as_mut()
            .unwrap();
        let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
        assert!(spec.properties.as_mut().unwrap().remove(field).is_some());
        crds.replace(&ours.name_any(), &PostParams::default(), &held)
            .await
            .unwrap();
    }

    pub async fn edit_rig(&self, name: &str, patch: Value) {
        let rigs: Api<Rig> = Api::all(self.client.clone());
        rigs.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// An operator has just renewed its lease.
    pub async fn lead(&self) {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let now = jiff::Timestamp::now();
        let lease = json!({
            "metadata": {"name": "9a7b81dd.gastown.io"},
            "spec": {"holderIdentity": "operator-1", "renewTime": format!("{now:.6}"), "leaseDurationSeconds": 15},
        });
        api.create(&PostParams::default(), &serde_json::from_value(lease).unwrap())
            .await
            .unwrap();
    }

    /// A Secret as the server has it.
    pub async fn secret(&self, name: &str) -> Value {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        serde_json::to_value(api.get(name).await.unwrap()).unwrap()
    }

    fn api<K>(&self, object: &Value) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create<K>(&self, api: Api<K>, object: Value)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let status = object["status"].clone();
        let typed: K = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &typed).await.unwrap();
        if status.is_object() {
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
        }
    }

    /// Runs a line as a person's shell would.
    pub async fn run(&self, line: &str) -> Told {
        self.run_in(self.dir.path(), line).await
    }

    /// The same in a folder.
    pub async fn run_in(&self, folder: &Path, line: &str) -> Told {
        let program = Path::new(env!("CARGO_BIN_EXE_kubectl-gt"));
        let (own, target) = (self.dir.path().join("bin"), program.parent().unwrap());
        let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", own.display(), target.display());
        let child = tokio::process::Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("no end: {line}"))
            .unwrap();
        Told {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Lines and what they did, as one text that is the same each time.
    pub async fn tell(&self, lines: &[&str]) -> String {
        self.tell_in(self.dir.path(), lines).await
    }

    /// The same in a folder.
    pub async fn tell_in(&self, folder: &Path, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let told = self.run_in(folder, line).await;
            text.push_str(&format!("$ {line}\n{}", told.stdout));
            if !told.stderr.is_empty() {
                text.push_str(&indented(&told.stderr));
            }
            if told.code != 0 {
                text.push_str(&format!("[exit {}]\n", told.code));
            }
            text.push('\n');
        }
        steady(&text, self.dir.path())
    }
}

/// What went to stderr, told apart.
fn indented(text: &str) -> String {
    text.lines().map(|l| format!("! {l}\n")).collect()
}

/// Without what differs from run to run.
fn steady(text: &str, dir: &Path) -> String {
    let rules = [
        (r#"("?uid"?): ["']?[0-9a-f-]{36}["']?"#, "$1: [uid]"),
        (r#"("?id"?): ["']?[0-9a-f-]{36}["']?"#, "$1: [id]"),
        ("conversations/[0-9a-f-]{36}", "conversations/[uid]"),
        // Of what a server only rehearsed, some tell one.
        (r#"(?m)^ *"?resourceVersion"?: .*\n"#, ""),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]"),
        (r"(?m)(   )\d+[smhd]$", "$1[age]"),
        (r"(?m)^(Since:\s+)\d+[smhd]$", "$1[age]"),
        (r"\bcv-[0-9a-f]{4}\b", "cv-[id]"),
        (r"127\.0\.0\.1:\d+", "[server]"),
    ];
    let mut text = text.replace(&dir.display().to_string(), "[dir]");
    for (rule, with) in rules {
        text = Regex::new(rule).unwrap().replace_all(&text, with).into_owned();
    }
    text
}

/// Containers that say who they are.
struct Prattle;

impl PodLogs for Prattle {
    fn logs(&self, request: LogRequest) -> futures::future::BoxFuture<'static, Result<LogStream, LogError>> {
        use futures::{FutureExt, StreamExt};
        async move {
            if request.pod == "polecat-gone" {
                return Err(LogError::NotFound("pods \"polecat-gone\" not found".into()));
            }
            if request.previous && request.pod != "polecat-rictus" {
                return Err(LogError::BadRequest(format!(
                    "previous terminated container \"{}\" in pod \"{}\" not found",
                    request.container.as_deref().unwrap_or_default(),
                    request.pod
                )));
            }
            let mut lines = vec![
                format!(
                    "{} of {} says hello\n",
                    request.container.unwrap_or_default(),
                    request.pod
                ),
                "\u{1b}[31mred\u{1b}[0m and a bell\u{7}\n".to_owned(),
                "the end, without a newline".to_owned(),
            ];
            if request.pod == "polecat-dag-2-x" && lines[0].starts_with("courier") {
                lines.insert(1, "raw| {\"type\":\"system\"}\n".to_owned());
            }
            if request.pod == "polecat-spender" {
                lines.insert(1, "spent 1000 tokens read, 99 written, 0.0679 USD\n".to_owned());
            }
            if let Some(n) = request.tail_lines {
                lines.drain(..lines.len().saturating_sub(usize::try_from(n).unwrap_or(usize::MAX)));
            }
            let parts = lines.into_iter().map(|l| Ok(l.into_bytes().into()));
            Ok(futures::stream::iter(parts).boxed())
        }
        .boxed()
    }
}
