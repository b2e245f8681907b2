//! How fast a watch that fails is tried again.

use crate::call::Failed;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// A wait that doubles, spread by a quarter so that seven watches of three replicas do not come back as one.
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    spread: RandomState,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
            spread: RandomState::new(),
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let dice = self.spread.hash_one(self.failures) % 1000;
        wait.mul_f64(0.75 + f64::from(u32::try_from(dice).unwrap_or_default()) / 4000.0)
    }

    /// The next wait, or what the server asked for where that is longer.
    pub(super) async fn rest(&mut self, failed: &Failed) {
        tokio::time::sleep(self.next().max(failed.after().unwrap_or_default())).await;
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Lists of one kind: the first at once, later ones no faster than a server under trouble can bear.
pub(super) struct Lists {
    backoff: Backoff,
    last: Option<Instant>,
}

/// A watch that lived this long after its list is no part of a storm.
const CALM: Duration = Duration::from_secs(60);

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            last: None,
        }
    }

    /// Waits until the next list may be asked for.
    pub(super) async fn turn(&mut self) {
        if let Some(last) = self.last {
            let wait = self.wait(last.elapsed());
            tokio::time::sleep_until(last + wait).await;
        }
        self.last = Some(Instant::now());
    }

    /// How long after the last list the next may come.
    fn wait(&mut self, since: Duration) -> Duration {
        if since >= CALM {
            self.backoff.reset();
        }
        self.backoff.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_longest_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next()).collect();
        for (n, wait) in waits.iter().enumerate() {
            let full = Duration::from_millis(200 << n).min(Duration::from_secs(30));
            assert!(*wait >= full.mul_f64(0.75) && *wait <= full, "{n}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(200));
    }

    #[test]
    fn a_storm_of_expired_revisions_is_answered_with_fewer_and_fewer_lists() {
        let (mut lists, mut passed, mut asked) = (Lists::new(), Duration::ZERO, 1);
        while passed < Duration::from_secs(300) {
            passed += lists.wait(Duration::ZERO);
            asked += 1;
        }
        assert!(asked <= 20, "{asked} lists in five minutes");
        assert!(lists.wait(CALM) <= Duration::from_secs(1));
    }
}
