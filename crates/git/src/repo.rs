//! A repository that only we write, and the questions one asks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::agent::AgentRepo;
use crate::call::{Answer, Call};
use crate::commit::Commit;
use crate::error::GitError;
use crate::git::Git;
use crate::names::{BranchName, Oid, RefName};

/// A repository that only we write. Commands that meet a remote exist only here.
///
/// Never make one of a folder that agent code can write: that is an [`AgentRepo`].
#[derive(Clone, Debug)]
pub struct Repo {
    pub(crate) git: Git,
    dir: PathBuf,
    git_dir: PathBuf,
    bare: bool,
}

impl Repo {
    pub(crate) fn at(git: Git, dir: &Path) -> Self {
        let dot_git = dir.join(".git");
        let bare = !dot_git.exists();
        let git_dir = if bare { dir.to_owned() } else { dot_git };
        Self {
            git,
            dir: dir.to_owned(),
            git_dir,
            bare,
        }
    }

    /// A command in this repository and no other: no search upwards, no regard to what its configuration says of places.
    pub(crate) fn call(&self, name: &'static str) -> Call {
        let call = Call::new(&self.git, name)
            .dir(&self.dir)
            .top("--git-dir")
            .top(&self.git_dir);
        if self.bare {
            call
        } else {
            call.top("--work-tree").top(&self.dir)
        }
    }

    /// The folder given to open it: a bare repository or the top of a work tree.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The git it is driven with.
    #[must_use]
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Its git folder.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Hands the work tree over to agent code: from now on nothing that holds a credential may run in it.
    #[must_use]
    pub fn hand_over(self) -> AgentRepo {
        AgentRepo::at(self.git, &self.dir)
    }

    /// The commit that `spec` names (a ref, a branch, `HEAD`, an id), if there is one.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn rev_parse(&self, spec: &str) -> Result<Option<Oid>, GitError> {
        self.object(&format!("{spec}^{{commit}}")).await
    }

    /// The object that `expression` names, if there is one.
    pub(crate) async fn object(&self, expression: &str) -> Result<Option<Oid>, GitError> {
        let call = self
            .call("rev-parse")
            .args(["--verify", "--quiet", "--end-of-options"])
            .arg(expression);
        let answer = call.run().await?.accept(&[0, 1])?;
        if answer.code == Some(0) {
            answer.oid().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Asks for many objects with one command, in the way that `--batch…` says.
    pub(crate) async fn cat_file(
        &self,
        how: &str,
        asked: impl IntoIterator<Item = impl std::fmt::Display>,
    ) -> Result<Answer, GitError> {
        let asked: String = asked.into_iter().map(|one| format!("{one}\n")).collect();
        self.call("cat-file").arg(how).stdin(asked.into_bytes()).ok().await
    }

    /// The objects that expressions name, with one command.
    pub(crate) async fn objects<const N: usize>(&self, expressions: [&str; N]) -> Result<[Option<Oid>; N], GitError> {
        let answer = self.cat_file("--batch-check=%(objectname)", expressions).await?.text();
        // What is not there is answered by the question, and a word.
        let mut lines = answer.lines().map(|line| Oid::parse(line).ok());
        Ok(expressions.map(|_| lines.next().flatten()))
    }

    /// Which of these commits this repository has.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn commits_here(&self, commits: &[&Oid]) -> Result<BTreeSet<Oid>, GitError> {
        let check = "--batch-check=%(objecttype) %(objectname)";
        let answer = self.cat_file(check, commits).await?.text();
        Ok(answer
            .lines()
            .filter_map(|line| Oid::parse(line.strip_prefix("commit ")?).ok())
            .collect())
    }

    /// Whether this repository has the commit.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn has_commit(&self, commit: &Oid) -> Result<bool, GitError> {
        // rev-parse of a full id would answer without looking; the suffix makes it look.
        Ok(self.object(&format!("{commit}^{{commit}}")).await?.is_some())
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// [`Fault::NoSuchRef`](crate::Fault::NoSuchRef) if there is no such commit.
    pub async fn tree_of(&self, commit: &Oid) -> Result<Oid, GitError> {
        self.call("rev-parse")
            .args(["--verify", "--end-of-options"])
            .arg(format!("{commit}^{{tree}}"))
            .oid()
            .await
    }

    /// Whether `ancestor` is `descendant` or reachable from it.
    ///
    /// # Errors
    /// If one of them is not here.
    pub async fn is_ancestor(&self, ancestor: &Oid, descendant: &Oid) -> Result<bool, GitError> {
        let call = self
            .call("merge-base")
            .arg("--is-ancestor")
            .arg(ancestor.as_str())
            .arg(descendant.as_str());
        Ok(call.run().await?.accept(&[0, 1])?.code == Some(0))
    }

    /// The best common ancestor, if they have one.
    ///
    /// # Errors
    /// If one of them is not here.
    pub async fn merge_base(&self, a: &Oid, b: &Oid) -> Result<Option<Oid>, GitError> {
        let answer = self
            .call("merge-base")
            .arg(a.as_str())
            .arg(b.as_str())
            .run()
            .await?
            .accept(&[0, 1])?;
        if answer.code == Some(0) {
            answer.oid().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The commits of `tip` that `base` does not have, parents before children.
    ///
    /// # Errors
    /// If one of them is not here.
    pub async fn commits_between(&self, base: Option<&Oid>, tip: &Oid) -> Result<Vec<Commit>, GitError> {
        self.commits(&self.ids_between(base, tip).await?).await
    }

    /// Their ids.
    pub(crate) async fn ids_between(&self, base: Option<&Oid>, tip: &Oid) -> Result<Vec<Oid>, GitError> {
        let call = self
            .call("rev-list")
            .args(["--reverse", "--topo-order"])
            .args(range(base, tip))
            .end_of_options();
        let answer = call.ok().await?;
        let ids = answer.text().lines().map(Oid::parse).collect::<Result<Vec<_>, _>>();
        ids.map_err(|e| answer.unreadable(e.to_string()))
    }

    /// How many commits `tip` has that `base` does not.
    ///
    /// # Errors
    /// If one of them is not here.
    pub async fn count_commits(&self, base: Option<&Oid>, tip: &Oid) -> Result<usize, GitError> {
        let answer = self
            .call("rev-list")
            .arg("--count")
            .args(range(base, tip))
            .end_of_options()
            .ok()
            .await?;
        let text = answer.text();
        text.trim().parse().map_err(|_| answer.unreadable(text.trim()))
    }

    /// The last `most` commits of `tip` that `base` does not have, newest first, as `<short id> <subject>`.
    ///
    /// # Errors
    /// If one of them is not here.
    pub async fn log_oneline(&self, base: Option<&Oid>, tip: &Oid, most: usize) -> Result<Vec<String>, GitError> {
        let call = self
            .call("log")
            .args(["--no-decorate", "--no-color", "--format=%h %s"])
            .arg(format!("--max-count={most}"));
        let answer = call.args(range(base, tip)).end_of_options().ok().await?;
        Ok(answer.text().lines().map(str::to_owned).collect())
    }

    /// The branch `HEAD` names, born or not; `None` if `HEAD` is detached.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn current_branch(&self) -> Result<Option<BranchName>, GitError> {
        let answer = self
            .call("symbolic-ref")
            .args(["--quiet", "HEAD"])
            .run()
            .await?
            .accept(&[0, 1])?;
        Ok(RefName::parse(answer.text().trim())
            .ok()
            .and_then(|name| name.as_branch()))
    }

    /// Where pushes to one of its remotes go, as git works it out; none where there is no such remote.
    ///
    /// # Errors
    /// If git cannot read the configuration.
    pub async fn remote_url(&self, name: &str) -> Result<Option<String>, GitError> {
        let answer = self
            .call("remote")
            .args(["get-url", "--push"])
            .end_of_options()
            .arg(name)
            .run()
            .await?
            .accept(&[0, 2, 128])?;
        let known = answer.code == Some(0);
        Ok(known.then(|| answer.text().trim().to_owned()))
    }

    /// Sets one value in the repository's own configuration.
    ///
    /// # Errors
    /// If git refuses the key.
    pub async fn set_config(&self, key: &str, value: &str) -> Result<(), GitError> {
        self.call("config")
            .args(["--local", "--replace-all"])
            .end_of_options()
            .arg(key)
            .arg(value)
            .ok()
            .await
            .map(drop)
    }
}

/// The arguments for "`tip` without `base`". Ids cannot be taken for options.
pub(crate) fn range(base: Option<&Oid>, tip: &Oid) -> Vec<String> {
    let mut args = vec![tip.to_string()];
    args.extend(base.map(|base| format!("^{base}")));
    args
}
