//! Contracts with the real agents: Claude Code, opencode and aider from their registries, through the real harness, against a
//! scripted model. `make test-agents` fetches them; where they are not, every test says so and ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

/// A test for each agent.
macro_rules! each {
    ($name:ident, $case:ident, $($who:ident $as:ident),+) => {
        mod $name {
            use super::*;
            $(#[test] fn $as() { $case(Who::$who, concat!(stringify!($name))); })+
        }
    };
}

mod bench;
mod cases;
mod logins;
#[path = "../town/mod.rs"]
mod town;
