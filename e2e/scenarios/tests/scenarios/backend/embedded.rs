//! `apiserver`: what `gastown up` starts on one machine: our API, our node and the operator in one process.

use super::Backend;
use crate::ending::when_killed;
use crate::programs::{Ran, git, ours, run, tail, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) struct Embedded {
    scratch: TempDir,
    unconfined: bool,
}

impl Embedded {
    pub(crate) fn start() -> Self {
        let scratch = TempDir::with_prefix("e2e-town-").unwrap();
        let checkout = scratch.path().join("town");
        for folder in ["home", "state", "town"] {
            std::fs::create_dir(scratch.path().join(folder)).unwrap();
        }
        git(&checkout, &["init", "--quiet", "--initial-branch=main"]).ok();
        git(&checkout, &["commit", "--quiet", "--allow-empty", "--message=First"]).ok();
        let mut town = Self {
            scratch,
            unconfined: false,
        };
        let folder = town.scratch.path().to_path_buf();
        when_killed(move || {
            gastown(&folder, &["down"]);
        });
        let first = town.gastown(&town.up());
        if first.code == 4 && first.err.contains("cannot be isolated") {
            println!("this system allows no isolation of pods: they run without");
            town.unconfined = true;
            town.gastown(&town.up()).ok();
        } else {
            first.ok();
        }
        town
    }

    fn up(&self) -> Vec<&'static str> {
        let mut args = vec!["up", "--detach", "--test", "true"];
        args.extend(self.unconfined.then_some("--unconfined"));
        args
    }

    fn gastown(&self, args: &[&str]) -> Ran {
        gastown(self.scratch.path(), args)
    }

    fn status(&self) -> serde_json::Value {
        let status = self.gastown(&["status", "-o", "json"]);
        serde_json::from_str(&status.out).unwrap_or_default()
    }
}

fn gastown(scratch: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(ours("gastown"));
    command.current_dir(scratch.join("town")).args(args);
    command.env("HOME", scratch.join("home"));
    command.env("XDG_STATE_HOME", scratch.join("state"));
    for name in ["KUBECONFIG", "GIT_DIR", "GIT_WORK_TREE"] {
        command.env_remove(name);
    }
    command.env("RUST_LOG", "gastown_operator=info,warn");
    run(&mut command)
}

impl Backend for Embedded {
    fn name(&self) -> &'static str {
        "apiserver"
    }

    fn kubeconfig(&self) -> PathBuf {
        self.status()["kubeconfig"].as_str().expect("the town is up").into()
    }

    fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn crash_operator(&self) {
        let pid = self.status()["pid"].as_i64().expect("the town is up");
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        until(self.patience(), "the end of the town", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Gone, or dead and not yet collected by whoever is the parent now.
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        });
        self.gastown(&self.up()).ok();
    }

    fn operator_log(&self, lines: usize) -> String {
        let log = self.status()["log"].as_str().unwrap_or_default().to_owned();
        tail(Path::new(&log), lines)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let down = self.gastown(&["down"]);
        if down.code != 0 {
            eprintln!("the town does not go down: {down:?}");
        }
    }
}
