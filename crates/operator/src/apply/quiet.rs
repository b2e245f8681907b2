//! A server that says when to come back speaks to all of us, not to one call.

use crate::call::Failed;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Until when nothing is written. Clones share it.
#[derive(Clone)]
pub(crate) struct Quiet(Arc<Mutex<Instant>>);

impl Quiet {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Heeds what a refusal asks for.
    pub(super) fn heed(&self, failed: &Failed) {
        if let Some(after) = failed.after() {
            let until = Instant::now() + after;
            let mut quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *quiet = (*quiet).max(until);
        }
    }

    /// Returns when we may write.
    pub(super) async fn over(&self) {
        let until = || *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while Instant::now() < until() {
            tokio::time::sleep_until(until()).await;
        }
    }
}
