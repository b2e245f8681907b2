//! `kubeconfig`: a person's cluster, by $KUBECONFIG, with Gas Town installed on it. Scenarios keep to namespaces of their own.

use super::{Backend, Missing, SYSTEM};
use crate::programs::{Ran, run, top};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

const PODS: &str = "control-plane=controller-manager";

pub(crate) struct Given {
    kubeconfig: PathBuf,
    host: IpAddr,
    image: Option<String>,
}

impl Given {
    pub(crate) fn start() -> Result<Self, Missing> {
        let set = |name: &str, what: &str| {
            let value = std::env::var(name).ok().filter(|v| !v.is_empty());
            value.ok_or_else(|| Missing(format!("{name} is not set: {what}")))
        };
        let kubeconfig = set("KUBECONFIG", "it names the cluster")?;
        let host = set(
            "E2E_HOST",
            "an address of this machine that pods of the cluster reach (kind: the gateway of its bridge)",
        )?;
        let host = host
            .parse()
            .map_err(|_| Missing(format!("E2E_HOST={host} is no address")))?;
        let given = Self {
            kubeconfig: kubeconfig.into(),
            host,
            // One with a shell and git for scripted agents; unset: the operator's own choice.
            image: std::env::var("E2E_IMAGE").ok(),
        };
        let installed = given.kubectl(&["get", "pods", "--selector", PODS, "--output", "name"]);
        match (installed.code, installed.out.trim()) {
            (0, "") => Err(Missing(format!(
                "no operator runs in {SYSTEM}: docs/INSTALL.md installs it"
            ))),
            (0, _) => Ok(given),
            _ => Err(Missing(installed.err)),
        }
    }

    fn kubectl(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(top().join("target/cluster"));
        command.args(["kubectl", "--namespace", SYSTEM]).args(args);
        run(command.env("KUBECONFIG", &self.kubeconfig))
    }
}

impl Backend for Given {
    fn name(&self) -> &'static str {
        "kubeconfig"
    }

    fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    fn host(&self) -> IpAddr {
        self.host
    }

    fn crash_operator(&self) {
        self.kubectl(&["delete", "pod", "--selector", PODS, "--grace-period=0", "--force"])
            .ok();
        self.kubectl(&[
            "wait",
            "--for=condition=Ready",
            "--timeout=180s",
            "pod",
            "--selector",
            PODS,
        ])
        .ok();
    }

    fn runs_here(&self) -> bool {
        false
    }

    fn rig_spec(&self) -> serde_json::Value {
        match &self.image {
            Some(image) => serde_json::json!({ "image": image, "testImage": image }),
            None => serde_json::json!({}),
        }
    }

    fn operator_log(&self, lines: usize) -> String {
        let ran = self.kubectl(&["logs", "--selector", PODS, "--tail", &lines.to_string()]);
        format!("{}{}", ran.out, ran.err)
    }
}
