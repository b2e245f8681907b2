//! The record repository, where a rig has one: uncommitted files and conversations lie there and nowhere else, so that nobody
//! who can read the code can read them. What it does never holds up the work: each look and each push ends in time.

use std::{collections::BTreeMap, path::Path, time::Duration};

use gastown_git::{Git, GitError, Oid, PushOutcome, RefName, RefUpdate, Remote, Repo};
use gastown_wire::RemoteOrders;

use crate::access::{self, AccessError};

/// Longest that one look or push may take at first. It doubles while the repository fails, and so does the pause.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why it cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// Git or the remote.
    #[error(transparent)]
    Git(#[from] GitError),
    /// No address, or a credential that cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// It does not answer.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
}

/// A repository of ours, spoken for with what opens the other remote.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) repo: Repo,
    pub(crate) remote: Remote,
}

impl Content {
    /// The same folder as the work's repository: what was fetched from one need not be fetched from the other.
    pub(crate) async fn open(git: Git, dir: &Path, orders: &RemoteOrders) -> Result<Self, ContentError> {
        let (git, remote) = access::open(git, orders)?;
        let repo = git.open(dir).await?;
        Ok(Self { repo, remote })
    }

    /// What it has of these names, or of prefixes ending in `*`.
    pub(crate) async fn look(&self, names: &[&str]) -> Result<BTreeMap<RefName, Oid>, GitError> {
        self.repo.git().ls_remote(&self.remote, names).await
    }

    /// Moves refs there: all or none, each leased.
    pub(crate) async fn push(&self, updates: &[RefUpdate], patience: Duration) -> Result<PushOutcome, ContentError> {
        let pushed = tokio::time::timeout(patience, self.repo.push(&self.remote, updates)).await;
        Ok(pushed.map_err(|_| ContentError::Silent(patience))??)
    }
}
