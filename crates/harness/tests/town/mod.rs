//! A remote, pods on it, and the harness in them as plain processes.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gastown_wire::*;
use tempfile::TempDir;

pub(crate) const HARNESS: &str = env!("CARGO_BIN_EXE_gastown-harness");
pub(crate) const UID: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const WORK: &str = "polecat/nux";
/// An agent that does its work.
pub(crate) const GOOD: &str = "echo new > b.txt; git add -A; git commit -qm 'add b'";

/// Runs git as a stranger would, with no configuration of this machine.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let (ok, text) = try_git(dir, args);
    assert!(ok, "git {args:?} in {}: {text}", dir.display());
    text
}

pub(crate) fn try_git(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .current_dir(dir)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "T"),
            ("GIT_AUTHOR_EMAIL", "t@t"),
            ("GIT_COMMITTER_NAME", "T"),
            ("GIT_COMMITTER_EMAIL", "t@t"),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned() + String::from_utf8_lossy(&out.stderr).trim_end();
    (out.status.success(), text.trim_end().to_owned())
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A remote repository with a branch `main`, and room for pods.
pub(crate) struct Town {
    pub(crate) dir: TempDir,
    pub(crate) remote: PathBuf,
}

impl Town {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let remote = dir.path().join("origin.git");
        git(
            dir.path(),
            &["init", "-q", "--bare", "--template=", "-b", "main", "origin.git"],
        );
        let start = tempfile::tempdir_in(dir.path()).unwrap();
        for (name, content) in [
            ("README.md", "parts\n"),
            ("a.txt", "one\ntwo\nthree\n"),
            (".gitignore", "*.ignored\n"),
        ] {
            fs::write(start.path().join(name), content).unwrap();
        }
        let files = format!("--work-tree={}", start.path().display());
        // Where it lands: no push, and nobody looks whether there is something to pack after each of the many that come.
        git(&remote, &["config", "receive.autogc", "false"]);
        git(&remote, &["--git-dir=.", &files, "add", "-A"]);
        git(&remote, &["--git-dir=.", &files, "commit", "-q", "-m", "start"]);
        Self { dir, remote }
    }

    /// Somebody's commit on main. Returns it.
    pub(crate) fn land(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.push_to("main", message, files)
    }

    /// Somebody's commit on a branch.
    pub(crate) fn push_to(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let scratch = tempfile::tempdir_in(self.dir.path()).unwrap();
        let dir = scratch.path();
        git(dir, &["init", "-q", "--template=", "-b", "scratch"]);
        let remote = self.remote.display().to_string();
        if try_git(dir, &["fetch", "-q", &remote, branch]).0 || try_git(dir, &["fetch", "-q", &remote, "main"]).0 {
            git(dir, &["reset", "-q", "--hard", "FETCH_HEAD"]);
        }
        for (name, content) in files {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), content).unwrap();
        }
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "-m", message]);
        git(dir, &["push", "-q", &remote, &format!("HEAD:refs/heads/{branch}")]);
        git(dir, &["rev-parse", "HEAD"])
    }

    /// What a ref of the remote names; empty if it does not exist.
    pub(crate) fn tip(&self, name: &str) -> String {
        let (ok, text) = try_git(&self.remote, &["rev-parse", "--verify", "-q", name]);
        if ok { text } else { String::new() }
    }

    pub(crate) fn work(&self) -> String {
        self.tip(&format!("refs/heads/{WORK}"))
    }

    pub(crate) fn record(&self) -> serde_json::Value {
        serde_json::from_str(&git(
            &self.remote,
            &["show", &format!("{}:record.json", record_ref(UID))],
        ))
        .unwrap()
    }

    /// Whether the record keeps a commit alive.
    pub(crate) fn record_reaches(&self, commit: &str) -> bool {
        try_git(&self.remote, &["merge-base", "--is-ancestor", commit, &record_ref(UID)]).0
    }

    pub(crate) fn refs(&self) -> String {
        git(&self.remote, &["for-each-ref"])
    }

    /// A pod of the first attempt whose agent is a shell script.
    pub(crate) fn pod(&self, script: &str) -> Pod {
        self.attempt(1, 1, script)
    }

    pub(crate) fn attempt(&self, round: u32, attempt: u32, script: &str) -> Pod {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for folder in ["shared", "courier", "pod", "work"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let orders = PolecatOrders {
            version: VERSION,
            subject: Subject {
                namespace: "default".into(),
                name: "nux".into(),
                uid: UID.into(),
                rig: "parts".into(),
                rig_uid: Some("rig-1".into()),
                bead: Some("mp-1".into()),
            },
            round,
            attempt,
            remote: RemoteOrders {
                url: self.remote.display().to_string(),
                branch: "main".into(),
                ..RemoteOrders::default()
            },
            work_branch: WORK.into(),
            task: Text::Inline("Add b.txt\n".into()),
            task_of_bead: false,
            evidence: None,
            agent: AgentOrders {
                kind: "custom".into(),
                command: vec!["sh".into(), "-euc".into(), script.into()],
                ..AgentOrders::default()
            },
            paths: Paths {
                workspace: at("work/repo"),
                home: at("home"),
                shared: at("shared"),
                courier: at("courier"),
                pod_info: at("pod"),
                settings: String::new(),
            },
            pace: Pace {
                push_interval_ms: 100,
                agent_grace_s: 5,
                ..Pace::default()
            },
            record: RecordLevel::Work,
            content: None,
        };
        Pod {
            uid: format!("pod-{attempt}"),
            orders,
            dir,
            env: Vec::new(),
            program: vec![HARNESS.into()],
        }
    }
}

/// A pod: orders, volumes, a UID.
pub(crate) struct Pod {
    pub(crate) dir: TempDir,
    pub(crate) orders: PolecatOrders,
    pub(crate) uid: String,
    /// More of every container's environment.
    pub(crate) env: Vec<(String, String)>,
    /// What is started, before the step's name.
    pub(crate) program: Vec<String>,
}

impl Pod {
    pub(crate) fn workspace(&self) -> PathBuf {
        self.orders.paths.workspace.clone().into()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn start(&self, step: &str) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(&format!("{step}.log")))
            .unwrap();
        let (program, before) = self.program.split_first().unwrap();
        let mut command = Command::new(program);
        command
            .args(before)
            .arg(step)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("TMPDIR", self.dir.path())
            .env(
                ORDERS_ENV,
                serde_json::to_string(&Orders::Polecat(Box::new(self.orders.clone()))).unwrap(),
            )
            .env(POD_UID_ENV, &self.uid)
            .env(TERMINATION_ENV, self.path(&format!("{step}.report")))
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command.spawn().unwrap()
    }

    /// Runs `clone` to its end.
    pub(crate) fn clone_step(&self) -> (i32, CloneReport) {
        let code = end(self.start("clone"));
        let report = CloneReport::decode(&self.read("clone.report"));
        (
            code,
            report.unwrap_or_else(|e| panic!("{e}\n{}", self.read("clone.log"))),
        )
    }

    /// Runs `clone`, which must succeed.
    pub(crate) fn cloned(&self) -> &Self {
        let (code, report) = self.clone_step();
        assert_eq!(code, 0, "{report:?}\n{}", self.read("clone.log"));
        self
    }

    /// Starts `run` and `courier`.
    pub(crate) fn up(&self) -> Up<'_> {
        Up {
            pod: self,
            courier: self.start("courier"),
            run: self.start("run"),
        }
    }

    pub(crate) fn up_run(&self) -> Child {
        self.start("run")
    }

    pub(crate) fn up_courier(&self) -> Child {
        self.start("courier")
    }

    /// Exit code of the readiness probe.
    pub(crate) fn ready(&self) -> i32 {
        end(self.start("ready"))
    }

    /// clone, run and courier to the end: courier's report.
    pub(crate) fn all(&self) -> CourierReport {
        self.cloned().up().report()
    }

    pub(crate) fn logs(&self) -> String {
        ["clone", "run", "courier"]
            .map(|step| format!("--- {step}\n{}", self.read(&format!("{step}.log"))))
            .join("\n")
    }
}

/// The main containers of a pod.
pub(crate) struct Up<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) run: Child,
    pub(crate) courier: Child,
}

impl Up<'_> {
    /// Waits for both; both must exit 0. Returns what courier reports.
    pub(crate) fn report(self) -> CourierReport {
        let pod = self.pod;
        let (run, courier, report) = self.codes();
        assert_eq!((run, courier), (0, 0), "{report:?}\n{}", pod.logs());
        report.unwrap()
    }

    /// Waits for both.
    pub(crate) fn codes(mut self) -> (i32, i32, Result<CourierReport, ReportError>) {
        let [run, courier] = [&mut self.run, &mut self.courier]
            .map(|child| ended(child).unwrap_or_else(|| panic!("no end within a minute\n{}", self.pod.logs())));
        (run, courier, CourierReport::decode(&self.pod.read("courier.report")))
    }

    /// The node dies: nothing ends in order.
    pub(crate) fn lost(mut self) {
        for child in [&mut self.run, &mut self.courier] {
            kill_tree(child.id());
            child.wait().unwrap();
        }
    }

    /// The pod is deleted.
    pub(crate) fn terminate(&self) {
        for child in [&self.run, &self.courier] {
            signal(child.id(), "TERM");
        }
    }
}

impl Drop for Up<'_> {
    /// A test that failed leaves nobody behind.
    fn drop(&mut self) {
        for child in [&mut self.run, &mut self.courier] {
            if matches!(child.try_wait(), Ok(None)) {
                kill_tree(child.id());
                let _ = child.wait();
            }
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    // It may have ended by itself.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .stderr(Stdio::null())
        .status();
}

/// Kills a process and all below it. Each is stopped before its children are counted: it tells nothing and starts none.
pub(crate) fn kill_tree(pid: u32) {
    signal(pid, "STOP");
    children(pid).into_iter().for_each(kill_tree);
    signal(pid, "KILL");
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|child: &u32| {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, tail)| tail.split_whitespace().nth(1)?.parse().ok());
            parent == Some(pid)
        })
        .collect()
}

/// Waits for a process, at most a minute.
pub(crate) fn end(mut child: impl std::borrow::BorrowMut<Child>) -> i32 {
    ended(child.borrow_mut()).unwrap_or_else(|| panic!("a container did not end within a minute"))
}

/// Waits for a process; none: it did not end within a minute, and was killed.
fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code().unwrap_or(-1));
        }
        if Instant::now() > deadline {
            kill_tree(child.id());
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
