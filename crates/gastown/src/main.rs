//! `gastown`: every verb of `kubectl gt`, and a whole town in one process: `up`, `demo`.
//!
//! ```text
//! up = apiserver (store, TLS on loopback) + node (pods as processes) + operator, on the data of one checkout
//! ```

mod checkout;
mod commands;
mod demo;
mod detach;
mod place;
mod programs;
mod story;
mod town;
mod validate;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use kubectl_gt::{Access, Globals, Verb};
use std::process::ExitCode;

/// Gas Town on one machine: coding agents as pods, their work tested and landed.
#[derive(Parser)]
#[command(name = "gastown", version, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, at start")]
enum Command {
    /// Start the town of this checkout: Kubernetes API, node and operator in one process.
    Up(commands::UpArgs),
    /// Stop the town of this checkout; everything is kept.
    Down,
    /// Whether the town of this checkout runs, and where its data is.
    Status,
    /// Eight tasks slung, tested and landed, with a scripted stand-in for the model.
    Demo(demo::DemoArgs),
    /// Whether an API server would take manifests and templates: strictly, and with nothing made.
    Validate(validate::ValidateArgs),
    #[command(flatten)]
    Verb(Verb),
    /// Versions of this program and of the operator.
    Version {
        /// Ask no cluster.
        #[arg(long)]
        client: bool,
    },
    /// Completions for a shell.
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        #[arg(value_enum, hide_possible_values = true)]
        shell: kubectl_gt::Shell,
    },
}

fn main() -> ExitCode {
    // First of all: containers are started by a copy of this program that never gets further than here.
    gastown_node::launcher_main();
    if std::env::var_os(kubectl_gt::CALLBACK).is_some() {
        kubectl_gt::complete_with(access(&Globals::default()));
    }
    clap_complete::CompleteEnv::with_factory(Cli::command)
        .var(kubectl_gt::CALLBACK)
        .complete();
    // The examples of the verbs are told as this program is called.
    let matches = kubectl_gt::spoken_as("gastown", Cli::command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(e) => e.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: no runtime: {e}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(cli));
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

async fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Version { client } => {
            let own = env!("CARGO_PKG_VERSION");
            kubectl_gt::version(client, &cli.globals, &access(&cli.globals), own).await
        }
        Command::Completion { shell } => kubectl_gt::print_script(shell, "gastown"),
        Command::Up(args) => commands::up(args).await,
        Command::Down => commands::down().await,
        Command::Status => commands::status(cli.globals.output).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Validate(args) => validate::run(args, &cli.globals, &access(&cli.globals)).await,
        Command::Verb(verb) => {
            return kubectl_gt::run(verb, &cli.globals, &access(&cli.globals)).await;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The town of the current folder, unless a flag or the environment names another cluster.
fn access(globals: &Globals) -> Access {
    let mut access = Access {
        program: "gastown".into(),
        ..Access::default()
    };
    if let Ok(place) = place::Place::here() {
        let kubeconfig = place.kubeconfig();
        let named = globals.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some();
        if !named && kubeconfig.is_file() {
            access.kubeconfig = Some(kubeconfig);
        }
        access.rig_here = place.settings().map(|s| s.rig);
        access.checkout.clone_from(&place.checkout);
    }
    access
}
