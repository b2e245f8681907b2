//! A polecat's pod as plain processes on a real remote: what ends well, and what comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::fs;

use gastown_wire::*;
use town::*;

#[test]
fn a_task_becomes_a_pushed_branch_and_a_report() {
    let town = Town::new();
    let main = town.tip("refs/heads/main");
    let pod = town.pod(GOOD);
    let (code, report) = pod.clone_step();
    assert_eq!(
        (code, report.outcome),
        (0, CloneOutcome::Ready { commits: 0, dirty: 0 }),
        "{}",
        pod.logs()
    );
    assert_eq!(town.record()["outcome"], "working");
    assert_eq!(town.work(), "", "no branch before there is work");

    let report = pod.up().report();

    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    assert_eq!(report.commit, town.work());
    assert_eq!(
        (report.base.as_str(), report.commits, report.branch.as_str()),
        (main.as_str(), 1, WORK)
    );
    assert_eq!((report.round, report.attempt, report.version), (1, 1, VERSION));
    assert_eq!(git(&town.remote, &["show", &format!("{WORK}:b.txt")]), "new");
    assert_eq!(
        git(&town.remote, &["log", "-1", "--format=%an <%ae>", WORK]),
        "Gas Town Polecat <polecat@gastown.io>"
    );
    let record = town.record();
    assert_eq!(
        (&record["outcome"], &record["commit"]),
        (&"done".into(), &report.commit.clone().into())
    );
    assert_eq!(record["owner"], "rig-1", "whose landings may sweep it");
    assert_eq!(town.tip("refs/heads/main"), main, "main is nobody's business here");
    assert!(pod.path("shared/bin/gastown-harness").is_file());
}

#[test]
fn the_agent_reads_its_task_byte_for_byte() {
    let town = Town::new();
    let mut task = String::from("say \"hi\" & 'bye' $(touch owned) `id` \\n \t 🦀🦀\r\n-- --help\n");
    while task.len() < 64 * 1024 {
        task.push_str("строка «δ» $HOME %s\\\n");
    }
    let mut pod = town.pod(
        "cat > stdin.txt; cp \"$GASTOWN_TASK_FILE\" file.txt; printf %s \"$GT_TASK_DESCRIPTION\" > env.txt
         test -z \"${GASTOWN_ORDERS-}${GASTOWN_POD_UID-}${GASTOWN_EVIDENCE_FILE-}\"
         echo \"$GASTOWN_ROUND $GASTOWN_ATTEMPT $GASTOWN_BRANCH $GT_ISSUE $GT_POLECAT $GT_RIG\" > names.txt
         git add -A; git commit -qm task",
    );
    pod.orders.task = Text::Inline(task.clone());
    assert_eq!(pod.all().outcome, CourierOutcome::Done, "{}", pod.logs());
    for copy in ["stdin.txt", "file.txt"] {
        assert!(
            fs::read(pod.workspace().join(copy)).unwrap() == task.as_bytes(),
            "{copy} differs"
        );
    }
    // The kernel has no room for it beside the rest only above 100 KB.
    assert!(
        fs::read(pod.workspace().join("env.txt")).unwrap() == task.as_bytes(),
        "env.txt differs"
    );
    assert_eq!(
        fs::read_to_string(pod.workspace().join("names.txt")).unwrap(),
        format!("1 1 {WORK} mp-1 nux parts\n")
    );
    assert!(!pod.workspace().join("owned").exists());
}

/// A convoy's polecat is told only its bead; what that says stands in the repository.
#[test]
fn a_task_that_is_only_a_bead_is_what_the_repository_says_of_it() {
    let town = Town::new();
    let export = r#"{"id":"mp-2","title":"Another","description":"Not this."}
{"id":"mp-1","title":"Add $(x) b.txt","description":"It holds \"new\".","acceptance_criteria":"- there"}
"#;
    let told = |of_bead: bool, bead: Option<&str>| {
        let mut pod = town.pod(GOOD);
        pod.orders.task_of_bead = of_bead;
        pod.orders.subject.bead = bead.map(str::to_owned);
        assert_eq!(pod.clone_step().0, 0, "{}", pod.logs());
        fs::read_to_string(pod.path("shared/task.md")).unwrap()
    };
    assert_eq!(
        told(true, Some("mp-1")),
        "Add b.txt\n",
        "no export: it is told what is known"
    );
    town.land("beads", &[(".beads/issues.jsonl", export)]);
    let whole = "mp-1: Add $(x) b.txt\n\nIt holds \"new\".\n\n## Acceptance criteria\n\n- there\n";
    assert_eq!(told(true, Some("mp-1")), whole);
    assert_eq!(told(false, Some("mp-1")), "Add b.txt\n", "what a person said counts");
    assert_eq!(told(true, Some("mp-3")), "Add b.txt\n");
}

#[test]
fn a_task_in_a_file_is_read_from_there() {
    let town = Town::new();
    let mut pod = town.pod("cat > b.txt; git add -A; git commit -qm b");
    fs::write(pod.path("task"), b"long\xff\n").unwrap();
    pod.orders.task = Text::File(pod.path("task").display().to_string());
    assert_eq!(pod.all().outcome, CourierOutcome::Done, "{}", pod.logs());
    assert_eq!(fs::read(pod.workspace().join("b.txt")).unwrap(), b"long\xff\n");
}

#[test]
fn what_is_committed_is_on_the_remote_while_the_agent_works() {
    let town = Town::new();
    let pod = town.pod("echo 1 > b.txt; git add -A; git commit -qm one; until [ -e go ]; do sleep 0.05; done; rm go; echo 2 > b.txt; git commit -qam two");
    let up = pod.cloned().up();
    until("the first commit is pushed", || !town.work().is_empty());
    assert_eq!(town.record()["outcome"], "working");
    assert_eq!(pod.ready(), 0);
    fs::write(pod.workspace().join("go"), "").unwrap();
    let report = up.report();
    assert_eq!((report.outcome, report.commits), (CourierOutcome::Done, 2));
}

/// A shell makes the file first and writes to it after.
fn wrote(pod: &Pod, text: &str) -> bool {
    fs::read_to_string(pod.workspace().join("b.txt")).is_ok_and(|t| t == text)
}

#[test]
fn a_container_that_died_starts_again_in_the_same_workspace() {
    let town = Town::new();
    let pod = town.pod(
        "if [ -e ../seen ]; then git add -A; git commit -qm 'went on'; exit 0; fi
         touch ../seen; echo unfinished > b.txt; until false; do sleep 1; done",
    );
    let mut up = pod.cloned().up();
    until("the agent works", || wrote(&pod, "unfinished\n"));
    // The kernel kills the agent's container, whole.
    kill_tree(up.run.id());
    up.run.wait().unwrap();
    up.run = pod.up_run();
    let report = up.report();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 1),
        "{}",
        pod.logs()
    );
    assert_eq!(git(&town.remote, &["show", &format!("{WORK}:b.txt")]), "unfinished");
}

#[test]
fn courier_may_die_too() {
    let town = Town::new();
    let pod = town.pod(&format!(
        "touch ../started; until [ -e ../go ]; do sleep 0.05; done; {GOOD}"
    ));
    let mut up = pod.cloned().up();
    until("the agent works", || pod.path("work/started").exists());
    up.courier.kill().unwrap();
    up.courier.wait().unwrap();
    up.courier = pod.up_courier();
    fs::write(pod.path("work/go"), "").unwrap();
    assert_eq!(up.report().outcome, CourierOutcome::Done, "{}", pod.logs());
}

#[test]
fn a_reboot_of_the_node_starts_every_container_again_in_the_same_volumes() {
    let town = Town::new();
    let pod = town.pod("if [ -e ../seen ]; then git add -A; git commit -qm b; exit 0; fi; touch ../seen; echo x > b.txt; until false; do sleep 1; done");
    let up = pod.cloned().up();
    until("the agent works", || wrote(&pod, "x\n"));
    up.lost();
    let before = town.tip(&record_ref(UID));
    // Same pod UID, same attempt: the work tree is as it was left, and the record was not taken a second time.
    pod.cloned();
    assert_eq!(town.tip(&record_ref(UID)), before);
    assert!(wrote(&pod, "x\n"));
    assert_eq!(pod.up().report().outcome, CourierOutcome::Done, "{}", pod.logs());
}

/// Commits twice, leaves one file uncommitted, and never ends.
const LOSES: &str = "echo 1 > b.txt; git add -A; git commit -qm one; echo 2 > b.txt; git commit -qam two
    echo 'half a thought' > draft.txt; rm README.md; echo secret > .env; echo x > y.ignored; until false; do sleep 1; done";

#[test]
fn a_lost_pod_is_resumed_with_its_commits_and_its_uncommitted_files() {
    let town = Town::new();
    let first = town.pod(LOSES);
    let up = first.cloned().up();
    until("everything is carried", || {
        let snapshot = snapshot_ref(UID);
        let (drafted, _) = try_git(&town.remote, &["cat-file", "-e", &format!("{snapshot}:draft.txt")]);
        let (kept, _) = try_git(&town.remote, &["cat-file", "-e", &format!("{snapshot}:README.md")]);
        let (recorded, record) = try_git(&town.remote, &["show", &format!("{}:record.json", record_ref(UID))]);
        drafted && !kept && recorded && record.contains(&town.tip(&snapshot))
    });
    up.lost();
    drop(first);

    let second = town.attempt(
        1,
        2,
        "test -e draft.txt; test ! -e README.md; git add -A; git commit -qm three",
    );
    let (code, report) = second.clone_step();
    assert_eq!(code, 0, "{}", second.logs());
    assert_eq!(
        report.outcome,
        CloneOutcome::Ready { commits: 2, dirty: 2 },
        "{}",
        second.logs()
    );
    assert!(
        !second.workspace().join("y.ignored").exists(),
        "ignored files are not kept"
    );
    assert!(
        !second.workspace().join(".env").exists(),
        "what looks like a secret is not kept"
    );
    let report = second.up().report();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 3),
        "{}",
        second.logs()
    );
    assert_eq!(
        git(&town.remote, &["show", &format!("{WORK}:draft.txt")]),
        "half a thought"
    );
}

#[test]
fn where_the_record_keeps_commits_only_no_uncommitted_file_leaves_the_pod() {
    let town = Town::new();
    let mut pod = town.pod("echo 1 > b.txt; git add -A; git commit -qm one; echo private > draft.txt; touch ../drafted; until [ -e ../go ]; do sleep 0.05; done; rm draft.txt");
    pod.orders.record = RecordLevel::Commits;
    let up = pod.cloned().up();
    until("the draft was seen by the snapshotter", || {
        try_git(
            &pod.workspace(),
            &["rev-parse", "--verify", "-q", "refs/gastown/snapshot"],
        )
        .0 && !town.work().is_empty()
    });
    fs::write(pod.path("work/go"), "").unwrap();
    assert_eq!(up.report().outcome, CourierOutcome::Done);
    assert_eq!(town.tip(&snapshot_ref(UID)), "");
    let objects = git(
        &town.remote,
        &["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"],
    );
    let draft = git(&pod.workspace(), &["hash-object", "--stdin-paths"]);
    assert!(draft.is_empty() && !objects.is_empty());
    assert!(!town.refs().contains("refs/gastown/work"));
}

/// Invariant 1: at most one pod of a polecat can push, whatever comes back.
#[test]
fn an_attempt_that_comes_back_is_fenced_and_writes_nothing() {
    let town = Town::new();
    let old = town.pod("until [ -e ../go ]; do sleep 0.05; done; echo old > b.txt; git add -A; git commit -qm old; until false; do sleep 1; done");
    let up = old.cloned().up();
    until("the old agent waits", || old.read("run.log").contains("started"));

    // Its node is thought dead: the next attempt takes the record and starts to work.
    let new = town.attempt(
        1,
        2,
        "echo new > b.txt; git add -A; git commit -qm new; until [ -e ../go ]; do sleep 0.05; done",
    );
    let new_up = new.cloned().up();
    until("the new attempt has pushed", || !town.work().is_empty());
    let work = town.work();

    fs::write(old.path("work/go"), "").unwrap();
    let (run, courier, report) = up.codes();
    assert_eq!((run, courier), (exit::FENCED, exit::FENCED), "{}", old.logs());
    assert_eq!(report.unwrap().outcome, CourierOutcome::Fenced);
    let stale = git(&old.workspace(), &["rev-parse", "HEAD"]);
    assert!(
        !try_git(&town.remote, &["cat-file", "-e", &stale]).0,
        "the old attempt wrote something"
    );
    assert_eq!((town.work(), town.record()["podUID"].clone()), (work, "pod-2".into()));

    // Nor can it start again, in whatever container.
    let (code, report) = old.clone_step();
    assert_eq!((code, report.outcome), (exit::FENCED, CloneOutcome::Fenced));
    let (run, courier, _) = old.up().codes();
    assert_eq!((run, courier), (exit::FENCED, exit::FENCED));

    fs::write(new.path("work/go"), "").unwrap();
    assert_eq!(new_up.report().outcome, CourierOutcome::Done, "{}", new.logs());
    assert_eq!(git(&town.remote, &["show", &format!("{WORK}:b.txt")]), "new");
}

#[test]
fn two_pods_of_one_attempt_cannot_both_hold_the_record() {
    let town = Town::new();
    let first = town.pod(GOOD);
    first.cloned();
    let mut twin = town.pod(GOOD);
    twin.uid = "pod-twin".into();
    let (code, report) = twin.clone_step();
    assert_eq!((code, report.outcome), (exit::FENCED, CloneOutcome::Fenced));
}

/// Invariant 3: finished work never runs twice.
#[test]
fn done_is_latched_for_its_round() {
    let town = Town::new();
    let done = town.pod(GOOD).all();
    let again = town.attempt(1, 2, "touch ../ran");
    let (code, report) = again.clone_step();
    assert_eq!(code, exit::ALREADY_DONE, "{}", again.logs());
    let expected = CloneOutcome::AlreadyDone {
        commit: done.commit,
        base: done.base,
        commits: 1,
    };
    assert_eq!(report.outcome, expected);
}

#[test]
fn courier_that_died_after_the_last_push_says_the_same_again() {
    let town = Town::new();
    let pod = town.pod(GOOD);
    let first = pod.all();
    fs::remove_file(pod.path("courier.report")).unwrap();
    let up = pod.up();
    let again = up.report();
    assert_eq!(
        (again.outcome, again.commit, again.base, again.commits),
        (first.outcome, first.commit, first.base, 1),
        "{}",
        pod.logs()
    );
}

#[test]
fn an_agent_may_amend_and_rebase_and_no_tip_is_lost() {
    let town = Town::new();
    let pod = town.pod("echo 1 > b.txt; git add -A; git commit -qm one; until [ -e ../go ]; do sleep 0.05; done; echo 2 > b.txt; git commit -q --amend -am better");
    let up = pod.cloned().up();
    until("the first tip is pushed", || !town.work().is_empty());
    let first = town.work();
    fs::write(pod.path("work/go"), "").unwrap();
    let report = up.report();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 1),
        "{}",
        pod.logs()
    );
    assert_ne!(report.commit, first);
    assert!(town.record_reaches(&first) && town.record_reaches(&report.commit));
}

#[test]
fn the_next_round_goes_on_where_the_last_one_ended() {
    let town = Town::new();
    let first = town
        .pod("printf 'one\nTWO\nthree\n' > a.txt; git commit -qam mine")
        .all();
    let theirs = town.land("theirs", &[("a.txt", "one\n2\nthree\n"), ("c.txt", "c\n")]);

    let mut second = town.attempt(
        2,
        2,
        "cp \"$GASTOWN_EVIDENCE_FILE\" ../evidence; test \"$(git rev-parse origin/main)\" = \"$(cat ../theirs)\"
         git rebase -q origin/main || { printf 'one\n2 TWO\nthree\n' > a.txt; git add a.txt; GIT_EDITOR=true git rebase --continue; }",
    );
    second.orders.evidence = Some(Evidence {
        kind: EvidenceKind::Conflict,
        paths: vec!["a.txt".into()],
        onto: Some(theirs.clone()),
        commit: Some(first.commit.clone()),
        test_command: Some("sh test.sh".into()),
        ..Evidence::default()
    });
    fs::write(second.path("work/theirs"), &theirs).unwrap();
    let report = second.all();
    assert_eq!(
        (&report.outcome, report.round, report.attempt),
        (&CourierOutcome::Done, 2, 2),
        "{}",
        second.logs()
    );
    assert_eq!((report.base, report.commits), (theirs, 1));
    assert_eq!(
        git(&town.remote, &["show", &format!("{WORK}:a.txt")]),
        "one\n2 TWO\nthree"
    );
    let evidence = second.read("work/evidence");
    for part in ["+TWO", "+2", "a.txt", "git rebase origin/main", "sh test.sh"] {
        assert!(evidence.contains(part), "{part} is missing in\n{evidence}");
    }
    assert!(!evidence.contains("c.txt"), "only what conflicts is shown\n{evidence}");
}

#[test]
fn a_round_that_changes_nothing_is_not_done() {
    let town = Town::new();
    let first = town.pod(GOOD).all();
    let mut second = town.attempt(2, 2, "true");
    second.orders.evidence = Some(Evidence {
        summary: "it failed".into(),
        commit: Some(first.commit.clone()),
        ..Evidence::default()
    });
    let report = second.all();
    assert_eq!(
        (report.outcome, report.commit),
        (CourierOutcome::NoChange, first.commit),
        "{}",
        second.logs()
    );
}

#[test]
fn a_nudge_reaches_the_agent() {
    let town = Town::new();
    let pod = town.pod(&format!(
        "until [ -e \"$GASTOWN_NUDGE_FILE\" ]; do sleep 0.05; done; cp \"$GASTOWN_NUDGE_FILE\" ../nudge; {GOOD}"
    ));
    let up = pod.cloned().up();
    until("the agent works", || pod.read("run.log").contains("started"));
    fs::write(pod.path("pod/annotations"), "gastown.io/nudge=\"look at \\\"b\\\"\"\n").unwrap();
    assert_eq!(up.report().outcome, CourierOutcome::Done);
    assert_eq!(pod.read("work/nudge").trim(), "look at \"b\"");
}

#[test]
fn a_pod_told_to_stop_pushes_what_there_is() {
    let town = Town::new();
    let pod = town.pod("echo 1 > b.txt; git add -A; git commit -qm one; trap 'echo late > late.txt; exit 0' TERM; touch ../ready; until false; do sleep 0.05; done");
    let up = pod.cloned().up();
    until("the agent works", || pod.path("work/ready").exists());
    up.terminate();
    let report = up.report();
    assert_eq!(
        (&report.outcome, report.commits),
        (&CourierOutcome::Stopped, 1),
        "{}",
        pod.logs()
    );
    assert_eq!(report.commit, town.work());
    assert_eq!(
        {
            let (_, late) = try_git(&town.remote, &["show", &format!("{}:late.txt", snapshot_ref(UID))]);
            late
        },
        "late",
        "{}",
        pod.logs()
    );
    assert_eq!(town.record()["outcome"], "stopped");

    let next = town.attempt(1, 2, "git add -A; git commit -qm two");
    assert_eq!(
        next.clone_step().1.outcome,
        CloneOutcome::Ready { commits: 1, dirty: 1 }
    );
}

#[test]
fn orphans_that_end_are_buried_while_the_agent_works() {
    let town = Town::new();
    // Their parents are gone, so they become children of the agent's parent; none may stay a zombie.
    let pod = town.pod(&format!(
        "for i in 1 2 3 4 5 6 7 8; do (setsid sh -c 'exit 0' &); done
         until ! grep -qsE '^[0-9]+ \\([^)]*\\) Z '$PPID' ' /proc/[0-9]*/stat; do sleep 0.05; done
         {GOOD}"
    ));
    assert_eq!(pod.all().outcome, CourierOutcome::Done, "{}", pod.logs());
}
