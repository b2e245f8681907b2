//! One pod: an actor that takes what the API server says and what its containers do, decides what
//! runs next, and reports.

mod containers;
mod ending;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::container::RunEvent;
use crate::events::EventTeller;
use crate::logs::PodName;
use crate::node::Shared;
use crate::probes::Finding;
use crate::reporter::Reporter;
use crate::slot::{RestartPolicy, Slot, State};
use crate::sources::{SourceError, Sources};
use crate::status::{Phase, View};
use crate::volumes::{VolumeMaker, Volumes};

/// What a pod's actor is told from outside.
pub(crate) enum Word {
    /// The object as it is now.
    Seen(Arc<Pod>),
    /// The object is gone: end at once, there is nobody to report to.
    Gone,
    /// Be lost, as by a dead node.
    Lose(oneshot::Sender<()>),
    /// The node ends: containers get this long, volumes stay, nothing is reported.
    Shutdown(Duration),
}

/// Why nothing starts any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Deadline,
    Deleted,
    Gone,
    Lost,
    Shutdown,
}

struct Stop {
    why: Why,
    kill_at: Instant,
    /// Containers that are still being started are asked before they are killed.
    gentle: bool,
}

enum VolumeState {
    Missing { retry_at: Option<Instant> },
    Making,
    Made(Arc<Volumes>),
}

/// What the pod's own tasks tell its actor.
enum Inner {
    Volumes(Result<Volumes, SourceError>),
    Run(usize, u64, RunEvent),
    Probe(usize, u64, Finding),
}

/// While a container is starting, a report waits this long for it.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) struct PodActor {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    name: PodName,
    /// `pods/<uid>`
    dir: PathBuf,
    policy: RestartPolicy,
    slots: Vec<Slot>,
    start_time: Timestamp,
    volumes: VolumeState,
    initialized: bool,
    /// The pod has reached its end; only its deletion is awaited.
    terminal: bool,
    stop: Option<Stop>,
    lost: Option<oneshot::Sender<()>>,
    verdict: Option<(&'static str, &'static str)>,
    deadline: Option<Instant>,
    conditions: Vec<PodCondition>,
    reporter: Reporter,
    report_at: Option<Instant>,
    events: EventTeller,
    warned: Option<String>,
    inner: mpsc::UnboundedSender<Inner>,
    heard: mpsc::UnboundedReceiver<Inner>,
    next_run: u64,
    refusals: u32,
}

impl PodActor {
    pub(crate) fn new(shared: Arc<Shared>, pod: Arc<Pod>, name: PodName) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let before = pod.status.clone().unwrap_or_default();
        let policy = RestartPolicy::parse(spec.restart_policy.as_deref());
        let inits = spec.init_containers.into_iter().flatten();
        let mut slots: Vec<Slot> = inits.map(|c| Slot::new(c, true)).collect();
        slots.extend(spec.containers.into_iter().map(|c| Slot::new(c, false)));
        let reported = |slot: &Slot| {
            let of = if slot.init {
                &before.init_container_statuses
            } else {
                &before.container_statuses
            };
            let found = of.iter().flatten().find(|s| s.name == slot.spec.name);
            found.cloned()
        };
        for slot in &mut slots {
            if let Some(status) = reported(slot) {
                slot.restore(&status, policy);
            }
        }
        let now = Timestamp::now();
        let start_time = before.start_time.as_ref().map_or(now, |t| t.0);
        let lasted = Duration::try_from(now.duration_since(start_time)).unwrap_or_default();
        let deadline = spec
            .active_deadline_seconds
            .and_then(|s| u64::try_from(s).ok())
            .map(|s| Instant::now() + Duration::from_secs(s).saturating_sub(lasted));
        let (inner, heard) = mpsc::unbounded_channel();
        Self {
            dir: shared.pod_dir(&name.uid),
            policy,
            slots,
            start_time,
            volumes: VolumeState::Missing { retry_at: None },
            initialized: false,
            terminal: matches!(before.phase.as_deref(), Some("Succeeded" | "Failed")),
            stop: None,
            lost: None,
            verdict: None,
            deadline,
            reporter: Reporter::new(shared.client.clone(), &name, &before),
            conditions: before.conditions.unwrap_or_default(),
            report_at: None,
            events: EventTeller::new(shared.client.clone(), &shared.options.name, name.clone()),
            warned: None,
            inner,
            heard,
            next_run: 0,
            refusals: 0,
            shared,
            pod,
            name,
        }
    }

    /// Lives until the pod is gone from this node.
    pub(crate) async fn run(mut self, mut words: mpsc::UnboundedReceiver<Word>) {
        self.greet();
        let pod = Arc::clone(&self.pod);
        self.see(pod).await;
        loop {
            let now = Instant::now();
            self.on_time(now).await;
            self.advance(now);
            if let Some(why) = self.finished() {
                return self.finish(why).await;
            }
            self.report(now);
            let wake = self.next_wake();
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A node that is gone without a word has been dropped.
                word = words.recv() => self.hear(word.unwrap_or(Word::Shutdown(Duration::ZERO))).await,
                Some(inner) = self.heard.recv() => self.note(inner),
                () = timer => {}
            }
        }
    }

    /// The folder of the logs, and the word that no image is pulled.
    fn greet(&self) {
        if self.terminal {
            return;
        }
        let names = self.slots.iter().map(|s| s.spec.name.clone()).collect();
        let annotations = self.pod.metadata.annotations.as_ref();
        let default = annotations.and_then(|a| a.get("kubectl.kubernetes.io/default-container"));
        if let Err(error) = self.shared.logs.prepare(&self.name, names, default.cloned()) {
            tracing::warn!(%error, pod = self.name.name, "the folder of a pod's logs");
        }
        let mut images: Vec<&str> = self.slots.iter().filter_map(|s| s.spec.image.as_deref()).collect();
        images.sort_unstable();
        images.dedup();
        if !images.is_empty() {
            let message = format!(
                "image {} is not pulled: this node runs processes of the host",
                images.join(", ")
            );
            self.events.once("ImageNotPulled", message);
        }
    }

    async fn hear(&mut self, word: Word) {
        match word {
            Word::Seen(pod) => self.see(pod).await,
            Word::Gone => {
                self.reporter.freeze();
                self.stop(Why::Gone, Duration::ZERO);
            }
            Word::Lose(done) => {
                self.reporter.freeze();
                self.lost = Some(done);
                self.stop(Why::Lost, Duration::ZERO);
            }
            Word::Shutdown(grace) => {
                self.reporter.freeze();
                self.stop(Why::Shutdown, grace);
            }
        }
    }

    async fn see(&mut self, pod: Arc<Pod>) {
        let fields = |pod: &Pod| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
        let changed = fields(&pod) != fields(&self.pod);
        self.pod = pod;
        if changed && matches!(self.volumes, VolumeState::Made(_)) {
            let sources = self.sources();
            let maker = self.maker(&sources);
            if let Err(error) = maker.refresh_downward().await {
                tracing::warn!(%error, pod = self.name.name, "a downward-API volume");
            }
        }
        if self.pod.metadata.deletion_timestamp.is_some() {
            let grace = self.pod.metadata.deletion_grace_period_seconds;
            let grace = grace.and_then(|s| u64::try_from(s).ok()).unwrap_or(30);
            self.stop(Why::Deleted, Duration::from_secs(grace));
        }
    }

    fn sources(&self) -> Sources {
        Sources::new(self.shared.client.clone(), &self.name.namespace)
    }

    fn maker<'a>(&'a self, sources: &'a Sources) -> VolumeMaker<'a> {
        VolumeMaker {
            pod: &self.pod,
            node: &self.shared.options.name,
            dir: self.dir.join("volumes"),
            host_paths: &self.shared.options.host_paths,
            sources,
        }
    }

    fn note(&mut self, inner: Inner) {
        match inner {
            Inner::Volumes(Ok(volumes)) => {
                self.refusals = 0;
                self.volumes = VolumeState::Made(Arc::new(volumes));
            }
            Inner::Volumes(Err(error)) => {
                let retry_at = Some(self.refused("FailedMount", &error.to_string()));
                self.volumes = VolumeState::Missing { retry_at };
                for slot in &mut self.slots {
                    if slot.run.is_none() && matches!(slot.state, State::Waiting { .. }) {
                        slot.wait("CreateContainerConfigError", Some(error.to_string()));
                    }
                }
            }
            Inner::Run(index, number, event) => {
                if self.is_current(index, number) {
                    self.run_event(index, number, event);
                }
            }
            Inner::Probe(index, number, finding) => {
                if self.is_current(index, number) {
                    self.found(index, finding);
                }
            }
        }
    }

    /// Late words of earlier runs are nothing to the present one.
    fn is_current(&self, index: usize, number: u64) -> bool {
        let run = self.slots.get(index).and_then(|s| s.run.as_ref());
        run.is_some_and(|r| r.number == number)
    }

    /// Something is missing that may appear: says so once, and when to look again.
    fn refused(&mut self, reason: &str, message: &str) -> Instant {
        if self.warned.as_deref() != Some(message) {
            self.warned = Some(message.to_owned());
            self.events.warn(reason, message.to_owned());
        }
        self.refusals += 1;
        let pause = Duration::from_millis(500) * self.refusals.min(10);
        Instant::now() + pause
    }

    fn view(&self) -> View<'_> {
        View {
            slots: &self.slots,
            policy: self.policy,
            start_time: self.start_time,
            stopping: self.stop.is_some(),
            verdict: self.verdict,
            before: &self.conditions,
            generation: self.pod.metadata.generation,
            now: Timestamp::now(),
        }
    }

    fn report(&mut self, now: Instant) {
        if self.terminal {
            return;
        }
        let starting = |s: &Slot| s.run.as_ref().is_some_and(|r| r.process.is_none());
        let unsettled =
            matches!(self.volumes, VolumeState::Making) || (self.stop.is_none() && self.slots.iter().any(starting));
        if unsettled && *self.report_at.get_or_insert(now + SETTLE) > now {
            return;
        }
        self.report_at = None;
        let view = self.view();
        let status = view.status();
        let phase: Phase = view.phase();
        self.conditions = status.conditions.clone().unwrap_or_default();
        self.reporter.report(&status);
        if phase.is_terminal() && self.idle() {
            self.terminal = true;
        }
    }

    fn idle(&self) -> bool {
        self.slots.iter().all(|s| s.run.is_none())
    }

    /// The reason to leave, once nothing runs any more.
    fn finished(&self) -> Option<Why> {
        let why = self.stop.as_ref()?.why;
        // Volumes being made would come back after their removal.
        let settled = self.idle() && !matches!(self.volumes, VolumeState::Making);
        (why != Why::Deadline && settled).then_some(why)
    }

    fn next_wake(&self) -> Option<Instant> {
        let stop = self.stop.as_ref();
        let kill = stop.map(|s| s.kill_at);
        let kill = kill.filter(|_| !self.idle());
        let deadline = self.deadline.filter(|_| stop.is_none() && !self.terminal);
        let volumes = match &self.volumes {
            VolumeState::Missing { retry_at } => *retry_at,
            _ => None,
        };
        let live = stop.is_none() && !self.terminal;
        let slots = self.slots.iter().filter(|s| s.run.is_none());
        let retries = slots.filter_map(|s| s.retry_at).filter(|_| live);
        [kill, deadline, self.report_at, volumes.filter(|_| live)]
            .into_iter()
            .flatten()
            .chain(retries)
            .min()
    }

    async fn finish(mut self, why: Why) {
        match why {
            Why::Deleted => {
                if !self.terminal {
                    let status = self.view().status();
                    self.reporter.report(&status);
                }
                self.reporter.flush().await;
                self.shared.remove_volumes(&self.name);
                self.shared.delete(&self.name).await;
            }
            Why::Lost => {
                self.shared.remove_volumes(&self.name);
                self.shared.delete(&self.name).await;
                if let Some(done) = self.lost {
                    let _ = done.send(());
                }
            }
            Why::Gone => self.shared.remove_volumes(&self.name),
            Why::Shutdown | Why::Deadline => {}
        }
    }
}
