//! What may stand between a pod and its git remote, under the names that both sides know.

macro_rules! troubles {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What stands between a pod and its remote. Its name travels in reports and becomes a condition's reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RemoteTrouble {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RemoteTrouble {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

troubles! {
    /// No repository there, or none that this credential may see.
    RepositoryNotFound,
    /// The repository has no branch at all.
    RepositoryEmpty,
    /// The repository has no such branch.
    BranchNotFound,
    /// The server sends us to another host.
    RepositoryMoved,
    /// The server finds its objects broken.
    RepositoryCorrupt,
    /// The named Secret is not there.
    SecretMissing,
    /// The Secret is there and has no key that fits the address.
    SecretKeyMissing,
    /// The server wants a credential and no Secret is named.
    CredentialMissing,
    /// The server does not take the credential.
    CredentialRefused,
    /// The credential may read and not write.
    CredentialReadOnly,
    /// The credential would travel unencrypted.
    CredentialNeedsTls,
    /// The SSH key is under a passphrase.
    KeyHasPassphrase,
    /// The SSH key is none.
    KeyUnreadable,
    /// The SSH host's key is not known.
    HostKeyUnknown,
    /// The SSH host has another key than the known one.
    HostKeyChanged,
    /// The named ConfigMap has no known hosts.
    KnownHostsMissing,
    /// The server's TLS certificate is of an authority nobody named.
    CertificateUntrusted,
    /// The named bundle of authorities is not there.
    CaBundleMissing,
    /// The server cannot move refs together.
    AtomicUnsupported,
    /// The server takes no refs beside branches and tags.
    RefsRefused,
    /// The server takes commits and records, and not what else is kept beside them.
    ContentRefused,
    /// The server refuses the push for good.
    PushRejected,
    /// The pod's user has no name, and ssh wants one.
    UserUnknown,
    /// The harness image has no ssh.
    SshMissing,
    /// The harness image has no git.
    GitMissing,
    /// The harness image has a git that is too old.
    GitTooOld,
    /// A volume of the pod cannot be written.
    VolumeNotWritable,
    /// The record on the remote cannot be read.
    RecordUnreadable,
    /// The orders cannot be followed.
    BadOrders,
    /// Git fails for a reason that is not known.
    GitFailed,
}

impl RemoteTrouble {
    /// The one of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.as_str() == name)
    }
}

/// What else a condition says of a remote, or of the programs that reach it, beside the name of a trouble.
const OTHER_REASONS: [&str; 4] = ["RemoteUnreachable", "RemoteRefused", "PushFailed", "HarnessVersion"];

/// Whether a condition's reason blames the remote or the way to it, and not what an agent or a test did.
#[must_use]
pub fn blames_the_remote(reason: &str) -> bool {
    RemoteTrouble::parse(reason).is_some() || OTHER_REASONS.contains(&reason)
}

impl std::fmt::Display for RemoteTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
