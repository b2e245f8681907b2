//! A credential stays where it was put: with git, for the host it is for.

use std::{fs, path::PathBuf};

use gastown_testkit::remotes::{Access, HttpGit, Mood, SshGit, SshKey};
use gastown_wire::*;

use crate::{forge::*, town::*};

#[test]
fn a_credential_never_follows_to_another_host() {
    let forge = Forge::new();
    let server = http(&forge);
    let thief = HttpGit::of(&forge.repositories)
        .public()
        .token(TOKEN, Access::Write)
        .start();
    server.feel(Mood::Redirect(
        thief.url_at("localhost", "").trim_end_matches('/').to_owned(),
    ));
    let pod = forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD);
    assert_eq!(trouble(&pod).0, RemoteTrouble::RepositoryMoved);
    assert!(!thief.requests().is_empty());
    for request in thief.requests() {
        assert!(request.ends_with(" -"), "{request}");
    }
}

/// Invariant 9, by looking everywhere while a push hangs, and at all that is left afterwards.
#[test]
fn the_secret_is_nowhere_but_in_private_files() {
    let forge = Forge::new();
    let server = http(&forge);
    let ssh = SshGit::of(&forge.repositories);
    let key = SshKey::new();
    let mut pods = vec![(
        forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD),
        TOKEN.to_owned(),
    )];
    if let Some(ssh) = &ssh {
        ssh.authorize(&key, Access::Write);
        let secret = key.private.lines().nth(2).unwrap().to_owned();
        pods.push((forge.ssh_pod(ssh, &key, GOOD), secret));
    }
    for (mut pod, secret) in pods {
        pod.orders.work_branch = format!("polecat/{}", pod.uid.len() + pod.orders.remote.url.len());
        pod.orders.subject.uid = format!("uid-{}", pod.orders.remote.url.len());
        let mut up = pod.cloned().up();
        let mut seen = 0;
        let mut told = Vec::new();
        while up.courier.try_wait().unwrap().is_none() {
            for pid in [up.courier.id(), up.run.id()] {
                seen += look(pid, &secret, &mut told);
            }
        }
        assert!(seen > 0, "no process of git was seen");
        assert!(told.is_empty(), "{told:?}");
        let report = up.report();
        assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
        let left = holders(&pod.path(""), &secret);
        let (given, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|f| f.starts_with(pod.path("secret")));
        assert_eq!(
            (given.len(), others),
            (1, Vec::<PathBuf>::new()),
            "the mounted Secret alone holds it"
        );
    }
    let record = forge.parts.git(&["log", "--all", "-p"]);
    assert!(!record.contains(TOKEN) && !record.contains("PRIVATE KEY"));
}

/// Looks at the arguments and environment of every process below one; how many there were.
fn look(pid: u32, secret: &str, told: &mut Vec<String>) -> usize {
    let mut seen = 0;
    for child in children(pid) {
        for file in ["cmdline", "environ"] {
            // A process that has just ended has neither.
            let text = fs::read(format!("/proc/{child}/{file}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            seen += usize::from(text.contains("GIT_CONFIG_COUNT"));
            if text.contains(secret) {
                told.push(format!("{file}: {text}"));
            }
        }
        seen += look(child, secret, told);
    }
    seen
}

fn holders(dir: &std::path::Path, secret: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holders(&entry.path(), secret));
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            if String::from_utf8_lossy(&bytes).contains(secret) {
                found.push(entry.path());
            }
        }
    }
    found
}
