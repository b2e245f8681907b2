//! Landing: only what was tested, only forward, and known again when the answer was lost.

use gastown_wire::{LandOrders, LandOutcome, MergeStyle, candidates_prefix};

use crate::town::{LINES, RIG, Tested, Town, build, hook, land_it, land_with};

/// Orders that must land nothing: main and the candidate stay as they are.
async fn expect_untouched(town: &Town, orders: &LandOrders) -> LandOutcome {
    let (main, candidate) = (town.main(), town.remote_ref(&orders.candidate_ref));
    let report = land_it(orders).await;
    assert_eq!(town.main(), main);
    assert_eq!(town.remote_ref(&orders.candidate_ref), candidate);
    assert_eq!(report.commit, "");
    report.outcome
}

async fn orders(town: &Town) -> (Tested, LandOrders) {
    let tested = town.tested().await;
    let orders = town.land_orders("land", &tested);
    (tested, orders)
}

#[tokio::test]
async fn the_tested_commit_lands() {
    let town = Town::new();
    let (tested, orders) = orders(&town).await;

    let report = land_it(&orders).await;

    assert_eq!(report.outcome, LandOutcome::Landed);
    assert_eq!(report.commit, tested.commit);
    assert_eq!(town.main(), tested.commit);
    assert_eq!(town.show("main", "a"), LINES.replace("two", "2").trim_end());
}

#[tokio::test]
async fn each_style_lands_as_it_was_tested() {
    for style in [MergeStyle::Rebase, MergeStyle::Squash, MergeStyle::Merge] {
        let town = Town::new();
        let nux = town.member("nux", "main", &[&[("a", "1\n")]]);
        let base = town.outsider("c", "outside\n");
        let tested = town.built(&town.test_orders("test", style, &[nux])).await;
        assert_eq!(
            land_it(&town.land_orders("land", &tested)).await.outcome,
            LandOutcome::Landed,
            "{style:?}"
        );
        assert_eq!(town.main(), tested.commit);
        assert_eq!(town.at_remote(&["rev-parse", "main~1"]), base, "{style:?}");
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_next_pod_finds_it_landed() {
    let town = Town::new();
    let (tested, mut orders) = orders(&town).await;
    assert_eq!(land_it(&orders).await.outcome, LandOutcome::Landed);
    let above = town.outsider("c", "goes on\n");
    orders.paths = town.land_orders("second", &tested).paths;

    let report = land_it(&orders).await;

    assert_eq!(report.outcome, LandOutcome::Landed);
    assert_eq!(report.commit, tested.commit);
    assert_eq!(town.main(), above, "what came after stays");
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_looked_up() {
    let town = Town::new();
    let (tested, orders) = orders(&town).await;
    // The remote takes the push and dies before it says so.
    hook(&town, "post-receive", "kill -9 $PPID");

    let report = land_it(&orders).await;

    assert_eq!(town.main(), tested.commit);
    assert_eq!(report.outcome, LandOutcome::Landed, "{report:?}");
}

#[tokio::test]
async fn a_branch_that_moved_is_stale_and_never_goes_backwards() {
    let town = Town::new();
    let (_, orders) = orders(&town).await;
    let outside = town.outsider("c", "meanwhile\n");

    assert_eq!(
        expect_untouched(&town, &orders).await,
        LandOutcome::Stale { now: outside }
    );
}

#[tokio::test]
async fn a_branch_that_moves_between_the_look_and_the_push_is_stale() {
    let town = Town::new();
    let (tested, orders) = orders(&town).await;
    town.at_desk(&[
        "fetch",
        "-q",
        "origin",
        &format!("{}:refs/tested", orders.candidate_ref),
    ]);
    town.at_desk(&["checkout", "-q", "--detach", "main"]);
    town.write("c", "in between\n");
    let between = town.commit_all("in between");
    town.at_desk(&["push", "-q", "origin", "HEAD:refs/gastown/between"]);
    // The first hook a push meets moves main under its feet, once.
    hook(
        &town,
        "pre-receive",
        &format!("unset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/main {between}\nexit 0"),
    );

    let report = land_it(&orders).await;

    assert_eq!(report.outcome, LandOutcome::Stale { now: between.clone() });
    assert_eq!(town.main(), between);
    assert_ne!(town.main(), tested.commit);
}

#[tokio::test]
async fn a_branch_that_was_taken_back_after_the_look_is_stale_though_it_could_be_fast_forwarded() {
    let town = Town::new();
    let before = town.main();
    town.outsider("c", "taken back in a moment\n");
    let (_, orders) = orders(&town).await;
    let remote = town.path("remote.git");
    let git = town
        .git_that(&format!(
            "test \"$a\" != push || git -C '{}' update-ref refs/heads/main {before}",
            remote.display()
        ))
        .await;

    let report = land_with(&git, &orders).await;

    assert_eq!(report.outcome, LandOutcome::Stale { now: before.clone() });
    assert_eq!(town.main(), before);
}

#[tokio::test]
async fn a_remote_that_goes_away_is_transient_and_nothing_is_claimed() {
    let town = Town::new();
    let (_, orders) = orders(&town).await;
    let git = town
        .git_that("test \"$a\" != push || { echo 'fatal: unable to access: Connection reset by peer' >&2; exit 128; }")
        .await;

    let report = land_with(&git, &orders).await;

    assert_eq!((report.outcome, report.commit.as_str()), (LandOutcome::Transient, ""));
    assert_ne!(town.main(), orders.candidate);
}

#[tokio::test]
async fn a_swapped_candidate_does_not_land() {
    let town = Town::new();
    let (_, orders) = orders(&town).await;
    let evil = town.member("evil", "main", &[&[("a", "untested\n")]]);
    town.at_remote(&["update-ref", &orders.candidate_ref, &evil.commit]);

    assert!(matches!(
        expect_untouched(&town, &orders).await,
        LandOutcome::Mismatch { .. }
    ));

    town.at_remote(&["update-ref", "-d", &orders.candidate_ref]);
    assert!(
        matches!(expect_untouched(&town, &orders).await, LandOutcome::Mismatch { .. }),
        "gone is no better"
    );
}

#[tokio::test]
async fn another_tree_than_the_tested_one_does_not_land() {
    let town = Town::new();
    let (_, mut orders) = orders(&town).await;
    orders.tree = town.tree("main");

    let LandOutcome::Mismatch { why } = expect_untouched(&town, &orders).await else {
        panic!("landed another tree");
    };
    assert!(why.contains("tree"), "{why}");
}

#[tokio::test]
async fn a_candidate_that_does_not_stand_on_the_base_does_not_land() {
    let town = Town::new();
    let (mut tested, _) = orders(&town).await;
    // main is rewritten by hand to something that the candidate does not contain, and orders follow it.
    let other = town.outsider("c", "elsewhere\n");
    tested.report.base = other;

    let LandOutcome::Mismatch { why } = expect_untouched(&town, &town.land_orders("land", &tested)).await else {
        panic!("main would have lost a commit");
    };
    assert!(why.contains("base"), "{why}");
}

#[tokio::test]
async fn a_candidate_that_is_its_base_proves_nothing() {
    let town = Town::new();
    let (mut tested, _) = orders(&town).await;
    tested.commit = tested.report.base.clone();
    tested.tree = town.tree("main");
    assert!(matches!(
        expect_untouched(&town, &town.land_orders("land", &tested)).await,
        LandOutcome::Mismatch { .. }
    ));
}

#[tokio::test]
async fn a_protected_branch_is_refused_in_the_remotes_words() {
    let town = Town::new();
    let (_, orders) = orders(&town).await;
    hook(
        &town,
        "pre-receive",
        "while read old new ref; do case $ref in refs/heads/main) echo 'main is protected: ask ops' >&2; exit 1;; esac; done",
    );

    let LandOutcome::Refused { why } = expect_untouched(&town, &orders).await else {
        panic!("not refused");
    };
    assert!(why.contains("main is protected: ask ops"), "{why}");
}

#[tokio::test]
async fn a_hook_that_refuses_one_ref_is_a_refusal_too() {
    let town = Town::new();
    let (_, orders) = orders(&town).await;
    hook(&town, "update", "test \"$1\" != refs/heads/main");

    assert!(matches!(
        expect_untouched(&town, &orders).await,
        LandOutcome::Refused { .. }
    ));
}

#[tokio::test]
async fn a_landing_sweeps_its_own_batch_and_older_ones_and_nothing_else() {
    let town = Town::new();
    let (tested, orders) = orders(&town).await;
    let prefix = candidates_prefix(RIG);
    let swept = [
        format!("{prefix}7-1"),
        format!("{prefix}7-3"),
        format!("{prefix}6-1-2"),
        format!("{prefix}5"),
    ];
    let kept = [
        format!("{prefix}8-1"),
        format!("{prefix}70-1"),
        format!("{prefix}notes"),
        format!("{prefix}-1"),
        format!("{}1-1", candidates_prefix("parts-two")),
        "refs/gastown/polecats/1-1".to_owned(),
        "refs/heads/refs/gastown/candidates/parts/1-1".to_owned(),
        "refs/heads/polecat/nux".to_owned(),
    ];
    for name in swept.iter().chain(&kept) {
        town.at_remote(&["update-ref", name, &tested.commit]);
    }

    assert_eq!(land_it(&orders).await.outcome, LandOutcome::Landed);

    for name in &swept {
        assert_eq!(town.remote_ref(name), None, "{name}");
    }
    for name in &kept {
        assert!(town.remote_ref(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_sweep_that_is_refused_spoils_no_landing() {
    let town = Town::new();
    let (tested, orders) = orders(&town).await;
    hook(&town, "update", "case $1 in refs/gastown/candidates/*) exit 1;; esac");

    let report = land_it(&orders).await;

    assert_eq!(report.outcome, LandOutcome::Landed);
    assert_eq!(town.main(), tested.commit);
    assert!(town.remote_ref(&orders.candidate_ref).is_some());
    // The proof came with the branch.
    let proof = format!("refs/gastown/landed/{}/{}", orders.rig, tested.commit);
    assert_eq!(town.remote_ref(&proof), Some(tested.commit));
}

#[tokio::test]
async fn nothing_that_lands_moves_main_backwards() {
    let town = Town::new();
    let mut values = vec![town.main()];
    for n in 0..3 {
        let member = town.member(&format!("p{n}"), &values[0], &[&[(&format!("f{n}"), "x\n")]]);
        let tested = town
            .built(&town.test_orders(&format!("test{n}"), MergeStyle::Rebase, &[member]))
            .await;
        let orders = town.land_orders(&format!("land{n}"), &tested);
        assert_eq!(land_it(&orders).await.outcome, LandOutcome::Landed);
        // The same orders again, from a pod that knows nothing.
        let again = town.land_orders(&format!("again{n}"), &tested);
        assert_eq!(land_it(&again).await.outcome, LandOutcome::Landed);
        values.push(town.main());
    }
    for pair in values.windows(2) {
        assert_ne!(pair[0], pair[1]);
        assert!(town.remote_agrees(&["merge-base", "--is-ancestor", &pair[0], &pair[1]]));
    }
    assert_eq!(
        town.at_remote(&["ls-tree", "--name-only", "main"]),
        "a\nb\nf0\nf1\nf2\nrun.sh"
    );
}

#[tokio::test]
async fn wrong_orders_and_wrong_remotes_have_their_reason() {
    let town = Town::new();
    let (_, good) = orders(&town).await;
    for (reason, change) in [
        (
            "RepositoryNotFound",
            (|o| o.remote.url.push_str("/nowhere")) as fn(&mut LandOrders),
        ),
        ("BranchNotFound", |o| o.remote.branch = "trunk".into()),
        ("BadOrders", |o| o.candidate = "HEAD".into()),
        ("BadOrders", |o| o.rig.clear()),
        ("BadOrders", |o| o.candidate_ref = "refs/heads/polecat/nux".into()),
    ] {
        let mut orders = good.clone();
        change(&mut orders);
        assert_eq!(
            expect_untouched(&town, &orders).await,
            LandOutcome::Config { reason: reason.into() }
        );
    }
}

#[tokio::test]
async fn a_candidate_of_one_batch_is_not_touched_by_the_build_of_another() {
    let town = Town::new();
    let (tested, _) = orders(&town).await;
    let member = town.member("slit", "main", &[&[("b", "1\n")]]);
    let mut other = town.test_orders("other", MergeStyle::Rebase, &[member]);
    other.candidate_ref = Town::candidate_ref(8);

    build(&other).await;

    assert_eq!(town.remote_ref(&Town::candidate_ref(7)), Some(tested.commit));
}
