//! How the cluster is reached, and what `.` means.

use crate::{Failure, Globals, exit};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;

/// Where things are when nobody says.
pub const DEFAULT_NAMESPACE: &str = "gastown-system";

/// What the program that embeds the verbs knows.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// How the program is called in hints: `kubectl gt` or `gastown`.
    pub program: String,
    /// A kubeconfig found from the current folder; flags win.
    pub kubeconfig: Option<PathBuf>,
    /// The rig that `.` stands for: that of the current checkout.
    pub rig_here: Option<String>,
}

/// A cluster that answers, and the namespace to work in.
#[derive(Clone)]
pub struct Cluster {
    /// To talk to it.
    pub client: Client,
    /// From `-n`, else the context, else the default.
    pub namespace: String,
}

impl Access {
    /// Connects as the flags, else the folder, else the environment say.
    ///
    /// # Errors
    /// When there is no usable kubeconfig.
    pub async fn connect(&self, globals: &Globals) -> Result<Cluster, Failure> {
        let options = KubeConfigOptions {
            context: globals.context.clone(),
            ..KubeConfigOptions::default()
        };
        let explicit = globals.kubeconfig.clone().or_else(|| self.kubeconfig.clone());
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::new(exit::FAILED, format!("no cluster to talk to: {e}"))
                .hint("set KUBECONFIG, or start one on this machine: gastown up")
        };
        let (config, named) = match explicit {
            Some(path) => {
                let file = Kubeconfig::read_from(&path).map_err(|e| wrong(&format!("{}: {e}", path.display())))?;
                let named = context_namespace(&file, globals.context.as_deref());
                (
                    Config::from_custom_kubeconfig(file, &options)
                        .await
                        .map_err(|e| wrong(&e))?,
                    named,
                )
            }
            None => match Kubeconfig::read() {
                Ok(file) => {
                    let named = context_namespace(&file, globals.context.as_deref());
                    (
                        Config::from_custom_kubeconfig(file, &options)
                            .await
                            .map_err(|e| wrong(&e))?,
                        named,
                    )
                }
                Err(_) => (Config::infer().await.map_err(|e| wrong(&e))?, None),
            },
        };
        let namespace = globals
            .namespace
            .clone()
            .or(named)
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let client = Client::try_from(config).map_err(|e| wrong(&e))?;
        Ok(Cluster { client, namespace })
    }

    /// The rig a word stands for: `.` is that of the current checkout.
    ///
    /// # Errors
    /// When there is none here.
    pub fn rig(&self, word: &str) -> Result<String, Failure> {
        match (word, &self.rig_here) {
            (".", Some(rig)) => Ok(rig.clone()),
            (".", None) => Err(Failure::new(
                exit::USAGE,
                "'.' means the rig of the current checkout, and there is none here",
            )
            .hint("run gastown up in the checkout first, or name a rig (see: rig list)")),
            (name, _) => Ok(name.to_owned()),
        }
    }
}

fn context_namespace(file: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let current = context.or(file.current_context.as_deref())?;
    let named = file.contexts.iter().find(|c| c.name == current)?;
    named.context.as_ref()?.namespace.clone()
}
