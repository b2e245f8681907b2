//! How one member's change comes onto what was joined before it.

use std::{collections::BTreeSet, path::PathBuf};

use gastown_git::{Commit, GitError, Identity, MergeTree, NewCommit, Oid, Replay, Repo};
use gastown_wire::{Member, MergeStyle};

/// Conflicting paths that are told of one member.
const PATHS: usize = 12;

/// What became of a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in; this is the tip now.
    Joined(Oid),
    /// Its change is there already.
    Empty,
    /// It does not apply; where, the first few paths.
    Conflict(Vec<String>),
}

/// Joins members in one style, as one committer.
#[derive(Debug)]
pub(super) struct Joiner<'a> {
    repo: &'a Repo,
    style: MergeStyle,
    committer: Identity,
}

impl<'a> Joiner<'a> {
    pub(super) fn new(repo: &'a Repo, style: MergeStyle) -> Self {
        Self {
            repo,
            style,
            committer: Identity::new("Gas Town Refinery", "refinery@gastown.io"),
        }
    }

    /// Brings `commit` onto `onto`.
    pub(super) async fn join(&self, onto: &Oid, member: &Member, commit: &Oid) -> Result<Fate, GitError> {
        let Some(fork) = self.repo.merge_base(onto, commit).await? else {
            // No common history: there is no telling what its change is.
            return Ok(Fate::Conflict(Vec::new()));
        };
        if fork == *commit {
            return Ok(Fate::Empty);
        }
        match self.style {
            MergeStyle::Rebase => self.rebase(onto, member, commit, &fork).await,
            MergeStyle::Squash => self.squash(onto, member, commit, &fork).await,
            MergeStyle::Merge => {
                let message = format!("{}\n\n{}", self.title(member, commit).await?, origin(member, commit));
                let merged = self.repo.merge_commit(onto, commit, &message, &self.committer).await?;
                self.settle(onto, merged).await
            }
        }
    }

    /// Commit by commit; where that does not fit or would do more than the change as a whole, as one commit.
    async fn rebase(&self, onto: &Oid, member: &Member, commit: &Oid, fork: &Oid) -> Result<Fate, GitError> {
        let replayed = self.repo.replay(onto, onto, commit, &self.committer).await?;
        if let Replay::Done { tip, .. } = &replayed
            && self.only_its_own(onto, tip, commit, fork).await?
        {
            return self.settle(onto, replayed).await;
        }
        self.as_one(onto, member, commit).await
    }

    /// As one commit; a member that stands on another one that was squashed fits only commit by commit, so its result is
    /// taken from there.
    async fn squash(&self, onto: &Oid, member: &Member, commit: &Oid, fork: &Oid) -> Result<Fate, GitError> {
        let whole = self.as_one(onto, member, commit).await?;
        if !matches!(whole, Fate::Conflict(_)) {
            return Ok(whole);
        }
        let Replay::Done { tip, .. } = self.repo.replay(onto, onto, commit, &self.committer).await? else {
            return Ok(whole);
        };
        if !self.only_its_own(onto, &tip, commit, fork).await? {
            return Ok(whole);
        }
        let replayed = self.repo.cat_commit(&tip).await?;
        let message = self.message(onto, member, commit).await?;
        let tip = self
            .repo
            .commit_tree(&NewCommit {
                tree: &replayed.tree,
                parents: std::slice::from_ref(onto),
                author: self.repo.cat_commit(commit).await?.author,
                committer: replayed.committer,
                encoding: None,
                message: message.as_bytes(),
            })
            .await?;
        self.settle(onto, Replay::Done { tip, commits: 1 }).await
    }

    /// git's three-way merge of the whole change, committed as one.
    async fn as_one(&self, onto: &Oid, member: &Member, commit: &Oid) -> Result<Fate, GitError> {
        let message = self.message(onto, member, commit).await?;
        let squashed = self.repo.squash(onto, commit, &message, None, &self.committer).await?;
        self.settle(onto, squashed).await
    }

    async fn settle(&self, onto: &Oid, replay: Replay) -> Result<Fate, GitError> {
        match replay {
            Replay::Conflict { paths, .. } => Ok(Fate::Conflict(first_paths(paths))),
            Replay::Done { tip, .. } if self.repo.tree_of(&tip).await? == self.repo.tree_of(onto).await? => {
                Ok(Fate::Empty)
            }
            Replay::Done { tip, .. } => Ok(Fate::Joined(tip)),
        }
    }

    /// Whether a replay changed nothing but what the member changed since it forked off. It can: where the base took a
    /// change that the member made and took back, replaying takes it back from the base, too. Paths that differ because
    /// the base moved files are fine where git's merge of the whole agrees.
    async fn only_its_own(&self, onto: &Oid, tip: &Oid, commit: &Oid, fork: &Oid) -> Result<bool, GitError> {
        if (fork, commit) == (onto, tip) {
            return Ok(true);
        }
        let own: BTreeSet<PathBuf> = self.repo.diff_names(fork, commit).await?.into_iter().collect();
        if self
            .repo
            .diff_names(onto, tip)
            .await?
            .iter()
            .all(|path| own.contains(path))
        {
            return Ok(true);
        }
        let merged = self.repo.merge_tree(onto, commit).await?;
        Ok(merged
            == MergeTree::Clean {
                tree: self.repo.tree_of(tip).await?,
            })
    }

    async fn title(&self, member: &Member, commit: &Oid) -> Result<String, GitError> {
        let title = one_line(&member.title);
        if title.is_empty() {
            return Ok(self.repo.cat_commit(commit).await?.subject());
        }
        Ok(title)
    }

    /// Title, what the commits said, and where it came from.
    async fn message(&self, onto: &Oid, member: &Member, commit: &Oid) -> Result<String, GitError> {
        let commits = self.repo.commits_between(Some(onto), commit).await?;
        let own: Vec<&Commit> = commits.iter().filter(|c| c.parents.len() < 2).collect();
        let said = match own.as_slice() {
            [only] => only
                .message_text()
                .trim()
                .split_once('\n')
                .map(|(_, body)| body.trim().to_owned())
                .unwrap_or_default(),
            many => many
                .iter()
                .map(|c| format!("* {}", c.subject()))
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let parts = [self.title(member, commit).await?, said, origin(member, commit)];
        let parts: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        Ok(parts.join("\n\n") + "\n")
    }
}

/// Trailers that lead back to who wrote it.
fn origin(member: &Member, commit: &Oid) -> String {
    let polecat = one_line(&member.polecat);
    let polecat = if polecat.is_empty() {
        String::new()
    } else {
        format!("Polecat: {polecat}\n")
    };
    format!("{polecat}Polecat-Commit: {commit}")
}

/// The first line without control characters.
fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

fn first_paths(paths: Vec<PathBuf>) -> Vec<String> {
    paths
        .into_iter()
        .take(PATHS)
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_title_is_one_plain_line() {
        for (text, line) in [
            ("Fix it", "Fix it"),
            ("  Fix\u{1b}[31m \"it\" 🦀\nPolecat: forged/name", "Fix[31m \"it\" 🦀"),
            ("\n\n", ""),
            ("a\rb", "ab"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }
}
