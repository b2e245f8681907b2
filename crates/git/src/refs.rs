//! Refs of our own repositories, moved by compare-and-swap.

use std::collections::BTreeMap;

use crate::error::{Fault, GitError};
use crate::names::{Oid, RefName};
use crate::push::{Expect, RefUpdate};
use crate::repo::Repo;

/// How a compare-and-swap ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// All refs moved.
    Done,
    /// A ref was not what was expected; none moved.
    Lost,
}

impl Repo {
    /// Moves a ref of this repository.
    ///
    /// # Errors
    /// If git refuses for another reason than the expectation.
    pub async fn update_ref(&self, name: &RefName, new: &Oid, expect: Expect) -> Result<Cas, GitError> {
        self.update_refs(&[RefUpdate::set(name.clone(), new.clone(), expect)])
            .await
    }

    /// Deletes a ref of this repository. One that is not there counts as deleted, unless a value was expected.
    ///
    /// # Errors
    /// If git refuses for another reason than the expectation.
    pub async fn delete_ref(&self, name: &RefName, expect: Expect) -> Result<Cas, GitError> {
        self.update_refs(&[RefUpdate::delete(name.clone(), expect)]).await
    }

    /// Moves many refs of this repository: all or none.
    ///
    /// # Errors
    /// If git refuses for another reason than an expectation.
    pub async fn update_refs(&self, updates: &[RefUpdate]) -> Result<Cas, GitError> {
        let input: Vec<u8> = updates.iter().flat_map(instruction).collect();
        let answer = self
            .call("update-ref")
            .args(["--no-deref", "-z", "--stdin"])
            .stdin(input)
            .run()
            .await?;
        if answer.code != Some(0) && is_lost(&answer.stderr) && Fault::read(&answer.stderr) != Fault::Locked {
            return Ok(Cas::Lost);
        }
        answer.accept(&[0]).map(|_| Cas::Done)
    }

    /// The refs under `prefix` that name a commit, with it and its date: seconds since 1970, as its committer's clock stood.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn dated_refs(&self, prefix: &str) -> Result<BTreeMap<RefName, (Oid, i64)>, GitError> {
        let call = self
            .call("for-each-ref")
            .arg("--format=%(objectname) %(committerdate:unix) %(refname)")
            .end_of_options()
            .arg(prefix);
        let read = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (oid, date, name) = (words.next()?, words.next()?, words.next()?);
            // What is no commit has no date.
            let dated = (Oid::parse(oid).ok()?, date.parse().ok()?);
            Some((RefName::parse(name).ok()?, dated))
        };
        Ok(call.ok().await?.text().lines().filter_map(read).collect())
    }

    /// The refs whose name is `prefix` or lies under it, with the commits they name; those that name anything else are left out.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn commits_under(&self, prefix: &str) -> Result<BTreeMap<RefName, Oid>, GitError> {
        let call = self
            .call("for-each-ref")
            .arg("--format=%(objecttype) %(objectname) %(refname)")
            .end_of_options()
            .arg(prefix);
        let read = |line: &str| {
            let (oid, name) = line.strip_prefix("commit ")?.split_once(' ')?;
            Some((RefName::parse(name).ok()?, Oid::parse(oid).ok()?))
        };
        Ok(call.ok().await?.text().lines().filter_map(read).collect())
    }

    /// All refs whose name is `prefix` or lies under it (`refs/heads`); all refs for `refs`.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn for_each_ref(&self, prefix: &str) -> Result<BTreeMap<RefName, Oid>, GitError> {
        let call = self
            .call("for-each-ref")
            .arg("--format=%(objectname) %(refname)")
            .end_of_options()
            .arg(prefix);
        let answer = call.ok().await?;
        let mut refs = BTreeMap::new();
        for line in answer.text().lines() {
            let (oid, name) = line.split_once(' ').ok_or_else(|| answer.unreadable(line))?;
            let oid = Oid::parse(oid).map_err(|e| answer.unreadable(e.to_string()))?;
            if let Ok(name) = RefName::parse(name) {
                refs.insert(name, oid);
            }
        }
        Ok(refs)
    }
}

/// One line of `update-ref -z --stdin`. An empty old value means "whatever it is"; the zero id means "must not exist".
fn instruction(update: &RefUpdate) -> Vec<u8> {
    let RefUpdate { dst, new, expect } = update;
    let old = match (expect, new) {
        (Expect::Any, _) => String::new(),
        (Expect::Is(old), _) => old.to_string(),
        (Expect::Absent, Some(new)) => new.zero_like().to_string(),
        (Expect::Absent, None) => return format!("verify {dst}\0{}\0", Oid::zero()).into_bytes(),
    };
    match new {
        Some(new) => format!("update {dst}\0{new}\0{old}\0").into_bytes(),
        None => format!("delete {dst}\0{old}\0").into_bytes(),
    }
}

/// Whether git's words say that a ref was not at its expected value.
pub(crate) fn is_lost(stderr: &str) -> bool {
    [
        "but expected",
        "reference already exists",
        "unable to resolve reference",
        "reference is missing",
        "incorrect old value provided",
    ]
    .iter()
    .any(|words| stderr.contains(words))
}
