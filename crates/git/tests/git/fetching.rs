//! Fetch, mirror, checkout.

use gastown_git::{AgentRepo, BranchName, Checkout, Depth, Fault, FetchOptions, Refspec, Remote};

use crate::scene::{Scene, git, name};

#[tokio::test]
async fn shallow_then_full_and_a_checkout_that_stands_alone() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let a = tree.write("f", "1\n").write("run.sh", "#!/bin/sh\n").commit("a");
    tree.git(&["tag", "v1"]);
    let b = tree.write("f", "2\n").commit("b");
    // A path alone would ignore the depth on the side of some gits; both must do.
    let remote = tree.remote();
    let main = name("refs/heads/main");
    let (repo, _) = scene.bare("ours").await;
    repo.fetch(&remote, &[Refspec::same(&main)], FetchOptions::depth(Depth::Shallow(1)))
        .await
        .unwrap();
    assert!(repo.has_commit(&b).await.unwrap() && !repo.has_commit(&a).await.unwrap());
    assert!(repo.for_each_ref("refs/tags").await.unwrap().is_empty());

    let branch = BranchName::parse("polecat/x").unwrap();
    let dir = scene.path("work");
    let want = Checkout {
        commit: &b,
        branch: Some(&branch),
        depth: Depth::Keep,
        tags: false,
        others: &[],
        config: &[],
    };
    let work = repo.checkout_into(&dir, &want).await.unwrap();
    assert_eq!(work.current_branch().await.unwrap(), Some(branch));
    assert_eq!(std::fs::read_to_string(dir.join("f")).unwrap(), "2\n");
    assert_eq!(git(&dir, &["status", "--porcelain"]), "");
    assert_eq!(git(&dir, &["remote"]), "");

    // An agent commits in its shallow workspace; we take it into our equally shallow repository.
    std::fs::write(dir.join("f"), "3\n").unwrap();
    git(&dir, &["commit", "-q", "-am", "c"]);
    let agent = work.hand_over();
    let c = agent.head().await.unwrap().unwrap();
    repo.fetch_from_agent(
        &agent,
        &[Refspec::head(&name("refs/gastown/agent"))],
        FetchOptions::default(),
    )
    .await
    .unwrap();
    assert!(repo.is_ancestor(&b, &c).await.unwrap());

    repo.fetch(
        &remote,
        &[Refspec::same(&main)],
        FetchOptions {
            depth: Depth::Full,
            tags: true,
            prune: false,
        },
    )
    .await
    .unwrap();
    assert!(repo.is_ancestor(&a, &c).await.unwrap());
    assert_eq!(repo.for_each_ref("refs/tags").await.unwrap().len(), 1);
    // Full is also fine for one that is not shallow.
    repo.fetch(&remote, &[Refspec::same(&main)], FetchOptions::depth(Depth::Full))
        .await
        .unwrap();

    let detached = scene.path("detached");
    let want = Checkout {
        commit: &a,
        branch: None,
        depth: Depth::Shallow(1),
        tags: true,
        others: &[(&b, name("refs/remotes/origin/main"))],
        config: &[("remote.origin.url", "/a \"b\" \\ #c;d"), ("a.B.c \"d\".e", "f\ng")],
    };
    repo.checkout_into(&detached, &want).await.unwrap();
    assert_eq!(git(&detached, &["describe", "--tags"]), "v1");
    assert_eq!(git(&detached, &["rev-parse", "origin/main"]), b.to_string());
    for (key, value) in want.config {
        assert_eq!(git(&detached, &["config", "--get", key]), *value);
    }
}

#[tokio::test]
async fn a_branch_that_is_not_there() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").commit("a");
    let (repo, _) = scene.bare("ours").await;
    let error = repo
        .fetch(
            &tree.remote(),
            &[Refspec::same(&name("refs/heads/nope"))],
            FetchOptions::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::NoSuchRef, "{error}");
    // A prefix with nothing under it is fine.
    let none = Refspec::under("refs/gastown/none/", "refs/here/").unwrap();
    repo.fetch(&tree.remote(), &[none], FetchOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn our_view_of_an_agents_branch_follows_it_backwards_too() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").commit("a");
    tree.write("f", "2\n").commit("b");
    let agent = AgentRepo::at(scene.git.clone(), &tree.0);
    let (repo, _) = scene.bare("ours").await;
    let seen = name("refs/gastown/agent");
    let spec = [Refspec::of(&name("refs/heads/main"), &seen)];
    repo.fetch_from_agent(&agent, &spec, FetchOptions::default())
        .await
        .unwrap();
    tree.git(&["commit", "-q", "--amend", "-m", "b, amended"]);
    repo.fetch_from_agent(&agent, &spec, FetchOptions::default())
        .await
        .unwrap();
    assert_eq!(repo.rev_parse(seen.as_str()).await.unwrap(), Some(tree.at("main")));
}

#[tokio::test]
async fn a_mirror_goes_forward_and_keeps_what_is_its_own() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let a = tree.write("f", "1\n").commit("a");
    tree.git(&["branch", "side"]);
    tree.git(&["tag", "v1"]);
    let (mirror, remote) = scene.bare("m").await;
    assert_eq!(mirror.mirror(&tree.remote()).await.unwrap(), []);
    assert_eq!(mirror.rev_parse("main").await.unwrap(), Some(a.clone()));
    assert!(mirror.rev_parse("refs/tags/v1").await.unwrap().is_some());
    // The town lands on its main; the checkout goes on with side, and moves a tag.
    let landed = crate::scene::commit(&mirror, std::slice::from_ref(&a), "landed").await;
    let update = gastown_git::RefUpdate::set(name("refs/heads/main"), landed.clone(), gastown_git::Expect::Is(a));
    assert_eq!(
        mirror.push(&remote, &[update]).await.unwrap(),
        gastown_git::PushOutcome::Done
    );
    tree.git(&["checkout", "-q", "side"]);
    let side = tree.write("g", "1\n").commit("side goes on");
    tree.git(&["tag", "-f", "v1"]);
    assert_eq!(
        mirror.mirror(&tree.remote()).await.unwrap(),
        [],
        "main is ahead there, not different"
    );
    assert_eq!(mirror.rev_parse("main").await.unwrap(), Some(landed.clone()));
    assert_eq!(mirror.rev_parse("side").await.unwrap(), Some(side.clone()));
    assert_eq!(mirror.rev_parse("refs/tags/v1").await.unwrap(), Some(side));
    // Now they differ: ours stays, and we are told.
    tree.git(&["checkout", "-q", "main"]);
    tree.write("f", "other\n").commit("other");
    assert_eq!(mirror.mirror(&tree.remote()).await.unwrap(), [name("refs/heads/main")]);
    assert_eq!(mirror.rev_parse("main").await.unwrap(), Some(landed));
    assert!(mirror.for_each_ref("refs/gastown").await.unwrap().is_empty());
}

/// Of a large repository the files of one folder, from servers that can part them and from those that cannot.
#[tokio::test]
async fn one_folder_of_a_large_repository() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let large: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    tree.write(".beads/issues.jsonl", "one\n")
        .write(".beads/other", &large)
        .write("large", &large)
        .write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ../x\n")
        .commit("a");
    for (parts, ours) in [("true", "b1"), ("false", "b2")] {
        tree.git(&["config", "uploadpack.allowFilter", parts]);
        let (repo, _) = scene.bare(ours).await;
        let remote = Remote::parse(&format!("file://{}", tree.0.display())).unwrap();
        let (main, seen) = (name("refs/heads/main"), name("refs/seen/main"));
        let get = async || {
            repo.fetch_folder(&remote, (&main, &seen), ".beads", |n| n.ends_with(".jsonl"))
                .await
        };
        let mut tip = get().await.unwrap().unwrap();
        for content in ["one\n", "two\n"] {
            let files = repo.files_in(&tip, ".beads").await.unwrap();
            let issues = files.iter().find(|f| f.name == "issues.jsonl").unwrap();
            assert_eq!(
                repo.read_blob(&issues.blob, 100).await.unwrap(),
                content.as_bytes(),
                "{ours}"
            );
            // Once more, after somebody has pushed.
            tip = match content {
                "one\n" => tree.write(".beads/issues.jsonl", "two\n").commit("b"),
                _ => tree.write(".beads/issues.jsonl", "one\n").commit("c"),
            };
            assert_eq!(get().await.unwrap(), Some(tip.clone()));
        }
        let kept: u64 = walk(repo.dir());
        assert_eq!(kept < 1_000_000, parts == "true", "{ours} keeps {kept} bytes");
        let nowhere = name("refs/heads/nowhere");
        let none = repo.fetch_folder(&remote, (&nowhere, &seen), ".beads", |_| true).await;
        assert_eq!(none.unwrap_err().fault(), Fault::NoSuchRef);
    }
}

/// Bytes of the files below a folder.
fn walk(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries
        .map(|e| match e.file_type().unwrap().is_dir() {
            true => walk(&e.path()),
            false => e.metadata().unwrap().len(),
        })
        .sum()
}
