//! The command builder: every git command of this crate is one of these.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Fault, GitError};
use crate::git::{Git, Lent};
use crate::process::{self, Broken, Cap, Spec};
use crate::redact::redact;
use crate::remote::{Credential, Remote, RemoteKind, sent_elsewhere};

/// Most a command may write to standard output unless said otherwise, in bytes.
const CAP: usize = 64 * 1024 * 1024;

/// Configuration of every command. It comes by environment (`GIT_CONFIG_COUNT`), so it stands above the repository's own
/// and, unlike a global file, does not reach the hooks and settings of a local remote, which are its owner's.
const CONFIG: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("core.autocrlf", "false"),
    ("core.askPass", ""),
    ("safe.directory", "*"),
    ("protocol.version", "2"),
    ("init.defaultBranch", "main"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("commit.gpgSign", "false"),
    ("log.showSignature", "false"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("diff.renames", "false"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("merge.renames", "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("credential.helper", ""),
    ("http.sslVerify", "true"),
    // A server that says nothing at all for a minute will not: even one that is busy sends keepalives.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("advice.detachedHead", "false"),
    ("advice.pushUpdateRejected", "false"),
    ("advice.addEmbeddedRepo", "false"),
    ("advice.statusHints", "false"),
    ("color.ui", "false"),
    // What comes in is checked; but old history with sloppy headers is everywhere and does no harm.
    ("transfer.fsckObjects", "true"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.zeroPaddedDate", "ignore"),
    ("fetch.fsck.badEmail", "ignore"),
    ("fetch.fsck.badName", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingTaggerEntry", "ignore"),
];

/// What of it a person's own git decides by itself.
const OF_THE_USER: [&str; 2] = ["credential.helper", "core.askPass"];

/// One git command, being put together.
pub(crate) struct Call {
    git: Git,
    name: &'static str,
    before: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    config: Vec<(String, String)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
    cap: Cap,
    secrets: Vec<String>,
    /// The credential's file, for as long as the command runs.
    lent: Option<Lent>,
    /// Scheme and host of the remote, where it is reached by http.
    home: Option<String>,
    /// What stood in the way before anything ran.
    failed: Option<GitError>,
}

/// What a command answered, whatever its exit code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) name: &'static str,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) truncated: bool,
    /// Redacted.
    pub(crate) stderr: String,
}

impl Call {
    pub(crate) fn new(git: &Git, name: &'static str) -> Self {
        Self {
            git: git.clone(),
            name,
            before: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            config: Vec::new(),
            dir: None,
            stdin: None,
            timeout: git.timeout(),
            cap: Cap::Fail(CAP),
            secrets: Vec::new(),
            lent: None,
            home: None,
            failed: None,
        }
    }

    /// An option before the command's name.
    pub(crate) fn top(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.before.push(arg.as_ref().to_owned());
        self
    }

    /// An argument. User values come after [`Call::end_of_options`] or cannot start with a dash by type.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// `--`: nothing after it is an option.
    pub(crate) fn end_of_options(self) -> Self {
        self.arg("--")
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key.into(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    pub(crate) fn cap(mut self, cap: Cap) -> Self {
        self.cap = cap;
        self
    }

    /// `-- <address>`, with the credential where only git sees it.
    pub(crate) fn remote(mut self, remote: &Remote) -> Self {
        let (argument, credential) = remote.parts();
        self.home = remote.url().origin();
        if let (Some(credential), Some(home)) = (credential, self.home.clone()) {
            self = self.credential(&credential, &home);
        }
        if remote.url().kind() == RemoteKind::Ssh && !self.git.is_user() {
            let ssh = self.git.ssh_command().to_owned();
            self = self.env("GIT_SSH_COMMAND", ssh);
        }
        self.end_of_options().arg(argument)
    }

    /// For this host alone: wherever a server may send us, the credential stays.
    fn credential(mut self, credential: &Credential, home: &str) -> Self {
        self.secrets.extend(credential.secrets());
        match self.git.lend(&credential.answer()) {
            Ok(lent) => {
                self = self.env(Credential::FILE, lent.path());
                self.config
                    .push((format!("credential.{home}.helper"), Credential::HELPER.to_owned()));
                self.lent = Some(lent);
            }
            Err(error) => self.failed = Some(error),
        }
        self
    }

    /// Runs it; any exit code is an answer.
    pub(crate) async fn run(mut self) -> Result<Answer, GitError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut args = std::mem::take(&mut self.before);
        args.push(self.name.into());
        args.append(&mut self.args);
        let env = self.environment();
        let spec = Spec {
            program: self.git.program(),
            args: &args,
            env: &env,
            dir: self.dir.as_deref(),
            stdin: self.stdin.take(),
            deadline: self.timeout,
            cap: self.cap,
        };
        tracing::trace!(command = self.name, "git");
        match process::run(spec).await {
            Ok(out) => self.minding_where(Answer {
                name: self.name,
                code: out.code,
                stdout: out.stdout,
                truncated: out.truncated,
                stderr: self.redacted(&out.stderr),
            }),
            Err(broken) => Err(self.broken(broken)),
        }
    }

    /// An answer of another host is none.
    fn minding_where(&self, answer: Answer) -> Result<Answer, GitError> {
        let elsewhere = self.home.as_ref().and_then(|home| sent_elsewhere(&answer.stderr, home));
        match elsewhere {
            None => Ok(answer),
            Some(there) => Err(GitError::Failed {
                command: answer.name,
                status: answer.code,
                fault: Fault::Moved,
                stderr: format!("the server sends us to {there}"),
            }),
        }
    }

    /// Runs it; anything but exit code 0 is an error.
    pub(crate) async fn ok(self) -> Result<Answer, GitError> {
        self.run().await?.accept(&[0])
    }

    /// Runs it for the one object id it prints.
    pub(crate) async fn oid(self) -> Result<crate::Oid, GitError> {
        self.ok().await?.oid()
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env = self.git.environment();
        env.extend(self.env.iter().cloned());
        let own = CONFIG
            .iter()
            .filter(|(key, _)| !(self.git.is_user() && OF_THE_USER.contains(key)));
        let own = own.map(|(k, v)| (*k, *v));
        let added = self.config.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let mut count = 0_usize;
        for (key, value) in own.chain(added) {
            env.push((format!("GIT_CONFIG_KEY_{count}").into(), key.into()));
            env.push((format!("GIT_CONFIG_VALUE_{count}").into(), value.into()));
            count += 1;
        }
        env.push(("GIT_CONFIG_COUNT".into(), count.to_string().into()));
        env
    }

    fn redacted(&self, bytes: &[u8]) -> String {
        redact(String::from_utf8_lossy(bytes).trim(), &self.secrets)
    }

    fn broken(&self, broken: Broken) -> GitError {
        match broken {
            Broken::Spawn(source) => match &self.dir {
                // A missing folder and a missing program look the same to spawn.
                Some(dir) if !dir.is_dir() => GitError::NoRepository(dir.clone()),
                _ if source.kind() == std::io::ErrorKind::NotFound => GitError::Missing {
                    program: self.git.program().display().to_string(),
                },
                _ => GitError::Spawn {
                    command: self.name,
                    source,
                },
            },
            Broken::Pipe(source) => GitError::Spawn {
                command: self.name,
                source,
            },
            Broken::Timeout { stderr } => GitError::Timeout {
                command: self.name,
                after: self.timeout,
                stderr: self.redacted(&stderr),
            },
            Broken::TooLarge { cap } => GitError::TooLarge {
                command: self.name,
                cap,
            },
        }
    }
}

impl Answer {
    /// The answer, if its exit code is one of `codes`.
    pub(crate) fn accept(self, codes: &[i32]) -> Result<Self, GitError> {
        // Output cut on purpose ends the command by a signal.
        if self.truncated || self.code.is_some_and(|code| codes.contains(&code)) {
            return Ok(self);
        }
        Err(self.failure())
    }

    pub(crate) fn failure(self) -> GitError {
        GitError::Failed {
            command: self.name,
            status: self.code,
            fault: Fault::read(&self.stderr),
            stderr: self.stderr,
        }
    }

    pub(crate) fn unreadable(&self, what: impl Into<String>) -> GitError {
        GitError::Answer {
            command: self.name,
            what: what.into(),
        }
    }

    pub(crate) fn oid(&self) -> Result<crate::Oid, GitError> {
        let text = String::from_utf8_lossy(&self.stdout);
        crate::Oid::parse(text.trim()).map_err(|e| self.unreadable(e.to_string()))
    }

    /// Standard output as text, one item a line.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Splits NUL-terminated output.
pub(crate) fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let empty = bytes.is_empty();
    body.split(|b| *b == 0).filter(move |_| !empty)
}

/// A path as git prints it with `-z`.
#[cfg(unix)]
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// A path as git prints it with `-z`: in UTF-8, whatever the system writes its names in.
#[cfg(windows)]
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

/// A path as git reads it with `-z`.
pub(crate) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
