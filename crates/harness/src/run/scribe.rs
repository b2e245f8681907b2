//! What the agent prints: kept raw, shown readable, and read.

use std::{
    fs::{self, File},
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use gastown_wire::Transcript;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::mpsc,
};

use crate::{
    setup::Pod,
    transcript::{
        Event, Reader, Word,
        line::{self, Secrets},
    },
};

/// The raw stream stops growing here; the container's log goes on. Bytes.
const RAW_LIMIT: u64 = 64 * 1024 * 1024;
/// Longest line that is read as one: a tool's result with an image in it. Bytes.
const LINE_LIMIT: u64 = 8 * 1024 * 1024;

/// Where all that an agent prints is taken in. One a run.
#[derive(Clone, Debug)]
pub(super) struct Desk(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    reader: Reader,
    secrets: Secrets,
    raw: Option<File>,
    written: u64,
    plain: bool,
}

impl Desk {
    pub(super) fn of(pod: &Pod, secrets: Secrets) -> Self {
        let path = pod.raw_file();
        // A link that an agent of this pod left there before it started again is not followed.
        let ours = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        let opened = match ours {
            true => Ok(()),
            false => crate::files::replace(&path, b"", 0o644),
        }
        .and_then(|()| File::options().append(true).open(&path));
        let raw = opened
            .inspect_err(|e| tracing::warn!("the raw stream is not kept: {e}"))
            .ok();
        let format = pod.orders.agent.transcript;
        Self(Arc::new(Mutex::new(Inner {
            reader: Reader::of(format),
            secrets,
            written: raw.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len()),
            raw,
            plain: format == Transcript::Text,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent's word, weighed with its exit code.
    pub(super) fn word(&self, exit: i32) -> Word {
        self.inner().reader.word(exit, now())
    }

    /// Whether it showed a conversation.
    pub(super) fn has_begun(&self) -> bool {
        self.inner().reader.has_begun()
    }

    /// What must not be shown, nor kept.
    pub(super) fn secrets(&self) -> Secrets {
        self.inner().secrets.clone()
    }

    /// Takes in a line: what happened, and how it is shown.
    fn take(&self, text: &str, is_error: bool) -> (Vec<Event>, String) {
        let mut inner = self.inner();
        let text = inner.secrets.hide(text);
        let room = inner.written < RAW_LIMIT;
        if let Some(raw) = inner.raw.as_mut().filter(|_| room) {
            let line = format!("{}\n", line::clean(&text));
            // A full disk must not end the agent; its log is still there.
            if raw.write_all(line.as_bytes()).is_ok() {
                inner.written += line.len() as u64;
            }
        }
        let events = match is_error {
            false => inner.reader.line(&text, now()),
            true => inner.reader.error_line(&text, now()),
        };
        let plain = inner.plain;
        drop(inner);
        let mut shown = String::new();
        for line in events.iter().flat_map(|e| line::lines(e, plain)) {
            shown.push_str(&line);
            shown.push('\n');
        }
        if plain && text.is_empty() {
            shown.push('\n');
        }
        (events, shown)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Takes both streams to the desk, line by line.
#[derive(Clone, Debug)]
pub(super) struct Scribe {
    desk: Desk,
    events: mpsc::UnboundedSender<Event>,
    printed: Arc<AtomicU64>,
}

impl Scribe {
    pub(super) fn at(desk: Desk, events: mpsc::UnboundedSender<Event>, printed: Arc<AtomicU64>) -> Self {
        Self { desk, events, printed }
    }

    pub(super) async fn stdout(self, from: impl AsyncRead + Unpin) {
        self.stream(from, tokio::io::stdout(), false).await;
    }

    pub(super) async fn stderr(self, from: impl AsyncRead + Unpin) {
        self.stream(from, tokio::io::stderr(), true).await;
    }

    async fn stream(self, from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, is_error: bool) {
        let mut from = BufReader::with_capacity(64 * 1024, Counted(from, self.printed));
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut from).take(LINE_LIMIT).read_until(b'\n', &mut line).await {
                Ok(n) if n > 0 => {}
                _ => return,
            }
            let text = String::from_utf8_lossy(&line);
            let (events, shown) = self.desk.take(text.trim_end_matches(['\n', '\r']), is_error);
            for event in events {
                // Whoever listened has stopped to: the log goes on.
                let _ = self.events.send(event);
            }
            // Nobody reading our output is no reason to stop reading the agent's: it would block on a full pipe.
            let _ = to.write_all(shown.as_bytes()).await;
            let _ = to.flush().await;
        }
    }
}

/// Counts what is read: half a line is a sign of life too.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = std::pin::Pin::new(&mut self.0).poll_read(cx, buf);
        self.1
            .fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}
