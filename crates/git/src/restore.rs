//! Putting a snapshot back: its differences become uncommitted changes of a work tree again.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::agent::AgentRepo;
use crate::call::{fields, path, path_bytes};
use crate::error::GitError;
use crate::names::Oid;
use crate::repo::Repo;
use crate::snapshot::ScratchIndex;

/// What was put back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files written.
    pub written: Vec<PathBuf>,
    /// Files deleted.
    pub deleted: Vec<PathBuf>,
    /// Paths left alone because `HEAD` has moved on in them since the snapshot: they stand in the snapshot only.
    pub left: Vec<PathBuf>,
}

impl AgentRepo {
    /// See [`Repo::restore_snapshot`].
    ///
    /// # Errors
    /// If git fails or files cannot be written.
    pub async fn restore_snapshot(&self, snapshot: &Oid) -> Result<Restored, GitError> {
        self.inner().restore_snapshot(snapshot).await
    }
}

impl Repo {
    /// Makes the snapshot's differences to its parent uncommitted changes of this work tree again. The index stays as it is:
    /// new files come back untracked.
    ///
    /// # Errors
    /// If the snapshot is not here, git fails, or files cannot be written.
    pub async fn restore_snapshot(&self, snapshot: &Oid) -> Result<Restored, GitError> {
        let parent = self.cat_commit(snapshot).await?.parents.into_iter().next();
        let changes = self.changes(parent.as_ref(), snapshot).await?;
        let moved = match (&parent, self.rev_parse("HEAD").await?) {
            (Some(parent), Some(head)) if *parent != head => {
                self.diff_names(parent, &head).await?.into_iter().collect()
            }
            _ => BTreeSet::new(),
        };
        let mut restored = Restored::default();
        for (deleted, path) in changes {
            match (moved.contains(&path), deleted) {
                (true, _) => restored.left.push(path),
                (false, true) => restored.deleted.push(path),
                (false, false) => restored.written.push(path),
            }
        }
        // Deletions first: a file may have become a folder.
        for path in &restored.deleted {
            self.remove(path)?;
        }
        self.write_out(snapshot, &restored.written).await?;
        Ok(restored)
    }

    /// The paths in which a commit differs from its parent, and whether it lacks them.
    async fn changes(&self, parent: Option<&Oid>, commit: &Oid) -> Result<Vec<(bool, PathBuf)>, GitError> {
        let call = self
            .call("diff-tree")
            .args(["-r", "-z", "--no-renames", "--name-status", "--no-commit-id"]);
        let call = match parent {
            Some(parent) => call.args([parent.as_str(), commit.as_str()]),
            None => call.args(["--root", commit.as_str()]),
        };
        let answer = call.end_of_options().ok().await?;
        let mut parts = fields(&answer.stdout);
        let mut changes = Vec::new();
        while let (Some(letter), Some(name)) = (parts.next(), parts.next()) {
            changes.push((letter == b"D", path(name)));
        }
        Ok(changes)
    }

    async fn write_out(&self, commit: &Oid, paths: &[PathBuf]) -> Result<(), GitError> {
        if paths.is_empty() {
            return Ok(());
        }
        let index = ScratchIndex::new(self);
        index.call(self, "read-tree").arg(commit.as_str()).ok().await?;
        let mut input = Vec::new();
        for path in paths {
            input.extend(path_bytes(path));
            input.push(0);
        }
        index
            .call(self, "checkout-index")
            .args(["--force", "--quiet", "-z", "--stdin"])
            .stdin(input)
            .ok()
            .await
            .map(drop)
    }

    /// Deletes a file and the folders it leaves empty. Never through a symbolic link: it may point out of the work tree.
    fn remove(&self, path: &Path) -> Result<(), GitError> {
        let mut folder = self.dir().to_owned();
        for part in path.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else {
                return Ok(());
            };
            folder.push(part);
            if !std::fs::symlink_metadata(&folder).is_ok_and(|about| about.is_dir()) {
                return Ok(());
            }
        }
        let full = self.dir().join(path);
        match std::fs::remove_file(&full) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(GitError::Io {
                    what: "delete",
                    path: full,
                    source: e,
                });
            }
            _ => {}
        }
        let mut above = path.parent();
        while let Some(folder) = above.filter(|f| !f.as_os_str().is_empty()) {
            // Fails on the first one that still holds something.
            if std::fs::remove_dir(self.dir().join(folder)).is_err() {
                break;
            }
            above = folder.parent();
        }
        Ok(())
    }
}
