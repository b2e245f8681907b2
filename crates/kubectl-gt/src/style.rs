//! Colour, where a terminal reads.

use std::io::IsTerminal;

/// Whether words are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";

impl Paint {
    /// On a terminal; never with `NO_COLOR`, always with `CLICOLOR_FORCE`.
    pub(crate) fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Self(!set("NO_COLOR") && (set("CLICOLOR_FORCE") || (std::io::stdout().is_terminal() && !dumb)))
    }

    /// Never.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self(false)
    }

    /// A phase or verdict in its colour; any other word as it is.
    pub(crate) fn word(self, word: &str) -> String {
        let colour = match word {
            "Ready" | "Done" | "Complete" | "Active" | "Synced" | "ok" => GREEN,
            "Working" | "InProgress" | "Processing" | "Initializing" | "Pending" | "warn" => YELLOW,
            "Stuck" | "Degraded" | "Failed" | "Error" | "FAIL" => RED,
            _ => return word.to_owned(),
        };
        if self.0 {
            format!("\u{1b}[{colour}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        }
    }
}
