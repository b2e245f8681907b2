//! Putting changes onto another base without a work tree: rebase, squash, merge commit.

use std::path::PathBuf;

use crate::commit::{Commit, Identity, NewCommit, Signature};
use crate::error::GitError;
use crate::merge::MergeTree;
use crate::names::Oid;
use crate::repo::Repo;

/// How putting a change onto a base ended.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It is there.
    Done {
        /// The new tip; the base itself if the change brought nothing new.
        tip: Oid,
        /// How many commits stand between the base and the tip.
        commits: usize,
    },
    /// It does not fit.
    Conflict {
        /// The commit of the change that does not.
        commit: Oid,
        /// Its subject.
        subject: String,
        /// The paths in conflict.
        paths: Vec<PathBuf>,
        /// What git says of them.
        messages: Vec<String>,
    },
}

impl Repo {
    /// Rebases the commits of `tip` that `base` does not have onto `onto`.
    ///
    /// Authors and messages stay. Commits that bring nothing new are left out, and those that stand on the new base already
    /// are kept as they are. The committer's date is the author's, or its parent's where that is later: the same inputs give
    /// the same ids. A range that holds merges becomes one commit.
    ///
    /// # Errors
    /// If a commit is not here.
    pub async fn replay(&self, onto: &Oid, base: &Oid, tip: &Oid, committer: &Identity) -> Result<Replay, GitError> {
        let mut ids = self.ids_between(Some(base), tip).await?;
        ids.push(onto.clone());
        let mut range = self.commits(&ids).await?;
        let Some(mut at) = range.pop() else {
            return Err(crate::commit::unanswered(onto));
        };
        if range.iter().any(|c| c.parents.len() > 1) {
            let (first, message) = summary(&range);
            let author = first.map(|c| c.author.clone());
            return self.squash(onto, tip, &message, author, committer).await;
        }
        let mut count = 0;
        for commit in range {
            match self.replay_one(&at, &commit, committer).await? {
                Step::Same => {}
                Step::Next(next) => {
                    at = *next;
                    count += 1;
                }
                Step::Conflict(conflict) => return Ok(conflict),
            }
        }
        Ok(Replay::Done {
            tip: at.id,
            commits: count,
        })
    }

    async fn replay_one(&self, at: &Commit, commit: &Commit, committer: &Identity) -> Result<Step, GitError> {
        if commit.parents.as_slice() == std::slice::from_ref(&at.id) {
            let step = if commit.tree == at.tree {
                Step::Same
            } else {
                Step::Next(Box::new(commit.clone()))
            };
            return Ok(step);
        }
        // A commit with the base's tree beside the one to be replayed: their merge base is the latter's parent, so that the merge
        // brings over exactly its change (DESIGN §10; `merge-tree --merge-base` came after our floor).
        let beside = NewCommit {
            tree: &at.tree,
            parents: &commit.parents,
            author: committer.at_seconds(0),
            committer: committer.at_seconds(0),
            encoding: None,
            message: b"replay",
        };
        let beside = self.commit_tree(&beside).await?;
        let tree = match self.merging(&beside, &commit.id, commit.parents.is_empty()).await? {
            MergeTree::Clean { tree } => tree,
            MergeTree::Conflict { paths, messages } => {
                return Ok(Step::conflict(commit, paths, messages));
            }
        };
        if tree == at.tree {
            return Ok(Step::Same);
        }
        let new = NewCommit {
            tree: &tree,
            parents: std::slice::from_ref(&at.id),
            author: commit.author.clone(),
            committer: after(committer, at, &commit.author),
            encoding: commit.encoding.as_deref(),
            message: &commit.message,
        };
        let id = self.commit_tree(&new).await?;
        let NewCommit { author, committer, .. } = new;
        Ok(Step::Next(Box::new(Commit {
            id,
            tree,
            parents: vec![at.id.clone()],
            author,
            committer,
            encoding: commit.encoding.clone(),
            message: commit.message.clone(),
        })))
    }

    /// Puts everything `tip` has and `onto` has not into one commit on `onto`. The author is `tip`'s unless given.
    ///
    /// # Errors
    /// If a commit is not here, or they have nothing in common.
    pub async fn squash(
        &self,
        onto: &Oid,
        tip: &Oid,
        message: &str,
        author: Option<Signature>,
        committer: &Identity,
    ) -> Result<Replay, GitError> {
        self.join(onto, tip, message, author, committer, false).await
    }

    /// Merges `tip` into `onto` with a merge commit, also where a fast-forward would do.
    ///
    /// # Errors
    /// If a commit is not here, or they have nothing in common.
    pub async fn merge_commit(
        &self,
        onto: &Oid,
        tip: &Oid,
        message: &str,
        committer: &Identity,
    ) -> Result<Replay, GitError> {
        if self.is_ancestor(tip, onto).await? {
            return Ok(Replay::Done {
                tip: onto.clone(),
                commits: 0,
            });
        }
        self.join(onto, tip, message, None, committer, true).await
    }

    async fn join(
        &self,
        onto: &Oid,
        tip: &Oid,
        message: &str,
        author: Option<Signature>,
        committer: &Identity,
        merge: bool,
    ) -> Result<Replay, GitError> {
        let both = <[Commit; 2]>::try_from(self.commits(&[onto.clone(), tip.clone()]).await?);
        let [at, theirs] = both.map_err(|_| crate::commit::unanswered(onto))?;
        let tree = match self.merge_tree(onto, tip).await? {
            MergeTree::Clean { tree } => tree,
            MergeTree::Conflict { paths, messages } => {
                let subject = theirs.subject();
                return Ok(Replay::Conflict {
                    commit: theirs.id,
                    subject,
                    paths,
                    messages,
                });
            }
        };
        if !merge && tree == at.tree {
            return Ok(Replay::Done { tip: at.id, commits: 0 });
        }
        let by = after(committer, &at, &theirs.committer);
        let parents = if merge { vec![at.id, theirs.id] } else { vec![at.id] };
        let author = author.unwrap_or_else(|| if merge { by.clone() } else { theirs.author });
        let mut message = message.trim_end().to_owned();
        message.push('\n');
        let new = NewCommit {
            tree: &tree,
            parents: &parents,
            author,
            committer: by,
            encoding: None,
            message: message.as_bytes(),
        };
        let tip = self.commit_tree(&new).await?;
        Ok(Replay::Done { tip, commits: 1 })
    }
}

enum Step {
    Same,
    Next(Box<Commit>),
    Conflict(Replay),
}

impl Step {
    fn conflict(commit: &Commit, paths: Vec<PathBuf>, messages: Vec<String>) -> Self {
        Self::Conflict(Replay::Conflict {
            commit: commit.id.clone(),
            subject: commit.subject(),
            paths,
            messages,
        })
    }
}

/// The committer as of the author's instant, but never before the parent: git walks history by these dates.
fn after(committer: &Identity, parent: &Commit, author: &Signature) -> Signature {
    committer.at_seconds(author.person().seconds.max(parent.committer.person().seconds))
}

/// The message of one commit for many: the first one's, and the subjects of the others.
fn summary(range: &[Commit]) -> (Option<&Commit>, String) {
    let mut own = range.iter().filter(|c| c.parents.len() < 2);
    let first = own.next().or_else(|| range.last());
    let mut message = first
        .map(Commit::message_text)
        .unwrap_or_default()
        .trim_end()
        .to_owned();
    for (n, commit) in own.enumerate() {
        message.push_str(if n == 0 { "\n\n* " } else { "\n* " });
        message.push_str(&commit.subject());
    }
    (first, message)
}
