//! `kubectl gt`.

use clap::{CommandFactory, Parser, Subcommand};
use kubectl_gt::{Access, Globals, Verb, run};
use std::process::ExitCode;

/// Gas Town on Kubernetes: sling tasks to polecats, come back to merged work.
#[derive(Parser)]
#[command(name = "kubectl-gt", bin_name = "kubectl gt", version, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, at start")]
enum Command {
    #[command(flatten)]
    Verb(Verb),
    /// What this is.
    Version,
    /// Completions for a shell.
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Version => {
            println!("kubectl-gt {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "kubectl-gt", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Verb(verb) => {
            let access = Access {
                program: "kubectl gt".into(),
                ..Access::default()
            };
            run(verb, &cli.globals, &access).await
        }
    }
}
