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
        let text = std::fs::read_to_string(manifest).unwrap();
        let file = plane.dir().join("install.yaml");
        std::fs::write(&file, with_images(&text, &operator, &harness)).unwrap();
        plane.kubectl(&["apply", "--server-side", "--filename", file.to_str().unwrap()]);
        let kubelet = Self { plane, harness };
        kubelet.wait_for_operator();
        Ok(kubelet)
    }

    fn wait_for_operator(&self) {
        self.plane
            .kubectl(&["--namespace", SYSTEM, "rollout", "status", "--timeout=180s", DEPLOYMENT]);
    }
}

/// The manifest with the images of this checkout; a shell and git are all that scripted agents need of theirs.
fn with_images(text: &str, operator: &str, harness: &str) -> String {
    let line = |line: &str| {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        let image = match (
            key.trim(),
            value.trim_matches('"').rsplit('/').next().unwrap_or_default(),
        ) {
            ("image" | "value", v) if v.starts_with("gastown-operator:") => operator,
            ("image" | "value", v) if v.starts_with("gastown-harness:") || v.starts_with("polecat-agent:") => harness,
            _ => return line.to_owned(),
        };
        format!("{key}: \"{image}\"")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
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
