//! The verbs of `kubectl gt`, as a library: `gastown` has every one of them too.
//!
//! Data goes to stdout, all else to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 timed out.

mod agent_command;
mod connect;
mod convoy;
mod failure;
mod logs;
mod output;
mod polecat;
mod rig;
mod sling;
mod wait;

pub use connect::{Access, Cluster, DEFAULT_NAMESPACE};
pub use failure::{Failure, exit};
pub use output::{Output, Table, print_one};
pub use sling::{SlingArgs, Slung, sling};

use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Flags that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// Namespace; else the kubeconfig context's, else gastown-system.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Path of the kubeconfig.
    #[arg(long, global = true, env = "KUBECONFIG")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// table, wide, json, yaml or name.
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: Output,
}

/// What `kubectl gt` can do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Give a task to a polecat: its pod works, its branch is tested and landed.
    Sling(SlingArgs),
    /// Repositories.
    #[command(subcommand)]
    Rig(rig::RigVerb),
    /// Workers.
    #[command(subcommand, alias = "polecats")]
    Polecat(polecat::PolecatVerb),
    /// Batches of beads.
    #[command(subcommand, alias = "convoys")]
    Convoy(convoy::ConvoyVerb),
}

/// Does what a verb says and prints the result.
pub async fn run(verb: Verb, globals: &Globals, access: &Access) -> ExitCode {
    match dispatch(verb, globals, access).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn dispatch(verb: Verb, globals: &Globals, access: &Access) -> Result<(), Failure> {
    let cluster = access.connect(globals).await?;
    match verb {
        Verb::Sling(args) => sling::run(args, &cluster, access, globals.output).await,
        Verb::Rig(verb) => rig::run(verb, &cluster, access, globals.output).await,
        Verb::Polecat(verb) => polecat::run(verb, &cluster, access, globals.output).await,
        Verb::Convoy(verb) => convoy::run(verb, &cluster, access, globals.output).await,
    }
}
