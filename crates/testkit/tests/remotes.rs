//! The git servers of the testkit, met by plain git and ssh.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use gastown_testkit::remotes::{Access, Authority, HttpGit, Mood, Repositories, SshGit};

fn git(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@t",
            "-c",
            "http.lowSpeedLimit=1",
            "-c",
            "http.lowSpeedTime=1",
        ])
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), text)
}

fn push(dir: &Path, env: &[(&str, &str)], url: &str, branch: &str) -> (bool, String) {
    git(
        dir,
        env,
        &["push", "-q", "--atomic", url, &format!("HEAD:refs/heads/{branch}")],
    )
}

fn checkout(repositories: &Repositories, dir: &Path) {
    let from = repositories.root().join("parts.git").display().to_string();
    let (ok, said) = git(dir, &[], &["clone", "-q", &from, "."]);
    assert!(ok, "{said}");
    assert!(git(dir, &[], &["commit", "-q", "--allow-empty", "-m", "more"]).0);
}

#[test]
fn https_knows_who_may_do_what() {
    let (repositories, authority, dir) = (Repositories::new(), Authority::new(), tempfile::tempdir().unwrap());
    let parts = repositories.create("parts.git");
    let server = HttpGit::of(&repositories)
        .account("bot", "hunter2", Access::Write)
        .token("look-only", Access::Read)
        .start_tls(&authority);
    checkout(&repositories, dir.path());
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    let trust = [("GIT_SSL_CAINFO", ca.to_str().unwrap())];
    let url = |user: &str| server.url("parts.git").replace("https://", &format!("https://{user}@"));

    assert!(
        git(dir.path(), &[], &["ls-remote", &url("bot:hunter2")])
            .1
            .contains("certificate")
    );
    assert!(!git(dir.path(), &trust, &["ls-remote", &server.url("parts.git")]).0);
    assert!(!git(dir.path(), &trust, &["ls-remote", &url("bot:wrong")]).0);
    assert!(
        git(dir.path(), &trust, &["ls-remote", &url("x:look-only")])
            .1
            .contains("refs/heads/main")
    );
    let (ok, said) = push(dir.path(), &trust, &url("x:look-only"), "a");
    assert!(!ok && said.contains("403"), "{said}");
    let (ok, said) = push(dir.path(), &trust, &url("bot:hunter2"), "a");
    assert!(ok, "{said}");
    assert!(parts.tip("refs/heads/a").is_some());
    assert!(
        git(
            dir.path(),
            &trust,
            &["ls-remote", &url("bot:hunter2").replace("parts", "none")]
        )
        .1
        .contains("not found")
    );
}

#[test]
fn http_has_bad_days() {
    let (repositories, dir) = (Repositories::new(), tempfile::tempdir().unwrap());
    let parts = repositories.create("parts.git");
    let server = HttpGit::of(&repositories)
        .public()
        .token("secret", Access::Write)
        .start();
    let elsewhere = HttpGit::of(&repositories).public().start();
    checkout(&repositories, dir.path());
    let (url, with) = (
        server.url("parts.git"),
        server.url("parts.git").replace("://", "://x:secret@"),
    );
    let look = || git(dir.path(), &[], &["ls-remote", &url]);

    assert!(look().0);
    for (mood, words) in [
        (Mood::Silent, "too slow"),
        (Mood::Mute, "too slow"),
        (Mood::Closing, "unable to access"),
        (Mood::Status(503), "503"),
        (
            Mood::Redirect(elsewhere.url("").trim_end_matches('/').to_owned()),
            "redirecting to",
        ),
    ] {
        server.feel(mood.clone());
        let (ok, said) = look();
        assert_eq!(ok, matches!(mood, Mood::Redirect(_)), "{mood:?}: {said}");
        assert!(said.contains(words), "{mood:?}: {said}");
    }
    server.feel(Mood::Cutting);
    assert!(!look().0);
    server.feel(Mood::Well);
    server.down();
    let (ok, said) = look();
    assert!(!ok && said.contains("onnect"), "{said}");
    server.up();
    assert!(look().0);

    server.feel(Mood::CuttingAfterPush);
    assert!(!push(dir.path(), &[], &with, "cut").0);
    assert!(parts.tip("refs/heads/cut").is_some(), "it was carried out all the same");
    server.feel(Mood::Well);

    parts.protect("main");
    assert!(push(dir.path(), &[], &with, "main").1.contains("GH006"));
    parts.without_hook("update").without_atomic();
    assert!(push(dir.path(), &[], &with, "b").1.contains("--atomic"));
    parts.refuse_custom_refs();
    let (ok, said) = git(dir.path(), &[], &["push", "-q", &with, "HEAD:refs/gastown/x"]);
    assert!(!ok && said.contains("only branches and tags"), "{said}");
}

#[test]
fn ssh_knows_keys_and_is_known_by_its_own() {
    let (repositories, dir) = (Repositories::new(), tempfile::tempdir().unwrap());
    let parts = repositories.create("parts.git");
    let Some(server) = SshGit::of(&repositories) else {
        return;
    };
    checkout(&repositories, dir.path());
    let key_file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let hosts = key_file("hosts", &server.known_hosts());
    let ssh = |key: &str| {
        format!(
            "ssh -F /dev/null -oBatchMode=yes -oStrictHostKeyChecking=yes -oIdentitiesOnly=yes -oIdentityAgent=none \
             -oUserKnownHostsFile={hosts} -i {key}"
        )
    };
    let writes = ssh(&key_file("writes", &server.key(Access::Write).private));
    let reads = ssh(&key_file("reads", &server.key(Access::Read).private));
    let nobody = ssh(&key_file("nobody", &gastown_testkit::remotes::SshKey::new().private));
    let url = server.url("parts.git");
    let with = |command: &str, args: &[&str]| git(dir.path(), &[("GIT_SSH_COMMAND", command)], args);

    let (ok, said) = with(&writes, &["push", "-q", "--atomic", &url, "HEAD:refs/heads/a"]);
    assert!(ok, "{said}");
    assert!(parts.tip("refs/heads/a").is_some());
    assert!(with(&reads, &["ls-remote", &url]).0);
    assert!(
        with(&reads, &["push", "-q", &url, "HEAD:refs/heads/b"])
            .1
            .contains("read only")
    );
    assert!(with(&nobody, &["ls-remote", &url]).1.contains("Permission denied"));
    assert!(
        with(&writes, &["ls-remote", &server.url("none.git")])
            .1
            .contains("Repository not found")
    );

    server.change_host_key();
    assert!(
        with(&writes, &["ls-remote", &url])
            .1
            .contains("IDENTIFICATION HAS CHANGED")
    );
    server.down();
    assert!(with(&writes, &["ls-remote", &url]).1.contains("Connection refused"));
}
