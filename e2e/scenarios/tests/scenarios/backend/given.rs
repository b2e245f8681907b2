//! `kubeconfig`: a person's cluster, by $KUBECONFIG. Where Gas Town is not installed there, Helm installs it and takes it away
//! again (the definitions stay). Scenarios keep to namespaces of their own, but for two objects beside the operator.

use super::helm::Helm;
use super::{Backend, Missing, Need};
use crate::ending::when_killed;
use crate::forge::{AUTHORITY, SECRET};
use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;

/// A variable that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

pub(crate) struct Given {
    helm: Helm,
    host: IpAddr,
    /// Installed by us.
    ours: bool,
    image: String,
}

impl Given {
    pub(crate) fn start() -> Result<Self, Missing> {
        let kubeconfig = variable("KUBECONFIG").ok_or_else(|| Missing("KUBECONFIG names no cluster".to_owned()))?;
        let kubeconfig = PathBuf::from(kubeconfig);
        let helm = Helm { kubeconfig };
        let host = match variable("E2E_HOST") {
            Some(host) => host
                .parse()
                .map_err(|_| Missing(format!("E2E_HOST={host} is no address")))?,
            None => towards(&helm)?,
        };
        let ours = !helm.is_installed()?;
        if ours {
            let more = variable("E2E_HELM").unwrap_or_default();
            // Pods of the queue reach the test's servers through the chart's network policy.
            let reach = format!(
                r#"networkPolicy.pods.internal=[{{"to":[{{"ipBlock":{{"cidr":"{host}/{}"}}}}]}}]"#,
                if host.is_ipv4() { 32 } else { 128 }
            );
            let mut words = vec!["--set-json", reach.as_str()];
            words.extend(more.split_whitespace());
            if let Err(why) = helm.install(&words) {
                helm.uninstall();
                return Err(why);
            }
        }
        let image = variable("E2E_IMAGE").unwrap_or_else(|| helm.harness());
        let kubeconfig = helm.kubeconfig.clone();
        when_killed(move || take_down(&Helm { kubeconfig }, ours));
        Ok(Self {
            helm,
            host,
            ours,
            image,
        })
    }
}

/// The address of this machine that faces the cluster's API server: unless something translates addresses, pods reach it too.
fn towards(helm: &Helm) -> Result<IpAddr, Missing> {
    let server = helm.kubectl(&[
        "config",
        "view",
        "--minify",
        "--output",
        "jsonpath={.clusters[0].cluster.server}",
    ]);
    let server = server.out.trim().parse::<hyper::Uri>().ok();
    let at = server
        .as_ref()
        .and_then(|s| Some((s.host()?.trim_matches(['[', ']']), s.port_u16().unwrap_or(443))));
    let host = at
        .and_then(|at| TcpStream::connect(at).ok()?.local_addr().ok())
        .map(|a| a.ip());
    host.filter(|h| !h.is_loopback()).ok_or_else(|| {
        let why = "E2E_HOST is not set: an address of this machine that pods of the cluster reach (kind: the gateway of its bridge)";
        Missing(why.to_owned())
    })
}

fn take_down(helm: &Helm, ours: bool) {
    helm.kubectl(&[
        "delete",
        "--ignore-not-found",
        &format!("secret/{SECRET}"),
        &format!("configmap/{AUTHORITY}"),
    ]);
    if ours {
        helm.uninstall();
        println!("Helm took the release away again; the definitions stay: make uninstall");
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        take_down(&self.helm, self.ours);
    }
}

impl Backend for Given {
    fn name(&self) -> &'static str {
        "kubeconfig"
    }

    fn kubeconfig(&self) -> PathBuf {
        self.helm.kubeconfig.clone()
    }

    fn host(&self) -> IpAddr {
        self.host
    }

    fn crash_operator(&self) {
        self.helm.crash();
    }

    fn runs_here(&self) -> bool {
        false
    }

    fn lacks(&self, need: Need) -> Option<String> {
        match need {
            Need::Crash if !self.ours => Some("the operator was installed before; it is not ours to kill".to_owned()),
            Need::Users => Some("whom its pods run as is not known here".to_owned()),
            Need::Agent(who)
                if !variable("E2E_AGENTS").is_some_and(|a| a.split_whitespace().any(|a| a == who.name())) =>
            {
                Some(format!(
                    "E2E_AGENTS does not name {}: its nodes may lack that image",
                    who.name()
                ))
            }
            _ => None,
        }
    }

    fn rig_spec(&self) -> serde_json::Value {
        serde_json::json!({ "image": self.image, "testImage": self.image })
    }

    fn operator_log(&self, lines: usize) -> String {
        self.helm.log(lines)
    }
}
