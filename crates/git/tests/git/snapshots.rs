//! Uncommitted work: kept, and put back.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use gastown_git::{AgentRepo, Checkout, Depth, FetchOptions, Limits, Oid, Refspec, Repo, SkippedWhy};

use crate::scene::{Scene, Tree, name};

const SIDE: &str = "refs/gastown/work";

fn agent(scene: &Scene, tree: &Tree) -> AgentRepo {
    AgentRepo::at(scene.git.clone(), &tree.0)
}

async fn snap(agent: &AgentRepo) -> Option<Oid> {
    agent.snapshot(&name(SIDE), Limits::default()).await.unwrap().commit
}

/// A fresh checkout of `head` elsewhere, which knows the snapshot too.
async fn elsewhere(scene: &Scene, agent: &AgentRepo, head: &Oid, snapshot: &Oid) -> Repo {
    let (ours, _) = scene.bare("courier").await;
    let specs = [
        Refspec::commit(head, &name("refs/heads/work")),
        Refspec::commit(snapshot, &name(SIDE)),
    ];
    ours.fetch_from_agent(agent, &specs, FetchOptions::default())
        .await
        .unwrap();
    let want = Checkout {
        commit: head,
        branch: None,
        depth: Depth::Keep,
        tags: false,
        others: &[],
        config: &[],
    };
    let fresh = ours.checkout_into(&scene.path("fresh"), &want).await.unwrap();
    fresh
        .fetch_from(&ours, &[Refspec::same(&name(SIDE))], FetchOptions::default())
        .await
        .unwrap();
    fresh
}

#[tokio::test]
async fn everything_uncommitted_comes_back() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("keep", "1\n")
        .write("change", "1\n")
        .write("del/ete", "1\n")
        .write("staged", "1\n")
        .write("mode", "1\n");
    tree.write("becomes-folder", "1\n")
        .write("becomes-file/x", "1\n")
        .write(".gitignore", "*.log\n");
    let head = tree.commit("base");
    tree.write("change", "2\n")
        .write("new/deep/odd \"näme\"\n", "3\n")
        .write("debug.log", "ignored\n")
        .write("bin", [0, 255, 10]);
    tree.write("staged", "2\n");
    tree.git(&["add", "staged"]);
    tree.write("staged", "3\n");
    std::fs::remove_dir_all(tree.0.join("del")).unwrap();
    std::fs::set_permissions(tree.0.join("mode"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_file(tree.0.join("becomes-folder")).unwrap();
    tree.write("becomes-folder/y", "1\n");
    std::fs::remove_dir_all(tree.0.join("becomes-file")).unwrap();
    tree.write("becomes-file", "1\n");
    symlink("/etc/passwd", tree.0.join("link")).unwrap();

    let index = std::fs::read(tree.0.join(".git/index")).unwrap();
    let agent = agent(&scene, &tree);
    let snapshot = snap(&agent).await.unwrap();
    assert_eq!(
        std::fs::read(tree.0.join(".git/index")).unwrap(),
        index,
        "the user's index is untouched"
    );
    assert_eq!(
        snap(&agent).await,
        Some(snapshot.clone()),
        "the same content, the same commit"
    );
    assert_eq!(tree.at("HEAD"), head);
    assert_eq!(tree.git(&["rev-parse", &format!("{snapshot}^")]), head.to_string());

    let fresh = elsewhere(&scene, &agent, &head, &snapshot).await;
    let restored = fresh.restore_snapshot(&snapshot).await.unwrap();
    assert_eq!(restored.left, Vec::<PathBuf>::new());
    // The judge: the two work trees, but for what is ignored.
    std::fs::remove_file(tree.0.join("debug.log")).unwrap();
    assert_eq!(content(&tree.0), content(fresh.dir()));
    let status = |dir: &Path| crate::scene::git(dir, &["status", "--porcelain", "--untracked-files=all"]);
    tree.git(&["reset", "-q"]);
    assert_eq!(status(&tree.0), status(fresh.dir()), "as uncommitted changes");
    assert!(
        !tree
            .0
            .join(".git")
            .read_dir()
            .unwrap()
            .any(|e| { e.unwrap().file_name().to_string_lossy().contains("gastown-index") })
    );
}

/// Path, kind with mode, content: of everything but git's own folder, empty folders apart.
fn content(top: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![top.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let about = std::fs::symlink_metadata(&path).unwrap();
            let short = path.strip_prefix(top).unwrap().to_owned();
            if about.is_symlink() {
                found.push((
                    short,
                    0,
                    std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                ));
            } else if about.is_dir() {
                if short != Path::new(".git") {
                    folders.push(path);
                }
            } else {
                found.push((short, about.permissions().mode() & 0o100, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_clean_tree_leaves_no_snapshot() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let agent = agent(&scene, &tree);
    assert_eq!(snap(&agent).await, None, "unborn and empty");
    tree.write("f", "1\n");
    assert!(snap(&agent).await.is_some(), "unborn, with a file");
    tree.commit("a");
    assert_eq!(snap(&agent).await, None);
    assert_eq!(tree.git(&["for-each-ref", SIDE]), "", "and the old one goes");
    tree.write("f", "2\n");
    let first = snap(&agent).await.unwrap();
    tree.write("f", "3\n");
    assert_ne!(snap(&agent).await, Some(first));
    // Staged, then undone in the work tree only: nothing differs in the end.
    tree.git(&["add", "f"]);
    tree.write("f", "1\n");
    assert_eq!(snap(&agent).await, None);
}

#[tokio::test]
async fn large_secret_and_unreadable_things_stay_out_and_are_named() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").write(".env.test", "A=1\n").commit("a");
    tree.write("large", vec![b'x'; 2000])
        .write("exact", vec![b'x'; 1000])
        .write(".env", "TOKEN=hunter2\n")
        .write("keys/id_rsa", "PRIVATE");
    tree.write(".env.test", "A=hunter2\n")
        .write("nested/f", "1")
        .write("f", "2\n");
    crate::scene::git(&tree.0.join("nested"), &["init", "-q", "."]);
    crate::scene::git(&tree.0.join("nested"), &["add", "f"]);
    crate::scene::git(&tree.0.join("nested"), &["commit", "-q", "-m", "inner"]);
    let agent = agent(&scene, &tree);
    let limits = Limits {
        file_bytes: 1000,
        ..Limits::default()
    };
    let taken = agent.snapshot(&name(SIDE), limits).await.unwrap();
    let mut skipped: Vec<(String, SkippedWhy)> = taken
        .skipped
        .iter()
        .map(|s| (s.path.display().to_string(), s.why))
        .collect();
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (".env", SkippedWhy::LooksSecret),
        (".env.test", SkippedWhy::LooksSecret),
        ("keys/id_rsa", SkippedWhy::LooksSecret),
        ("large", SkippedWhy::TooLarge),
        ("nested/", SkippedWhy::Repository),
    ];
    assert_eq!(skipped, expected.map(|(p, w)| (p.to_owned(), w)));
    assert_eq!(taken.dirty, 7);
    let commit = taken.commit.unwrap();
    assert_eq!(
        tree.git(&["diff", "--name-only", &format!("{commit}^"), commit.as_str()]),
        "exact\nf"
    );
    let few = agent
        .snapshot(
            &name(SIDE),
            Limits {
                file_bytes: 1000,
                files: 1,
            },
        )
        .await
        .unwrap();
    assert!(few.skipped.iter().any(|s| s.why == SkippedWhy::TooMany));
}

#[tokio::test]
async fn that_a_secret_went_is_no_secret() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").write("keys/id_rsa", "PRIVATE").commit("a");
    std::fs::remove_dir_all(tree.0.join("keys")).unwrap();
    let snapshot = snap(&agent(&scene, &tree)).await.unwrap();
    assert_eq!(tree.git(&["ls-tree", "-r", "--name-only", snapshot.as_str()]), "f");
}

#[tokio::test]
async fn hooks_and_monitors_of_the_repository_stay_asleep() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").commit("a");
    let ran = scene.path("ran");
    let evil = scene.path("evil");
    let note = format!("echo \"$0 $*\" >> '{}'", ran.display());
    crate::scene::script(&evil, &note);
    tree.git(&["config", "core.fsmonitor", evil.to_str().unwrap()]);
    for hook in ["reference-transaction", "post-index-change"] {
        crate::scene::script(&tree.0.join(".git/hooks").join(hook), &note);
    }
    std::fs::write(tree.0.join("f"), "2\n").unwrap();
    let agent = agent(&scene, &tree);
    let snapshot = snap(&agent).await.unwrap();
    std::fs::write(tree.0.join("f"), "1\n").unwrap();
    agent.restore_snapshot(&snapshot).await.unwrap();
    assert_eq!(std::fs::read_to_string(tree.0.join("f")).unwrap(), "2\n");
    assert!(!ran.exists(), "ran: {:?}", std::fs::read_to_string(&ran));
}

#[tokio::test]
async fn a_conflict_in_the_users_index_does_not_stop_a_snapshot() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").commit("base");
    tree.git(&["checkout", "-q", "-b", "side"]);
    tree.write("f", "2\n").commit("side");
    tree.git(&["checkout", "-q", "main"]);
    tree.write("f", "3\n").commit("main");
    let (merged, _) = crate::scene::try_git(&tree.0, &["merge", "side"]);
    assert!(!merged);
    let snapshot = snap(&agent(&scene, &tree)).await.unwrap();
    assert!(tree.git(&["show", &format!("{snapshot}:f")]).contains("<<<<<<<"));
}

#[tokio::test]
async fn what_head_has_changed_since_is_left_alone() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").write("g", "1\n").commit("base");
    tree.write("f", "uncommitted\n").write("g", "uncommitted\n");
    let agent = agent(&scene, &tree);
    let snapshot = snap(&agent).await.unwrap();
    tree.git(&["checkout", "-q", "-f"]);
    let head = tree.write("f", "committed later\n").commit("later");
    let fresh = elsewhere(&scene, &agent, &head, &snapshot).await;
    let restored = fresh.restore_snapshot(&snapshot).await.unwrap();
    assert_eq!(restored.left, [PathBuf::from("f")]);
    assert_eq!(restored.written, [PathBuf::from("g")]);
    assert_eq!(
        std::fs::read_to_string(fresh.dir().join("f")).unwrap(),
        "committed later\n"
    );
}

#[tokio::test]
async fn a_deletion_does_not_reach_through_a_link() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("dir/victim", "1\n").commit("base");
    std::fs::remove_file(tree.0.join("dir/victim")).unwrap();
    let agent = agent(&scene, &tree);
    let snapshot = snap(&agent).await.unwrap();
    // The work tree it comes back to has a link out where the folder was.
    let outside = scene.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "precious").unwrap();
    std::fs::remove_dir_all(tree.0.join("dir")).unwrap_or_default();
    symlink(&outside, tree.0.join("dir")).unwrap();
    agent.restore_snapshot(&snapshot).await.unwrap();
    assert!(outside.join("victim").exists());
}
