//! What a landing takes along: records of polecats that are gone, and nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use gastown_wire::{
    LandOrders, LandOutcome, LandReport, RemoteOrders, Sweep, conversation_ref, record_ref, snapshot_ref,
};

use crate::town::{Town, hook, land_it, land_with};

const DAY: u64 = 24 * 3600;

/// A record of that owner which moved so many days ago, with a snapshot and a conversation.
fn kept(town: &Town, uid: &str, owner: Option<&str>, days: u64) {
    let record = match owner {
        Some(owner) => format!(r#"{{"version":1,"owner":"{owner}","outcome":"done"}}"#),
        None => r#"{"version":1,"outcome":"done"}"#.to_owned(),
    };
    let commit = commit(town, &record, days);
    for name in names(uid) {
        town.at_remote(&["update-ref", &name, &commit]);
    }
}

fn commit(town: &Town, record: &str, days: u64) -> String {
    let blob = town.feed_remote(&["hash-object", "-w", "--stdin"], record);
    let tree = town.feed_remote(&["mktree"], &format!("100644 blob {blob}\trecord.json\n"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    town.commit_tree_at(&tree, now - days * DAY)
}

fn names(uid: &str) -> [String; 3] {
    [record_ref(uid), snapshot_ref(uid), conversation_ref(uid)]
}

fn refs_of(town: &Town, uid: &str) -> usize {
    names(uid).iter().filter(|name| town.remote_ref(name).is_some()).count()
}

async fn orders(town: &Town, living: &[&str]) -> LandOrders {
    let tested = town.tested().await;
    LandOrders {
        sweep: Some(Sweep {
            owner: "rig-1".into(),
            living: living.iter().map(|uid| (*uid).to_owned()).collect(),
            content: None,
        }),
        ..town.land_orders("land", &tested)
    }
}

#[track_caller]
fn landed(report: &LandReport, town: &Town, orders: &LandOrders, said: &str) {
    assert_eq!(report.outcome, LandOutcome::Landed, "{report:?}");
    assert_eq!(town.main(), orders.candidate);
    assert!(report.detail.ends_with(said), "{report:?}");
}

#[tokio::test]
async fn what_is_ours_old_and_gone_goes_with_all_it_left() {
    let town = Town::new();
    kept(&town, "gone", Some("rig-1"), 8);
    kept(&town, "gone-long-ago", Some("rig-1"), 400);
    kept(&town, "living", Some("rig-1"), 8);
    kept(&town, "young", Some("rig-1"), 6);
    kept(&town, "foreign", Some("rig-2"), 8);
    kept(&town, "nobodys", None, 8);
    kept(&town, "deeper/gone", Some("rig-1"), 8);
    let odd = commit(&town, "no JSON", 8);
    town.at_remote(&["update-ref", &record_ref("odd"), &odd]);
    town.at_remote(&["update-ref", "-d", &snapshot_ref("gone-long-ago")]);
    let orders = orders(&town, &["living"]).await;

    landed(&land_it(&orders).await, &town, &orders, "; 2 records swept");

    for uid in ["gone", "gone-long-ago"] {
        assert_eq!(refs_of(&town, uid), 0, "{uid}");
    }
    for uid in ["living", "young", "foreign", "nobodys", "deeper/gone"] {
        assert_eq!(refs_of(&town, uid), 3, "{uid}");
    }
    assert_eq!(town.remote_ref(&record_ref("odd")), Some(odd));
}

#[tokio::test]
async fn nothing_is_swept_where_the_orders_do_not_say_so() {
    let town = Town::new();
    kept(&town, "gone", Some("rig-1"), 8);
    kept(&town, "nobodys", Some(""), 8);
    let mut orders = orders(&town, &[]).await;
    orders.sweep = None;
    landed(&land_it(&orders).await, &town, &orders, "candidate refs swept");
    assert_eq!(refs_of(&town, "gone"), 3);

    let mut again = orders;
    again.sweep = Some(Sweep::default());
    landed(&land_it(&again).await, &town, &again, "candidate refs swept");
    assert_eq!(refs_of(&town, "nobodys"), 3, "no owner owns nothing");
}

#[tokio::test]
async fn no_more_than_fifty_polecats_are_swept_by_one_landing() {
    let town = Town::new();
    let record = commit(&town, r#"{"version":1,"owner":"rig-1","outcome":"done"}"#, 8);
    let all = (0..60).flat_map(|n| names(&format!("gone-{n}")));
    let made: String = all.map(|name| format!("create {name} {record}\n")).collect();
    town.feed_remote(&["update-ref", "--stdin"], &made);
    let orders = orders(&town, &[]).await;

    landed(&land_it(&orders).await, &town, &orders, "; 50 records swept");

    let there = town.at_remote(&["for-each-ref", "--format=%(refname)"]);
    let left = |n: usize| {
        names(&format!("gone-{n}"))
            .iter()
            .filter(|name| there.lines().any(|l| l == *name))
            .count()
    };
    let left: Vec<usize> = (0..60).map(left).collect();
    assert!(
        left.iter().all(|n| [0, 3].contains(n)),
        "each goes whole or stays whole: {left:?}"
    );
    assert_eq!(left.iter().sum::<usize>(), 30);
}

/// Somebody moves a record between our look and our push: it stays, with all that belongs to it.
#[tokio::test]
async fn what_moves_meanwhile_stays() {
    for moved in [record_ref("moved"), conversation_ref("moved")] {
        let town = Town::new();
        kept(&town, "gone", Some("rig-1"), 8);
        kept(&town, "moved", Some("rig-1"), 8);
        let orders = orders(&town, &[]).await;
        let newer = commit(&town, r#"{"version":1,"owner":"rig-1","outcome":"working"}"#, 0);
        let remote = town.path("remote.git");
        let git = town
            .git_that(&format!(
                "case $a in :{moved}) git -C {} update-ref {moved} {newer};; esac",
                remote.display()
            ))
            .await;

        landed(&land_with(&git, &orders).await, &town, &orders, "; 1 records swept");

        assert_eq!(refs_of(&town, "gone"), 0, "{moved}");
        assert_eq!(refs_of(&town, "moved"), 3, "{moved}");
        assert_eq!(town.remote_ref(&moved), Some(newer));
    }
}

#[tokio::test]
async fn a_remote_that_keeps_its_refs_spoils_no_landing() {
    let town = Town::new();
    kept(&town, "gone", Some("rig-1"), 8);
    let orders = orders(&town, &[]).await;
    hook(&town, "update", "case $1 in refs/gastown/work/*) exit 1;; esac");

    let report = land_it(&orders).await;

    landed(&report, &town, &orders, "");
    assert!(report.detail.contains(" keeps refs/gastown/"), "{report:?}");
    assert_eq!(refs_of(&town, "gone"), 3, "all or none");
}

/// Uncommitted files and conversations lie in a repository of their own: they go first, and with them the record.
#[tokio::test]
async fn what_was_kept_elsewhere_goes_from_there() {
    for refuses in [false, true] {
        let town = Town::new();
        kept(&town, "gone", Some("rig-1"), 8);
        kept(&town, "living", Some("rig-1"), 8);
        let content = town.twin("records.git");
        for uid in ["gone", "living"] {
            town.at_remote(&["update-ref", "-d", &snapshot_ref(uid)]);
            town.at_remote(&["update-ref", "-d", &conversation_ref(uid)]);
        }
        let mut orders = orders(&town, &["living"]).await;
        orders.sweep.as_mut().unwrap().content = Some(RemoteOrders {
            url: content.display().to_string(),
            ..RemoteOrders::default()
        });
        if refuses {
            town.write_program("records.git/hooks/update", "#!/bin/sh\nexit 1\n");
        }
        let report = land_it(&orders).await;

        landed(&report, &town, &orders, "");
        let left = town.at(
            &content,
            &[
                "for-each-ref",
                "--format=%(refname)",
                "refs/gastown/work",
                "refs/gastown/conversations",
            ],
        );
        let of_gone = left.lines().filter(|name| name.ends_with("/gone")).count();
        let of_living = left.lines().filter(|name| name.ends_with("/living")).count();
        assert_eq!((of_gone, of_living), (if refuses { 2 } else { 0 }, 2), "{report:?}");
        // While anything is left there, its record says whose it is.
        assert_eq!(refs_of(&town, "gone"), usize::from(refuses), "{report:?}");
        assert_eq!(refs_of(&town, "living"), 1);
    }
}
