//! Scratch repositories and the independent git.

use std::path::{Path, PathBuf};
use std::process::Command;

use gastown_git::{Git, Identity, NewCommit, Oid, RefName, Remote, Repo};
use tempfile::TempDir;

pub(crate) struct Scene {
    pub(crate) git: Git,
    pub(crate) root: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self {
            git: Git::probe().await.unwrap(),
            root: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A bare repository and the remote that reaches it.
    pub(crate) async fn bare(&self, name: &str) -> (Repo, Remote) {
        let repo = self.git.init_bare(&self.path(name)).await.unwrap();
        (repo, Remote::parse(self.path(name).to_str().unwrap()).unwrap())
    }

    /// A work tree made and driven by the independent git.
    pub(crate) fn tree(&self, name: &str) -> Tree {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        let tree = Tree(dir);
        tree.git(&["init", "-q", "-b", "main", "."]);
        tree
    }
}

pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.0, args)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn commit(&self, message: &str) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.at("HEAD")
    }

    pub(crate) fn at(&self, spec: &str) -> Oid {
        Oid::parse(&self.git(&["rev-parse", spec])).unwrap()
    }

    pub(crate) fn remote(&self) -> Remote {
        Remote::parse(self.0.to_str().unwrap()).unwrap()
    }
}

/// Runs an independent git and gives its trimmed answer.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let (ok, out) = try_git(dir, args);
    assert!(ok, "git {args:?}: {out}");
    out
}

pub(crate) fn try_git(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .args([
            "-c",
            "user.name=A U Thor",
            "-c",
            "user.email=author@example.com",
            "-c",
            "safe.directory=*",
        ])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let text = if out.status.success() { out.stdout } else { out.stderr };
    (out.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}

/// A script that somebody else wrote: a descriptor of ours, open for writing while a test beside us forks, would keep it from starting.
pub(crate) fn script(path: &Path, body: &str) {
    let status = Command::new("sh")
        .args(["-c", "printf '%s' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .arg(format!("#!/bin/sh\n{body}\n"))
        .status()
        .unwrap();
    assert!(status.success());
}

pub(crate) fn name(text: &str) -> RefName {
    RefName::parse(text).unwrap()
}

/// A commit of one file, made in the repository itself.
pub(crate) async fn commit(repo: &Repo, parents: &[Oid], text: &str) -> Oid {
    let blob = repo.write_blob(text.into()).await.unwrap();
    let tree = repo
        .mktree(&[gastown_git::TreeEntry::File {
            name: "file".into(),
            blob,
        }])
        .await
        .unwrap();
    let by = Identity::default().at_seconds(1_700_000_000);
    let new = NewCommit {
        tree: &tree,
        parents,
        author: by.clone(),
        committer: by,
        encoding: None,
        message: text.as_bytes(),
    };
    repo.commit_tree(&new).await.unwrap()
}
