//! Against the real git, in scratch folders. An independent `git` (not this crate) sets the scene and judges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    reason = "tests: helpers fail by panicking, and the judge is a git of its own"
)]

mod fetching;
mod hostile;
mod merging;
mod naming;
mod pushing;
mod reading;
mod running;
mod scene;
mod snapshots;
