//! What the agent printed, as it printed it, goes through courier's log: marked lines, for machines.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use gastown_wire::{RAW_MARK, Transcript};

use crate::{files, setup::Pod};

/// Most that is taken at a time. Bytes.
const GULP: u64 = 4 * 1024 * 1024;

/// Follows the raw stream. The agent can write that file: only a plain one is read, and how far is known here.
#[derive(Debug)]
pub(super) struct Raw {
    file: Option<PathBuf>,
    mark: PathBuf,
    read: u64,
}

impl Raw {
    /// Goes on where an earlier run of this container was.
    pub(super) fn of(pod: &Pod) -> Self {
        let mark = pod.private("raw-read");
        let read = fs::read_to_string(&mark)
            .ok()
            .and_then(|t| t.trim().parse().ok())
            .unwrap_or(0);
        // What is shown as it is need not be shown twice.
        let known = pod.orders.agent.transcript != Transcript::Text;
        Self {
            file: known.then(|| pod.raw_file()),
            mark,
            read,
        }
    }

    /// Prints what is new; half a line waits for its end.
    pub(super) fn pump(&mut self) {
        while self.gulp().is_some_and(|n| n > 0) {}
    }

    fn gulp(&mut self) -> Option<u64> {
        let mut file = fs::File::options()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(self.file.as_ref()?)
            .ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        file.seek(SeekFrom::Start(self.read)).ok()?;
        let mut bytes = Vec::new();
        file.take(GULP).read_to_end(&mut bytes).ok()?;
        let whole = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(end) => end + 1,
            // A line longer than a gulp goes in pieces.
            None if bytes.len() as u64 == GULP => bytes.len(),
            None => return None,
        };
        let text = String::from_utf8_lossy(bytes.get(..whole)?);
        let mut out = std::io::stdout().lock();
        for line in text.lines() {
            // The agent may have written there itself.
            let line = crate::transcript::line::clean(line);
            writeln!(out, "{RAW_MARK}{line}").ok()?;
        }
        out.flush().ok()?;
        self.read += whole as u64;
        // Lost, some lines are printed twice after a restart.
        let _ = files::replace(&self.mark, self.read.to_string().as_bytes(), 0o600);
        Some(whole as u64)
    }
}
