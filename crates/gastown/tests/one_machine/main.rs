//! Gas Town on one machine as a user has it: the real program, real git, real processes, and agents that are scripts.
//!
//! ```text
//! first_use   up, sling, land, merge; every verb and its forms; checkouts that are not fit
//! notices     hooks and mailboxes of this machine that are told
//! pushing_on  what landed goes on to the checkout's own remote
//! documents   what the pages print, typed as it stands
//! validate    templates and manifests, judged with nothing made
//! walls       what an agent can see and touch; no isolation
//! manifests   what the predecessor's READMEs print, applied to a fresh machine
//! crashes     kill -9 and Ctrl-C at many instants; down; a second up
//! ```
//!
//! What is true of every cluster is a scenario of `e2e/scenarios`, and is not repeated here.
#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod checkout;
mod crashes;
mod documents;
mod first_use;
mod manifests;
mod notices;
mod pushing_on;
mod real_agents;
mod validate;
mod walls;
