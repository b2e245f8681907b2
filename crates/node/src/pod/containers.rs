//! Which containers run: starting them in order, and what becomes of each run.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::ending::ask;
use super::{Inner, PodActor, VolumeState};
use crate::container::{Inside, RunEvent, RunRequest};
use crate::probes::{self, Finding};
use crate::slot::{RestartPolicy, Slot, State};
use crate::volumes::{VolumeMaker, Volumes};

impl PodActor {
    pub(super) fn run_event(&mut self, index: usize, number: u64, event: RunEvent) {
        match event {
            RunEvent::Cancelled => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.not_begun(Instant::now());
                }
            }
            RunEvent::Refused(error) => {
                let retry_at = self.refused("Failed", &error.to_string());
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.not_begun(retry_at);
                    slot.wait("CreateContainerConfigError", Some(error.to_string()));
                }
            }
            RunEvent::Started(inside, since) => self.started(index, number, *inside, since),
            RunEvent::Ended(ended) => {
                if ended.reason == "StartError" {
                    let message = ended.message.clone().unwrap_or_default();
                    self.events.warn("Failed", format!("Error: {message}"));
                }
                if let Some(slot) = self.slots.get_mut(index) {
                    let now = Instant::now();
                    slot.end(ended, self.policy, now);
                    slot.show_backoff(now);
                }
            }
        }
    }

    pub(super) fn started(&mut self, index: usize, number: u64, inside: Inside, since: Timestamp) {
        self.refusals = 0;
        let stop = self.stop.as_ref().map(|s| s.gentle);
        let inner = self.inner.clone();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.state = State::Running { since };
        let Some(run) = &mut slot.run else { return };
        run.process = Some(inside.record.clone());
        match (stop, &run.process) {
            (Some(true), _) => ask(run),
            (Some(false), Some(process)) => process.kill(),
            _ => {}
        }
        if slot.init {
            return;
        }
        let probed = slot.spec.readiness_probe.is_some() || slot.spec.startup_probe.is_some();
        slot.ready = !probed;
        if probed || slot.spec.liveness_probe.is_some() {
            let container = slot.spec.clone();
            let cancel = run.cancel.clone();
            tokio::spawn(async move {
                let tell = |finding| {
                    let _ = inner.send(Inner::Probe(index, number, finding));
                };
                let watch = probes::watch(container, Arc::new(inside), tell);
                let _ = cancel.run_until_cancelled(watch).await;
            });
        }
    }

    pub(super) fn found(&mut self, index: usize, finding: Finding) {
        let grace = self.grace();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        match finding {
            Finding::Ready(ready) => slot.ready = ready,
            Finding::Failed(why) => self.events.warn("Unhealthy", why),
            Finding::Dead(why) => {
                let name = slot.spec.name.clone();
                if let Some(run) = &mut slot.run {
                    ask(run);
                    if let Some(process) = run.process.clone() {
                        let kill = async move {
                            tokio::time::sleep(grace).await;
                            process.kill();
                        };
                        let cancel = run.cancel.clone();
                        tokio::spawn(async move { cancel.run_until_cancelled(kill).await });
                    }
                }
                let message = format!("container {name} {why}, will be restarted");
                self.events.warn("Killing", message);
            }
        }
    }

    /// Starts what may start now.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.stop.is_some() || self.terminal {
            return;
        }
        let VolumeState::Made(volumes) = &self.volumes else {
            return self.make_volumes(now);
        };
        let volumes = Arc::clone(volumes);
        if !self.initialized {
            let next = self.slots.iter().position(|s| s.init && !s.succeeded());
            if let Some(index) = next {
                let failed = |s: &Slot| s.terminated().is_some_and(|e| e.code != 0);
                let given_up = self.slots.get(index).is_some_and(failed) && self.policy == RestartPolicy::Never;
                if !given_up {
                    self.start(index, now, &volumes);
                }
                return;
            }
            self.initialized = true;
        }
        for index in 0..self.slots.len() {
            let wanted = self.slots.get(index).is_some_and(|s| {
                !s.init
                    && match &s.state {
                        State::Waiting { .. } => true,
                        State::Running { .. } => false,
                        State::Terminated(ended) => self.policy.restarts(ended.code),
                    }
            });
            if wanted {
                self.start(index, now, &volumes);
            }
        }
    }

    pub(super) fn make_volumes(&mut self, now: Instant) {
        let VolumeState::Missing { retry_at } = &self.volumes else {
            return;
        };
        if retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.volumes = VolumeState::Making;
        let sources = self.sources();
        let (shared, pod) = (Arc::clone(&self.shared), Arc::clone(&self.pod));
        let dir = self.dir.join("volumes");
        let inner = self.inner.clone();
        tokio::spawn(async move {
            let maker = VolumeMaker {
                pod: &pod,
                node: &shared.options.name,
                dir,
                host_paths: &shared.options.host_paths,
                sources: &sources,
            };
            let _ = inner.send(Inner::Volumes(maker.make().await));
        });
    }

    pub(super) fn start(&mut self, index: usize, now: Instant, volumes: &Arc<Volumes>) {
        let number = self.next_run;
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !slot.due(now) {
            return;
        }
        self.next_run += 1;
        let request = RunRequest {
            cancel: slot.begin(number, now),
            shared: Arc::clone(&self.shared),
            pod: Arc::clone(&self.pod),
            name: self.name.clone(),
            container: slot.spec.clone(),
            restart: slot.restarts,
            volumes: Arc::clone(volumes),
            dir: self.dir.clone(),
        };
        let inner = self.inner.clone();
        tokio::spawn(request.run(move |event| {
            // The actor is gone only when the pod is.
            let _ = inner.send(Inner::Run(index, number, event));
        }));
    }
}
