//! Real git servers, with good and bad days: each trouble has its name, within its deadline, and no work is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

mod town;

use std::{fs, path::PathBuf};

use gastown_testkit::remotes::{Access, Authority, HttpGit, Mood, Repositories, Repository, SshGit, SshKey};
use gastown_wire::*;
use town::*;

const TOKEN: &str = "ghp_FuryRoadValhallaWitnessMe4711";

/// Servers of one repository, and pods that are given Secrets.
struct Forge {
    repositories: Repositories,
    parts: Repository,
    town: Town,
}

impl Forge {
    fn new() -> Self {
        let repositories = Repositories::new();
        let parts = repositories.create("parts.git");
        Self {
            repositories,
            parts,
            town: Town::new(),
        }
    }

    /// A pod of the repository at an address, with a Secret of these keys; no Secret where there are none.
    fn pod(&self, url: &str, secret: &[(&str, &str)], script: &str) -> Pod {
        let mut pod = self.town.pod(script);
        pod.orders.remote.url = url.to_owned();
        // Silence must end in a test's time.
        pod.orders.pace.git_timeout_s = 20;
        if !secret.is_empty() {
            pod.orders.remote.secret_dir = Some(folder(&pod, "secret", secret));
        }
        pod
    }

    fn ssh_pod(&self, server: &SshGit, key: &SshKey, script: &str) -> Pod {
        let mut pod = self.pod(&server.url("parts.git"), &[("ssh-privatekey", &key.private)], script);
        let known = folder(&pod, "hosts", &[("known_hosts", &server.known_hosts())]);
        pod.orders.remote.known_hosts = Some(format!("{known}/known_hosts"));
        pod
    }
}

/// A folder as a kubelet mounts it: its files are links into another.
fn folder(pod: &Pod, name: &str, files: &[(&str, &str)]) -> String {
    let data = pod.path(name).join("..data");
    fs::create_dir_all(&data).unwrap();
    for (file, text) in files {
        fs::write(data.join(file), text).unwrap();
        std::os::unix::fs::symlink(format!("..data/{file}"), pod.path(name).join(file)).unwrap();
    }
    pod.path(name).display().to_string()
}

fn trouble(pod: &Pod) -> (RemoteTrouble, String) {
    let (code, report) = pod.clone_step();
    assert_eq!(code, exit::CONFIG, "{report:?}\n{}", pod.logs());
    match report.outcome {
        CloneOutcome::Config { reason } => (RemoteTrouble::parse(&reason).unwrap(), report.detail),
        other => panic!("{other:?} {}", report.detail),
    }
}

fn done(pod: &Pod, parts: &Repository) {
    let report = pod.all();
    assert_eq!(report.outcome, CourierOutcome::Done, "{report:?}\n{}", pod.logs());
    assert_eq!(parts.tip(&format!("refs/heads/{WORK}")), Some(report.commit));
}

fn http(forge: &Forge) -> HttpGit {
    HttpGit::of(&forge.repositories)
        .public()
        .token(TOKEN, Access::Write)
        .token("look-only", Access::Read)
        .start()
}

#[test]
fn ssh_carries_work_with_any_key_name_and_sloppy_files() {
    let forge = Forge::new();
    let Some(server) = SshGit::of(&forge.repositories) else {
        return;
    };
    let key = server.key(Access::Write);
    let rsa = SshKey::generate("rsa", "");
    server.authorize(&rsa, Access::Write);
    done(&forge.ssh_pod(&server, &key, GOOD), &forge.parts);
    for (attempt, name, text) in [
        (2, "id_ed25519", key.private.replace('\n', "\r\n")),
        (3, "identity", key.private.trim_end().to_owned()),
        (4, "id_rsa", rsa.private.clone()),
    ] {
        let mut pod = forge.ssh_pod(
            &server,
            &key,
            "echo $GASTOWN_ATTEMPT > c.txt; git add -A; git commit -qm c",
        );
        pod.orders.round = attempt;
        pod.orders.attempt = attempt;
        pod.uid = format!("pod-{attempt}");
        pod.orders.remote.secret_dir = Some(folder(&pod, "other", &[(name, &text)]));
        done(&pod, &forge.parts);
    }
}

#[test]
fn ssh_troubles_have_names_and_say_what_to_type() {
    let forge = Forge::new();
    let Some(server) = SshGit::of(&forge.repositories) else {
        return;
    };
    let (writes, reads) = (server.key(Access::Write), server.key(Access::Read));
    let with = |secret: &[(&str, &str)]| {
        let mut pod = forge.ssh_pod(&server, &writes, GOOD);
        pod.orders.remote.secret_dir = Some(folder(&pod, "given", secret));
        trouble(&pod)
    };
    let locked = SshKey::generate("ed25519", "witness me");
    for (secret, expected, words) in [
        (
            vec![("ssh-privatekey", SshKey::new().private.as_str())],
            RemoteTrouble::CredentialRefused,
            "Permission denied",
        ),
        (
            vec![("ssh-privatekey", reads.private.as_str())],
            RemoteTrouble::CredentialReadOnly,
            "read only",
        ),
        (
            vec![("ssh-privatekey", locked.private.as_str())],
            RemoteTrouble::KeyHasPassphrase,
            "ssh-keygen",
        ),
        (
            vec![("ssh-privatekey", writes.public.as_str())],
            RemoteTrouble::KeyUnreadable,
            "public key",
        ),
        (
            vec![("ssh-privatekey", &writes.private[..200])],
            RemoteTrouble::KeyUnreadable,
            "cut off",
        ),
        (vec![("token", TOKEN)], RemoteTrouble::SecretKeyMissing, "https address"),
        (vec![], RemoteTrouble::SecretMissing, "gitSecretRef"),
    ] {
        let (found, detail) = with(&secret);
        assert_eq!(found, expected, "{detail}");
        assert!(detail.contains(words), "{found}: {detail}");
        assert!(!detail.contains("b3BlbnNz") && !detail.contains(TOKEN), "{detail}");
    }

    let mut pod = forge.ssh_pod(&server, &writes, GOOD);
    pod.orders.remote.secret_dir = None;
    assert_eq!(trouble(&pod).0, RemoteTrouble::CredentialMissing);

    // No ConfigMap and no forge: refused before anything is sent, with the command.
    let mut pod = forge.ssh_pod(&server, &writes, GOOD);
    pod.orders.remote.known_hosts = None;
    let (found, detail) = trouble(&pod);
    let scan = format!("ssh-keyscan -p {} 127.0.0.1", server.addr().port());
    assert_eq!(found, RemoteTrouble::HostKeyUnknown);
    assert!(
        detail.contains(&scan) && detail.contains("create configmap"),
        "{detail}"
    );
    // A ConfigMap that knows somebody else: ssh says so, we say what to type.
    let mut pod = forge.ssh_pod(&server, &writes, GOOD);
    let other = folder(
        &pod,
        "other",
        &[("known_hosts", &format!("elsewhere {}\n", writes.public))],
    );
    pod.orders.remote.known_hosts = Some(format!("{other}/known_hosts"));
    let (found, detail) = trouble(&pod);
    assert_eq!(found, RemoteTrouble::HostKeyUnknown);
    assert!(detail.contains(&scan), "{detail}");
    let mut pod = forge.ssh_pod(&server, &writes, GOOD);
    pod.orders.remote.known_hosts = Some("/nowhere/known_hosts".into());
    assert_eq!(trouble(&pod).0, RemoteTrouble::KnownHostsMissing);

    let mut pod = forge.ssh_pod(&server, &writes, GOOD);
    pod.orders.remote.url = server.url("nowhere.git");
    assert_eq!(trouble(&pod).0, RemoteTrouble::RepositoryNotFound);

    let pod = forge.ssh_pod(&server, &writes, GOOD);
    server.change_host_key();
    assert_eq!(trouble(&pod).0, RemoteTrouble::HostKeyChanged);
    assert_eq!(forge.parts.refs().lines().count(), 1, "none of them wrote anything");
}

#[test]
fn https_carries_work_with_a_token_and_an_authority_of_its_own() {
    let (forge, authority) = (Forge::new(), Authority::new());
    let server = HttpGit::of(&forge.repositories)
        .token(TOKEN, Access::Write)
        .start_tls(&authority);
    let mut pod = forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD);
    assert_eq!(trouble(&pod).0, RemoteTrouble::CertificateUntrusted);
    pod.env.push(("GIT_SSL_CAINFO".into(), "/nowhere/ca.crt".into()));
    assert_eq!(trouble(&pod).0, RemoteTrouble::CaBundleMissing);
    let ca = folder(&pod, "ca", &[("ca.crt", authority.pem())]);
    pod.env = vec![("GIT_SSL_CAINFO".into(), format!("{ca}/ca.crt"))];
    done(&pod, &forge.parts);
}

#[test]
fn http_troubles_have_names() {
    let forge = Forge::new();
    let server = http(&forge);
    let private = HttpGit::of(&forge.repositories).token(TOKEN, Access::Write).start();
    let url = server.url("parts.git");
    let basic = [("username", "bot"), ("password", TOKEN)];
    for (url, secret, expected) in [
        (
            url.as_str(),
            &[("token", "wrong")][..],
            RemoteTrouble::CredentialRefused,
        ),
        (&url, &[("token", "look-only")], RemoteTrouble::CredentialReadOnly),
        // A public repository and no Secret: read, and then told what a push needs.
        (&url, &[], RemoteTrouble::CredentialMissing),
        (&private.url("parts.git"), &[], RemoteTrouble::CredentialMissing),
        (&url, &[("ssh-privatekey", "x")], RemoteTrouble::SecretKeyMissing),
        (&server.url("nowhere.git"), &basic, RemoteTrouble::RepositoryNotFound),
        (
            "http://git.example.com/parts.git",
            &basic,
            RemoteTrouble::CredentialNeedsTls,
        ),
    ] {
        let (found, detail) = trouble(&forge.pod(url, secret, GOOD));
        assert_eq!(found, expected, "{url} {detail}");
        assert!(!detail.contains(TOKEN), "{detail}");
    }
    done(&forge.pod(&url, &basic, GOOD), &forge.parts);
}

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

#[test]
fn repositories_that_cannot_be_worked_with_say_why() {
    let forge = Forge::new();
    let server = http(&forge);
    let secret = [("token", TOKEN)];
    let _ = forge.repositories.create_empty("empty.git");
    let _ = forge.repositories.create("old.git").without_atomic();
    let _ = forge.repositories.create("strict.git").refuse_custom_refs();
    for (name, expected, words) in [
        ("empty.git", RemoteTrouble::RepositoryEmpty, "none at all"),
        ("old.git", RemoteTrouble::AtomicUnsupported, "--atomic"),
        ("strict.git", RemoteTrouble::RefsRefused, "only branches and tags"),
    ] {
        let (found, detail) = trouble(&forge.pod(&server.url(name), &secret, GOOD));
        assert_eq!(found, expected, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    let mut pod = forge.pod(&server.url("parts.git"), &secret, GOOD);
    pod.orders.remote.branch = "trunk".into();
    let (found, detail) = trouble(&pod);
    assert_eq!(found, RemoteTrouble::BranchNotFound);
    assert!(detail.contains("it has main"), "{detail}");
}

#[test]
fn a_hook_that_refuses_the_push_leaves_the_work_in_the_record() {
    let forge = Forge::new();
    let server = http(&forge);
    forge
        .parts
        .refuse_branches("polecat/*", "commit messages need a ticket");
    let pod = forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD);
    let report = pod.all();
    let CourierOutcome::PushRejected { why } = &report.outcome else {
        panic!("{report:?}\n{}", pod.logs())
    };
    assert!(why.contains("need a ticket"), "{why}");
    let work = git(&pod.workspace(), &["rev-parse", "HEAD"]);
    let kept = forge
        .parts
        .try_git(&["merge-base", "--is-ancestor", &work, &record_ref(UID)]);
    assert!(kept.is_some(), "the work is in the record");
}

#[test]
fn a_server_in_trouble_is_tried_again_and_nothing_is_lost() {
    let forge = Forge::new();
    let server = http(&forge);
    for mood in [Mood::Status(500), Mood::Status(503), Mood::Closing, Mood::Cutting] {
        server.feel(mood.clone());
        let pod = forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD);
        let (code, report) = pod.clone_step();
        assert_eq!(
            (code, report.outcome),
            (exit::TRANSIENT, CloneOutcome::Transient),
            "{mood:?} {}",
            report.detail
        );
    }
    server.feel(Mood::Well);
    // It goes away while the agent works, and comes back in several moods.
    let pod = forge.pod(
        &server.url("parts.git"),
        &[("token", TOKEN)],
        &format!("touch ../started; until [ -e ../go ]; do sleep 0.05; done; {GOOD}"),
    );
    let up = pod.cloned().up();
    until("the agent works", || pod.path("work/started").exists());
    server.down();
    fs::write(pod.path("work/go"), "").unwrap();
    until("the work cannot be pushed", || {
        pod.read("courier.log").contains("cannot be pushed now")
    });
    server.feel(Mood::CuttingAfterPush);
    server.up();
    let parts = forge.parts.clone();
    until("the push is carried out, and nobody is told", || {
        parts.tip(&format!("refs/heads/{WORK}")).is_some()
    });
    server.feel(Mood::Well);
    let report = up.report();
    assert_eq!(report.outcome, CourierOutcome::Done, "{report:?}\n{}", pod.logs());
    assert_eq!(forge.parts.tip(&format!("refs/heads/{WORK}")), Some(report.commit));
}

#[test]
fn a_server_that_never_answers_ends_within_the_deadline() {
    let forge = Forge::new();
    let server = http(&forge);
    let ssh = SshGit::of(&forge.repositories);
    for mood in [Mood::Silent, Mood::Mute] {
        server.feel(mood.clone());
        let mut pods = vec![forge.pod(&server.url("parts.git"), &[("token", TOKEN)], GOOD)];
        if let Some(ssh) = &ssh {
            ssh.feel(mood);
            pods.push(forge.ssh_pod(ssh, &ssh.key(Access::Write), GOOD));
        }
        for mut pod in pods {
            pod.orders.pace.git_timeout_s = 2;
            let (code, report) = pod.clone_step();
            assert_eq!(
                (code, report.outcome),
                (exit::TRANSIENT, CloneOutcome::Transient),
                "{}",
                report.detail
            );
            assert!(report.detail.contains("took longer than 2s"), "{}", report.detail);
        }
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

/// As OpenShift does it: some user of a large range, group 0, a read-only root. ssh works for nobody without a name.
#[test]
fn ssh_works_for_a_user_that_no_image_knows() {
    const USER: &str = "1000660000";
    if !nix::unistd::Uid::current().is_root() || !can_mount() {
        eprintln!("SKIPPED: giving a user another passwd file needs root, unshare, mount and setpriv");
        return;
    }
    let forge = Forge::new();
    let Some(server) = SshGit::of(&forge.repositories) else {
        return;
    };
    let mut pod = forge.ssh_pod(&server, &server.key(Access::Write), GOOD);
    let passwd = pod.path("passwd");
    fs::write(&passwd, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    // The folders of the pod are the user's, as fsGroup makes them; the way there is everybody's.
    let harness = pod.path("harness");
    fs::copy(HARNESS, &harness).unwrap();
    let open = format!(
        "chown -R {USER}:0 {0} && chmod 755 {1}",
        pod.path("").display(),
        forge.town.dir.path().display()
    );
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &open])
            .status()
            .unwrap()
            .success()
    );
    pod.program = [
        "unshare", "--mount", "sh", "-euc",
        "mount --bind \"$0\" /etc/passwd; exec setpriv --reuid 1000660000 --regid 0 --clear-groups --no-new-privs \"$@\"",
        passwd.to_str().unwrap(), harness.to_str().unwrap(),
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(trouble(&pod).0, RemoteTrouble::UserUnknown);
    // The file that rules::passwd writes.
    fs::write(
        &passwd,
        format!("root:x:0:0:root:/root:/sbin/nologin\ngastown:x:{USER}:{USER}:Gas Town:/gastown/home:/sbin/nologin\n"),
    )
    .unwrap();
    done(&pod, &forge.parts);
}

fn can_mount() -> bool {
    let tried = std::process::Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            "mount --bind /etc/passwd /etc/passwd && setpriv --reuid 1000660000 true",
        ])
        .stderr(std::process::Stdio::null())
        .status();
    tried.is_ok_and(|s| s.success())
}
