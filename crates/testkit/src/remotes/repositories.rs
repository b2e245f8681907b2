//! Bare repositories in a folder, and the rules a forge may put upon them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
#[expect(clippy::disallowed_types, reason = "the other side of the wire is plain git")]
use std::process::Command;

use tempfile::TempDir;

/// A folder of bare repositories.
#[derive(Debug)]
pub struct Repositories {
    dir: TempDir,
}

impl Default for Repositories {
    fn default() -> Self {
        Self::new()
    }
}

impl Repositories {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Where they lie.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A repository whose `main` has a first commit.
    #[must_use]
    pub fn create(&self, name: &str) -> Repository {
        let repository = self.create_empty(name);
        repository.commit(
            "main",
            "first",
            &[("README.md", "parts\n"), ("a.txt", "one\ntwo\nthree\n")],
        );
        repository
    }

    /// A repository without a commit.
    #[must_use]
    pub fn create_empty(&self, name: &str) -> Repository {
        let path = self.root().join(name);
        git(
            self.root(),
            &["init", "-q", "--bare", "--template=", "-b", "main", name],
        );
        Repository { path }
    }
}

/// One bare repository, seen from the server's side.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
}

impl Repository {
    /// The one at a path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs git in it.
    pub fn git(&self, args: &[&str]) -> String {
        git(&self.path, args)
    }

    /// Runs git in it; `None` if it fails.
    #[must_use]
    pub fn try_git(&self, args: &[&str]) -> Option<String> {
        try_git(&self.path, args).ok()
    }

    /// What a ref names; `None` if it does not exist.
    #[must_use]
    pub fn tip(&self, name: &str) -> Option<String> {
        self.try_git(&["rev-parse", "--verify", "-q", name])
    }

    /// All refs, one a line.
    #[must_use]
    pub fn refs(&self) -> String {
        self.git(&["for-each-ref"])
    }

    /// Somebody's commit on a branch, which begins at `main` where it is new. Returns it.
    pub fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, from) = (scratch.path(), self.path.display().to_string());
        git(dir, &["init", "-q", "--template=", "-b", "scratch"]);
        let known = [branch, "main"]
            .iter()
            .any(|branch| try_git(dir, &["fetch", "-q", &from, branch]).is_ok());
        if known {
            git(dir, &["reset", "-q", "--hard", "FETCH_HEAD"]);
        }
        for (name, text) in files {
            fs::write(dir.join(name), text).unwrap();
        }
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "--allow-empty", "-m", message]);
        // By object and ref, not by push: the rules below are for others.
        git(&self.path, &["fetch", "-q", &dir.display().to_string(), "scratch"]);
        let commit = git(dir, &["rev-parse", "HEAD"]);
        git(&self.path, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    /// A shell script as a hook of this repository.
    pub fn hook(&self, name: &str, body: &str) -> &Self {
        let hooks = self.path.join("hooks");
        fs::create_dir_all(&hooks).unwrap();
        // Beside and moved: a hook that is being written while another test forks cannot be started.
        let (fresh, hook) = (hooks.join(format!("{name}.new")), hooks.join(name));
        fs::write(&fresh, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(fresh, hook).unwrap();
        self
    }

    /// The hook goes.
    pub fn without_hook(&self, name: &str) -> &Self {
        let _ = fs::remove_file(self.path.join("hooks").join(name));
        self
    }

    /// As a forge protects a branch: nobody moves it, other refs of the push may go their way.
    pub fn protect(&self, branch: &str) -> &Self {
        self.hook(
            "update",
            &format!(
                "case $1 in refs/heads/{branch}) echo 'GH006: Protected branch update failed for {branch}.' >&2; exit 1;; esac"
            ),
        )
    }

    /// As a server that knows branches and tags and nothing else.
    pub fn refuse_custom_refs(&self) -> &Self {
        self.hook(
            "pre-receive",
            "while read old new ref; do case $ref in refs/heads/*|refs/tags/*) ;; *) echo \"only branches and tags are allowed here, not $ref\" >&2; exit 1;; esac; done",
        )
    }

    /// Pushes that touch a branch are refused whole, with these words.
    pub fn refuse_branches(&self, pattern: &str, words: &str) -> &Self {
        self.hook(
            "pre-receive",
            &format!(
                "while read old new ref; do case $ref in refs/heads/{pattern}) echo '{words}' >&2; exit 1;; esac; done"
            ),
        )
    }

    /// As a server that cannot move refs together.
    pub fn without_atomic(&self) -> &Self {
        self.git(&["config", "receive.advertiseAtomic", "false"]);
        self
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    try_git(dir, args).unwrap_or_else(|said| panic!("git {args:?} in {}: {said}", dir.display()))
}

#[expect(clippy::disallowed_types, reason = "the other side of the wire is plain git")]
fn try_git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let out = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match out.status.success() {
        true => Ok(text(&out.stdout)),
        false => Err(text(&out.stderr)),
    }
}
