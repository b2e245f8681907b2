//! The record repository, where a rig has one: uncommitted files and conversations lie there and nowhere else, so that nobody
//! who can read the code can read them. What it does never holds up the work: each look and each push ends in time.

use std::{collections::BTreeMap, path::Path, time::Duration};

use gastown_git::{Fault, Git, GitError, Oid, PushOutcome, RefName, RefUpdate, Remote, Repo};
use gastown_wire::{ContentTrouble, RemoteOrders, RemoteTrouble};

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

/// What a repository says that does not answer.
const UNREACHABLE: &str = "RemoteUnreachable";

impl ContentError {
    /// As the reports call it.
    pub(crate) fn told(&self) -> ContentTrouble {
        let known = match self {
            Self::Access(error) => Some(error.clone()),
            Self::Git(error) => access::trouble(error),
            Self::Silent(_) => None,
        };
        match (known, self) {
            (Some(AccessError { trouble, detail }), _) => trouble_of(trouble.as_str(), detail),
            (None, Self::Git(error)) if error.fault() != Fault::Network => {
                trouble_of(RemoteTrouble::GitFailed.as_str(), error.to_string())
            }
            (None, error) => trouble_of(UNREACHABLE, error.to_string()),
        }
    }
}

/// The work's own repository takes nothing but commits and records, now or later.
pub(crate) fn refused_beside(why: &str) -> ContentTrouble {
    trouble_of(RemoteTrouble::ContentRefused.as_str(), why)
}

/// It takes no such ref, now or later.
pub(crate) fn refused(why: &str) -> ContentTrouble {
    trouble_of(RemoteTrouble::RefsRefused.as_str(), why)
}

fn trouble_of(reason: &str, detail: impl Into<String>) -> ContentTrouble {
    ContentTrouble {
        reason: reason.to_owned(),
        detail: detail.into(),
    }
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
