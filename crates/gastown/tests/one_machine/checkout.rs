//! A checkout with a town of its own, in a folder that is gone afterwards.

use gastown_api::{Polecat, PolecatPhase, Refinery, Rig, conditions};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything. Long, so that a busy machine fails no test; what is waited for ends waits early.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);
/// The namespace towns work in.
pub(crate) const NAMESPACE: &str = "gastown-system";

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its output, when it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Its errors, when it failed with that code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// The program, with the harness beside it. `cargo test --workspace` builds both; where only this crate's tests are
/// built, the harness is built here, once, into the same folder.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_gastown"));
        let folder = program.parent().unwrap();
        if !folder.join("gastown-harness").is_file() {
            let profile = match folder.file_name().unwrap().to_str().unwrap() {
                "debug" => "dev",
                name => name,
            };
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "gastown-harness"]);
            cargo.args(["--profile", profile, "--target-dir"]);
            cargo.arg(folder.parent().unwrap());
            assert!(cargo.status().unwrap().success(), "the harness is not built");
        }
        program
    })
}

fn done(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Looks until there is something, or fails and says what was waited for.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "in vain waited for: {what}");
        std::thread::sleep(LOOK);
    }
}

/// A checkout, its home and its town's state, all in one scratch folder.
pub(crate) struct Checkout {
    scratch: TempDir,
    runtime: tokio::runtime::Runtime,
    /// Set where the system allows no isolation, or a test wants none.
    flags: Vec<&'static str>,
    programs: Option<PathBuf>,
}

impl Checkout {
    /// One with a README and a test, which is green as long as nothing is named BROKEN.
    pub(crate) fn new() -> Self {
        Self::with_flags(if isolated() { Vec::new() } else { vec!["--unconfined"] })
    }

    fn with_flags(flags: Vec<&'static str>) -> Self {
        let checkout = Self {
            scratch: TempDir::with_prefix("town-").unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            flags,
            programs: None,
        };
        for folder in ["home", "state", "parts"] {
            std::fs::create_dir(checkout.path(folder)).unwrap();
        }
        checkout.git(&["init", "--quiet", "--initial-branch=main"]);
        checkout.git(&["config", "user.name", "Test"]);
        checkout.git(&["config", "user.email", "test@example.com"]);
        checkout.script("test.sh", "test ! -e BROKEN");
        std::fs::write(checkout.dir().join("README"), "parts\n").unwrap();
        checkout.git(&["add", "--all"]);
        checkout.git(&["commit", "--quiet", "--message=First"]);
        checkout
    }

    /// One whose town runs.
    pub(crate) fn up() -> Self {
        let checkout = Self::new();
        checkout.start();
        checkout
    }

    /// One whose town runs, brought up by somebody who has more programs on the `PATH`.
    pub(crate) fn up_with_path(programs: &Path) -> Self {
        let mut checkout = Self::new();
        checkout.programs = Some(programs.to_owned());
        checkout.start();
        checkout
    }

    /// One whose town runs without isolation, whether or not there could be one.
    pub(crate) fn up_unconfined() -> Self {
        let checkout = Self::with_flags(vec!["--unconfined"]);
        checkout.start();
        checkout
    }

    /// Something in the scratch folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The checkout itself.
    pub(crate) fn dir(&self) -> PathBuf {
        self.path("parts")
    }

    /// A shell script in the checkout.
    pub(crate) fn script(&self, name: &str, body: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(std::process::Stdio::null());
        command.env("HOME", self.path("home"));
        command.env("XDG_STATE_HOME", self.path("state"));
        if let Some(programs) = &self.programs {
            let path = std::env::var("PATH").unwrap();
            command.env("PATH", format!("{}:{path}", programs.display()));
        }
        for name in ["KUBECONFIG", "RUST_LOG", "GIT_DIR", "GIT_WORK_TREE"] {
            command.env_remove(name);
        }
        command
    }

    /// git in a folder; its output.
    #[track_caller]
    pub(crate) fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        self.try_git(dir, args).ok()
    }

    /// git in a folder, which may fail.
    pub(crate) fn try_git(&self, dir: &Path, args: &[&str]) -> Ran {
        let mut command = self.command(Path::new("git"), dir);
        command.env("GIT_CONFIG_NOSYSTEM", "1").args(args);
        done(command)
    }

    /// git in the checkout; its output.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in(&self.dir(), args)
    }

    /// A line of shell with arguments.
    pub(crate) fn shell(&self, script: &str, args: &[&str]) -> Ran {
        let mut command = self.command(Path::new("/bin/sh"), &self.dir());
        command.args(["-c", script, "sh"]).args(args);
        done(command)
    }

    /// The program in the checkout.
    pub(crate) fn gastown(&self, args: &[&str]) -> Ran {
        let mut command = self.command(program(), &self.dir());
        command.args(args);
        done(command)
    }

    /// The program in the checkout, not waited for; in a process group of its own, as a terminal starts it.
    pub(crate) fn spawn(&self, args: &[&str], out: &Path) -> std::process::Child {
        use std::os::unix::process::CommandExt;
        let file = std::fs::File::create(out).unwrap();
        let mut command = self.command(program(), &self.dir());
        command.args(args).stdout(file.try_clone().unwrap());
        command.stderr(file).process_group(0).spawn().unwrap()
    }

    /// What `up` is called with.
    pub(crate) fn up_args(&self, more: &[&'static str]) -> Vec<&'static str> {
        let mut args = vec!["up", "--test", "./test.sh"];
        args.extend(&self.flags);
        args.extend(more);
        args
    }

    /// Brings the town up; its greeting.
    #[track_caller]
    pub(crate) fn start(&self) -> String {
        self.gastown(&self.up_args(&["--detach"])).ok()
    }

    /// The town's process.
    pub(crate) fn pid(&self) -> Option<i32> {
        let ran = self.gastown(&["status", "-o", "json"]);
        let value: Value = serde_json::from_str(&ran.out).ok()?;
        i32::try_from(value["pid"].as_i64()?).ok()
    }

    /// A signal to the town, whose process is gone afterwards.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.pid().expect("the town is up");
        kill(Pid::from_raw(pid), signal).unwrap();
        until("the end of the town", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
            // Gone, or dead and not yet collected by whoever is the parent now. Its last thread closes its files.
            (stat.is_empty() || (stat.contains(") Z ") && threads <= 1)).then_some(())
        });
    }

    /// The bare repository that work lands in.
    pub(crate) fn bare(&self) -> PathBuf {
        PathBuf::from(self.git(&["config", "remote.gastown.url"]).trim())
    }

    /// Where the town keeps everything.
    pub(crate) fn data(&self) -> PathBuf {
        self.bare().parent().unwrap().to_path_buf()
    }

    /// Subjects on the town's main, oldest first.
    pub(crate) fn landed(&self) -> Vec<String> {
        let log = self.git_in(&self.bare(), &["log", "--reverse", "--format=%s", "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// A file as the town's main has it.
    #[track_caller]
    pub(crate) fn on_main(&self, file: &str) -> String {
        self.git_in(&self.bare(), &["show", &format!("main:{file}")])
    }

    /// Runs a request to the town's API.
    pub(crate) fn ask<T>(&self, request: impl AsyncFnOnce(Client) -> T) -> T {
        let path = self.data().join("kubeconfig");
        self.runtime.block_on(async {
            let file = Kubeconfig::read_from(path).unwrap();
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            request(Client::try_from(config.unwrap()).unwrap()).await
        })
    }

    /// Slings a task to a polecat of that name whose agent is that shell text.
    #[track_caller]
    pub(crate) fn sling(&self, name: &str, agent: &str) {
        let agent = format!("set -e; {agent}");
        let args = ["sling", ".", "-m", "a task", "--name", name, "--agent-command", &agent];
        self.gastown(&args).ok();
    }

    /// The polecat, where there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Polecat> {
        self.ask(async |client| {
            let api: Api<Polecat> = Api::namespaced(client, NAMESPACE);
            api.get_opt(name).await.unwrap()
        })
    }

    /// Waits until the polecat is as wanted.
    #[track_caller]
    pub(crate) fn polecat(&self, name: &str, wanted: impl Fn(&Polecat) -> bool) -> Polecat {
        let mut last = None;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            last = self.find(name);
            if let Some(polecat) = last.take_if(|p| wanted(p)) {
                return polecat;
            }
            std::thread::sleep(LOOK);
        }
        let status = last.and_then(|p| p.status);
        panic!("{name} never was as wanted: {status:?}");
    }

    /// Waits until its work has landed.
    #[track_caller]
    pub(crate) fn lands(&self, name: &str) -> Polecat {
        self.polecat(name, |p| {
            let status = p.status.clone().unwrap_or_default();
            conditions::is_true(&status.conditions, conditions::MERGED)
        })
    }

    /// Waits until its agent has printed that, and its pod is said to run.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, text: &str) {
        until(&format!("{name} to say {text}"), || {
            let ran = self.gastown(&["polecat", "logs", name]);
            ran.out.contains(text).then_some(())
        });
    }

    /// Folders of that name at or below another.
    pub(crate) fn find_folders(&self, above: &Path, name: &str) -> Vec<PathBuf> {
        let out = self.shell(
            "find \"$1\" -type d -name \"$2\" -prune",
            &[above.to_str().unwrap(), name],
        );
        out.ok().lines().map(PathBuf::from).collect()
    }

    /// Names of the pods that have not ended.
    pub(crate) fn live_pods(&self) -> Vec<String> {
        let pods = self.ask(async |client| {
            let pods: Api<Pod> = Api::all(client);
            pods.list(&ListParams::default()).await.unwrap().items
        });
        let ended = |p: &Pod| {
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        pods.iter()
            .filter(|p| !ended(p))
            .map(|p| p.metadata.name.clone().unwrap())
            .collect()
    }

    /// Changes the checkout's rig.
    pub(crate) fn rig(&self, spec: Value) {
        self.ask(async |client| {
            let api: Api<Rig> = Api::all(client);
            let patch = Patch::Merge(serde_json::json!({ "spec": spec }));
            api.patch("parts", &PatchParams::default(), &patch).await.unwrap();
        });
    }

    /// Makes a Secret.
    pub(crate) fn secret(&self, name: &str, data: Value) {
        let secret = serde_json::json!({ "metadata": { "name": name }, "stringData": data });
        self.ask(async |client| {
            let api: Api<Secret> = Api::namespaced(client, NAMESPACE);
            let secret = serde_json::from_value(secret).unwrap();
            api.create(&PostParams::default(), &secret).await.unwrap();
        });
    }

    /// The API's count of writes.
    pub(crate) fn writes(&self) -> u64 {
        self.ask(async |client| {
            let api: Api<Polecat> = Api::namespaced(client, NAMESPACE);
            let list = api.list(&ListParams::default()).await.unwrap();
            list.metadata.resource_version.unwrap().parse().unwrap()
        })
    }

    /// A process that has nothing to do with the town.
    pub(crate) fn stranger(&self) -> std::process::Child {
        let mut command = self.command(Path::new("sleep"), &self.dir());
        command.arg("600").spawn().unwrap()
    }

    /// How many processes of this machine have that word in their command line.
    pub(crate) fn processes(&self, word: &str) -> usize {
        let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        folders
            .filter_map(|f| std::fs::read(f.path().join("cmdline")).ok())
            .filter(|line| String::from_utf8_lossy(line).replace(char::from(0), " ").contains(word))
            .count()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.data_or_scratch().join("up.log"));
            eprintln!("the town said:\n{}", log.unwrap_or_default());
            if self.pid().is_some() {
                self.ask(async |client| {
                    let pods: Api<Pod> = Api::all(client.clone());
                    let queues: Api<Refinery> = Api::all(client);
                    let all = ListParams::default();
                    for pod in pods.list(&all).await.into_iter().flatten() {
                        let status = serde_json::to_string(&pod.status);
                        eprintln!("pod {:?}\n  {}", pod.metadata, status.unwrap_or_default());
                    }
                    for queue in queues.list(&all).await.into_iter().flatten() {
                        let status = serde_json::to_string_pretty(&queue.status);
                        eprintln!("refinery {}", status.unwrap_or_default());
                    }
                });
            }
        }
        if let Some(pid) = self.pid() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Checkout {
    fn data_or_scratch(&self) -> PathBuf {
        let ran = self.try_git(&self.dir(), &["config", "remote.gastown.url"]);
        let bare = PathBuf::from(ran.out.trim());
        bare.parent()
            .map_or_else(|| self.scratch.path().to_path_buf(), Path::to_path_buf)
    }
}

/// Whether pods can be isolated here: whether a town comes up that was not told to go without.
pub(crate) fn isolated() -> bool {
    static ISOLATED: OnceLock<bool> = OnceLock::new();
    *ISOLATED.get_or_init(|| {
        let ran = Checkout::with_flags(Vec::new()).gastown(&["up", "--detach", "--test", "true"]);
        if ran.code == 4 && ran.err.contains("cannot be isolated") {
            return false;
        }
        ran.ok();
        true
    })
}

/// Its phase.
pub(crate) fn phase(polecat: &Polecat) -> PolecatPhase {
    polecat.status.as_ref().map(|s| s.phase).unwrap_or_default()
}
