//! Builders that read as sentences; the simulator: random histories of a whole town, from a seed, over the promises of
//! DESIGN §8; a town in one process on a paused clock; real git servers; and a model that real agents talk to. Never
//! shipped.

pub mod agents;
pub mod build;
pub mod documents;
#[allow(clippy::indexing_slicing, reason = "a JSON value answers null to a key it has not")]
pub mod model;
pub mod remotes;
pub mod sim;
pub mod sink;
pub mod town;
