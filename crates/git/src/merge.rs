//! Merging without a work tree.

use std::path::PathBuf;

use crate::call::{Answer, fields, path};
use crate::error::GitError;
use crate::names::Oid;
use crate::repo::Repo;

/// What a three-way merge of two commits gives.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeTree {
    /// A tree.
    Clean {
        /// The tree.
        tree: Oid,
    },
    /// They do not fit.
    Conflict {
        /// The paths in conflict, each once, sorted.
        paths: Vec<PathBuf>,
        /// What git says of them, a line each.
        messages: Vec<String>,
    },
}

impl Repo {
    /// Merges two commits over their common ancestors.
    ///
    /// # Errors
    /// If a commit is not here, or they have nothing in common.
    pub async fn merge_tree(&self, ours: &Oid, theirs: &Oid) -> Result<MergeTree, GitError> {
        self.merging(ours, theirs, false).await
    }

    pub(crate) async fn merging(&self, ours: &Oid, theirs: &Oid, unrelated: bool) -> Result<MergeTree, GitError> {
        let call = self
            .call("merge-tree")
            .args(["--write-tree", "-z", "--name-only", "--messages"])
            .args(unrelated.then_some("--allow-unrelated-histories"))
            .arg(ours.as_str())
            .arg(theirs.as_str());
        let answer = call.run().await?.accept(&[0, 1])?;
        parse(&answer)
    }
}

/// `<tree>\0 {<path>\0} \0 {<n>\0 {<path>\0}×n <kind>\0 <message>\0}`; exit code 1 means conflict.
fn parse(answer: &Answer) -> Result<MergeTree, GitError> {
    let mut parts = fields(&answer.stdout);
    let tree = parts.next().and_then(|t| Oid::parse(std::str::from_utf8(t).ok()?).ok());
    let tree = tree.ok_or_else(|| answer.unreadable("no tree"))?;
    if answer.code == Some(0) {
        return Ok(MergeTree::Clean { tree });
    }
    let mut paths: Vec<PathBuf> = parts.by_ref().take_while(|p| !p.is_empty()).map(path).collect();
    paths.sort();
    paths.dedup();
    let mut messages = Vec::new();
    while let Some(count) = parts.next() {
        let count = std::str::from_utf8(count).ok().and_then(|n| n.parse::<usize>().ok());
        let count = count.ok_or_else(|| answer.unreadable("a message without a number of paths"))?;
        // The paths, then what kind of message it is, then the message.
        let kind = parts.by_ref().nth(count).unwrap_or_default();
        let text = parts.next().unwrap_or_default();
        if kind != b"Auto-merging" {
            messages.push(String::from_utf8_lossy(text).trim_end().to_owned());
        }
    }
    Ok(MergeTree::Conflict { paths, messages })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MergeTree, parse};
    use crate::call::Answer;
    use crate::names::Oid;

    fn answer(code: i32, stdout: Vec<u8>) -> Answer {
        Answer {
            name: "merge-tree",
            code: Some(code),
            stdout,
            truncated: false,
            stderr: String::new(),
        }
    }

    #[test]
    fn a_conflict_of_many_paths() {
        let said = format!(
            "{}\0a b\nc\0d\0\0002\0a b\nc\0d\0CONFLICT (x)\0CONFLICT (x): both\n\0001\0e\0Auto-merging\0Auto-merging e\n\0",
            Oid::zero()
        );
        let MergeTree::Conflict { paths, messages } = parse(&answer(1, said.into_bytes())).unwrap() else {
            panic!("clean")
        };
        assert_eq!(paths, ["a b\nc", "d"].map(std::path::PathBuf::from));
        assert_eq!(messages, ["CONFLICT (x): both"]);
    }

    proptest! {
        #[test]
        fn no_answer_panics(code in 0..2, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut said = format!("{}\0", Oid::zero()).into_bytes();
            said.extend(&bytes);
            let _ = parse(&answer(code, said));
            let _ = parse(&answer(code, bytes));
        }
    }
}
