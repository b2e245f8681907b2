//! Failures for people: what happened, why, and what to type next.

use crate::output::note;
use std::fmt;
use std::process::ExitCode;

/// Exit codes.
pub mod exit {
    /// It did not work.
    pub const FAILED: u8 = 1;
    /// The words are off.
    pub const USAGE: u8 = 2;
    /// It is not there.
    pub const NOT_FOUND: u8 = 3;
    /// The cluster said no.
    pub const REFUSED: u8 = 4;
    /// It took too long.
    pub const TIMED_OUT: u8 = 5;
    /// Each code and what it means, for the documents.
    pub const ALL: [(u8, &str); 6] = [
        (0, "done, or there already"),
        (FAILED, "it did not work: the message says why and what to type next"),
        (USAGE, "the words are off: an unknown flag or value, an empty task"),
        (NOT_FOUND, "what was named is not there"),
        (
            REFUSED,
            "refused: by the cluster (rights, validation, a name that is taken) or by the person asked",
        ),
        (TIMED_OUT, "it took longer than --timeout; what was started goes on"),
    ];
}

/// What went wrong, with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// What happened and why.
    pub what: String,
    /// What to type next.
    pub hint: Option<String>,
    /// Exit code.
    pub code: u8,
    /// Whether all was said already and only the exit code is left.
    silent: bool,
}

impl Failure {
    /// A failure with that code.
    pub fn new(code: u8, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
            code,
            silent: false,
        }
    }

    /// An exit code for what was printed already.
    pub(crate) fn said(code: u8, what: impl Into<String>) -> Self {
        Self {
            silent: true,
            ..Self::new(code, what)
        }
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it to stderr; its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if !self.silent {
            note(self);
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                // A path the server does not know at all, as opposed to an object that is not there.
                404 if status.details.as_ref().is_none_or(|d| d.name.is_empty()) => Self::new(
                    exit::FAILED,
                    "this cluster knows no Gas Town: its kinds are not installed",
                )
                .hint("helm install gastown-operator charts/gastown-operator -n gastown-system --create-namespace; or on one machine: gastown up"),
                404 => Self::new(exit::NOT_FOUND, status.message),
                401 | 403 => Self::new(exit::REFUSED, format!("the cluster refuses: {}", status.message))
                    .hint("check which account you use: kubectl auth whoami"),
                409 | 422 | 400 => Self::new(exit::REFUSED, status.message),
                _ => Self::new(exit::FAILED, status.message),
            },
            other => Self::new(exit::FAILED, format!("the cluster does not answer: {}", with_causes(&other)))
                .hint("is it running? kubectl cluster-info; on one machine: gastown status, gastown up"),
        }
    }
}

/// An error and what it came from, each said once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = e.source();
    }
    text
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILED, error.to_string())
    }
}
