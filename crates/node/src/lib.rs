//! A node for one machine: a plain Kubernetes client that runs pods as processes of the host.
//!
//! It registers one Node, binds pods that nobody has bound, runs their containers, and reports their
//! status as a kubelet would. It pulls no image. It knows nothing of what the pods are for.

mod container;
mod env;
mod events;
mod host;
mod launch;
mod launcher;
mod logs;
mod namespaces;
mod node;
mod options;
mod pod;
mod probes;
mod processes;
mod registration;
mod reporter;
mod rewrite;
mod slot;
mod sources;
mod status;
mod volumes;

pub use launch::launcher_main;
pub use logs::{LogQuery, LogsError, NodeLogs};
pub use node::{Node, probe_isolation};
pub use options::{Isolation, IsolationUnavailable, NodeError, NodeOptions};
