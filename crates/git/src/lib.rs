//! The only code that runs git: one command builder, one runner, one parser a command. No Kubernetes.
//!
//! ```text
//!   Git (probed once) ── Call (arguments, scrubbed environment) ── process (own group, deadline, caps)
//!     ├─ Repo       a repository that only we write: fetch, push, merge, replay, refs
//!     └─ AgentRepo  a repository that agent code can write: status, snapshot, restore; never meets a Remote
//! ```
//!
//! Two promises hold everywhere. No configuration of a user, a system or an inherited environment reaches a command
//! we run. And whoever holds a credential never runs git *inside* a repository that agent code can write (DESIGN §5):
//! it fetches from it, by path, into its own ([`Repo::fetch_from_agent`]), which runs none of its hooks and filters.
//!
//! What a remote answers to a push or what a merge finds is a value ([`PushOutcome`], [`MergeTree`], [`Replay`]);
//! errors are for what could not be found out.

mod agent;
mod call;
mod checkout;
mod commit;
mod diff;
mod error;
mod fetch;
mod git;
mod group;
mod locks;
mod merge;
mod names;
mod objects;
mod partial;
mod process;
mod push;
mod redact;
mod refs;
mod remote;
mod replay;
mod repo;
mod restore;
mod snapshot;
mod ssh;
mod version;

pub use agent::{AgentRepo, StatusEntry};
pub use checkout::Checkout;
pub use commit::{Commit, Identity, NewCommit, Person, Signature};
pub use diff::Text;
pub use error::{Fault, GitError};
pub use fetch::{Depth, FetchOptions, Refspec};
pub use git::Git;
pub use locks::{Lock, break_locks, locks};
pub use merge::MergeTree;
pub use names::{BranchName, NameError, Oid, RefName};
pub use objects::{TreeEntry, TreeFile};
pub use push::{Expect, PushOutcome, RefUpdate};
pub use refs::Cas;
pub use remote::{Credential, Host, Remote, RemoteKind, RemoteUrl, UrlError};
pub use replay::Replay;
pub use repo::Repo;
pub use restore::Restored;
pub use snapshot::{Limits, Skipped, SkippedWhy, Snapshot};
pub use ssh::SshAccess;
pub use version::{FLOOR, Version};
