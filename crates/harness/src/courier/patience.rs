//! How long courier waits for what, and how it says that it does.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, interval};

use crate::{age, ready, setup::Pod};

/// How often whoever waits for the remote shows that it is alive, at the most and at the least.
const SIGN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// No deadline is longer: no clock holds all that may be written in one.
const LONGEST: u64 = 365 * 24 * 3600;

/// How long courier waits for what. Every wait has an end.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the remote to say who holds the record.
    pub open: Duration,
    /// For the agent's container to start: its image may be large.
    pub first: Duration,
    /// For it to come back after it went away; none: as long as an agent may be silent.
    pub again: Option<Duration>,
    /// For the remote to take the last push, where what it says will hardly pass or the pod's deadline is not known. One that is
    /// away is waited for until that deadline: what it has not taken goes with the pod.
    pub push: Duration,
    /// What is left of that deadline when it is not waited for any longer: time to say so.
    pub report: Duration,
    /// For the last push of a pod that is being deleted: less than its grace period.
    pub stop: Duration,
    /// For `run` to hear the last word.
    pub farewell: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(10 * 60),
            first: Duration::from_secs(30 * 60),
            again: None,
            push: Duration::from_secs(10 * 60),
            report: Duration::from_secs(60),
            stop: Duration::from_secs(60),
            farewell: Duration::from_secs(30),
        }
    }
}

impl Patience {
    /// For the last push of a pod that nobody has told to go.
    pub(super) fn last_push(&self, pod: &Pod) -> Duration {
        match left(pod) {
            // A kubelet grants the same at the deadline itself.
            Some(left) => left.saturating_sub(self.report).max(self.stop),
            None => self.push,
        }
    }
}

/// What is left of the pod's deadline. None: there is none, or nobody knows since when it counts.
fn left(pod: &Pod) -> Option<Duration> {
    let whole = Duration::from_secs(pod.orders.pace.deadline_s?.min(LONGEST));
    Some(whole.saturating_sub(age::of(pod)?))
}

/// Waits for something, and shows meanwhile that we are at work: whoever waits for a remote is not silent.
pub(super) async fn at_work<T>(pod: &Pod, what: impl Future<Output = T>) -> T {
    tokio::pin!(what);
    // Well within the silence that counts.
    let silence = Duration::from_secs(pod.orders.pace.stuck_after_s);
    let mut sign = interval((silence / 2).clamp(SIGN.0, SIGN.1));
    loop {
        tokio::select! {
            done = &mut what => return done,
            _ = sign.tick() => ready::touch(pod),
        }
    }
}

/// An instant as people read it.
pub(super) fn clock(at: Instant) -> String {
    let ahead = SignedDuration::try_from(at.saturating_duration_since(Instant::now())).unwrap_or_default();
    match Timestamp::now().checked_add(ahead) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => "the pod's end".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_wire::{Pace, Paths, PolecatOrders};
    use std::{fs::File, time::SystemTime};

    fn pod(dir: &tempfile::TempDir, deadline: Option<u64>) -> Pod {
        let orders = PolecatOrders {
            paths: Paths {
                courier: dir.path().display().to_string(),
                ..Paths::default()
            },
            pace: Pace {
                deadline_s: deadline,
                ..Pace::default()
            },
            ..PolecatOrders::default()
        };
        Pod {
            orders,
            uid: "pod-1".into(),
            termination: dir.path().join("report"),
        }
    }

    #[test]
    fn a_remote_is_waited_for_until_shortly_before_the_pods_end() {
        let dir = tempfile::tempdir().unwrap();
        let minutes = |deadline: Option<u64>| {
            let patience = Patience::default().last_push(&pod(&dir, deadline));
            patience.as_secs().div_ceil(60)
        };
        assert_eq!(minutes(Some(3600)), 10, "nobody knows since when");
        // Its first step starts once more: that changes nothing.
        age::begin(&pod(&dir, None)).unwrap();
        let half_an_hour_ago = SystemTime::now() - Duration::from_secs(30 * 60);
        let began = File::options().write(true).open(dir.path().join("began")).unwrap();
        began.set_modified(half_an_hour_ago).unwrap();
        age::begin(&pod(&dir, None)).unwrap();
        assert_eq!(minutes(Some(3600)), 29);
        assert_eq!(minutes(Some(35 * 60)), 4, "the deadline does not allow for more");
        assert_eq!(minutes(Some(31 * 60)), 1, "as at the deadline itself");
        assert_eq!(minutes(Some(60)), 1);
        assert_eq!(minutes(None), 10);
        assert!(minutes(Some(u64::MAX)) > 500_000, "and no clock overflows");
    }

    #[test]
    fn the_end_of_a_wait_is_told_as_a_time() {
        let told: Timestamp = clock(Instant::now() + Duration::from_secs(3600)).parse().unwrap();
        let ahead = told.as_second() - Timestamp::now().as_second();
        assert!((3590..=3600).contains(&ahead), "{ahead}");
    }

    #[tokio::test]
    async fn who_waits_for_a_remote_is_not_silent() {
        let dir = tempfile::tempdir().unwrap();
        let pod = pod(&dir, None);
        let seen = async {
            while !pod.activity_file().exists() {
                tokio::task::yield_now().await;
            }
        };
        at_work(&pod, seen).await;
        assert!(ready::is_ready(&pod).unwrap());
    }
}
