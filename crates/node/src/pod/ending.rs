//! How a pod's containers are ended.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::{PodActor, Stop, Why};
use crate::processes::{self, ProcessRecord};
use crate::slot::Run;

/// How long a killed container may take to be gone before it is killed again.
const KILL_AGAIN: Duration = Duration::from_secs(2);

impl PodActor {
    /// How long its containers have when the pod itself ends them.
    pub(super) fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        let seconds = spec.and_then(|s| s.termination_grace_period_seconds);
        Duration::from_secs(seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30))
    }

    /// What its time has come for.
    pub(super) async fn on_time(&mut self, now: Instant) {
        if self.stop.is_none() && !self.terminal && self.deadline.is_some_and(|at| at <= now) {
            self.verdict = Some((
                "DeadlineExceeded",
                "Pod was active on the node longer than the specified deadline",
            ));
            self.stop(Why::Deadline, self.grace());
        }
        if let Some(stop) = &mut self.stop
            && stop.kill_at <= now
        {
            // Again later, for one whose start was under way.
            stop.kill_at = now + KILL_AGAIN;
            self.kill_all();
        }
    }

    fn kill_all(&self) {
        for slot in &self.slots {
            if let Some(process) = slot.run.as_ref().and_then(|r| r.process.as_ref()) {
                process.kill();
            }
        }
    }

    /// Ends the containers. A later reason replaces an earlier one, and may only shorten the grace.
    pub(super) fn stop(&mut self, why: Why, grace: Duration) {
        let kill_at = Instant::now() + grace;
        match &mut self.stop {
            Some(stop) => {
                if !matches!(stop.why, Why::Lost | Why::Gone) {
                    stop.why = why;
                }
                stop.kill_at = stop.kill_at.min(kill_at);
            }
            none => {
                *none = Some(Stop {
                    why,
                    kill_at,
                    gentle: !grace.is_zero(),
                });
            }
        }
        for slot in &mut self.slots {
            let Some(run) = &mut slot.run else { continue };
            if run.process.is_none() {
                run.cancel.cancel();
            } else if !grace.is_zero() {
                // Without grace nobody gets a last word.
                ask(run);
            }
        }
    }
}

/// Asks a container to end, once.
pub(super) fn ask(run: &mut Run) {
    if std::mem::replace(&mut run.asked, true) {
        return;
    }
    if let Some(process) = run.process.clone() {
        tokio::spawn(terminate(process));
    }
}

/// PID 1 of a namespace ignores SIGTERM until its own program handles it, so the signal waits until
/// that program runs.
async fn terminate(process: ProcessRecord) {
    if let Some(keeper) = process.keeper {
        for _ in 0..100 {
            let before = processes::command_line(keeper.pid);
            if before.is_empty() || processes::command_line(process.main.pid) != before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    process.main.signal(Signal::SIGTERM);
}
