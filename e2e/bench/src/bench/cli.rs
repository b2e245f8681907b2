//! `kubectl gt`: how long before its first request, and its list of many.

use super::Options;
use super::observer::percentile;
use super::table::{Row, Table};
use anyhow::Context;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const TRIES: usize = 21;

/// From the shell's fork to the first byte at a server that is no server.
pub(crate) async fn measure(options: &Options, table: &mut Table) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let folder = std::env::temp_dir().join(format!("gastown-bench-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("kubeconfig");
    std::fs::write(
        &config,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             contexts: [{{name: x, context: {{cluster: x, user: x}}}}]\nusers: [{{name: x, user: {{}}}}]\n\
             clusters: [{{name: x, cluster: {{server: \"http://{}\"}}}}]\n",
            listener.local_addr()?
        ),
    )?;
    let mut times = Vec::new();
    for _ in 0..TRIES {
        let began = Instant::now();
        let mut child = Command::new(options.bin.join("kubectl-gt"))
            .args(["polecat", "list"])
            .env("KUBECONFIG", &config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting kubectl-gt")?;
        let (stream, _) = listener.accept()?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        drop(stream);
        child.kill()?;
        child.wait()?;
    }
    std::fs::remove_dir_all(&folder)?;
    table.add(Row::new("kubectl gt, start to first request", "ms", percentile(&mut times, 0.5)).at_most(10.0));
    Ok(())
}

/// The list of all polecats of the town.
pub(crate) fn list(options: &Options, kubeconfig: &Path, n: usize, table: &mut Table) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let out = Command::new(options.bin.join("kubectl-gt"))
            .args(["polecat", "list", "-n", super::cluster::TOWN])
            .env("KUBECONFIG", kubeconfig)
            .output()?;
        times.push(began.elapsed().as_secs_f64());
        let lines = String::from_utf8_lossy(&out.stdout).lines().count();
        anyhow::ensure!(
            out.status.success() && lines >= n,
            "{lines} lines: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    table.add(
        Row::new(
            format!("kubectl gt polecat list, {n} polecats"),
            "s",
            percentile(&mut times, 0.5),
        )
        .at_most(0.3),
    );
    Ok(())
}
