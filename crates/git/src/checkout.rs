//! A work tree of one commit, in a repository of its own.

use std::io::Write as _;
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
    /// Other commits to have, each under a name.
    pub others: &'a [(&'a Oid, RefName)],
    /// Values of its own configuration, by their keys.
    pub config: &'a [(&'a str, &'a str)],
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
        let others = want.others.iter().map(|(commit, name)| Refspec::commit(commit, name));
        let specs: Vec<Refspec> = std::iter::once(Refspec::commit(want.commit, &kept))
            .chain(others)
            .collect();
        fresh.fetch_from(self, &specs, options).await?;
        let call = fresh.call("checkout").args(["--quiet", "--force", "--no-guess"]);
        let call = match want.branch {
            Some(branch) => call.arg(branch.as_str()),
            None => call.args(["--detach", want.commit.as_str()]),
        };
        call.end_of_options().ok().await?;
        configure(&fresh, want.config)?;
        Ok(fresh)
    }
}

/// Adds values to the configuration of a repository that nobody else knows yet: `git config` sets one at a time.
fn configure(fresh: &Repo, values: &[(&str, &str)]) -> Result<(), GitError> {
    let path = fresh.git_dir().join("config");
    let text: String = values.iter().map(|(key, value)| setting(key, value)).collect();
    let opened = std::fs::OpenOptions::new().append(true).open(&path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| GitError::Io {
            what: "write",
            path,
            source,
        })
}

/// One value as a configuration file holds it.
fn setting(key: &str, value: &str) -> String {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let head = match section.split_once('.') {
        Some((section, sub)) => format!("[{section} \"{}\"]", escaped(sub)),
        None => format!("[{section}]"),
    };
    format!("{head}\n\t{name} = \"{}\"\n", escaped(value))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
