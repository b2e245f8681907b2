//! An API server and a node in one process, and words to ask them with.

use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use gastown_apiserver::ApiServer;
use gastown_node::{Isolation, LogQuery, Node, NodeLogs, NodeOptions};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes this long; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Town {
    _server: ApiServer,
    pub(crate) client: Client,
    pub(crate) node: Option<Node>,
    pub(crate) dir: TempDir,
    pub(crate) isolation: Isolation,
}

/// The isolation to test, or `None` with a loud word where the system forbids it.
pub(crate) async fn available(isolation: Isolation) -> bool {
    if isolation == Isolation::Unconfined {
        return true;
    }
    match gastown_node::probe_isolation().await {
        Ok(()) => true,
        Err(why) => {
            eprintln!("SKIPPED, NOT PASSED: {why}");
            false
        }
    }
}

impl Town {
    pub(crate) async fn start(isolation: Isolation) -> Self {
        let server = ApiServer::open(gastown_apiserver::Options::default()).unwrap();
        let client = server.client("default");
        let dir = tempfile::tempdir().unwrap();
        let mut town = Self {
            _server: server,
            client,
            node: None,
            dir,
            isolation,
        };
        std::fs::create_dir_all(town.shared()).unwrap();
        std::fs::create_dir_all(town.secret()).unwrap();
        town.boot().await;
        town
    }

    /// Starts a node, the first or the next.
    pub(crate) async fn boot(&mut self) {
        let options = NodeOptions {
            name: "here".to_owned(),
            data: self.data(),
            isolation: self.isolation,
            path_prefix: Vec::new(),
            host_paths: vec![self.shared()],
            hide: vec![self.secret()],
            max_concurrent_starts: 4,
        };
        self.node = Some(Node::start(self.client.clone(), options).await.unwrap());
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A folder of the host that pods may mount.
    pub(crate) fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// A named pipe in the folder that pods may mount.
    pub(crate) fn pipe(&self) -> Pipe {
        let path = self.shared().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        Pipe::read(path)
    }

    /// A folder that they may not see.
    pub(crate) fn secret(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    pub(crate) fn logs(&self) -> NodeLogs {
        self.node.as_ref().unwrap().logs()
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates an object of any built-in kind.
    pub(crate) async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + serde::Serialize,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), "default");
        let object: K = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// Creates a pod from its spec.
    pub(crate) async fn pod(&self, name: &str, spec: Value) -> Pod {
        let object = json!({
            "metadata": { "name": name, "annotations": { "say": "one" } },
            "spec": spec,
        });
        let pod: Pod = serde_json::from_value(object).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap()
    }

    /// Waits until the pod is as wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let condition = |pod: Option<&Pod>| pod.is_some_and(&wanted);
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, condition));
        match waited.await {
            Ok(pod) => pod.unwrap().unwrap(),
            Err(_) => {
                let now = self.pods().get_opt(name).await.unwrap();
                panic!("{name} never came so far: {:#?}", now.map(|p| p.status));
            }
        }
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: &str) -> Pod {
        self.until(name, |pod| phase_of(pod) == phase).await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let gone = await_condition(self.pods(), name, |pod: Option<&Pod>| pod.is_none());
        let waited = tokio::time::timeout(PATIENCE, gone).await;
        waited.expect("the pod never went").unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn log(&self, pod: &str, container: &str) -> String {
        let query = LogQuery {
            namespace: "default".into(),
            pod: pod.into(),
            container: Some(container.into()),
            follow: true,
            ..LogQuery::default()
        };
        read(&self.logs(), query).await
    }
}

pub(crate) async fn read(logs: &NodeLogs, query: LogQuery) -> String {
    let stream = logs.open(query).await.unwrap();
    let chunks: Vec<_> = tokio::time::timeout(PATIENCE, stream.try_collect())
        .await
        .expect("the log never ended")
        .unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

/// A named pipe that containers hold open.
pub(crate) struct Pipe {
    first: tokio::sync::oneshot::Receiver<[u8; 3]>,
    closed: tokio::sync::oneshot::Receiver<()>,
}

impl Pipe {
    /// Reads in a thread of its own: opening waits for a writer, and the end for the last of them.
    fn read(path: PathBuf) -> Self {
        let (tell_first, first) = tokio::sync::oneshot::channel();
        let (tell_closed, closed) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut pipe = std::fs::File::open(path).unwrap();
            let mut word = [0; 3];
            std::io::Read::read_exact(&mut pipe, &mut word).unwrap();
            let _ = tell_first.send(word);
            std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
            let _ = tell_closed.send(());
        });
        Self { first, closed }
    }

    /// Waits for the first word, `up`.
    pub(crate) async fn until_up(&mut self) {
        let word = tokio::time::timeout(PATIENCE, &mut self.first).await;
        assert_eq!(word.expect("nobody wrote").unwrap(), *b"up\n");
    }

    /// Waits until no process has it open any more.
    pub(crate) async fn until_closed(self) {
        let closed = tokio::time::timeout(PATIENCE, self.closed).await;
        closed.expect("somebody still has it open").unwrap();
    }
}

/// Waits for something on disk. Files tell nobody when they change, so this looks again.
pub(crate) async fn until_file(path: &std::path::Path, wanted: impl Fn(&str) -> bool) {
    let look = async {
        while !std::fs::read_to_string(path).is_ok_and(|text| wanted(&text)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, look).await;
    waited.unwrap_or_else(|_| panic!("{} never came so far", path.display()));
}

pub(crate) fn phase_of(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> &'a ContainerStatus {
    let status = pod.status.as_ref().unwrap();
    status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten()
        .find(|c| c.name == name)
        .unwrap()
}

pub(crate) fn ended<'a>(pod: &'a Pod, name: &str) -> &'a ContainerStateTerminated {
    let state = container(pod, name).state.as_ref();
    state.and_then(|s| s.terminated.as_ref()).unwrap()
}

pub(crate) fn waiting(pod: &Pod, name: &str) -> Option<String> {
    let status = pod.status.as_ref()?;
    let found = status.container_statuses.iter().flatten().find(|c| c.name == name)?;
    found.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.status
        .as_ref()
        .and_then(|s| s.conditions.as_ref())
        .is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// A container that runs a script of the shell.
pub(crate) fn sh(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "none", "command": ["/bin/sh", "-ec", script] })
}

/// The same, with more fields.
pub(crate) fn sh_with(name: &str, script: &str, more: Value) -> Value {
    let mut container = sh(name, script);
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    container
}
