//! Runs one process: in a group of its own, with a deadline, and with limits on what it may say.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use crate::group::{self, Group};

/// What is kept of standard error: its end, where the cause stands.
const STDERR_KEPT: usize = 16 * 1024;

/// How long a killed process may take to go away before we stop waiting for it.
const REAP: Duration = Duration::from_secs(5);

/// What to do with standard output beyond a number of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cap {
    /// The command fails.
    Fail(usize),
    /// The rest is dropped and the command ended.
    Truncate(usize),
}

pub(crate) struct Spec<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    /// The whole environment.
    pub(crate) env: &'a [(OsString, OsString)],
    pub(crate) dir: Option<&'a Path>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) deadline: Duration,
    pub(crate) cap: Cap,
}

#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    /// Standard output was cut at [`Cap::Truncate`].
    pub(crate) truncated: bool,
    pub(crate) stderr: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Broken {
    Spawn(io::Error),
    Pipe(io::Error),
    Timeout { stderr: Vec<u8> },
    TooLarge { cap: usize },
}

/// Runs the process to its end. Whatever way this ends, also when the future is dropped, its whole group is gone.
#[expect(clippy::disallowed_types, reason = "this crate runs git")]
pub(crate) async fn run(spec: Spec<'_>) -> Result<Output, Broken> {
    let mut command = tokio::process::Command::new(spec.program);
    command
        .args(spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .stdin(if spec.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    group::lead(&mut command);
    if let Some(dir) = spec.dir {
        command.current_dir(dir);
    }
    let mut child = command.spawn().map_err(Broken::Spawn)?;
    let mut group = Group::of(&child);
    let mut out = Output::default();
    let finished = tokio::time::timeout(spec.deadline, drive(&mut child, &group, spec.stdin, spec.cap, &mut out)).await;
    if !matches!(finished, Ok(Ok(_))) {
        group.kill();
        // Reap it, so that it is really gone when the caller tries again.
        let _ = tokio::time::timeout(REAP, child.wait()).await;
        // Others of the group may have been started between the two.
        group.kill();
    }
    group.reaped();
    match finished {
        Err(_) => Err(Broken::Timeout { stderr: out.stderr }),
        Ok(Err(source)) => Err(Broken::Pipe(source)),
        Ok(Ok(true)) => match spec.cap {
            Cap::Fail(cap) => Err(Broken::TooLarge { cap }),
            Cap::Truncate(_) => {
                out.truncated = true;
                Ok(out)
            }
        },
        Ok(Ok(false)) => Ok(out),
    }
}

/// Feeds and reads the child until its pipes close, then waits for it. True: it said too much and was killed.
async fn drive(
    child: &mut Child,
    group: &Group,
    stdin: Option<Vec<u8>>,
    cap: Cap,
    out: &mut Output,
) -> io::Result<bool> {
    let (pipe_in, pipe_out, pipe_err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Cap::Fail(limit) | Cap::Truncate(limit)) = cap;
    let (stdout, stderr) = (&mut out.stdout, &mut out.stderr);
    let reading = async {
        let over = match pipe_out {
            Some(pipe) => read_head(pipe, limit, stdout).await?,
            None => false,
        };
        if over {
            group.kill();
        }
        Ok::<_, io::Error>(over)
    };
    let complaints = async {
        match pipe_err {
            Some(pipe) => read_tail(pipe, STDERR_KEPT, stderr).await,
            None => Ok(()),
        }
    };
    let (fed, over, complained) = tokio::join!(feed(pipe_in, stdin), reading, complaints);
    fed?;
    complained?;
    let over = over?;
    // The pipes are closed, so this is a moment; the deadline covers it all the same.
    let status = child.wait().await?;
    out.code = status.code();
    Ok(over)
}

async fn feed(pipe: Option<ChildStdin>, bytes: Option<Vec<u8>>) -> io::Result<()> {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        match pipe.write_all(&bytes).await {
            // A command may end without reading everything; its exit code tells.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    Ok(())
}

/// Reads up to `limit` bytes; true if there were more.
async fn read_head(mut pipe: impl AsyncRead + Unpin, limit: usize, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let n = pipe.read(&mut chunk).await?;
        if n == 0 {
            return Ok(false);
        }
        let room = limit.saturating_sub(into.len());
        into.extend(chunk.iter().take(n.min(room)));
        if n > room {
            return Ok(true);
        }
    }
}

/// Reads everything and keeps the last `limit` bytes.
async fn read_tail(mut pipe: impl AsyncRead + Unpin, limit: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = vec![0; 4 * 1024];
    loop {
        let n = pipe.read(&mut chunk).await?;
        if n == 0 {
            return Ok(());
        }
        into.extend(chunk.iter().take(n));
        if into.len() > limit {
            into.drain(..into.len() - limit);
        }
    }
}
