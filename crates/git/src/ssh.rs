//! The ssh that git starts: one key, known hosts, nothing of a user's or a system's own configuration.

use std::fmt;
use std::path::Path;

/// Options of every ssh: asks nothing, trusts no host it does not know, offers no key it was not given, and does not
/// wait for ever.
const OPTIONS: &str = "ssh -F /dev/null -oBatchMode=yes -oStrictHostKeyChecking=yes -oUpdateHostKeys=no \
    -oGlobalKnownHostsFile=/dev/null -oIdentityAgent=none -oIdentitiesOnly=yes -oPreferredAuthentications=publickey \
    -oForwardAgent=no -oConnectTimeout=20 -oConnectionAttempts=1 -oServerAliveInterval=15 -oServerAliveCountMax=4";

/// Without a key and without known hosts, for who was given none.
pub(crate) const NOBODY: &str = "ssh -F /dev/null -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=20";

/// A private key and the hosts it may be used with. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SshAccess {
    key: String,
    known_hosts: String,
}

impl SshAccess {
    /// A key as `ssh-keygen` writes it, and lines of a `known_hosts` file.
    #[must_use]
    pub fn new(key: impl Into<String>, known_hosts: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            known_hosts: known_hosts.into(),
        }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn known_hosts(&self) -> &str {
        &self.known_hosts
    }
}

impl fmt::Debug for SshAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SshAccess(***)")
    }
}

/// The command line, as `GIT_SSH_COMMAND` is read: by a shell.
pub(crate) fn command(key: &Path, known_hosts: &Path) -> String {
    // ssh takes a list of files here, parted by spaces; quotes hold one together.
    let hosts = quoted(&format!("-oUserKnownHostsFile=\"{}\"", known_hosts.display()));
    format!("{OPTIONS} {hosts} -i {}", quoted(&key.display().to_string()))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SshAccess, command};

    #[test]
    fn a_key_prints_nothing_and_paths_are_quoted() {
        assert_eq!(format!("{:?}", SshAccess::new("secret", "h")), "SshAccess(***)");
        let line = command(Path::new("/t m/it's"), Path::new("/t m/h"));
        assert!(
            line.ends_with(r#"'-oUserKnownHostsFile="/t m/h"' -i '/t m/it'\''s'"#),
            "{line}"
        );
    }
}
