//! What happened, for people. Off by default: a failed seed is run again with it.

use super::queue::Millis;
use std::collections::VecDeque;

/// Lines kept.
const KEPT: usize = 4000;

#[derive(Clone, Debug)]
pub(crate) struct Trace(Option<VecDeque<String>>);

impl Trace {
    pub(crate) fn off() -> Self {
        Self(None)
    }

    pub(crate) fn on() -> Self {
        Self(Some(VecDeque::new()))
    }

    pub(crate) fn note(&mut self, now: Millis, say: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(format!("{:>10.3}s  {}", now as f64 / 1000.0, say()));
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(String::as_str)
    }
}
