//! A conversation as one file: a line of JSON that names its parts, then their bytes. `run` packs it, courier carries it as a
//! blob, the next attempt's `clone` brings it, and its `run` unpacks it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};

/// Most that is kept. Bytes.
pub const LIMIT: usize = 48 * 1024 * 1024;
/// Name of the file in the shared volume, and in the commit that carries it.
pub const FILE: &str = "conversation";

/// What the first line says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head {
    /// As the agent calls it.
    pub session: String,
    /// Which agent.
    pub agent: String,
    /// Where it was held: some agents find it by that.
    pub cwd: String,
    /// Path below home, and length.
    pub parts: Vec<(String, usize)>,
}

/// A conversation in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// About it.
    pub head: Head,
    /// Content of each part.
    pub parts: Vec<Vec<u8>>,
}

impl Conversation {
    /// As a file.
    #[must_use]
    pub fn pack(mut self) -> Vec<u8> {
        self.head.parts = self
            .head
            .parts
            .into_iter()
            .zip(&self.parts)
            .map(|((name, _), p)| (name, p.len()))
            .collect();
        // Plain data always serialises.
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        for part in &self.parts {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// From a file; none: it is not one, or was cut.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let head: Head = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let mut rest = bytes.get(end + 1..)?;
        let mut parts = Vec::new();
        for (_, length) in &head.parts {
            let (part, tail) = rest.split_at_checked(*length)?;
            parts.push(part.to_vec());
            rest = tail;
        }
        rest.is_empty().then_some(Self { head, parts })
    }
}

/// Reads the packed file where an agent could have put anything: a plain file of a bounded size, no link.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let opened = fs::File::options()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.size() > LIMIT as u64 {
        return Err(io::Error::other("it is no plain file, or larger than is kept"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A relative path without `..`.
#[must_use]
pub fn is_below(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_comes_back_and_a_cut_one_does_not() {
        let talk = Conversation {
            head: Head {
                session: "s".into(),
                parts: vec![("a".into(), 0), ("b/c".into(), 0)],
                ..Head::default()
            },
            parts: vec![b"one\n\xff".to_vec(), Vec::new()],
        };
        let packed = talk.clone().pack();
        let back = Conversation::unpack(&packed).unwrap();
        assert_eq!((&back.parts, &back.head.session), (&talk.parts, &talk.head.session));
        assert_eq!(Conversation::unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(Conversation::unpack(b"{}"), None);
        assert!(is_below("a/.b") && !is_below("/a") && !is_below("a/../b") && !is_below(""));
    }

    #[test]
    fn links_and_folders_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(read(&path).unwrap(), None);
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(read(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(read(&path).is_err());
    }
}
