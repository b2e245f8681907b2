//! What the agent has spent, over all runs of this container.

use std::{fs, path::PathBuf};

use gastown_wire::{Allowance, Tokens};
use serde::{Deserialize, Serialize};

use crate::{files, setup::Pod, transcript::Spent};

/// The tab: what earlier runs of this attempt have spent, and what this one has.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    file: PathBuf,
    before: Spent,
    now: Spent,
    limit: Option<Allowance>,
}

/// As it is kept. The agent can write it, and would spoil only its own figures.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    tokens: Tokens,
    micros: Option<u64>,
}

impl Tab {
    pub(super) fn open(pod: &Pod) -> Self {
        let name = format!(".gastown/spent-{}-{}.json", pod.orders.round, pod.orders.attempt);
        let file = PathBuf::from(&pod.orders.paths.home).join(name);
        let kept: Kept = fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self {
            file,
            before: Spent {
                tokens: kept.tokens,
                micros: kept.micros,
            },
            now: Spent::default(),
            limit: pod.orders.agent.budget,
        }
    }

    /// A run begins.
    pub(super) fn next_run(&mut self) {
        self.before = self.total();
        self.now = Spent::default();
    }

    /// This run has spent so much by now.
    pub(super) fn set(&mut self, spent: Spent) {
        self.now = spent;
        let total = self.total();
        let kept = Kept {
            tokens: total.tokens,
            micros: total.micros,
        };
        // It is a figure: without it the run goes on.
        let _ = serde_json::to_vec(&kept).map(|bytes| files::replace(&self.file, &bytes, 0o600));
    }

    pub(super) fn total(&self) -> Spent {
        self.before.plus(self.now)
    }

    /// Whether what may be spent is spent.
    pub(super) fn is_over(&self) -> bool {
        let total = self.total();
        let reached = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used >= limit);
        self.limit
            .is_some_and(|l| reached(l.tokens, total.tokens.total()) || reached(l.micros, total.micros.unwrap_or(0)))
    }
}
