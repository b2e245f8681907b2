//! auth: an agent's login and settings as a Secret, for its pods.
//!
//! ```text
//! ~/.claude ─collect─▶ files, each with its key ─secret─▶ Secret claude-creds ─kubelet─▶ pod
//! ```

mod collect;
mod login;
mod secret;
mod status;
mod sync;

pub(crate) use secret::{secrets, values};

use crate::examples;
use crate::globals::Rehearsal;
use crate::session::Session;
use crate::{Failure, exit};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Verbs of auth.
#[derive(Subcommand, Debug)]
pub enum AuthVerb {
    /// Upload what an agent needs, and nothing else: login, settings, instructions, skills, agents, commands, hooks.
    #[command(after_help = examples::AUTH_SYNC)]
    Sync(SyncArgs),
    /// Whether the uploaded login is there and good, until when, and which files it came with.
    #[command(after_help = examples::AUTH_STATUS)]
    Status {
        /// Whose.
        #[arg(long, value_enum, default_value = "claude-code", hide_possible_values = true)]
        agent: Whose,
        /// Name of the Secret; else the agent's: claude-creds, opencode-creds, aider-creds.
        #[arg(long)]
        secret: Option<String>,
    },
}

/// Whose login and settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Whose {
    /// ~/.claude.
    #[default]
    ClaudeCode,
    /// ~/.config/opencode and its auth.json.
    Opencode,
    /// ~/.aider.conf.yml.
    Aider,
}

impl Whose {
    /// The Secret's name where none is said.
    fn secret(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-creds",
            Self::Opencode => "opencode-creds",
            Self::Aider => "aider-creds",
        }
    }
}

/// Arguments of auth sync.
#[derive(Args, Debug)]
pub struct SyncArgs {
    /// Whose login and settings: claude-code, opencode, aider.
    #[arg(long, value_enum, default_value = "claude-code", hide_possible_values = true)]
    agent: Whose,
    /// Folder of Claude Code; else $CLAUDE_CONFIG_DIR, else ~/.claude.
    #[arg(long, value_name = "DIR")]
    claude_dir: Option<PathBuf>,
    /// Name of the Secret; else the agent's: claude-creds, opencode-creds, aider-creds.
    #[arg(long)]
    secret: Option<String>,
    /// Upload settings alone, and no login.
    #[arg(long)]
    settings_only: bool,
    /// Take ~/.env along (aider): its variables may be anything.
    #[arg(long)]
    with_env: bool,
    /// Leave out files whose path begins so; may be given more than once.
    #[arg(long, value_name = "PATH")]
    exclude: Vec<String>,
    /// Make the Secret of an API key from this variable of the environment instead, under the variable's name.
    #[arg(long, value_name = "VARIABLE", num_args = 0..=1, default_missing_value = "ANTHROPIC_API_KEY", conflicts_with_all = ["claude_dir", "with_env", "settings_only", "exclude"])]
    api_key_from_env: Option<String>,
    /// Upload a long-lived token in place of the login: from $CLAUDE_CODE_OAUTH_TOKEN, as `claude setup-token` makes it.
    #[arg(long, conflicts_with_all = ["api_key_from_env", "settings_only"])]
    token_from_env: bool,
    /// Write though nothing changed, and over a Secret that somebody else made.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

pub(crate) async fn run(verb: AuthVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        AuthVerb::Sync(args) => sync::run(args, session).await,
        AuthVerb::Status { agent, secret } => {
            let name = secret.unwrap_or_else(|| agent.secret().to_owned());
            status::run(&name, agent, session).await
        }
    }
}

/// `$HOME`.
fn home() -> Result<PathBuf, Failure> {
    match std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute()) {
        Some(home) => Ok(home),
        None => Err(
            Failure::new(exit::FAILED, "HOME is not set: where are the agent's settings?")
                .hint("name the folder: --claude-dir DIR"),
        ),
    }
}

/// Bytes as people say them.
fn size(bytes: usize) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}
