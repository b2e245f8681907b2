//! What befalls pods.

use super::{History, Process, Work};
use crate::sim::Event;

/// Where a pod is in its life when something befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has not started.
    Pending,
    /// `clone` has read the record and not yet taken it.
    Claiming,
    /// The agent works.
    Working,
    /// The agent has ended, nothing of its end is on the remote.
    Ending,
    /// The end is on the remote and not yet reported.
    Reporting,
    /// The candidate is not built.
    Building,
    /// The tests run.
    Testing,
    /// `land` has not pushed.
    Landing,
    /// `land` has pushed and not yet reported.
    Landed,
    /// Nothing is left to do.
    Over,
}

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Pod and processes are gone.
    Vanish,
    /// The API forgets the pod, and its processes run on.
    Zombie,
    /// Its node is cut off.
    Cut,
    /// The kubelet puts it out.
    Evict,
    /// A container is killed and starts again.
    Kill,
    /// It says something that is no report.
    Garble,
    /// It does nothing any more.
    Hang,
}

const ALL: [Mishap; 7] = [
    Mishap::Vanish,
    Mishap::Zombie,
    Mishap::Cut,
    Mishap::Evict,
    Mishap::Kill,
    Mishap::Garble,
    Mishap::Hang,
];

impl History {
    /// What befalls a process at this step: what was planned, else chance.
    pub(super) fn mishap(&mut self, process: &Process) -> Option<Mishap> {
        let moment = process.moment();
        if process.cut || moment == Moment::Over {
            return None;
        }
        if let Some(at) = self.planned.iter().position(|(when, _)| *when == moment) {
            return Some(self.planned.remove(at).1);
        }
        if !self.dice.chance(self.weather.pods) {
            return None;
        }
        self.dice.pick(&ALL).copied()
    }

    /// Makes it happen. False when the processes are gone.
    pub(super) fn befall(&mut self, process: &mut Process, mishap: Mishap) -> bool {
        let key = process.key.clone();
        match mishap {
            Mishap::Vanish => {
                self.remove(&key);
                false
            }
            Mishap::Zombie => {
                process.cut = true;
                self.remove(&key);
                true
            }
            Mishap::Cut => {
                process.cut = true;
                self.put_between(30_000, 300_000, Event::Forsake(process.uid.clone()));
                self.put_between(10_000, 1_500_000, Event::Return(process.uid.clone()));
                true
            }
            Mishap::Evict => {
                if self.dice.chance(0.5) {
                    self.last_words(process);
                }
                process.shown.evicted();
                self.show(process);
                false
            }
            Mishap::Kill => self.kill(process, "OOMKilled", 137, ""),
            Mishap::Garble => self.kill(process, "Error", 1, "Segmentation fault {\"version\":1,"),
            Mishap::Hang => {
                self.put_back(process);
                false
            }
        }
    }

    /// A process that does nothing any more stays until the kubelet ends it.
    fn put_back(&mut self, process: &Process) {
        self.processes.insert(process.uid.clone(), process.clone());
    }

    /// One container dies: in a polecat's pod it starts again, in others it is the end.
    fn kill(&mut self, process: &mut Process, reason: &str, exit: i32, message: &str) -> bool {
        let now = self.time();
        let garbled = !message.is_empty();
        match &mut process.work {
            Work::Attempt(attempt) => {
                let moment = attempt.moment();
                let name = match moment {
                    Moment::Pending => return true,
                    Moment::Claiming => "clone".to_owned(),
                    _ if garbled || self.dice.chance(0.5) => "courier".to_owned(),
                    _ => attempt.container().to_owned(),
                };
                process.shown.restarts(&name, exit, reason, message, now);
                attempt.restarted(&name);
                self.show(process);
                true
            }
            Work::Trial(trial) => {
                let Some(name) = trial.container() else { return true };
                process.shown.ends(name, exit, reason, message, now);
                process.shown.over(false);
                self.show(process);
                false
            }
            Work::Landing(_) => {
                process.shown.ends("land", exit, reason, message, now);
                process.shown.over(false);
                self.show(process);
                false
            }
        }
    }
}
