//! OpenSSH's server, one process a caller, with a host key and authorized keys of its own. Needs no privilege.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::door::{Door, Mood};
use super::http::hold;
use super::{Access, Repositories};

const SSHD: [&str; 2] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"];
/// Where sshd wants an empty folder if it is started by root.
const SEPARATION: &str = "/run/sshd";

/// A key pair.
#[derive(Clone, Debug)]
pub struct SshKey {
    /// The private key, as `ssh-keygen` writes it.
    pub private: String,
    /// The public one, on one line.
    pub public: String,
}

impl SshKey {
    /// A new ed25519 key.
    #[must_use]
    pub fn new() -> Self {
        Self::generate("ed25519", "")
    }

    /// A new key of a kind (`rsa`, `ecdsa`, `ed25519`), under a passphrase where one is given.
    #[must_use]
    pub fn generate(kind: &str, passphrase: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        keygen(&[
            "-q",
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "test",
            "-f",
            file.to_str().unwrap(),
        ]);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        Self {
            private: read(&file),
            public: read(&file.with_extension("pub")).trim().to_owned(),
        }
    }
}

impl Default for SshKey {
    fn default() -> Self {
        Self::new()
    }
}

/// A running server. Dropped, it is gone.
#[derive(Debug)]
pub struct SshGit {
    door: Door,
    user: String,
    dir: TempDir,
    root: PathBuf,
    host_key: Mutex<SshKey>,
    authorized: Mutex<String>,
}

impl SshGit {
    /// A server of these repositories on a free loopback port; `None`, and a word on standard error, where this machine
    /// cannot have one.
    #[must_use]
    pub fn of(repositories: &Repositories) -> Option<Self> {
        Self::at(repositories.root(), SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
    }

    /// The same of any folder and on another address; for others on a bridge.
    #[must_use]
    pub fn at(root: &Path, addr: SocketAddr) -> Option<Self> {
        match Ready::check() {
            Ok(ready) => Some(Self::start(root, addr, ready)),
            Err(lacks) => {
                eprintln!("SKIPPED: no ssh server for this test: {lacks}");
                None
            }
        }
    }

    fn start(root: &Path, addr: SocketAddr, ready: Ready) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("sshd_config");
        let (sshd, place) = (ready.sshd, config.clone());
        let door = Door::open(addr, move |stream, mood| {
            attend(stream, sshd.clone(), place.clone(), mood)
        });
        let server = Self {
            door,
            user: ready.user,
            root: root.to_owned(),
            host_key: Mutex::new(SshKey::new()),
            authorized: Mutex::new(String::new()),
            dir,
        };
        server.write_gate();
        server.change_host_key();
        // A home of its own: what the user's shell would read in theirs may take long, and one at a time.
        server.write(
            "sshd_config",
            &format!(
                "HostKey {0}/host_key\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\nUsePAM no\nStrictModes no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\n\
                 PermitRootLogin forced-commands-only\nPermitTTY no\nPrintMotd no\nAllowTcpForwarding no\n\
                 X11Forwarding no\nAcceptEnv GIT_PROTOCOL\nSetEnv HOME={0}\nLogLevel ERROR\n",
                server.dir.path().display()
            ),
            0o600,
        );
        server
    }

    /// A new key that may do this, and nothing but git.
    #[must_use]
    pub fn key(&self, access: Access) -> SshKey {
        let key = SshKey::new();
        self.authorize(&key, access);
        key
    }

    /// This key may do this, and nothing but git.
    pub fn authorize(&self, key: &SshKey, access: Access) {
        let word = match access {
            Access::Write => "write",
            Access::Read => "read",
        };
        let mut authorized = self.authorized.lock().unwrap();
        let gate = self.dir.path().join("gate");
        authorized.push_str(&format!(
            "command=\"{} {word}\",restrict {}\n",
            gate.display(),
            key.public
        ));
        self.write("authorized_keys", &authorized, 0o600);
    }

    /// The address of a repository, as `ssh://user@host:port/name`.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        self.url_at(&self.door.addr.ip().to_string(), name)
    }

    /// The address of a repository, by the name its callers know the host by.
    #[must_use]
    pub fn url_at(&self, host: &str, name: &str) -> String {
        format!("ssh://{}@{host}:{}/{name}", self.user, self.door.addr.port())
    }

    /// The server's line of a known_hosts file.
    #[must_use]
    pub fn known_hosts(&self) -> String {
        self.known_hosts_at(&self.door.addr.ip().to_string())
    }

    /// The same, by the name its callers know the host by.
    #[must_use]
    pub fn known_hosts_at(&self, host: &str) -> String {
        let public = self.host_key.lock().unwrap().public.clone();
        format!("[{host}]:{} {public}\n", self.door.addr.port())
    }

    /// As after the server was set up anew, or by somebody in the middle.
    pub fn change_host_key(&self) {
        let key = SshKey::new();
        self.write("host_key", &key.private, 0o600);
        *self.host_key.lock().unwrap() = key;
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr
    }

    /// From now on.
    pub fn feel(&self, mood: Mood) {
        self.door.feel(mood);
    }

    /// Connections are refused from now on, and those that stand are cut.
    pub fn down(&self) {
        self.door.down();
    }

    /// Listens at the same address again.
    pub fn up(&self) {
        self.door.up();
    }

    /// The forced command: git and nothing else, in the words of a forge.
    fn write_gate(&self) {
        let script = format!(
            "#!/bin/sh\n\
             export HOME=/dev/null GIT_CONFIG_NOSYSTEM=1\n\
             case \"$SSH_ORIGINAL_COMMAND\" in\n\
             \"git-upload-pack '\"*\"'\") service=upload-pack ;;\n\
             \"git-receive-pack '\"*\"'\") service=receive-pack\n\
               if [ \"$1\" = read ]; then echo 'ERROR: The key you are authenticating with has been marked as read only.' >&2; exit 1; fi ;;\n\
             *) echo 'ERROR: this key is for git only' >&2; exit 1 ;;\n\
             esac\n\
             path=${{SSH_ORIGINAL_COMMAND#*\\'}}; path=${{path%\\'}}; path=${{path#/}}; path=${{path#\\~/}}\n\
             if [ ! -d \"{0}/$path\" ]; then echo 'ERROR: Repository not found.' >&2; exit 1; fi\n\
             exec git \"$service\" \"{0}/$path\"\n",
            self.root.display()
        );
        self.write("gate", &script, 0o755);
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let (fresh, path) = (self.dir.path().join(format!("{name}.new")), self.dir.path().join(name));
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(fresh, path).unwrap();
    }
}

/// What this machine offers.
struct Ready {
    sshd: PathBuf,
    user: String,
}

impl Ready {
    fn check() -> Result<Self, String> {
        let sshd = SSHD
            .iter()
            .map(PathBuf::from)
            .find(|p| p.is_file())
            .ok_or("sshd is missing; install openssh-server")?;
        let uid = nix::unistd::Uid::current();
        let user = nix::unistd::User::from_uid(uid)
            .ok()
            .flatten()
            .ok_or_else(|| format!("no user has the id {uid}"))?;
        let shell = user
            .shell
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if matches!(shell.as_str(), "nologin" | "false") {
            return Err(format!("user {} has no shell", user.name));
        }
        if uid.is_root() && !Path::new(SEPARATION).is_dir() {
            fs::create_dir(SEPARATION)
                .and_then(|()| fs::set_permissions(SEPARATION, fs::Permissions::from_mode(0o755)))
                .or_else(|e| match e.kind() {
                    std::io::ErrorKind::AlreadyExists => Ok(()),
                    _ => Err(format!("{SEPARATION} cannot be made: {e}")),
                })?;
        }
        Ok(Self { sshd, user: user.name })
    }
}

#[expect(clippy::disallowed_types, reason = "the server is OpenSSH's")]
async fn attend(stream: TcpStream, sshd: PathBuf, config: PathBuf, mood: Arc<Mutex<Mood>>) {
    let now = mood.lock().unwrap().clone();
    match now {
        Mood::Silent | Mood::Mute => return hold(stream).await,
        Mood::Closing => return,
        _ => {}
    }
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let (reads, writes) = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
    // As from inetd: the caller is its standard input and output.
    let child = tokio::process::Command::new(sshd)
        .arg("-i")
        .arg("-f")
        .arg(config)
        .stdin(Stdio::from(reads))
        .stdout(Stdio::from(writes))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    // How it ends is seen at the other end of the wire.
    let _ = child.unwrap().wait().await;
}

#[expect(clippy::disallowed_types, reason = "keys are OpenSSH's")]
fn keygen(args: &[&str]) {
    let out = std::process::Command::new("ssh-keygen").args(args).output().unwrap();
    assert!(
        out.status.success(),
        "ssh-keygen: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}
