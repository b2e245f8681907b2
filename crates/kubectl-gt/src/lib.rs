//! The verbs of `kubectl gt`, as a library: `gastown` has every one of them too.
//!
//! ```text
//! words ─clap─▶ Verb ─run─▶ Session (cluster, namespace, -o) ─▶ Shelf<kind> ─▶ API server
//!                                     └▶ output: data to stdout, all else to stderr, an exit code
//! ```
//! Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 timed out.

mod agent_command;
mod auth;
mod bead_store;
mod checkout;
mod cli;
mod complete;
mod connect;
mod convoy;
mod doctor;
mod examples;
mod failure;
mod globals;
mod held;
mod local_path;
mod needs;
mod output;
mod polecat;
mod reference;
mod refinery;
mod rig;
mod scratch;
mod session;
mod sling;
mod style;
mod top;
mod version;
mod wait;
mod witness;
mod write;

pub use cli::{command, main};
pub use complete::{CALLBACK, KUBECTL_NAME, Shell, answer_kubectl, complete_with, is_kubectls, print_script};
pub use connect::{Access, Cluster, DEFAULT_NAMESPACE};
pub use examples::spoken_as;
pub use failure::{Failure, exit};
pub use globals::{Connection, DryRun, Globals, Rehearsal, Scope};
pub use output::{Output, Table, note, print_one};
pub use reference::reference;
pub use sling::{SlingArgs, Slung, sling};
pub use version::version;

use clap::Subcommand;
use session::Session;
use std::process::ExitCode;

/// What `kubectl gt` can do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Give tasks to polecats: pods work, their branches are tested and landed.
    #[command(after_help = examples::SLING)]
    Sling(SlingArgs),
    /// Repositories.
    #[command(subcommand, visible_alias = "rigs")]
    Rig(rig::RigVerb),
    /// Workers.
    #[command(subcommand, visible_alias = "polecats")]
    Polecat(polecat::PolecatVerb),
    /// Batches of beads.
    #[command(subcommand, visible_alias = "convoys")]
    Convoy(convoy::ConvoyVerb),
    /// Merge queues.
    // Hidden: completions would show it in place of the name.
    #[command(subcommand, alias = "refineries")]
    Refinery(refinery::RefineryVerb),
    /// Health of a rig's polecats.
    #[command(subcommand, visible_alias = "witnesses")]
    Witness(witness::WitnessVerb),
    /// Where issues come from.
    #[command(subcommand, visible_alias = "beadstores")]
    Beadstore(bead_store::BeadStoreVerb),
    /// Who is doing what, and what it has cost so far.
    #[command(after_help = examples::TOP)]
    Top(top::TopArgs),
    /// Whether everything a polecat needs is there, and what mends what is not.
    #[command(after_help = examples::DOCTOR)]
    Doctor(doctor::DoctorArgs),
    /// An agent's login and settings in the cluster.
    #[command(subcommand)]
    Auth(auth::AuthVerb),
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
    let session = Session {
        cluster: &cluster,
        access,
        output: globals.output,
    };
    match verb {
        Verb::Sling(args) => sling::run(args, &session).await,
        Verb::Rig(verb) => rig::run(verb, &session).await,
        Verb::Polecat(verb) => polecat::run(verb, &session).await,
        Verb::Convoy(verb) => convoy::run(verb, &session).await,
        Verb::Refinery(verb) => refinery::run(verb, &session).await,
        Verb::Witness(verb) => witness::run(verb, &session).await,
        Verb::Beadstore(verb) => bead_store::run(verb, &session).await,
        Verb::Top(args) => top::run(args, &session).await,
        Verb::Doctor(args) => doctor::run(&args, &session).await,
        Verb::Auth(verb) => auth::run(verb, &session).await,
    }
}
