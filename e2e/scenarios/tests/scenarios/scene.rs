//! What one scenario has to itself: a namespace, a repository, a rig; and what it can do there.

use crate::Stage;
use crate::backend::{Backend, SYSTEM};
use crate::forge::{self, Forge};
use crate::programs::{self, Ran, git, ours, run, until};
use crate::signpost::Signpost;
use gastown_api::{Polecat, PolecatPhase, Refinery, Rig, conditions, labels};
use gastown_testkit::remotes::{HttpGit, HttpPlan};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tempfile::TempDir;

/// A namespace, a repository and a rig, all of one name; gone afterwards.
pub(crate) struct Scene<'a> {
    /// Where it is played.
    pub(crate) backend: &'a dyn Backend,
    /// Name of the namespace and of the rig.
    pub(crate) name: String,
    forge: &'a Forge,
    signpost: &'a Signpost,
    scratch: TempDir,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

/// A number that no other run and no other scenario uses: it marks processes.
fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id() % 100_000;
    10_000_000 + pid * 100 + NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl<'a> Scene<'a> {
    /// A repository with a README and a test, which is green as long as nothing is named BROKEN; a rig that tests with it.
    pub(crate) fn new(stage: &'a Stage, scenario: &str) -> Self {
        let Stage {
            backend,
            forge,
            signpost,
        } = stage;
        let backend = &**backend;
        let slug: String = scenario.replace('_', "-").chars().take(40).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(backend.kubeconfig()).unwrap();
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            Client::try_from(config.unwrap()).unwrap()
        });
        let scene = Self {
            backend,
            forge,
            name: format!("e2e-{}-{}", slug.trim_end_matches('-'), number()),
            signpost,
            scratch: TempDir::with_prefix("e2e-").unwrap(),
            runtime,
            client,
        };
        scene.make_namespace();
        scene.make_repository();
        let (url, name) = (scene.url(), scene.name.clone());
        let words = [
            "rig",
            "create",
            &name,
            "--git-url",
            &url,
            "--prefix",
            "pa",
            "--test",
            "./test.sh",
        ];
        scene.gt(&words).ok();
        // Many pods share two processors.
        let small = json!({ "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "512Mi" } });
        scene.rig(json!({ "pushIntervalSeconds": 1, "record": { "level": "work" }, "resources": small }));
        scene.rig(backend.rig_spec());
        scene.rig(forge.rig_spec());
        scene
    }

    fn make_namespace(&self) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = json!({ "metadata": {
            "name": self.name,
            "labels": { "pod-security.kubernetes.io/enforce": "restricted", "gastown.io/e2e": "scene" },
        }});
        let namespace = serde_json::from_value(namespace).unwrap();
        self.wait(async { api.create(&PostParams::default(), &namespace).await })
            .unwrap();
        self.wait(self.forge.furnish(&self.client, &self.name));
    }

    fn make_repository(&self) {
        let seed = self.path("seed");
        std::fs::create_dir(&seed).unwrap();
        git(&seed, &["init", "--quiet", "--initial-branch=main"]).ok();
        script(&seed.join("test.sh"), "test ! -e BROKEN");
        std::fs::write(seed.join("README"), "parts\n").unwrap();
        git(&seed, &["add", "--all"]).ok();
        git(&seed, &["commit", "--quiet", "--message=First"]).ok();
        let bare = self.bare();
        git(&seed, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]).ok();
        git(&bare, &["config", "core.logAllRefUpdates", "always"]).ok();
    }

    /// Something in the scratch folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The repository that work lands in.
    pub(crate) fn bare(&self) -> PathBuf {
        self.forge.path(&format!("{}.git", self.name))
    }

    /// Its URL for pods.
    pub(crate) fn url(&self) -> String {
        self.forge.url(&format!("{}.git", self.name))
    }

    /// A server of its own for the repositories, with these accounts.
    pub(crate) fn server(&self, with: impl FnOnce(HttpPlan) -> HttpPlan) -> HttpGit {
        self.forge.beside(self.host(), with)
    }

    /// Where all repositories lie.
    pub(crate) fn repositories(&self) -> &Path {
        self.forge.folder()
    }

    /// An object of the scene where its pods find it: agents' and the queue's.
    pub(crate) fn put_everywhere<K>(&self, name: &str, object: &Value)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
    {
        self.wait(forge::put::<K>(&self.client, &self.name, name, object));
    }

    /// The URL of any repository.
    pub(crate) fn url_of(&self, name: &str) -> String {
        self.forge.url(name)
    }

    /// An address of this machine at which pods reach a server of the test.
    pub(crate) fn host(&self) -> IpAddr {
        self.backend.host()
    }

    /// Waits for an answer of the API.
    pub(crate) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The API.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Polecats of the scene.
    pub(crate) fn polecats(&self) -> Api<Polecat> {
        Api::namespaced(self.client(), &self.name)
    }

    /// `kubectl gt` in the scene's namespace.
    pub(crate) fn gt(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(ours("kubectl-gt"));
        command.args(["--namespace", &self.name]).args(args);
        command
            .env("KUBECONFIG", self.backend.kubeconfig())
            .current_dir(self.scratch.path());
        run(&mut command)
    }

    /// git in the repository.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.bare(), args).ok()
    }

    /// Slings a task to a polecat of that name whose agent is that shell text; it can `say` and `await` words.
    #[track_caller]
    pub(crate) fn sling(&self, name: &str, agent: &str) {
        let agent = self.agent(agent);
        let words = [
            "sling",
            &self.name,
            "-m",
            "a task",
            "--name",
            name,
            "--agent-command",
            &agent,
        ];
        self.gt(&words).ok();
    }

    /// Creates a polecat, as kubectl does, with an agent of that command and that about its repository.
    pub(crate) fn create(&self, name: &str, command: &[&str], kubernetes: Value) {
        let made = json!({
            "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "metadata": { "name": name },
            "spec": {
                "rig": self.name, "desiredState": "Working", "agent": "custom", "task": { "description": "x" },
                "agentConfig": { "command": command }, "kubernetes": kubernetes,
            },
        });
        let made: Polecat = serde_json::from_value(made).unwrap();
        self.wait(async { self.polecats().create(&PostParams::default(), &made).await })
            .unwrap();
    }

    /// A whole agent of that shell text.
    pub(crate) fn agent(&self, text: &str) -> String {
        format!("{}set -e\n{text}", self.signpost.words(&self.name))
    }

    /// Waits until an agent has said that word.
    #[track_caller]
    pub(crate) fn says(&self, word: &str) {
        until(self.backend.patience(), &format!("an agent to say {word}"), || {
            self.signpost.was_said(&self.name, word).then_some(())
        });
    }

    /// Whether an agent has said that word.
    pub(crate) fn was_said(&self, word: &str) -> bool {
        self.signpost.was_said(&self.name, word)
    }

    /// Lets agents that await that word go on.
    pub(crate) fn raise(&self, word: &str) {
        self.signpost.raise(&self.name, word);
    }

    /// Looks until there is something.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        until(self.backend.patience(), what, look)
    }

    /// The polecat, where there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Polecat> {
        self.wait(async { self.polecats().get_opt(name).await }).unwrap()
    }

    /// Waits until the polecat is as wanted.
    #[track_caller]
    pub(crate) fn polecat(&self, name: &str, wanted: impl Fn(&Polecat) -> bool) -> Polecat {
        let start = Instant::now();
        loop {
            let last = self.find(name);
            match last {
                Some(polecat) if wanted(&polecat) => return polecat,
                _ if start.elapsed() < self.backend.patience() => std::thread::sleep(programs::LOOK),
                last => panic!("{name} never was as wanted: {:?}", last.and_then(|p| p.status)),
            }
        }
    }

    /// Waits until its work has landed.
    #[track_caller]
    pub(crate) fn lands(&self, name: &str) -> Polecat {
        self.polecat(name, |p| {
            let status = p.status.clone().unwrap_or_default();
            // No use in waiting on.
            assert_ne!(status.phase, PolecatPhase::Stuck, "{name}: {:?}", status.message);
            conditions::is_true(&status.conditions, conditions::MERGED)
        })
    }

    /// Waits until it is stuck; why.
    #[track_caller]
    pub(crate) fn stuck(&self, name: &str) -> (Polecat, String) {
        let polecat = self.polecat(name, |p| phase(p) == PolecatPhase::Stuck);
        let message = polecat.status.clone().unwrap().message.unwrap_or_default();
        (polecat, message)
    }

    /// Deletes the polecat, as kubectl does.
    pub(crate) fn delete(&self, name: &str) {
        self.wait(async { self.polecats().delete(name, &DeleteParams::default()).await })
            .unwrap();
    }

    /// Subjects on main, oldest first.
    pub(crate) fn landed(&self) -> Vec<String> {
        let log = self.git(&["log", "--reverse", "--format=%s", "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// A file as main has it.
    #[track_caller]
    pub(crate) fn on_main(&self, file: &str) -> String {
        self.git(&["show", &format!("main:{file}")])
    }

    /// What git shows of an object, if there is one.
    pub(crate) fn show(&self, object: &str) -> Option<String> {
        let shown = git(&self.bare(), &["show", object]);
        (shown.code == 0).then_some(shown.out)
    }

    /// Changes the scene's rig.
    pub(crate) fn rig(&self, spec: Value) {
        let api: Api<Rig> = Api::all(self.client());
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.wait(async { api.patch(&self.name, &PatchParams::default(), &patch).await })
            .unwrap();
    }

    /// Pods of the scene, wherever they are, that have not ended.
    pub(crate) fn live_pods(&self) -> Vec<Pod> {
        let ended = |p: &Pod| {
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        self.pods().into_iter().filter(|p| !ended(p)).collect()
    }

    /// Pods of the scene, wherever they are.
    pub(crate) fn pods(&self) -> Vec<Pod> {
        let mine = ListParams::default().labels(&format!("{}={}", labels::RIG, self.name));
        self.wait(async { Api::<Pod>::all(self.client()).list(&mine).await })
            .map(|l| l.items)
            .unwrap_or_default()
    }

    /// A command that does nothing for long and can be counted among this machine's processes.
    pub(crate) fn sleeper(&self) -> String {
        format!("sleep {}", number())
    }

    /// How many processes with that word run, where that can be seen.
    pub(crate) fn processes(&self, word: &str) -> usize {
        if self.backend.runs_here() {
            programs::processes(word)
        } else {
            0
        }
    }

    /// Waits until no pod and no such process is left.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self, marker: &str) {
        self.until("its pods and its processes to be gone", || {
            (self.live_pods().is_empty() && self.processes(marker) == 0).then_some(())
        });
    }

    /// From now on every push hangs, until `release`.
    pub(crate) fn hold_pushes(&self) {
        let hook = self.bare().join("hooks/pre-receive");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        script(
            &hook,
            "test -e hold || exit 0; : > held; while test -e hold; do sleep 0.1; done; rm -f held",
        );
        std::fs::write(self.bare().join("hold"), "").unwrap();
    }

    /// Waits until a push hangs.
    #[track_caller]
    pub(crate) fn push_hangs(&self) {
        self.until("a push that hangs", || self.bare().join("held").exists().then_some(()));
    }

    /// Lets pushes through again.
    pub(crate) fn release_pushes(&self) {
        for file in ["hold", "held"] {
            let _ = std::fs::remove_file(self.bare().join(file));
        }
    }

    /// Everything a person would look at.
    fn report(&self) -> String {
        let mut text = format!("---- {} on {}\n", self.name, self.backend.name());
        let all = ListParams::default();
        let mine = ListParams::default().fields(&format!("metadata.name={}", self.name));
        self.wait(async {
            let rigs: Api<Rig> = Api::all(self.client());
            for rig in rigs.list(&mine).await.into_iter().flatten() {
                let status = rig.status.unwrap_or_default();
                let _ = writeln!(text, "rig {:?} {:?}", status.phase, status.message);
                conditions_of(&mut text, &status.conditions);
            }
            for polecat in self.polecats().list(&all).await.into_iter().flatten() {
                let status = polecat.status.clone().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "polecat {} {:?} round {:?} attempt {:?}: {:?}",
                    polecat.name_any(),
                    status.phase,
                    status.round,
                    status.attempt,
                    status.message
                );
                conditions_of(&mut text, &status.conditions);
            }
            let queues: Api<Refinery> = Api::namespaced(self.client(), SYSTEM);
            let name = gastown_api::names::refinery_name(&self.name);
            if let Ok(Some(queue)) = queues.get_opt(&name).await {
                let _ = writeln!(
                    text,
                    "refinery {}",
                    serde_json::to_string(&queue.status).unwrap_or_default()
                );
            }
            for namespace in [self.name.as_str(), SYSTEM] {
                let events: Api<Event> = Api::namespaced(self.client(), namespace);
                for event in events.list(&all).await.into_iter().flatten() {
                    let about = event.involved_object.name.clone().unwrap_or_default();
                    if namespace == self.name || about.contains(&self.name) {
                        let (reason, why) = (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
                        let _ = writeln!(text, "event {about}: {reason}: {why}");
                    }
                }
            }
        });
        for pod in self.pods() {
            let status = serde_json::to_string(&pod.status).unwrap_or_default();
            let _ = writeln!(
                text,
                "pod {}/{} {status}",
                pod.namespace().unwrap_or_default(),
                pod.name_any()
            );
        }
        let _ = writeln!(
            text,
            "operator:\n{}",
            self.backend
                .operator_log(400)
                .lines()
                .filter(|l| {
                    // Other scenes' business is theirs.
                    l.contains(&self.name) || !l.contains("e2e-")
                })
                .collect::<Vec<_>>()
                .join("\n")
        );
        text
    }
}

fn conditions_of(text: &mut String, conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]) {
    for c in conditions {
        let _ = writeln!(text, "  {}={} {}: {}", c.type_, c.status, c.reason, c.message);
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.report());
        }
        self.release_pushes();
        let rigs: Api<Rig> = Api::all(self.client());
        let namespaces: Api<Namespace> = Api::all(self.client());
        self.wait(async {
            // What is gone already, or never was, is no matter.
            let _ = self
                .polecats()
                .delete_collection(&DeleteParams::default(), &ListParams::default())
                .await;
            let _ = rigs.delete(&self.name, &DeleteParams::default()).await;
            let _ = namespaces.delete(&self.name, &DeleteParams::default()).await;
        });
    }
}

/// Its phase.
pub(crate) fn phase(polecat: &Polecat) -> PolecatPhase {
    polecat.status.as_ref().map(|s| s.phase).unwrap_or_default()
}

/// Reason and message of one of its conditions.
pub(crate) fn condition(polecat: &Polecat, kind: &str) -> (String, String) {
    let conditions = polecat.status.clone().unwrap_or_default().conditions;
    let found = conditions.into_iter().find(|c| c.type_ == kind);
    found.map(|c| (c.reason, c.message)).unwrap_or_default()
}
