//! `clone`: takes the attempt on the record ref, and leaves a workspace in which an agent can start or go on.

mod brief;
mod install;
mod workspace;

use std::io;

use gastown_git::{Expect, GitError, Oid, PushOutcome, RefUpdate};
use gastown_wire::{CloneOutcome, CloneReport, ContentTrouble, RemoteTrouble, VERSION, exit};

use crate::{
    access::{self, AccessError},
    age, conversation, files, last_words,
    ledger::{Heads, Ledger, LedgerError, text},
    record::{Claim, Record, Standing, WORKING, weigh},
    setup::Pod,
};

/// Why no workspace could be made.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// The remote, git or the record.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The repository has no such branch.
    #[error("it has no branch `{wanted}`; it has {}", shown(.there))]
    NoBranch {
        /// The one that is needed.
        wanted: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// The remote does not take our record.
    #[error("the remote refuses the ref {name}: {why}")]
    RecordRefused {
        /// The record ref.
        name: String,
        /// The remote's words.
        why: String,
    },
    /// A file or folder of the pod.
    #[error("{what}: {source}")]
    File {
        /// What failed.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

impl From<GitError> for CloneError {
    fn from(error: GitError) -> Self {
        Self::Ledger(error.into())
    }
}

impl CloneError {
    /// Names a file operation that failed.
    fn file(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { what, source }
    }

    /// How the report calls it, and what it says. What is unknown may pass: the kubelet tries again, and the operator counts.
    fn told(&self) -> (CloneOutcome, String) {
        match self.trouble() {
            Some(AccessError { trouble, detail }) => (
                CloneOutcome::Config {
                    reason: trouble.as_str().into(),
                },
                detail,
            ),
            None => (CloneOutcome::Transient, self.to_string()),
        }
    }

    /// What no trying again mends.
    fn trouble(&self) -> Option<AccessError> {
        let trouble = match self {
            Self::Ledger(LedgerError::Git(error)) => return access::trouble(error),
            Self::Ledger(LedgerError::Access(error)) => return Some(error.clone()),
            Self::Ledger(LedgerError::Record(_) | LedgerError::NoRecord(_)) => RemoteTrouble::RecordUnreadable,
            Self::Ledger(LedgerError::Name(_)) => RemoteTrouble::BadOrders,
            Self::NoBranch { there, .. } if there.is_empty() => RemoteTrouble::RepositoryEmpty,
            Self::NoBranch { .. } => RemoteTrouble::BranchNotFound,
            Self::Ledger(LedgerError::Refused { .. }) | Self::RecordRefused { .. } => RemoteTrouble::RefsRefused,
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                RemoteTrouble::VolumeNotWritable
            }
            Self::Ledger(LedgerError::Workspace(_)) | Self::File { .. } => return None,
        };
        Some(AccessError::new(trouble, self.to_string()))
    }
}

/// The first few of many names.
fn shown(names: &[String]) -> String {
    const MOST: usize = 8;
    match names {
        [] => "none at all".to_owned(),
        names if names.len() > MOST => {
            let few: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
            format!("{} and {} more", few.join(", "), names.len() - MOST)
        }
        names => names.join(", "),
    }
}

/// Makes the workspace and leaves the report. Returns the exit code.
pub async fn run(pod: Pod) -> i32 {
    let (outcome, detail, content) = match steps(&pod).await {
        Ok(told) => told,
        Err(error) => {
            let (outcome, detail) = error.told();
            (outcome, detail, None)
        }
    };
    let code = match &outcome {
        CloneOutcome::Ready { .. } => 0,
        CloneOutcome::AlreadyDone { .. } => exit::ALREADY_DONE,
        CloneOutcome::Fenced => exit::FENCED,
        CloneOutcome::BranchTaken | CloneOutcome::Config { .. } => exit::CONFIG,
        CloneOutcome::Transient => exit::TRANSIENT,
    };
    match code {
        0 => tracing::info!("{detail}"),
        _ => tracing::error!("{}: {detail}", word(&outcome)),
    }
    let report = CloneReport {
        version: VERSION,
        attempt: pod.orders.attempt,
        outcome,
        detail,
        content,
    };
    last_words::leave_or_log(&pod.termination, &report);
    code
}

fn word(outcome: &CloneOutcome) -> &str {
    match outcome {
        CloneOutcome::Config { reason } => reason,
        CloneOutcome::BranchTaken => "BranchTaken",
        CloneOutcome::Transient => "the remote cannot be used now",
        CloneOutcome::Fenced | CloneOutcome::AlreadyDone { .. } | CloneOutcome::Ready { .. } => "no work to do",
    }
}

/// The outcome, words, and what is wrong with the record repository.
type Told = (CloneOutcome, String, Option<ContentTrouble>);

async fn steps(pod: &Pod) -> Result<Told, CloneError> {
    age::begin(pod).map_err(CloneError::file("courier's volume cannot be written"))?;
    let shared = std::path::Path::new(&pod.orders.paths.shared);
    let harness =
        install::install(shared).map_err(CloneError::file("the harness cannot be put into the shared volume"))?;
    tracing::info!("installed {}", harness.display());
    access::leave_authorities().map_err(LedgerError::from)?;
    let ledger = Ledger::open(pod).await?;
    tracing::info!("reading {}", ledger.remote);
    let taken = match take(pod, &ledger).await? {
        Taken::Held(taken) => taken,
        Taken::Not(outcome, detail) => return Ok((outcome, detail, None)),
    };
    let stands = workspace::make(pod, &ledger, &taken).await?;
    brief::write(pod, &ledger, &taken).await?;
    if !stands.kept {
        bring_conversation(pod, &ledger, &taken).await;
    }
    let detail = match stands.kept {
        true => "the workspace stands from before this container started again".to_owned(),
        false => format!(
            "workspace on {} at {}: {} commits of earlier attempts, {} uncommitted files put back",
            pod.orders.work_branch,
            taken.start.short(),
            stands.commits,
            stands.dirty
        ),
    };
    let detail = match &taken.unread {
        Some(unread) => format!("{detail}; {unread}"),
        None => detail,
    };
    let ready = CloneOutcome::Ready {
        commits: stands.commits,
        dirty: stands.dirty,
    };
    Ok((ready, detail, taken.content))
}

/// Lays the conversation where `run` finds it. Without it the work goes on all the same.
async fn bring_conversation(pod: &Pod, ledger: &Ledger, held: &Held) {
    let Some(commit) = &held.conversation else { return };
    match ledger.read_conversation(commit).await {
        Ok(Some(packed)) => {
            let path = pod.shared(conversation::FILE);
            match files::replace(&path, &packed, 0o644) {
                Ok(()) => tracing::info!("the conversation so far is there ({} bytes)", packed.len()),
                Err(error) => tracing::warn!("{}: {error}", path.display()),
            }
        }
        Ok(None) => {}
        Err(error) => tracing::warn!("the conversation so far cannot be read: {error}"),
    }
}

/// The attempt is ours.
#[derive(Clone, Debug)]
struct Held {
    /// The target branch as it is now.
    target: Oid,
    /// Where the workspace starts: the work so far, or the target branch.
    start: Oid,
    /// Uncommitted work of an earlier attempt that fits `start`.
    snapshot: Option<Oid>,
    /// The agent's conversation so far.
    conversation: Option<Oid>,
    /// Why there is neither, where there should be.
    unread: Option<String>,
    /// What is wrong with the record repository, whether or not something should be there.
    content: Option<ContentTrouble>,
}

enum Taken {
    Held(Held),
    Not(CloneOutcome, String),
}

/// Takes the record, unless somebody else may keep it. Looks twice: the record may move between look and push.
async fn take(pod: &Pod, ledger: &Ledger) -> Result<Taken, CloneError> {
    for _ in 0..2 {
        if let Some(taken) = try_take(pod, ledger).await? {
            return Ok(taken);
        }
    }
    Ok(Taken::Not(
        CloneOutcome::Fenced,
        "the record moves under our hands: another pod holds it".into(),
    ))
}

async fn try_take(pod: &Pod, ledger: &Ledger) -> Result<Option<Taken>, CloneError> {
    let o = &pod.orders;
    let heads = ledger.refresh().await?;
    let Some(target) = heads.target.clone() else {
        return Err(CloneError::NoBranch {
            wanted: o.remote.branch.clone(),
            there: ledger.branches().await?,
        });
    };
    let record = match &heads.record {
        Some(commit) => Some(ledger.read(commit).await?),
        None => None,
    };
    let tip = tip_of(ledger, record.as_ref(), &heads).await?;
    let claim = Claim {
        round: o.round,
        attempt: o.attempt,
        pod_uid: &pod.uid,
    };
    let standing = weigh(record.as_ref(), claim, heads.work.as_ref().map(Oid::as_str), tip.ours);
    let not = |outcome, detail: String| Ok(Some(Taken::Not(outcome, detail)));
    let record = record.unwrap_or_default();
    match standing {
        Standing::Fenced => {
            let detail = format!(
                "attempt {} of pod {} holds the record; this is attempt {}",
                record.attempt, record.pod_uid, o.attempt
            );
            not(CloneOutcome::Fenced, detail)
        }
        Standing::Done => {
            let detail = format!(
                "round {} is done already: {} commits at {}",
                record.round, record.commits, record.commit
            );
            let done = CloneOutcome::AlreadyDone {
                commit: record.commit,
                base: record.base,
                commits: record.commits,
            };
            not(done, detail)
        }
        Standing::BranchTaken => {
            let detail = format!(
                "the branch `{}` exists and holds work that is not this polecat's; it was not touched: delete or rename it, or name another workBranch",
                o.work_branch
            );
            not(CloneOutcome::BranchTaken, detail)
        }
        Standing::Ours | Standing::Free => {
            let held = Held {
                start: tip.commit.clone().unwrap_or_else(|| target.clone()),
                snapshot: told(heads.snapshot.as_ref(), &record.snapshot, &record.snapshot_before),
                conversation: told(
                    heads.conversation.as_ref(),
                    &record.conversation,
                    &record.conversation_before,
                ),
                unread: unread(&heads, &record),
                content: heads.unread.clone(),
                target,
            };
            if standing == Standing::Ours {
                return Ok(Some(Taken::Held(held)));
            }
            let next = next_record(pod, ledger, &record, &tip, &held).await?;
            Ok(push_record(ledger, &heads, &next, &tip)
                .await?
                .then_some(Taken::Held(held)))
        }
    }
}

/// The work so far.
struct Tip {
    /// Its newest commit.
    commit: Option<Oid>,
    /// What the branch has, or had before somebody deleted it.
    branch: Option<Oid>,
    /// The branch on the remote, where there is one, contains what the record speaks of.
    ours: bool,
}

async fn tip_of(ledger: &Ledger, record: Option<&Record>, heads: &Heads) -> Result<Tip, CloneError> {
    // A first record has no commit; one that cannot be read as an id speaks of nothing we could hold on to.
    let recorded = record.and_then(|r| Oid::parse(&r.commit).ok());
    let unpushed = record.and_then(|r| Oid::parse(&r.unpushed).ok());
    let (branch, unpushed, ours) = match (&heads.work, recorded) {
        (Some(branch), Some(recorded)) if *branch == recorded => (Some(recorded), unpushed, true),
        // Somebody added to it, or rewrote it. What the remote had refused stays in the record's history.
        (Some(branch), Some(recorded)) => {
            let ours = ledger.repo.is_ancestor(&recorded, branch).await?;
            (Some(branch.clone()), None, ours)
        }
        (Some(branch), None) => (Some(branch.clone()), None, false),
        // There was none yet, or somebody deleted it: the record keeps the commit, and the next push brings it back.
        (None, recorded) => (recorded, unpushed, true),
    };
    let commit = unpushed.or_else(|| branch.clone());
    Ok(Tip { commit, branch, ours })
}

/// The record's word counts, not the ref's: what was taken back may still lie there.
fn told(there: Option<&Oid>, recorded: &str, before: &str) -> Option<Oid> {
    let is_told = |id: &Oid| !recorded.is_empty() && [recorded, before].contains(&id.as_str());
    there.cloned().filter(is_told)
}

/// Why what the record speaks of is not put back.
fn unread(heads: &Heads, record: &Record) -> Option<String> {
    let why = heads.unread.as_ref()?;
    if record.snapshot.is_empty() && record.conversation.is_empty() {
        tracing::warn!("the record repository cannot be read: {why}");
        return None;
    }
    let told = format!(
        "uncommitted files and conversation of earlier attempts are missing, the record repository cannot be read: {why}"
    );
    tracing::error!("{told}");
    Some(told)
}

async fn next_record(pod: &Pod, ledger: &Ledger, old: &Record, tip: &Tip, held: &Held) -> Result<Record, CloneError> {
    let (base, commits) = ledger.since(&held.target, &held.start).await?;
    Ok(Record {
        version: VERSION,
        round: pod.orders.round,
        attempt: pod.orders.attempt,
        pod_uid: pod.uid.clone(),
        owner: pod.orders.subject.rig_uid.clone().unwrap_or_else(|| old.owner.clone()),
        outcome: WORKING.into(),
        branch: pod.orders.work_branch.clone(),
        base: base.map_or_else(|| held.target.to_string(), |b| b.to_string()),
        commit: text(tip.branch.as_ref()),
        commits,
        unpushed: text(tip.commit.as_ref().filter(|c| Some(*c) != tip.branch.as_ref())),
        head: String::new(),
        snapshot: old.snapshot.clone(),
        conversation: old.conversation.clone(),
        snapshot_before: old.snapshot_before.clone(),
        conversation_before: old.conversation_before.clone(),
    })
}

/// True when the record is ours now; false when it moved before we could.
async fn push_record(ledger: &Ledger, heads: &Heads, record: &Record, tip: &Tip) -> Result<bool, CloneError> {
    let parents: Vec<Oid> = heads.record.iter().chain(&tip.commit).cloned().collect();
    let commit = ledger.write(record, &parents).await?;
    let expect = heads.record.clone().map_or(Expect::Absent, Expect::Is);
    let update = RefUpdate::set(ledger.names.record.clone(), commit, expect);
    match ledger.push(&[update]).await? {
        PushOutcome::Done => Ok(true),
        PushOutcome::Stale { .. } => Ok(false),
        PushOutcome::Refused { dst, why } => Err(CloneError::RecordRefused {
            name: dst.to_string(),
            why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Oid, told};

    #[test]
    fn what_lies_in_a_repository_of_its_own_may_be_what_the_record_says_or_what_it_was_before() {
        let [a, b, c] = ["a", "b", "c"].map(|digit| digit.repeat(40));
        for (there, recorded, before, is_told) in [
            (&a, a.as_str(), "", true),
            // The record moved, and the pod was lost before the other repository did.
            (&a, &b, a.as_str(), true),
            (&b, &b, &a, true),
            (&c, &b, &a, false),
            // Nothing is uncommitted any more.
            (&a, "", "", false),
            (&a, "", &a, false),
        ] {
            let there = Oid::parse(there).unwrap();
            assert_eq!(
                told(Some(&there), recorded, before).is_some(),
                is_told,
                "{there} {recorded} {before}"
            );
        }
        assert_eq!(told(None, &a, &a), None);
    }
}
