//! A remote, a person who commits to it, and the orders of one queue. Everything is judged with plain git.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use gastown_git::Git;
use gastown_harness::{candidate, land};
use gastown_wire::{
    BeadsOrders, CandidateOutcome, CandidateReport, LandOrders, LandReport, Member, MergeStyle, Pace, Paths,
    RemoteOrders, TestOrders, VERSION, candidates_prefix, record_ref,
};

pub(super) const RIG: &str = "parts";

/// The three files of the first commit: far apart enough that changes to different ones never meet.
pub(super) const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

pub(super) struct Town {
    dir: tempfile::TempDir,
}

impl Town {
    /// A bare remote whose `main` has one commit with `a`, `b` and `run.sh`.
    pub(super) fn new() -> Self {
        let town = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        town.git(&["init", "-q", "--bare", "--template=", "-b", "main", "remote.git"]);
        town.at_remote(&["config", "receive.autogc", "false"]);
        let first = town.path("first");
        fs::create_dir(&first).unwrap();
        for (name, content) in [("a", LINES), ("b", LINES), ("run.sh", "#!/bin/sh\nexit 0\n")] {
            fs::write(first.join(name), content).unwrap();
        }
        let files = format!("--work-tree={}", first.display());
        town.at_remote(&["--git-dir=.", &files, "add", "-A"]);
        town.at_remote(&["--git-dir=.", &files, "commit", "-q", "-m", "first"]);
        town.git(&["clone", "-q", "--template=", "remote.git", "desk"]);
        town
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run_git(dir: &Path, args: &[&str], stdin: &str) -> std::process::Output {
        Self::run_program("git", dir, args, stdin)
    }

    fn run_program(program: &str, dir: &Path, args: &[&str], stdin: &str) -> std::process::Output {
        #[expect(
            clippy::disallowed_types,
            reason = "the judge of these tests is plain git, not our own wrapper"
        )]
        let mut child = std::process::Command::new(program)
            .current_dir(dir)
            .args(args)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Furiosa")
            .env("GIT_AUTHOR_EMAIL", "furiosa@example.com")
            .env("GIT_AUTHOR_DATE", "1700000000 +0100")
            .env("GIT_COMMITTER_NAME", "Nux")
            .env("GIT_COMMITTER_EMAIL", "nux@example.com")
            .env("GIT_COMMITTER_DATE", "1700000100 +0100")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Writes a program. Another process does it: were the file ever open for writing here, a process that some other
    /// test starts in that instant would hold it open too, and starting the program would fail (ETXTBSY).
    pub(super) fn write_program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let put = ["-c", "cat > \"$0\" && chmod 755 \"$0\"", path.to_str().unwrap()];
        let out = Self::run_program("sh", self.dir.path(), &put, script);
        assert!(out.status.success(), "{out:?}");
        path
    }

    fn git_in(dir: &Path, args: &[&str], stdin: &str) -> String {
        let out = Self::run_git(dir, args, stdin);
        assert!(
            out.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout).trim_end_matches('\n').to_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        Self::git_in(self.dir.path(), args, "")
    }

    /// git at the desk of the person who commits.
    pub(super) fn at_desk(&self, args: &[&str]) -> String {
        Self::git_in(&self.path("desk"), args, "")
    }

    /// git at the remote.
    pub(super) fn at_remote(&self, args: &[&str]) -> String {
        Self::git_in(&self.path("remote.git"), args, "")
    }

    /// A commit of that tree at the remote, made at that second.
    pub(super) fn commit_tree_at(&self, tree: &str, seconds: u64) -> String {
        let line = format!("GIT_COMMITTER_DATE='{seconds} +0000' git commit-tree -m record {tree}");
        let out = Self::run_program("sh", &self.path("remote.git"), &["-c", &line], "");
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Another repository with all that the remote has.
    pub(super) fn twin(&self, name: &str) -> PathBuf {
        self.git(&["clone", "-q", "--mirror", "--template=", "remote.git", name]);
        self.path(name)
    }

    /// git in some folder.
    pub(super) fn at(&self, dir: &Path, args: &[&str]) -> String {
        Self::git_in(dir, args, "")
    }

    /// git at the remote, with something to read.
    pub(super) fn feed_remote(&self, args: &[&str], stdin: &str) -> String {
        Self::git_in(&self.path("remote.git"), args, stdin)
    }

    /// Whether git at the remote says yes.
    pub(super) fn remote_agrees(&self, args: &[&str]) -> bool {
        Self::run_git(&self.path("remote.git"), args, "").status.success()
    }

    pub(super) fn write(&self, file: &str, content: &str) {
        let path = self.path("desk").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn commit_all(&self, message: &str) -> String {
        self.at_desk(&["add", "-A"]);
        self.at_desk(&["commit", "-q", "--allow-empty", "-m", message]);
        self.at_desk(&["rev-parse", "HEAD"])
    }

    /// A pushed branch on top of `from` with one commit per list of files; the member that asks to land it.
    pub(super) fn member(&self, name: &str, from: &str, commits: &[&[(&str, &str)]]) -> Member {
        self.at_desk(&["checkout", "-q", "--detach", from]);
        for (n, files) in commits.iter().enumerate() {
            for (file, content) in *files {
                self.write(file, content);
            }
            self.commit_all(&format!("{name} {}", n + 1));
        }
        self.offer(name)
    }

    /// The real git, but a line of shell sees each of its arguments as `$a` first. So the world can change between two of
    /// our commands, at an exact point.
    pub(super) async fn git_that(&self, line: &str) -> Git {
        let script = format!("#!/bin/sh\nfor a in \"$@\"; do\n{line}\ndone\nexec git \"$@\"\n");
        let program = self.write_program("git-that", &script);
        Git::probe_program(&program).await.unwrap()
    }

    /// Pushes what is checked out as the branch of `name`.
    pub(super) fn offer(&self, name: &str) -> Member {
        let branch = format!("polecat/{name}");
        self.at_desk(&["push", "-q", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
        Member {
            polecat: format!("default/{name}"),
            uid: format!("uid-{name}"),
            commit: self.at_desk(&["rev-parse", "HEAD"]),
            branch,
            title: format!("Make {name} shine"),
        }
    }

    /// Somebody else pushes to main.
    pub(super) fn outsider(&self, file: &str, content: &str) -> String {
        self.at_desk(&["fetch", "-q", "origin"]);
        self.at_desk(&["checkout", "-q", "--detach", "origin/main"]);
        self.write(file, content);
        let commit = self.commit_all("from outside");
        self.at_desk(&["push", "-q", "origin", "HEAD:refs/heads/main"]);
        commit
    }

    /// Keeps a commit reachable only through the record of its polecat.
    pub(super) fn record(&self, member: &Member) {
        self.at_remote(&["update-ref", &record_ref(&member.uid), &member.commit]);
    }

    pub(super) fn main(&self) -> String {
        self.remote_ref("refs/heads/main").unwrap()
    }

    pub(super) fn remote_ref(&self, name: &str) -> Option<String> {
        let refs = self.at_remote(&["for-each-ref", "--format=%(objectname) %(refname)"]);
        refs.lines()
            .find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
    }

    /// The content of a file in a commit that the remote has.
    pub(super) fn show(&self, commit: &str, file: &str) -> String {
        self.at_remote(&["show", &format!("{commit}:{file}")])
    }

    pub(super) fn tree(&self, commit: &str) -> String {
        self.at_remote(&["rev-parse", &format!("{commit}^{{tree}}")])
    }

    pub(super) fn candidate_ref(batch: u64) -> String {
        format!("{}{batch}-1", candidates_prefix(RIG))
    }

    fn remote_orders(&self) -> RemoteOrders {
        RemoteOrders {
            url: self.path("remote.git").display().to_string(),
            branch: "main".into(),
            ..RemoteOrders::default()
        }
    }

    fn paths(&self, pod: &str) -> Paths {
        let place = |name: &str| self.path(pod).join(name).display().to_string();
        fs::create_dir_all(self.path(pod).join("courier")).unwrap();
        fs::create_dir_all(self.path(pod).join("volume")).unwrap();
        Paths {
            workspace: place("volume/repo"),
            courier: place("courier"),
            ..Paths::default()
        }
    }

    /// Orders of a fresh test pod.
    pub(super) fn test_orders(&self, pod: &str, style: MergeStyle, members: &[Member]) -> TestOrders {
        TestOrders {
            version: VERSION,
            rig: RIG.into(),
            remote: self.remote_orders(),
            base: None,
            members: members.to_vec(),
            merge_style: style,
            candidate_ref: Self::candidate_ref(7),
            paths: self.paths(pod),
            pace: Pace::default(),
        }
    }

    /// Orders of a land pod for what a test pod reported.
    pub(super) fn land_orders(&self, pod: &str, tested: &Tested) -> LandOrders {
        LandOrders {
            version: VERSION,
            rig: RIG.into(),
            remote: self.remote_orders(),
            base: tested.report.base.clone(),
            candidate: tested.commit.clone(),
            tree: tested.tree.clone(),
            candidate_ref: Self::candidate_ref(7),
            batch: 7,
            members: Vec::new(),
            sweep: None,
            paths: self.paths(pod),
            pace: Pace::default(),
        }
    }

    /// Orders of a fresh beads pod.
    pub(super) fn beads_orders(&self, pod: &str) -> BeadsOrders {
        BeadsOrders {
            version: VERSION,
            rig: RIG.into(),
            remote: self.remote_orders(),
            known: None,
            prefix: "mp-".into(),
            paths: self.paths(pod),
            pace: Pace::default(),
        }
    }

    /// Builds and expects a candidate.
    pub(super) async fn built(&self, orders: &TestOrders) -> Tested {
        let report = build(orders).await;
        let CandidateOutcome::Built { commit, tree } = report.outcome.clone() else {
            panic!("no candidate: {report:?}");
        };
        Tested { commit, tree, report }
    }

    /// A candidate with one change to `a`, ready to land.
    pub(super) async fn tested(&self) -> Tested {
        let member = self.member("nux", "main", &[&[("a", &LINES.replace("two", "2"))]]);
        self.built(&self.test_orders("test", MergeStyle::Rebase, &[member]))
            .await
    }
}

/// A hook of the remote.
pub(super) fn hook(town: &Town, name: &str, script: &str) {
    town.write_program(&format!("remote.git/hooks/{name}"), &format!("#!/bin/sh\n{script}\n"));
}

/// A candidate that was reported.
pub(super) struct Tested {
    pub(super) commit: String,
    pub(super) tree: String,
    pub(super) report: CandidateReport,
}

pub(super) async fn build(orders: &TestOrders) -> CandidateReport {
    build_with(&Git::probe().await.unwrap(), orders).await
}

pub(super) async fn build_with(git: &Git, orders: &TestOrders) -> CandidateReport {
    candidate::build(git, orders).await
}

pub(super) async fn land_it(orders: &LandOrders) -> LandReport {
    land_with(&Git::probe().await.unwrap(), orders).await
}

pub(super) async fn land_with(git: &Git, orders: &LandOrders) -> LandReport {
    land::land(git, orders).await
}
