//! What `candidate`, `land` and `beads` share: their repository, their remote, and what a failure means to the queue.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use gastown_git::{Fault, FetchOptions, Git, GitError, Oid, RefName, Refspec, Remote, Repo};
use gastown_wire::{Pace, Paths, RemoteOrders, RemoteTrouble, candidates_prefix};

use crate::access::{self, AccessError};

/// Exit code where everything was looked at and there is nothing to test or nothing landed: the report says why.
pub(crate) const DECLINED: i32 = 79;

/// Why neither a candidate nor a verdict on one came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// Trying again changes nothing.
    #[error("{reason}: {detail}")]
    Config {
        /// CamelCase, for the report.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
}

impl Trouble {
    pub(crate) fn orders(detail: impl ToString) -> Self {
        Self::Config {
            reason: "BadOrders",
            detail: detail.to_string(),
        }
    }

    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Config { detail, .. } | Self::Transient(detail) => detail.clone(),
        }
    }
}

impl From<AccessError> for Trouble {
    fn from(AccessError { trouble, detail }: AccessError) -> Self {
        Self::Config {
            reason: trouble.as_str(),
            detail,
        }
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        match (access::trouble(&error), error.fault()) {
            (Some(trouble), _) => trouble.into(),
            (None, Fault::NoSuchRef | Fault::Other)
                if !matches!(error, GitError::Io { .. } | GitError::Spawn { .. }) =>
            {
                AccessError::new(RemoteTrouble::GitFailed, error.to_string()).into()
            }
            // Also out of processes, memory or space: another moment or another machine may have some.
            (None, _) => Self::Transient(error.to_string()),
        }
    }
}

/// The repository of this pod and the remote it is for.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) repo: Repo,
    pub(crate) remote: Remote,
    /// The branch that work lands on.
    pub(crate) target: RefName,
}

impl Desk {
    /// Makes the repository, or finds the one of a run before in the same volume.
    pub(crate) async fn open(git: &Git, remote: &RemoteOrders, paths: &Paths, pace: &Pace) -> Result<Self, Trouble> {
        let repository = place(&paths.courier, "paths.courier")?.join("repo.git");
        let target = RefName::parse(&format!("refs/heads/{}", remote.branch)).map_err(Trouble::orders)?;
        let git = git.clone().with_timeout(Duration::from_secs(pace.git_timeout_s.max(1)));
        let (git, remote) = access::open(git, remote)?;
        let repo = git.init_bare(&repository).await?;
        Ok(Self { repo, remote, target })
    }

    /// What the remote has of these names (or of prefixes ending in `*`).
    pub(crate) async fn look(&self, names: &[&str]) -> Result<BTreeMap<RefName, Oid>, Trouble> {
        Ok(self.repo.git().ls_remote(&self.remote, names).await?)
    }

    /// The target branch among `refs`.
    pub(crate) async fn target_in(&self, refs: &BTreeMap<RefName, Oid>) -> Result<Oid, Trouble> {
        if let Some(tip) = refs.get(&self.target) {
            return Ok(tip.clone());
        }
        let trouble = match self.look(&["refs/heads/*"]).await?.is_empty() {
            true => RemoteTrouble::RepositoryEmpty,
            false => RemoteTrouble::BranchNotFound,
        };
        Err(AccessError::new(trouble, format!("{} has no {}", self.remote, self.target)).into())
    }

    /// Fetches with whole history: merges are wrong on a history that was cut.
    pub(crate) async fn fetch(&self, specs: &[Refspec]) -> Result<(), GitError> {
        self.repo.fetch(&self.remote, specs, FetchOptions::default()).await
    }
}

/// The remote takes no ref of ours beside branches.
pub(crate) fn refused(name: &RefName, why: &str) -> Trouble {
    AccessError::new(
        RemoteTrouble::RefsRefused,
        format!("the remote refuses the ref {name}: {why}"),
    )
    .into()
}

/// A path of the orders that must be there.
pub(crate) fn place(path: &str, field: &str) -> Result<PathBuf, Trouble> {
    if path.is_empty() {
        return Err(Trouble::orders(format!("the orders lack {field}")));
    }
    Ok(Path::new(path).to_owned())
}

/// An object id of the orders.
pub(crate) fn oid(text: &str) -> Result<Oid, Trouble> {
    Oid::parse(text).map_err(Trouble::orders)
}

/// The candidate ref of the orders. A slip of the pen must not let us write a branch.
pub(crate) fn candidate_ref(rig: &str, name: &str) -> Result<RefName, Trouble> {
    if rig.is_empty() {
        return Err(Trouble::orders("the orders lack rig"));
    }
    let prefix = candidates_prefix(rig);
    if !name.starts_with(&prefix) {
        return Err(Trouble::orders(format!("{name} does not lie below {prefix}")));
    }
    RefName::parse(name).map_err(Trouble::orders)
}
