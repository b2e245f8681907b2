//! Processes of the host as `/proc` shows them. A PID alone names nothing, since the kernel uses it
//! again; a PID with its start time does.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// One process, told apart from later owners of its PID by its start time (clock ticks since boot).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) started: u64,
}

impl Process {
    /// The live process with this PID.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.zombie)
    }

    /// Sends a signal, unless the PID belongs to somebody else by now.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // The process may end between the look and the signal: nothing is lost then.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// The environment variable by which processes that left their group are found again.
pub(crate) const MARK: &str = "NODE_CONTAINER";

struct Stat {
    parent: i32,
    started: u64,
    zombie: bool,
}

/// Reads `/proc/<pid>/stat`. The name in parentheses may hold anything, so fields count from its end.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    Some(Stat {
        zombie: matches!(fields.first(), Some(&"Z" | &"X")),
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The first child of a process.
pub(crate) fn child_of(parent: i32) -> Option<Process> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok();
    if let Some(pid) = listed.and_then(|l| l.split_ascii_whitespace().next()?.parse().ok()) {
        return Process::find(pid);
    }
    // Kernels built without CONFIG_PROC_CHILDREN.
    all()
        .into_iter()
        .find(|pid| stat(*pid).is_some_and(|s| s.parent == parent))
        .and_then(Process::find)
}

/// The command line, to see whether a process has executed its program yet.
pub(crate) fn command_line(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// An unconfined container that is being swept away.
struct Condemned {
    leader: Process,
    mark: Vec<u8>,
}

/// One pass over all processes: kills those that carry a mark, the leaders, and their descendants.
/// Says whether there were any.
fn kill_pass(all_condemned: &[Condemned]) -> bool {
    // Who is older than the containers is not of them, which spares reading most environments.
    let oldest = all_condemned.iter().map(|c| c.leader.started).min();
    let stats: HashMap<i32, Stat> = all()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .filter(|(_, stat)| !stat.zombie && Some(stat.started) >= oldest)
        .collect();
    let of_one = |pid: i32, stat: &Stat| {
        let leads = |c: &Condemned| c.leader.pid == pid && c.leader.started == stat.started;
        all_condemned.iter().any(leads) || carries(pid, all_condemned)
    };
    let mut doomed: HashSet<i32> = stats
        .iter()
        .filter(|(pid, stat)| of_one(**pid, stat))
        .map(|(pid, _)| *pid)
        .collect();
    loop {
        let more: Vec<i32> = stats
            .iter()
            .filter(|(pid, stat)| doomed.contains(&stat.parent) && !doomed.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        doomed.extend(more);
    }
    for pid in &doomed {
        // Gone between the look and the signal is gone.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    !doomed.is_empty()
}

fn carries(pid: i32, all_condemned: &[Condemned]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|b| *b == 0)
            .any(|var| all_condemned.iter().any(|c| var == c.mark))
    })
}

/// Containers that wait for a sweep. A look at every process is dear, and one serves all of them.
static WAITING: Mutex<Vec<Condemned>> = Mutex::new(Vec::new());
static SWEEP: Mutex<()> = Mutex::new(());

/// Kills what is left of an unconfined container, also what left its process group: descendants, and
/// whoever carries its mark in the environment. Passes until one finds nobody, since the dying may
/// still fork.
pub(crate) fn sweep(leader: Process, mark: &str) {
    let mark = format!("{MARK}={mark}").into_bytes();
    lock(&WAITING).push(Condemned { leader, mark });
    let _sweeping = lock(&SWEEP);
    let condemned = std::mem::take(&mut *lock(&WAITING));
    // Empty where the sweep before ours took ours along.
    for _ in 0..10 {
        if condemned.is_empty() || !kill_pass(&condemned) {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is written beside a running container so that the next node can end what this one left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    /// The process to signal: PID 1 of the namespace, or the leader of the group.
    pub(crate) main: Process,
    /// The process that waits for it (namespaces only).
    pub(crate) keeper: Option<Process>,
    /// Value of [`MARK`] in its environment.
    pub(crate) mark: String,
    /// Whether the kernel ends everything with `main`.
    pub(crate) own_pid_namespace: bool,
}

impl ProcessRecord {
    /// Ends the container without grace. Of an unconfined one this is the process group; whoever made
    /// it sweeps up the rest when the leader has ended.
    pub(crate) fn kill(&self) {
        if !self.own_pid_namespace {
            if self.main.is_alive() {
                let _ = killpg(Pid::from_raw(self.main.pid), Signal::SIGKILL);
            }
            return;
        }
        self.main.signal(Signal::SIGKILL);
        if let Some(keeper) = self.keeper {
            // It reports the end of `main` and goes by itself; without `main` it is a leftover.
            if !self.main.is_alive() {
                keeper.signal(Signal::SIGKILL);
            }
        }
    }

    /// Ends everything that an unwatched container may have left.
    pub(crate) fn kill_leftovers(&self) {
        self.kill();
        if !self.own_pid_namespace {
            sweep(self.main, &self.mark);
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.main.is_alive()
    }

    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        fs::write(path, serde_json::to_vec(self)?)
    }

    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_not_the_same_process() {
        let me = i32::try_from(std::process::id()).unwrap();
        let real = Process::find(me).unwrap();
        assert!(real.is_alive());
        let other = Process {
            pid: me,
            started: real.started + 1,
        };
        assert!(!other.is_alive());
    }
}
