//! The repository's issues, read from a real one.

use std::fs;

use gastown_git::Git;
use gastown_harness::beads::read;
use gastown_wire::{BeadsOrders, BeadsOutcome, BeadsRead, BeadsReport, Orders, exit};

use crate::{pods::start, town::Town};

const EXPORT: &str = r#"{"_type":"issue","id":"mp-1","title":"Add a flag","status":"open"}
{"_type":"issue","id":"mp-2","title":"Mend it","status":"in_progress","priority":1}
{"_type":"issue","id":"mp-3","title":"Old","status":"closed"}
{"_type":"issue","id":"hq-1","title":"The town's","status":"open"}
{"_type":"memory","id":"mp-9","title":"no work"}
"#;

async fn told(orders: &BeadsOrders) -> BeadsReport {
    read(&Git::probe().await.unwrap(), orders).await
}

#[tokio::test]
async fn issues_are_counted_where_the_branch_has_moved() {
    let town = Town::new();
    let commit = town.outsider(".beads/issues.jsonl", EXPORT);
    let mut orders = town.beads_orders("one");
    let report = told(&orders).await;
    let counted = BeadsRead {
        issues: 3,
        open: 2,
        others: 1,
        ..BeadsRead::default()
    };
    assert_eq!((report.outcome, &report.commit), (BeadsOutcome::Read(counted), &commit));
    assert_eq!(report.ranked, [(1, vec!["mp-2".to_owned()])]);

    orders.known = Some(commit.clone());
    let report = told(&orders).await;
    assert_eq!((report.outcome, &report.commit), (BeadsOutcome::Unmoved, &commit));

    // The same volume again, after a push that has nothing to do with issues.
    let next = town.outsider("a", "1\n");
    let report = told(&orders).await;
    assert_eq!((report.outcome, report.commit), (BeadsOutcome::Read(counted), next));
}

#[tokio::test]
async fn no_export_is_an_answer_and_a_remote_that_cannot_be_read_is_named() {
    let town = Town::new();
    let report = told(&town.beads_orders("one")).await;
    assert_eq!((report.outcome, report.commit), (BeadsOutcome::NoBeads, town.main()));
    // A folder of the tracker without an export in it.
    let commit = town.outsider(".beads/config.yaml", "x: 1\n");
    let report = told(&town.beads_orders("two")).await;
    assert_eq!((report.outcome, report.commit), (BeadsOutcome::NoBeads, commit));

    let mut codes = Vec::new();
    for change in [
        (|o| o.remote.branch = "trunk".into()) as fn(&mut BeadsOrders),
        |o| o.remote.url.push_str("-that-is-not-there"),
        |o| o.remote.url = "../relative".into(),
    ] {
        let mut orders = town.beads_orders("three");
        change(&mut orders);
        let (code, report) = start::<BeadsReport>("beads", &Orders::Beads(Box::new(orders)), &town.path("."));
        let BeadsOutcome::Config { reason } = report.outcome else {
            panic!("{report:?}");
        };
        codes.push((code, reason));
    }
    let config = |reason: &str| (Some(exit::CONFIG), reason.to_owned());
    assert_eq!(codes[..2], [config("BranchNotFound"), config("RepositoryNotFound")]);
    assert_eq!(codes[2].0, Some(exit::CONFIG));
}

/// Whoever can push can write anything there.
#[tokio::test]
async fn hostile_files_are_passed_over_and_said() {
    let town = Town::new();
    let secret = town.path("secret.jsonl");
    fs::write(&secret, "{\"id\":\"mp-666\",\"title\":\"of another place\"}\n").unwrap();
    town.at_desk(&["checkout", "-q", "--detach", "main"]);
    fs::create_dir_all(town.path("desk/.beads/deep")).unwrap();
    std::os::unix::fs::symlink(&secret, town.path("desk/.beads/link.jsonl")).unwrap();
    town.write(".beads/deep/x.jsonl", EXPORT);
    town.write(
        ".beads/a.jsonl",
        "<<<<<<< ours\n{\"id\":\"mp-1\",\"title\":\"t\"}\n=======\n{{{{\n",
    );
    town.write(".beads/-rf.jsonl", "{\"id\":\"mp-2\",\"title\":\"t\"}");
    // Larger than any export is.
    fs::File::create(town.path("desk/.beads/z.jsonl"))
        .and_then(|file| file.set_len(65 * 1024 * 1024))
        .unwrap();
    town.commit_all("odd");
    town.at_desk(&["push", "-q", "origin", "HEAD:refs/heads/main"]);

    let orders = Orders::Beads(Box::new(town.beads_orders("one")));
    let (code, report) = start::<BeadsReport>("beads", &orders, &town.path("."));
    let read = BeadsRead {
        issues: 2,
        open: 2,
        broken: 3,
        unread: 1,
        ..BeadsRead::default()
    };
    assert_eq!((code, report.outcome), (Some(0), BeadsOutcome::Read(read)));
}

/// A server may give whole branches and nothing else.
#[tokio::test]
async fn a_server_that_gives_no_single_files_is_read_as_well() {
    let town = Town::new();
    let commit = town.outsider(".beads/issues.jsonl", EXPORT);
    town.at_remote(&["config", "uploadpack.allowFilter", "true"]);
    let refuses = "case $a in fetch) fetching=1 ;; esac
        if [ \"$fetching\" ] && [ ${#a} = 40 ]; then echo \"fatal: remote error: upload-pack: not our ref $a\" >&2; exit 128; fi";
    let git = town.git_that(refuses).await;
    let mut orders = town.beads_orders("one");
    // A path is copied from, not asked.
    orders.remote.url = format!("file://{}", orders.remote.url);
    let report = read(&git, &orders).await;
    assert!(
        matches!(report.outcome, BeadsOutcome::Read(BeadsRead { issues: 3, .. })),
        "{report:?}"
    );
    assert_eq!(report.commit, commit);
}
