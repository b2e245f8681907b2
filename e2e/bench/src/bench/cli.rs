//! `kubectl gt`: how long before its first request, and its list of many.

use super::Options;
use super::observer::percentile;
use super::table::{Row, Table};
use anyhow::Context;
use gastown_bench::client::client;
use kube::Resource as _;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const TRIES: usize = 21;

/// From the shell's fork to the first byte at a server that is no server. Its kubeconfig is the cluster's but for the
/// address: one without a certificate authority, which no cluster hands out, would have it read all that the machine trusts.
pub(crate) async fn measure(options: &Options, kubeconfig: &Path, table: &mut Table) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    let server = config
        .pointer_mut("/clusters/0/cluster/server")
        .context("the cluster's kubeconfig names no server")?;
    *server = format!("https://{}", listener.local_addr()?).into();
    let folder = std::env::temp_dir().join(format!("gastown-bench-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string())?;
    let mut times = Vec::new();
    for _ in 0..TRIES {
        let began = Instant::now();
        let mut child = Command::new(options.bin.join("kubectl-gt"))
            .args(["polecat", "list"])
            .env("KUBECONFIG", &file)
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

/// The list of all polecats of the town; its floor is the same answer read from a connection of its own, and thrown away.
pub(crate) async fn list(options: &Options, kubeconfig: &Path, n: usize, table: &mut Table) -> anyhow::Result<()> {
    let (mut times, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let began = Instant::now();
        let list = gastown_api::Polecat::url_path(&(), Some(super::cluster::TOWN));
        let request = kube::core::Request::new(list).list(&kube::api::ListParams::default())?;
        client(kubeconfig, "bench").await?.request_text(request).await?;
        floors.push(began.elapsed().as_secs_f64());
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
        .floor(percentile(&mut floors, 0.5))
        .at_most(0.3),
    );
    Ok(())
}
