//! The measurement: one control plane, one run, floor and operator by turns.

mod cli;
mod cluster;
mod harness;
mod observer;
mod process;
mod stages;
mod table;

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// About two minutes: every stage, small.
    Quick,
    /// About ten minutes.
    Full,
}

/// What is measured and where it goes.
#[derive(Args)]
pub(crate) struct Options {
    /// How much.
    #[arg(long, value_enum, env = "BENCH", default_value = "full")]
    size: Size,
    /// The checkout.
    #[arg(long, default_value = ".")]
    top: PathBuf,
    /// Folder of the release binaries.
    #[arg(long, default_value = "target/release")]
    bin: PathBuf,
    /// The static harness, as it is shipped.
    #[arg(long, default_value = "target/x86_64-unknown-linux-gnu/dist-small/gastown-harness")]
    harness: PathBuf,
    /// Results as JSON.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Results for people; none in a quick run.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Only these stages, for who works on one.
    #[arg(long)]
    only: Vec<String>,
}

/// Sizes of the stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Polecats led from created to deleted.
    pub(crate) lives: usize,
    /// Rounds of floor and operator each.
    pub(crate) rounds: usize,
    /// Polecats a round of throughput.
    pub(crate) burst: usize,
    /// Polecats a round of steady arrival.
    pub(crate) steady: usize,
    /// Arrivals a second.
    pub(crate) rate: usize,
    /// Live polecats, small and large.
    pub(crate) live: usize,
    /// The large town; none is skipped.
    pub(crate) large: Option<usize>,
    /// Quiet seconds in which nothing may be written.
    pub(crate) quiet: u64,
}

impl Size {
    fn scale(self) -> Scale {
        match self {
            Self::Quick => Scale {
                lives: 40,
                rounds: 1,
                burst: 100,
                steady: 200,
                rate: 50,
                live: 200,
                large: None,
                quiet: 10,
            },
            Self::Full => Scale {
                lives: 200,
                rounds: 3,
                burst: 500,
                steady: 1000,
                rate: 100,
                live: 1000,
                large: Some(10_000),
                quiet: 30,
            },
        }
    }
}

/// Measures, prints and writes.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let scale = options.size.scale();
    let load_before = process::load_average();
    let mut table = table::Table::default();
    let cluster = cluster::Cluster::begin(&options.top).await?;
    let measured = stages::all(&options, scale, &cluster, &mut table).await;
    if measured.is_err() {
        cluster.keep();
    }
    measured?;
    cli::measure(&options, &cluster.dir.join("kubeconfig"), &mut table).await?;
    harness::measure(&options, &mut table)?;
    drop(cluster);
    let machine = process::machine(&load_before);
    table.print();
    println!("\n{machine}; {} s", began.elapsed().as_secs());
    table.write_json(&options.json, &machine)?;
    if let Some(page) = &options.page {
        table.write_page(page, &machine)?;
    }
    Ok(())
}
