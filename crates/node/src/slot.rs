//! The state of one container of a pod: what it is doing, what it did before, when it may start again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::launch::Exit;
use crate::processes::ProcessRecord;

/// When failed containers start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    pub(crate) fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// How a run ended, as the status tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
}

impl Ended {
    pub(crate) fn of(exit: &Exit, started_at: Timestamp, message: Option<String>) -> Self {
        let reason = match (&exit.failure, exit.code) {
            (Some(_), _) => "StartError",
            (None, 0) => "Completed",
            (None, _) => "Error",
        };
        Self {
            code: exit.code,
            reason: reason.to_owned(),
            message: exit.failure.clone().or(message),
            started_at: Some(started_at),
            finished_at: Some(Timestamp::now()),
        }
    }

    /// A container that never ran, as the kubelet and containerd tell it.
    pub(crate) fn start_error(message: String) -> Self {
        Self {
            code: 128,
            reason: "StartError".to_owned(),
            message: Some(message),
            started_at: None,
            finished_at: Some(Timestamp::now()),
        }
    }

    /// One that an earlier node left running.
    fn unknown(started_at: Option<Timestamp>) -> Self {
        Self {
            code: 137,
            reason: "ContainerStatusUnknown".to_owned(),
            message: Some("the node was restarted while the container ran".to_owned()),
            started_at,
            finished_at: None,
        }
    }

    fn from_api(state: &ContainerStateTerminated) -> Self {
        Self {
            code: state.exit_code,
            reason: state.reason.clone().unwrap_or_default(),
            message: state.message.clone(),
            started_at: state.started_at.as_ref().map(|t| t.0),
            finished_at: state.finished_at.as_ref().map(|t| t.0),
        }
    }

    fn to_api(&self) -> ContainerStateTerminated {
        ContainerStateTerminated {
            exit_code: self.code,
            signal: (self.code > 128 && self.reason == "Error").then_some(self.code - 128),
            reason: Some(self.reason.clone()),
            message: self.message.clone(),
            started_at: self.started_at.map(Time),
            finished_at: self.finished_at.map(Time),
            container_id: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Waiting { reason: String, message: Option<String> },
    Running { since: Timestamp },
    Terminated(Ended),
}

/// A run that is being started or goes on.
pub(crate) struct Run {
    /// Told apart from earlier ones, whose late messages are ignored.
    pub(crate) number: u64,
    /// Ends a start that waits for something.
    pub(crate) cancel: CancellationToken,
    /// Once it has a process.
    pub(crate) process: Option<ProcessRecord>,
    pub(crate) began: Instant,
    /// The main process has been asked to end.
    pub(crate) asked: bool,
}

/// First restart at once, then 1 s, doubling.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(60);
/// A run of this length makes earlier failures forgotten.
const BACKOFF_FORGET: Duration = Duration::from_secs(300);

/// One container of a pod.
pub(crate) struct Slot {
    pub(crate) spec: Container,
    pub(crate) init: bool,
    pub(crate) state: State,
    pub(crate) last: Option<Ended>,
    pub(crate) restarts: i32,
    pub(crate) ready: bool,
    pub(crate) run: Option<Run>,
    /// Not before this instant; `None` is at once.
    pub(crate) retry_at: Option<Instant>,
    failures: u32,
    /// Restarts may not reuse the number of a run that was.
    ran: bool,
}

impl Slot {
    pub(crate) fn new(spec: Container, init: bool) -> Self {
        Self {
            spec,
            init,
            state: State::Waiting {
                reason: "PodInitializing".to_owned(),
                message: None,
            },
            last: None,
            restarts: 0,
            ready: false,
            run: None,
            retry_at: None,
            failures: 0,
            ran: false,
        }
    }

    /// Takes up what an earlier node reported. To a container its end is a reboot: what ran starts
    /// again if the policy allows, what was finished stays so, init containers run again.
    pub(crate) fn restore(&mut self, status: &ContainerStatus, policy: RestartPolicy) {
        self.restarts = status.restart_count;
        let last = status.last_state.as_ref();
        self.last = last.and_then(|s| s.terminated.as_ref()).map(Ended::from_api);
        let Some(state) = &status.state else { return };
        let (ended, was_running) = if let Some(t) = &state.terminated {
            (Ended::from_api(t), false)
        } else if let Some(r) = &state.running {
            (Ended::unknown(r.started_at.as_ref().map(|t| t.0)), true)
        } else {
            self.ran = self.last.is_some();
            if self.ran {
                self.restarts += 1;
            }
            return;
        };
        let again = if self.init {
            // Under Never an init container that was cut short has failed.
            policy != RestartPolicy::Never || !was_running
        } else {
            policy.restarts(ended.code)
        };
        if again {
            self.last = Some(ended);
            self.restarts += 1;
        } else {
            self.state = State::Terminated(ended);
        }
    }

    pub(crate) fn succeeded(&self) -> bool {
        matches!(&self.state, State::Terminated(e) if e.code == 0)
    }

    pub(crate) fn terminated(&self) -> Option<&Ended> {
        match &self.state {
            State::Terminated(ended) => Some(ended),
            _ => None,
        }
    }

    pub(crate) fn running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    pub(crate) fn wait(&mut self, reason: &str, message: Option<String>) {
        self.state = State::Waiting {
            reason: reason.to_owned(),
            message,
        };
    }

    /// Ready to be started now?
    pub(crate) fn due(&self, now: Instant) -> bool {
        self.run.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// A run begins; the state changes when its process exists.
    pub(crate) fn begin(&mut self, number: u64, now: Instant) -> CancellationToken {
        if self.ran {
            self.restarts += 1;
        }
        if let State::Terminated(ended) = &self.state {
            self.last = Some(ended.clone());
            self.wait("ContainerCreating", None);
        }
        self.retry_at = None;
        let cancel = CancellationToken::new();
        self.run = Some(Run {
            number,
            cancel: cancel.clone(),
            process: None,
            began: now,
            asked: false,
        });
        cancel
    }

    /// A run ended. Says when the next may begin, if there is to be one.
    pub(crate) fn end(&mut self, ended: Ended, policy: RestartPolicy, now: Instant) {
        let lived = self.run.take().map_or(Duration::ZERO, |run| {
            // Its probes end with it.
            run.cancel.cancel();
            now.saturating_duration_since(run.began)
        });
        self.ran = true;
        self.ready = false;
        if lived > BACKOFF_FORGET {
            self.failures = 0;
        }
        let again = if self.init {
            ended.code != 0 && policy != RestartPolicy::Never
        } else {
            policy.restarts(ended.code)
        };
        self.state = State::Terminated(ended);
        if again {
            let delay = self.backoff();
            self.failures += 1;
            if !delay.is_zero() {
                self.retry_at = Some(now + delay);
            }
        }
    }

    fn backoff(&self) -> Duration {
        match self.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(n) => BACKOFF_MOST.min(BACKOFF_FIRST * 2u32.saturating_pow(n.min(10))),
        }
    }

    /// A container that failed and will start again shows its end as the last state, and waits.
    pub(crate) fn show_backoff(&mut self, now: Instant) {
        if let (State::Terminated(ended), Some(at)) = (&self.state, self.retry_at)
            && at > now
        {
            self.last = Some(ended.clone());
            let message = format!(
                "back-off {}s restarting failed container={}",
                self.backoff_shown(),
                self.spec.name
            );
            self.wait("CrashLoopBackOff", Some(message));
        }
    }

    fn backoff_shown(&self) -> u64 {
        let n = self.failures.saturating_sub(2);
        BACKOFF_MOST
            .min(BACKOFF_FIRST * 2u32.saturating_pow(n.min(10)))
            .as_secs()
    }

    /// Restores what `begin` changed, for a start that did not come to be.
    pub(crate) fn not_begun(&mut self, retry_at: Instant) {
        if self.ran {
            self.restarts -= 1;
        }
        self.run = None;
        self.retry_at = Some(retry_at);
    }

    pub(crate) fn to_status(&self) -> ContainerStatus {
        let state = match &self.state {
            State::Waiting { reason, message } => ContainerState {
                waiting: Some(ContainerStateWaiting {
                    reason: Some(reason.clone()),
                    message: message.clone(),
                }),
                ..Default::default()
            },
            State::Running { since } => ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: Some(Time(*since)),
                }),
                ..Default::default()
            },
            State::Terminated(ended) => ContainerState {
                terminated: Some(ended.to_api()),
                ..Default::default()
            },
        };
        let last_state = self.last.as_ref().map(|ended| ContainerState {
            terminated: Some(ended.to_api()),
            ..Default::default()
        });
        let ready = if self.init {
            self.succeeded()
        } else {
            self.ready && self.running()
        };
        ContainerStatus {
            name: self.spec.name.clone(),
            image: self.spec.image.clone().unwrap_or_default(),
            image_id: String::new(),
            container_id: None,
            ready,
            started: Some(self.running()),
            restart_count: self.restarts,
            state: Some(state),
            last_state,
            ..Default::default()
        }
    }
}
