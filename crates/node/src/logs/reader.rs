//! The reading side: which file, from where, and how it is followed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures::Stream;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::bytes::Bytes;

use super::line::Line;
use super::writer::aside;
use super::{INDEX, NodeLogs, PodIndex, Progress};

/// What a reader of logs asks for; the fields are those of `kubectl logs`.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod; the newest of this name where unset.
    pub uid: Option<String>,
    /// Container; may be unset where the pod has one, or names a default.
    pub container: Option<String>,
    /// Go on until the container ends.
    pub follow: bool,
    /// Only this many lines from the end.
    pub tail_lines: Option<u64>,
    /// Only lines written at or after this instant.
    pub since_time: Option<Timestamp>,
    /// At most this many bytes.
    pub limit_bytes: Option<u64>,
    /// The run before the present one.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
}

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// No pod of this name has run here, or its logs have been pruned.
    #[error("no logs of pod {namespace}/{pod} on this node")]
    NoSuchPod {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        pod: String,
    },
    /// The pod has no such container.
    #[error("container {container} is not valid for pod {pod}")]
    NoSuchContainer {
        /// Name of the pod.
        pod: String,
        /// Container asked for.
        container: String,
    },
    /// The pod has several containers and none was named.
    #[error(
        "a container name must be specified for pod {pod}, choose one of: [{}]",
        containers.join(" ")
    )]
    WhichContainer {
        /// Name of the pod.
        pod: String,
        /// Its containers.
        containers: Vec<String>,
    },
    /// The container has not started yet.
    #[error("container \"{container}\" in pod \"{pod}\" is waiting to start")]
    NotStarted {
        /// Name of the pod.
        pod: String,
        /// Name of the container.
        container: String,
    },
    /// There was no earlier run, or its log is gone.
    #[error("previous terminated container \"{container}\" in pod \"{pod}\" not found")]
    NoPrevious {
        /// Name of the pod.
        pod: String,
        /// Name of the container.
        container: String,
    },
    /// The disk refused.
    #[error("cannot read the log: {0}")]
    Disk(#[from] io::Error),
}

impl NodeLogs {
    /// Opens a log. The stream ends at the end of the file, or with `follow` when the container ends.
    ///
    /// # Errors
    /// Nothing has been written under these names, or the disk refuses.
    pub async fn open(
        &self,
        query: LogQuery,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, LogsError> {
        let path = self.file(&query)?;
        // Asked first: a log that ends after this is complete when it is opened.
        let progress = self.progress(&path).filter(|_| query.follow);
        let mut files: VecDeque<PathBuf> = VecDeque::new();
        if query.tail_lines.is_none() && aside(&path).exists() {
            files.push_back(aside(&path));
        }
        files.push_back(path.clone());
        let mut tail = Tail {
            path,
            files,
            open: None,
            generation: progress.as_ref().map_or(0, |p| p.borrow().generation),
            progress,
            left: query.limit_bytes,
            partial: Vec::new(),
            query,
        };
        tail.advance()?;
        Ok(futures::stream::try_unfold(tail, Tail::next))
    }

    fn file(&self, query: &LogQuery) -> Result<PathBuf, LogsError> {
        let dir = self.folder(query).ok_or_else(|| LogsError::NoSuchPod {
            namespace: query.namespace.clone(),
            pod: query.pod.clone(),
        })?;
        let container = container(query, &dir)?;
        let mut runs: Vec<i32> = fs::read_dir(dir.join(&container))
            .into_iter()
            .flatten()
            .filter_map(|e| {
                let name = e.ok()?.file_name();
                name.to_str()?.strip_suffix(".log")?.parse().ok()
            })
            .collect();
        runs.sort_unstable();
        let last = runs.pop();
        let pod = query.pod.clone();
        let run = if query.previous {
            runs.pop().ok_or_else(|| LogsError::NoPrevious {
                pod,
                container: container.clone(),
            })?
        } else {
            last.ok_or_else(|| LogsError::NotStarted {
                pod,
                container: container.clone(),
            })?
        };
        Ok(dir.join(container).join(format!("{run}.log")))
    }

    /// The folder of the pod asked for: of this UID, or the newest of this name.
    fn folder(&self, query: &LogQuery) -> Option<PathBuf> {
        if let Some(uid) = &query.uid {
            let dir = self.root.join(format!("{}_{}_{uid}", query.namespace, query.pod));
            return dir.is_dir().then_some(dir);
        }
        let prefix = format!("{}_{}_", query.namespace, query.pod);
        let created = |path: &Path| {
            fs::metadata(path.join(INDEX))
                .and_then(|m| m.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH)
        };
        fs::read_dir(&self.root)
            .ok()?
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(&prefix)))
            .map(|e| e.path())
            .max_by_key(|path| created(path))
    }
}

fn container(query: &LogQuery, dir: &Path) -> Result<String, LogsError> {
    let index: Option<PodIndex> = fs::read(dir.join(INDEX))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(name) = &query.container {
        let known = index.is_none_or(|i| i.containers.contains(name));
        return if known && !name.contains('/') && !name.starts_with('.') {
            Ok(name.clone())
        } else {
            Err(LogsError::NoSuchContainer {
                pod: query.pod.clone(),
                container: name.clone(),
            })
        };
    }
    match index {
        Some(PodIndex {
            default: Some(name), ..
        }) => Ok(name),
        Some(PodIndex { containers, .. }) => match containers.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(LogsError::WhichContainer {
                pod: query.pod.clone(),
                containers,
            }),
        },
        None => Err(LogsError::NoSuchPod {
            namespace: query.namespace.clone(),
            pod: query.pod.clone(),
        }),
    }
}

/// A reader somewhere in a log.
struct Tail {
    path: PathBuf,
    files: VecDeque<PathBuf>,
    open: Option<BufReader<File>>,
    progress: Option<watch::Receiver<Progress>>,
    generation: u32,
    left: Option<u64>,
    /// A line of which only the beginning is on disk.
    partial: Vec<u8>,
    query: LogQuery,
}

/// How much is handed on at once.
const CHUNK: usize = 64 << 10;

impl Tail {
    /// Opens the next file; false at the end of them.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(path) = self.files.pop_front() else {
            return Ok(false);
        };
        let mut file = File::open(path)?;
        if let Some(lines) = self.query.tail_lines.take() {
            let at = start_of_tail(&mut file, lines)?;
            file.seek(SeekFrom::Start(at))?;
        }
        self.open = Some(BufReader::new(file));
        Ok(true)
    }

    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            // Seen before the read: what is written after it wakes us.
            let closed = match &mut self.progress {
                Some(progress) => {
                    progress.borrow_and_update();
                    progress.has_changed().is_err()
                }
                None => true,
            };
            let chunk = self.read()?;
            if !chunk.is_empty() {
                return Ok(Some((Bytes::from(chunk), self)));
            }
            if self.left == Some(0) {
                return Ok(None);
            }
            if self.advance()? {
                continue;
            }
            if let Some(progress) = &mut self.progress {
                let generation = progress.borrow().generation;
                if generation != self.generation {
                    self.generation = generation;
                    self.files.push_back(self.path.clone());
                    continue;
                }
                if closed {
                    return Ok(None);
                }
                // An error means that the writer is gone: read once more, then end.
                let _ = progress.changed().await;
            } else {
                return Ok(None);
            }
        }
    }

    /// Reads what is there now, up to a chunk.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let Some(file) = &mut self.open else {
            return Ok(out);
        };
        while out.len() < CHUNK && self.left != Some(0) {
            if file.read_until(b'\n', &mut self.partial)? == 0 || !self.partial.ends_with(b"\n") {
                break;
            }
            if let Some(line) = Line::parse(&self.partial) {
                emit(&line, &self.query, &mut self.left, &mut out);
            }
            self.partial.clear();
        }
        Ok(out)
    }
}

fn emit(line: &Line<'_>, query: &LogQuery, left: &mut Option<u64>, out: &mut Vec<u8>) {
    if let Some(since) = query.since_time
        && line.time.parse::<Timestamp>().is_ok_and(|t| t < since)
    {
        return;
    }
    let from = out.len();
    if query.timestamps {
        out.extend_from_slice(line.time.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(line.text);
    if line.full {
        out.push(b'\n');
    }
    if let Some(left) = left {
        let grown = u64::try_from(out.len() - from).unwrap_or(u64::MAX);
        let keep = grown.min(*left);
        out.truncate(from + usize::try_from(keep).unwrap_or(0));
        *left -= keep;
    }
}

/// Where the last `lines` lines begin.
fn start_of_tail(file: &mut File, lines: u64) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(end);
    }
    let mut wanted = lines + 1; // the newline before the first wanted line
    let mut block = vec![0; CHUNK];
    while end > 0 {
        let size = usize::try_from(end).unwrap_or(CHUNK).min(CHUNK);
        let start = end - u64::try_from(size).unwrap_or(0);
        file.seek(SeekFrom::Start(start))?;
        let part = block.get_mut(..size).unwrap_or_default();
        file.read_exact(part)?;
        for (i, byte) in part.iter().enumerate().rev() {
            if *byte == b'\n' {
                wanted -= 1;
                if wanted == 0 {
                    return Ok(start + u64::try_from(i).unwrap_or(0) + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

/// The last bytes of a file.
pub(super) fn read_end(path: &Path, most: u64) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(end.saturating_sub(most)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(text)
    };
    read().unwrap_or_default()
}
