//! The remote as a polecat's pod sees it: five refs, read together and moved together. Two of them may lie in a repository of
//! their own.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use gastown_git::{
    Cas, Expect, Fault, FetchOptions, Git, GitError, Identity, NameError, NewCommit, Oid, PushOutcome, RefName,
    RefUpdate, Refspec, Remote, Repo, TreeEntry,
};

use gastown_wire::ContentTrouble;

use crate::{
    access::{self, AccessError},
    content::{Content, ContentError, PATIENCE},
    conversation,
    record::{self, Record, RecordError},
    setup::Pod,
};

/// A record is a few hundred bytes. Bytes.
pub(crate) const RECORD_LIMIT: usize = 64 * 1024;
/// Where our view of the remote's refs is kept.
const SEEN: &str = "refs/remote";

/// What went wrong with the remote or the record.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Git or the remote.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The agent's repository cannot be read from.
    #[error("the agent's repository cannot be read: {0}")]
    Workspace(GitError),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The orders name a branch that git would refuse.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The orders name a repository that is none, or a credential that cannot be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The record's commit holds no record.
    #[error("commit {0} on the record ref holds no {file}", file = record::FILE)]
    NoRecord(Oid),
    /// The remote does not take a ref, now or later.
    #[error("the remote refuses {name}: {why}")]
    Refused {
        /// The ref.
        name: String,
        /// Its words; untrusted.
        why: String,
    },
}

impl LedgerError {
    /// Whether trying again may help with nothing changed by a person.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A ref that was listed and is gone a moment later: the next look sees that.
            Self::Git(error) => error.is_transient() || matches!(error.fault(), Fault::NoSuchRef | Fault::Disk),
            Self::Workspace(_)
            | Self::Record(_)
            | Self::Name(_)
            | Self::Access(_)
            | Self::NoRecord(_)
            | Self::Refused { .. } => false,
        }
    }
}

/// A commit as records name it; none is empty.
pub(crate) fn text(id: Option<&Oid>) -> String {
    id.map(Oid::to_string).unwrap_or_default()
}

/// Brings here what a remote has of these names, and says what it has not.
async fn bring(
    repo: &Repo,
    remote: &Remote,
    wanted: &[(&RefName, &'static str)],
) -> Result<Vec<&'static str>, GitError> {
    let patterns: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let there = repo.git().ls_remote(remote, &patterns).await?;
    let (mut specs, mut absent) = (Vec::new(), Vec::new());
    for (name, seen) in wanted {
        match there.contains_key(*name) {
            true => specs.push(Refspec::of(name, &RefName::parse(seen)?)),
            false => absent.push(*seen),
        }
    }
    if !specs.is_empty() {
        repo.fetch(remote, &specs, FetchOptions::default()).await?;
    }
    Ok(absent)
}

/// The refs of the remote that concern a polecat.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The record.
    pub(crate) record: RefName,
    /// The work branch.
    pub(crate) work: RefName,
    /// The branch the work starts from.
    pub(crate) target: RefName,
    /// Uncommitted work.
    pub(crate) snapshot: RefName,
    /// The agent's conversation.
    pub(crate) conversation: RefName,
}

/// What those refs were when they were last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) record: Option<Oid>,
    pub(crate) work: Option<Oid>,
    pub(crate) target: Option<Oid>,
    pub(crate) snapshot: Option<Oid>,
    pub(crate) conversation: Option<Oid>,
    /// Why the last two are not what the record repository has.
    pub(crate) unread: Option<ContentTrouble>,
}

/// Where snapshot and conversation lie.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// In the work's repository.
    Beside,
    /// In the record repository.
    Apart(Box<Content>),
    /// In the record repository, which cannot be spoken to: why.
    Closed(ContentTrouble),
}

/// Where a tip left its target branch: history does not change, so what was found once holds.
#[derive(Clone, Debug)]
struct Since {
    target: Oid,
    tip: Oid,
    base: Option<Oid>,
    commits: u32,
}

/// A repository of our own beside the remote it follows.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) repo: Repo,
    pub(crate) remote: Remote,
    pub(crate) names: Names,
    pub(crate) kept: Kept,
    /// The last answer of [`Ledger::since`], which is asked for the same pair again and again.
    since: Mutex<Option<Since>>,
}

impl Ledger {
    /// Opens courier's repository, making it where it does not stand yet. The remote is not asked.
    pub(crate) async fn open(pod: &Pod) -> Result<Self, LedgerError> {
        let o = &pod.orders;
        let names = Names {
            record: RefName::parse(&gastown_wire::record_ref(&o.subject.uid))?,
            work: RefName::parse(&pod.work_ref())?,
            target: RefName::parse(&pod.target_ref())?,
            snapshot: RefName::parse(&gastown_wire::snapshot_ref(&o.subject.uid))?,
            conversation: RefName::parse(&gastown_wire::conversation_ref(&o.subject.uid))?,
        };
        let git = Git::probe()
            .await?
            .with_timeout(Duration::from_secs(o.pace.git_timeout_s.max(1)));
        let (plain, (git, remote)) = (git.clone(), access::open(git, &o.remote)?);
        let dir = pod.repository();
        // Only one container of the pod works in it at a time: what is locked was locked by one that was killed.
        match gastown_git::break_locks(&dir) {
            Ok(broken) if broken.is_empty() => {}
            Ok(broken) => tracing::info!("broke the locks of a git that was killed: {broken:?}"),
            Err(error) => tracing::warn!("the locks of a git that was killed stay: {error}"),
        }
        let repo = git.init_bare(&dir).await?;
        let kept = match &o.content {
            None => Kept::Beside,
            Some(orders) => match Content::open(plain, &dir, orders).await {
                Ok(content) => Kept::Apart(Box::new(content)),
                Err(error) => Kept::Closed(error.told()),
            },
        };
        Ok(Self {
            repo,
            remote,
            names,
            kept,
            since: Mutex::default(),
        })
    }

    /// Reads the remote's refs and brings here what they name.
    pub(crate) async fn refresh(&self) -> Result<Heads, LedgerError> {
        let [record, work, target, snapshot, conversation] = self.wanted();
        let content = [snapshot, conversation];
        let mut absent = match &self.kept {
            Kept::Beside => bring(&self.repo, &self.remote, &self.wanted()).await?,
            Kept::Apart(_) | Kept::Closed(_) => bring(&self.repo, &self.remote, &[record, work, target]).await?,
        };
        let unread = match &self.kept {
            Kept::Beside => None,
            Kept::Apart(apart) => {
                match tokio::time::timeout(PATIENCE, bring(&apart.repo, &apart.remote, &content)).await {
                    Ok(Ok(none)) => {
                        absent.extend(none);
                        None
                    }
                    Ok(Err(error)) => Some(ContentError::from(error).told()),
                    Err(_) => Some(ContentError::Silent(PATIENCE).told()),
                }
            }
            Kept::Closed(why) => Some(why.clone()),
        };
        let mut here = self.repo.for_each_ref(SEEN).await?;
        self.forget(&mut here, &absent).await?;
        let mut take = |name: &str| here.remove(name);
        Ok(Heads {
            record: take("refs/remote/record"),
            work: take("refs/remote/work"),
            target: take("refs/remote/target"),
            snapshot: take("refs/remote/snapshot"),
            conversation: take("refs/remote/conversation"),
            unread,
        })
    }

    /// What the remote has no more goes here too.
    async fn forget(&self, here: &mut BTreeMap<RefName, Oid>, absent: &[&str]) -> Result<(), GitError> {
        let gone = absent.iter().filter_map(|name| here.remove_entry(*name));
        // Ours alone: nothing can have moved them meanwhile.
        let gone: Vec<RefUpdate> = gone.map(|(name, _)| RefUpdate::delete(name, Expect::Any)).collect();
        if !gone.is_empty() {
            let _: Cas = self.repo.update_refs(&gone).await?;
        }
        Ok(())
    }

    fn wanted(&self) -> [(&RefName, &'static str); 5] {
        [
            (&self.names.record, "refs/remote/record"),
            (&self.names.work, "refs/remote/work"),
            (&self.names.target, "refs/remote/target"),
            (&self.names.snapshot, "refs/remote/snapshot"),
            (&self.names.conversation, "refs/remote/conversation"),
        ]
    }

    /// The branches the remote has: what to say where one is missing.
    pub(crate) async fn branches(&self) -> Result<Vec<String>, GitError> {
        let refs = self.repo.git().ls_remote(&self.remote, &["refs/heads/*"]).await?;
        Ok(refs
            .keys()
            .filter_map(RefName::as_branch)
            .map(|b| b.to_string())
            .collect())
    }

    /// What the remote says right now, without bringing anything here.
    pub(crate) async fn look(&self, name: &RefName) -> Result<Option<Oid>, GitError> {
        Ok(self
            .repo
            .git()
            .ls_remote(&self.remote, &[name.as_str()])
            .await?
            .remove(name))
    }

    /// The record that a commit holds.
    pub(crate) async fn read(&self, commit: &Oid) -> Result<Record, LedgerError> {
        let text = self
            .repo
            .read_file_at(commit, Path::new(record::FILE), RECORD_LIMIT)
            .await?;
        Ok(Record::parse(
            &text.ok_or_else(|| LedgerError::NoRecord(commit.clone()))?,
        )?)
    }

    /// Writes a record commit here; pushing it is another matter.
    pub(crate) async fn write(&self, record: &Record, parents: &[Oid]) -> Result<Oid, GitError> {
        let blob = self.repo.write_blob(record.render()).await?;
        let file = TreeEntry::File {
            name: record::FILE.to_owned(),
            blob,
        };
        let tree = self.repo.mktree(&[file]).await?;
        let now = Identity::default().now();
        let message = format!("{}\n", record.title());
        let commit = NewCommit {
            tree: &tree,
            parents,
            author: now.clone(),
            committer: now,
            encoding: None,
            message: message.as_bytes(),
        };
        self.repo.commit_tree(&commit).await
    }

    /// Writes a conversation as a commit without parents: earlier ones are let go.
    pub(crate) async fn write_conversation(&self, packed: Vec<u8>) -> Result<Oid, GitError> {
        let file = TreeEntry::File {
            name: conversation::FILE.to_owned(),
            blob: self.repo.write_blob(packed).await?,
        };
        let tree = self.repo.mktree(&[file]).await?;
        let now = Identity::default().now();
        let commit = NewCommit {
            tree: &tree,
            parents: &[],
            author: now.clone(),
            committer: now,
            encoding: None,
            message: b"conversation\n",
        };
        self.repo.commit_tree(&commit).await
    }

    /// The conversation that a commit holds.
    pub(crate) async fn read_conversation(&self, commit: &Oid) -> Result<Option<Vec<u8>>, GitError> {
        let path = Path::new(conversation::FILE);
        self.repo.read_file_at(commit, path, conversation::LIMIT).await
    }

    /// Moves refs of the remote: all or none, each leased.
    pub(crate) async fn push(&self, updates: &[RefUpdate]) -> Result<PushOutcome, GitError> {
        self.repo.push(&self.remote, updates).await
    }

    /// Where a tip left the target branch, and how many commits it has since. No base: unrelated histories.
    pub(crate) async fn since(&self, target: &Oid, tip: &Oid) -> Result<(Option<Oid>, u32), GitError> {
        if target == tip {
            return Ok((Some(tip.clone()), 0));
        }
        let kept = self.since.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| (&kept.target, &kept.tip) == (target, tip)) {
            return Ok((kept.base, kept.commits));
        }
        let base = self.repo.merge_base(target, tip).await?;
        let commits = self.repo.count_commits(Some(target), tip).await?;
        let since = Since {
            target: target.clone(),
            tip: tip.clone(),
            base: base.clone(),
            commits: u32::try_from(commits).unwrap_or(u32::MAX),
        };
        let commits = since.commits;
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(since);
        Ok((base, commits))
    }
}
