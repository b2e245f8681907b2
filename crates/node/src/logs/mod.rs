//! What containers print: one file a run, in the CRI format, kept after the pod is gone.
//!
//! `logs/<namespace>_<pod>_<uid>/<container>/<restart>.log`

mod line;
mod reader;
mod writer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use reader::{LogQuery, LogsError};
pub(crate) use writer::LogWriter;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// How far a file being written has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    bytes: u64,
    /// Grows when the file is put aside for a new one.
    generation: u32,
}

/// Logs of pods, present and past. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeLogs {
    root: PathBuf,
    live: Arc<Mutex<HashMap<PathBuf, watch::Receiver<Progress>>>>,
}

/// What the folder of a pod says of the pod, for readers who name no container.
#[derive(Debug, Serialize, Deserialize)]
struct PodIndex {
    containers: Vec<String>,
    default: Option<String>,
}

const INDEX: &str = "pod.json";

/// Logs older than this go.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Oldest first, logs go until the rest fits.
const MAX_BYTES: u64 = 2 << 30;

impl NodeLogs {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            live: Arc::default(),
        }
    }

    /// Makes the folder of a pod.
    pub(crate) fn prepare(&self, pod: &PodName, containers: Vec<String>, default: Option<String>) -> io::Result<()> {
        let dir = self.root.join(pod.folder());
        fs::create_dir_all(&dir)?;
        let index = PodIndex { containers, default };
        fs::write(dir.join(INDEX), serde_json::to_vec(&index)?)
    }

    /// Begins the log of one run of a container.
    pub(crate) fn writer(&self, pod: &PodName, container: &str, restart: i32) -> io::Result<LogWriter> {
        let dir = self.root.join(pod.folder()).join(container);
        fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{restart}.log"));
        let (tx, rx) = watch::channel(Progress::default());
        let writer = LogWriter::create(path.clone(), tx, Arc::clone(&self.live))?;
        self.lock().insert(path, rx);
        Ok(writer)
    }

    fn progress(&self, path: &Path) -> Option<watch::Receiver<Progress>> {
        self.lock().get(path).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, watch::Receiver<Progress>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes logs of pods that are gone, by age and then by size.
    pub(crate) fn prune(&self) {
        let now = SystemTime::now();
        let live: Vec<PathBuf> = self.lock().keys().cloned().collect();
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let dir = entry.path();
            let (newest, bytes) = measure(&dir);
            let busy = live.iter().any(|file| file.starts_with(&dir));
            let old = now.duration_since(newest).unwrap_or_default() > MAX_AGE;
            if old && !busy {
                let _ = fs::remove_dir_all(&dir);
            } else {
                // What is being written counts, and stays.
                let age = if busy { now } else { newest };
                kept.push((age, bytes, dir));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        for (age, bytes, dir) in kept {
            if total <= MAX_BYTES || age == now {
                break;
            }
            let _ = fs::remove_dir_all(&dir);
            total -= bytes;
        }
    }
}

/// Newest change and size of everything below a folder.
fn measure(dir: &Path) -> (SystemTime, u64) {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut bytes = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            let (n, b) = measure(&entry.path());
            newest = newest.max(n);
            bytes += b;
        } else {
            newest = newest.max(meta.modified().unwrap_or(newest));
            bytes += meta.len();
        }
    }
    (newest, bytes)
}

/// The three words that name one life of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl PodName {
    fn folder(&self) -> String {
        format!("{}_{}_{}", self.namespace, self.name, self.uid)
    }
}

/// The last output of a finished run: at most 80 lines and 2048 bytes, as the kubelet takes it for
/// `FallbackToLogsOnError`.
pub(crate) fn last_output(path: &Path) -> String {
    let text = reader::read_end(path, 64 << 10);
    let lines: Vec<String> = text
        .split_inclusive(|b| *b == b'\n')
        .filter_map(line::Line::parse)
        .map(|l| l.text_with_newline())
        .collect();
    let from = lines.len().saturating_sub(80);
    let joined: String = lines.get(from..).unwrap_or_default().concat();
    let mut cut = joined.len().saturating_sub(2048);
    while !joined.is_char_boundary(cut) {
        cut += 1;
    }
    joined.get(cut..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
