//! Everything the agent started, however it tried to slip away.
//!
//! `run` is a child subreaper: a process whose parent dies becomes its child, session leader or not. So the
//! descendants of this process in `/proc` are all there is, and killing until none is left is final.

use std::{collections::HashMap, collections::HashSet, fs, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tokio::time::Instant;

/// How long the kernel gets to bury what was killed. Processes in uninterruptible sleep are left after it.
const BURIAL: Duration = Duration::from_secs(20);

/// What an agent starts for itself, it starts by then. Clock ticks, 100 a second.
const SETTLING: u64 = 1000;

/// One row of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    pid: i32,
    parent: i32,
    zombie: bool,
    /// User and system time. Clock ticks.
    ticks: u64,
    /// When it started. Clock ticks since the machine did.
    started: u64,
}

/// Makes this process the parent of every orphan below it, and unreadable for them.
///
/// # Errors
/// When the kernel refuses.
pub fn adopt_orphans() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)?;
    // Same user as the agent: without this it could read this process' memory and file descriptors.
    nix::sys::prctl::set_dumpable(false)
}

/// What lives below this process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// Who.
    pub pids: Vec<i32>,
    /// Processor time they have used. Clock ticks.
    pub ticks: u64,
    /// A tool of the agent runs: something that started a while after it did. What it keeps beside it from its start on,
    /// servers of tools for example, says nothing.
    pub tools: bool,
}

/// One look at all of it.
#[must_use]
pub fn glance(agent: i32) -> Glance {
    let rows = living(&table());
    let started = rows.iter().find(|r| r.pid == agent).map(|r| r.started);
    let later = |started: u64| rows.iter().any(|r| r.pid != agent && r.started > started + SETTLING);
    Glance {
        pids: rows.iter().map(|r| r.pid).collect(),
        ticks: rows.iter().map(|r| r.ticks).sum(),
        tools: started.is_some_and(later),
    }
}

/// Buries orphans that ended. `except` is the agent, whose end is awaited elsewhere; no command of ours may
/// be running, or its exit status would be lost.
pub fn reap_orphans(except: Option<i32>) {
    let me = std::process::id().cast_signed();
    for row in table() {
        if row.zombie && row.parent == me && Some(row.pid) != except {
            // Gone already is as good.
            let _ = waitpid(Pid::from_raw(row.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// Sends a signal to the agent and its process group.
pub fn signal_group(leader: i32, signal: Signal) {
    // Both may be gone, which is what the caller wants to hear nothing of.
    let _ = nix::sys::signal::killpg(Pid::from_raw(leader), signal);
    let _ = kill(Pid::from_raw(leader), signal);
}

/// Kills every descendant until none lives. Returns how many were killed, and how many could not be.
pub async fn kill_all() -> (usize, usize) {
    let deadline = Instant::now() + BURIAL;
    let mut killed = HashSet::new();
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child()).ok();
    loop {
        let rows = living(&table());
        if rows.is_empty() || Instant::now() >= deadline {
            return (killed.len(), rows.len());
        }
        for row in rows {
            if kill(Pid::from_raw(row.pid), Signal::SIGKILL).is_ok() {
                killed.insert(row.pid);
            }
        }
        // The next look is due when one of them is buried, or soon: a grandchild's end signals its parent, not us.
        let soon = tokio::time::sleep(Duration::from_millis(10));
        match &mut ended {
            Some(ended) => tokio::select! { _ = ended.recv() => {}, () = soon => {} },
            None => soon.await,
        }
    }
}

/// Descendants of this process that are not dead.
fn living(table: &[Row]) -> Vec<Row> {
    let mut children: HashMap<i32, Vec<&Row>> = HashMap::new();
    for row in table {
        children.entry(row.parent).or_default().push(row);
    }
    let mut found = Vec::new();
    let mut todo = vec![std::process::id().cast_signed()];
    while let Some(parent) = todo.pop() {
        // Removing guards against a parent loop, which a racing table could show.
        for row in children.remove(&parent).unwrap_or_default() {
            todo.push(row.pid);
            if !row.zombie {
                found.push(*row);
            }
        }
    }
    found
}

fn table() -> Vec<Row> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|e| e.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|e| parse(&fs::read_to_string(e.path().join("stat")).ok()?))
        .collect()
}

/// `pid (comm) state ppid … utime stime …`; comm may hold blanks and parentheses.
fn parse(stat: &str) -> Option<Row> {
    let (head, tail) = (stat.split_once(' ')?.0, stat.rsplit_once(')')?.1);
    let mut fields = tail.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    // ppid is field 4, utime 14, stime 15, starttime 22 (proc(5)).
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let started: u64 = fields.nth(6)?.parse().ok()?;
    Some(Row {
        pid: head.parse().ok()?,
        parent,
        zombie,
        ticks: user + system,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whatever_the_process_calls_itself() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 1 0 5000 1 1";
        assert_eq!(
            parse(stat),
            Some(Row {
                pid: 42,
                parent: 7,
                zombie: false,
                ticks: 42,
                started: 5000
            })
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("1 (x"), None);
    }

    #[test]
    fn descendants_are_found_through_dead_parents_and_loops_end() {
        let me = std::process::id().cast_signed();
        let row = |pid, parent, zombie| Row {
            pid,
            parent,
            zombie,
            ticks: 1,
            started: 1,
        };
        let table = [
            row(-10, me, true),
            row(-11, -10, false),
            row(-12, 1, false),
            row(-13, -13, false),
        ];
        assert_eq!(living(&table), [row(-11, -10, false)]);
    }
}
