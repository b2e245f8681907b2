//! The git of this machine: found once, its version checked, its environment fixed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::call::Call;
use crate::error::GitError;
use crate::names::{BranchName, Oid, RefName};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::ssh::SshAccess;
use crate::version::Version;

/// How long a command may take unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What is taken from our own environment: where programs and scratch space are, and how to get out of the house.
const INHERITED: &[&str] = &[
    "PATH",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "https_proxy",
    // Windows: without these no program has temporary files, sockets or name resolution.
    "TEMP",
    "TMP",
    "SystemRoot",
    // The upper-case one is not read by git's http library, as a request's header can set it.
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

const FIXED: &[(&str, &str)] = &[
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("GIT_ALLOW_PROTOCOL", "file:http:https:ssh"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_EDITOR", "false"),
    ("GIT_PAGER", "cat"),
    ("GIT_MERGE_AUTOEDIT", "no"),
];

/// The git of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    version: Version,
    timeout: Duration,
    ssh_command: OsString,
    added: Vec<(OsString, OsString)>,
    as_user: bool,
    environment: Arc<Environment>,
}

#[derive(Debug)]
struct Environment {
    variables: Vec<(OsString, OsString)>,
    // Held so that the folder lives as long as anyone may run git.
    home: Option<Home>,
}

impl Git {
    /// Finds git on the PATH and checks its version.
    ///
    /// # Errors
    /// [`GitError::Missing`], [`GitError::TooOld`] with what it lacks, or [`GitError::NotGit`].
    pub async fn probe() -> Result<Self, GitError> {
        Self::probe_program(Path::new("git")).await
    }

    /// Like [`Git::probe`] with a given program.
    ///
    /// # Errors
    /// See [`Git::probe`].
    pub async fn probe_program(program: &Path) -> Result<Self, GitError> {
        let mut git = Self {
            program: program.to_owned(),
            version: crate::version::FLOOR,
            timeout: TIMEOUT,
            ssh_command: crate::ssh::NOBODY.into(),
            added: Vec::new(),
            as_user: false,
            environment: Arc::new(Environment::new()),
        };
        let answer = Call::new(&git, "version").ok().await?;
        let said = answer.text();
        git.version = Version::parse(&said).ok_or_else(|| GitError::NotGit {
            program: program.display().to_string(),
            answer: said.trim().to_owned(),
        })?;
        match git.version.lacks() {
            Some(lacks) => Err(GitError::TooOld {
                found: git.version,
                lacks,
            }),
            None => Ok(git),
        }
    }

    /// The same git with another deadline for each command.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same git with another SSH command line (read by a shell, as `GIT_SSH_COMMAND` is).
    #[must_use]
    pub fn with_ssh_command(mut self, command: impl Into<OsString>) -> Self {
        self.ssh_command = command.into();
        self
    }

    /// The same git, meeting SSH servers with this key and knowing these hosts.
    ///
    /// # Errors
    /// If there is no private place to put the key.
    pub fn with_ssh(mut self, access: &SshAccess) -> Result<Self, GitError> {
        let key = self.keep("ssh-key", access.key().as_bytes())?;
        let hosts = self.keep("known-hosts", access.known_hosts().as_bytes())?;
        self.ssh_command = crate::ssh::command(&key, &hosts).into();
        Ok(self)
    }

    /// The same git, trusting these authorities (PEM) and no others.
    ///
    /// # Errors
    /// If there is no place to put them.
    pub fn with_authorities(mut self, pem: &str) -> Result<Self, GitError> {
        let file = self.keep("authorities", pem.as_bytes())?;
        self.added.push(("GIT_SSL_CAINFO".into(), file.into()));
        Ok(self)
    }

    /// The same git with the settings and credentials of whoever runs us, and still without questions. Only for
    /// repositories and remotes of that person's own, on that person's word.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        self.as_user = true;
        self
    }

    pub(crate) fn is_user(&self) -> bool {
        self.as_user
    }

    /// A file nobody else may read, gone with this git.
    fn keep(&self, name: &str, content: &[u8]) -> Result<PathBuf, GitError> {
        let failed = |path: &Path, source| GitError::Io {
            what: "write",
            path: path.to_owned(),
            source,
        };
        let Some(home) = &self.environment.home else {
            let nowhere = std::io::Error::other("there is no folder for temporary files that can be written");
            return Err(failed(&std::env::temp_dir(), nowhere));
        };
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = home.0.join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        private_file()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(content))
            .map_err(|source| failed(&path, source))?;
        Ok(path)
    }

    /// A file nobody else may read, gone when dropped.
    pub(crate) fn lend(&self, content: &str) -> Result<Lent, GitError> {
        self.keep("lent", content.as_bytes()).map(Lent)
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The deadline of each command.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn ssh_command(&self) -> &OsStr {
        &self.ssh_command
    }

    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        if self.as_user {
            return of_user();
        }
        let added = |key: &OsStr| self.added.iter().any(|(name, _)| name == key);
        let own = self.environment.variables.iter().filter(|(key, _)| !added(key));
        own.chain(&self.added).cloned().collect()
    }

    /// Makes an empty bare repository, or finds the one that is there.
    ///
    /// # Errors
    /// If git or the file system refuses.
    pub async fn init_bare(&self, dir: &Path) -> Result<Repo, GitError> {
        self.init(dir, Some("--bare")).await
    }

    /// Makes an empty repository with a work tree, on the unborn branch `main`.
    ///
    /// # Errors
    /// If git or the file system refuses.
    pub async fn init_worktree(&self, dir: &Path) -> Result<Repo, GitError> {
        self.init(dir, None).await
    }

    async fn init(&self, dir: &Path, bare: Option<&str>) -> Result<Repo, GitError> {
        // No template: it would bring sample hooks and whatever the distribution put there.
        Call::new(self, "init")
            .args(["--quiet", "--template="])
            .args(bare)
            .end_of_options()
            .arg(dir)
            .ok()
            .await?;
        Ok(Repo::at(self.clone(), dir))
    }

    /// Opens a repository that only we write: a bare one, or the top of a work tree.
    ///
    /// # Errors
    /// [`GitError::NoRepository`] if there is none at exactly this place.
    pub async fn open(&self, dir: &Path) -> Result<Repo, GitError> {
        let repo = Repo::at(self.clone(), dir);
        let answer = repo.call("rev-parse").arg("--git-dir").run().await?;
        match answer.code {
            Some(0) => Ok(repo),
            _ if answer.stderr.contains("not a git repository") => Err(GitError::NoRepository(dir.to_owned())),
            _ => Err(answer.failure()),
        }
    }

    /// The refs of a remote that match `patterns`: full names, or prefixes ending in `*`; none means all. No peeled tags, no `HEAD`.
    ///
    /// # Errors
    /// If the remote cannot be read; [`GitError::fault`] tells why.
    pub async fn ls_remote(&self, remote: &Remote, patterns: &[&str]) -> Result<BTreeMap<RefName, Oid>, GitError> {
        let answer = Call::new(self, "ls-remote")
            .args(["--quiet", "--refs"])
            .remote(remote)
            .args(patterns)
            .ok()
            .await?;
        let mut refs = BTreeMap::new();
        for line in answer.text().lines() {
            let (oid, name) = line.split_once('\t').ok_or_else(|| answer.unreadable(line))?;
            let oid = Oid::parse(oid).map_err(|e| answer.unreadable(e.to_string()))?;
            // A server may hold names we would not write; they are not ours. git matches patterns at any depth; we do not.
            if let Ok(name) = RefName::parse(name)
                && (patterns.is_empty() || patterns.iter().any(|p| matches(p, name.as_str())))
            {
                refs.insert(name, oid);
            }
        }
        Ok(refs)
    }

    /// The branch that a remote's `HEAD` names, if it names one that exists.
    ///
    /// # Errors
    /// If the remote cannot be read.
    pub async fn default_branch(&self, remote: &Remote) -> Result<Option<BranchName>, GitError> {
        let answer = Call::new(self, "ls-remote")
            .args(["--quiet", "--symref"])
            .remote(remote)
            .arg("HEAD")
            .ok()
            .await?;
        let text = answer.text();
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"))
            .find_map(|name| RefName::parse(name).ok()?.as_branch()))
    }
}

/// All that a person's own git has, but for what says which repository this is; it asks nothing.
fn of_user() -> Vec<(OsString, OsString)> {
    const PLACES: [&str; 5] = [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
    ];
    let own = std::env::vars_os().filter(|(key, _)| PLACES.iter().all(|place| key != place));
    let mut variables: Vec<(OsString, OsString)> = own.collect();
    if !variables.iter().any(|(key, _)| key == "GIT_SSH_COMMAND") {
        variables.push(("GIT_SSH_COMMAND".into(), "ssh -oBatchMode=yes".into()));
    }
    variables.extend([
        ("LC_ALL".into(), "C".into()),
        ("GIT_TERMINAL_PROMPT".into(), "0".into()),
    ]);
    variables
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

impl Environment {
    fn new() -> Self {
        let home = Home::create();
        // Where nothing can be written, nothing can be read either: git takes a file for an empty home.
        let (dir, config) = match &home {
            Some(home) => (home.0.clone(), home.config()),
            None => ("/dev/null".into(), "/dev/null".into()),
        };
        let inherited = INHERITED
            .iter()
            .filter_map(|key| Some(((*key).into(), std::env::var_os(key)?)));
        let mut variables: Vec<(OsString, OsString)> = inherited.collect();
        if !variables.iter().any(|(key, _)| key == "PATH") {
            variables.push(("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()));
        }
        variables.extend(FIXED.iter().map(|(k, v)| ((*k).into(), (*v).into())));
        variables.push(("HOME".into(), dir.into()));
        variables.push(("GIT_CONFIG_GLOBAL".into(), config.into()));
        Self { variables, home }
    }
}

#[cfg(unix)]
fn private_file() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new();
    file.mode(0o600);
    file
}

#[cfg(unix)]
fn private_folder() -> std::fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut folder = std::fs::DirBuilder::new();
    folder.mode(0o700);
    folder
}

/// A person's temporary files lie in a folder that nobody else may enter.
#[cfg(windows)]
fn private_file() -> std::fs::OpenOptions {
    std::fs::OpenOptions::new()
}

#[cfg(windows)]
fn private_folder() -> std::fs::DirBuilder {
    std::fs::DirBuilder::new()
}

/// A file that is there for one command.
pub(crate) struct Lent(PathBuf);

impl Lent {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // What stays goes with the folder.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An empty home of our own, readable by nobody else, gone with the last [`Git`].
/// Its configuration file says one thing, which must also reach the other end of a local fetch: whose repository it is does not matter.
#[derive(Debug)]
struct Home(PathBuf);

impl Home {
    fn create() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        let name = format!(
            "gastown-git-{}-{}-{nanos}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let home = std::env::temp_dir().join(name);
        // Not recursive: it fails if somebody was there before us.
        private_folder().create(&home).ok()?;
        let home = Self(home);
        std::fs::write(home.config(), "[safe]\n\tdirectory = *\n").ok()?;
        Some(home)
    }

    fn config(&self) -> PathBuf {
        self.0.join("gitconfig")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, home = %self.0.display(), "scratch home stays behind");
        }
    }
}
