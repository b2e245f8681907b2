//! Questions to a repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gastown_git::{BranchName, GitError, Oid};

use crate::scene::{Scene, commit, name};

#[tokio::test]
async fn history_and_content() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let a = tree
        .write("dir/x y", "one\n")
        .write("big", vec![b'x'; 5000])
        .commit("a");
    let b = tree.write("dir/x y", "two\n").commit("b: subject\n\nbody");
    tree.git(&["checkout", "-q", "-b", "side", a.as_str()]);
    let c = tree.write("z", "1").commit("c");
    let repo = scene.git.open(&tree.0).await.unwrap();

    assert_eq!(repo.rev_parse("main").await.unwrap(), Some(b.clone()));
    assert_eq!(repo.rev_parse("nope").await.unwrap(), None);
    assert_eq!(repo.rev_parse("--all").await.unwrap(), None);
    let missing = Oid::parse(&"1".repeat(40)).unwrap();
    assert!(repo.has_commit(&a).await.unwrap());
    assert!(!repo.has_commit(&missing).await.unwrap());
    let tree_of_a = repo.tree_of(&a).await.unwrap();
    let here = repo.commits_here(&[&a, &missing, &tree_of_a, &c]).await.unwrap();
    assert_eq!(here, BTreeSet::from([a.clone(), c.clone()]));
    assert!(repo.is_ancestor(&a, &b).await.unwrap());
    assert!(!repo.is_ancestor(&b, &a).await.unwrap());
    assert!(repo.is_ancestor(&missing, &a).await.is_err());
    assert_eq!(repo.merge_base(&b, &c).await.unwrap(), Some(a.clone()));
    let alone = commit(&repo, &[], "alone").await;
    assert_eq!(repo.merge_base(&b, &alone).await.unwrap(), None);

    let commits = repo.commits_between(Some(&a), &b).await.unwrap();
    assert_eq!(commits.len(), 1);
    assert_eq!(
        (commits[0].subject().as_str(), &commits[0].parents),
        ("b: subject", &vec![a.clone()])
    );
    assert_eq!(commits[0].author.person().email, "author@example.com");
    assert_eq!(repo.count_commits(None, &b).await.unwrap(), 2);
    assert_eq!(repo.count_commits(Some(&b), &a).await.unwrap(), 0);
    let log = repo.log_oneline(None, &b, 1).await.unwrap();
    assert!(log.len() == 1 && log[0].ends_with(" b: subject"), "{log:?}");

    let read = async |path: &str| repo.read_file_at(&a, Path::new(path), 1000).await;
    assert_eq!(read("dir/x y").await.unwrap(), Some(b"one\n".to_vec()));
    assert_eq!(read("dir").await.unwrap(), None);
    assert_eq!(read("nope").await.unwrap(), None);
    assert_eq!(read(":(glob)**").await.unwrap(), None);
    assert!(matches!(read("big").await, Err(GitError::TooLarge { cap: 1000, .. })));

    let each = async |path| repo.read_files_at(&[&a, &missing, &b], path, 1000).await.unwrap();
    let lines = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(each("dir/x y").await, [lines("one\n"), None, lines("two\n")]);
    assert_eq!(each("dir").await, [None, None, None]);
    assert_eq!(each("big").await, [None, None, None], "too long");

    assert_eq!(repo.diff_names(&a, &b).await.unwrap(), [PathBuf::from("dir/x y")]);
    let whole = repo.diff_text(&a, &b, &[], 10_000).await.unwrap();
    assert!(whole.text.contains("+two") && !whole.truncated, "{whole:?}");
    let none = repo.diff_text(&a, &b, &[Path::new("big")], 10_000).await.unwrap();
    assert_eq!(none.text, "");
    let cut = repo.diff_text(&a, &b, &[], 20).await.unwrap();
    assert!(cut.truncated && cut.text.len() == 20, "{cut:?}");
}

#[tokio::test]
async fn the_files_of_one_folder() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    std::fs::create_dir_all(tree.0.join(".beads/deep")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.0.join(".beads/link.jsonl")).unwrap();
    std::os::unix::fs::symlink(".beads", tree.0.join("linked")).unwrap();
    let commit = tree
        .write(".beads/issues.jsonl", "12345")
        .write(".beads/ a\nb", "")
        .write(".beads/deep/x.jsonl", "x")
        .write("other", "x")
        .commit("a");
    let repo = scene.git.open(&tree.0).await.unwrap();
    let files = repo.files_in(&commit, ".beads").await.unwrap();
    let told: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(told, [" a\nb", "issues.jsonl"]);
    assert_eq!(repo.read_blob(&files[1].blob, 10).await.unwrap(), b"12345");
    assert!(matches!(
        repo.read_blob(&files[1].blob, 4).await,
        Err(GitError::TooLarge { cap: 4, .. })
    ));
    for none in ["linked", "nope", "other", ":(glob)**"] {
        assert_eq!(repo.files_in(&commit, none).await.unwrap(), [], "{none}");
    }
    assert!(
        repo.files_in(&Oid::parse(&"1".repeat(40)).unwrap(), ".beads")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn refs_branches_and_configuration() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let a = tree.write("f", "1").commit("a");
    tree.git(&["tag", "-a", "-m", "annotated", "v1"]);
    tree.git(&["branch", "feature/x"]);
    let repo = scene.git.open(&tree.0).await.unwrap();
    let heads: Vec<String> = repo
        .for_each_ref("refs/heads")
        .await
        .unwrap()
        .into_keys()
        .map(|n| n.to_string())
        .collect();
    assert_eq!(heads, ["refs/heads/feature/x", "refs/heads/main"]);
    assert_eq!(
        repo.current_branch().await.unwrap(),
        Some(BranchName::parse("main").unwrap())
    );
    tree.git(&["checkout", "-q", "--detach"]);
    assert_eq!(repo.current_branch().await.unwrap(), None);
    repo.set_config("user.name", "-dashed").await.unwrap();
    repo.set_config("user.name", "Nux").await.unwrap();
    assert_eq!(
        tree.git(&["config", "--file", ".git/config", "--get-all", "user.name"]),
        "Nux"
    );

    let remote = tree.remote();
    let listed = scene.git.ls_remote(&remote, &[]).await.unwrap();
    assert_eq!(listed.len(), 3, "no HEAD and no peeled tag: {listed:?}");
    let listed = scene.git.ls_remote(&remote, &["refs/heads/*"]).await.unwrap();
    assert_eq!(listed.get(&name("refs/heads/feature/x")), Some(&a));
    assert_eq!(listed.len(), 2);
    // git itself would match refs/heads/feature/x by its tail.
    assert_eq!(scene.git.ls_remote(&remote, &["x"]).await.unwrap().len(), 0);
    tree.git(&["checkout", "-q", "feature/x"]);
    assert_eq!(
        scene.git.default_branch(&remote).await.unwrap(),
        Some(BranchName::parse("feature/x").unwrap())
    );
}

#[tokio::test]
async fn a_folder_inside_a_repository_is_not_that_repository() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("inner/f", "1").commit("a");
    let inside = tree.0.join("inner");
    assert!(matches!(scene.git.open(&inside).await, Err(GitError::NoRepository(_))));
    assert!(matches!(
        scene.git.open(&scene.path("nowhere")).await,
        Err(GitError::NoRepository(_))
    ));
    // Made twice is made once.
    let (repo, _) = scene.bare("b").await;
    let a = commit(&repo, &[], "a").await;
    let (again, _) = scene.bare("b").await;
    assert!(again.has_commit(&a).await.unwrap());
}
