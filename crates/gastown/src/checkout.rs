//! What `up` does for a git checkout: a rig, a local bare mirror, a remote named `gastown`.

use crate::place::{Place, TownSettings};
use gastown_api::{PodTemplate, Rig, RigSettings, RigSpec};
use gastown_git::{BranchName, Expect, Git, PushOutcome, RefName, RefUpdate, Remote, Repo};
use k8s_openapi::api::core::v1::EnvVar;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubectl_gt::{Failure, exit};
use std::path::Path;

/// What a checkout is, once prepared.
pub(crate) struct Prepared {
    /// Name of its rig.
    pub(crate) rig: String,
    /// The branch that work lands on.
    pub(crate) branch: BranchName,
    /// What judges candidates.
    pub(crate) test: String,
}

fn git_failed(e: &dyn std::fmt::Display) -> Failure {
    Failure::new(exit::FAILED, e.to_string())
}

/// Mirror, remote and rig of the checkout; found again the next time.
pub(crate) async fn prepare(
    place: &Place,
    top: &Path,
    client: &Client,
    test: Option<String>,
) -> Result<Prepared, Failure> {
    let git = Git::probe().await.map_err(|e| git_failed(&e))?;
    let here = git.open(top).await.map_err(|e| git_failed(&e))?;
    let branch = here
        .current_branch()
        .await
        .map_err(|e| git_failed(&e))?
        .ok_or_else(|| {
            Failure::new(exit::USAGE, "the checkout is on no branch (detached HEAD)").hint("git switch main")
        })?;
    if here.rev_parse("HEAD").await.map_err(|e| git_failed(&e))?.is_none() {
        return Err(
            Failure::new(exit::USAGE, "the checkout has no commit yet").hint("git add -A && git commit -m 'First'")
        );
    }
    mirror(&git, place, top, &here).await?;
    let rig = place
        .settings()
        .map(|s| s.rig)
        .filter(|r| !r.is_empty())
        .unwrap_or_else(|| rig_name(top));
    place.keep(&TownSettings {
        rig: rig.clone(),
        ..place.settings().unwrap_or_default()
    })?;
    let test = make_rig(place, top, client, &rig, &branch, test).await?;
    Ok(Prepared { rig, branch, test })
}

fn rig_name(top: &Path) -> String {
    let name = top
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let legal = gastown_api::names::legalized(&name);
    if legal.is_empty() { "town".to_owned() } else { legal }
}

/// Two to ten small letters, as a bead prefix must be.
fn prefix(rig: &str) -> String {
    let letters: String = rig.chars().filter(char::is_ascii_lowercase).take(2).collect();
    if letters.len() < 2 { "gt".to_owned() } else { letters }
}

/// A bare repository of its own: a first trial touches nobody's remote.
async fn mirror(git: &Git, place: &Place, top: &Path, here: &Repo) -> Result<(), Failure> {
    let bare = place.bare();
    let taken = here.remote_url("gastown").await.map_err(|e| git_failed(&e))?;
    if let Some(url) = taken.filter(|url| Path::new(url) != bare) {
        return Err(Failure::new(
            exit::REFUSED,
            format!(
                "the checkout has a remote 'gastown' of its own already ({url}), and that is what the town's is called"
            ),
        )
        .hint("git remote rename gastown upstream"));
    }
    break_locks(&bare).await?;
    let repo = git.init_bare(&bare).await.map_err(|e| git_failed(&e))?;
    repo.set_config("core.logAllRefUpdates", "always")
        .await
        .map_err(|e| git_failed(&e))?;
    let source = Remote::parse(&top.to_string_lossy()).map_err(|e| git_failed(&e))?;
    for behind in repo.mirror(&source).await.map_err(|e| git_failed(&e))? {
        eprintln!(
            "note: {behind} differs in the town and in your checkout: git fetch gastown, then merge or rebase, then git push gastown HEAD"
        );
    }
    let text = bare.to_string_lossy();
    here.set_config("remote.gastown.url", &text)
        .await
        .map_err(|e| git_failed(&e))?;
    here.set_config("remote.gastown.fetch", "+refs/heads/*:refs/remotes/gastown/*")
        .await
        .map_err(|e| git_failed(&e))
}

/// Where a remote of the checkout is, by the settings of whoever types.
pub(crate) async fn remote_url(top: &Path, name: &str) -> Result<Option<String>, Failure> {
    let git = Git::probe().await.map_err(|e| git_failed(&e))?;
    let here = git.as_user().open(top).await.map_err(|e| git_failed(&e))?;
    here.remote_url(name).await.map_err(|e| git_failed(&e))
}

/// A town that was killed in the middle of a push leaves locks in the repository, and nothing would land any more.
/// Somebody may push right now: only what stays locked by the same hand for a second is nobody's.
async fn break_locks(bare: &Path) -> Result<(), Failure> {
    let before = gastown_git::locks(bare);
    if before.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for lock in gastown_git::locks(bare).iter().filter(|l| before.contains(l)) {
        eprintln!("note: removed {}, left by a git that was killed", lock.path.display());
        std::fs::remove_file(&lock.path)?;
    }
    Ok(())
}

/// What a project's own files say about its tests.
fn guessed_test(top: &Path) -> Option<&'static str> {
    let has = |name: &str| top.join(name).is_file();
    let read = |name: &str| std::fs::read_to_string(top.join(name)).unwrap_or_default();
    if has("Cargo.toml") {
        Some("cargo test")
    } else if read("package.json").contains("\"test\"") {
        Some("npm test")
    } else if has("go.mod") {
        Some("go test ./...")
    } else if read("Makefile").lines().any(|line| line.starts_with("test:")) {
        Some("make test")
    } else {
        None
    }
}

async fn make_rig(
    place: &Place,
    top: &Path,
    client: &Client,
    name: &str,
    branch: &BranchName,
    test: Option<String>,
) -> Result<String, Failure> {
    let rigs: Api<Rig> = Api::all(client.clone());
    if let Some(rig) = rigs.get_opt(name).await? {
        let held = rig.spec.test_command.unwrap_or_default();
        let wanted = test.unwrap_or_else(|| held.clone());
        if wanted != held {
            let patch = serde_json::json!({"spec": {"testCommand": wanted}});
            rigs.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        return Ok(wanted);
    }
    let Some(test) = test.or_else(|| guessed_test(top).map(str::to_owned)) else {
        return Err(Failure::new(
            exit::USAGE,
            "nothing here says how this project is tested, and untested work never lands",
        )
        .hint("say it: gastown up --test './run-tests.sh'"));
    };
    let spec = RigSpec {
        git_url: place.bare().to_string_lossy().into_owned(),
        beads_prefix: prefix(name),
        // The rig's own is the mirror: beads of the checkout are on it only once they are pushed.
        local_path: Some(top.to_string_lossy().into_owned()),
        target_branch: Some(branch.to_string()),
        test_command: Some(test.clone()),
        settings: Some(RigSettings {
            max_polecats: Some(5),
            ..RigSettings::default()
        }),
        pod_template: Some(PodTemplate {
            env: toolchains(),
            read_only_root_filesystem: Some(false),
            ..PodTemplate::default()
        }),
        ..RigSpec::default()
    };
    rigs.create(&PostParams::default(), &Rig::new(name, spec)).await?;
    Ok(test)
}

/// Toolchains under the home that pods do not see are named to them.
fn toolchains() -> Option<Vec<EnvVar>> {
    let rustup = std::env::var_os("RUSTUP_HOME")
        .map(std::path::PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".rustup")))?;
    rustup.is_dir().then(|| {
        vec![EnvVar {
            name: "RUSTUP_HOME".into(),
            value: Some(rustup.to_string_lossy().into_owned()),
            ..EnvVar::default()
        }]
    })
}

/// Pushes what landed to the checkout's own remote, fast-forward only, with the credentials of whoever runs the town.
pub(crate) async fn push(place: &Place, origin: &Remote, branch: &BranchName) -> Result<String, Failure> {
    let git = Git::probe().await.map_err(|e| git_failed(&e))?.as_user();
    let repo = git.open(&place.bare()).await.map_err(|e| git_failed(&e))?;
    let name = RefName::branch(branch);
    let Some(tip) = repo.rev_parse(name.as_str()).await.map_err(|e| git_failed(&e))? else {
        return Err(git_failed(&format!("{branch} is not in the town")));
    };
    let short = tip.short().to_owned();
    let update = RefUpdate::set(name, tip, Expect::Any);
    match repo.push(origin, &[update]).await.map_err(|e| git_failed(&e))? {
        PushOutcome::Done => Ok(short),
        refused => Err(Failure::new(
            exit::REFUSED,
            format!("{} does not take {branch}: {refused:?}", origin.url()),
        )
        .hint("bring its commits into the town first: git pull, then git push gastown HEAD")),
    }
}
