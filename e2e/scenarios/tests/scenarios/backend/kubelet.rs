//! `kubelet`: a real node of containerd, runc and kubelet; the operator is a pod of its own image, with the rights that
//! `deploy/install.yaml` gives it.

use super::process::ControlPlane;
use super::{Backend, Missing, SYSTEM};
use crate::programs::{run, top};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

/// Where `e2e/cluster/node.sh` has the node's containerd, and this machine on the pods' bridge.
const CONTAINERD: &str = "/run/gastown-e2e/containerd.sock";
const GATEWAY: &str = "10.88.77.1";
const DEPLOYMENT: &str = "deployment/gastown-operator-controller-manager";
const PODS: &str = "control-plane=controller-manager";

pub(crate) struct Kubelet {
    plane: ControlPlane,
    harness: String,
}

impl Kubelet {
    pub(crate) fn start() -> Result<Self, Missing> {
        let loader = top().join("images/load.sh");
        let manifest = top().join("deploy/install.yaml");
        for file in [&loader, &manifest] {
            if !file.is_file() {
                return Err(Missing(format!("{} is not there", file.display())));
            }
        }
        let plane = ControlPlane::start(&["--kubelet"])?;
        let mut load = Command::new(loader);
        load.args(["operator", "harness"]).env("CONTAINERD_ADDRESS", CONTAINERD);
        let loaded = run(&mut load);
        if loaded.code != 0 {
            let why = loaded.err.trim();
            return Err(Missing(format!(
                "no images: {why}: make images IMAGES=\"operator harness\""
            )));
        }
        let image = |word: &str| {
            let named = loaded.out.lines().filter_map(|l| l.strip_prefix("loaded "));
            named
                .into_iter()
                .find(|l| l.contains(word))
                .expect("the loader says what it loaded")
                .to_owned()
        };
        let (operator, harness) = (image("operator"), image("harness"));
        // As docs/INSTALL.md has it, with the images of this checkout.
        plane.kubectl(&["apply", "--server-side", "--filename", manifest.to_str().unwrap()]);
        plane.kubectl(&[
            "--namespace",
            SYSTEM,
            "set",
            "image",
            DEPLOYMENT,
            &format!("manager={operator}"),
        ]);
        let (ours, agents) = (
            format!("GASTOWN_HARNESS_IMAGE={harness}"),
            format!("GASTOWN_AGENT_IMAGE={harness}"),
        );
        plane.kubectl(&["--namespace", SYSTEM, "set", "env", DEPLOYMENT, &ours, &agents]);
        let kubelet = Self { plane, harness };
        kubelet.wait_for_operator();
        Ok(kubelet)
    }

    fn wait_for_operator(&self) {
        self.plane
            .kubectl(&["--namespace", SYSTEM, "rollout", "status", "--timeout=180s", DEPLOYMENT]);
    }
}

impl Backend for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    fn host(&self) -> IpAddr {
        GATEWAY.parse().unwrap()
    }

    fn crash_operator(&self) {
        self.plane.kubectl(&[
            "--namespace",
            SYSTEM,
            "delete",
            "pod",
            "--selector",
            PODS,
            "--grace-period=0",
            "--force",
        ]);
        self.wait_for_operator();
    }

    fn rig_spec(&self) -> serde_json::Value {
        // A shell and git are all that scripted agents need.
        serde_json::json!({ "image": self.harness, "testImage": self.harness })
    }

    fn operator_log(&self, lines: usize) -> String {
        let mut logs = Command::new(top().join("target/cluster"));
        logs.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig());
        logs.args([
            "--namespace",
            SYSTEM,
            "logs",
            "--selector",
            PODS,
            "--tail",
            &lines.to_string(),
        ]);
        let ran = run(&mut logs);
        format!("{}{}", ran.out, ran.err)
    }
}
