//! An attempt under way: its pod is made, and read to its end.

use super::outcome::{Reading, one_line};
use super::status::{Finished, Tally};
use super::{Case, Tone, blueprint, outcome, status};
use crate::blueprint::Blueprint;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::plan::{Action, Notice, Status};
use crate::reason::Reason;
use crate::row::PodRow;
use crate::settings;
use gastown_api::PolecatPhase;
use gastown_api::conditions::{self, PROGRESSING};
use gastown_wire::{CourierOutcome, CourierReport, CredentialProblem, OPENCODE_LOGINS, RecordLevel, settings_key};
use jiff::{SignedDuration, Timestamp};

/// A pod whose agent does not run after this is given up: no image, no node, no admission, no remote.
pub(crate) const START_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// What the kubelet gets to end a pod after its deadline: the pod's grace, and some.
const END_SLACK: SignedDuration = SignedDuration::from_mins(7);
/// Longest wait before the next attempt after a lost pod.
const LOST_BACKOFF_CAP: i64 = 60;
/// Longest wait before a failure is tried again. Seconds.
const RETRY_BACKOFF_CAP: i64 = 3600;
/// A usage limit lifts not sooner, and not later. A provider's longest is a week.
const LEAST_PARKED: SignedDuration = SignedDuration::from_secs(30);
const MOST_PARKED: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How often it is looked whether a credential was mended.
const CREDENTIAL_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// An attempt that lived this long was no part of a series of losses.
const LONG_LIFE: SignedDuration = SignedDuration::from_mins(10);

impl Case<'_, '_> {
    pub(super) fn under_way(&self, out: &mut Draft<'_>) {
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
            Reading::Reported(report) => self.after(pod).reported(*report, out),
            Reading::AlreadyDone { commit, base, commits } => {
                self.finish(
                    &Finished {
                        branch: String::new(),
                        commit,
                        base,
                        commits,
                    },
                    out,
                );
            }
            Reading::Hopeless(because) => self.give_up(because, Tally::of(&self.row.status), out),
            Reading::Lost { because, counts } => self.after(pod).lost(&because, counts, out),
            Reading::Leaving { until } => self.wake(until, out),
        }
    }

    /// Creates what the attempt needs, in order.
    fn start(&self, out: &mut Draft<'_>) {
        let (world, now) = (self.census.world, self.census.now);
        // A write of its own status that is under way or in doubt may say that no pod is needed any more.
        if world.blocked(&self.row.meta.key, now).is_some() {
            return self.wake_when_unblocked(out);
        }
        let perhaps = world.pending_statuses(&self.row.meta.key).find_map(|to| match to {
            Status::Polecat(to) if to.phase != PolecatPhase::Working => Some(to.as_ref().clone()),
            _ => None,
        });
        if let Some(to) = perhaps {
            let because = Reason::new(
                "AnswerLost",
                "the answer to its last status was lost: it is written again",
            );
            return self.publish(to, because, Tone::Silent, out);
        }
        let settings = match self.settings() {
            Ok(settings) => settings,
            Err(_) if self.may_have_a_pod() => return self.wake_when_left(out),
            Err(because) => return self.give_up(because, Tally::of(&self.row.status), out),
        };
        let pod = blueprint::pod(self, &settings, self.attempt());
        let texts = blueprint::texts(self, &settings).filter(|t| !world.texts.contains(&t.key));
        let next = texts.map_or_else(|| Blueprint::PolecatPod(pod), Blueprint::Texts);
        let trouble = self.refused(next.key());
        let deadline = self.reserved_at() + START_DEADLINE;
        if now < deadline {
            self.wake(deadline, out);
        } else if !self.may_have_a_pod() {
            let because = trouble.unwrap_or_else(|| Reason::new("NotStarted", "its pod could not be created in time"));
            return self.give_up(because, Tally::of(&self.row.status), out);
        }
        if let Some(trouble) = trouble {
            self.tell_trouble(trouble, out);
        }
        let because = Reason::new(
            "Starting",
            format!("attempt {} of round {}", self.attempt(), self.round()),
        );
        out.push(Action::Create {
            blueprint: Box::new(next),
            because,
        });
    }

    /// The API server's refusal of a create, in its words.
    fn refused(&self, key: &Key) -> Option<Reason> {
        let why = self.census.world.refusal(key)?.why.as_ref()?;
        let what = if key.kind == Kind::Pod { "pod" } else { "ConfigMap" };
        Some(Reason::new(
            "PodRefused",
            format!("its {what} cannot be created: {}", one_line(why)),
        ))
    }

    fn reserved_at(&self) -> Timestamp {
        self.row
            .status
            .last_activity
            .as_ref()
            .map_or(self.row.meta.created, |t| t.0)
    }

    fn starting(&self, pod: &PodRow, trouble: Option<Reason>, out: &mut Draft<'_>) {
        // Once the agent has run, its containers restart under the pod's own deadline.
        if self.row.status.pod_active == Some(true) {
            return self.watch_deadline(pod, out);
        }
        let deadline = pod.meta.created + START_DEADLINE;
        if self.census.now >= deadline {
            let because = trouble.unwrap_or_else(|| {
                Reason::new(
                    "NotStarted",
                    "its agent did not start within 10 minutes: see kubectl describe pod",
                )
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
        // While it is being told it need not be put in words again: in a crowd that is most of the work.
        if !told && !out.awaits(&self.row.meta.key) {
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
            let with = resumed
                .as_ref()
                .map(|what| format!("; {what} restored"))
                .unwrap_or_default();
            let because = Reason::new(
                "Running",
                format!(
                    "{agent} works in pod {} (attempt {attempt}, round {round}){with}",
                    pod.meta.key.name
                ),
            );
            let told = match resumed {
                Some(what) => Reason::new("Resumed", format!("attempt {attempt}: {what} restored")),
                None => because.clone(),
            };
            let notices = vec![Notice {
                warning: false,
                because: told,
            }];
            out.publish_polecat(self.row, status::running(self, &because), because, notices);
        }
        self.watch_silence(pod, out);
        self.watch_deadline(pod, out);
    }

    /// The kubelet ends a pod at its deadline; a kubelet that does not is not waited for.
    fn watch_deadline(&self, pod: &PodRow, out: &mut Draft<'_>) {
        let allowed = SignedDuration::from_secs(settings::deadline(self.row, self.rig).min(10 * 365 * 86400));
        let end = pod.started.unwrap_or(pod.meta.created) + allowed + END_SLACK;
        if self.census.now < end {
            return self.wake(end, out);
        }
        let because = Reason::new(
            "DeadlineExceeded",
            "it runs past activeDeadlineSeconds and its node does not end it",
        );
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
                // All of them exit 0 after some failures: their stream says it.
                let how = match exit {
                    0 => "the agent failed".to_owned(),
                    exit => format!("the agent ended with exit code {exit}"),
                };
                let because = Reason::new("AgentFailed", format!("{how}{said}"));
                return self.failed(&because, out);
            }
            CourierOutcome::Parked { until } => return self.park(*until, &report.detail, out),
            CourierOutcome::CredentialUnusable { problem } => {
                return self.without_credential(*problem, &report.detail, out);
            }
            CourierOutcome::BudgetSpent => {
                let because = Reason::new(
                    "BudgetSpent",
                    format!("the agent was ended: its budget is spent; its work so far is kept for {branch}"),
                );
                let to = status::waiting(self, &because, tally, self.census.now);
                return self.publish(to, because, Tone::Warning, out);
            }
            CourierOutcome::NoChange => Reason::new(
                "NoChange",
                "the agent said success and changed nothing: make the task plainer, or end it with desiredState Terminated",
            ),
            CourierOutcome::DirtyTree { files } => Reason::new(
                "DirtyTree",
                format!(
                    "the agent said success and left {files} file{} uncommitted, and what is uncommitted does not land: \
                     have it commit or ignore them; what it committed is on {branch}",
                    if *files == 1 { "" } else { "s" }
                ),
            ),
            CourierOutcome::WrongBranch { branch: other } => Reason::new(
                "WrongBranch",
                format!(
                    "the agent committed on {} instead of {branch}: nothing of it was pushed",
                    one_line(other)
                ),
            ),
            CourierOutcome::AgentMissing { program } => Reason::new(
                "AgentMissing",
                format!(
                    "{} cannot be started in the agent's image: correct the command or the image",
                    one_line(program)
                ),
            ),
            CourierOutcome::PushRejected { why } => Reason::new(
                "PushRejected",
                format!(
                    "the remote refuses {branch}: {} (check its protection and the credential)",
                    one_line(why)
                ),
            ),
            // Read as lost before.
            CourierOutcome::Stopped
            | CourierOutcome::AgentLost
            | CourierOutcome::Fenced
            | CourierOutcome::PushFailed => Reason::new("PodFailed", "its pod ended without an outcome"),
        };
        self.give_up(because, tally, out);
    }

    pub(super) fn finish(&self, work: &Finished, out: &mut Draft<'_>) {
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
    pub(super) fn give_up(&self, because: Reason, tally: Tally, out: &mut Draft<'_>) {
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
            let because = Reason::new(
                because.code,
                format!("{}{tries}: edit the spec to try again", because.message),
            );
            return self.give_up(because, tally, out);
        }
        let wait = doubled(retry.backoff, tally.failures, RETRY_BACKOFF_CAP);
        self.next_attempt(because, tally, wait, out);
    }

    /// The provider takes no more for a while: the place is free, nothing is spent, and what the record keeps goes on.
    fn park(&self, until: i64, words: &str, out: &mut Draft<'_>) {
        let now = self.census.now;
        // A time that was over before it was read, or one in another decade, is no time.
        let until = Timestamp::from_second(until)
            .unwrap_or(now)
            .clamp(now + LEAST_PARKED, now + MOST_PARKED);
        let said = match words {
            "" => String::new(),
            words => format!(" ({})", one_line(words)),
        };
        let kept = match self.settings().map(|s| s.record) {
            Ok(RecordLevel::Conversation) => "with the same conversation",
            Ok(RecordLevel::Work) => "with its files; record.level conversation keeps the conversation too",
            Ok(RecordLevel::Commits) | Err(_) => {
                "from its commits; record.level conversation keeps the conversation too"
            }
        };
        let because = Reason::new(
            "Parked",
            format!("usage limit reached{said}: goes on at {until:.0} {kept}"),
        );
        let to = status::waiting(self, &because, Tally::of(&self.row.status), until);
        self.publish(to, because, Tone::Normal, out);
    }

    /// Names the Secret, the key, and what to type. Looked at again by and by: a Secret is mended unseen.
    fn without_credential(&self, problem: CredentialProblem, words: &str, out: &mut Draft<'_>) {
        let because = credential_reason(self, problem, words);
        let to = status::stuck_until(self, &because, self.census.now + CREDENTIAL_AGAIN);
        self.publish(to, because, Tone::Warning, out);
    }

    /// An attempt without an outcome. What befell it from outside spends no retry.
    pub(super) fn lost(&self, because: &Reason, counts: bool, out: &mut Draft<'_>) {
        if counts {
            return self.failed(because, out);
        }
        let mut tally = Tally::of(&self.row.status);
        tally.lost = tally.lost.saturating_add(1);
        let long = self.census.now.duration_since(self.reserved_at()) >= LONG_LIFE;
        let wait = if long {
            0
        } else {
            doubled(1, tally.lost.saturating_sub(1), LOST_BACKOFF_CAP)
        };
        self.next_attempt(because, tally, wait, out);
    }

    fn next_attempt(&self, because: &Reason, tally: Tally, wait: i64, out: &mut Draft<'_>) {
        let now = self.census.now;
        let next = self.attempt().saturating_add(1);
        let message = format!(
            "attempt {} is over: {}; attempt {next} follows",
            self.attempt(),
            because.message
        );
        let because = Reason::new(because.code, message);
        let to = status::waiting(self, &because, tally, now + SignedDuration::from_secs(wait));
        self.publish(to, because, Tone::Warning, out);
    }
}

fn credential_reason(case: &Case<'_, '_>, problem: CredentialProblem, words: &str) -> Reason {
    let settings = case.settings();
    let agent = settings.as_ref().map(|s| s.agent.kind.clone()).unwrap_or_default();
    let credentials = settings.map(|s| s.credentials).unwrap_or_default();
    let namespace = &case.row.meta.key.namespace;
    let sync = format!(
        "kubectl gt auth sync -n {namespace}{}",
        whose(&agent, credentials.claude.as_deref())
    );
    let program = match agent.as_str() {
        "opencode" => "opencode",
        _ => "claude",
    };
    let (what, fix) = match (&credentials.api_key, &credentials.claude) {
        (Some((secret, key, _)), _) => (
            format!("key {key} of Secret {namespace}/{secret}"),
            // Whether the Secret is there or not.
            format!(
                "kubectl create secret generic {secret} -n {namespace} --from-file={key}=FILE --dry-run=client -o yaml | kubectl apply -f -"
            ),
        ),
        (None, Some(secret)) => (
            match agent.as_str() {
                "opencode" => format!(
                    "the login of opencode (key {}) in Secret {namespace}/{secret}",
                    settings_key(OPENCODE_LOGINS).unwrap_or_default()
                ),
                "aider" => format!("the login of aider in Secret {namespace}/{secret}"),
                _ => format!("the login (.credentials.json) in Secret {namespace}/{secret}"),
            },
            match problem {
                // What refreshes it is where the user is logged in, and nowhere else.
                CredentialProblem::Expired => format!("run {program} once where you are logged in, then {sync}"),
                _ => format!("log in and type {sync}"),
            },
        ),
        (None, None) => (
            "a credential for the model".to_owned(),
            format!("name one in apiKeySecretRef or claudeCredsSecretRef, of Polecat or Rig ({sync} makes it)"),
        ),
    };
    let (code, how) = match problem {
        CredentialProblem::Missing => ("ModelCredentialMissing", "is not there"),
        CredentialProblem::Empty => ("ModelCredentialEmpty", "holds nothing that can be used"),
        CredentialProblem::Expired => ("ModelCredentialExpired", "has expired"),
        CredentialProblem::Refused => ("ModelCredentialRefused", "is refused by the provider"),
    };
    let said = match words {
        "" => String::new(),
        words => format!(" [{}]", one_line(words).chars().take(60).collect::<String>()),
    };
    Reason::new(code, format!("{what} {how}: {fix}{said}"))
}

/// What `auth sync` is to be told where it would not take this agent and this Secret by itself.
fn whose(agent: &str, secret: Option<&str>) -> String {
    let (flag, default) = match agent {
        "opencode" => (" --agent opencode", "opencode-creds"),
        "aider" => (" --agent aider", "aider-creds"),
        _ => ("", "claude-creds"),
    };
    match secret.filter(|name| *name != default) {
        Some(name) => format!("{flag} --secret {name}"),
        None => flag.to_owned(),
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
