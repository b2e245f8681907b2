//! polecat: workers.

mod diff;
mod kept;
mod list;
mod logs;
mod nuke;
mod place;
mod retry;
mod status;

pub(crate) use logs::spent_now;
pub(crate) use status::task_line;

use crate::examples;
use crate::globals::{Rehearsal, Scope};
use crate::held::Held;
use crate::session::Session;
use crate::{Failure, complete, exit};
use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::Polecat;

/// Verbs of polecat.
#[derive(Subcommand, Debug)]
pub enum PolecatVerb {
    /// All polecats, or those of a rig.
    #[command(visible_alias = "ls", after_help = examples::POLECAT_LIST)]
    List {
        /// Only of this rig; `.` is that of this checkout.
        #[arg(add = ArgValueCompleter::new(complete::rigs))]
        rig: Option<String>,
        #[command(flatten)]
        scope: Scope,
    },
    /// One polecat: why it is where it is, and what to type next.
    #[command(after_help = examples::POLECAT_STATUS)]
    Status {
        /// NAME or RIG/NAME.
        #[arg(add = ArgValueCompleter::new(complete::polecats))]
        name: String,
    },
    /// What its agent prints.
    #[command(after_help = examples::POLECAT_LOGS)]
    Logs(logs::LogArgs),
    /// What its work changes, as a patch.
    #[command(after_help = examples::POLECAT_DIFF)]
    Diff(diff::DiffArgs),
    /// Try again; with a message, another round of the same conversation.
    #[command(after_help = examples::POLECAT_RETRY)]
    Retry(retry::RetryArgs),
    /// Say something to an agent at work.
    #[command(after_help = examples::POLECAT_TELL)]
    Tell(retry::TellArgs),
    /// End it; its branch and record stay.
    #[command(after_help = examples::POLECAT_NUKE)]
    Nuke {
        /// NAME or RIG/NAME.
        #[arg(add = ArgValueCompleter::new(complete::polecats))]
        name: String,
        /// Do not ask; delete the object too.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
}

pub(crate) async fn run(verb: PolecatVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        PolecatVerb::List { rig, scope } => list::run(rig, scope, session).await,
        PolecatVerb::Status { name } => status::run(&name, session).await,
        PolecatVerb::Logs(args) => logs::run(args, session).await,
        PolecatVerb::Diff(args) => diff::run(&args, session).await,
        PolecatVerb::Retry(args) => retry::retry(&args, session).await,
        PolecatVerb::Tell(args) => retry::tell(&args, session).await,
        PolecatVerb::Nuke { name, force, rehearsal } => nuke::run(&name, force, rehearsal.dry_run, session).await,
    }
}

/// NAME or RIG/NAME.
pub(crate) async fn find(word: &str, session: &Session<'_>) -> Result<Held<Polecat>, Failure> {
    let word = word.strip_prefix("polecat/").unwrap_or(word);
    let (rig, name) = match word.split_once('/') {
        Some((rig, name)) => (Some(session.access.rig(rig)?), name),
        None => (None, word),
    };
    let hint = format!("{} polecat list", session.program());
    let Some(held) = session.polecats(false).get(name).await? else {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!("there is no polecat {name} in namespace {}", session.namespace()),
        )
        .hint(format!("{hint} -A")));
    };
    match rig {
        Some(rig) if rig != held.object.spec.rig => Err(Failure::new(
            exit::NOT_FOUND,
            format!("polecat {name} is of rig {}, not {rig}", held.object.spec.rig),
        )
        .hint(hint)),
        _ => Ok(held),
    }
}
