//! The Kubernetes API for one machine.
//!
//! ```text
//! kube::Client ─┐                    ┌─ read: get, list, chunk, watch ──▶ State (memory)
//! kubectl (TLS) ┴▶ route ▶ negotiate ┤
//!                                    └─ write: admit, create … collect ─▶ Writer ─▶ Disk, then State
//! ```
//! It serves what Gas Town and `kubectl` need and refuses the rest by name. It knows no Gas Town kind
//! (those come as CRDs) and no process: who serves pod logs is handed in.
//!
//! Promises: a write is durable before it is answered; what a failed commit wrote nobody sees; a
//! watcher that falls behind the kept history is told 410 and never waited for.

mod base64;
mod catalog;
mod discovery;
mod identity;
mod kinds;
mod list;
mod logs;
mod names;
mod object;
mod openapi;
mod protobuf;
mod request;
mod respond;
mod route;
mod schema;
mod selector;
mod server;
mod serving;
mod status;
mod store;
mod table;
mod verbs;
mod watch;
mod write;

pub use identity::{Identity, IdentityError};
pub use logs::{LogError, LogRequest, LogStream, PodLogs};
pub use server::{ApiServer, Clock, Options};
pub use serving::{ServeError, Serving};
pub use store::OpenError;
