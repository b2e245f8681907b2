//! The queue's two pods, with real git: what `candidate` builds and what `land` lets onto main.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should stop there"
)]

mod beads;
mod branches;
mod candidate;
mod landing;
mod pods;
mod sweeping;
mod town;
