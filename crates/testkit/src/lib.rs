//! Builders that read as sentences, and the simulator: random histories of a whole town, from a seed, over the
//! promises of DESIGN §8. Never shipped.

pub mod build;
pub mod sim;
