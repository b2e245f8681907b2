//! Gas Town as real Helm installs it, and its operator's pod.

use super::{Missing, SYSTEM};
use crate::programs::{Ran, run, top};
use std::path::PathBuf;
use std::process::Command;

const RELEASE: &str = "gastown-operator";
const DEPLOYMENT: &str = "deployment/gastown-operator-controller-manager";
const PODS: &str = "control-plane=controller-manager";
const HARNESS: &str = r#"jsonpath={.items[0].spec.containers[0].env[?(@.name=="GASTOWN_HARNESS_IMAGE")].value}"#;

pub(super) struct Helm {
    pub(super) kubeconfig: PathBuf,
}

impl Helm {
    fn helm(&self, args: &[&str]) -> Result<Ran, Missing> {
        let helm = top().join("target/helm");
        if !helm.is_file() {
            return Err(Missing("target/helm is not built: make helm (needs Go)".to_owned()));
        }
        let mut command = Command::new(helm);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        Ok(run(command.args(["--namespace", SYSTEM]).args(args)))
    }

    /// Installs the chart; Helm's words where that fails.
    pub(super) fn install(&self, more: &[&str]) -> Result<(), Missing> {
        let chart = top().join("charts/gastown-operator");
        let words = [
            "install",
            RELEASE,
            chart.to_str().unwrap(),
            "--create-namespace",
            "--wait",
            "--timeout",
            "3m",
        ];
        let ran = self.helm(&[&words[..], more].concat())?;
        match ran.code {
            0 => Ok(()),
            _ => Err(Missing(format!(
                "Helm does not install it: {}\n{}",
                ran.err,
                self.log(20)
            ))),
        }
    }

    pub(super) fn uninstall(&self) {
        if let Ok(ran) = self.helm(&["uninstall", RELEASE, "--wait"])
            && ran.code != 0
        {
            eprintln!("Helm does not uninstall it: {ran:?}");
        }
    }

    pub(super) fn kubectl(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(top().join("target/cluster"));
        command.arg("kubectl").arg("--kubeconfig").arg(&self.kubeconfig);
        run(command.args(["--namespace", SYSTEM]).args(args))
    }

    /// Whether an operator is there, and runs; why nobody can say, or why it is neither.
    pub(super) fn is_installed(&self) -> Result<bool, Missing> {
        let there = |what: &str| {
            let found = self.kubectl(&["get", what, "--selector", PODS, "--output", "name"]);
            match found.code {
                0 => Ok(!found.out.trim().is_empty()),
                _ => Err(Missing(found.err)),
            }
        };
        if there("pods")? {
            return Ok(true);
        }
        if there("deployments")? || self.helm(&["status", RELEASE])?.code == 0 {
            return Err(Missing(format!(
                "Gas Town is installed in {SYSTEM} and none of its pods is there: scale it up, or uninstall it first"
            )));
        }
        Ok(false)
    }

    /// The image of its harness: a shell and git are all that scripted agents need.
    pub(super) fn harness(&self) -> String {
        self.kubectl(&["get", "pods", "--selector", PODS, "--output", HARNESS])
            .ok()
    }

    /// As a crash: nothing is handed over.
    pub(super) fn crash(&self) {
        self.kubectl(&["delete", "pod", "--selector", PODS, "--grace-period=0", "--force"])
            .ok();
        self.kubectl(&["rollout", "status", "--timeout=180s", DEPLOYMENT]).ok();
    }

    /// Last words of the operator.
    pub(super) fn log(&self, lines: usize) -> String {
        let ran = self.kubectl(&["logs", "--selector", PODS, "--tail", &lines.to_string()]);
        format!("{}{}", ran.out, ran.err)
    }
}
