//! The state: every object in memory, its recent history, and a single writer that makes changes
//! durable before anybody sees them.
//!
//! ```text
//! request ─▶ job ─▶ Writer: [Txn over State] ─▶ Disk (one commit for many jobs) ─▶ State ─▶ watches
//! ```
//! Readers take the state's lock only to copy a few `Arc`s. A failed commit leaves the state as it was.

mod disk;
#[cfg(test)]
mod faults;
mod history;
mod state;
mod txn;
mod writer;

pub use disk::OpenError;
pub(crate) use disk::{Disk, Loaded};
pub(crate) use history::{Change, ChangeKind, Since};
pub(crate) use state::{State, stamped};
pub(crate) use txn::{Follow, Txn};
pub(crate) use writer::Writer;
