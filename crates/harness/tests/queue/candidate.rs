//! Candidates: who gets in, in what shape, and what is said of the others.

use std::fs;

use gastown_wire::{CandidateOutcome, Included, MAX_MEMBERS, Member, MergeStyle, QUEUE_REPORT_LIMIT, Report as _};

use crate::town::{LINES, Town, build};

fn included(pairs: &[(usize, &str)]) -> Vec<Included> {
    pairs.iter().map(|(i, c)| Included { i: *i, c: (*c).into() }).collect()
}

/// Two members of two and one commits that left main before somebody else pushed to it.
fn two_behind(town: &Town) -> [Member; 2] {
    let nux = town.member(
        "nux",
        "main",
        &[
            &[("a", &LINES.replace("two", "2"))],
            &[
                ("a", &LINES.replace("two", "2").replace("nine", "9")),
                ("new/nux", "n\n"),
            ],
        ],
    );
    let slit = town.member("slit", "main", &[&[("b", &LINES.replace("five", "5"))]]);
    town.outsider("c", "from outside\n");
    [nux, slit]
}

#[tokio::test]
async fn rebased_members_lie_in_order_on_the_base_with_their_authors() {
    let town = Town::new();
    let members = two_behind(&town);
    let orders = town.test_orders("test", MergeStyle::Rebase, &members);

    let tested = town.built(&orders).await;

    let report = &tested.report;
    assert_eq!(report.base, town.main());
    assert_eq!(town.remote_ref(&orders.candidate_ref).as_deref(), Some(&*tested.commit));
    assert_eq!(town.tree(&tested.commit), tested.tree);
    let log = town.at_remote(&[
        "log",
        "--reverse",
        "--format=%s|%an|%at|%P",
        &format!("{}..{}", report.base, tested.commit),
    ]);
    let log: Vec<_> = log.lines().map(|line| line.split('|').collect::<Vec<_>>()).collect();
    assert_eq!(
        log.iter().map(|l| l[0]).collect::<Vec<_>>(),
        ["nux 1", "nux 2", "slit 1"]
    );
    assert!(log.iter().all(|l| l[1] == "Furiosa" && l[2] == "1700000000"), "{log:?}");
    let nux_tip = town.at_remote(&["rev-parse", &format!("{}^", tested.commit)]);
    assert_eq!(report.included, included(&[(0, &nux_tip), (1, &tested.commit)]));
    assert_eq!((report.conflicts.len(), report.empty.len()), (0, 0));
    assert_eq!(
        town.show(&tested.commit, "a"),
        LINES.replace("two", "2").replace("nine", "9").trim_end()
    );
    assert_eq!(town.show(&tested.commit, "b"), LINES.replace("five", "5").trim_end());
    assert_eq!(town.show(&tested.commit, "c"), "from outside");
    assert_eq!(town.main(), report.base, "building moves no branch");
}

#[tokio::test]
async fn a_squashed_member_is_one_commit_with_the_orders_title() {
    let town = Town::new();
    let members = two_behind(&town);

    let tested = town
        .built(&town.test_orders("test", MergeStyle::Squash, &members))
        .await;

    let range = format!("{}..{}", tested.report.base, tested.commit);
    assert_eq!(
        town.at_remote(&["log", "--reverse", "--format=%s", &range]),
        "Make nux shine\nMake slit shine"
    );
    assert_eq!(
        town.at_remote(&["log", "--format=%an", "-1", &tested.commit]),
        "Furiosa"
    );
    let first = town.at_remote(&["log", "--format=%B", "-1", &format!("{}^", tested.commit)]);
    assert!(
        first.contains("* nux 1\n* nux 2\n") && first.contains(&members[0].commit),
        "{first}"
    );
    assert_eq!(town.show(&tested.commit, "new/nux"), "n");
}

#[tokio::test]
async fn a_merged_member_keeps_its_own_commits() {
    let town = Town::new();
    let members = two_behind(&town);

    let tested = town.built(&town.test_orders("test", MergeStyle::Merge, &members)).await;

    let range = format!("{}..{}", tested.report.base, tested.commit);
    assert_eq!(
        town.at_remote(&["log", "--first-parent", "--reverse", "--format=%s", &range]),
        "Make nux shine\nMake slit shine"
    );
    assert_eq!(town.at_remote(&["rev-list", "--count", &range]), "5");
    for member in &members {
        assert!(town.remote_agrees(&["merge-base", "--is-ancestor", &member.commit, &tested.commit]));
    }
    assert_eq!(
        town.at_remote(&["rev-parse", &format!("{}^2", tested.commit)]),
        members[1].commit
    );
}

#[tokio::test]
async fn the_styles_agree_on_the_tree() {
    let town = Town::new();
    let members = two_behind(&town);
    let mut trees = Vec::new();
    for (pod, style) in [
        ("r", MergeStyle::Rebase),
        ("s", MergeStyle::Squash),
        ("m", MergeStyle::Merge),
    ] {
        trees.push(town.built(&town.test_orders(pod, style, &members)).await.tree);
    }
    assert!(trees.iter().all(|t| *t == trees[0]), "{trees:?}");
}

#[tokio::test]
async fn a_branch_that_stands_on_the_base_keeps_its_commits() {
    let town = Town::new();
    let nux = town.member("nux", "main", &[&[("a", "1\n")], &[("a", "2\n")]]);

    let tested = town
        .built(&town.test_orders("test", MergeStyle::Rebase, std::slice::from_ref(&nux)))
        .await;

    assert_eq!(
        tested.commit, nux.commit,
        "git branch --contains finds what the agent committed"
    );
}

#[tokio::test]
async fn the_checkout_is_the_candidate_alone() {
    let town = Town::new();
    let orders = town.test_orders("test", MergeStyle::Rebase, &two_behind(&town));

    let tested = town.built(&orders).await;

    let checkout = std::path::Path::new(&orders.paths.workspace);
    let inside = |args: &[&str]| town.at_desk(&[&["-C", &orders.paths.workspace], args].concat());
    assert_eq!(inside(&["rev-parse", "HEAD"]), tested.commit);
    assert_eq!(inside(&["status", "--porcelain"]), "");
    assert_eq!(inside(&["remote"]), "", "nothing in it says where it came from");
    let config = fs::read_to_string(checkout.join(".git/config")).unwrap();
    assert!(
        !config.contains("remote.git") && !config.contains("credential"),
        "{config}"
    );
    assert!(
        !checkout.join(".git/objects/info/alternates").exists(),
        "it must not lean on the other repository"
    );
    fs::write(checkout.join("a"), "a test may write here").unwrap();
    assert!(fs::read_to_string(checkout.join("run.sh")).unwrap().starts_with("#!"));
}

#[tokio::test]
async fn a_member_that_conflicts_is_named_and_the_others_go_on() {
    let town = Town::new();
    let odd = "odd \"dir\"/lé\n🦀 name";
    let first = town.member("nux", "main", &[&[("a", &LINES.replace("two", "2")), (odd, "mine\n")]]);
    let second = town.member(
        "slit",
        "main",
        &[&[("a", &LINES.replace("two", "zwei")), (odd, "yours\n")]],
    );
    let third = town.member("toast", "main", &[&[("b", &LINES.replace("two", "2"))]]);

    for (pod, style) in [
        ("r", MergeStyle::Rebase),
        ("s", MergeStyle::Squash),
        ("m", MergeStyle::Merge),
    ] {
        let orders = town.test_orders(pod, style, &[first.clone(), second.clone(), third.clone()]);
        let tested = town.built(&orders).await;

        assert_eq!(
            tested.report.included.iter().map(|m| m.i).collect::<Vec<_>>(),
            [0, 2],
            "{style:?}"
        );
        assert_eq!(tested.report.conflicts.len(), 1);
        assert_eq!(tested.report.conflicts[0].i, 1);
        let mut paths = tested.report.conflicts[0].paths.clone();
        paths.sort();
        assert_eq!(paths, ["a", odd], "{style:?}");
        assert_eq!(town.show(&tested.commit, "a"), LINES.replace("two", "2").trim_end());
    }
}

#[tokio::test]
async fn where_every_member_conflicts_there_is_nothing_to_test() {
    let town = Town::new();
    let members = [
        town.member("nux", "main", &[&[("a", "nux\n")]]),
        town.member("slit", "main", &[&[("a", "slit\n")]]),
    ];
    let base = town.outsider("a", "outside\n");
    let orders = town.test_orders("test", MergeStyle::Rebase, &members);

    let report = build(&orders).await;

    assert_eq!(report.outcome, CandidateOutcome::Nothing);
    assert_eq!(report.base, base);
    assert_eq!(report.conflicts.iter().map(|c| c.i).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(town.remote_ref(&orders.candidate_ref), None);
    assert!(
        !std::path::Path::new(&orders.paths.workspace).join("a").exists(),
        "no checkout, nothing to run"
    );
}

#[tokio::test]
async fn a_change_that_is_there_already_is_empty_and_not_tested_again() {
    let town = Town::new();
    let on_base = town.member("dag", "main", &[]);
    let same = town.member("nux", "main", &[&[("a", &LINES.replace("two", "2"))]]);
    let twin = town.member("slit", "main", &[&[("a", &LINES.replace("two", "2"))], &[]]);
    let undone = town.member("toast", "main", &[&[("b", "gone\n")], &[("b", LINES)]]);
    for (pod, style) in [
        ("r", MergeStyle::Rebase),
        ("s", MergeStyle::Squash),
        ("m", MergeStyle::Merge),
    ] {
        let orders = town.test_orders(pod, style, &[on_base.clone(), same.clone(), twin.clone()]);
        let tested = town.built(&orders).await;
        assert_eq!(tested.report.empty, [0, 2], "{style:?}");
        assert_eq!(tested.report.included.len(), 1);
    }
    let orders = town.test_orders("none", MergeStyle::Squash, &[on_base, undone]);
    let report = build(&orders).await;
    assert_eq!((report.outcome, report.empty), (CandidateOutcome::Nothing, vec![0, 1]));
}

#[tokio::test]
async fn the_same_orders_give_the_same_commit_anywhere() {
    let town = Town::new();
    let members = two_behind(&town);
    for (n, style) in [MergeStyle::Rebase, MergeStyle::Squash, MergeStyle::Merge]
        .into_iter()
        .enumerate()
    {
        let mut orders = town.test_orders(&format!("first{n}"), style, &members);
        let first = town.built(&orders).await;
        orders.candidate_ref = Town::candidate_ref(100 + u64::try_from(n).unwrap());
        orders.paths = town.test_orders(&format!("second{n}"), style, &members).paths;
        let second = town.built(&orders).await;
        assert_eq!(first.commit, second.commit, "{style:?}");
    }
}

#[tokio::test]
async fn a_pod_that_starts_again_in_its_volumes_ends_the_same() {
    let town = Town::new();
    let orders = town.test_orders("test", MergeStyle::Rebase, &two_behind(&town));
    let first = town.built(&orders).await;
    fs::write(
        std::path::Path::new(&orders.paths.workspace).join("left-over"),
        "of the first run",
    )
    .unwrap();

    let second = town.built(&orders).await;

    assert_eq!(first.report, second.report);
    assert!(!std::path::Path::new(&orders.paths.workspace).join("left-over").exists());
}

#[tokio::test]
async fn a_candidate_that_somebody_swapped_is_replaced_by_what_was_recomputed() {
    let town = Town::new();
    let members = two_behind(&town);
    let orders = town.test_orders("test", MergeStyle::Rebase, &members);
    town.at_remote(&["update-ref", &orders.candidate_ref, &members[0].commit]);

    let tested = town.built(&orders).await;

    assert_eq!(town.remote_ref(&orders.candidate_ref).as_deref(), Some(&*tested.commit));
    assert_ne!(tested.commit, members[0].commit);
}

#[tokio::test]
async fn a_moved_base_is_said_and_nothing_is_built() {
    let town = Town::new();
    let mut orders = town.test_orders("test", MergeStyle::Rebase, &two_behind(&town));
    orders.base = Some(town.at_remote(&["rev-parse", "main^"]));

    let report = build(&orders).await;

    assert_eq!(report.outcome, CandidateOutcome::BaseMoved);
    assert_eq!(town.remote_ref(&orders.candidate_ref), None);

    orders.base = Some(town.main());
    assert_eq!(town.built(&orders).await.report.base, town.main());
}

#[tokio::test]
async fn forty_members_fit_in_one_report() {
    let town = Town::new();
    let mut members: Vec<_> = (0..MAX_MEMBERS / 2)
        .map(|n| town.member(&format!("m{n}"), "main", &[&[(&format!("f{n}"), "x\n")]]))
        .collect();
    let files: Vec<_> = (0..6)
        .map(|n| format!("{}{n}", "a-rather-long-folder/".repeat(10)))
        .collect();
    let mine: Vec<_> = files.iter().map(|f| (f.as_str(), "mine\n")).collect();
    members.insert(0, town.member("first", "main", &[&mine]));
    for n in members.len()..MAX_MEMBERS {
        let content = format!("{n}\n");
        let other: Vec<_> = files.iter().map(|f| (f.as_str(), content.as_str())).collect();
        members.push(town.member(&format!("c{n}"), "main", &[&other]));
    }
    let mut orders = town.test_orders("test", MergeStyle::Rebase, &members);

    let tested = town.built(&orders).await;

    let text = tested.report.encode();
    assert!(text.len() <= QUEUE_REPORT_LIMIT, "{} bytes", text.len());
    let read = gastown_wire::CandidateReport::decode(&text).unwrap();
    assert_eq!(read.included, tested.report.included);
    assert_eq!((read.included.len(), read.conflicts.len()), (21, 19));

    orders.members.push(members[0].clone());
    assert!(matches!(build(&orders).await.outcome, CandidateOutcome::Config { reason } if reason == "BadOrders"));
}

#[tokio::test]
async fn wrong_orders_and_wrong_remotes_have_their_reason() {
    let town = Town::new();
    let good = town.test_orders("test", MergeStyle::Rebase, &two_behind(&town));
    let mut cases = Vec::new();
    for (reason, change) in [
        (
            "RepositoryNotFound",
            (|o| o.remote.url.push_str("/nowhere")) as fn(&mut gastown_wire::TestOrders),
        ),
        ("BranchNotFound", |o| o.remote.branch = "trunk".into()),
        ("BadOrders", |o| o.members[0].commit = "--upload-pack=touch x".into()),
        ("BadOrders", |o| o.candidate_ref = "refs/heads/main".into()),
        ("BadOrders", |o| {
            o.candidate_ref = "refs/gastown/candidates/other/7-1".into()
        }),
        ("BadOrders", |o| o.base = Some("main".into())),
        ("BadOrders", |o| o.remote.url = "ext::sh -c date".into()),
        ("BadOrders", |o| o.paths.courier.clear()),
    ] {
        let mut orders = good.clone();
        change(&mut orders);
        cases.push((reason, build(&orders).await.outcome));
    }
    for (reason, outcome) in cases {
        assert_eq!(outcome, CandidateOutcome::Config { reason: reason.into() });
    }
    assert_eq!(town.remote_ref(&good.candidate_ref), None);
}
