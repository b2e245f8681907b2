//! One polecat: what is wanted of it, and when it starts. An attempt under way is in [`attempt`], what it
//! publishes in [`status`], what its pod says in [`outcome`], what silence comes to in [`silence`], what the pod is in [`blueprint`], what is deleted in
//! [`sweep`].

mod another;
mod attempt;
mod blueprint;
pub(crate) mod outcome;
mod silence;
mod status;
mod sweep;

use crate::admission::{Admission, Verdict};
use crate::census::Census;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::names;
use crate::plan::Notice;
use crate::reason::Reason;
use crate::row::{PodRow, PolecatRow, RigRow};
use crate::settings::budget::Spent;
use crate::settings::{self, Settings};
pub(crate) use another::wished;
use gastown_api::conditions::{self, DEGRADED, MERGED, PROGRESSING};
use gastown_api::{DesiredState, PolecatPhase, PolecatStatus};
use gastown_wire::CourierOutcome;
use jiff::{SignedDuration, Timestamp};
use outcome::{DELETION_SLACK, Reading};
pub(crate) use silence::is_silent;
use status::{Finished, Tally};
use std::sync::Arc;

/// How far the watch of pods may be behind what was written: a client whose watch is dead lists again before.
const POD_MAY_LAG: SignedDuration = SignedDuration::from_mins(1);
/// How far the watch of Rigs may be behind that of polecats.
const RIG_MAY_LAG: SignedDuration = SignedDuration::from_secs(5);

/// A polecat and all it is judged by.
#[derive(Debug)]
pub(crate) struct Case<'a, 'w> {
    pub(crate) census: &'a Census<'w>,
    pub(crate) row: &'w PolecatRow,
    pub(crate) rig: Option<&'w RigRow>,
    pub(crate) pods: &'w [Arc<PodRow>],
    /// What the attempt that is over has spent: added once, by the status that says so.
    pub(crate) spent: Option<Spent>,
}

/// Decides one polecat.
pub(crate) fn decide<'w>(census: &Census<'w>, row: &'w PolecatRow, admission: &Admission<'_>, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        // Owner collection ends its pods; nothing more is decided for it.
        return;
    }
    let case = Case::of(census, row);
    case.sweep(out);
    match row.spec.desired_state {
        DesiredState::Terminated => case.terminate(out),
        DesiredState::Idle => case.rest(out),
        DesiredState::Working => case.work(admission, out),
    }
}

/// Whether an attempt is reserved or under way.
pub(crate) fn reserved(status: &PolecatStatus) -> bool {
    status.phase == PolecatPhase::Working && status.attempt.is_some()
}

/// Whether its work has landed.
pub(crate) fn landed(status: &PolecatStatus) -> bool {
    conditions::is_true(&status.conditions, MERGED)
}

/// Whether a polecat would start an attempt now, were there room and nothing wrong with what it asks for.
pub(crate) fn wants_attempt<'w>(census: &Census<'w>, row: &'w PolecatRow) -> bool {
    let case = Case::of(census, row);
    row.meta.deleting.is_none()
        && row.spec.desired_state == DesiredState::Working
        && case.wish().is_none()
        && case.open()
        && case.not_before().is_none_or(|at| at <= census.now)
        && !case.crowded()
}

/// Whether nothing is wrong with what it asks for. Dear: asked where there is room.
pub(crate) fn can_start<'w>(census: &Census<'w>, row: &'w PolecatRow) -> bool {
    Case::of(census, row).settings().is_ok()
}

impl<'a, 'w> Case<'a, 'w> {
    fn of(census: &'a Census<'w>, row: &'w PolecatRow) -> Self {
        Self {
            census,
            row,
            rig: census.rig(&row.spec.rig),
            pods: census.pods(row),
            spent: None,
        }
    }

    /// The round, from 1.
    pub(crate) fn round(&self) -> u32 {
        self.row
            .status
            .round
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1)
            .max(1)
    }

    /// The newest attempt; 0 before the first.
    fn attempt(&self) -> u32 {
        self.row.status.attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }

    fn settings(&self) -> Result<Settings, Reason> {
        settings::resolve(self.census.world, self.row, self.rig)
    }

    /// This case once the attempt of a pod is over: what that has spent is known.
    fn after(&self, pod: &PodRow) -> Self {
        Self {
            spent: outcome::spent_by(pod, self.round(), self.attempt()),
            ..*self
        }
    }

    /// The pod of the newest attempt.
    fn pod(&self) -> Option<&'w PodRow> {
        self.pods
            .iter()
            .map(Arc::as_ref)
            .find(|p| p.attempt == self.attempt() && p.round == self.round())
    }

    /// Whether the next thing to do is an attempt: nothing latched, nothing under way, nobody needed.
    fn open(&self) -> bool {
        let status = &self.row.status;
        !landed(status)
            && match status.phase {
                PolecatPhase::Done => false,
                PolecatPhase::Working => !reserved(status),
                PolecatPhase::Stuck => !self.needs_somebody(),
                PolecatPhase::Idle | PolecatPhase::Terminated => true,
            }
    }

    /// Stuck stays stuck until its spec is edited; what is wrong with the spec itself is looked at again always,
    /// for the Rig may be what is mended. What the predecessor left stuck never had an attempt of ours.
    fn needs_somebody(&self) -> bool {
        let status = &self.row.status;
        let problem = conditions::get(&status.conditions, DEGRADED).is_some_and(|c| settings::is_problem(&c.reason));
        status.attempt.is_some() && !problem && !self.is_edited()
    }

    /// Whether its spec is newer than what its status speaks of.
    fn is_edited(&self) -> bool {
        let seen = self.row.status.observed_generation;
        seen.is_some_and(|seen| seen < self.row.meta.generation)
    }

    fn not_before(&self) -> Option<Timestamp> {
        self.row.status.retry_after.as_ref().map(|t| t.0)
    }

    /// Whether a pod of it still runs, or one is there that our row of it does not know of yet.
    fn crowded(&self) -> bool {
        let attempt = self.attempt();
        self.is_housed() || self.pods.iter().any(|p| p.attempt > attempt)
    }

    /// Whether a pod of it runs, or may run in a moment.
    fn is_housed(&self) -> bool {
        self.may_have_a_pod() || self.pods.iter().any(|p| outcome::occupies(p, self.census.now))
    }

    /// Whether a pod is being made for it, or was perhaps.
    fn may_have_a_pod(&self) -> bool {
        self.census.is_coming(self.row) || self.unsure().is_some()
    }

    /// Until when the pod of its attempt counts as there that nobody has seen: the answer to its creation was lost.
    fn unsure(&self) -> Option<Timestamp> {
        let status = &self.row.status;
        let pod = status
            .pod_name
            .as_deref()
            .filter(|_| reserved(status) && self.pod().is_none())?;
        let key = Key::new(Kind::Pod, &self.row.meta.key.namespace, pod);
        let unanswered = self
            .census
            .world
            .refusal(&key)
            .filter(|refusal| refusal.why.is_none())?;
        Some(unanswered.until + POD_MAY_LAG).filter(|at| *at > self.census.now)
    }

    fn wake(&self, at: Timestamp, out: &mut Draft<'_>) {
        out.wake_at(&self.row.spec.rig, at);
    }

    /// Looks again when the last of its leaving pods, or one that was never seen, is given up.
    fn wake_when_left(&self, out: &mut Draft<'_>) {
        let leaving = self
            .pods
            .iter()
            .filter_map(|p| p.meta.deleting)
            .map(|at| at + DELETION_SLACK)
            .chain(self.unsure());
        if let Some(at) = leaving.filter(|at| *at > self.census.now).min() {
            self.wake(at, out);
        }
    }

    fn publish(&self, to: PolecatStatus, because: Reason, notice: Tone, out: &mut Draft<'_>) {
        let notices = match notice {
            Tone::Silent => Vec::new(),
            tone => vec![Notice {
                warning: tone == Tone::Warning,
                because: because.clone(),
            }],
        };
        out.publish_polecat(self.row, to, because, notices);
    }
}

/// Whether a write is told as an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Silent,
    Normal,
    Warning,
}

// What is wanted: ended, resting, working.

impl Case<'_, '_> {
    fn terminate(&self, out: &mut Draft<'_>) {
        if self.is_housed() {
            self.wake_when_left(out);
            return;
        }
        let because = Reason::new("Terminated", "desiredState is Terminated");
        self.publish(status::terminated(self), because, Tone::Silent, out);
    }

    fn rest(&self, out: &mut Draft<'_>) {
        let status = &self.row.status;
        if landed(status) || status.phase == PolecatPhase::Done {
            return;
        }
        // What was finished before the pod stopped is finished.
        if reserved(status)
            && let Some(pod) = self.pod()
            && let Some(work) = finished(&outcome::read(pod, self.round(), self.attempt(), self.census.now))
        {
            return self.after(pod).finish(&work, out);
        }
        if self.is_housed() {
            self.wake_when_left(out);
            return;
        }
        let because = Reason::new("Idle", "desiredState is Idle");
        self.publish(status::idle(self), because, Tone::Silent, out);
    }

    fn work(&self, admission: &Admission<'_>, out: &mut Draft<'_>) {
        let status = &self.row.status;
        if landed(status) {
            if status.phase != PolecatPhase::Done {
                let because = Reason::new("Landed", "landed work stays landed");
                self.publish(status::landed(self), because, Tone::Silent, out);
            }
        } else if reserved(status) {
            self.under_way(out);
        } else if let Some(wish) = self.wish() {
            self.grant(wish, out);
        } else if self.open() {
            self.dispatch(admission, out);
        }
    }

    /// Starts an attempt as soon as nothing speaks against it.
    fn dispatch(&self, admission: &Admission<'_>, out: &mut Draft<'_>) {
        if self.crowded() {
            self.wake_when_left(out);
            return;
        }
        let verdict = admission.verdict(&self.row.meta.uid);
        if matches!(verdict, Verdict::Waits(_)) && self.is_queued() && !self.is_edited() {
            // What is wrong with it by then is found when there is room.
            return;
        }
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(because) if let Some(at) = self.rig_may_come(&because) => return self.wake(at, out),
            Err(because) => return self.give_up(because, Tally::of(&self.row.status), out),
        };
        if let Some(at) = self.not_before().filter(|at| *at > self.census.now) {
            return self.wake(at, out);
        }
        match verdict {
            Verdict::Admitted => {
                let because = Reason::new("Starting", format!("attempt {} starts", self.attempt() + 1));
                self.reserve(&settings, because, Tone::Silent, out);
            }
            Verdict::Waits(_) if self.is_queued() => {}
            Verdict::Waits(full) => {
                let because = full.reason();
                self.publish(status::queued(self, &because), because, Tone::Silent, out);
            }
            Verdict::NotAsked => self.wake_when_unblocked(out),
        }
    }

    /// Until when a Rig that is not there may only not have been seen yet: each kind has a watch of its own, and whoever applies
    /// a Rig and its polecats at once is not told that there is no such Rig.
    fn rig_may_come(&self, because: &Reason) -> Option<Timestamp> {
        let (created, now) = (self.row.meta.created, self.census.now);
        let young = because.code == settings::NO_RIG && now.duration_since(created).abs() < RIG_MAY_LAG;
        young.then(|| created + RIG_MAY_LAG)
    }

    /// Written once: who is before it, and where the limit stands now, the reader computes.
    fn is_queued(&self) -> bool {
        self.row.status.phase == PolecatPhase::Idle
            && conditions::get(&self.row.status.conditions, PROGRESSING).is_some_and(|c| c.reason == "Queued")
    }

    fn wake_when_unblocked(&self, out: &mut Draft<'_>) {
        if let Some(crate::world::Blocked::Until(at)) = self.census.world.blocked(&self.row.meta.key, self.census.now) {
            self.wake(at, out);
        }
    }

    /// Publishes the next attempt before its pod exists, so that attempts only grow.
    fn reserve(&self, settings: &Settings, because: Reason, tone: Tone, out: &mut Draft<'_>) {
        let attempt = self.attempt().saturating_add(1);
        let meta = &self.row.meta;
        let pod = names::polecat_pod(&meta.key.name, &meta.uid.0, attempt);
        let to = status::reserved(self, settings, attempt, pod, &because);
        self.publish(to, because, tone, out);
    }
}

/// Finished work in a reading, where it is one.
fn finished(reading: &Reading) -> Option<Finished> {
    match reading {
        Reading::Reported(r) if r.outcome == CourierOutcome::Done => Some(Finished {
            branch: r.branch.clone(),
            commit: r.commit.clone(),
            base: r.base.clone(),
            commits: r.commits,
        }),
        Reading::AlreadyDone { commit, base, commits } => Some(Finished {
            branch: String::new(),
            commit: commit.clone(),
            base: base.clone(),
            commits: *commits,
        }),
        _ => None,
    }
}
