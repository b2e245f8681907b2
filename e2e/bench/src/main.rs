//! `gastown-bench`: the measurement, and the programs it is made of.

#[expect(clippy::disallowed_types, reason = "what is measured is run as a process")]
mod bench;

use clap::{Parser, Subcommand};
use gastown_bench::{audit, client::client, floor, kubelet};
use std::path::PathBuf;
use std::time::Duration;

/// Measures the operator, and reads what it called.
#[derive(Parser)]
#[command(name = "gastown-bench", version)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every budget that concerns operator and CLI, in one run with its floor.
    Run(bench::Options),
    /// A kubelet that runs nothing.
    Kubelet {
        /// How to reach the API server.
        #[arg(long, env = "KUBECONFIG")]
        kubeconfig: PathBuf,
        /// Register as this node; without it every pod is taken as it is, unscheduled.
        #[arg(long)]
        node: Option<String>,
        /// How long a polecat's pod runs before it reports. Milliseconds; 0: for ever.
        #[arg(long, default_value_t = 2000)]
        life_ms: u64,
        /// Take all pods, not only the operator's.
        #[arg(long)]
        all: bool,
    },
    /// The floor.
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        kubeconfig: PathBuf,
        /// The pod all pods are made like. JSON.
        #[arg(long)]
        pattern: PathBuf,
    },
    /// Compares the calls of a user in an audit log with roles: exit 1 where they do not fit exactly.
    Audit {
        /// The API server's audit log.
        #[arg(long)]
        log: PathBuf,
        /// Whose calls: system:serviceaccount:gastown-system:gastown-operator
        #[arg(long)]
        user: String,
        /// YAML with that user's roles, and where it holds others too, their bindings: deploy/install.yaml.
        #[arg(long, required = true)]
        role: Vec<PathBuf>,
        /// Grants a healthy run need not use, as `verb resource[.group]`.
        #[arg(long)]
        rare: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .compact()
        .init();
    match Flags::parse().what {
        What::Run(options) => bench::run(options).await,
        What::Kubelet {
            kubeconfig,
            node,
            life_ms,
            all,
        } => {
            let mut settings = kubelet::Settings {
                life: (life_ms > 0).then(|| Duration::from_millis(life_ms)),
                node,
                ..kubelet::Settings::default()
            };
            if all {
                settings.labels = None;
            }
            kubelet::run(client(&kubeconfig, "fake-kubelet").await?, settings).await
        }
        What::Floor { kubeconfig, pattern } => {
            let pattern = serde_json::from_slice(&std::fs::read(pattern)?)?;
            floor::run(client(&kubeconfig, "floor").await?, pattern).await
        }
        What::Audit { log, user, role, rare } => check(&log, &user, &role, &rare),
    }
}

fn check(log: &std::path::Path, user: &str, roles: &[PathBuf], rare: &[String]) -> anyhow::Result<()> {
    let entries = audit::Log::open(log).since(user)?;
    anyhow::ensure!(!entries.is_empty(), "{user} called nothing: is this the log of a run?");
    let mut held = Vec::new();
    for file in roles {
        held.extend(audit::roles(file)?);
    }
    let held = audit::bound(&held, user);
    let rare: Vec<audit::Call> = rare.iter().filter_map(|text| audit::Call::parse(text)).collect();
    println!("{:>8}  call", "times");
    for (call, times) in audit::tally(&entries) {
        println!("{times:>8}  {call}");
    }
    let fit = audit::fit(&entries, &audit::granted(&held), &rare);
    for (what, calls) in [
        ("called and not granted", &fit.outside),
        ("granted and never called", &fit.idle),
        ("forbidden by the server", &fit.forbidden),
        ("about Secrets, exec or a wildcard", &fit.taboo),
    ] {
        for call in calls {
            println!("{what}: {call}");
        }
    }
    anyhow::ensure!(fit.exact(), "the roles do not fit what {user} called");
    println!(
        "the roles fit: {} calls of {} kinds",
        entries.len(),
        audit::tally(&entries).len()
    );
    Ok(())
}
