//! The agent as a process: how it is started, and where what it says goes.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::Child,
    task::JoinHandle,
};

use crate::setup::Pod;

/// The transcript stops growing here; the container's log goes on. Bytes.
const TRANSCRIPT_LIMIT: u64 = 64 * 1024 * 1024;
/// A text longer than this is left out of the environment: the kernel refuses words over 128 KiB. Bytes.
const ENV_LIMIT: usize = 100 * 1024;

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The program does not exist or may not be executed.
    #[error("the agent's program `{program}` cannot be started: {source}")]
    Missing {
        /// What was ordered.
        program: String,
        /// The system's words.
        source: io::Error,
    },
    /// Something of ours is not as it should be.
    #[error("the agent cannot be started: {what}: {source}")]
    Setting {
        /// What failed.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    /// Its process id, which stays valid until its end was awaited.
    pub(crate) pid: i32,
    /// Bytes it has printed.
    pub(crate) printed: Arc<AtomicU64>,
    tees: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts the command in the workspace: the task on its input, its output to ours and to the transcript.
    pub(crate) fn start(pod: &Pod, command: &[String]) -> Result<Self, StartError> {
        let setting = |what| move |source| StartError::Setting { what, source };
        let (program, arguments) = command.split_first().ok_or_else(|| StartError::Missing {
            program: String::new(),
            source: io::Error::other("the orders name no command"),
        })?;
        let home = PathBuf::from(&pod.orders.paths.home);
        fs::create_dir_all(&home).map_err(setting("its home cannot be made"))?;
        let workspace = fs::canonicalize(pod.workspace()).map_err(setting("there is no workspace"))?;
        let task = File::open(pod.task_file()).map_err(setting("there is no task file"))?;

        #[expect(clippy::disallowed_types, reason = "this is the one place where an agent is started")]
        let mut start = tokio::process::Command::new(program);
        start
            .args(arguments)
            .current_dir(workspace)
            .env_clear()
            .envs(environment(pod, std::env::vars_os()))
            // A file ends: agents that wait for the end of their input on a pipe would hang.
            .stdin(Stdio::from(task))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = start.spawn().map_err(|source| StartError::Missing {
            program: program.clone(),
            source,
        })?;

        let printed = Arc::new(AtomicU64::new(0));
        let transcript = Transcript::open(pod);
        let tees = [
            child
                .stdout
                .take()
                .map(|out| tokio::spawn(tee(out, tokio::io::stdout(), transcript.clone(), printed.clone()))),
            child
                .stderr
                .take()
                .map(|err| tokio::spawn(tee(err, tokio::io::stderr(), transcript, printed.clone()))),
        ];
        Ok(Self {
            pid: child.id().map_or(0, u32::cast_signed),
            child,
            printed,
            tees: tees.into_iter().flatten().collect(),
        })
    }

    /// Waits for the agent itself, not for what it left behind.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Waits until all it printed is written. Only after every process that holds its output is dead.
    pub(crate) async fn drain(&mut self) {
        for tee in self.tees.drain(..) {
            // A descendant in uninterruptible sleep may hold the pipe for ever.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), tee).await;
        }
    }
}

/// What the agent's environment holds: the container's, without what is between us and the operator, with
/// what an agent is promised.
fn environment(pod: &Pod, container: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    let o = &pod.orders;
    let mut env: BTreeMap<OsString, OsString> = container
        .filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"GASTOWN_"))
        .collect();
    let mut set = |name: &str, value: String| {
        // A zero byte cannot be in an environment; the file has the text as it is.
        if !value.contains('\0') {
            env.insert(name.into(), value.into());
        }
    };
    let task = fs::read_to_string(pod.task_file()).unwrap_or_default();
    set("HOME", o.paths.home.clone());
    set("GASTOWN_TASK_FILE", pod.task_file().display().to_string());
    if o.evidence.is_some() {
        set("GASTOWN_EVIDENCE_FILE", pod.evidence_file().display().to_string());
    }
    set("GASTOWN_ROUND", o.round.to_string());
    set("GASTOWN_ATTEMPT", o.attempt.to_string());
    set("GASTOWN_BRANCH", o.work_branch.clone());
    set("GASTOWN_BASE_BRANCH", o.remote.branch.clone());
    set("GASTOWN_NUDGE_FILE", pod.shared("nudges.md").display().to_string());
    // The predecessor's names, for scripts written for it.
    set("GT_POLECAT", o.subject.name.clone());
    set("GT_RIG", o.subject.rig.clone());
    if let Some(bead) = &o.subject.bead {
        set("GT_ISSUE", bead.clone());
    }
    if task.len() <= ENV_LIMIT {
        set("GT_TASK_DESCRIPTION", task);
    }
    env
}

/// Everything the agent said, in one file, both streams in the order they arrived.
#[derive(Clone, Debug)]
struct Transcript {
    file: Option<Arc<File>>,
    written: Arc<AtomicU64>,
}

impl Transcript {
    fn open(pod: &Pod) -> Self {
        let folder = PathBuf::from(&pod.orders.paths.home).join(".gastown");
        let name = format!("transcript-{}-{}.log", pod.orders.round, pod.orders.attempt);
        let file = fs::create_dir_all(&folder)
            .and_then(|()| File::options().create(true).append(true).open(folder.join(name)))
            .inspect_err(|e| tracing::warn!("no transcript is kept: {e}"))
            .ok();
        Self {
            file: file.map(Arc::new),
            written: Arc::default(),
        }
    }

    fn add(&self, bytes: &[u8]) {
        use std::io::Write as _;
        let Some(file) = &self.file else { return };
        if self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed) < TRANSCRIPT_LIMIT {
            // A full disk must not end the agent; its log is still there.
            let _ = file.as_ref().write_all(bytes);
        }
    }
}

async fn tee(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    transcript: Transcript,
    printed: Arc<AtomicU64>,
) {
    let mut buffer = vec![0_u8; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else {
            return;
        };
        printed.fetch_add(n as u64, Ordering::Relaxed);
        transcript.add(bytes);
        // Nobody reading our output is no reason to stop reading the agent's: it would block on a full pipe.
        let _ = to.write_all(bytes).await;
        let _ = to.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_wire::{PolecatOrders, Subject};

    fn pod(dir: &std::path::Path, task: &str) -> Pod {
        let mut orders = PolecatOrders {
            round: 2,
            attempt: 5,
            work_branch: "polecat/nux".into(),
            subject: Subject {
                name: "nux".into(),
                rig: "parts".into(),
                bead: Some("mp-1".into()),
                ..Subject::default()
            },
            ..PolecatOrders::default()
        };
        orders.paths.shared = dir.display().to_string();
        orders.paths.home = "/gastown/home".into();
        let pod = Pod {
            orders,
            uid: "u".into(),
            termination: "/x".into(),
        };
        fs::write(pod.task_file(), task).unwrap();
        pod
    }

    fn environment_of(task: &str) -> BTreeMap<OsString, OsString> {
        let dir = tempfile::tempdir().unwrap();
        let given = [
            ("PATH", "/bin"),
            ("ANTHROPIC_API_KEY", "k"),
            ("GASTOWN_ORDERS", "{}"),
            ("GASTOWN_POD_UID", "u"),
            ("GASTOWN_TERMINATION_LOG", "/x"),
            ("GASTOWN_EVIDENCE_FILE", "/stale"),
        ];
        environment(
            &pod(dir.path(), task),
            given.into_iter().map(|(k, v)| (k.into(), v.into())),
        )
    }

    #[test]
    fn the_agent_sees_its_task_and_nothing_of_ours() {
        let task = "fix \"it\"\n$(date) 🦀";
        let env = environment_of(task);
        let get = |name: &str| env.get(&OsString::from(name)).map(|v| v.to_string_lossy().into_owned());
        for gone in [
            "GASTOWN_ORDERS",
            "GASTOWN_POD_UID",
            "GASTOWN_TERMINATION_LOG",
            "GASTOWN_EVIDENCE_FILE",
        ] {
            assert_eq!(get(gone), None, "{gone}");
        }
        for (name, value) in [
            ("PATH", "/bin"),
            ("ANTHROPIC_API_KEY", "k"),
            ("GT_TASK_DESCRIPTION", task),
            ("GT_ISSUE", "mp-1"),
            ("GT_POLECAT", "nux"),
            ("GT_RIG", "parts"),
            ("GASTOWN_ROUND", "2"),
            ("GASTOWN_ATTEMPT", "5"),
            ("GASTOWN_BRANCH", "polecat/nux"),
            ("HOME", "/gastown/home"),
        ] {
            assert_eq!(get(name).as_deref(), Some(value), "{name}");
        }
        assert!(get("GASTOWN_TASK_FILE").is_some_and(|f| f.ends_with("/task.md")));
    }

    #[test]
    fn what_an_environment_cannot_hold_is_left_to_the_file() {
        let name = OsString::from("GT_TASK_DESCRIPTION");
        assert!(!environment_of(&"x".repeat(ENV_LIMIT + 1)).contains_key(&name));
        assert!(!environment_of("zero\0byte").contains_key(&name));
        assert!(environment_of(&"x".repeat(64 * 1024)).contains_key(&name));
    }
}
