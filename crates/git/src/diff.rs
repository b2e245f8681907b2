//! Differences between commits, for people and agents to read.

use std::path::{Path, PathBuf};

use crate::call::{fields, path};
use crate::error::GitError;
use crate::names::Oid;
use crate::process::Cap;
use crate::repo::Repo;

/// A text that may have been cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// There was more.
    pub truncated: bool,
}

impl Repo {
    /// The difference of two commits as a patch, of all paths or of some, at most `most` bytes of it.
    ///
    /// # Errors
    /// If a commit is not here.
    pub async fn diff_text(&self, a: &Oid, b: &Oid, paths: &[&Path], most: usize) -> Result<Text, GitError> {
        let call = self
            .call("diff")
            .args(["--no-color", "--no-ext-diff", "--no-textconv", "--find-renames"]);
        let call = call
            .arg(a.as_str())
            .arg(b.as_str())
            .end_of_options()
            .args(paths)
            .cap(Cap::Truncate(most));
        let answer = call.run().await?.accept(&[0])?;
        Ok(Text {
            text: answer.text(),
            truncated: answer.truncated,
        })
    }

    /// The paths in which two commits differ.
    ///
    /// # Errors
    /// If a commit is not here.
    pub async fn diff_names(&self, a: &Oid, b: &Oid) -> Result<Vec<PathBuf>, GitError> {
        let call = self
            .call("diff")
            .args(["--name-only", "-z", "--no-renames", "--no-ext-diff"]);
        let answer = call.arg(a.as_str()).arg(b.as_str()).end_of_options().ok().await?;
        Ok(fields(&answer.stdout).map(path).collect())
    }
}
