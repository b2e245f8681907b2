//! Git servers for tests, real ones: `git http-backend` behind HTTP or TLS, and OpenSSH's `sshd`. They can have bad
//! days on command, and listen on any address, so that pods on a bridge reach them.
//!
//! ```text
//!   Repositories (bare, in a folder) ──▶ HttpGit   http:// or https:// with an authority of its own, accounts
//!                                   └──▶ SshGit    sshd with a host key of its own, keys that may write or only read
//!   Mood: well, silent, mute, cutting, 5xx, redirecting …; down(), up()
//! ```
//!
//! Each server has a thread and a runtime of its own, so that it serves tests of any kind; dropping it ends it and
//! every process it started.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "never shipped: a stage that cannot be set fails the test that sets it"
)]

mod backend;
mod door;
mod http;
mod proxy;
mod repositories;
mod ssh;

pub use door::Mood;
pub use http::{Authority, HttpGit, HttpPlan};
pub use proxy::Proxy;
pub use repositories::{Repositories, Repository};
pub use ssh::{SshGit, SshKey};

/// What an account or a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Fetch and push.
    Write,
    /// Fetch only.
    Read,
}
