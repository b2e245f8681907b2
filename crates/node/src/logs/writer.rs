//! The writing side of a container's log.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Output, Progress, line};

/// A longer line is written in parts.
const MAX_LINE: usize = 16 << 10;
/// A longer file is put aside, replacing the one put aside before.
const MAX_FILE: u64 = 64 << 20;

/// Writes the output of one run. Readers who follow it end when it is dropped.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    progress: watch::Sender<Progress>,
    live: Arc<Mutex<HashMap<PathBuf, watch::Receiver<Progress>>>>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl LogWriter {
    pub(super) fn create(
        path: PathBuf,
        progress: watch::Sender<Progress>,
        live: Arc<Mutex<HashMap<PathBuf, watch::Receiver<Progress>>>>,
    ) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self {
            path,
            file,
            progress,
            live,
            stdout: Vec::new(),
            stderr: Vec::new(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what a container printed; a line that has no end yet waits for it.
    pub(crate) fn write(&mut self, from: Output, chunk: &[u8]) -> io::Result<()> {
        let time = Timestamp::now();
        let time = format!("{time:.9}");
        let mut out = Vec::with_capacity(chunk.len() + 64);
        let pending = match from {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        };
        for piece in chunk.split_inclusive(|b| *b == b'\n') {
            pending.extend_from_slice(piece);
            if let Some(text) = pending.strip_suffix(b"\n") {
                line::append(&mut out, &time, from, true, text);
                pending.clear();
            } else if pending.len() >= MAX_LINE {
                line::append(&mut out, &time, from, false, pending);
                pending.clear();
            }
        }
        self.put(&out)
    }

    /// Writes what is left without a newline.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let time = format!("{:.9}", Timestamp::now());
        let mut out = Vec::new();
        for (from, text) in [
            (Output::Stdout, std::mem::take(&mut self.stdout)),
            (Output::Stderr, std::mem::take(&mut self.stderr)),
        ] {
            if !text.is_empty() {
                line::append(&mut out, &time, from, false, &text);
            }
        }
        self.put(&out)
    }

    fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let Progress { bytes, generation } = *self.progress.borrow();
        let mut at = Progress { bytes, generation };
        if bytes > MAX_FILE {
            fs::rename(&self.path, aside(&self.path))?;
            self.file = File::create(&self.path)?;
            at = Progress {
                bytes: 0,
                generation: generation + 1,
            };
        }
        self.file.write_all(lines)?;
        at.bytes += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.progress.send_replace(at);
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.remove(&self.path);
    }
}

/// Where a file that grew too long is put.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("log.old")
}
