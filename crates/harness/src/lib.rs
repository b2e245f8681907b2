//! Everything that runs in a pod. No Kubernetes API: orders come in by environment, a report goes out by
//! termination message, and what lies between is git and processes.
//!
//! ```text
//!             ┌─ clone ──── takes the attempt on the record ref, makes the workspace, puts back what was uncommitted
//! polecat pod ┼─ run ────── starts the agent, tees it, snapshots its files, ends everything it started
//!             └─ courier ── fetches the agent's commits into its own repository, pushes them fenced, judges, reports
//!                  run ◀── loopback, one-use key ──▶ courier
//! test pod     ── candidate ── builds what is to be tested
//! land pod     ── land ─────── pushes what was tested
//! beads pod    ── beads ────── reads the repository's issues
//! notify pod   ── notify ───── tells somebody outside
//! ```
//!
//! Who holds a git credential (clone, courier, candidate, land, beads) never runs git inside a repository that agent
//! code can write; who runs agent code (run) holds no git credential.

pub mod access;
mod age;
pub mod beads;
pub mod candidate;
pub mod clone;
mod content;
pub mod conversation;
pub mod courier;
pub mod evidence;
pub mod files;
pub mod land;
pub mod last_words;
pub mod ledger;
pub mod link;
pub mod notify;
pub mod processes;
pub mod prompt;
mod queue;
pub mod ready;
pub mod record;
pub mod run;
pub mod setup;
mod sweep;
pub mod traffic;
pub mod transcript;

/// Local ref of the agent's repository where `run` keeps what is not committed.
pub(crate) const SNAPSHOT: &str = "refs/gastown/snapshot";
/// Folder of refs that holds it, for fetching it whether it exists or not.
pub(crate) const SNAPSHOT_FOLDER: &str = "refs/gastown/";
