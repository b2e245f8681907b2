//! A work tree of one commit, in a repository of its own.

use std::path::Path;

use crate::error::GitError;
use crate::fetch::{Depth, FetchOptions, Refspec};
use crate::names::{BranchName, Oid, RefName};
use crate::repo::Repo;

/// What a checkout shall hold.
#[derive(Clone, Debug)]
pub struct Checkout<'a> {
    /// The commit.
    pub commit: &'a Oid,
    /// The branch to be on; detached without one.
    pub branch: Option<&'a BranchName>,
    /// How much history.
    pub depth: Depth,
    /// All tags too.
    pub tags: bool,
}

impl Repo {
    /// Makes a new repository in `dir` (absent or empty) with the commit checked out, from this one and without any remote.
    /// It shares nothing with this one, so it may be given to code we do not trust. No filter runs: files kept elsewhere
    /// (LFS) stay pointers.
    ///
    /// # Errors
    /// If the commit is not here, or `dir` cannot be written.
    pub async fn checkout_into(&self, dir: &Path, want: &Checkout<'_>) -> Result<Repo, GitError> {
        let fresh = self.git.init_worktree(dir).await?;
        let kept = match want.branch {
            Some(branch) => branch.to_ref(),
            None => RefName::parse("refs/gastown/checkout")?,
        };
        let options = FetchOptions {
            depth: want.depth,
            tags: want.tags,
            prune: false,
        };
        fresh
            .fetch_from(self, &[Refspec::commit(want.commit, &kept)], options)
            .await?;
        let call = fresh.call("checkout").args(["--quiet", "--force", "--no-guess"]);
        let call = match want.branch {
            Some(branch) => call.arg(branch.as_str()),
            None => call.args(["--detach", want.commit.as_str()]),
        };
        call.end_of_options().ok().await?;
        Ok(fresh)
    }
}
