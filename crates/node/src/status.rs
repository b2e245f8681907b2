//! The status of a pod, computed from its containers. Pure: what it is told is all it knows.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::slot::{RestartPolicy, Slot, State};

/// The address of everything on this node: all pods share the network of the host.
pub(crate) const ADDRESS: &str = "127.0.0.1";

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What the status is computed from.
pub(crate) struct View<'a> {
    pub(crate) slots: &'a [Slot],
    pub(crate) policy: RestartPolicy,
    pub(crate) start_time: Timestamp,
    /// Nothing starts any more: the pod is deleted, or its deadline has passed.
    pub(crate) stopping: bool,
    /// The pod fails whatever its containers did: reason and message.
    pub(crate) verdict: Option<(&'a str, &'a str)>,
    /// The conditions as they stand, whose times hold while nothing changes.
    pub(crate) before: &'a [PodCondition],
    pub(crate) generation: Option<i64>,
    pub(crate) now: Timestamp,
}

impl View<'_> {
    fn inits(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|s| s.init)
    }

    fn mains(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|s| !s.init)
    }

    pub(crate) fn phase(&self) -> Phase {
        let all_ended = self.slots.iter().all(|s| s.run.is_none() && !s.running());
        if self.verdict.is_some() && all_ended {
            return Phase::Failed;
        }
        let failed_init = self
            .inits()
            .any(|s| s.run.is_none() && s.terminated().is_some_and(|e| e.code != 0));
        if failed_init && (self.policy == RestartPolicy::Never || self.stopping) {
            return Phase::Failed;
        }
        if self.stopping && all_ended {
            let succeeded = self.mains().all(Slot::succeeded);
            return if succeeded { Phase::Succeeded } else { Phase::Failed };
        }
        if !self.initialized() {
            return Phase::Pending;
        }
        let ended = |s: &Slot| s.run.is_none() && s.terminated().is_some_and(|e| !self.policy.restarts(e.code));
        if self.mains().all(ended) {
            let succeeded = self.mains().all(Slot::succeeded);
            return if succeeded { Phase::Succeeded } else { Phase::Failed };
        }
        let never_ran = |s: &Slot| matches!(s.state, State::Waiting { .. }) && s.last.is_none();
        if self.mains().any(never_ran) {
            return Phase::Pending;
        }
        Phase::Running
    }

    fn initialized(&self) -> bool {
        self.inits().all(Slot::succeeded)
            // A main container that has been started proves it, even where inits run again.
            || self.mains().any(Slot::running)
    }

    pub(crate) fn status(&self) -> PodStatus {
        let phase = self.phase();
        let initialized = self.initialized();
        let unready: Vec<&str> = self
            .mains()
            .filter(|s| !(s.ready && s.running()))
            .map(|s| s.spec.name.as_str())
            .collect();
        let uninitialized: Vec<&str> = self
            .inits()
            .filter(|s| !s.succeeded())
            .map(|s| s.spec.name.as_str())
            .collect();
        let completed = phase == Phase::Succeeded;
        let ready = if completed {
            Some(("PodCompleted", String::new()))
        } else if unready.is_empty() {
            None
        } else {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            Some(("ContainersNotReady", message))
        };
        let incomplete = (!initialized).then(|| {
            let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
            ("ContainersNotInitialized", message)
        });
        let mut conditions: Vec<PodCondition> = [
            ("PodScheduled", None),
            ("Initialized", incomplete),
            ("ContainersReady", ready.clone()),
            ("Ready", ready),
        ]
        .into_iter()
        .map(|(kind, why_not)| self.condition(kind, why_not))
        .collect();
        // Conditions of others stay.
        let ours: Vec<String> = conditions.iter().map(|c| c.type_.clone()).collect();
        let others = self.before.iter().filter(|c| !ours.contains(&c.type_));
        conditions.extend(others.cloned());
        let of = |init: bool| {
            let slots = self.slots.iter().filter(move |s| s.init == init);
            slots.map(Slot::to_status).collect::<Vec<_>>()
        };
        let inits = of(true);
        let verdict = self.verdict.filter(|_| phase == Phase::Failed);
        PodStatus {
            phase: Some(phase.name().to_owned()),
            reason: verdict.map(|(reason, _)| reason.to_owned()),
            message: verdict.map(|(_, message)| message.to_owned()),
            conditions: Some(conditions),
            init_container_statuses: (!inits.is_empty()).then_some(inits),
            container_statuses: Some(of(false)),
            host_ip: Some(ADDRESS.to_owned()),
            host_ips: Some(vec![HostIP { ip: ADDRESS.to_owned() }]),
            pod_ip: Some(ADDRESS.to_owned()),
            pod_ips: Some(vec![PodIP { ip: ADDRESS.to_owned() }]),
            start_time: Some(Time(self.start_time)),
            observed_generation: self.generation,
            ..Default::default()
        }
    }

    fn condition(&self, kind: &str, why_not: Option<(&str, String)>) -> PodCondition {
        let status = if why_not.is_none() { "True" } else { "False" };
        let since = self
            .before
            .iter()
            .find(|c| c.type_ == kind && c.status == status)
            .and_then(|c| c.last_transition_time.clone());
        let (reason, message) = why_not.unzip();
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message: message.filter(|m| !m.is_empty()),
            last_transition_time: Some(since.unwrap_or(Time(self.now))),
            ..Default::default()
        }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
