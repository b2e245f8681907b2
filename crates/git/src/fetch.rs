//! Bringing commits into our own repository: from a remote, from another of ours, or from one that agent code can write.

use std::path::Path;

use crate::agent::AgentRepo;
use crate::call::Call;
use crate::error::GitError;
use crate::names::{NameError, Oid, RefName};
use crate::push::{Expect, RefUpdate};
use crate::refs::Cas;
use crate::remote::Remote;
use crate::repo::Repo;

/// What to fetch and where to keep it. The local ref follows the source, also backwards: it is only our view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refspec {
    src: String,
    dst: String,
}

impl Refspec {
    /// One ref of the source, kept under another name.
    #[must_use]
    pub fn of(src: &RefName, dst: &RefName) -> Self {
        Self {
            src: src.to_string(),
            dst: dst.to_string(),
        }
    }

    /// One ref of the source, kept under its own name.
    #[must_use]
    pub fn same(name: &RefName) -> Self {
        Self::of(name, name)
    }

    /// One commit of the source by its id.
    #[must_use]
    pub fn commit(id: &Oid, dst: &RefName) -> Self {
        Self {
            src: id.to_string(),
            dst: dst.to_string(),
        }
    }

    /// What the source's `HEAD` names.
    #[must_use]
    pub fn head(dst: &RefName) -> Self {
        Self {
            src: "HEAD".to_owned(),
            dst: dst.to_string(),
        }
    }

    /// All refs under a prefix, kept under another: `refs/heads/` → `refs/remotes/x/`.
    ///
    /// # Errors
    /// [`NameError`] if a prefix is not one of ref names ending in a slash.
    pub fn under(src: &str, dst: &str) -> Result<Self, NameError> {
        for prefix in [src, dst] {
            if !prefix.ends_with('/') {
                return Err(NameError {
                    kind: "ref prefix",
                    name: prefix.to_owned(),
                    why: "it ends in a slash",
                });
            }
            RefName::parse(&format!("{prefix}x"))?;
        }
        Ok(Self {
            src: format!("{src}*"),
            dst: format!("{dst}*"),
        })
    }

    pub(crate) fn argument(&self) -> String {
        format!("+{}:{}", self.src, self.dst)
    }
}

/// How much history to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// What the repository has, and everything new.
    #[default]
    Keep,
    /// Only so many commits from each fetched tip.
    Shallow(u32),
    /// All of it.
    Full,
}

/// Options of a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// How much history.
    pub depth: Depth,
    /// All tags too.
    pub tags: bool,
    /// Delete local refs, under the prefixes asked for, that the source no longer has.
    pub prune: bool,
}

impl FetchOptions {
    /// A fetch with so much history and nothing else.
    #[must_use]
    pub fn depth(depth: Depth) -> Self {
        Self {
            depth,
            ..Self::default()
        }
    }
}

impl Repo {
    /// Fetches from a remote.
    ///
    /// # Errors
    /// [`Fault::NoSuchRef`](crate::Fault::NoSuchRef) if a single ref asked for is not there; other faults as they are.
    pub async fn fetch(&self, remote: &Remote, specs: &[Refspec], options: FetchOptions) -> Result<(), GitError> {
        self.fetching(options)
            .remote(remote)
            .args(arguments(specs, options))
            .ok()
            .await
            .map(drop)
    }

    /// Fetches from another repository of ours, by path. A shallow one makes this one as shallow.
    ///
    /// # Errors
    /// As [`Repo::fetch`].
    pub async fn fetch_from(&self, other: &Repo, specs: &[Refspec], options: FetchOptions) -> Result<(), GitError> {
        self.fetch_path(other.dir(), true, specs, options).await
    }

    /// Fetches from a repository that agent code can write, by path: safe, because none of its configuration, hooks and
    /// filters take part (tested). What it says of history must join what we have: it cannot make this repository shallow.
    ///
    /// # Errors
    /// As [`Repo::fetch`].
    pub async fn fetch_from_agent(
        &self,
        agent: &AgentRepo,
        specs: &[Refspec],
        options: FetchOptions,
    ) -> Result<(), GitError> {
        self.fetch_path(agent.dir(), false, specs, options).await
    }

    async fn fetch_path(
        &self,
        path: &Path,
        shallow: bool,
        specs: &[Refspec],
        options: FetchOptions,
    ) -> Result<(), GitError> {
        let call = self
            .fetching(options)
            .args(shallow.then_some("--update-shallow"))
            .end_of_options();
        call.arg(absolute(path)?)
            .args(arguments(specs, options))
            .ok()
            .await
            .map(drop)
    }

    pub(crate) fn fetching(&self, options: FetchOptions) -> Call {
        let FetchOptions { depth, tags: _, prune } = options;
        let call = self.call("fetch").args([
            "--quiet",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--update-head-ok",
            "--no-tags",
            if prune { "--prune" } else { "--no-prune" },
        ]);
        match depth {
            Depth::Keep => call,
            Depth::Shallow(n) => call.arg(format!("--depth={}", n.max(1))),
            // "Infinite" to git: unlike --unshallow also fine for a repository that is not shallow.
            Depth::Full => call.arg("--depth=2147483647"),
        }
    }

    /// Brings branches and tags of `source` into this (bare) repository. Branches that have grown there go forward here;
    /// those that differ here stay as they are and are returned.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub async fn mirror(&self, source: &Remote) -> Result<Vec<RefName>, GitError> {
        const SEEN: &str = "refs/gastown/mirror/";
        let spec = Refspec::under("refs/heads/", SEEN)?;
        // What a mirroring that was cut short left behind.
        let left = self.for_each_ref(SEEN.trim_end_matches('/')).await?;
        let left: Vec<RefUpdate> = left
            .into_keys()
            .map(|name| RefUpdate::delete(name, Expect::Any))
            .collect();
        let _: Cas = self.update_refs(&left).await?;
        let options = FetchOptions {
            tags: true,
            ..FetchOptions::default()
        };
        // Also takes a shallow source, as a checkout may be.
        self.fetching(options)
            .arg("--update-shallow")
            .remote(source)
            .args(arguments(&[spec], options))
            .ok()
            .await?;
        let ours = self.for_each_ref("refs/heads").await?;
        let (mut updates, mut kept) = (Vec::new(), Vec::new());
        for (seen, tip) in self.for_each_ref(SEEN.trim_end_matches('/')).await? {
            let Some(name) = seen.as_str().strip_prefix(SEEN) else {
                continue;
            };
            let name = RefName::parse(&format!("refs/heads/{name}"))?;
            match ours.get(&name) {
                Some(have) if *have == tip => {}
                Some(have) if self.is_ancestor(have, &tip).await? => {
                    updates.push(RefUpdate::set(name, tip.clone(), Expect::Is(have.clone())));
                }
                Some(have) if self.is_ancestor(&tip, have).await? => {}
                Some(_) => kept.push(name),
                None => updates.push(RefUpdate::set(name, tip.clone(), Expect::Absent)),
            }
            updates.push(RefUpdate::delete(seen, Expect::Any));
        }
        if !updates.is_empty() && self.update_refs(&updates).await? == Cas::Lost {
            // Somebody moved a branch in this instant: theirs is newer than what we read. The next mirror sees it.
            tracing::debug!(repo = %self.dir().display(), "a branch moved while mirroring");
        }
        Ok(kept)
    }
}

/// Tags by refspec, not by `--tags`: a tag that moved at the source would fail the whole fetch.
fn arguments(specs: &[Refspec], options: FetchOptions) -> Vec<String> {
    let tags = options.tags.then(|| "+refs/tags/*:refs/tags/*".to_owned());
    specs.iter().map(Refspec::argument).chain(tags).collect()
}

/// git reads a relative path from another folder than the caller means, and a colon in one as a host.
pub(crate) fn absolute(path: &Path) -> Result<std::path::PathBuf, GitError> {
    std::path::absolute(path).map_err(|source| GitError::Io {
        what: "find",
        path: path.to_owned(),
        source,
    })
}
