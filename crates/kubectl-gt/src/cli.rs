//! The words of `kubectl gt` itself.

use crate::complete::{Shell, answer_kubectl, is_kubectls, print_script};
use crate::reference::reference;
use crate::{Access, Failure, Globals, Verb, examples, run, version};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Gas Town on Kubernetes: sling tasks to polecats, come back to merged work.
///
/// Data goes to stdout, all else to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 timed out.
/// kubectl's flags about the connection (--server, --token, --as, --user, --cluster, --request-timeout …) work too.
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
    /// Versions of this program and of the operator.
    #[command(after_help = examples::VERSION)]
    Version {
        /// Ask no cluster.
        #[arg(long)]
        client: bool,
    },
    /// Completions for a shell, with names from the cluster.
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// bash, zsh, fish, elvish, powershell; or kubectl, for kubectl's own completion of plugins.
        #[arg(value_enum, hide_possible_values = true)]
        shell: Shell,
    },
    /// Candidates, as kubectl reads them.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// docs/CLI_REFERENCE.md.
    #[command(name = "__reference", hide = true)]
    Reference,
}

/// The command line as clap knows it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// All of `kubectl gt`.
pub async fn main() -> ExitCode {
    let access = Access {
        program: "kubectl gt".into(),
        ..Access::default()
    };
    crate::complete::complete_with(access.clone());
    clap_complete::CompleteEnv::with_factory(command)
        .var(crate::complete::CALLBACK)
        .complete();
    let mut words = std::env::args_os();
    if is_kubectls(words.next().as_deref()) {
        return ended(answer_kubectl(&mut command(), words.collect()));
    }
    let cli = match Cli::from_arg_matches(&command().get_matches()) {
        Ok(cli) => cli,
        Err(e) => e.exit(),
    };
    ended(match cli.command {
        Command::Version { client } => version(client, &cli.globals, &access, env!("CARGO_PKG_VERSION")).await,
        Command::Completion { shell } => print_script(shell, "kubectl-gt"),
        Command::Complete { words } => answer_kubectl(&mut command(), words),
        Command::Reference => crate::output::write_out(&reference(&mut command())),
        Command::Verb(verb) => return run(verb, &cli.globals, &access).await,
    })
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
