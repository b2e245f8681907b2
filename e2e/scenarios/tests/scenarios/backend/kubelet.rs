//! `kubelet`: a real node of containerd, runc and kubelet; real Helm installs the chart, with the images of this checkout.

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
        let helm = top().join("target/helm");
        if !helm.is_file() {
            return Err(Missing("target/helm is not built: make helm (needs Go)".to_owned()));
        }
        let plane = ControlPlane::start(&["--kubelet"])?;
        let mut load = Command::new(top().join("images/load.sh"));
        load.args(["operator", "harness"]).env("CONTAINERD_ADDRESS", CONTAINERD);
        let loaded = run(&mut load);
        if loaded.code != 0 {
            let why = loaded.err.trim();
            return Err(Missing(format!(
                "no images: {why}: make images IMAGES=\"operator harness\""
            )));
        }
        let mut names = loaded.out.lines().filter_map(|l| l.strip_prefix("loaded "));
        let harness = names.nth(1).expect("the loader says what it loaded").to_owned();
        let mut install = Command::new(helm);
        install.arg("--kubeconfig").arg(plane.kubeconfig());
        install
            .args(["install", "gastown-operator"])
            .arg(top().join("charts/gastown-operator"));
        install.args(["--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "3m"]);
        // A shell and git are all that scripted agents need of their image.
        install.args(["--set", "images.agent.repository=gastown-harness"]);
        run(&mut install).ok();
        Ok(Self { plane, harness })
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
