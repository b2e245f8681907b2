//! What a kubelet says of a pod.

use gastown_rules::{ContainerRow, ContainerState, Ended, PodPhase, PodRow};
use jiff::Timestamp;
use std::fmt;

/// The status of a pod, as its kubelet has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    phase: PodPhase,
    reason: String,
    message: String,
    node: Option<String>,
    started: Option<Timestamp>,
    unschedulable: Option<String>,
    disrupted: Option<String>,
    containers: Vec<ContainerRow>,
}

impl Shown {
    /// Writes it into the pod's status.
    pub(super) fn onto(&self, pod: &mut PodRow) {
        pod.phase = self.phase;
        pod.reason.clone_from(&self.reason);
        pod.message.clone_from(&self.message);
        pod.node.clone_from(&self.node);
        pod.started = self.started;
        pod.unschedulable.clone_from(&self.unschedulable);
        pod.containers.clone_from(&self.containers);
        if self.disrupted.is_some() {
            pod.disrupted.clone_from(&self.disrupted);
        }
    }

    pub(super) fn began(&mut self, now: Timestamp) {
        self.unschedulable = None;
        self.node = Some("node-1".to_owned());
        self.started = Some(now);
        self.containers.clear();
    }

    pub(super) fn unschedulable(&mut self) {
        self.unschedulable = Some("0/3 nodes are available: insufficient cpu".to_owned());
    }

    pub(super) fn runs(&mut self) {
        self.phase = PodPhase::Running;
    }

    /// All containers are over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    fn container(&mut self, name: &str) -> Option<&mut ContainerRow> {
        let init = matches!(name, "clone" | "candidate");
        if !self.containers.iter().any(|c| c.name == name) {
            self.containers.push(ContainerRow {
                name: name.to_owned(),
                init,
                state: ContainerState::Waiting {
                    reason: "PodInitializing".to_owned(),
                    message: String::new(),
                },
                last: None,
                restarts: 0,
                ready: false,
            });
        }
        self.containers.iter_mut().find(|c| c.name == name)
    }

    /// A container waits, and why.
    pub(super) fn waits(&mut self, name: &str, reason: &str, message: &str) {
        if let Some(c) = self.container(name) {
            c.state = ContainerState::Waiting {
                reason: reason.to_owned(),
                message: message.to_owned(),
            };
            c.ready = false;
        }
    }

    /// A container runs.
    pub(super) fn container_runs(&mut self, name: &str, now: Timestamp) {
        if let Some(c) = self.container(name) {
            c.state = ContainerState::Running { since: Some(now) };
            c.ready = true;
        }
    }

    /// A container ended.
    pub(super) fn ends(&mut self, name: &str, exit: i32, reason: &str, message: &str, now: Timestamp) {
        if let Some(c) = self.container(name) {
            c.state = ContainerState::Ended(Ended {
                exit,
                reason: reason.to_owned(),
                message: message.to_owned(),
                at: Some(now),
            });
            c.ready = false;
        }
    }

    /// A container ended and the kubelet starts it again.
    pub(super) fn restarts(&mut self, name: &str, exit: i32, reason: &str, message: &str, now: Timestamp) {
        self.ends(name, exit, reason, message, now);
        if let Some(c) = self.container(name) {
            if let ContainerState::Ended(ended) = &c.state {
                c.last = Some(Box::new(ended.clone()));
            }
            c.restarts += 1;
            c.state = match c.init {
                true => ContainerState::Waiting {
                    reason: "CrashLoopBackOff".to_owned(),
                    message: String::new(),
                },
                false => ContainerState::Running { since: Some(now) },
            };
        }
    }

    /// All containers ended by themselves.
    pub(super) fn over(&mut self, good: bool) {
        self.phase = if good { PodPhase::Succeeded } else { PodPhase::Failed };
    }

    /// The kubelet ended what still ran.
    pub(super) fn ended_by_kubelet(&mut self) {
        let mut killed = false;
        for c in &mut self.containers {
            if !matches!(c.state, ContainerState::Ended(_)) {
                killed = true;
                let reason = "Error".to_owned();
                c.state = ContainerState::Ended(Ended {
                    exit: 137,
                    reason,
                    message: String::new(),
                    at: None,
                });
            }
        }
        if !self.is_over() {
            self.over(!killed && !self.containers.is_empty());
        }
    }

    /// The kubelet failed the whole pod.
    pub(super) fn failed(&mut self, reason: &str, message: &str) {
        self.ended_by_kubelet();
        self.phase = PodPhase::Failed;
        self.reason = reason.to_owned();
        self.message = message.to_owned();
    }

    /// The kubelet put the pod out for the node's sake.
    pub(super) fn evicted(&mut self) {
        self.failed("Evicted", "The node was low on resource: memory.");
        self.disrupted = Some("TerminationByKubelet".to_owned());
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.phase, self.reason)?;
        for c in &self.containers {
            match &c.state {
                ContainerState::Waiting { reason, .. } => write!(f, " {}:waits({reason})", c.name)?,
                ContainerState::Running { .. } => write!(f, " {}:runs", c.name)?,
                ContainerState::Ended(e) => write!(f, " {}:ended({} {})", c.name, e.exit, e.message)?,
            }
            if c.restarts > 0 {
                write!(f, "[{} restarts]", c.restarts)?;
            }
        }
        Ok(())
    }
}
