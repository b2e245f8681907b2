//! Failures for people: what happened, why, and what to type next.

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
}

impl Failure {
    /// A failure with that code.
    pub fn new(code: u8, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
            code,
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
        eprintln!("{self}");
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
                404 => Self::new(exit::NOT_FOUND, status.message),
                401 | 403 => Self::new(exit::REFUSED, format!("the cluster refuses: {}", status.message))
                    .hint("check which account you use: kubectl auth whoami"),
                409 | 422 | 400 => Self::new(exit::REFUSED, status.message),
                _ => Self::new(exit::FAILED, status.message),
            },
            other => Self::new(exit::FAILED, format!("the cluster does not answer: {other}"))
                .hint("is it running? on one machine: gastown status, gastown up"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILED, error.to_string())
    }
}
