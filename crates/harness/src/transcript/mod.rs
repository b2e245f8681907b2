//! What an agent prints, read: what it does, what it spends, and how it says that it ended. Pure.
//!
//! Exit codes are not believed alone: all three agents exit 0 after some failures. Every format has a reader that is
//! fed line by line, and its word is weighed with the exit code at the end.

mod aider;
#[allow(clippy::indexing_slicing, reason = "a JSON value answers null to a key it has not")]
mod claude;
mod limit;
pub mod line;
#[allow(clippy::indexing_slicing, reason = "a JSON value answers null to a key it has not")]
mod opencode;

use gastown_wire::claude::{Act, brief};
use gastown_wire::{CredentialProblem, Tokens, Transcript};

/// How long a limit is waited for that does not say how long. Seconds.
const SOME_TIME: i64 = 300;

/// Something an agent did or said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its conversation's name, as it calls it.
    Session(String),
    /// Words.
    Says(String),
    /// A command, or another tool with what it is about.
    Runs(String),
    /// A file it changes.
    Edits(String),
    /// A tool that ended badly, or whose end is worth a line.
    Ends(String),
    /// Something about the run itself.
    Notes(String),
    /// The model is asked again after a failure.
    Retries(String),
    /// More was spent: all of it so far.
    Spent(Spent),
    /// It waits for more input, or for the end of it.
    TurnOver,
    /// It would only wait, and longer than a pod is kept for: its word is known before its end.
    Over,
}

impl From<Act> for Event {
    fn from(act: Act) -> Self {
        match act {
            Act::Says(text) => Self::Says(text),
            Act::Runs(text) => Self::Runs(text),
            Act::Edits(text) => Self::Edits(text),
            Act::Ends(text) => Self::Ends(text),
        }
    }
}

/// What a run has spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens.
    pub tokens: Tokens,
    /// Millionths of a dollar, where the agent reckons them.
    pub micros: Option<u64>,
}

impl Spent {
    /// Both sums.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: Tokens {
                input: self.tokens.input.saturating_add(other.tokens.input),
                output: self.tokens.output.saturating_add(other.tokens.output),
            },
            micros: match (self.micros, other.micros) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
            },
        }
    }
}

/// How an agent says it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It did what it was asked.
    Success,
    /// It did not, in its words.
    Failure(String),
    /// The provider takes no more until then. Seconds since 1970.
    Limit(i64),
    /// The provider does not know who pays.
    Credential(CredentialProblem, String),
    /// Its own limit of what it may spend is reached.
    Budget,
}

impl Word {
    /// What was known before its end, unless it did what it was asked all the same.
    fn unless_known(self, over: Option<&Self>) -> Self {
        match self {
            Self::Success => Self::Success,
            other => over.cloned().unwrap_or(other),
        }
    }
}

/// Reads one agent's output.
#[derive(Clone, Debug)]
pub enum Reader {
    /// Any text.
    Text,
    /// Claude Code's `stream-json`.
    Claude(claude::Claude),
    /// opencode's `json`.
    Opencode(opencode::Opencode),
    /// aider's text.
    Aider(aider::Aider),
}

impl Reader {
    /// A reader of a format.
    #[must_use]
    pub fn of(format: Transcript) -> Self {
        match format {
            Transcript::Text => Self::Text,
            Transcript::Claude => Self::Claude(claude::Claude::default()),
            Transcript::Opencode => Self::Opencode(opencode::Opencode::default()),
            Transcript::Aider => Self::Aider(aider::Aider::default()),
        }
    }

    /// Reads a line of its output. `now`: seconds since 1970.
    pub fn line(&mut self, line: &str, now: i64) -> Vec<Event> {
        match self {
            Self::Text => vec![Event::Says(line.to_owned())],
            Self::Claude(reader) => reader.line(line),
            Self::Opencode(reader) => reader.line(line),
            Self::Aider(reader) => reader.line(line, now),
        }
    }

    /// Reads a line of its error output. `now`: seconds since 1970.
    pub fn error_line(&mut self, line: &str, now: i64) -> Vec<Event> {
        match self {
            Self::Claude(reader) => reader.error_line(line),
            Self::Opencode(reader) => reader.error_line(line, now),
            Self::Aider(reader) => reader.line(line, now),
            Self::Text => vec![Event::Says(line.to_owned())],
        }
    }

    /// Its word for the end. `exit`: its exit code, 128 + n for signal n. `now`: seconds since 1970.
    #[must_use]
    pub fn word(&self, exit: i32, now: i64) -> Word {
        match self {
            Self::Text if exit == 0 => Word::Success,
            Self::Text => Word::Failure(String::new()),
            Self::Claude(reader) => reader.word(exit, now),
            Self::Opencode(reader) => reader.word(exit, now),
            Self::Aider(reader) => reader.word(exit, now),
        }
    }

    /// Whether it has said anything that shows a conversation.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match self {
            Self::Text => true,
            Self::Claude(reader) => reader.has_begun(),
            Self::Opencode(reader) => reader.has_begun(),
            Self::Aider(_) => true,
        }
    }
}

/// Millionths in an amount of dollars that was written as a decimal number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded and not negative"
)]
fn micros(dollars: f64) -> u64 {
    (dollars.clamp(0.0, 1e9) * 1e6).round() as u64
}

/// What an HTTP status of the model's endpoint means for the run.
fn of_status(status: u64, words: &str, retry_after: Option<i64>, now: i64) -> Option<Word> {
    let lower = words.to_lowercase();
    let billing = ["credit balance", "insufficient_quota", "billing"]
        .iter()
        .any(|w| lower.contains(w));
    match status {
        401 | 403 => Some(Word::Credential(CredentialProblem::Refused, brief(words))),
        400 | 402 | 429 if billing => Some(Word::Credential(CredentialProblem::Refused, brief(words))),
        429 => Some(Word::Limit(now + retry_after.unwrap_or(SOME_TIME).clamp(1, 7 * 86_400))),
        _ => None,
    }
}
