//! A repository that agent code can write. Its configuration, hooks and filters are hostile, so what is run *inside* it
//! belongs where there is no credential; nothing here takes a remote.

use std::path::{Path, PathBuf};

use crate::call::{Call, fields, path};
use crate::error::GitError;
use crate::git::Git;
use crate::names::{BranchName, Oid};
use crate::repo::Repo;

/// A work tree that agent code can write.
#[derive(Clone, Debug)]
pub struct AgentRepo {
    inner: Repo,
}

/// A path that differs from `HEAD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusEntry {
    /// The two letters of `git status --porcelain`: index and work tree.
    pub code: [char; 2],
    /// The path from the top of the work tree.
    pub path: PathBuf,
}

impl AgentRepo {
    /// The work tree at `dir`. Runs nothing and checks nothing.
    #[must_use]
    pub fn at(git: Git, dir: &Path) -> Self {
        Self {
            inner: Repo::at(git, dir),
        }
    }

    /// The top of the work tree.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.inner.dir()
    }

    pub(crate) fn inner(&self) -> &Repo {
        &self.inner
    }

    pub(crate) fn call(&self, name: &'static str) -> Call {
        self.inner.call(name)
    }

    /// The branch `HEAD` names, born or not; `None` if detached.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn current_branch(&self) -> Result<Option<BranchName>, GitError> {
        self.inner.current_branch().await
    }

    /// The commit `HEAD` names; `None` on an unborn branch.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn head(&self) -> Result<Option<Oid>, GitError> {
        self.inner.rev_parse("HEAD").await
    }

    /// Every path that differs from `HEAD`, untracked files one by one, ignored ones and submodules left out.
    /// Does not touch the index.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn status_porcelain(&self) -> Result<Vec<StatusEntry>, GitError> {
        let call = self.call("status").args([
            "--porcelain=v1",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            "--ignore-submodules=all",
        ]);
        let answer = call.ok().await?;
        let entries =
            fields(&answer.stdout).map(|entry| status_entry(entry).ok_or_else(|| answer.unreadable("a short entry")));
        entries.collect()
    }
}

/// Reads `XY path`.
fn status_entry(entry: &[u8]) -> Option<StatusEntry> {
    match entry {
        [x, y, b' ', name @ ..] if !name.is_empty() => Some(StatusEntry {
            code: [char::from(*x), char::from(*y)],
            path: path(name),
        }),
        _ => None,
    }
}
