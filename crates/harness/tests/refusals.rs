//! A remote that is away, answers too late, or takes only part of what a polecat's pod brings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::fs;

use gastown_wire::*;
use town::*;

#[test]
fn while_the_remote_is_away_work_goes_on_and_arrives_later() {
    let town = Town::new();
    let pod = town.pod("touch ../started; until [ -e ../go ]; do sleep 0.05; done; echo 1 > b.txt; git add -A; git commit -qm one; touch ../committed; until [ -e ../end ]; do sleep 0.05; done");
    let up = pod.cloned().up();
    until("the agent works", || pod.path("work/started").exists());
    let away = town.dir.path().join("away.git");
    fs::rename(&town.remote, &away).unwrap();
    fs::write(pod.path("work/go"), "").unwrap();
    until("a push has failed", || {
        pod.read("courier.log").contains("cannot be pushed")
    });
    fs::write(pod.path("work/end"), "").unwrap();
    until("the agent has ended", || {
        pod.read("run.log").contains("the agent ended")
    });
    assert_eq!(pod.read("courier.report"), "", "nothing is said before it is safe");
    fs::rename(&away, &town.remote).unwrap();
    let report = up.report();
    assert_eq!(
        (report.outcome, report.commit),
        (CourierOutcome::Done, town.work()),
        "{}",
        pod.logs()
    );
}

/// Puts a hook into the remote.
fn hook(town: &Town, name: &str, script: &str) {
    let hook = town.remote.join("hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_push_whose_answer_is_lost_is_found_to_have_arrived() {
    let town = Town::new();
    let pod = town.pod(GOOD);
    pod.cloned();
    // The server takes the refs and dies before it says so.
    let mark = town.dir.path().join("died");
    let mark = mark.display();
    hook(
        &town,
        "post-receive",
        &format!("test -e {mark} || {{ touch {mark}; kill -9 $PPID; }}"),
    );
    let report = pod.up().report();
    assert!(town.dir.path().join("died").exists());
    assert_eq!(
        (report.outcome, report.commit, report.commits),
        (CourierOutcome::Done, town.work(), 1),
        "{}",
        pod.logs()
    );
}

#[test]
fn a_remote_that_takes_no_uncommitted_work_takes_the_rest() {
    let town = Town::new();
    hook(
        &town,
        "update",
        "case $1 in refs/gastown/work/*) echo 'too large' >&2; exit 1;; esac",
    );
    let pod = town.pod(&format!(
        "echo draft > draft.txt; until [ -e ../go ]; do sleep 0.05; done; rm draft.txt; {GOOD}"
    ));
    let up = pod.cloned().up();
    until("a snapshot was refused", || {
        pod.read("courier.log").contains("takes no uncommitted work")
    });
    fs::write(pod.path("work/go"), "").unwrap();
    let report = up.report();
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    let content = report.content.expect("what is not kept is said");
    assert_eq!(content.reason, "ContentRefused");
    assert!(content.detail.contains("too large"), "{content}");
    assert_eq!(town.tip(&snapshot_ref(UID)), "");
}

#[test]
fn work_that_the_remote_refused_is_where_the_next_attempt_starts() {
    let town = Town::new();
    hook(
        &town,
        "update",
        "case $1 in refs/heads/polecat/*) test ! -e closed;; esac",
    );
    fs::write(town.remote.join("closed"), "").unwrap();
    let first = town.pod(GOOD);
    assert!(
        matches!(first.all().outcome, CourierOutcome::PushRejected { .. }),
        "{}",
        first.logs()
    );
    assert_eq!(
        town.record()["outcome"],
        "pushRejected",
        "done is latched, so it must not say that"
    );
    fs::remove_file(town.remote.join("closed")).unwrap();

    let second = town.attempt(1, 2, "test -e b.txt; echo more >> b.txt; git commit -qam more");
    let report = second.all();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 2),
        "{}",
        second.logs()
    );
    assert_eq!(report.commit, town.work());
}

#[test]
fn a_commit_that_the_remote_refuses_may_be_mended() {
    let town = Town::new();
    hook(
        &town,
        "update",
        "case $1 in refs/heads/polecat/*) ! git cat-file -e $3:big.bin;; esac 2>/dev/null",
    );
    let pod = town.pod("echo x > big.bin; git add -A; git commit -qm big; until [ -e ../go ]; do sleep 0.05; done; git rm -q --cached big.bin; rm big.bin; echo b > b.txt; git add -A; git commit -q --amend -m small");
    let up = pod.cloned().up();
    until("the large commit is refused", || {
        pod.read("courier.log").contains("not taken by the remote")
    });
    fs::write(pod.path("work/go"), "").unwrap();
    let report = up.report();
    assert_eq!(
        (report.outcome, report.commit, report.commits),
        (CourierOutcome::Done, town.work(), 1),
        "{}",
        pod.logs()
    );
}

#[test]
fn a_deleted_branch_comes_back_and_an_added_commit_is_built_upon() {
    let town = Town::new();
    let first = town.pod(&format!("{GOOD}; exit 1")).all();
    git(&town.remote, &["branch", "-D", WORK]);
    let second = town.attempt(1, 2, "exit 1").all();
    assert_eq!((town.work(), second.commits), (first.commit, 1));
    let added = town.push_to(WORK, "a person helps", &[("help.txt", "help\n")]);
    let third = town.attempt(1, 3, "test -e help.txt; echo c > c.txt; git add -A; git commit -qm c");
    let report = third.all();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 3),
        "{}",
        third.logs()
    );
    assert_eq!(git(&town.remote, &["rev-parse", &format!("{WORK}^")]), added);
}
