//! observe: one list-and-watch a kind, objects to facts.
//!
//! Not kube's `watcher`: rules need the list's own resourceVersion (what is not in it and not newer is gone),
//! one object that does not decode must not spoil its list, and what is read of an object is a twentieth of it.

mod follow;
mod installed;
mod lines;
mod pace;
mod pods;
mod read;
mod scope;
mod slim;

use gastown_rules::{Fact, Kind};

pub(crate) use follow::follow;
pub(crate) use installed::check_kinds;
#[cfg(test)]
pub(crate) use read::row;
pub use scope::Scope;
pub(crate) use scope::{Watched, watched};

/// What a watch tells the loop.
pub(crate) enum News {
    /// Something to learn.
    Fact(Box<Fact>),
    /// The kind's first list is complete.
    Synced(Kind),
}
