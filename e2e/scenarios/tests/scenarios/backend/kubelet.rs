//! `kubelet`: a real node of containerd, runc and kubelet; real Helm installs the chart, with the images of this checkout.
//! `openshift`: the same, where the cluster says whom a pod runs as (`e2e/cluster/openshift.yaml`), and nothing is set.

use super::helm::Helm;
use super::process::ControlPlane;
use super::{Backend, Missing, Need};
use crate::programs::{Ran, run, top};
use gastown_testkit::agents::Who;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

/// Where `e2e/cluster/node.sh` has the node's containerd, and this machine on the pods' bridge.
const CONTAINERD: &str = "/run/gastown-e2e/containerd.sock";
const GATEWAY: &str = "10.88.77.1";

pub(crate) struct Kubelet {
    openshift: bool,
    plane: ControlPlane,
    helm: Helm,
    harness: String,
    /// One image at a time: they are large.
    loading: Mutex<()>,
}

/// Puts images of this checkout into the node.
fn load(images: &[&str]) -> Ran {
    let mut load = Command::new(top().join("images/load.sh"));
    run(load.args(images).env("CONTAINERD_ADDRESS", CONTAINERD))
}

impl Kubelet {
    pub(crate) fn start(openshift: bool) -> Result<Self, Missing> {
        let flags: &[&str] = if openshift {
            &["--kubelet", "--openshift"]
        } else {
            &["--kubelet"]
        };
        let plane = ControlPlane::start(flags)?;
        let loaded = load(&["operator", "harness"]);
        if loaded.code != 0 {
            let why = loaded.err.trim();
            return Err(Missing(format!(
                "no images: {why}: make images IMAGES=\"operator harness\""
            )));
        }
        let helm = Helm {
            kubeconfig: plane.kubeconfig(),
        };
        helm.install(&[])?;
        Ok(Self {
            openshift,
            harness: helm.harness(),
            plane,
            helm,
            loading: Mutex::new(()),
        })
    }
}

impl Backend for Kubelet {
    fn name(&self) -> &'static str {
        if self.openshift { "openshift" } else { "kubelet" }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    fn host(&self) -> IpAddr {
        GATEWAY.parse().unwrap()
    }

    fn crash_operator(&self) {
        self.helm.crash();
    }

    fn user(&self) -> Option<&'static str> {
        Some(if self.openshift { "1000660000 0" } else { "65532 65532" })
    }

    fn lacks(&self, need: Need) -> Option<String> {
        let Need::Agent(who) = need else { return None };
        let image = match who {
            Who::Claude => "polecat-agent",
            Who::Opencode => "polecat-agent-opencode",
            Who::Aider => "polecat-agent-aider",
        };
        let _one = self.loading.lock().unwrap();
        let loaded = load(&[image]);
        let why = (loaded.code != 0).then(|| format!("{}: make images IMAGES={image}", loaded.err.trim()))?;
        assert!(!crate::is_strict(), "{why}");
        Some(why)
    }

    fn rig_spec(&self) -> serde_json::Value {
        serde_json::json!({ "image": self.harness, "testImage": self.harness })
    }

    fn operator_log(&self, lines: usize) -> String {
        self.helm.log(lines)
    }
}
