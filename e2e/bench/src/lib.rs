//! Measures the operator on a real control plane, beside a floor in the same run, and reads from its audit log what
//! it called. Never shipped.
//!
//! ```text
//! kubelet   a node that runs nothing: pods are Running at once and Succeeded when told, thousands of them
//! floor     the least anybody could do: the same watches, one pod and one status patch a polecat
//! audit     calls by user, verb and resource; the check against a role
//! ```

pub mod audit;
pub mod client;
pub mod floor;
pub mod follow;
pub mod kubelet;
pub mod pod;
