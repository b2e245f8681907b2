//! How the cluster is reached, and what `.` means.

use crate::globals::Connection;
use crate::{Failure, Globals, exit};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::{Path, PathBuf};

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
    /// The current checkout's top folder, where that is known already.
    pub checkout: Option<PathBuf>,
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
    /// Connects as the flags, else the folder, else the environment say. No request is made.
    ///
    /// # Errors
    /// When there is no usable kubeconfig.
    pub async fn connect(&self, globals: &Globals) -> Result<Cluster, Failure> {
        let (mut config, named) = self.config(globals).await?;
        override_with(&mut config, &globals.connection)?;
        let namespace = globals
            .namespace
            .clone()
            .or(named)
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        if namespace.is_empty() || gastown_api::names::legalized(&namespace) != namespace {
            return Err(
                Failure::new(exit::USAGE, format!("'{namespace}' cannot be the name of a namespace"))
                    .hint("small letters, digits and dashes: -n gastown-system"),
            );
        }
        let client = Client::try_from(config).map_err(|e| wrong(&e))?;
        Ok(Cluster { client, namespace })
    }

    /// The kubeconfig's settings, and the namespace its context names.
    async fn config(&self, globals: &Globals) -> Result<(Config, Option<String>), Failure> {
        let connection = &globals.connection;
        let options = KubeConfigOptions {
            context: globals.context.clone(),
            cluster: connection.cluster.clone(),
            user: connection.user.clone(),
        };
        let explicit = globals.kubeconfig.as_ref().or(self.kubeconfig.as_ref());
        let file = match explicit {
            Some(path) => Kubeconfig::read_from(path).map_err(|e| wrong(&format!("{}: {e}", path.display())))?,
            None => match Kubeconfig::read() {
                Ok(file) => file,
                Err(e) => {
                    if let Some(server) = &connection.server {
                        return Ok((Config::new(url(server)?), None));
                    }
                    let config = Config::incluster().map_err(|_| wrong(&e))?;
                    let named = Some(config.default_namespace.clone());
                    return Ok((config, named));
                }
            },
        };
        let named = context_namespace(&file, globals.context.as_deref());
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|e| wrong(&e))?;
        Ok((config, named))
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

fn wrong(e: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::FAILED, format!("no cluster to talk to: {e}"))
        .hint("set KUBECONFIG, or start one on this machine: gastown up")
}

fn url(server: &str) -> Result<http::Uri, Failure> {
    server
        .parse()
        .map_err(|e| Failure::new(exit::USAGE, format!("--server {server}: {e}")))
}

/// Lays kubectl's connection flags over what the kubeconfig says.
fn override_with(config: &mut Config, connection: &Connection) -> Result<(), Failure> {
    let Connection {
        // Named when the kubeconfig was read.
        cluster: _,
        user: _,
        server,
        token,
        as_user,
        as_group,
        certificate_authority,
        client_certificate,
        client_key,
        insecure_skip_tls_verify,
        tls_server_name,
        request_timeout,
    } = connection;
    if let Some(server) = server {
        config.cluster_url = url(server)?;
    }
    if let Some(token) = token {
        config.auth_info.token = Some(token.clone().into());
        config.auth_info.token_file = None;
    }
    if as_user.is_some() {
        config.auth_info.impersonate.clone_from(as_user);
    }
    if !as_group.is_empty() {
        config.auth_info.impersonate_groups = Some(as_group.clone());
    }
    if let Some(path) = certificate_authority {
        config.root_cert = None;
        config.root_cert_file = Some(path.clone());
    }
    let path_text = |path: &Path| path.to_string_lossy().into_owned();
    if let Some(path) = client_certificate {
        config.auth_info.client_certificate = Some(path_text(path));
        config.auth_info.client_certificate_data = None;
    }
    if let Some(path) = client_key {
        config.auth_info.client_key = Some(path_text(path));
        config.auth_info.client_key_data = None;
    }
    config.accept_invalid_certs |= insecure_skip_tls_verify;
    if tls_server_name.is_some() {
        config.tls_server_name.clone_from(tls_server_name);
    }
    if let Some(timeout) = request_timeout {
        config.read_timeout = Some(*timeout).filter(|t| !t.is_zero());
    }
    Ok(())
}

fn context_namespace(file: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let current = context.or(file.current_context.as_deref())?;
    let named = file.contexts.iter().find(|c| c.name == current)?;
    named.context.as_ref()?.namespace.clone().filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Access, Config, Connection, Path, override_with};
    use crate::Globals;
    use clap::{Args, Command, FromArgMatches};
    use kube::config::AuthInfo;
    use std::collections::BTreeSet;
    use std::time::Duration;

    const FILE: &str = "
current-context: here
contexts:
  - {name: here, context: {cluster: near, user: ann, namespace: one}}
  - {name: there, context: {cluster: far, user: bob, namespace: two}}
clusters:
  - {name: near, cluster: {server: 'https://near'}}
  - {name: far, cluster: {server: 'https://far'}}
users:
  - {name: ann, user: {username: ann}}
  - {name: bob, user: {username: bob}}
";

    /// How the cluster is reached, as words: what somebody types after the command, with that kubeconfig.
    async fn reached(kubeconfig: &Path, typed: &[&str]) -> (Config, Option<String>) {
        let command = Globals::augment_args(Command::new("gt"));
        let matches = command.get_matches_from([&["gt"], typed].concat());
        let mut globals = Globals::from_arg_matches(&matches).unwrap();
        globals.kubeconfig = Some(kubeconfig.to_owned());
        let (mut config, named) = Access::default().config(&globals).await.unwrap();
        override_with(&mut config, &globals.connection).unwrap();
        (config, named)
    }

    #[tokio::test]
    async fn each_of_kubectls_flags_counts() {
        type Seen = fn(&Config) -> bool;
        fn by(config: &Config) -> &AuthInfo {
            &config.auth_info
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kubeconfig");
        std::fs::write(&file, FILE).unwrap();
        let flags: [(&[&str], Seen); 12] = [
            (&["--cluster", "far"], |c| c.cluster_url == "https://far/"),
            (&["--user", "bob"], |c| by(c).username.as_deref() == Some("bob")),
            (&["--server", "https://away"], |c| c.cluster_url == "https://away/"),
            (&["--token", "t"], |c| by(c).token.is_some()),
            (&["--as", "eve"], |c| by(c).impersonate.as_deref() == Some("eve")),
            (&["--as-group", "a", "--as-group", "b"], |c| {
                by(c).impersonate_groups.as_deref() == Some(&["a".to_owned(), "b".to_owned()])
            }),
            (&["--certificate-authority", "ca.crt"], |c| {
                c.root_cert_file.as_deref() == Some(Path::new("ca.crt"))
            }),
            (&["--client-certificate", "me.crt"], |c| {
                by(c).client_certificate.as_deref() == Some("me.crt")
            }),
            (&["--client-key", "me.key"], |c| {
                by(c).client_key.as_deref() == Some("me.key")
            }),
            (&["--insecure-skip-tls-verify"], |c| c.accept_invalid_certs),
            (&["--tls-server-name", "name"], |c| {
                c.tls_server_name.as_deref() == Some("name")
            }),
            (&["--request-timeout", "5s"], |c| {
                c.read_timeout == Some(Duration::from_secs(5))
            }),
        ];
        let (plain, _) = reached(&file, &[]).await;
        for (typed, seen) in &flags {
            assert!(!seen(&plain), "{typed:?}: without it, too");
            assert!(seen(&reached(&file, typed).await.0), "{typed:?}");
        }
        assert!(
            reached(&file, &["--request-timeout", "0"])
                .await
                .0
                .read_timeout
                .is_none()
        );

        let all = Connection::augment_args(Command::new("gt"));
        let all: BTreeSet<String> = all
            .get_arguments()
            .filter_map(|a| a.get_long())
            .map(|l| format!("--{l}"))
            .collect();
        let shown: BTreeSet<String> = flags
            .iter()
            .filter_map(|(typed, _)| typed.first())
            .map(|&f| f.to_owned())
            .collect();
        assert_eq!(shown, all, "each flag has its row");
    }

    #[tokio::test]
    async fn a_context_brings_its_cluster_its_user_and_its_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kubeconfig");
        std::fs::write(&file, FILE).unwrap();
        for (typed, url, user, namespace) in [
            (&[][..], "https://near/", "ann", "one"),
            (&["--context", "there"], "https://far/", "bob", "two"),
        ] {
            let (config, named) = reached(&file, typed).await;
            assert_eq!(config.cluster_url, url);
            assert_eq!(config.auth_info.username.as_deref(), Some(user));
            assert_eq!(named.as_deref(), Some(namespace));
        }
    }
}
