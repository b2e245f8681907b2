//! Members out of the ordinary: rewritten, missing, merged, stacked, broken.

use gastown_wire::{CandidateOutcome, Member, MergeStyle};

use crate::town::{LINES, Town, build, build_with};

#[tokio::test]
async fn the_pinned_commit_is_built_though_its_branch_went_on() {
    let town = Town::new();
    let pinned = town.member("nux", "main", &[&[("a", "pinned\n")]]);
    town.member("nux", &pinned.commit, &[&[("a", "later\n")]]);

    let tested = town
        .built(&town.test_orders("test", MergeStyle::Rebase, std::slice::from_ref(&pinned)))
        .await;

    assert_eq!(town.show(&tested.commit, "a"), "pinned");
}

#[tokio::test]
async fn the_pinned_commit_is_found_in_the_record_where_its_branch_was_rewritten_or_deleted() {
    let town = Town::new();
    let rewritten = town.member("nux", "main", &[&[("a", "pinned\n")]]);
    town.record(&rewritten);
    town.member("nux", "main", &[&[("a", "rewritten\n")]]);
    let deleted = town.member("slit", "main", &[&[("b", "pinned\n")]]);
    town.record(&deleted);
    town.at_remote(&["update-ref", "-d", "refs/heads/polecat/slit"]);

    let tested = town
        .built(&town.test_orders("test", MergeStyle::Rebase, &[rewritten, deleted]))
        .await;

    assert_eq!(town.show(&tested.commit, "a"), "pinned");
    assert_eq!(town.show(&tested.commit, "b"), "pinned");
}

#[tokio::test]
async fn a_commit_that_the_remote_does_not_have_is_missing() {
    let town = Town::new();
    let good = town.member("nux", "main", &[&[("a", "1\n")]]);
    town.at_desk(&["checkout", "-q", "--detach", "main"]);
    town.write("a", "never pushed\n");
    let unpushed = town.commit_all("never pushed");
    let no_branch = Member {
        commit: unpushed.clone(),
        branch: "polecat/nobody".into(),
        uid: "uid-nobody".into(),
        ..good.clone()
    };
    let no_commit = Member {
        commit: unpushed,
        ..good.clone()
    };
    for (pod, bad) in [("x", no_branch), ("y", no_commit)] {
        let orders = town.test_orders(pod, MergeStyle::Rebase, &[good.clone(), bad]);
        assert_eq!(build(&orders).await.outcome, CandidateOutcome::Missing { i: 1 });
        assert_eq!(town.remote_ref(&orders.candidate_ref), None);
    }
}

#[tokio::test]
async fn a_merge_inside_a_branch_keeps_its_resolution() {
    let town = Town::new();
    let nux = town.member(
        "nux",
        "main",
        &[
            &[("a", &LINES.replace("two", "nux"))],
            &[("b", &LINES.replace("two", "nux"))],
        ],
    );
    let outside = town.outsider("a", &LINES.replace("two", "outside"));
    // The agent merges main and resolves; replayed one by one, its first commit would conflict for ever.
    town.at_desk(&["checkout", "-q", "--detach", &nux.commit]);
    town.at_desk(&["merge", "-q", "--no-commit", "-s", "ours", &outside]);
    town.write("a", &LINES.replace("two", "outside and nux"));
    town.commit_all("merge main");
    let nux = town.offer("nux");
    town.outsider("c", "base goes on\n");

    let tested = town
        .built(&town.test_orders("test", MergeStyle::Rebase, std::slice::from_ref(&nux)))
        .await;

    let base = &tested.report.base;
    assert_eq!(
        town.show(&tested.commit, "a"),
        LINES.replace("two", "outside and nux").trim_end()
    );
    assert_eq!(town.show(&tested.commit, "b"), LINES.replace("two", "nux").trim_end());
    assert_eq!(town.show(&tested.commit, "c"), "base goes on");
    assert_eq!(
        town.at_remote(&["rev-list", "--merges", "--count", &format!("{base}..{}", tested.commit)]),
        "0",
        "rebase: a line"
    );
    assert_eq!(
        town.at_remote(&["log", "-1", "--format=%s %an", &tested.commit]),
        "nux 1 Furiosa"
    );
}

#[tokio::test]
async fn replaying_never_takes_back_what_somebody_else_landed() {
    let town = Town::new();
    let tried = LINES.replace("two", "2");
    // The member tries a change and takes it back; meanwhile somebody else lands the very same change for good.
    let nux = town.member("nux", "main", &[&[("a", &tried)], &[("a", LINES), ("b", "nux\n")]]);
    town.outsider("a", &tried);

    for (pod, style) in [
        ("r", MergeStyle::Rebase),
        ("s", MergeStyle::Squash),
        ("m", MergeStyle::Merge),
    ] {
        let tested = town
            .built(&town.test_orders(pod, style, std::slice::from_ref(&nux)))
            .await;
        assert_eq!(town.show(&tested.commit, "a"), tried.trim_end(), "{style:?}");
        assert_eq!(town.show(&tested.commit, "b"), "nux", "{style:?}");
    }
}

#[tokio::test]
async fn a_change_that_fits_as_a_whole_goes_in_though_its_steps_do_not() {
    let town = Town::new();
    // Told of a conflict, the agent edits its file into agreement instead of rebasing.
    let agreed = LINES.replace("two", "outside");
    let nux = town.member(
        "nux",
        "main",
        &[
            &[("a", &LINES.replace("two", "nux"))],
            &[("a", &agreed), ("b", "nux\n")],
        ],
    );
    town.outsider("a", &agreed);

    let tested = town.built(&town.test_orders("test", MergeStyle::Rebase, &[nux])).await;

    assert_eq!(town.show(&tested.commit, "a"), agreed.trim_end());
    assert_eq!(town.show(&tested.commit, "b"), "nux");
    assert_eq!(
        town.at_remote(&["log", "-1", "--format=%s", &tested.commit]),
        "Make nux shine"
    );
}

#[tokio::test]
async fn broken_objects_of_one_member_are_its_own_trouble() {
    let town = Town::new();
    let good = town.member("nux", "main", &[&[("a", "1\n")]]);
    let blob = town.at_remote(&["rev-parse", "main:a"]);
    // A tree that would write into .git where it is checked out: refused at the door by every fetch of ours.
    let tree = town.feed_remote(&["mktree"], &format!("100644 blob {blob}\t.git\n"));
    let commit = town.at_remote(&["commit-tree", "-m", "evil", "-p", "main", &tree]);
    town.at_remote(&["update-ref", "refs/heads/polecat/evil", &commit]);
    let evil = Member {
        commit,
        branch: "polecat/evil".into(),
        ..Member::default()
    };

    let orders = town.test_orders("test", MergeStyle::Rebase, &[good, evil]);

    assert_eq!(build(&orders).await.outcome, CandidateOutcome::Missing { i: 1 });
}

#[tokio::test]
async fn a_member_that_stands_on_another_brings_only_its_own() {
    let town = Town::new();
    let lower = town.member("nux", "main", &[&[("a", &LINES.replace("two", "2"))]]);
    let upper = town.member("slit", &lower.commit, &[&[("a", &LINES.replace("two", "deux"))]]);
    town.outsider("c", "so that both are rewritten\n");
    for (pod, style, commits) in [
        ("r", MergeStyle::Rebase, "2"),
        ("s", MergeStyle::Squash, "2"),
        ("m", MergeStyle::Merge, "4"),
    ] {
        let tested = town
            .built(&town.test_orders(pod, style, &[lower.clone(), upper.clone()]))
            .await;
        assert_eq!(tested.report.included.len(), 2, "{style:?}: {:?}", tested.report);
        assert_eq!(town.show(&tested.commit, "a"), LINES.replace("two", "deux").trim_end());
        let range = format!("{}..{}", tested.report.base, tested.commit);
        assert_eq!(town.at_remote(&["rev-list", "--count", &range]), commits, "{style:?}");
    }
}

#[tokio::test]
async fn a_change_follows_a_file_that_was_moved() {
    let town = Town::new();
    let nux = town.member("nux", "main", &[&[("a", &LINES.replace("two", "2"))]]);
    town.at_desk(&["checkout", "-q", "--detach", "main"]);
    town.at_desk(&["mv", "a", "moved"]);
    town.commit_all("move");
    town.at_desk(&["push", "-q", "origin", "HEAD:refs/heads/main"]);

    let tested = town.built(&town.test_orders("test", MergeStyle::Rebase, &[nux])).await;

    assert_eq!(town.show(&tested.commit, "moved"), LINES.replace("two", "2").trim_end());
}

#[tokio::test]
async fn a_branch_without_common_history_is_a_conflict_not_a_disaster() {
    let town = Town::new();
    town.at_desk(&["checkout", "-q", "--orphan", "island"]);
    town.write("a", "another world\n");
    town.commit_all("island");
    let island = town.offer("island");
    let good = town.member("nux", "main", &[&[("b", "1\n")]]);
    for (pod, style) in [
        ("r", MergeStyle::Rebase),
        ("s", MergeStyle::Squash),
        ("m", MergeStyle::Merge),
    ] {
        let tested = town
            .built(&town.test_orders(pod, style, &[island.clone(), good.clone()]))
            .await;
        assert_eq!(
            tested.report.conflicts.iter().map(|c| c.i).collect::<Vec<_>>(),
            [0],
            "{style:?}"
        );
        assert_eq!(town.show(&tested.commit, "a"), LINES.trim_end(), "{style:?}");
    }
}

#[tokio::test]
async fn the_record_is_asked_where_the_remote_gives_no_commit_by_its_id() {
    let town = Town::new();
    let rewritten = town.member("nux", "main", &[&[("a", "pinned\n")]]);
    town.record(&rewritten);
    town.member("nux", "main", &[&[("a", "rewritten\n")]]);
    let git = town
        .git_that("case $a in +[0-9a-f]*:refs/gastown/fetched/*) echo 'fatal: not our ref' >&2; exit 128;; esac")
        .await;
    let orders = town.test_orders("test", MergeStyle::Rebase, std::slice::from_ref(&rewritten));

    let report = build_with(&git, &orders).await;

    let CandidateOutcome::Built { commit, .. } = report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(town.show(&commit, "a"), "pinned");
}
