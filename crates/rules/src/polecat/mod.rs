//! One polecat: attempts, outcomes, latch, sweep. What it publishes is in [`status`], what its pod says in
//! [`outcome`], what the pod is in [`blueprint`].

mod blueprint;
pub(crate) mod outcome;
mod status;
mod sweep;

use crate::admission::{Admission, Verdict};
use crate::blueprint::Blueprint;
use crate::census::Census;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::names;
use crate::plan::{Action, Notice};
use crate::reason::Reason;
use crate::row::{PodRow, PolecatRow, RigRow};
use crate::settings::{self, Settings};
use gastown_api::conditions::{self, DEGRADED, MERGED, PROGRESSING};
use gastown_api::{DesiredState, PolecatPhase, PolecatStatus};
use gastown_wire::{CourierOutcome, CourierReport};
use jiff::{SignedDuration, Timestamp};
use outcome::{DELETION_SLACK, Reading, one_line};
use status::{Finished, Tally};

/// A pod whose agent does not run after this is given up: no image, no node, no admission, no remote.
pub(crate) const START_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// What the kubelet gets to end a pod after its deadline: the pod's grace, and some.
const END_SLACK: SignedDuration = SignedDuration::from_mins(7);
/// Longest wait before the next attempt after a lost pod.
const LOST_BACKOFF_CAP: i64 = 60;
/// Longest wait before a failure is tried again. Seconds.
const RETRY_BACKOFF_CAP: i64 = 3600;
/// An attempt that lived this long was no part of a series of losses.
const LONG_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// A polecat and all it is judged by.
#[derive(Debug)]
pub(crate) struct Case<'a, 'w> {
    pub(crate) census: &'a Census<'w>,
    pub(crate) row: &'w PolecatRow,
    pub(crate) rig: Option<&'w RigRow>,
    pub(crate) pods: &'a [&'w PodRow],
}

/// Decides one polecat.
pub(crate) fn decide<'w>(census: &Census<'w>, row: &'w PolecatRow, admission: &Admission, out: &mut Draft<'_>) {
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

/// Whether a polecat would start an attempt now, were there room.
pub(crate) fn wants_attempt<'w>(census: &Census<'w>, row: &'w PolecatRow) -> bool {
    let case = Case::of(census, row);
    row.meta.deleting.is_none()
        && row.spec.desired_state == DesiredState::Working
        && case.open()
        && case.not_before().is_none_or(|at| at <= census.now)
        && !case.crowded()
        && case.settings().is_ok()
}

impl<'a, 'w> Case<'a, 'w> {
    fn of(census: &'a Census<'w>, row: &'w PolecatRow) -> Self {
        Self { census, row, rig: census.rig(&row.spec.rig), pods: census.pods(row) }
    }

    /// The round, from 1.
    pub(crate) fn round(&self) -> u32 {
        self.row.status.round.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1)
    }

    /// The newest attempt; 0 before the first.
    fn attempt(&self) -> u32 {
        self.row.status.attempt.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }

    fn settings(&self) -> Result<Settings, Reason> {
        settings::resolve(self.census.world, self.row, self.rig)
    }

    /// The pod of the newest attempt.
    fn pod(&self) -> Option<&'w PodRow> {
        self.pods.iter().copied().find(|p| p.attempt == self.attempt() && p.round == self.round())
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
        let edited = status.observed_generation.is_some_and(|seen| seen < self.row.meta.generation);
        status.attempt.is_some() && !problem && !edited
    }

    fn not_before(&self) -> Option<Timestamp> {
        self.row.status.retry_after.as_ref().map(|t| t.0)
    }

    /// Whether a pod of it still runs, or one is there that our row of it does not know of yet.
    fn crowded(&self) -> bool {
        let attempt = self.attempt();
        self.pods.iter().any(|p| outcome::occupies(p, self.census.now) || p.attempt > attempt)
    }

    fn wake(&self, at: Timestamp, out: &mut Draft<'_>) {
        out.wake_at(&self.row.spec.rig, at);
    }

    /// Looks again when the last of its leaving pods is given up.
    fn wake_when_left(&self, out: &mut Draft<'_>) {
        let leaving = self.pods.iter().filter_map(|p| p.meta.deleting).map(|at| at + DELETION_SLACK);
        if let Some(at) = leaving.filter(|at| *at > self.census.now).min() {
            self.wake(at, out);
        }
    }

    fn publish(&self, to: PolecatStatus, because: Reason, notice: Tone, out: &mut Draft<'_>) {
        let notices = match notice {
            Tone::Silent => Vec::new(),
            tone => vec![Notice { warning: tone == Tone::Warning, because: because.clone() }],
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
        if self.pods.iter().any(|p| outcome::occupies(p, self.census.now)) {
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
            return self.finish(&work, out);
        }
        if self.pods.iter().any(|p| outcome::occupies(p, self.census.now)) {
            self.wake_when_left(out);
            return;
        }
        let because = Reason::new("Idle", "desiredState is Idle");
        self.publish(status::idle(self), because, Tone::Silent, out);
    }

    fn work(&self, admission: &Admission, out: &mut Draft<'_>) {
        let status = &self.row.status;
        if landed(status) {
            if status.phase != PolecatPhase::Done {
                let because = Reason::new("Landed", "landed work stays landed");
                self.publish(status::landed(self), because, Tone::Silent, out);
            }
        } else if reserved(status) {
            self.under_way(out);
        } else if self.open() {
            self.dispatch(admission, out);
        }
    }

    /// Starts an attempt as soon as nothing speaks against it.
    fn dispatch(&self, admission: &Admission, out: &mut Draft<'_>) {
        if self.crowded() {
            self.wake_when_left(out);
            return;
        }
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(because) => return self.give_up(because, Tally::of(&self.row.status), out),
        };
        if let Some(at) = self.not_before().filter(|at| *at > self.census.now) {
            return self.wake(at, out);
        }
        match admission.verdict(&self.row.meta.key) {
            Verdict::Admitted => {
                let because = Reason::new("Starting", format!("attempt {} starts", self.attempt() + 1));
                self.reserve(&settings, because, Tone::Silent, out);
            }
            Verdict::Waits(because) if !self.is_queued() => {
                self.publish(status::queued(self, because), because.clone(), Tone::Silent, out);
            }
            Verdict::Waits(_) => {}
            Verdict::NotAsked => self.wake_when_unblocked(out),
        }
    }

    /// Written once: who is before it, and where the limit stands now, the reader computes.
    fn is_queued(&self) -> bool {
        self.row.status.phase == PolecatPhase::Idle
            && conditions::get(&self.row.status.conditions, PROGRESSING).is_some_and(|c| c.reason == "Queued")
    }

    fn wake_when_unblocked(&self, out: &mut Draft<'_>) {
        if let Some(crate::world::Blocked::Until(at)) =
            self.census.world.blocked(&self.row.meta.key, self.census.now)
        {
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

// An attempt is reserved: make its pod, and read it to its end.

impl Case<'_, '_> {
    fn under_way(&self, out: &mut Draft<'_>) {
        let Some(pod) = self.pod() else {
            // A pod that never ran may never have existed: it is made (again) under the same name, and the
            // record's fence settles it should an old one still live.
            return match self.row.status.pod_active {
                Some(true) => self.lost(&Reason::new("PodGone", "its pod is gone"), false, out),
                _ => self.start(out),
            };
        };
        match outcome::read(pod, self.round(), self.attempt(), self.census.now) {
            Reading::Starting { trouble } => self.starting(pod, trouble, out),
            Reading::Running => self.running(pod, out),
            Reading::Reported(report) => self.reported(*report, out),
            Reading::AlreadyDone { commit, base, commits } => {
                self.finish(&Finished { branch: String::new(), commit, base, commits }, out);
            }
            Reading::Hopeless(because) => self.give_up(because, Tally::of(&self.row.status), out),
            Reading::Lost { because, counts } => self.lost(&because, counts, out),
            Reading::Leaving { until } => self.wake(until, out),
        }
    }

    /// Creates what the attempt needs, in order.
    fn start(&self, out: &mut Draft<'_>) {
        let (world, now) = (self.census.world, self.census.now);
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(because) => return self.give_up(because, Tally::of(&self.row.status), out),
        };
        let pod = blueprint::pod(self, &settings, self.attempt());
        let texts = blueprint::texts(self, &settings).filter(|t| !world.texts.contains(&t.key));
        let next = texts.map_or_else(|| Blueprint::PolecatPod(pod), Blueprint::Texts);
        let trouble = self.refused(next.key());
        let deadline = self.reserved_at() + START_DEADLINE;
        if now >= deadline {
            let because = trouble.unwrap_or_else(|| Reason::new("NotStarted", "its pod could not be created in time"));
            return self.give_up(because, Tally::of(&self.row.status), out);
        }
        self.wake(deadline, out);
        if let Some(trouble) = trouble {
            self.tell_trouble(trouble, out);
        }
        let because = Reason::new("Starting", format!("attempt {} of round {}", self.attempt(), self.round()));
        out.push(Action::Create { blueprint: Box::new(next), because });
    }

    /// The API server's refusal of a create, in its words.
    fn refused(&self, key: &Key) -> Option<Reason> {
        let why = self.census.world.refusal(key)?.why.as_ref()?;
        let what = if key.kind == Kind::Pod { "pod" } else { "ConfigMap" };
        Some(Reason::new("PodRefused", format!("its {what} cannot be created: {}", one_line(why))))
    }

    fn reserved_at(&self) -> Timestamp {
        self.row.status.last_activity.as_ref().map_or(self.row.meta.created, |t| t.0)
    }

    fn starting(&self, pod: &PodRow, trouble: Option<Reason>, out: &mut Draft<'_>) {
        // Once the agent has run, its containers restart under the pod's own deadline.
        if self.row.status.pod_active == Some(true) {
            return self.watch_deadline(pod, out);
        }
        let deadline = pod.meta.created + START_DEADLINE;
        if self.census.now >= deadline {
            let because = trouble.unwrap_or_else(|| {
                Reason::new("NotStarted", "its agent did not start within 10 minutes: see kubectl describe pod")
            });
            return self.give_up(because, Tally::of(&self.row.status), out);
        }
        self.wake(deadline, out);
        if let Some(trouble) = trouble {
            self.tell_trouble(trouble, out);
        }
    }

    /// Within seconds and once: the kubelet's words change while it backs off, the reason does not.
    fn tell_trouble(&self, trouble: Reason, out: &mut Draft<'_>) {
        let told = conditions::get(&self.row.status.conditions, PROGRESSING).is_some_and(|c| c.reason == trouble.code);
        if !told {
            self.publish(status::troubled(self, &trouble), trouble, Tone::Warning, out);
        }
    }

    fn running(&self, pod: &PodRow, out: &mut Draft<'_>) {
        let status = &self.row.status;
        let told = status.pod_active == Some(true)
            && conditions::get(&status.conditions, PROGRESSING).is_some_and(|c| c.reason == "Running");
        if !told {
            let agent = status.agent.as_deref().unwrap_or("the agent");
            let (attempt, round) = (self.attempt(), self.round());
            let resumed = outcome::resumed(pod, attempt);
            let with = resumed.as_ref().map(|what| format!("; {what} restored")).unwrap_or_default();
            let because = Reason::new(
                "Running",
                format!("{agent} works in pod {} (attempt {attempt}, round {round}){with}", pod.meta.key.name),
            );
            let told = match resumed {
                Some(what) => Reason::new("Resumed", format!("attempt {attempt}: {what} restored")),
                None => because.clone(),
            };
            let notices = vec![Notice { warning: false, because: told }];
            out.publish_polecat(self.row, status::running(self, &because), because, notices);
        }
        self.watch_deadline(pod, out);
    }

    /// The kubelet ends a pod at its deadline; a kubelet that does not is not waited for.
    fn watch_deadline(&self, pod: &PodRow, out: &mut Draft<'_>) {
        let allowed = SignedDuration::from_secs(settings::deadline(self.row, self.rig).min(10 * 365 * 86400));
        let end = pod.started.unwrap_or(pod.meta.created) + allowed + END_SLACK;
        if self.census.now < end {
            return self.wake(end, out);
        }
        let because = Reason::new("DeadlineExceeded", "it runs past activeDeadlineSeconds and its node does not end it");
        self.lost(&because, true, out);
    }

    fn reported(&self, report: CourierReport, out: &mut Draft<'_>) {
        let tally = Tally::of(&self.row.status);
        let branch = self.row.status.branch.clone().unwrap_or_default();
        let because = match &report.outcome {
            CourierOutcome::Done => {
                return self.finish(
                    &Finished {
                        branch: report.branch,
                        commit: report.commit,
                        base: report.base,
                        commits: report.commits,
                    },
                    out,
                );
            }
            CourierOutcome::AgentFailed { exit } => {
                let said = match report.detail.as_str() {
                    "" => String::new(),
                    words => format!(" ({})", one_line(words)),
                };
                let because = Reason::new("AgentFailed", format!("the agent ended with exit code {exit}{said}"));
                return self.failed(&because, out);
            }
            CourierOutcome::NoChange => Reason::new(
                "NoChange",
                "the agent said success and changed nothing: make the task plainer, or end it with desiredState Terminated",
            ),
            CourierOutcome::DirtyTree { files } => Reason::new(
                "DirtyTree",
                format!("the agent said success and left {files} files uncommitted: its commits are on {branch}"),
            ),
            CourierOutcome::WrongBranch { branch: other } => Reason::new(
                "WrongBranch",
                format!("the agent committed on {} instead of {branch}: nothing of it was pushed", one_line(other)),
            ),
            CourierOutcome::AgentMissing { program } => Reason::new(
                "AgentMissing",
                format!("{} cannot be started in the agent's image: correct the command or the image", one_line(program)),
            ),
            CourierOutcome::PushRejected { why } => Reason::new(
                "PushRejected",
                format!("the remote refuses {branch}: {} (check its protection and the credential)", one_line(why)),
            ),
            // Read as lost before.
            CourierOutcome::Stopped
            | CourierOutcome::AgentLost
            | CourierOutcome::Fenced
            | CourierOutcome::PushFailed => Reason::new("PodFailed", "its pod ended without an outcome"),
        };
        self.give_up(because, tally, out);
    }

    fn finish(&self, work: &Finished, out: &mut Draft<'_>) {
        let branch = match work.branch.as_str() {
            "" => self.row.status.branch.as_deref().unwrap_or_default(),
            branch => branch,
        };
        let short: String = work.commit.chars().take(12).collect();
        let because = Reason::new(
            "WorkComplete",
            format!("{} on {}, at {short}", plural(work.commits, "commit"), one_line(branch)),
        );
        self.publish(status::done(self, work, &because), because, Tone::Normal, out);
    }

    /// Somebody is needed; a live pod is swept once this is written.
    fn give_up(&self, because: Reason, tally: Tally, out: &mut Draft<'_>) {
        self.publish(status::stuck(self, &because, tally), because, Tone::Warning, out);
    }

    /// A failure spends a retry.
    fn failed(&self, because: &Reason, out: &mut Draft<'_>) {
        let retry = settings::retry(self.row, self.rig);
        let mut tally = Tally::of(&self.row.status);
        tally.failures = tally.failures.saturating_add(1);
        if tally.failures > retry.limit {
            let tries = match retry.limit {
                0 => String::new(),
                limit => format!("; it was tried again {} (retry.limit)", plural(limit, "time")),
            };
            let because = Reason::new(because.code, format!("{}{tries}: edit the spec to try again", because.message));
            return self.give_up(because, tally, out);
        }
        let wait = doubled(retry.backoff, tally.failures, RETRY_BACKOFF_CAP);
        self.next_attempt(because, tally, wait, out);
    }

    /// An attempt without an outcome. What befell it from outside spends no retry.
    fn lost(&self, because: &Reason, counts: bool, out: &mut Draft<'_>) {
        if counts {
            return self.failed(because, out);
        }
        let mut tally = Tally::of(&self.row.status);
        tally.lost = tally.lost.saturating_add(1);
        let long = self.census.now.duration_since(self.reserved_at()) >= LONG_LIFE;
        let wait = if long { 0 } else { doubled(1, tally.lost.saturating_sub(1), LOST_BACKOFF_CAP) };
        self.next_attempt(because, tally, wait, out);
    }

    fn next_attempt(&self, because: &Reason, tally: Tally, wait: i64, out: &mut Draft<'_>) {
        let now = self.census.now;
        let next = self.attempt().saturating_add(1);
        let message = format!("attempt {} is over: {}; attempt {next} follows", self.attempt(), because.message);
        let because = Reason::new(because.code, message);
        let to = status::waiting(self, &because, tally, now + SignedDuration::from_secs(wait));
        self.publish(to, because, Tone::Warning, out);
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

/// `base · 2^(n-1)` seconds up to a cap; nothing for the zeroth.
fn doubled(base: i64, n: i64, cap: i64) -> i64 {
    match n {
        ..=0 => 0,
        n => base.saturating_mul(1_i64 << (n - 1).min(30)).min(cap),
    }
}

fn plural(n: impl Into<i64>, what: &str) -> String {
    match n.into() {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
