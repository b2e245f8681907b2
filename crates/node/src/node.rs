//! The node: which pods are its own, and one actor for each.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::container::RECORD;
use crate::host::HostView;
use crate::launch::LaunchSpec;
use crate::launcher::Launcher;
use crate::logs::{NodeLogs, PodName};
use crate::namespaces::Rootfs;
use crate::options::{Isolation, IsolationUnavailable, NodeError, NodeOptions};
use crate::pod::{PodActor, Word};
use crate::processes::ProcessRecord;
use crate::{probes, registration, volumes};

/// What every pod of the node uses.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) options: NodeOptions,
    pub(crate) host: HostView,
    pub(crate) launcher: Launcher,
    pub(crate) logs: NodeLogs,
    pub(crate) starts: Semaphore,
}

impl Shared {
    pub(crate) fn isolated(&self) -> bool {
        self.options.isolation == Isolation::Namespaces
    }

    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.options.data.join("pods").join(uid)
    }

    /// Removes everything of a pod but its logs.
    pub(crate) fn remove_volumes(&self, pod: &PodName) {
        if let Err(error) = volumes::remove_tree(&self.pod_dir(&pod.uid)) {
            tracing::warn!(%error, pod = pod.name, "the folder of a pod stays behind");
        }
    }

    /// Deletes the object at once, if it is still this pod. Tries until the API server has answered.
    pub(crate) async fn delete(&self, pod: &PodName) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let mut pause = Duration::from_millis(100);
        loop {
            match api.delete(&pod.name, &params).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
                Err(error) => {
                    tracing::warn!(%error, pod = pod.name, "a pod was not deleted, again soon");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }
}

/// A pod's actor, as the node knows it.
struct Handle {
    name: PodName,
    words: mpsc::UnboundedSender<Word>,
}

type Pods = Arc<Mutex<HashMap<String, Handle>>>;

/// A node that runs.
pub struct Node {
    shared: Arc<Shared>,
    pods: Pods,
    actors: TaskTracker,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    /// Ends what an earlier node left running, registers the Node object, and runs pods from then on.
    ///
    /// # Errors
    /// The data folder cannot be used, the launcher cannot be started, or the API server refuses the Node.
    pub async fn start(client: Client, options: NodeOptions) -> Result<Self, NodeError> {
        let mut options = options;
        let data = |path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::Data { path, source }
        };
        let pods_dir = options.data.join("pods");
        fs::create_dir_all(&pods_dir).map_err(data(&pods_dir))?;
        options.data = options.data.canonicalize().map_err(data(&options.data))?;
        let logs_dir = options.data.join("logs");
        fs::create_dir_all(&logs_dir).map_err(data(&logs_dir))?;
        end_leftovers(&options.data.join("pods")).await;
        let shared = Arc::new(Shared {
            host: HostView::discover(&options),
            launcher: Launcher::start().map_err(NodeError::Launcher)?,
            logs: NodeLogs::new(logs_dir),
            starts: Semaphore::new(options.max_concurrent_starts.max(1)),
            client,
            options,
        });
        registration::register(&shared.client, &shared.options).await?;
        let pods: Pods = Arc::default();
        let actors = TaskTracker::new();
        let watch = Watch {
            shared: Arc::clone(&shared),
            pods: Arc::clone(&pods),
            actors: actors.clone(),
            binding: Arc::default(),
            listed: HashSet::new(),
            first: true,
        };
        let logs = shared.logs.clone();
        let prune = tokio::spawn(async move {
            loop {
                let logs = logs.clone();
                // Failing to prune is tried again in an hour.
                let _ = tokio::task::spawn_blocking(move || logs.prune()).await;
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
        });
        Ok(Self {
            tasks: vec![tokio::spawn(watch.run()), prune],
            shared,
            pods,
            actors,
        })
    }

    /// The logs of its pods.
    pub fn logs(&self) -> NodeLogs {
        self.shared.logs.clone()
    }

    /// Ends all containers, gently for as long as `grace`, and stops. Nothing is reported and volumes
    /// stay: to the pods this is a power cut with a warning, and the next start a reboot.
    pub async fn shutdown(self, grace: Duration) {
        for task in &self.tasks {
            task.abort();
        }
        for handle in lock(&self.pods).values() {
            let _ = handle.words.send(Word::Shutdown(grace));
        }
        self.actors.close();
        let all = self.actors.wait();
        if tokio::time::timeout(grace + Duration::from_secs(5), all).await.is_err() {
            tracing::warn!("some containers have not ended");
        }
    }

    /// Loses a pod as a dead node would: kills every process of it, removes its volumes and the
    /// object, and reports nothing.
    ///
    /// # Errors
    /// No such pod runs here, or the node has been shut down.
    pub async fn lose(&self, namespace: &str, pod: &str) -> Result<(), NodeError> {
        let (done, lost) = oneshot::channel();
        {
            let pods = lock(&self.pods);
            let handle = pods
                .values()
                .find(|h| h.name.namespace == namespace && h.name.name == pod)
                .ok_or_else(|| NodeError::NoSuchPod {
                    namespace: namespace.to_owned(),
                    pod: pod.to_owned(),
                })?;
            handle.words.send(Word::Lose(done)).map_err(|_| NodeError::Closed)?;
        }
        lost.await.map_err(|_| NodeError::Closed)
    }
}

fn lock(pods: &Pods) -> MutexGuard<'_, HashMap<String, Handle>> {
    pods.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills what an earlier node recorded as running, and waits until it is gone.
async fn end_leftovers(pods: &Path) {
    let mut records = Vec::new();
    for pod in fs::read_dir(pods).into_iter().flatten().flatten() {
        let containers = pod.path().join("containers");
        for container in fs::read_dir(containers).into_iter().flatten().flatten() {
            let path = container.path().join(RECORD);
            if let Some(record) = ProcessRecord::read(&path) {
                records.push(record);
                let _ = fs::remove_file(path);
            }
        }
    }
    let killed = tokio::task::spawn_blocking(move || {
        records.iter().for_each(ProcessRecord::kill_leftovers);
        records
    });
    let Ok(records) = killed.await else { return };
    let patience = Instant::now() + Duration::from_secs(5);
    while records.iter().any(ProcessRecord::is_alive) && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The watch of all pods.
struct Watch {
    shared: Arc<Shared>,
    pods: Pods,
    actors: TaskTracker,
    /// UIDs of pods that are being bound.
    binding: Arc<Mutex<HashSet<String>>>,
    /// UIDs of a list in progress.
    listed: HashSet<String>,
    first: bool,
}

impl Watch {
    async fn run(mut self) {
        // Pods that nobody has bound belong to no field selector with ours, so all are watched. One
        // that cannot be read stops no other.
        let api: Api<DeserializeGuard<Pod>> = Api::all(self.shared.client.clone());
        let mut events = watcher::watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.take(event),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the watch of pods, again soon"),
            }
        }
    }

    fn take(&mut self, event: Event<DeserializeGuard<Pod>>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(pod.uid().unwrap_or_default());
                self.seen(pod);
            }
            Event::Apply(pod) => self.seen(pod),
            Event::Delete(pod) => self.gone(&pod.uid().unwrap_or_default()),
            Event::InitDone => {
                let known: Vec<String> = lock(&self.pods).keys().cloned().collect();
                for uid in known.iter().filter(|uid| !self.listed.contains(*uid)) {
                    self.gone(uid);
                }
                if std::mem::take(&mut self.first) {
                    self.sweep();
                }
                self.listed.clear();
            }
        }
    }

    fn gone(&self, uid: &str) {
        if let Some(handle) = lock(&self.pods).remove(uid) {
            // An actor that deleted the pod itself has left.
            let _ = handle.words.send(Word::Gone);
        }
    }

    /// Removes folders of pods that went while the node was down.
    fn sweep(&self) {
        for entry in fs::read_dir(self.shared.options.data.join("pods"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if !self.listed.contains(&uid) {
                let path = entry.path();
                tokio::task::spawn_blocking(move || volumes::remove_tree(&path));
            }
        }
    }

    fn seen(&self, pod: DeserializeGuard<Pod>) {
        let pod = match pod.0 {
            Ok(pod) => pod,
            Err(error) => {
                tracing::warn!(%error, "a pod that cannot be read is left alone");
                return;
            }
        };
        let (Some(name), Some(namespace), Some(uid)) = (
            pod.metadata.name.clone(),
            pod.metadata.namespace.clone(),
            pod.metadata.uid.clone(),
        ) else {
            return;
        };
        let name = PodName { namespace, name, uid };
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
        match node {
            None | Some("") => self.bind(pod, name),
            Some(node) if node == self.shared.options.name => self.own(pod, name),
            Some(_) => {}
        }
    }

    fn own(&self, pod: Pod, name: PodName) {
        take_up(&self.shared, &self.pods, &self.actors, pod, name);
    }

    /// Binds a pod to this node and runs it as soon as the API server has agreed.
    fn bind(&self, pod: Pod, name: PodName) {
        let mut binding = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        if pod.metadata.deletion_timestamp.is_some() || !binding.insert(name.uid.clone()) {
            return;
        }
        let (shared, pods) = (Arc::clone(&self.shared), Arc::clone(&self.pods));
        let (actors, binding) = (self.actors.clone(), Arc::clone(&self.binding));
        tokio::spawn(async move {
            if let Some(pod) = registration::bind(&shared, pod, &name).await {
                take_up(&shared, &pods, &actors, pod, name.clone());
            }
            let mut binding = binding.lock().unwrap_or_else(PoisonError::into_inner);
            binding.remove(&name.uid);
        });
    }
}

/// Tells a pod's actor of it, or makes one.
fn take_up(shared: &Arc<Shared>, pods: &Pods, actors: &TaskTracker, pod: Pod, name: PodName) {
    let mut pods = lock(pods);
    let pod = Arc::new(pod);
    if let Some(handle) = pods.get(&name.uid) {
        // One that is done with the pod waits only for the word that it is deleted.
        let _ = handle.words.send(Word::Seen(pod));
        return;
    }
    if actors.is_closed() {
        return;
    }
    let (words, heard) = mpsc::unbounded_channel();
    let actor = PodActor::new(Arc::clone(shared), pod, name.clone());
    actors.spawn(actor.run(heard));
    pods.insert(name.uid.clone(), Handle { name, words });
}

/// Really starts a container, and says what is in the way where that fails.
///
/// # Errors
/// The system forbids namespaces to this user, or lacks what the node needs.
pub async fn probe_isolation() -> Result<(), IsolationUnavailable> {
    let unavailable = |reason: String, advice: &str| IsolationUnavailable {
        reason,
        advice: advice.to_owned(),
    };
    if probes::nsenter().is_none() {
        return Err(unavailable(
            "nsenter is not installed".to_owned(),
            "Install util-linux, or go on with --unconfined: agents then run as your own user, unprotected",
        ));
    }
    let tried = try_container().await;
    tried.map_err(|reason| unavailable(reason, FORBIDDEN))
}

const FORBIDDEN: &str = "Allow user namespaces (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; \
    elsewhere: sysctl user.max_user_namespaces=10000), or go on with --unconfined: agents then run as your own user, unprotected";

async fn try_container() -> Result<(), String> {
    // Two probes in one process must not share a folder.
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "node-probe-{}-{}",
        std::process::id(),
        TRIES.fetch_add(1, Ordering::Relaxed)
    );
    let root = std::env::temp_dir().join(name);
    let text = |e: std::io::Error| e.to_string();
    fs::create_dir_all(&root).map_err(text)?;
    let result = try_container_in(&root).await;
    let _ = volumes::remove_tree(&root);
    result
}

async fn try_container_in(dir: &Path) -> Result<(), String> {
    let view = HostView::discover(&NodeOptions {
        name: String::new(),
        data: dir.to_owned(),
        isolation: Isolation::Namespaces,
        path_prefix: Vec::new(),
        host_paths: Vec::new(),
        hide: Vec::new(),
        max_concurrent_starts: 1,
    });
    let root = dir.join("root");
    let rootfs: Rootfs = view.rootfs(&crate::host::RootRequest {
        root: &root,
        hostname: "probe",
        read_only: false,
        uid: 65532,
        gid: 65532,
        home: "/",
        workdir: Path::new("/"),
        mounts: &[],
    })?;
    let launcher = Launcher::start().map_err(|e| e.to_string())?;
    let launched = launcher
        .launch(LaunchSpec {
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), "test $$ = 1 && test -e /proc/1/stat".to_owned()],
            env: Vec::new(),
            workdir: "/".into(),
            stdout: "/dev/null".into(),
            stderr: "/dev/null".into(),
            mark: "probe".to_owned(),
            rootfs: Some(rootfs),
        })
        .await?;
    let exit = launched.exit().await;
    match exit.code {
        0 => Ok(()),
        code => Err(exit
            .failure
            .unwrap_or_else(|| format!("a first container ended with exit code {code}"))),
    }
}
