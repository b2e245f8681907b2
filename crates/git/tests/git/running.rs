//! The runner: deadlines, groups, versions.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use gastown_git::{Fault, Git, GitError, Remote};

use crate::scene::{Scene, script};

fn nowhere() -> Remote {
    Remote::parse("/nowhere").unwrap()
}

/// A git that hangs, with a child that hangs too; both hold the pipe `held` open for as long as they live.
fn hanging(scene: &Scene) -> (std::path::PathBuf, std::path::PathBuf) {
    let (held, fake) = (scene.path("held"), scene.path("fake-git"));
    nix::unistd::mkfifo(&held, nix::sys::stat::Mode::S_IRWXU).unwrap();
    script(
        &fake,
        &format!(
            "case \"$*\" in *version*) echo git version 2.40.0; exit;; esac\n\
             exec 9>'{}'\nsleep 1000 >/dev/null 2>&1 &\necho started >&9\necho hanging >&2\nsleep 1000",
            held.display()
        ),
    );
    (held, fake)
}

/// Reads the pipe until nobody holds it any more.
fn until_all_are_gone(mut held: std::fs::File) -> String {
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut said = String::new();
    loop {
        match held.read_to_string(&mut said) {
            Ok(_) => return said,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < give_up, "a child of the killed command lives on");
                std::thread::yield_now();
            }
            Err(e) => panic!("{e}"),
        }
    }
}

fn open_pipe(held: &Path) -> std::fs::File {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(held)
        .unwrap()
}

#[tokio::test]
async fn a_command_past_its_deadline_dies_with_its_children() {
    let scene = Scene::new().await;
    let (held, fake) = hanging(&scene);
    let pipe = open_pipe(&held);
    let git = Git::probe_program(&fake)
        .await
        .unwrap()
        .with_timeout(Duration::from_secs(1));
    let error = git.ls_remote(&nowhere(), &[]).await.unwrap_err();
    assert!(matches!(error, GitError::Timeout { .. }), "{error}");
    assert!(error.is_transient());
    until_all_are_gone(pipe);
}

#[tokio::test]
async fn a_command_nobody_waits_for_dies_with_its_children() {
    let scene = Scene::new().await;
    let (held, fake) = hanging(&scene);
    let pipe = open_pipe(&held);
    let git = Git::probe_program(&fake).await.unwrap();
    let task = tokio::spawn(async move { git.ls_remote(&nowhere(), &[]).await });
    // It has started, child and all, once it says so; only then is it abandoned.
    let mut first = [0_u8; 1];
    let give_up = Instant::now() + Duration::from_secs(60);
    while !matches!((&pipe).read(&mut first), Ok(1)) {
        assert!(Instant::now() < give_up, "never started");
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(until_all_are_gone(pipe).starts_with("tarted"));
}

#[tokio::test]
async fn too_old_too_strange_or_not_there() {
    let scene = Scene::new().await;
    let fake = scene.path("old-git");
    script(&fake, "echo git version 2.37.9");
    let error = Git::probe_program(&fake).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("git 2.37 is too old: 2.38 or newer is needed (it lacks merge-tree"),
        "{error}"
    );
    let strange = scene.path("strange");
    script(&strange, "echo hello");
    assert!(matches!(
        Git::probe_program(&strange).await,
        Err(GitError::NotGit { .. })
    ));
    assert!(matches!(
        Git::probe_program(&scene.path("none")).await,
        Err(GitError::Missing { .. })
    ));
}

#[tokio::test]
async fn the_end_of_a_long_complaint_is_kept() {
    let scene = Scene::new().await;
    let fake = scene.path("fake-git");
    script(
        &fake,
        "case \"$*\" in *version*) echo git version 2.40.0; exit;; esac\n\
         i=0; while [ $i -lt 3000 ]; do echo 'noise noise noise noise'; i=$((i+1)); done >&2\necho 'fatal: Could not resolve host: h' >&2; exit 128",
    );
    let git = Git::probe_program(&fake).await.unwrap();
    let error = git.ls_remote(&nowhere(), &[]).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Network);
    assert!(error.to_string().len() < 20_000 && error.to_string().ends_with("resolve host: h"));
}
