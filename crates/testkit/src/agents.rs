//! The real agents, for tests that run them: where `make test-agents` has put them, and the work that a scripted model has
//! them do. Where one is not, that is said.
#![allow(clippy::unwrap_used, reason = "a test that cannot begin has failed")]

use crate::model::{Model, Turn};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

/// What an agent with a shell is told to run.
pub const WORK: &str = "echo 'written by an agent' > AGENT.md && git add -A && git commit -qm 'agent: add AGENT.md'";
/// What an agent without one is told to write.
const EDIT: &str = "AGENT.md\n```\n<<<<<<< SEARCH\n=======\nwritten by an agent\n>>>>>>> REPLACE\n```\n";

/// The three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Claude Code.
    Claude,
    /// opencode.
    Opencode,
    /// aider.
    Aider,
}

impl Who {
    /// As a Polecat's `agent` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude-code",
            Self::Opencode => "opencode",
            Self::Aider => "aider",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Opencode => "opencode",
            Self::Aider => "aider",
        }
    }

    /// Turns that do the work.
    #[must_use]
    pub fn work(self) -> Vec<Turn> {
        match self {
            Self::Aider => vec![Turn::Say(EDIT.into())],
            _ => vec![Turn::Shell(WORK.into()), Turn::Say("Done.".into())],
        }
    }

    /// The folder of the agents' programs. None: this one was not fetched, which is said.
    #[must_use]
    pub fn fetched(self, case: &str) -> Option<PathBuf> {
        let programs = std::env::var_os("GASTOWN_AGENTS").map(PathBuf::from);
        let there = programs.filter(|p| p.join(self.program()).exists());
        if there.is_none() {
            println!(
                "{:<12} {case:<22} SKIPPED: not fetched; `make test-agents` does",
                self.name()
            );
        }
        there
    }
}

/// A model for a test that is not asynchronous, and the runtime that it answers on and goes before.
///
/// # Panics
/// When no port is free: then nothing can be tested.
#[must_use]
pub fn model(turns: Vec<Turn>) -> (Runtime, Model) {
    model_at(([127, 0, 0, 1], 0).into(), turns)
}

/// The same at an address: where pods reach it.
///
/// # Panics
/// When that is taken.
#[must_use]
pub fn model_at(at: SocketAddr, turns: Vec<Turn>) -> (Runtime, Model) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let model = runtime.block_on(Model::bind(at, turns)).unwrap();
    model.aside("agent: add AGENT.md");
    (runtime, model)
}
