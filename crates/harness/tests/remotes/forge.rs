//! Servers of git, and pods that work with them.

use std::fs;

use gastown_testkit::remotes::{Access, HttpGit, Repositories, Repository, SshGit, SshKey};
use gastown_wire::*;

use crate::town::*;

pub(crate) const TOKEN: &str = "ghp_FuryRoadValhallaWitnessMe4711";

/// Servers of one repository, and pods that are given Secrets.
pub(crate) struct Forge {
    pub(crate) repositories: Repositories,
    pub(crate) parts: Repository,
    pub(crate) town: Town,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let repositories = Repositories::new();
        let parts = repositories.create("parts.git");
        Self {
            repositories,
            parts,
            town: Town::new(),
        }
    }

    /// A pod of the repository at an address, with a Secret of these keys; no Secret where there are none.
    pub(crate) fn pod(&self, url: &str, secret: &[(&str, &str)], script: &str) -> Pod {
        let mut pod = self.town.pod(script);
        pod.orders.remote.url = url.to_owned();
        // Silence must end in a test's time.
        pod.orders.pace.git_timeout_s = 20;
        if !secret.is_empty() {
            pod.orders.remote.secret_dir = Some(folder(&pod, "secret", secret));
        }
        pod
    }

    pub(crate) fn ssh_pod(&self, server: &SshGit, key: &SshKey, script: &str) -> Pod {
        let mut pod = self.pod(&server.url("parts.git"), &[("ssh-privatekey", &key.private)], script);
        let known = folder(&pod, "hosts", &[("known_hosts", &server.known_hosts())]);
        pod.orders.remote.known_hosts = Some(format!("{known}/known_hosts"));
        pod
    }
}

/// A folder as a kubelet mounts it: its files are links into another.
pub(crate) fn folder(pod: &Pod, name: &str, files: &[(&str, &str)]) -> String {
    let data = pod.path(name).join("..data");
    fs::create_dir_all(&data).unwrap();
    for (file, text) in files {
        fs::write(data.join(file), text).unwrap();
        std::os::unix::fs::symlink(format!("..data/{file}"), pod.path(name).join(file)).unwrap();
    }
    pod.path(name).display().to_string()
}

pub(crate) fn trouble(pod: &Pod) -> (RemoteTrouble, String) {
    let (code, report) = pod.clone_step();
    assert_eq!(code, exit::CONFIG, "{report:?}\n{}", pod.logs());
    match report.outcome {
        CloneOutcome::Config { reason } => (RemoteTrouble::parse(&reason).unwrap(), report.detail),
        other => panic!("{other:?} {}", report.detail),
    }
}

pub(crate) fn done(pod: &Pod, parts: &Repository) {
    let report = pod.all();
    assert_eq!(report.outcome, CourierOutcome::Done, "{report:?}\n{}", pod.logs());
    assert_eq!(parts.tip(&format!("refs/heads/{WORK}")), Some(report.commit));
}

pub(crate) fn http(forge: &Forge) -> HttpGit {
    HttpGit::of(&forge.repositories)
        .public()
        .token(TOKEN, Access::Write)
        .token("look-only", Access::Read)
        .start()
}
