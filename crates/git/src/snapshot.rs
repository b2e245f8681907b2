//! Uncommitted work as a commit on a side ref, taken without touching the user's index.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::agent::{AgentRepo, StatusEntry};
use crate::call::{Call, path_bytes};
use crate::commit::{Identity, NewCommit};
use crate::error::GitError;
use crate::names::{Oid, RefName};
use crate::push::Expect;
use crate::refs::Cas;
use crate::repo::Repo;

/// What a snapshot leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes.
    pub file_bytes: u64,
    /// Most files.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 10 * 1024 * 1024,
            files: 10_000,
        }
    }
}

/// A path that a snapshot left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The path from the top of the work tree.
    pub path: PathBuf,
    /// Why.
    pub why: SkippedWhy,
}

/// Why a path was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkippedWhy {
    /// Larger than allowed.
    TooLarge,
    /// More files than allowed.
    TooMany,
    /// Its name says that it holds a secret.
    LooksSecret,
    /// A repository inside the work tree.
    Repository,
    /// It cannot be read, or is not a file.
    Unreadable,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit that holds the uncommitted work (its parent is `HEAD`); `None` if there is nothing to keep.
    pub commit: Option<Oid>,
    /// How many paths differ from `HEAD`.
    pub dirty: usize,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

impl AgentRepo {
    /// Keeps everything that differs from `HEAD`, staged or not, tracked or not, ignored files apart, as a commit at `name`.
    /// With nothing to keep the ref goes. The same content again gives the same commit.
    ///
    /// # Errors
    /// If git fails, as it may when files change under its hands: try again at the next interval.
    pub async fn snapshot(&self, name: &RefName, limits: Limits) -> Result<Snapshot, GitError> {
        self.snapshot_of(self.status_porcelain().await?, name, limits).await
    }

    /// The same where the status was just read.
    ///
    /// # Errors
    /// As [`AgentRepo::snapshot`].
    pub async fn snapshot_of(
        &self,
        entries: Vec<StatusEntry>,
        name: &RefName,
        limits: Limits,
    ) -> Result<Snapshot, GitError> {
        let dirty = entries.iter().map(|e| &e.path).collect::<BTreeSet<_>>().len();
        let (paths, skipped) = self.choose(entries, limits);
        let kept = format!("{name}^{{commit}}");
        let [head, base, before] = self.inner().objects(["HEAD^{commit}", "HEAD^{tree}", &kept]).await?;
        let tree = if paths.is_empty() {
            None
        } else {
            self.tree_with(base.as_ref(), &paths).await?
        };
        let commit = match tree {
            Some(tree) => Some(self.keep(name, &tree, head, before).await?),
            None => {
                if before.is_some() {
                    let _: Cas = self.inner().delete_ref(name, Expect::Any).await?;
                }
                None
            }
        };
        Ok(Snapshot { commit, dirty, skipped })
    }

    /// Parts what is kept from what is not.
    fn choose(&self, entries: Vec<StatusEntry>, limits: Limits) -> (Vec<PathBuf>, Vec<Skipped>) {
        let (mut kept, mut skipped) = (BTreeSet::new(), Vec::new());
        for StatusEntry { path, .. } in entries {
            match self.obstacle(&path, limits.file_bytes) {
                Some(why) => skipped.push(Skipped { path, why }),
                None if kept.len() >= limits.files && !kept.contains(&path) => {
                    skipped.push(Skipped {
                        path,
                        why: SkippedWhy::TooMany,
                    });
                }
                None => {
                    kept.insert(path);
                }
            }
        }
        (kept.into_iter().collect(), skipped)
    }

    fn obstacle(&self, path: &Path, most: u64) -> Option<SkippedWhy> {
        if path_bytes(path).ends_with(b"/") {
            return Some(SkippedWhy::Repository);
        }
        let full = self.dir().join(path);
        match std::fs::symlink_metadata(&full) {
            // Gone: a deletion is kept too. A path whose folder became a file is gone as well.
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                None
            }
            Err(_) => Some(SkippedWhy::Unreadable),
            Ok(_) if looks_secret(path) => Some(SkippedWhy::LooksSecret),
            Ok(about) if about.is_symlink() => None,
            Ok(about) if about.is_dir() => None,
            Ok(about) if !about.is_file() => Some(SkippedWhy::Unreadable),
            Ok(about) if about.len() > most => Some(SkippedWhy::TooLarge),
            // One file that cannot be read would fail the whole snapshot.
            Ok(_) => std::fs::File::open(&full).is_err().then_some(SkippedWhy::Unreadable),
        }
    }

    /// The tree of `HEAD`, `base`, with these paths as they are in the work tree; `None` if that is the same.
    async fn tree_with(&self, base: Option<&Oid>, paths: &[PathBuf]) -> Result<Option<Oid>, GitError> {
        let index = ScratchIndex::new(self.inner());
        let read = index.call(self.inner(), "read-tree");
        match base {
            Some(tree) => read.arg(tree.as_str()).ok().await?,
            None => read.arg("--empty").ok().await?,
        };
        // Deletions first: a file may have become a folder, or the other way round.
        let (here, gone): (Vec<&PathBuf>, Vec<&PathBuf>) =
            paths.iter().partition(|path| is_file(&self.dir().join(path)));
        for (paths, options) in [(gone, &["--force-remove"][..]), (here, &["--add", "--replace"][..])] {
            let mut input = Vec::new();
            for path in paths {
                input.extend(path_bytes(path));
                input.push(0);
            }
            if !input.is_empty() {
                index
                    .call(self.inner(), "update-index")
                    .args(options)
                    .args(["-z", "--stdin"])
                    .stdin(input)
                    .ok()
                    .await?;
            }
        }
        let tree = index.call(self.inner(), "write-tree").oid().await?;
        Ok((Some(&tree) != base).then_some(tree))
    }

    /// Puts the tree at the ref, unless it is there already.
    async fn keep(&self, name: &RefName, tree: &Oid, head: Option<Oid>, before: Option<Oid>) -> Result<Oid, GitError> {
        let parents: Vec<Oid> = head.into_iter().collect();
        if let Some(before) = before {
            let old = self.inner().cat_commit(&before).await?;
            if old.tree == *tree && old.parents == parents {
                return Ok(before);
            }
        }
        let now = Identity::default().now();
        let new = NewCommit {
            tree,
            parents: &parents,
            author: now.clone(),
            committer: now,
            encoding: None,
            message: b"Uncommitted work\n",
        };
        let commit = self.inner().commit_tree(&new).await?;
        // Nobody else writes this ref; if the agent does, the next snapshot puts it right.
        let _: Cas = self.inner().update_ref(name, &commit, Expect::Any).await?;
        Ok(commit)
    }
}

fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| !about.is_dir())
}

/// An index beside the user's, gone when dropped.
pub(crate) struct ScratchIndex(PathBuf);

impl ScratchIndex {
    pub(crate) fn new(repo: &Repo) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "gastown-index-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let scratch = Self(
            crate::fetch::absolute(repo.git_dir())
                .unwrap_or_else(|_| repo.git_dir().to_owned())
                .join(name),
        );
        // One of an earlier life with our process id.
        scratch.remove();
        scratch
    }

    pub(crate) fn call(&self, repo: &Repo, name: &'static str) -> Call {
        repo.call(name).env("GIT_INDEX_FILE", &self.0)
    }

    fn remove(&self) {
        for path in [self.0.clone(), self.0.with_extension("lock")] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::debug!(%error, path = %path.display(), "scratch index stays behind");
                }
                _ => {}
            }
        }
    }
}

impl Drop for ScratchIndex {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Whether a file's name is one under which secrets are usually kept. Cautious: a false alarm costs one file of a snapshot.
fn looks_secret(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    let in_folder = path
        .components()
        .any(|c| [".ssh", ".gnupg", ".aws", ".kube"].iter().any(|d| c.as_os_str() == *d));
    let exact = [
        ".env",
        ".envrc",
        ".netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".pgpass",
        ".htpasswd",
        ".dockercfg",
        "kubeconfig",
        "credentials",
        "credentials.json",
        "service-account.json",
    ];
    let ends = [
        ".pem",
        ".key",
        ".p12",
        ".pfx",
        ".jks",
        ".keystore",
        ".kdbx",
        ".asc",
        ".tfstate",
        "_rsa",
        "_ed25519",
        "_ecdsa",
        "_dsa",
    ];
    let example = [".example", ".sample", ".template", ".dist"]
        .iter()
        .any(|e| name.ends_with(e));
    let env_file = name.starts_with(".env.") && !example;
    in_folder || env_file || exact.contains(&name.as_str()) || ends.iter().any(|e| name.ends_with(e))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::looks_secret;

    #[test]
    fn names_of_secrets() {
        for name in [
            ".env",
            "a/.env.local",
            "id_rsa",
            "deploy_ed25519",
            "tls/server.KEY",
            "ca.pem",
            ".ssh/config",
            "x/.aws/y",
            "credentials.json",
        ] {
            assert!(looks_secret(Path::new(name)), "{name}");
        }
        for name in [
            "main.rs",
            ".env.example",
            "id_rsa.pub",
            "environment.md",
            "keys.rs",
            "envelope",
            "pem.c",
        ] {
            assert!(!looks_secret(Path::new(name)), "{name}");
        }
    }
}
