//! What is kept beside the work, in pushes of its own: uncommitted files and the conversation. In the work's repository they
//! move together with the record; in a repository of their own after it, and the record names both what lies there and what
//! will.

use std::time::Duration;

use gastown_git::{Expect, Oid, PushOutcome, RefUpdate};
use gastown_wire::{ContentTrouble, RecordLevel};
use tokio::time::Instant;

use super::{Carried, Carrier};
use crate::{
    content::{self, Content, PATIENCE},
    ledger::{Kept, LedgerError, text},
};

/// At the end the pod's grace is short, and the work is safe.
const LAST_PATIENCE: Duration = Duration::from_secs(20);
/// Longest that one push may take where earlier ones failed.
const MOST_PATIENCE: Duration = Duration::from_secs(300);

/// When it is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// While the agent works.
    Meanwhile,
    /// Once it has ended.
    AtLast,
}

/// How a record repository has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mood {
    failures: u32,
    not_before: Option<Instant>,
}

impl Mood {
    fn patience(self, when: When) -> Duration {
        match when {
            When::Meanwhile => (PATIENCE * 2_u32.pow(self.failures.min(4))).min(MOST_PATIENCE),
            When::AtLast => LAST_PATIENCE,
        }
    }

    /// Commits are carried meanwhile: twice as long as the next try may hold them up.
    fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now().checked_add(2 * self.patience(When::Meanwhile));
    }

    /// It failed a moment ago.
    fn is_to_wait(self) -> bool {
        self.not_before.is_some_and(|at| Instant::now() < at)
    }
}

impl Carrier {
    /// What cannot be spoken to is said once.
    pub(super) fn mind_closed(&mut self) {
        if let Kept::Closed(why) = &self.ledger.kept {
            tracing::error!("nothing but commits is kept: the record repository cannot be used: {why}");
            self.keeping_refused = true;
        }
    }

    /// The record repository failed a moment ago.
    pub(super) fn is_to_wait(&self) -> bool {
        self.mood.is_to_wait()
    }

    fn is_apart(&self) -> bool {
        matches!(self.ledger.kept, Kept::Apart(_))
    }

    pub(super) fn snapshot_is_new(&self) -> bool {
        let is_new = match self.is_apart() {
            true => self.tips.snapshot != self.known.snapshot,
            false => self.tips.snapshot.as_ref().map_or("", Oid::as_str) != self.record.snapshot,
        };
        self.pod.orders.record != RecordLevel::Commits && is_new
    }

    fn conversation_is_new(&self) -> bool {
        self.conversation.as_ref().is_some_and(|c| match self.is_apart() {
            true => Some(c) != self.known.conversation.as_ref(),
            false => c.as_str() != self.record.conversation,
        })
    }

    /// Whether there is something to keep that the remote takes.
    pub(super) fn has_more_to_keep(&self) -> bool {
        !self.keeping_refused && (self.snapshot_is_new() || self.conversation_is_new())
    }

    /// Never holds up the work: whatever becomes of it, the work has been pushed before.
    pub(super) async fn push_kept(&mut self, when: When) -> Result<Carried, LedgerError> {
        match self.ledger.kept.clone() {
            Kept::Apart(content) => self.push_apart(&content, when).await,
            Kept::Beside | Kept::Closed(_) => self.push_beside().await,
        }
    }

    /// The refs of what is new, each leased on what lies there.
    fn kept_updates(&self) -> Vec<RefUpdate> {
        let names = &self.ledger.names;
        let snapshot = (&names.snapshot, &self.tips.snapshot, &self.known.snapshot);
        let conversation = (&names.conversation, &self.conversation, &self.known.conversation);
        [
            (snapshot, self.snapshot_is_new()),
            (conversation, self.conversation_is_new()),
        ]
        .into_iter()
        .filter(|((_, wanted, there), is_new)| *is_new && wanted != there)
        .map(|((name, wanted, there), _)| {
            let expect = there.clone().map_or(Expect::Absent, Expect::Is);
            match wanted {
                Some(tip) => RefUpdate::set(name.clone(), tip.clone(), expect),
                None => RefUpdate::delete(name.clone(), expect),
            }
        })
        .collect()
    }

    /// What lies there is what we wanted.
    fn is_kept(&mut self, snapshot: bool, conversation: bool) {
        if snapshot {
            self.known.snapshot = self.tips.snapshot.clone();
        }
        if conversation {
            self.known.conversation = self.conversation.clone();
        }
    }

    fn refuse_to_keep(&mut self, trouble: ContentTrouble) {
        tracing::warn!(
            "the remote takes no uncommitted work, nor a conversation: {}",
            trouble.detail
        );
        self.keeping_refused = true;
        self.trouble = Some(trouble);
    }

    async fn push_beside(&mut self) -> Result<Carried, LedgerError> {
        let (snapshot, conversation) = (self.snapshot_is_new(), self.conversation_is_new());
        let mut next = self.record.clone();
        if snapshot {
            next.snapshot = text(self.tips.snapshot.as_ref());
        }
        if conversation {
            next.conversation = text(self.conversation.as_ref());
        }
        let record = self.record_update(&next).await?;
        let new = record.new.clone();
        let updates: Vec<RefUpdate> = std::iter::once(record).chain(self.kept_updates()).collect();
        match self.ledger.push(&updates).await? {
            PushOutcome::Done => {
                self.known.record = new;
                self.is_kept(snapshot, conversation);
                self.record = next;
                Ok(Carried::Level)
            }
            PushOutcome::Stale { .. } => self.reread().await,
            PushOutcome::Refused { why, .. } => {
                self.refuse_to_keep(content::refused_beside(&why));
                Ok(Carried::Level)
            }
        }
    }

    /// The record first, also at every further try: who is not in it any more moves nothing there either.
    async fn push_apart(&mut self, content: &Content, when: When) -> Result<Carried, LedgerError> {
        let (snapshot, conversation) = (self.snapshot_is_new(), self.conversation_is_new());
        let mut next = self.record.clone();
        if snapshot {
            next.snapshot = text(self.tips.snapshot.as_ref());
            next.snapshot_before = match next.snapshot.is_empty() {
                true => String::new(),
                false => text(self.known.snapshot.as_ref()),
            };
        }
        if conversation {
            next.conversation = text(self.conversation.as_ref());
            next.conversation_before = text(self.known.conversation.as_ref());
        }
        let record = self.record_update(&next).await?;
        let new = record.new.clone();
        match self.ledger.push(&[record]).await? {
            PushOutcome::Done => {
                self.known.record = new;
                self.record = next;
            }
            PushOutcome::Stale { .. } => return self.reread().await,
            PushOutcome::Refused { why, .. } => {
                self.refuse_to_keep(content::refused_beside(&why));
                return Ok(Carried::Level);
            }
        }
        match content.push(&self.kept_updates(), self.mood.patience(when)).await {
            Ok(PushOutcome::Done) => {
                self.is_kept(snapshot, conversation);
                self.mood = Mood::default();
                self.trouble = None;
                Ok(Carried::Level)
            }
            // Ours, whose answer was lost, or an older attempt's last push: the next turn has the right lease.
            Ok(PushOutcome::Stale { .. }) => self.reread().await,
            Ok(PushOutcome::Refused { why, .. }) => {
                self.refuse_to_keep(content::refused(&why));
                Ok(Carried::Level)
            }
            Err(error) => {
                self.mood.failed();
                self.trouble = Some(error.told());
                tracing::warn!(
                    "the record repository cannot be used now, uncommitted work and conversation wait: {error}"
                );
                Ok(Carried::Level)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a try may take, and the pause that follows its failure, in seconds.
    #[tokio::test(start_paused = true)]
    async fn who_fails_is_asked_less_and_less_and_each_try_ends() {
        let mut mood = Mood::default();
        assert!(!mood.is_to_wait());
        for (patience, pause) in [(30, 120), (60, 240), (120, 480), (240, 600), (300, 600), (300, 600)] {
            assert_eq!(mood.patience(When::Meanwhile).as_secs(), patience);
            mood.failed();
            tokio::time::advance(Duration::from_secs(pause) - Duration::from_millis(1)).await;
            assert!(mood.is_to_wait(), "{pause} s are not over");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!mood.is_to_wait(), "{pause} s are over");
            // Once the agent has ended its pod's grace counts, whatever was before.
            assert_eq!(mood.patience(When::AtLast).as_secs(), 20);
        }
    }
}
