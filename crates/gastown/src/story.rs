//! One line an event, with the seconds since the start.

use std::io::Write;
use std::time::Instant;

/// Tells the demo.
pub(crate) struct Story {
    start: Instant,
}

impl Story {
    /// Starts the clock and says what is real.
    pub(crate) fn start() -> Self {
        println!(
            "Gas Town on one machine. Kubernetes API, pods, git, tests: real. The model: a scripted stand-in (no key needed)."
        );
        Self { start: Instant::now() }
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// One event.
    pub(crate) fn line(&self, label: &str, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        println!("{:4.1}s  {label:<9}  {clean}", self.seconds());
        // A reader that is gone is no reason to stop the run.
        let _ = std::io::stdout().flush();
    }
}
