//! Builders that read as sentences; the simulator: random histories of a whole town, from a seed, over the promises of
//! DESIGN §8; and a town in one process on a paused clock. Never shipped.

pub mod build;
pub mod sim;
pub mod town;
