//! Why: rendered once, and the same in condition, event, log and CLI.

use std::fmt;

/// A reason: a CamelCase code for machines and one sentence for people, which ends with what to do where something can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// CamelCase, stable: scripts match on it.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

impl Reason {
    /// A reason from its parts.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
