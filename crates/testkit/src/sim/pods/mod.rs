//! A kubelet and what runs in pods. A process and what the API shows of it are two things: a node that is cut off
//! runs on, and a pod that the API has forgotten may come back from the dead.

mod agent;
mod attempt;
mod carry;
mod landing;
mod mishap;
mod shown;
mod trial;

pub use mishap::{Mishap, Moment};

use super::{Event, History, Millis};
use attempt::Attempt;
use gastown_rules::{Blueprint, Key, Kind, PodRow, Uid};
use landing::Landing;
use shown::Shown;
use trial::Trial;

/// What a polecat's agent is asked to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Where.
    path: u32,
    /// It never gets it right.
    hopeless: bool,
}

/// One pod's processes, wherever they run.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) key: Key,
    pub(super) uid: Uid,
    /// The remote it speaks to.
    url: String,
    shown: Shown,
    /// Its node does not reach the API server.
    cut: bool,
    /// The kubelet ends it so long after its start. Seconds.
    limit: Option<i64>,
    began: Option<Millis>,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    Attempt(Box<Attempt>),
    Trial(Box<Trial>),
    Landing(Box<Landing>),
}

impl Process {
    /// The process of a pod that was just created.
    pub(super) fn of(blueprint: &Blueprint, pod: &PodRow) -> Option<Self> {
        let (common, url, work) = match blueprint {
            Blueprint::PolecatPod(p) => (
                &p.common,
                &p.orders.remote.url,
                Work::Attempt(Box::new(Attempt::new(&p.orders, &p.container))),
            ),
            Blueprint::TestPod(p) => (
                &p.common,
                &p.orders.remote.url,
                Work::Trial(Box::new(Trial::new(&p.orders))),
            ),
            Blueprint::LandPod(p) => (
                &p.common,
                &p.orders.remote.url,
                Work::Landing(Box::new(Landing::new(&p.orders))),
            ),
            _ => return None,
        };
        Some(Self {
            key: pod.meta.key.clone(),
            uid: pod.meta.uid.clone(),
            url: url.clone(),
            shown: Shown::default(),
            cut: false,
            limit: common.deadline,
            began: None,
            work,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    fn moment(&self) -> Moment {
        match &self.work {
            Work::Attempt(a) => a.moment(),
            Work::Trial(t) => t.moment(),
            Work::Landing(l) => l.moment(),
        }
    }
}

impl History {
    /// One step of a pod's process.
    pub(super) fn step(&mut self, uid: &Uid) {
        let Some(mut process) = self.processes.remove(uid) else {
            return;
        };
        if let Some(mishap) = self.mishap(&process) {
            self.counts.mishaps += 1;
            let moment = process.moment();
            self.note(|| {
                format!(
                    "MISHAP  {mishap:?} at {moment:?} for {} ({})",
                    process.key.name, process.uid.0
                )
            });
            if !self.befall(&mut process, mishap) {
                return;
            }
        }
        let mut work = std::mem::replace(&mut process.work, Work::Landing(Box::new(Landing::none())));
        let next = match &mut work {
            Work::Attempt(attempt) => self.step_attempt(&mut process, attempt),
            Work::Trial(trial) => self.step_trial(&mut process, trial),
            Work::Landing(landing) => self.step_landing(&mut process, landing),
        };
        process.work = work;
        if let Some(millis) = next {
            self.put_in(millis, Event::Step(uid.clone()));
        }
        self.processes.insert(uid.clone(), process);
        self.spread();
    }

    /// The kubelet takes a pod.
    fn begin(&mut self, process: &mut Process) {
        process.began = Some(self.now);
        process.shown.began(self.time());
        if let Some(limit) = process.limit {
            self.put_in(limit.saturating_mul(1000), Event::Deadline(process.uid.clone()));
        }
    }

    /// The kubelet says what it sees, unless nobody hears it.
    fn show(&mut self, process: &Process) {
        if process.cut {
            return;
        }
        let (shown, key) = (process.shown.clone(), process.key.clone());
        self.note(|| format!("kubelet {} {}", key.name, shown));
        self.store.update_pod(&process.key, &process.uid, |pod| shown.onto(pod));
        self.spread();
        self.check_caps();
    }

    /// The kubelet learns that a pod is to go: SIGTERM, a last word, and away.
    pub(super) fn stop(&mut self, uid: &Uid) {
        let Some(mut process) = self.processes.remove(uid) else {
            self.put_between(10, 500, Event::Reap(uid.clone()));
            return;
        };
        if process.cut {
            self.processes.insert(uid.clone(), process);
            return;
        }
        self.last_words(&mut process);
        process.shown.ended_by_kubelet();
        self.show(&process);
        self.put_between(10, 2_000, Event::Reap(uid.clone()));
    }

    pub(super) fn reap(&mut self, uid: &Uid) {
        let key = self
            .store
            .pods()
            .find(|p| p.meta.uid == *uid)
            .map(|p| p.meta.key.clone());
        if let Some(key) = key {
            self.remove(&key);
        }
    }

    /// The kubelet ends what runs too long.
    pub(super) fn deadline(&mut self, uid: &Uid) {
        let Some(mut process) = self.processes.remove(uid) else {
            return;
        };
        let over = self.store.pod(&process.key, uid).is_none_or(|p| !p.live());
        if process.cut || over {
            self.processes.insert(uid.clone(), process);
            return;
        }
        self.note(|| format!("kubelet ends {}: its deadline is over", process.key.name));
        if self.dice.chance(0.7) {
            self.last_words(&mut process);
        }
        process.shown.failed(
            "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
        );
        self.show(&process);
    }

    /// The control plane gives up a node that does not answer.
    pub(super) fn forsake(&mut self, uid: &Uid) {
        let Some(process) = self.processes.get(uid).filter(|p| p.cut) else {
            return;
        };
        let key = process.key.clone();
        let Some(pod) = self.store.pod(&key, uid) else { return };
        if pod.reason.is_empty() && self.dice.chance(0.5) {
            self.note(|| format!("control plane: the node of {} does not answer", key.name));
            self.store.update_pod(&key, uid, |p| p.reason = "NodeLost".to_owned());
            self.put_between(30_000, 300_000, Event::Forsake(uid.clone()));
        } else {
            self.note(|| format!("control plane: {} is taken off its node", key.name));
            let now = self.time();
            self.store.update_pod(&key, uid, |p| {
                p.disrupted = Some("DeletionByTaintManager".to_owned());
                p.meta.deleting.get_or_insert(now);
            });
        }
        self.spread();
    }

    /// A node answers again, or never: then the API forgets the pod, and the process runs on.
    pub(super) fn back(&mut self, uid: &Uid) {
        let Some(mut process) = self.processes.remove(uid) else {
            return;
        };
        let key = process.key.clone();
        let Some(pod) = self.store.pod(&key, uid).cloned() else {
            // Nobody knows it any more: a node that comes back ends it.
            if self.calm || self.dice.chance(0.5) {
                self.note(|| format!("kubelet ends {}: the API has forgotten it", key.name));
            } else {
                self.processes.insert(uid.clone(), process);
            }
            return;
        };
        if !self.calm && self.dice.chance(0.5) {
            self.note(|| format!("control plane: {} is forgotten, and runs on", key.name));
            self.processes.insert(uid.clone(), process);
            self.remove(&key);
            return;
        }
        self.note(|| format!("the node of {} is back", key.name));
        process.cut = false;
        if pod.meta.deleting.is_some() {
            self.put_between(10, 1_000, Event::Stop(uid.clone()));
        } else {
            self.show(&process);
            let end = process
                .began
                .zip(process.limit)
                .map(|(began, limit)| began + limit.saturating_mul(1000));
            if let Some(end) = end {
                self.put_in((end - self.now).max(1_000), Event::Deadline(uid.clone()));
            }
        }
        self.processes.insert(uid.clone(), process);
    }

    /// What an agent is asked to write: told once, the same for all its attempts.
    fn task(&mut self, polecat: &Uid, name: &str) -> Task {
        if let Some(task) = self.tasks.get(polecat) {
            return *task;
        }
        let path = if self.dice.chance(self.weather.conflict) {
            u32::try_from(self.dice.below(3)).unwrap_or(0)
        } else {
            u32::try_from(self.tasks.len()).unwrap_or(0).saturating_add(1000)
        };
        let task = Task {
            path,
            hopeless: self.hopeless.contains(name),
        };
        self.tasks.insert(polecat.clone(), task);
        task
    }

    /// Nothing is said of a pod's own URL: every rig has one remote.
    fn remote(&mut self, url: &str) -> &mut super::Remote {
        self.remotes.entry(url.to_owned()).or_default()
    }

    /// A pod by hand of a user, or of owner collection.
    pub(super) fn pod_keys(&self) -> Vec<Key> {
        self.store
            .all()
            .map(|o| &o.meta().key)
            .filter(|k| k.kind == Kind::Pod)
            .cloned()
            .collect()
    }
}
