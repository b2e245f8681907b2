//! How a pod reaches its remote: the mounted Secret, known hosts and authorities, made into a git that may use them;
//! and what it means when the remote does not let us in.
//!
//! Nothing of it goes into an argument, an environment or a place the agent mounts: git reads keys and passwords from
//! files that only this container's own process can read, in a folder that goes with it.

mod hosts;
mod secret;
mod trust;

use std::io;

use gastown_git::{Fault, Git, GitError, Host, Remote, RemoteKind, SshAccess};
use gastown_wire::{RemoteOrders, RemoteTrouble};

pub(crate) use trust::{leave_authorities, trusted};

/// Why the remote cannot be used, with nothing secret in it. Trying again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{trouble}: {detail}")]
pub struct AccessError {
    /// Which of the known troubles.
    pub trouble: RemoteTrouble,
    /// What exactly, and what to type.
    pub detail: String,
}

impl AccessError {
    pub(crate) fn new(trouble: RemoteTrouble, detail: impl Into<String>) -> Self {
        Self {
            trouble,
            detail: detail.into(),
        }
    }
}

/// The remote of the orders, and a git that may speak to it.
pub(crate) fn open(git: Git, orders: &RemoteOrders) -> Result<(Git, Remote), AccessError> {
    let remote = Remote::parse(&orders.url).map_err(|e| AccessError::new(RemoteTrouble::BadOrders, e.to_string()))?;
    match remote.url().kind() {
        RemoteKind::Path | RemoteKind::File => Ok((git, remote)),
        RemoteKind::Ssh => Ok((with_ssh(git, &remote, orders)?, remote)),
        RemoteKind::Https => {
            let git = match trusted()? {
                Some(authorities) => git.with_authorities(&authorities).map_err(|e| placed(&e))?,
                None => git,
            };
            Ok((git, with_credential(remote, orders)?))
        }
        RemoteKind::Http => Ok((git, with_credential(remote, orders)?)),
    }
}

fn with_ssh(git: Git, remote: &Remote, orders: &RemoteOrders) -> Result<Git, AccessError> {
    let Some(folder) = &orders.secret_dir else {
        let detail = "an ssh address needs a key: kubectl create secret generic git-creds --type=kubernetes.io/ssh-auth \
                      --from-file=ssh-privatekey=./id_ed25519; then name it in gitSecretRef";
        return Err(AccessError::new(RemoteTrouble::CredentialMissing, detail));
    };
    let key = secret::Folder::read(folder)?.ssh_key()?;
    let known = hosts::known(orders.known_hosts.as_deref(), remote.url().host().as_ref())?;
    git.with_ssh(&SshAccess::new(key, known)).map_err(|e| placed(&e))
}

fn with_credential(remote: Remote, orders: &RemoteOrders) -> Result<Remote, AccessError> {
    // Without a Secret: a public repository, to read. The push says what it needs.
    let Some(folder) = &orders.secret_dir else {
        return Ok(remote);
    };
    let host = remote.url().host();
    let credential = secret::Folder::read(folder)?.credential(host.as_ref().map_or("", |h| &h.name))?;
    if remote.url().kind() == RemoteKind::Http && !host.as_ref().is_some_and(is_near) {
        let detail = format!("{remote} is not encrypted, and its host is no Service of this cluster");
        return Err(AccessError::new(RemoteTrouble::CredentialNeedsTls, detail));
    }
    Ok(remote.with_credential(credential))
}

/// Whether what is sent there stays in the cluster or on this machine: the names that Services have, and loopback.
fn is_near(host: &Host) -> bool {
    let name = host.name.as_str();
    match name.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => !name.contains('.') || name.ends_with(".svc") || name.ends_with(".svc.cluster.local"),
    }
}

fn placed(error: &GitError) -> AccessError {
    AccessError::new(RemoteTrouble::VolumeNotWritable, error.to_string())
}

/// What a failure of git means that no trying again mends; none where it may pass.
pub(crate) fn trouble(error: &GitError) -> Option<AccessError> {
    let said = error.to_string();
    let trouble = match error {
        GitError::Missing { .. } | GitError::NotGit { .. } => RemoteTrouble::GitMissing,
        GitError::TooOld { .. } => RemoteTrouble::GitTooOld,
        GitError::Name(_) => RemoteTrouble::BadOrders,
        GitError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            RemoteTrouble::VolumeNotWritable
        }
        // Out of processes, memory or space: another moment or another machine may have some.
        GitError::Io { .. } | GitError::Spawn { .. } => return None,
        _ => match error.fault() {
            Fault::Network | Fault::Locked | Fault::Disk | Fault::NoSuchRef | Fault::Other => return None,
            Fault::NotFound => RemoteTrouble::RepositoryNotFound,
            Fault::Denied => RemoteTrouble::CredentialRefused,
            Fault::ReadOnly => RemoteTrouble::CredentialReadOnly,
            Fault::NoCredential => RemoteTrouble::CredentialMissing,
            Fault::HostKey => {
                let host = hosts::unknown_in(&said).unwrap_or_else(|| "<host>".to_owned());
                return Some(hosts::unknown(&host));
            }
            Fault::HostKeyChanged => RemoteTrouble::HostKeyChanged,
            Fault::Key => RemoteTrouble::KeyUnreadable,
            Fault::Certificate => RemoteTrouble::CertificateUntrusted,
            Fault::Moved => RemoteTrouble::RepositoryMoved,
            Fault::NoAtomic => RemoteTrouble::AtomicUnsupported,
            Fault::NoUser => RemoteTrouble::UserUnknown,
            Fault::NoSsh => RemoteTrouble::SshMissing,
            Fault::Corrupt => RemoteTrouble::RepositoryCorrupt,
        },
    };
    Some(AccessError::new(trouble, words(&said)))
}

/// What git said, without the lines it says after everything.
fn words(said: &str) -> String {
    const ALWAYS: [&str; 4] = [
        "Please make sure you have the correct access rights",
        "and the repository exists.",
        "fatal: Could not read from remote repository.",
        "@@@@@",
    ];
    let kept = said.lines().map(str::trim).filter(|line| {
        let always = ALWAYS.iter().any(|words| line.starts_with(words));
        !line.is_empty() && !always
    });
    kept.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_stays_near_where_it_is_not_encrypted() {
        let near = |name: &str| {
            is_near(&Host {
                name: name.into(),
                port: None,
            })
        };
        for name in [
            "gitea",
            "localhost",
            "127.0.0.1",
            "::1",
            "gitea.forge.svc",
            "gitea.forge.svc.cluster.local",
        ] {
            assert!(near(name), "{name}");
        }
        for name in [
            "example.com",
            "gitea.forge",
            "10.0.0.1",
            "svc.example.com",
            "x.svc.evil.org",
        ] {
            assert!(!near(name), "{name}");
        }
    }
}
