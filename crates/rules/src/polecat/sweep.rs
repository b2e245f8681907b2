//! Which of a polecat's pods are deleted, and when.

use super::Case;
use super::{landed, reserved};
use crate::draft::Draft;
use crate::reason::Reason;
use crate::row::{ContainerState, PodRow};
use crate::settings::{self, KEEP_LOGS_S};
use gastown_api::{DesiredState, PolecatPhase};
use jiff::{SignedDuration, Timestamp};

/// A pod whose outcome is known and that has not ended by itself (a mesh proxy never does).
const END_BY_ITSELF: SignedDuration = SignedDuration::from_secs(30);
/// A pod that our row of its polecat does not know of: the row may lag, for a moment.
const ROW_MAY_LAG: SignedDuration = SignedDuration::from_mins(1);

/// What becomes of a pod.
enum Fate {
    Keep,
    Delete(Reason),
    DeleteAt(Timestamp, Reason),
}

impl Case<'_, '_> {
    /// Deletes what nobody needs any more.
    pub(super) fn sweep(&self, out: &mut Draft<'_>) {
        for pod in self.pods.iter().filter(|p| p.meta.deleting.is_none()) {
            let because = match self.fate(pod) {
                Fate::Keep => continue,
                Fate::Delete(because) => because,
                Fate::DeleteAt(at, because) if at <= self.census.now => because,
                Fate::DeleteAt(at, _) => {
                    self.wake(at, out);
                    continue;
                }
            };
            out.delete(pod, !pod.live(), because);
        }
    }

    fn fate(&self, pod: &PodRow) -> Fate {
        let status = &self.row.status;
        if self.row.spec.desired_state == DesiredState::Terminated {
            return Fate::Delete(Reason::new("Terminated", "desiredState is Terminated"));
        }
        if pod.attempt > self.attempt() {
            let because = Reason::new("Unknown", "its polecat's status knows no such attempt");
            return Fate::DeleteAt(pod.meta.created + ROW_MAY_LAG, because);
        }
        if pod.attempt < self.attempt() || pod.round < self.round() {
            return Fate::Delete(Reason::new("Superseded", "a newer attempt or round has taken over"));
        }
        match (pod.live(), reserved(status)) {
            (true, true) if self.row.spec.desired_state == DesiredState::Idle => {
                Fate::Delete(Reason::new("Idle", "desiredState is Idle"))
            }
            (_, true) => Fate::Keep,
            (true, false) if status.phase == PolecatPhase::Done || reported(pod) => Fate::DeleteAt(
                self.ended_at(pod) + END_BY_ITSELF,
                Reason::new("Finished", "its attempt is over and its containers do not end"),
            ),
            (true, false) => Fate::Delete(Reason::new("NotWanted", "its attempt is over")),
            (false, false) => self.keep_logs(pod),
        }
    }

    /// A pod that is over stays for its logs; landed work needs none unless somebody says so.
    fn keep_logs(&self, pod: &PodRow) -> Fate {
        let asked = settings::ttl(self.row, self.rig);
        let because = Reason::new("Finished", "its time after the end is over");
        match (landed(&self.row.status), asked) {
            (true, None) => Fate::Delete(Reason::new("Landed", "its work has landed")),
            (_, asked) => {
                let seconds = asked.unwrap_or(KEEP_LOGS_S).min(10 * 365 * 86400);
                Fate::DeleteAt(self.ended_at(pod) + SignedDuration::from_secs(seconds), because)
            }
        }
    }

    fn ended_at(&self, pod: &PodRow) -> Timestamp {
        let status = &self.row.status;
        let at = status.finished_at.as_ref().or(status.last_activity.as_ref());
        at.map_or(pod.meta.created, |t| t.0)
    }
}

/// Whether its last word is known though the kubelet has not called the pod over yet: it ends by itself, and its logs are wanted.
fn reported(pod: &PodRow) -> bool {
    let courier = pod.container("courier").map(|c| &c.state);
    matches!(courier, Some(ContainerState::Ended(_)))
}
