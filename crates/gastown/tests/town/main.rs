//! Gas Town on one machine as a user has it: the real program, real git, real processes, and agents that are scripts.
//!
//! ```text
//! first_use   up, sling, land, merge; every verb and its forms; refusals and exit codes
//! bad_days    agents that fail, lie, wander, rewrite history, or get hostile texts; deletion; no isolation
//! agents      agents that are tried again, forge, rewrite or mend; hostile texts; long names
//! repository  repositories and tests that are missing, endless, or moved by somebody else
//! deletions   polecats, rigs and convoys deleted, ended or slung again in mid-flight
//! walls       what an agent can see and touch
//! manifests   what the predecessor's READMEs print, applied to a fresh machine
//! crashes     kill -9 and Ctrl-C at many instants; down; a second up
//! ```
#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod agents;
mod bad_days;
mod checkout;
mod crashes;
mod deletions;
mod first_use;
mod manifests;
mod real_agents;
mod repository;
mod walls;
