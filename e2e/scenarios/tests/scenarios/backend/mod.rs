//! Where the scenarios are played. What differs from place to place is behind one trait, and as little as possible.

mod embedded;
mod given;
mod helm;
mod kubelet;
mod process;

use gastown_testkit::agents::Who;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The operator's namespace.
pub(crate) const SYSTEM: &str = "gastown-system";

/// What a scenario wants that not every backend can give.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// An operator that may be killed.
    Crash,
    /// Pods with users of their own.
    Users,
    /// A real agent, in the image that its pods get by default.
    Agent(Who),
}

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

    /// User and group that its pods are to run as, where it has a say.
    fn user(&self) -> Option<&'static str> {
        None
    }

    /// Why it cannot give that.
    fn lacks(&self, need: Need) -> Option<String> {
        match need {
            Need::Crash => None,
            Need::Users => Some("its pods are processes of whoever runs it".to_owned()),
            Need::Agent(_) => Some("its pods have no images; make test-agents plays the agents there".to_owned()),
        }
    }

    /// Longest wait for anything. Long, so that a busy machine fails no test; what is waited for ends waits early.
    fn patience(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// What a rig must say here and nowhere else.
    fn rig_spec(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// Once all scenarios were played: what the operator called that it has no right to, and what it may that it never did.
    fn audit(&self) -> Result<(), String> {
        Ok(())
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
        "kubelet" => Ok(Box::new(kubelet::Kubelet::start(false)?)),
        "openshift" => Ok(Box::new(kubelet::Kubelet::start(true)?)),
        "kube-apiserver" => Ok(Box::new(process::Processes::start()?)),
        other => panic!("no backend is named {other:?}: apiserver, kube-apiserver, kubelet, openshift, kubeconfig"),
    }
}
