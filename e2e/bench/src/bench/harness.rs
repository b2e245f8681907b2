//! The harness as it is shipped: its size, and what `run` and `courier` hold while an agent works. And what another
//! target measured: the demo's seconds.

use super::Options;
use super::process;
use super::table::{Row, Table};
use anyhow::Context;
use gastown_wire::{AgentOrders, ORDERS_ENV, Orders, POD_UID_ENV, Pace, Paths, PolecatOrders, RemoteOrders, Subject};
use gastown_wire::{TERMINATION_ENV, Text, VERSION};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    if let Ok(file) = std::fs::metadata(&options.harness) {
        let mib = Duration::from_secs(file.len()).as_secs_f64() / (1024.0 * 1024.0);
        table.add(Row::new("harness, binary", "MiB", mib).at_most(8.0));
        let folder = std::env::temp_dir().join(format!("gastown-bench-harness-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let measured = resident(&options.harness.canonicalize()?, &folder);
        std::fs::remove_dir_all(&folder)?;
        for (step, mib) in measured? {
            table.add(Row::new(format!("harness, {step} resident while the agent works"), "MiB", mib).at_most(10.0));
        }
    } else {
        eprintln!("  no harness at {}: make dist builds it", options.harness.display());
    }
    demo(&options.top.join(".demo/summary.json"), table);
    Ok(())
}

/// A pod as plain processes: clone, then run and courier around an agent that commits and goes on.
struct Pod {
    harness: PathBuf,
    folder: PathBuf,
    orders: String,
    running: Vec<Child>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        for child in &mut self.running {
            // One that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Pod {
    fn start(&self, step: &str) -> anyhow::Result<Child> {
        let log = std::fs::File::create(self.folder.join(format!("{step}.log")))?;
        Command::new(&self.harness)
            .arg(step)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TMPDIR", &self.folder)
            .env(ORDERS_ENV, &self.orders)
            .env(POD_UID_ENV, "pod-1")
            .env(TERMINATION_ENV, self.folder.join(format!("{step}.report")))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.harness.display()))
    }
}

fn resident(harness: &Path, folder: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let at = |name: &str| folder.join(name).display().to_string();
    for name in ["shared", "courier", "pod", "work"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    git(folder, &["init", "-q", "--bare", "-b", "main", "origin.git"])?;
    git(folder, &["init", "-q", "-b", "main", "seed"])?;
    git(&folder.join("seed"), &["commit", "-q", "--allow-empty", "-m", "start"])?;
    git(&folder.join("seed"), &["push", "-q", "../origin.git", "main"])?;
    let script = "echo work >b.txt; git add b.txt; git commit -qm work; touch ../../working; sleep 60";
    let orders = Orders::Polecat(Box::new(PolecatOrders {
        version: VERSION,
        subject: Subject {
            namespace: "default".into(),
            name: "nux".into(),
            uid: "11111111-2222-3333-4444-555555555555".into(),
            rig: "parts".into(),
            rig_uid: None,
            bead: None,
        },
        round: 1,
        attempt: 1,
        remote: RemoteOrders {
            url: at("origin.git"),
            branch: "main".into(),
            ..RemoteOrders::default()
        },
        work_branch: "polecat/nux".into(),
        task: Text::Inline("Add b.txt\n".into()),
        agent: AgentOrders {
            kind: "custom".into(),
            command: vec!["sh".into(), "-euc".into(), script.into()],
            ..AgentOrders::default()
        },
        paths: Paths {
            workspace: at("work/repo"),
            home: at("home"),
            shared: at("shared"),
            courier: at("courier"),
            pod_info: at("pod"),
            settings: String::new(),
        },
        pace: Pace {
            push_interval_ms: 500,
            ..Pace::default()
        },
        ..PolecatOrders::default()
    }));
    let mut pod = Pod {
        harness: harness.to_owned(),
        folder: folder.to_owned(),
        orders: orders.to_env()?,
        running: Vec::new(),
    };
    let cloned = pod.start("clone")?.wait()?;
    let log = |step: &str| std::fs::read_to_string(folder.join(format!("{step}.log"))).unwrap_or_default();
    anyhow::ensure!(cloned.success(), "clone: {}", log("clone"));
    for step in ["courier", "run"] {
        let child = pod.start(step)?;
        pod.running.push(child);
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    let pushed = || {
        git(
            &folder.join("origin.git"),
            &["rev-parse", "-q", "--verify", "polecat/nux"],
        )
        .is_ok()
    };
    while !(folder.join("working").exists() && pushed()) {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the work was not pushed: {}{}",
            log("run"),
            log("courier")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(2));
    let names = ["courier", "run"].into_iter();
    names
        .zip(&pod.running)
        .map(|(name, child)| Ok((name, process::resident(child.id())?)))
        .collect()
}

/// Git without any configuration of this machine.
fn git(dir: &Path, args: &[&str]) -> anyhow::Result<()> {
    let out = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=bench", "-c", "user.email=bench@example.com"])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()?;
    anyhow::ensure!(
        out.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// Seconds of the last `make demo`, where there was one.
fn demo(summary: &Path, table: &mut Table) {
    let seconds = std::fs::read(summary)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .and_then(|v| v.get("seconds").and_then(serde_json::Value::as_f64));
    match seconds {
        Some(seconds) => table.add(Row::new("make demo, eight beads landed", "s", seconds).at_most(30.0)),
        None => eprintln!("  no .demo/summary.json: make demo writes it"),
    }
}
