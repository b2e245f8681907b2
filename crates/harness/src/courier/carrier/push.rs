//! The remote's side of carrying: record and branch in one push, leased.

use gastown_git::{Expect, Oid, PushOutcome, RefName, RefUpdate};

use super::{Carried, Carrier, Refusal};
use crate::{
    ledger::LedgerError,
    record::{DONE, Record},
};

impl Carrier {
    /// The work branch has something of its own: it differs from where the work started.
    pub(super) fn has_work(&self) -> bool {
        self.known.work.is_some()
            || self
                .tips
                .work
                .as_ref()
                .is_some_and(|t| Some(t) != self.known.target.as_ref() && t.as_str() != self.record.base)
    }

    pub(super) fn work_is_new(&self) -> bool {
        let recorded = self
            .tips
            .work
            .as_ref()
            .is_some_and(|t| t.as_str() == self.record.unpushed);
        let behind = self.is_behind() && (!self.is_refused() || !recorded);
        // Work on another branch, or on none, is kept too: in the record alone.
        let elsewhere = self.tips.head.as_ref().is_some_and(|h| {
            Some(h) != self.tips.work.as_ref()
                && Some(h) != self.known.target.as_ref()
                && h.as_str() != self.record.base
                && h.as_str() != self.record.head
        });
        behind || elsewhere
    }

    async fn next_record(&self, word: &str) -> Result<Record, LedgerError> {
        let mut next = self.record.clone();
        word.clone_into(&mut next.outcome);
        if let Some(head) = &self.tips.head {
            next.head = head.to_string();
        }
        if self.tips.snapshot.is_none() {
            // Nothing is uncommitted any more. The ref may stay: what it holds counts only where the record says so.
            next.snapshot.clear();
            next.snapshot_before.clear();
        }
        let (Some(tip), Some(target)) = (&self.tips.work, &self.known.target) else {
            return Ok(next);
        };
        if self.is_refused() {
            // The branch stays where it is, and so does what is said of it.
            next.unpushed = tip.to_string();
        } else if self.has_work() {
            let (base, commits) = self.ledger.since(target, tip).await?;
            next.unpushed.clear();
            next.commit = tip.to_string();
            next.commits = commits;
            if let Some(base) = base {
                next.base = base.to_string();
            }
        }
        Ok(next)
    }

    /// Pushes the record, and the work branch with it unless the remote has refused that. Atomic: both or none.
    pub(super) async fn push_record(&mut self, word: &str) -> Result<Carried, LedgerError> {
        // An answer that was lost looks like a stale lease, and after looking again our view is right.
        for _ in 0..3 {
            let next = match self.is_refused() && word == DONE {
                // Done is latched by the record: it must not say so while the branch lacks the work.
                true => self.next_record("pushRejected").await?,
                false => self.next_record(word).await?,
            };
            let branch = self.branch_update();
            let record = self.record_update(&next).await?;
            let tip = branch.as_ref().and_then(|b| b.new.clone());
            let new = record.new.clone();
            let updates: Vec<RefUpdate> = std::iter::once(record).chain(branch).collect();
            match self.ledger.push(&updates).await? {
                PushOutcome::Done => {
                    self.known.record = new;
                    if let Some(tip) = tip {
                        tracing::info!("pushed {} to {}", tip.short(), self.pod.orders.work_branch);
                        self.known.work = Some(tip);
                        self.refused = None;
                    }
                    self.record = next;
                    return Ok(Carried::Level);
                }
                // A hook that minds the branch refuses the whole push, and git names the record first. The record alone
                // keeps the work, unless it is the record that is minded: the next turn shows.
                PushOutcome::Refused { dst, why } if dst == self.ledger.names.work || tip.is_some() => {
                    self.refuse(why, tip);
                }
                PushOutcome::Refused { dst, why } => return Err(refused(&dst, &why)),
                PushOutcome::Stale { .. } => {
                    if self.reread().await? == Carried::Fenced {
                        return Ok(Carried::Fenced);
                    }
                }
            }
        }
        Err(refused(&self.ledger.names.record, "it moves under our hands"))
    }

    /// The branch goes its way without us; the record keeps what it should have had.
    pub(super) fn refuse(&mut self, why: String, tip: Option<Oid>) {
        tracing::error!("the work branch is not taken by the remote: {why}; the work is kept in the record");
        self.refused = Some(Refusal { why, tip });
    }

    /// Whether the branch is closed to what the agent has now. Other work may be taken again: a hook that minds
    /// a large file does not mind the commit without it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
            .as_ref()
            .is_some_and(|r| r.tip.is_none() || r.tip == self.tips.work)
    }

    fn branch_update(&self) -> Option<RefUpdate> {
        let tip = self
            .tips
            .work
            .clone()
            .filter(|_| self.is_behind() && !self.is_refused())?;
        let expect = self.known.work.clone().map_or(Expect::Absent, Expect::Is);
        Some(RefUpdate::set(self.ledger.names.work.clone(), tip, expect))
    }

    /// A new link of the chain: its parents keep alive whatever the agent had.
    pub(super) async fn record_update(&self, next: &Record) -> Result<RefUpdate, LedgerError> {
        let mut parents: Vec<Oid> = self.known.record.iter().cloned().collect();
        for tip in [&self.tips.work, &self.tips.head].into_iter().flatten() {
            let known = parents.contains(tip) || Some(tip) == self.known.target.as_ref();
            if !known {
                parents.push(tip.clone());
            }
        }
        let commit = self.ledger.write(next, &parents).await?;
        let expect = self.known.record.clone().map_or(Expect::Absent, Expect::Is);
        Ok(RefUpdate::set(self.ledger.names.record.clone(), commit, expect))
    }

    /// A lease did not hold: whose turn is it?
    pub(super) async fn reread(&mut self) -> Result<Carried, LedgerError> {
        let now = self.ledger.refresh().await?;
        let Some(commit) = &now.record else {
            return Ok(Carried::Fenced);
        };
        let record = self.ledger.read(commit).await?;
        if !record.is_held_by(self.pod.orders.attempt, &self.pod.uid) {
            return Ok(Carried::Fenced);
        }
        // If it moved and is ours, it was our own push whose answer was lost: record and branch moved together.
        self.record = record;
        self.known = now;
        self.mind_strangers();
        Ok(Carried::Level)
    }
}

fn refused(name: &RefName, why: &str) -> LedgerError {
    LedgerError::Refused {
        name: name.to_string(),
        why: why.to_owned(),
    }
}
