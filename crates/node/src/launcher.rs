//! The node's side of the launcher: a process of its own where the program has the hook, else threads.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Mutex, mpsc};

use crate::launch::{self, Answer, Exit, LAUNCHER, LaunchSpec, Progress, Request};
use crate::processes::ProcessRecord;

/// A container that runs.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) record: ProcessRecord,
    progress: mpsc::UnboundedReceiver<Progress>,
}

impl Launched {
    /// Waits for its end.
    pub(crate) async fn exit(mut self) -> Exit {
        match self.progress.recv().await {
            Some(Progress::Exited(exit)) => exit,
            Some(Progress::Failed(why)) => Exit {
                code: 255,
                failure: Some(why),
            },
            // The launcher is gone, and its containers with it.
            Some(Progress::Started(_)) | None => {
                self.record.kill();
                Exit::killed()
            }
        }
    }
}

type Waiting = Arc<StdMutex<HashMap<u64, mpsc::UnboundedSender<Progress>>>>;

/// Starts containers.
#[derive(Clone)]
pub(crate) struct Launcher {
    backend: Arc<Backend>,
}

enum Backend {
    Threads,
    Process(Mutex<Connection>),
}

struct Connection {
    next: u64,
    /// `None` once it broke; the next launch makes a new one.
    stdin: Option<ChildStdin>,
    waiting: Waiting,
}

impl Launcher {
    /// # Errors
    /// The process cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        let backend = if launch::hooked() {
            Backend::Process(Mutex::new(Connection::open()?))
        } else {
            Backend::Threads
        };
        Ok(Self {
            backend: Arc::new(backend),
        })
    }

    /// Starts a container and waits until its process exists.
    ///
    /// # Errors
    /// Why it could not be started, for people.
    pub(crate) async fn launch(&self, spec: LaunchSpec) -> Result<Launched, String> {
        let mut progress = match &*self.backend {
            Backend::Threads => in_thread(spec)?,
            Backend::Process(connection) => connection.lock().await.send(spec).await?,
        };
        match progress.recv().await {
            Some(Progress::Started(record)) => Ok(Launched { record, progress }),
            Some(Progress::Failed(why)) => Err(why),
            Some(Progress::Exited(exit)) => Err(exit.failure.unwrap_or_else(|| "it did not start".into())),
            None => Err("the launcher ended".to_owned()),
        }
    }
}

fn in_thread(spec: LaunchSpec) -> Result<mpsc::UnboundedReceiver<Progress>, String> {
    let (tx, rx) = mpsc::unbounded_channel();
    launch::thread()
        .spawn(move || {
            launch::run(&spec, &mut |progress| {
                // Nobody listens after a shutdown.
                let _ = tx.send(progress);
            });
        })
        .map_err(|e| format!("a thread: {e}"))?;
    Ok(rx)
}

impl Connection {
    fn open() -> io::Result<Self> {
        #[expect(clippy::disallowed_types, reason = "a node runs processes")]
        let mut child = tokio::process::Command::new("/proc/self/exe")
            .arg(LAUNCHER)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let waiting: Waiting = Arc::default();
        tokio::spawn(listen(stdout, Arc::clone(&waiting)));
        tokio::spawn(async move { child.wait().await });
        Ok(Self {
            next: 0,
            stdin: Some(stdin),
            waiting,
        })
    }

    async fn send(&mut self, spec: LaunchSpec) -> Result<mpsc::UnboundedReceiver<Progress>, String> {
        if self.stdin.is_none() {
            let next = self.next;
            *self = Self::open().map_err(|e| format!("the launcher: {e}"))?;
            self.next = next;
        }
        let id = self.next;
        self.next += 1;
        let (tx, rx) = mpsc::unbounded_channel();
        lock(&self.waiting).insert(id, tx);
        let mut line = serde_json::to_vec(&Request { id, spec }).map_err(|e| e.to_string())?;
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin
            && let Err(e) = stdin.write_all(&line).await
        {
            self.stdin = None;
            return Err(format!("the launcher: {e}"));
        }
        Ok(rx)
    }
}

async fn listen(stdout: ChildStdout, waiting: Waiting) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(Answer { id, progress }) = serde_json::from_str::<Answer>(&line) else {
            continue;
        };
        let mut waiting = lock(&waiting);
        let last = !matches!(progress, Progress::Started(_));
        if let Some(tx) = waiting.get(&id) {
            let _ = tx.send(progress);
        }
        if last {
            waiting.remove(&id);
        }
    }
    // Dropping the senders tells everybody who waits.
    lock(&waiting).clear();
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, mpsc::UnboundedSender<Progress>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
