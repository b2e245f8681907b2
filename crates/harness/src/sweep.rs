//! Sweeps the records of polecats that are gone, after a landing. Best effort: what stays is looked at another time.
//!
//! Gone is who is not among the living of the orders. A record is swept where it says that it is of the rig that lands, and
//! has not moved for a week: so one of a polecat that was made after the orders were written is never touched. Snapshot and
//! conversation go with it, all by their values as they were read: what moves meanwhile stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use gastown_git::{Depth, Expect, FetchOptions, Git, Oid, PushOutcome, RefName, RefUpdate, Refspec, Remote, Repo};
use gastown_wire::{LandOrders, Sweep, conversation_ref, record_ref, snapshot_ref};

use crate::{
    content::{Content, ContentError},
    ledger::RECORD_LIMIT,
    queue::{Desk, Trouble, place},
    record::{self, Record},
};

/// A record that has not moved for so long is done with.
const AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The queue waits for the pod: no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most records that are fetched, for their dates.
const DATED: usize = 500;
/// Most old records that are read, for their owners.
const READ: usize = 200;
/// Most polecats that are swept.
const SWEPT: usize = 50;

/// Sweeps what the orders say; a line for people, where they say anything.
pub(crate) async fn records(git: &Git, desk: &Desk, orders: &LandOrders) -> Option<String> {
    let sweep = orders.sweep.as_ref().filter(|s| !s.owner.is_empty())?;
    let swept = tokio::time::timeout(PATIENCE, all(git, desk, orders, sweep)).await;
    Some(match swept {
        Ok(Ok(count)) => format!("{count} records swept"),
        Ok(Err(trouble)) => format!("no records swept: {}", trouble.detail()),
        Err(_) => "no records swept: it takes too long".to_owned(),
    })
}

/// Refs with the values they had.
type Refs = Vec<(RefName, Oid)>;

/// What one polecat left.
struct Left {
    uid: String,
    /// In the work's repository, the record first.
    here: Refs,
    /// In the record repository.
    apart: Refs,
}

async fn all(git: &Git, desk: &Desk, orders: &LandOrders, sweep: &Sweep) -> Result<usize, Trouble> {
    let folders = [record_ref("*"), snapshot_ref("*"), conversation_ref("*")];
    let folders = folders.each_ref().map(String::as_str);
    let there = desk.look(&folders).await?;
    let gone = from_place(gone(&there, sweep), &orders.candidate);
    if gone.is_empty() {
        return Ok(0);
    }
    // Not where landings are checked: a history that is cut short makes those wrong.
    let dir = place(&orders.paths.courier, "paths.courier")?.join("records.git");
    let repo = desk.repo.git().init_bare(&dir).await?;
    let specs: Vec<Refspec> = gone.iter().take(DATED).map(|(_, name)| Refspec::same(name)).collect();
    let shallow = FetchOptions::depth(Depth::Shallow(1));
    repo.fetch(&desk.remote, &specs, shallow).await?;
    let old = old(&repo, gone).await?;
    let mut left = owned(&repo, old, &sweep.owner).await?;
    for one in &mut left {
        one.here.extend(content_of(&one.uid, &there));
    }
    if let Some(orders) = &sweep.content {
        // First: once the record is gone, nobody would ever look for what belongs to it.
        let content = Content::open(git.clone(), &dir, orders).await?;
        let there = content.look(&folders).await?;
        for one in &mut left {
            one.apart = content_of(&one.uid, &there).collect();
        }
        left = delete(&content.repo, &content.remote, left, |one| &one.apart).await?;
    }
    let swept = delete(&repo, &desk.remote, left, |one| &one.here).await?;
    Ok(swept.len())
}

/// Snapshot and conversation of a polecat, where there are.
fn content_of(uid: &str, there: &BTreeMap<RefName, Oid>) -> impl Iterator<Item = (RefName, Oid)> {
    let names = [snapshot_ref(uid), conversation_ref(uid)];
    there
        .iter()
        .filter(move |(name, _)| names.iter().any(|n| n == name.as_str()))
        .map(|(name, oid)| (name.clone(), oid.clone()))
}

impl From<ContentError> for Trouble {
    fn from(error: ContentError) -> Self {
        Self::Transient(format!("the record repository: {error}"))
    }
}

/// Records of polecats that are not among the living.
fn gone(there: &BTreeMap<RefName, Oid>, sweep: &Sweep) -> Vec<(String, RefName)> {
    let living: BTreeSet<&str> = sweep.living.iter().map(String::as_str).collect();
    let folder = record_ref("");
    there
        .keys()
        .filter_map(|name| Some((name.as_str().strip_prefix(&folder)?.to_owned(), name.clone())))
        .filter(|(uid, _)| !uid.contains('/') && !living.contains(uid.as_str()))
        .collect()
}

/// Each landing begins elsewhere, so that those at the end of a long list are reached too.
fn from_place<T>(mut list: Vec<T>, candidate: &str) -> Vec<T> {
    let number = candidate.get(..15).and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let start = number.unwrap_or_default().checked_rem(list.len()).unwrap_or_default();
    list.rotate_left(start);
    list
}

/// Those that have not moved for a week, as they were fetched.
async fn old(repo: &Repo, gone: Vec<(String, RefName)>) -> Result<Vec<(String, RefName, Oid)>, Trouble> {
    let since = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .saturating_sub(AGE)
        .as_secs();
    let mut dates = repo.dated_refs(record_ref("").trim_end_matches('/')).await?;
    let old = gone.into_iter().filter_map(|(uid, name)| {
        let (oid, date) = dates.remove(&name)?;
        (date < i64::try_from(since).ok()?).then_some((uid, name, oid))
    });
    Ok(old.take(READ).collect())
}

/// Those that say that they are the owner's.
async fn owned(repo: &Repo, old: Vec<(String, RefName, Oid)>, owner: &str) -> Result<Vec<Left>, Trouble> {
    let commits: Vec<&Oid> = old.iter().map(|(_, _, commit)| commit).collect();
    let texts = repo.read_files_at(&commits, record::FILE, RECORD_LIMIT).await?;
    // What cannot be read says nothing, and stays.
    let says = |text: Option<Vec<u8>>| Some(Record::parse(&text?).ok()?.owner);
    let owned = old
        .into_iter()
        .zip(texts)
        .filter_map(|((uid, name, commit), text)| (says(text)? == owner).then_some((uid, name, commit)));
    let left = owned.map(|(uid, name, commit)| Left {
        uid,
        here: vec![(name, commit)],
        apart: Refs::new(),
    });
    Ok(left.take(SWEPT).collect())
}

/// Deletes in one push, and says whose refs are gone. Whose have moved is left out of the next try, and stays.
async fn delete(
    repo: &Repo,
    remote: &Remote,
    mut left: Vec<Left>,
    of: fn(&Left) -> &Refs,
) -> Result<Vec<Left>, Trouble> {
    for _ in 0..3 {
        let refs = left.iter().flat_map(of).cloned();
        let updates: Vec<RefUpdate> = refs
            .map(|(name, oid)| RefUpdate::delete(name, Expect::Is(oid)))
            .collect();
        match repo.push(remote, &updates).await? {
            PushOutcome::Done => return Ok(left),
            PushOutcome::Refused { dst, why } => {
                return Err(Trouble::Transient(format!("{remote} keeps {dst}: {why}")));
            }
            PushOutcome::Stale { refs } => left.retain(|one| !of(one).iter().any(|(name, _)| refs.contains(name))),
        }
    }
    Err(Trouble::Transient("they move under our hands".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_wire::{Paths, RemoteOrders};

    /// Who lands waits for this: a remote that takes the question and never answers costs ten seconds, and no landing.
    #[tokio::test]
    async fn a_remote_that_never_answers_is_left_alone_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = RemoteOrders {
            url: format!("http://{}/parts.git", silent.local_addr().unwrap()),
            branch: "main".into(),
            ..RemoteOrders::default()
        };
        let paths = Paths {
            courier: folder.path().display().to_string(),
            ..Paths::default()
        };
        let git = Git::probe().await.unwrap();
        let desk = Desk::open(&git, &remote, &paths, &Default::default()).await.unwrap();
        let orders = LandOrders {
            sweep: Some(Sweep {
                owner: "rig-uid".into(),
                ..Sweep::default()
            }),
            ..LandOrders::default()
        };
        // Git waits for the remote in real time; the clock goes on as soon as nothing else is to be done.
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let said = records(&git, &desk, &orders).await;
        assert_eq!(said.as_deref(), Some("no records swept: it takes too long"));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[test]
    fn every_record_is_the_first_of_some_landing() {
        let list = vec!["a", "b", "c"];
        let first = |candidate: &str| from_place(list.clone(), candidate)[0];
        let number = |n: u32| format!("{n:015x}{}", "f".repeat(25));
        assert_eq!([0, 1, 2, 3].map(|n| first(&number(n))), ["a", "b", "c", "a"]);
        assert_eq!(first("no commit"), "a");
        assert!(from_place(Vec::<u8>::new(), &number(1)).is_empty());
    }
}
