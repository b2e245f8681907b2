//! A process under measurement: its memory and processor time, from /proc.

use anyhow::Context;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A child that ends with its owner.
pub(crate) struct Process {
    child: tokio::process::Child,
    name: String,
}

impl Process {
    /// Starts it, its log in a file.
    pub(crate) fn start(program: &Path, args: &[&str], env: &[(&str, &str)], log: &Path) -> anyhow::Result<Self> {
        let out = std::fs::File::options().create(true).append(true).open(log)?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { child, name })
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended: see its log", self.name))
    }

    /// Resident memory. MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        resident(self.pid()?)
    }

    /// Processor time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // After the name, which may hold anything, in parentheses.
        let rest = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest)
            .context("an odd stat file")?;
        let ticks = |n: usize| rest.split_whitespace().nth(n).and_then(|t| t.parse::<u64>().ok());
        let (user, system) = (ticks(11).context("no utime")?, ticks(12).context("no stime")?);
        // USER_HZ is 100 wherever Linux runs containers.
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// Asks it to end and waits.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let pid = self.pid()?.to_string();
        tokio::process::Command::new("kill").arg(&pid).status().await?;
        if tokio::time::timeout(Duration::from_secs(25), self.child.wait())
            .await
            .is_err()
        {
            anyhow::bail!("{} did not end within 25 s of SIGTERM", self.name);
        }
        Ok(())
    }
}

/// Resident memory of a process. MiB.
pub(crate) fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next()).context("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The machine, in a line.
pub(crate) fn machine(load_before: &str) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name").and_then(|l| l.split_once(": ")))
        .map_or("unknown processor", |(_, m)| m.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    format!(
        "{cores} cores ({model}) shared with the control plane, {} GiB; load average before {load_before}, after {}",
        memory / (1024 * 1024),
        load_average()
    )
}
