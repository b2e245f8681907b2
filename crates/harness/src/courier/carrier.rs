//! Carries what the agent committed to the remote: from its repository into ours by path, from ours to the
//! remote with leases. Never runs git inside the agent's repository.

mod kept;
mod push;

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf};

use gastown_git::{AgentRepo, Expect, Fault, FetchOptions, GitError, Oid, RefName, Refspec};
use gastown_wire::{ContentTrouble, CourierOutcome, RecordLevel};

use crate::{
    conversation,
    courier::verdict::{self, Proof},
    ledger::{Heads, Ledger, LedgerError},
    link::Ended,
    record::{Record, WORKING},
    setup::Pod,
};

/// Where the agent's refs are kept here.
const SEEN: &str = "refs/agent";
const SEEN_WORK: &str = "refs/agent/work";
const SEEN_HEAD: &str = "refs/agent/head";
const SEEN_SNAPSHOTS: &str = "refs/agent/kept/";
const SEEN_SNAPSHOT: &str = "refs/agent/kept/snapshot";

/// What became of an attempt to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// All the agent has is on the remote, as far as the remote takes it.
    Level,
    /// A newer attempt holds the record. Nothing may be pushed any more.
    Fenced,
}

/// How the end stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// On the remote, in record and branch.
    As(CourierOutcome),
    /// The push was accepted, yet the branch is not there: look again.
    Unproven,
    /// A newer attempt holds the record.
    Fenced,
}

/// Who may carry.
pub(crate) enum Opened {
    /// The record is ours.
    Held(Box<Carrier>),
    /// The record is ours and says that this round is done: only the report is missing.
    Done(Box<Record>),
    /// It is not.
    Fenced,
}

/// Holds the record of one attempt.
#[derive(Debug)]
pub(crate) struct Carrier {
    pod: Pod,
    ledger: Ledger,
    agent: AgentRepo,
    /// The remote's refs, as we left or found them.
    known: Heads,
    /// What the record says now.
    record: Record,
    /// The agent's refs at the last fetch.
    tips: Tips,
    /// Stamps of the agent's refs at the last fetch.
    stamps: Option<Vec<Stamp>>,
    /// Why the work branch itself is not taken; the record still is.
    refused: Option<Refusal>,
    /// Why the agent's repository could not be read at the end.
    pub(crate) unreadable: Option<String>,
    /// The remote takes nothing beside commits and records.
    keeping_refused: bool,
    /// How the record repository does, where there is one.
    mood: kept::Mood,
    /// Why content is not kept, or was not read: the last word, until a push is taken.
    trouble: Option<ContentTrouble>,
    /// The newest conversation, as a commit of ours.
    conversation: Option<Oid>,
    /// The file it was made of.
    conversation_stamp: Stamp,
}

/// The remote does not let us move the work branch.
#[derive(Clone, Debug)]
struct Refusal {
    /// In its words, or ours.
    why: String,
    /// What it did not take; none: it takes nothing of ours, because somebody else moved the branch.
    tip: Option<Oid>,
}

type Stamp = Option<(i64, i64, u64, u64)>;

/// What the agent's repository holds. Hostile: ids of commits that were fetched and checked, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tips {
    pub(crate) work: Option<Oid>,
    pub(crate) head: Option<Oid>,
    snapshot: Option<Oid>,
}

impl Carrier {
    /// Reads the record and takes up the work where it says.
    pub(crate) async fn open(pod: &Pod) -> Result<Opened, LedgerError> {
        let ledger = Ledger::open(pod).await?;
        let known = ledger.refresh().await?;
        let Some(commit) = &known.record else {
            return Ok(Opened::Fenced);
        };
        let record = ledger.read(commit).await?;
        if !record.is_held_by(pod.orders.attempt, &pod.uid) {
            return Ok(Opened::Fenced);
        }
        if record.is_done(pod.orders.round) {
            return Ok(Opened::Done(Box::new(record)));
        }
        let agent = AgentRepo::at(ledger.repo.git().clone(), &pod.workspace());
        let mut carrier = Self {
            pod: pod.clone(),
            ledger,
            agent,
            known,
            record,
            tips: Tips::default(),
            stamps: None,
            refused: None,
            unreadable: None,
            keeping_refused: false,
            mood: kept::Mood::default(),
            trouble: None,
            conversation: None,
            conversation_stamp: None,
        };
        carrier.mind_strangers();
        carrier.mind_closed();
        carrier.trouble.clone_from(&carrier.known.unread);
        Ok(Opened::Held(Box::new(carrier)))
    }

    /// A branch that is not where our record says was moved by somebody else: it is not ours to move again.
    fn mind_strangers(&mut self) {
        let stranger = self
            .known
            .work
            .as_ref()
            .filter(|there| there.as_str() != self.record.commit);
        if let Some(there) = stranger {
            let why = format!("somebody else moved the branch (it is at {there})");
            self.refuse(why, None);
        }
    }

    /// What the record says now.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// What is wrong with where content is kept.
    pub(crate) fn content_trouble(&self) -> Option<&ContentTrouble> {
        self.trouble.as_ref()
    }

    /// The commit of the work branch on the remote, where it is ours.
    pub(crate) fn pushed(&self) -> Option<&Oid> {
        self.known.work.as_ref().filter(|_| !self.is_refused())
    }

    /// Whether the agent has work that the remote's branch has not.
    pub(crate) fn is_behind(&self) -> bool {
        self.tips.work.is_some() && self.tips.work != self.known.work && self.has_work()
    }

    /// Whether there is anything that only this pod has.
    pub(crate) fn has_unpushed(&self) -> bool {
        self.work_is_new() || self.has_more_to_keep()
    }

    /// Brings what is new to the remote. `always`: also where the agent's files look untouched.
    pub(crate) async fn carry(&mut self, always: bool) -> Result<Carried, LedgerError> {
        let stamps = self.stamps_now();
        if !always && self.stamps.as_ref() == Some(&stamps) {
            return Ok(Carried::Level);
        }
        self.fetch().await?;
        if self.work_is_new() && self.push_record(WORKING).await? == Carried::Fenced {
            return Ok(Carried::Fenced);
        }
        self.take_conversation().await?;
        if self.has_more_to_keep() {
            if self.is_to_wait() {
                return Ok(Carried::Level);
            }
            if self.push_kept(kept::When::Meanwhile).await? == Carried::Fenced {
                return Ok(Carried::Fenced);
            }
            if self.has_more_to_keep() {
                return Ok(Carried::Level);
            }
        }
        // Only now: what failed half way is tried again.
        self.stamps = Some(stamps);
        Ok(Carried::Level)
    }

    /// Looks at what the agent left, now that nothing changes it any more, and judges. Asks no remote.
    pub(crate) async fn judge(&mut self, ended: &Ended) -> Result<CourierOutcome, LedgerError> {
        let mut ended = ended.clone();
        if let Err(error) = self.fetch().await {
            // What cannot be read was not left in order. What was carried before stands.
            tracing::error!("{error}");
            self.unreadable = Some(error.to_string());
            ended.dirty = ended.dirty.max(1);
        }
        let proof = self.proof().await?;
        Ok(verdict::judge(&ended, &proof, &self.pod.orders.work_branch))
    }

    /// Brings the last work to the remote, with a record that says how it ended, and looks whether it is there.
    pub(crate) async fn settle(&mut self, outcome: &CourierOutcome) -> Result<Settled, LedgerError> {
        if self.push_record(verdict::word(outcome)).await? == Carried::Fenced {
            return Ok(Settled::Fenced);
        }
        if let Err(error) = self.take_conversation().await {
            tracing::warn!("the conversation cannot be kept: {error}");
        }
        if self.has_more_to_keep() {
            // The work is safe; a remote that is slow with the rest must not keep us from saying so.
            if let Err(error) = self.push_kept(kept::When::AtLast).await {
                tracing::warn!("uncommitted work and conversation cannot be pushed: {error}");
            }
        }
        if let Some(refusal) = self.refused.as_ref().filter(|_| self.is_refused()) {
            let why = refusal.why.clone();
            return Ok(Settled::As(CourierOutcome::PushRejected { why }));
        }
        match outcome {
            CourierOutcome::Done if !self.stands().await? => Ok(Settled::Unproven),
            outcome => Ok(Settled::As(outcome.clone())),
        }
    }

    async fn proof(&self) -> Result<Proof, LedgerError> {
        let mut proof = Proof {
            handed_back: self.pod.orders.evidence.as_ref().and_then(|e| e.commit.clone()),
            ..Proof::default()
        };
        let Some(target) = &self.known.target else {
            return Ok(proof);
        };
        if let Some(tip) = self.tips.work.as_ref().filter(|_| self.has_work()) {
            let (base, commits) = self.ledger.since(target, tip).await?;
            proof.tip = tip.to_string();
            proof.commits = commits;
            proof.unrelated = base.is_none();
        }
        if let Some(head) = &self.tips.head {
            let on_work = match &self.tips.work {
                Some(tip) => self.is_on(head, tip).await?,
                None => false,
            };
            proof.elsewhere = !on_work && !self.is_on(head, target).await?;
        }
        Ok(proof)
    }

    async fn is_on(&self, head: &Oid, tip: &Oid) -> Result<bool, GitError> {
        Ok(head == tip || self.ledger.repo.is_ancestor(head, tip).await?)
    }

    /// Whether the remote's branch is where we left it, asked again.
    async fn stands(&self) -> Result<bool, GitError> {
        let there = self.ledger.look(&self.ledger.names.work).await?;
        Ok(there.is_some() && there == self.tips.work && there == self.known.work)
    }

    // --- the agent's side

    async fn fetch(&mut self) -> Result<(), LedgerError> {
        let keeps = self.pod.orders.record != RecordLevel::Commits && !self.keeping_refused;
        // Mostly all is there, and one fetch brings it.
        if !keeps || self.fetch_all().await.is_err() {
            self.fetch_branches().await.map_err(LedgerError::Workspace)?;
            if keeps && let Err(error) = self.fetch_kept(&[]).await {
                // What is committed goes its way all the same.
                tracing::warn!("uncommitted work cannot be read: {error}");
            }
        }
        // A ref of the agent may name anything; only commits are carried.
        let mut seen = self.ledger.repo.commits_under(SEEN).await?;
        let mut take = |name: &str| seen.remove(name);
        self.tips = Tips {
            work: take(SEEN_WORK),
            head: take(SEEN_HEAD),
            snapshot: take(SEEN_SNAPSHOT),
        };
        Ok(())
    }

    fn branches(&self) -> Result<[Refspec; 2], GitError> {
        let work = Refspec::of(&self.ledger.names.work, &RefName::parse(SEEN_WORK)?);
        Ok([work, Refspec::head(&RefName::parse(SEEN_HEAD)?)])
    }

    async fn fetch_all(&self) -> Result<(), GitError> {
        self.fetch_kept(&self.branches()?).await
    }

    /// Uncommitted work, with what else is named. Where it is gone, it goes here too.
    async fn fetch_kept(&self, others: &[Refspec]) -> Result<(), GitError> {
        let kept = Refspec::under(crate::SNAPSHOT_FOLDER, SEEN_SNAPSHOTS)?;
        let specs: Vec<Refspec> = others.iter().cloned().chain([kept]).collect();
        let options = FetchOptions {
            prune: true,
            ..FetchOptions::default()
        };
        self.ledger.repo.fetch_from_agent(&self.agent, &specs, options).await
    }

    async fn fetch_branches(&self) -> Result<(), GitError> {
        let repo = &self.ledger.repo;
        let [work, head] = self.branches()?;
        let both = repo
            .fetch_from_agent(&self.agent, &[work.clone(), head.clone()], FetchOptions::default())
            .await;
        match both {
            Err(error) if error.fault() == Fault::NoSuchRef => {
                // The agent may have deleted its branch, or stand on one without a commit: each for itself.
                for (spec, seen) in [(work, SEEN_WORK), (head, SEEN_HEAD)] {
                    match repo
                        .fetch_from_agent(&self.agent, &[spec], FetchOptions::default())
                        .await
                    {
                        Err(error) if error.fault() == Fault::NoSuchRef => {
                            let _ = repo.delete_ref(&RefName::parse(seen)?, Expect::Any).await?;
                        }
                        other => other?,
                    }
                }
            }
            other => other?,
        }
        Ok(())
    }

    /// Makes a commit of the conversation that `run` packed, if it is another one. The agent can write there: what it
    /// leaves is carried as bytes, and only its own next attempt reads them.
    async fn take_conversation(&mut self) -> Result<(), LedgerError> {
        if self.pod.orders.record != RecordLevel::Conversation || self.keeping_refused {
            return Ok(());
        }
        let path = self.pod.shared(conversation::FILE);
        let now = stamp(&path);
        if now.is_none() || now == self.conversation_stamp {
            return Ok(());
        }
        match conversation::read(&path) {
            Ok(Some(packed)) => {
                self.conversation = Some(self.ledger.write_conversation(packed).await?);
                self.conversation_stamp = now;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("the conversation cannot be kept: {error}");
                self.conversation_stamp = now;
            }
        }
        Ok(())
    }

    /// When the files that hold the agent's refs were written. A missing one is as good as any other value;
    /// links are not followed.
    fn stamps_now(&self) -> Vec<Stamp> {
        let git = PathBuf::from(&self.pod.orders.paths.workspace).join(".git");
        [
            "HEAD",
            self.ledger.names.work.as_str(),
            crate::SNAPSHOT,
            "packed-refs",
            "logs/HEAD",
        ]
        .iter()
        .map(|file| stamp(&git.join(file)))
        .chain([stamp(&self.pod.shared(conversation::FILE))])
        .collect()
    }
}

/// When a file was written, and what it is.
fn stamp(path: &std::path::Path) -> Stamp {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()))
}
