//! `kube-apiserver`: a real control plane, our `node` as its kubelet, and the operator as a process of its own, with the rights
//! that `deploy/install.yaml` gives it.

use super::{Backend, Missing, SYSTEM};
use crate::ending::when_killed;
use crate::programs::{Running, bin, ours, run, tail, top};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use tempfile::TempDir;

/// A control plane of `e2e/cluster`; gone when dropped.
pub(super) struct ControlPlane {
    scratch: TempDir,
}

impl ControlPlane {
    pub(super) fn start(flags: &[&str]) -> Result<Self, Missing> {
        if !top().join("target/cluster").is_file() {
            return Err(Missing(
                "target/cluster is not built: make cluster (needs Go 1.25 or newer)".to_owned(),
            ));
        }
        let scratch = TempDir::with_prefix("e2e-cluster-").unwrap();
        let plane = Self { scratch };
        let dir = plane.dir();
        when_killed(move || take_down(&dir));
        // Ended before up.sh is, it takes down itself what it has begun.
        let log = plane.scratch.path().join("up.log");
        let code = Running::start(&mut script("up.sh", flags, &plane.dir()), &log).wait();
        let words = std::fs::read_to_string(&log).unwrap();
        match code {
            0 => Ok(plane),
            3 => Err(Missing(words)),
            _ => panic!("no control plane:\n{words}"),
        }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.dir().join("kubeconfig")
    }

    pub(super) fn kubectl(&self, args: &[&str]) -> String {
        let mut command = Command::new(top().join("target/cluster"));
        command
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args);
        run(&mut command).ok()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        take_down(&self.dir());
    }
}

/// A script of `e2e/cluster`.
fn script(name: &str, flags: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(top().join("e2e/cluster").join(name));
    command.args(flags).arg(dir);
    command
}

fn take_down(dir: &Path) {
    let down = run(&mut script("down.sh", &[], dir));
    if down.code != 0 {
        eprintln!("the control plane does not end: {down:?}");
    }
}

/// Rights that no scenario here need make it use: of names that were taken, of agents that fall silent, of what the predecessor
/// left, of events that come again, and of elections, since one operator stands alone. `e2e/bench/citizen.sh` has them used.
const RARE: &[&str] = &[
    "get pods",
    "patch pods",
    "get configmaps",
    "get polecats.gastown.gastown.io",
    "get witnesses.gastown.gastown.io",
    "get refineries.gastown.gastown.io",
    "patch rigs.gastown.gastown.io",
    "patch polecats.gastown.gastown.io",
    "patch beadstores.gastown.gastown.io",
    "patch events",
    "create leases.coordination.k8s.io",
    "get leases.coordination.k8s.io",
    "update leases.coordination.k8s.io",
];

pub(crate) struct Processes {
    // Ended in this order.
    operator: Mutex<Running>,
    _node: Running,
    plane: ControlPlane,
    scratch: TempDir,
}

impl Processes {
    pub(crate) fn start() -> Result<Self, Missing> {
        let plane = ControlPlane::start(&["--audit"])?;
        install(&plane);
        let scratch = TempDir::with_prefix("e2e-node-").unwrap();
        let log = scratch.path().join("operator.log");
        let mut node = Command::new(env!("CARGO_BIN_EXE_process-node"));
        node.env("KUBECONFIG", plane.kubeconfig());
        node.arg("--data").arg(scratch.path().join("node"));
        node.arg("--path-prefix").arg(bin()).arg("--hide").arg(plane.dir());
        // Toolchains are found from the home folder, which pods of this backend have no need of.
        let node = Running::start(&mut node, &scratch.path().join("node.log"));
        let operator = Running::start(&mut operator(&plane), &log);
        plane.kubectl(&["wait", "--for=create", "--timeout=120s", "node/localhost"]);
        plane.kubectl(&["wait", "--for=condition=Ready", "--timeout=120s", "node/localhost"]);
        Ok(Self {
            operator: Mutex::new(operator),
            _node: node,
            plane,
            scratch,
        })
    }
}

/// All but the operator's pod.
fn install(plane: &ControlPlane) {
    let manifest = top().join("deploy/install.yaml");
    plane.kubectl(&["apply", "--server-side", "--filename", manifest.to_str().unwrap()]);
    plane.kubectl(&["wait", "--for=condition=Established", "--timeout=120s", "crd", "--all"]);
    plane.kubectl(&["--namespace", SYSTEM, "delete", "deployment", "--all"]);
    let mut account = Command::new(top().join("e2e/cluster/account.sh"));
    account.arg(plane.dir()).args([SYSTEM, "gastown-operator"]);
    std::fs::write(operators_kubeconfig(plane), run(&mut account).ok()).unwrap();
}

fn operators_kubeconfig(plane: &ControlPlane) -> PathBuf {
    plane.dir().join("operator.kubeconfig")
}

fn operator(plane: &ControlPlane) -> Command {
    let mut command = Command::new(ours("gastown-operator"));
    command
        .env("KUBECONFIG", operators_kubeconfig(plane))
        .env_remove("RUST_LOG");
    command.args(["--metrics-bind-address", "0", "--health-probe-bind-address", "0"]);
    command.args(["--namespace", SYSTEM, "--log-format", "text"]);
    command
}

impl Backend for Processes {
    fn name(&self) -> &'static str {
        "kube-apiserver"
    }

    fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn crash_operator(&self) {
        let mut running = self.operator.lock().unwrap();
        running.kill();
        *running = Running::start(&mut operator(&self.plane), &self.scratch.path().join("operator.log"));
    }

    fn audit(&self) -> Result<(), String> {
        let mut command = Command::new(ours("gastown-bench"));
        command
            .arg("audit")
            .arg("--log")
            .arg(self.plane.dir().join("audit.log"));
        command.args(["--user", &format!("system:serviceaccount:{SYSTEM}:gastown-operator")]);
        command.arg("--role").arg(top().join("deploy/install.yaml"));
        for call in RARE {
            command.args(["--rare", call]);
        }
        let ran = run(&mut command);
        if ran.code == 0 {
            return Ok(());
        }
        Err(format!("{}{}", ran.out, ran.err))
    }

    fn operator_log(&self, lines: usize) -> String {
        let node = tail(&self.scratch.path().join("node.log"), 20);
        format!(
            "{}\nnode:\n{node}",
            tail(&self.scratch.path().join("operator.log"), lines)
        )
    }
}
