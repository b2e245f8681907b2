//! Merge, replay, squash, merge commit.

use std::path::PathBuf;

use gastown_git::{Fault, Identity, MergeTree, Oid, Replay, Repo};

use crate::scene::{Scene, Tree, commit};

const ODD: &str = "odd \"näme\"\nwith\ttab";

async fn open(scene: &Scene, tree: &Tree) -> Repo {
    scene.git.open(&tree.0).await.unwrap()
}

fn town() -> Identity {
    Identity::default()
}

fn done(replay: Replay) -> (Oid, usize) {
    match replay {
        Replay::Done { tip, commits } => (tip, commits),
        conflict @ Replay::Conflict { .. } => panic!("{conflict:?}"),
    }
}

/// main: base, then a change elsewhere. topic: two commits on base.
fn forked(scene: &Scene, dir: &str) -> (Tree, Oid) {
    let tree = scene.tree(dir);
    tree.write("a", "1\n").write(ODD, "1\n").write("bin", [0, 1, 2, 255]);
    let base = tree.commit("base");
    tree.git(&["checkout", "-q", "-b", "topic"]);
    tree.write(ODD, "2\n").write("bin", [0, 9, 9, 255]);
    tree.commit("first: odd names\n\nand a body\n\n  indented");
    tree.write("new/file", "x\n");
    tree.commit("second");
    tree.git(&["checkout", "-q", "main"]);
    tree.write("a", "2\n");
    tree.commit("main moved");
    (tree, base)
}

#[tokio::test]
async fn a_replay_equals_gits_own_rebase_and_its_ids_are_the_same_everywhere() {
    let scene = Scene::new().await;
    let (tree, base) = forked(&scene, "t");
    let repo = open(&scene, &tree).await;
    let (main, topic) = (tree.at("main"), tree.at("topic"));
    let (tip, commits) = done(repo.replay(&main, &base, &topic, &town()).await.unwrap());
    assert_eq!(commits, 2);
    // The judge: git rebase.
    tree.git(&["checkout", "-q", "-b", "judge", "topic"]);
    tree.git(&["rebase", "-q", "main"]);
    let about = "--format=%T|%an|%ae|%ad|%B";
    assert_eq!(
        tree.git(&["log", about, &format!("main..{tip}")]),
        tree.git(&["log", about, "main..judge"])
    );
    assert_eq!(
        tree.git(&["log", "-1", "--format=%cn <%ce>", tip.as_str()]),
        "Gas Town <polecat@gastown.io>"
    );

    // Another repository, at another time, gives the same ids.
    let (other, _) = scene.bare("other").await;
    other.mirror(&tree.remote()).await.unwrap();
    let (again, _) = done(other.replay(&main, &base, &topic, &town()).await.unwrap());
    assert_eq!(again, tip);
}

#[tokio::test]
async fn only_what_comes_after_the_base_is_brought_over() {
    let scene = Scene::new().await;
    let (tree, _) = forked(&scene, "t");
    let repo = open(&scene, &tree).await;
    let (main, topic) = (tree.at("main"), tree.at("topic"));
    let (tip, commits) = done(repo.replay(&main, &tree.at("topic^"), &topic, &town()).await.unwrap());
    assert_eq!(commits, 1);
    assert_eq!(repo.diff_names(&main, &tip).await.unwrap(), [PathBuf::from("new/file")]);
}

#[tokio::test]
async fn the_committers_date_is_never_the_clocks() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let repo = open(&scene, &tree).await;
    let base = commit(&repo, &[], "base").await;
    let by = |seconds| Identity::new("Nux", "nux@example.com").at_seconds(seconds);
    let topic = |seconds| {
        let (repo, base) = (repo.clone(), base.clone());
        async move {
            let blob = repo.write_blob(b"topic".to_vec()).await.unwrap();
            let file = repo.read_file_at(&base, "file".as_ref(), 100).await.unwrap();
            let file = repo.write_blob(file.unwrap()).await.unwrap();
            let entry = |name: &str, blob| gastown_git::TreeEntry::File {
                name: name.to_owned(),
                blob,
            };
            let tree = [entry("file", file), entry("topic", blob)];
            let tree = repo.mktree(&tree).await.unwrap();
            let new = gastown_git::NewCommit {
                tree: &tree,
                parents: std::slice::from_ref(&base),
                author: by(seconds),
                committer: by(5),
                encoding: None,
                message: b"topic",
            };
            repo.commit_tree(&new).await.unwrap()
        }
    };
    let main = commit(&repo, std::slice::from_ref(&base), "main").await;
    let parents = repo.cat_commit(&main).await.unwrap().committer.person().seconds;
    // Written after the base moved, and before.
    for (author, committer) in [(parents + 100, parents + 100), (parents - 100, parents)] {
        let topic = topic(author).await;
        let (tip, _) = done(repo.replay(&main, &base, &topic, &town()).await.unwrap());
        let made = repo.cat_commit(&tip).await.unwrap();
        assert_eq!(made.committer.person().seconds, committer);
        assert_eq!(made.author, by(author));
    }
}

#[tokio::test]
async fn what_stands_on_the_base_already_is_kept_as_it_is() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let base = tree.write("a", "1\n").commit("base");
    let tip = tree.write("a", "2\n").commit("change");
    let repo = open(&scene, &tree).await;
    assert_eq!(
        done(repo.replay(&base, &base, &tip, &town()).await.unwrap()),
        (tip.clone(), 1)
    );
    assert_eq!(
        done(repo.replay(&tip, &base, &tip, &town()).await.unwrap()),
        (tip.clone(), 0)
    );
    assert_eq!(
        done(repo.replay(&base, &base, &base, &town()).await.unwrap()),
        (base, 0)
    );
}

#[tokio::test]
async fn commits_that_bring_nothing_new_are_left_out() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let base = tree.write("a", "1\n").commit("base");
    tree.git(&["checkout", "-q", "-b", "topic"]);
    tree.write("same", "x\n").commit("also on main");
    tree.write("b", "1\n").commit("own");
    let topic = tree.commit("empty from the start");
    tree.git(&["checkout", "-q", "main"]);
    let main = tree.write("same", "x\n").commit("main has it");
    let repo = open(&scene, &tree).await;
    let (tip, commits) = done(repo.replay(&main, &base, &topic, &town()).await.unwrap());
    assert_eq!(commits, 1);
    assert_eq!(tree.git(&["log", "--format=%s", &format!("main..{tip}")]), "own");
}

#[tokio::test]
async fn a_conflict_names_the_commit_and_the_paths() {
    let scene = Scene::new().await;
    let (tree, base) = forked(&scene, "t");
    tree.write(ODD, "3\n").write("bin", [7]);
    let main = tree.commit("main touches the same");
    let repo = open(&scene, &tree).await;
    let before = repo.for_each_ref("refs").await.unwrap();
    let replay = repo.replay(&main, &base, &tree.at("topic"), &town()).await.unwrap();
    let Replay::Conflict {
        commit,
        subject,
        paths,
        messages,
    } = replay
    else {
        panic!("{replay:?}")
    };
    assert_eq!(commit, tree.at("topic^"));
    assert_eq!(subject, "first: odd names");
    assert_eq!(paths, ["bin", ODD].map(PathBuf::from));
    assert!(messages.iter().any(|m| m.contains("CONFLICT")), "{messages:?}");
    assert_eq!(repo.for_each_ref("refs").await.unwrap(), before, "no ref moved");

    let merged = repo.merge_tree(&main, &tree.at("topic")).await.unwrap();
    let MergeTree::Conflict { paths, .. } = merged else {
        panic!("{merged:?}")
    };
    assert_eq!(paths, ["bin", ODD].map(PathBuf::from));
    // Deleted there, changed here.
    tree.git(&["checkout", "-q", "-b", "gone", base.as_str()]);
    tree.git(&["rm", "-q", "--", ODD]);
    let gone = tree.commit("gone");
    let merged = repo.merge_tree(&main, &gone).await.unwrap();
    let MergeTree::Conflict { paths, messages } = merged else {
        panic!("{merged:?}")
    };
    assert_eq!(paths, [PathBuf::from(ODD)]);
    assert!(messages[0].contains("modify/delete"), "{messages:?}");
}

#[tokio::test]
async fn a_range_with_merges_becomes_one_commit() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let base = tree.write("a", "1\n").commit("base");
    tree.git(&["checkout", "-q", "-b", "topic"]);
    tree.write("b", "1\n").commit("one");
    tree.git(&["checkout", "-q", "main"]);
    let main = tree.write("a", "2\n").commit("main moved");
    tree.git(&["checkout", "-q", "topic"]);
    tree.git(&["merge", "-q", "--no-edit", "main"]);
    let topic = tree.write("c", "1\n").commit("two");
    let repo = open(&scene, &tree).await;
    let (tip, commits) = done(repo.replay(&main, &base, &topic, &town()).await.unwrap());
    assert_eq!(commits, 1);
    assert_eq!(repo.tree_of(&tip).await.unwrap(), repo.tree_of(&topic).await.unwrap());
    let made = repo.cat_commit(&tip).await.unwrap();
    assert_eq!(made.parents, [main]);
    assert!(
        made.message_text().contains("one") && made.message_text().contains("two"),
        "{}",
        made.message_text()
    );
    assert_eq!(made.author.person().name, "A U Thor");
}

#[tokio::test]
async fn squash_and_merge_commit() {
    let scene = Scene::new().await;
    let (tree, _) = forked(&scene, "t");
    let repo = open(&scene, &tree).await;
    let (main, topic) = (tree.at("main"), tree.at("topic"));
    let (squashed, n) = done(repo.squash(&main, &topic, "All of it", None, &town()).await.unwrap());
    let (merged, _) = done(repo.merge_commit(&main, &topic, "Merge topic", &town()).await.unwrap());
    assert_eq!(n, 1);
    assert_eq!(
        repo.tree_of(&squashed).await.unwrap(),
        repo.tree_of(&merged).await.unwrap()
    );
    assert_eq!(
        repo.cat_commit(&merged).await.unwrap().parents,
        [main.clone(), topic.clone()]
    );
    let one = repo.cat_commit(&squashed).await.unwrap();
    assert_eq!(
        (one.message_text(), one.parents),
        ("All of it\n".to_owned(), vec![main.clone()])
    );
    // The change again brings nothing.
    assert_eq!(
        done(repo.squash(&squashed, &topic, "again", None, &town()).await.unwrap()),
        (squashed, 0)
    );
    assert_eq!(
        done(repo.merge_commit(&merged, &topic, "again", &town()).await.unwrap()),
        (merged, 0)
    );
}

#[tokio::test]
async fn a_root_commit_is_replayed_and_unrelated_histories_are_refused() {
    let scene = Scene::new().await;
    let (repo, _) = scene.bare("r").await;
    let a = commit(&repo, &[], "same file, other text").await;
    let tree = scene.tree("t");
    let orphan = tree.write("other", "x\n").commit("a root");
    repo.mirror(&tree.remote()).await.unwrap();
    let (tip, commits) = done(repo.replay(&a, &a, &orphan, &town()).await.unwrap());
    assert_eq!(commits, 1);
    assert_eq!(repo.diff_names(&a, &tip).await.unwrap(), [PathBuf::from("other")]);
    assert!(repo.merge_tree(&a, &orphan).await.is_err());
    let missing = Oid::parse(&"1".repeat(40)).unwrap();
    let error = repo.replay(&a, &a, &missing, &town()).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Corrupt | Fault::NoSuchRef), "{error}");
}

#[tokio::test]
async fn old_encodings_and_odd_authors_survive() {
    let scene = Scene::new().await;
    let (tree, base) = forked(&scene, "t");
    tree.git(&["checkout", "-q", "topic"]);
    tree.write("latin", "1\n");
    tree.git(&["add", "-A"]);
    // 0xe9 is é in latin-1 and no UTF-8 at all.
    std::fs::write(tree.0.join("../message"), b"caf\xe9\n\n# not a comment\n\n\n").unwrap();
    tree.git(&[
        "-c",
        "i18n.commitEncoding=ISO-8859-1",
        "commit",
        "-q",
        "--cleanup=verbatim",
        "-F",
        "../message",
    ]);
    let (main, topic) = (tree.at("main"), tree.at("topic"));
    let repo = open(&scene, &tree).await;
    let (tip, _) = done(repo.replay(&main, &base, &topic, &town()).await.unwrap());
    let (was, is) = (
        repo.cat_commit(&topic).await.unwrap(),
        repo.cat_commit(&tip).await.unwrap(),
    );
    assert_eq!(is.message, b"caf\xe9\n\n# not a comment\n\n\n");
    assert_eq!(is.encoding.as_deref(), Some("ISO-8859-1"));
    assert_eq!(is.author, was.author);
    assert_eq!(tree.git(&["log", "-1", "--format=%s", tip.as_str()]), "café");
}
