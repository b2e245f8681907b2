//! Where the scenarios are played. What differs from place to place is behind one trait, and as little as possible.

mod embedded;
mod given;
mod kubelet;
mod process;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The operator's namespace.
pub(crate) const SYSTEM: &str = "gastown-system";

/// A running Gas Town.
pub(crate) trait Backend: Send + Sync {
    /// Its name, as `make e2e BACKEND=` takes it.
    fn name(&self) -> &'static str;

    /// An administrator's way to its API.
    fn kubeconfig(&self) -> PathBuf;

    /// An address of this machine at which its pods reach a server of ours.
    fn host(&self) -> IpAddr;

    /// Kills the operator as a crash would, and returns when it is back.
    fn crash_operator(&self);

    /// Whether processes of pods are to be seen among those of this machine.
    fn runs_here(&self) -> bool {
        true
    }

    /// Longest wait for anything. Long, so that a busy machine fails no test; what is waited for ends waits early.
    fn patience(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// What a rig must say here and nowhere else.
    fn rig_spec(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// Last words of the operator.
    fn operator_log(&self, lines: usize) -> String;
}

/// Why a backend cannot be had here.
pub(crate) struct Missing(pub(crate) String);

/// Starts the one of that name.
pub(crate) fn start(name: &str) -> Result<Box<dyn Backend>, Missing> {
    match name {
        "apiserver" => Ok(Box::new(embedded::Embedded::start())),
        "kubeconfig" => Ok(Box::new(given::Given::start()?)),
        "kubelet" => Ok(Box::new(kubelet::Kubelet::start()?)),
        "kube-apiserver" => Ok(Box::new(process::Processes::start()?)),
        other => panic!("no backend is named {other:?}: apiserver, kube-apiserver, kubelet, kubeconfig"),
    }
}
