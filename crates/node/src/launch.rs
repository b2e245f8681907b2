//! Starting containers. A container is started by a thread that lives as long as it does (the kernel
//! ends a child with the *thread* that made it), best in a small process of its own: see
//! [`launcher_main`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::namespaces::{self, Rootfs};
use crate::processes::{MARK, Process, ProcessRecord, sweep};

/// Everything that starting a container takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LaunchSpec {
    /// Absolute path, as the container sees it.
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) workdir: PathBuf,
    /// Named pipes whose reading ends are open.
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
    /// Value of [`MARK`] in the environment.
    pub(crate) mark: String,
    /// Unconfined without.
    pub(crate) rootfs: Option<Rootfs>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// As a shell counts: 128 and the signal's number for one that was killed.
    pub(crate) code: i32,
    /// Set when the container itself failed, not the program in it.
    pub(crate) failure: Option<String>,
}

impl Exit {
    pub(crate) fn killed() -> Self {
        Self {
            code: 137,
            failure: None,
        }
    }
}

/// What a launch reports, in this order: `Started` then `Exited`, or `Failed` alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Progress {
    Started(ProcessRecord),
    Failed(String),
    Exited(Exit),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) spec: LaunchSpec,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) progress: Progress,
}

/// Runs one container from start to end. Blocks; the thread must outlive the container.
pub(crate) fn run(spec: &LaunchSpec, report: &mut dyn FnMut(Progress)) {
    let ended = match &spec.rootfs {
        Some(rootfs) => namespaces::run(spec, rootfs, report),
        None => run_unconfined(spec, report),
    };
    match ended {
        Ok(exit) => report(Progress::Exited(exit)),
        Err(why) => report(Progress::Failed(why)),
    }
}

fn run_unconfined(spec: &LaunchSpec, report: &mut dyn FnMut(Progress)) -> Result<Exit, String> {
    #[expect(clippy::disallowed_types, reason = "a node runs processes")]
    let mut command = std::process::Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .env(MARK, &spec.mark)
        .current_dir(&spec.workdir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(open_pipe(&spec.stdout)?)
        .stderr(open_pipe(&spec.stderr)?);
    let mut child = command.spawn().map_err(|e| format!("exec: {:?}: {e}", spec.program))?;
    drop(command); // its copies of the pipes would keep them open
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    // Ours until it is waited for, so its PID cannot have been used again.
    let main = Process::find(pid).unwrap_or(Process { pid, started: 0 });
    report(Progress::Started(ProcessRecord {
        main,
        keeper: None,
        mark: spec.mark.clone(),
        own_pid_namespace: false,
    }));
    let status = child.wait().map_err(|e| format!("wait: {e}"))?;
    sweep(main, &spec.mark);
    let signalled = status.signal().map(|signal| 128 + signal);
    Ok(Exit {
        code: status.code().or(signalled).unwrap_or(255),
        failure: None,
    })
}

/// Opens the writing end of a named pipe.
pub(crate) fn open_pipe(path: &PathBuf) -> Result<File, String> {
    let opened = File::options().write(true).open(path);
    opened.map_err(|e| format!("the log pipe {}: {e}", path.display()))
}

static HOOKED: AtomicBool = AtomicBool::new(false);

/// The first argument by which a process knows that it is to be a launcher.
pub(crate) const LAUNCHER: &str = "__node-launcher";

/// Whether this program calls [`launcher_main`], so that it can be executed again as a launcher.
pub(crate) fn hooked() -> bool {
    HOOKED.load(Ordering::Relaxed)
}

/// Call this first in `main` of a program that runs a node.
///
/// In a process that the node made for it, this starts containers until the node is gone and never
/// returns. In any other it returns at once, and notes that a node in this process may make such a
/// process: a small one, in its own process group, whose forks copy little and which no Ctrl-C in the
/// node's terminal reaches. Without the call a node starts containers from threads of its own.
pub fn launcher_main() {
    if std::env::args_os().nth(1).is_none_or(|a| a != LAUNCHER) {
        HOOKED.store(true, Ordering::Relaxed);
        return;
    }
    let running: Arc<Mutex<HashMap<u64, ProcessRecord>>> = Arc::default();
    let stdout = Arc::new(Mutex::new(io::stdout()));
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(Request { id, spec }) = serde_json::from_str(&line) else {
            continue;
        };
        let (running, stdout) = (Arc::clone(&running), Arc::clone(&stdout));
        let answer = move |progress: Progress| answer(&running, &stdout, id, progress);
        let refused = answer.clone();
        let thread = thread().spawn(move || run(&spec, &mut |progress| answer(progress)));
        if let Err(e) = thread {
            refused(Progress::Failed(format!("a thread: {e}")));
        }
    }
    // The node is gone, or has let go of us: nothing may outlive it.
    let running = running.lock().unwrap_or_else(PoisonError::into_inner);
    for record in running.values() {
        record.kill_leftovers();
    }
    std::process::exit(0);
}

fn answer(running: &Mutex<HashMap<u64, ProcessRecord>>, stdout: &Mutex<io::Stdout>, id: u64, progress: Progress) {
    {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        match &progress {
            Progress::Started(record) => {
                running.insert(id, record.clone());
            }
            Progress::Exited(_) | Progress::Failed(_) => {
                running.remove(&id);
            }
        }
    }
    let Ok(mut line) = serde_json::to_vec(&Answer { id, progress }) else {
        return;
    };
    line.push(b'\n');
    let mut stdout = stdout.lock().unwrap_or_else(PoisonError::into_inner);
    // A node that does not read any more is gone; the end of stdin says so too.
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
}

/// The work of such a thread is a few system calls and a wait.
pub(crate) fn thread() -> std::thread::Builder {
    std::thread::Builder::new()
        .name("container".to_owned())
        .stack_size(512 << 10)
}
