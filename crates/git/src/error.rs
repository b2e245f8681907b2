//! What could not be done or found out, and whether trying again may help.

use std::path::PathBuf;
use std::time::Duration;

use crate::names::NameError;
use crate::version::{FLOOR, Version};

/// Why a git operation gave no answer. All texts are redacted.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No git on the PATH.
    #[error("git is not installed: {program} was not found (git {FLOOR} or newer is needed)")]
    Missing {
        /// What was looked for.
        program: String,
    },
    /// A git we cannot work with.
    #[error("git {found} is too old: {FLOOR} or newer is needed (it lacks {lacks})")]
    TooOld {
        /// The version found.
        found: Version,
        /// What it cannot do.
        lacks: &'static str,
    },
    /// Not a git, or one that does not say its version.
    #[error("{program} does not answer like git: {answer:?}")]
    NotGit {
        /// The program asked.
        program: String,
        /// What it said.
        answer: String,
    },
    /// The command could not be started.
    #[error("cannot start git {command}: {source}")]
    Spawn {
        /// The git command.
        command: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The command ran past its deadline and was killed with everything it had started.
    #[error("git {command} took longer than {after:?} and was killed{}", tail(.stderr))]
    Timeout {
        /// The git command.
        command: &'static str,
        /// The deadline.
        after: Duration,
        /// What it had said until then.
        stderr: String,
    },
    /// The command wrote more than we are willing to hold.
    #[error("git {command} wrote more than {cap} bytes")]
    TooLarge {
        /// The git command.
        command: &'static str,
        /// The limit, in bytes.
        cap: usize,
    },
    /// The command failed.
    #[error("git {command} failed ({}){}", code(.status), tail(.stderr))]
    Failed {
        /// The git command.
        command: &'static str,
        /// Its exit code; `None` if a signal ended it.
        status: Option<i32>,
        /// What its words mean, as far as we can tell.
        fault: Fault,
        /// The end of what it said on standard error.
        stderr: String,
    },
    /// The command succeeded and said what we cannot read.
    #[error("cannot read the answer of git {command}: {what}")]
    Answer {
        /// The git command.
        command: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// There is no repository where one was expected.
    #[error("no git repository at {}", .0.display())]
    NoRepository(PathBuf),
    /// A file operation beside git failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A name that git would refuse.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl GitError {
    /// What the failure means, where git said something we know.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Failed { fault, .. } => *fault,
            Self::Timeout { .. } => Fault::Network,
            Self::NoRepository(_) => Fault::NotFound,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Fault::Disk,
            Self::Missing { .. }
            | Self::TooOld { .. }
            | Self::NotGit { .. }
            | Self::Spawn { .. }
            | Self::TooLarge { .. }
            | Self::Answer { .. }
            | Self::Io { .. }
            | Self::Name(_) => Fault::Other,
        }
    }

    /// Whether the same call may succeed later with nothing changed by a person.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.fault().is_transient()
    }
}

/// What git's words on standard error mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No repository there, or we may not know of it.
    NotFound,
    /// The repository has no such branch or commit.
    NoSuchRef,
    /// Credentials missing, wrong, or without the right to do this.
    Denied,
    /// May read and not write.
    ReadOnly,
    /// A credential is wanted and there is none.
    NoCredential,
    /// The SSH host is not known.
    HostKey,
    /// The SSH host has another key than the known one.
    HostKeyChanged,
    /// The private SSH key cannot be read by ssh.
    Key,
    /// The server's TLS certificate is not trusted.
    Certificate,
    /// The server sends us to another host.
    Moved,
    /// The server cannot move refs together.
    NoAtomic,
    /// Our user has no name, and ssh wants one.
    NoUser,
    /// There is no ssh here.
    NoSsh,
    /// Network or server trouble; also a connection cut in the middle, when the request may have been carried out.
    Network,
    /// Another process holds a lock.
    Locked,
    /// No space left.
    Disk,
    /// Objects are broken or missing.
    Corrupt,
    /// Nothing we know.
    Other,
}

impl Fault {
    /// Whether waiting may help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Network | Self::Locked)
    }

    /// A constant label for metrics and reasons.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::NoSuchRef => "NoSuchRef",
            Self::Denied => "Denied",
            Self::ReadOnly => "ReadOnly",
            Self::NoCredential => "NoCredential",
            Self::HostKeyChanged => "HostKeyChanged",
            Self::Key => "Key",
            Self::Certificate => "Certificate",
            Self::Moved => "Moved",
            Self::NoAtomic => "NoAtomic",
            Self::NoUser => "NoUser",
            Self::NoSsh => "NoSsh",
            Self::HostKey => "HostKey",
            Self::Network => "Network",
            Self::Locked => "Locked",
            Self::Disk => "Disk",
            Self::Corrupt => "Corrupt",
            Self::Other => "Other",
        }
    }

    /// Reads git's words. Definite causes first: git ends many failures, also permanent ones, with "hung up unexpectedly".
    pub(crate) fn read(stderr: &str) -> Self {
        let said = stderr.to_ascii_lowercase();
        WORDS
            .iter()
            .find(|(words, _)| words.iter().all(|word| said.contains(word)))
            .map_or(Self::Other, |(_, fault)| *fault)
    }
}

/// Phrases (all must occur) and what they mean; the first match wins. git runs with `LC_ALL=C`.
const WORDS: &[(&[&str], Fault)] = &[
    (&["no space left on device"], Fault::Disk),
    (&["disk quota exceeded"], Fault::Disk),
    (&["no user exists for uid"], Fault::NoUser),
    (&["ssh: not found"], Fault::NoSsh),
    (&["ssh: command not found"], Fault::NoSsh),
    (&["cannot run ssh"], Fault::NoSsh),
    (&["host identification has changed"], Fault::HostKeyChanged),
    (&["host key verification failed"], Fault::HostKey),
    (&["load key", "invalid format"], Fault::Key),
    (&["load key", "error in libcrypto"], Fault::Key),
    (&["does not support --atomic"], Fault::NoAtomic),
    (&["certificate problem"], Fault::Certificate),
    (&["certificate verification failed"], Fault::Certificate),
    (&["certificate verify failed"], Fault::Certificate),
    (&["local issuer certificate"], Fault::Certificate),
    (&["no alternative certificate subject name"], Fault::Certificate),
    (&["certificate subject name"], Fault::Certificate),
    (&["error setting certificate"], Fault::Certificate),
    (&["couldn't find remote ref"], Fault::NoSuchRef),
    (&["not our ref"], Fault::NoSuchRef),
    (&["does not match any"], Fault::NoSuchRef),
    (&["unknown revision"], Fault::NoSuchRef),
    (&["not a valid object name"], Fault::NoSuchRef),
    (&["authentication failed"], Fault::Denied),
    (&["could not read username"], Fault::NoCredential),
    (&["could not read password"], Fault::NoCredential),
    (&["marked as read only"], Fault::ReadOnly),
    (&["not allowed to push"], Fault::ReadOnly),
    (&["denied for writing"], Fault::ReadOnly),
    (&["write access to repository not granted"], Fault::ReadOnly),
    (&["permission to", "denied"], Fault::Denied),
    (&["permission denied"], Fault::Denied),
    (&["access denied"], Fault::Denied),
    (&["returned error: 401"], Fault::Denied),
    (&["returned error: 403"], Fault::Denied),
    (&["detected dubious ownership"], Fault::Denied),
    (&["not allowed"], Fault::Denied),
    (&["repository not found"], Fault::NotFound),
    (&["fatal: repository", "not found"], Fault::NotFound),
    (&["does not appear to be a git repository"], Fault::NotFound),
    (&["not a git repository"], Fault::NotFound),
    (&["returned error: 404"], Fault::NotFound),
    (&["repository", "does not exist"], Fault::NotFound),
    (&["unable to create", ".lock", "file exists"], Fault::Locked),
    (&["another git process seems to be running"], Fault::Locked),
    (&["shallow file has changed"], Fault::Locked),
    (&["could not resolve host"], Fault::Network),
    (&["name resolution"], Fault::Network),
    (&["connection refused"], Fault::Network),
    (&["connection reset"], Fault::Network),
    (&["connection timed out"], Fault::Network),
    (&["operation timed out"], Fault::Network),
    (&["failed to connect"], Fault::Network),
    (&["returned error: 5"], Fault::Network),
    (&["returned error: 429"], Fault::Network),
    (&["rpc failed"], Fault::Network),
    (&["early eof"], Fault::Network),
    (&["network is unreachable"], Fault::Network),
    (&["remote failed to report status"], Fault::Network),
    (&["bad object"], Fault::Corrupt),
    (&["object file", "is empty"], Fault::Corrupt),
    (&["loose object", "is corrupt"], Fault::Corrupt),
    (&["missing blob"], Fault::Corrupt),
    (&["could not read from remote repository"], Fault::Network),
    (&["hung up unexpectedly"], Fault::Network),
    (&["unable to access"], Fault::Network),
    (&["unexpected disconnect"], Fault::Network),
];

fn code(status: &Option<i32>) -> String {
    status.map_or_else(|| "killed by a signal".to_owned(), |code| format!("exit code {code}"))
}

fn tail(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn what_git_says_and_what_it_means() {
        for (said, fault) in [
            (
                "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Fault::NotFound,
            ),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h",
                Fault::Network,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 403",
                Fault::Denied,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 503",
                Fault::Network,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Fault::Denied,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Fault::HostKey,
            ),
            ("fatal: couldn't find remote ref refs/heads/x", Fault::NoSuchRef),
            (
                "kex_exchange_identification: read\nfatal: Could not read from remote repository.",
                Fault::Network,
            ),
            (
                "fatal: Unable to create '/r/packed-refs.lock': File exists.",
                Fault::Locked,
            ),
            (
                "error: file write error: No space left on device\nfatal: early EOF",
                Fault::Disk,
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\nfatal: Could not read from remote repository.",
                Fault::HostKeyChanged,
            ),
            (
                "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote repository.",
                Fault::ReadOnly,
            ),
            (
                "ERROR: Permission to o/r.git denied to nux.\nfatal: Could not read from remote repository.",
                Fault::Denied,
            ),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                Fault::NoCredential,
            ),
            (
                "No user exists for uid 1000660000\nfatal: Could not read from remote repository.",
                Fault::NoUser,
            ),
            (
                "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none",
                Fault::Certificate,
            ),
            (
                "fatal: the receiving end does not support --atomic push\nfatal: the remote end hung up unexpectedly",
                Fault::NoAtomic,
            ),
            (
                "fatal: unable to access 'https://h/': Operation too slow. Less than 1 bytes/sec transferred the last 60 seconds",
                Fault::Network,
            ),
            ("fatal: something new", Fault::Other),
        ] {
            assert_eq!(Fault::read(said), fault, "{said}");
        }
        assert!(Fault::Network.is_transient() && Fault::Locked.is_transient());
        assert!(!Fault::Denied.is_transient() && !Fault::NotFound.is_transient() && !Fault::Other.is_transient());
    }
}
