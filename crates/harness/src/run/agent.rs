//! The agent as a process: how it is started, and what it hears. Where what it says goes is in [`super::scribe`].

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, atomic::AtomicU64},
};

use gastown_wire::Input;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStdin},
    sync::mpsc,
    task::JoinHandle,
};

use super::scribe::{Desk, Scribe};
use crate::{setup::Pod, transcript::Event};

/// A text longer than this is left out of the environment: the kernel refuses words over 128 KiB. Bytes.
const ENV_LIMIT: usize = 100 * 1024;

/// What an agent's environment holds.
pub(super) type Environment = BTreeMap<OsString, OsString>;

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
    /// What it did and spent.
    events: mpsc::UnboundedReceiver<Event>,
    /// Lines for its input, where it takes more than one.
    hears: Option<mpsc::UnboundedSender<String>>,
    tees: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts the command in the workspace, its output to the desk.
    pub(super) fn start(
        pod: &Pod,
        command: &[String],
        env: &Environment,
        prompt: &str,
        desk: &Desk,
    ) -> Result<Self, StartError> {
        let setting = |what| move |source| StartError::Setting { what, source };
        let (program, arguments) = command.split_first().ok_or_else(|| StartError::Missing {
            program: String::new(),
            source: io::Error::other("the orders name no command"),
        })?;
        let workspace = fs::canonicalize(pod.workspace()).map_err(setting("there is no workspace"))?;
        let file = |path: PathBuf, what| File::open(path).map(Stdio::from).map_err(setting(what));
        // Files and nothing end by themselves: agents that wait for the end of their input on a pipe would hang.
        let input = match pod.orders.agent.input {
            Input::Task => file(pod.task_file(), "there is no task file")?,
            Input::Prompt => file(pod.prompt_file(), "there is no prompt file")?,
            Input::Stream => Stdio::piped(),
            Input::Nothing => Stdio::null(),
        };
        #[expect(clippy::disallowed_types, reason = "this is the one place where an agent is started")]
        let mut start = tokio::process::Command::new(program);
        start
            .args(arguments)
            .current_dir(workspace)
            .env_clear()
            .envs(env)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = start.spawn().map_err(|source| StartError::Missing {
            program: program.clone(),
            source,
        })?;
        let hears = child.stdin.take().map(|stdin| {
            let (send, lines) = mpsc::unbounded_channel();
            tokio::spawn(write_lines(stdin, lines));
            // The other end is there as long as the agent reads.
            let _ = send.send(user_line(prompt));
            send
        });
        let printed = Arc::new(AtomicU64::new(0));
        let (send, events) = mpsc::unbounded_channel();
        let scribe = Scribe::at(desk.clone(), send, Arc::clone(&printed));
        let tees = [
            child.stdout.take().map(|out| tokio::spawn(scribe.clone().stdout(out))),
            child.stderr.take().map(|err| tokio::spawn(scribe.stderr(err))),
        ];
        Ok(Self {
            pid: child.id().map_or(0, u32::cast_signed),
            child,
            printed,
            events,
            hears,
            tees: tees.into_iter().flatten().collect(),
        })
    }

    /// What it does and spends, from now on.
    pub(super) fn take_events(&mut self) -> mpsc::UnboundedReceiver<Event> {
        let (_, none) = mpsc::unbounded_channel();
        std::mem::replace(&mut self.events, none)
    }

    /// Waits for the agent itself, not for what it left behind.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Says something into a conversation under way. False: this agent does not listen, or not any more.
    pub(super) fn hear(&self, text: &str) -> bool {
        self.hears.as_ref().is_some_and(|h| h.send(user_line(text)).is_ok())
    }

    /// There is nothing more to say: it ends when it has done what it heard.
    pub(super) fn hear_no_more(&mut self) {
        self.hears = None;
    }

    /// Waits until all it printed is written. Only after every process that holds its output is dead.
    pub(crate) async fn drain(&mut self) {
        self.hear_no_more();
        for tee in self.tees.drain(..) {
            // A descendant in uninterruptible sleep may hold the pipe for ever.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), tee).await;
        }
    }
}

/// A line of Claude Code's `stream-json` input.
fn user_line(text: &str) -> String {
    let line = serde_json::json!({"type": "user", "message": {"role": "user", "content": text}});
    format!("{line}\n")
}

async fn write_lines(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// What the agent's environment holds: the container's, without what is between us and the operator, with
/// what an agent is promised.
pub(super) fn environment(pod: &Pod, container: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    let o = &pod.orders;
    let mut env: Environment = container
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
    set("GASTOWN_PROMPT_FILE", pod.prompt_file().display().to_string());
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
