//! Flags that every verb takes.

use crate::Output;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Flags that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// Namespace; else the kubeconfig context's, else gastown-system.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, help_heading = "Global options")]
    pub context: Option<String>,
    /// Path of the kubeconfig; else $KUBECONFIG, else ~/.kube/config.
    #[arg(long, global = true, help_heading = "Global options")]
    pub kubeconfig: Option<PathBuf>,
    /// table, wide, json, yaml or name.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub output: Output,
    /// The rest of kubectl's.
    #[command(flatten)]
    pub connection: Connection,
}

/// kubectl's flags about how a cluster is reached. Hidden from help, where they would bury the rest; the CLI
/// reference lists them.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// Cluster of the kubeconfig.
    #[arg(long, global = true, hide = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long, global = true, hide = true)]
    pub user: Option<String>,
    /// URL of the API server.
    #[arg(short, long, global = true, hide = true)]
    pub server: Option<String>,
    /// Bearer token. Others on this machine may see it: prefer the kubeconfig.
    #[arg(long, global = true, hide = true)]
    pub token: Option<String>,
    /// User to act as.
    #[arg(long = "as", value_name = "USER", global = true, hide = true)]
    pub as_user: Option<String>,
    /// Group to act as; may be given more than once.
    #[arg(long, global = true, hide = true)]
    pub as_group: Vec<String>,
    /// File of the certificate authority.
    #[arg(long, global = true, hide = true)]
    pub certificate_authority: Option<PathBuf>,
    /// File of the client's certificate.
    #[arg(long, global = true, hide = true)]
    pub client_certificate: Option<PathBuf>,
    /// File of the client's key.
    #[arg(long, global = true, hide = true)]
    pub client_key: Option<PathBuf>,
    /// Believe any server.
    #[arg(long, global = true, hide = true)]
    pub insecure_skip_tls_verify: bool,
    /// Name the server's certificate must have.
    #[arg(long, global = true, hide = true)]
    pub tls_server_name: Option<String>,
    /// Longest wait for one answer: 90s, 5m; 0 is for ever.
    #[arg(long, global = true, hide = true, value_parser = crate::wait::duration)]
    pub request_timeout: Option<Duration>,
}

/// Which namespaces a list covers.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Scope {
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Whether a write is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is made.
    #[default]
    None,
    /// Nothing is sent: the object is printed as it would be.
    Client,
    /// The server checks it and keeps nothing.
    Server,
}

/// `--dry-run` of a write.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Rehearsal {
    /// none, client (nothing is sent) or server (checked there, not kept).
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_value = "none",
        default_missing_value = "client",
        hide_possible_values = true,
        hide_default_value = true,
        value_name = "HOW"
    )]
    pub dry_run: DryRun,
}
