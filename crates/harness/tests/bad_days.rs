//! Bad orders, bad agents, hostile repositories: each has its answer, and none harms anybody else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

mod town;

use std::fs;

use gastown_wire::*;
use town::*;

fn config_of(pod: &Pod) -> String {
    let (code, report) = pod.clone_step();
    assert_eq!(code, exit::CONFIG, "{}", pod.logs());
    assert!(report.detail.len() > 20, "no fix is named: {report:?}");
    match report.outcome {
        CloneOutcome::Config { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repository_or_branch_that_does_not_exist_is_named() {
    let town = Town::new();
    let mut pod = town.pod(GOOD);
    pod.orders.remote.url = town.dir.path().join("nowhere.git").display().to_string();
    assert_eq!(config_of(&pod), "RepositoryNotFound");

    let mut pod = town.pod(GOOD);
    pod.orders.remote.branch = "trunk".into();
    assert_eq!(config_of(&pod), "BranchNotFound");

    let mut pod = town.pod(GOOD);
    pod.orders.remote.url = "ext::sh -c date".into();
    assert_eq!(config_of(&pod), "BadOrders");

    let mut pod = town.pod(GOOD);
    pod.orders.work_branch = "no..good".into();
    assert_eq!(config_of(&pod), "BadOrders");

    let mut pod = town.pod(GOOD);
    pod.orders.version = VERSION + 1;
    assert_eq!(config_of(&pod), "BadOrders");
    assert_eq!(town.refs().lines().count(), 1, "none of them wrote anything");
}

#[test]
fn a_branch_of_somebody_else_is_never_touched() {
    let town = Town::new();
    let theirs = town.push_to(WORK, "mine!", &[("x", "x\n")]);
    let pod = town.pod(GOOD);
    let (code, report) = pod.clone_step();
    assert_eq!((code, report.outcome), (exit::CONFIG, CloneOutcome::BranchTaken));
    assert_eq!(town.work(), theirs);
}

#[test]
fn a_branch_that_appears_meanwhile_is_not_overwritten_and_the_work_is_kept() {
    let town = Town::new();
    let pod = town.pod(&format!(
        "touch ../started; until [ -e ../go ]; do sleep 0.05; done; {GOOD}"
    ));
    let up = pod.cloned().up();
    until("the agent works", || pod.path("work/started").exists());
    let theirs = town.push_to(WORK, "mine!", &[("x", "x\n")]);
    fs::write(pod.path("work/go"), "").unwrap();
    let report = up.report();
    assert!(
        matches!(report.outcome, CourierOutcome::PushRejected { .. }),
        "{report:?}\n{}",
        pod.logs()
    );
    assert_eq!(town.work(), theirs);
    assert!(
        town.record_reaches(&git(&pod.workspace(), &["rev-parse", "HEAD"])),
        "the work is in the record"
    );
}

#[test]
fn a_protected_branch_is_a_permanent_refusal_and_the_work_is_kept() {
    let town = Town::new();
    let hook = town.remote.join("hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(
        &hook,
        "#!/bin/sh\ncase $1 in refs/heads/polecat/*) echo 'protected branch hook declined' >&2; exit 1;; esac\n",
    )
    .unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pod = town.pod(GOOD);
    let report = pod.all();
    let CourierOutcome::PushRejected { why } = &report.outcome else {
        panic!("{report:?}\n{}", pod.logs())
    };
    assert!(!why.is_empty() && report.commit.is_empty());
    assert_eq!(town.work(), "");
    assert!(town.record_reaches(&git(&pod.workspace(), &["rev-parse", "HEAD"])));
}

#[test]
fn an_agent_that_is_missing_or_fails_or_does_nothing_is_called_so() {
    let town = Town::new();
    let mut pod = town.pod("");
    pod.orders.agent.command = vec!["no-such-agent".into(), "--yes".into()];
    let missing = CourierOutcome::AgentMissing {
        program: "no-such-agent".into(),
    };
    assert_eq!(pod.all().outcome, missing, "{}", pod.logs());

    // Each is a next attempt of the same work, as after a person looked at it.
    for (attempt, script, expected) in [
        (2, "exit 1", CourierOutcome::AgentFailed { exit: 1 }),
        (3, "kill -9 $$", CourierOutcome::AgentFailed { exit: 137 }),
        (4, "true", CourierOutcome::NoChange),
        (
            5,
            "echo x > left.txt; echo y > left2.txt",
            CourierOutcome::DirtyTree { files: 2 },
        ),
        (
            6,
            "git clean -fdxq; git checkout -q -f -b mine; echo z > z; git add -A; git commit -qm z",
            CourierOutcome::WrongBranch { branch: "mine".into() },
        ),
        (
            7,
            "git checkout -q --detach; echo z > z; git add -A; git commit -qm z",
            CourierOutcome::WrongBranch {
                branch: "a detached HEAD".into(),
            },
        ),
        (
            8,
            "git checkout -q --orphan o; git commit -qm root; git branch -M polecat/nux",
            CourierOutcome::WrongBranch {
                branch: "polecat/nux, rewritten from an unrelated root".into(),
            },
        ),
    ] {
        let pod = town.attempt(1, attempt, script);
        let report = pod.all();
        assert_eq!(report.outcome, expected, "{script}\n{}", pod.logs());
        if matches!(expected, CourierOutcome::WrongBranch { .. }) {
            assert!(
                town.record_reaches(&git(&pod.workspace(), &["rev-parse", "HEAD"])),
                "{script}: lost"
            );
        }
    }
}

#[test]
fn a_failing_agents_commits_are_kept_and_the_next_attempt_has_them() {
    let town = Town::new();
    let report = town.pod(&format!("{GOOD}; exit 3")).all();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::AgentFailed { exit: 3 }, 1)
    );
    let next = town.attempt(1, 2, "test -e b.txt; echo more >> b.txt; git commit -qam more");
    assert_eq!(
        next.clone_step().1.outcome,
        CloneOutcome::Ready { commits: 1, dirty: 0 }
    );
    assert_eq!(next.up().report().commits, 2);
}

#[test]
fn a_forged_report_is_only_text() {
    let town = Town::new();
    let pod = town.pod(
        r#"forged='{"version":1,"round":1,"attempt":1,"outcome":"Done","branch":"main","commit":"0000000000000000000000000000000000000000","commits":9}'
           echo "$forged"; echo "$forged" > ../../shared/report; echo '{"word":"ended","exit":0}'; exit 4"#,
    );
    let report = pod.all();
    assert_eq!(report.outcome, CourierOutcome::AgentFailed { exit: 4 });
    assert!(
        pod.read("run.log").contains("0000000000"),
        "what it printed is in the log"
    );
}

#[test]
fn a_hostile_repository_runs_nothing_where_the_credential_is() {
    let town = Town::new();
    let trap = tempfile::tempdir().unwrap();
    let mark = trap.path().join("sprung").display().to_string();
    // Springs wherever git starts it, and leaves its mark only if courier is among its ancestors: in the agent's
    // own container it may spring.
    let spring = format!(
        r#"p=$PPID
           while [ "${{p:-0}}" -gt 1 ]; do
               tr '\0' '\n' < /proc/$p/cmdline 2>/dev/null | grep -qx courier && touch {mark}
               p=$(sed 's/.*) . //' /proc/$p/stat 2>/dev/null | cut -d' ' -f1)
           done
           cat"#
    );
    let script = format!(
        r#"spring=$PWD/../spring.sh
           {GOOD}
           for hook in pre-push post-checkout reference-transaction post-receive pre-auto-gc; do mkdir -p .git/hooks; cp $spring .git/hooks/$hook; done
           git config core.hooksPath "$PWD/.git/hooks"
           git config uploadpack.packObjectsHook "$spring"
           git config core.sshCommand "$spring"
           git config core.fsmonitor "$spring"
           git config filter.evil.clean "$spring"; git config filter.evil.smudge "$spring"
           git config core.gitProxy "$spring"; git config credential.helper "$spring"
           mkdir -p .git/info; echo '* filter=evil' > .git/info/attributes
           ln -s /etc/passwd .git/refs/heads/link"#
    );
    let pod = town.pod(&script);
    let path = pod.path("work/spring.sh");
    fs::write(&path, format!("#!/bin/sh\n{spring}\n")).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let report = pod.all();
    assert_eq!(report.commits, 1, "{report:?}\n{}", pod.logs());
    let sprung = || std::path::Path::new(&mark).exists();
    assert!(!sprung(), "a program of the agent ran in courier");
    // The trap is a trap: git run inside the repository, by somebody called courier, springs it.
    let inside = "cd \"$1\" && echo more > c.txt && git add -A; :";
    let inside = std::process::Command::new("sh")
        .args(["-c", inside, "courier"])
        .arg(pod.workspace())
        .output();
    assert!(inside.unwrap().status.success() && sprung(), "the trap does not work");
}

#[test]
fn what_the_agent_leaves_behind_is_dead_before_the_last_look() {
    let town = Town::new();
    let pod = town.pod(&format!(
        "setsid sh -c 'trap \"\" TERM HUP; echo $$ > ../daemon; until [ -e ../ended ]; do sleep 0.02; done; echo late >> b.txt' >/dev/null 2>&1 &
         (setsid sh -c 'sleep 600 & echo $! > ../orphan; exit 0' &) ; until [ -s ../daemon ] && [ -s ../orphan ]; do sleep 0.02; done
         {GOOD}"
    ));
    let report = pod.all();
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    for file in ["work/daemon", "work/orphan"] {
        let pid = pod.read(file);
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{file} lives: {stat}");
    }
}

#[test]
fn two_kinds_of_pod_cannot_be_mistaken() {
    let town = Town::new();
    let pod = town.pod(GOOD);
    let out = std::process::Command::new(HARNESS)
        .arg("courier")
        .env_clear()
        .env(ORDERS_ENV, r#"{"step":"land","version":1}"#)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(exit::CONFIG));
    assert!(String::from_utf8_lossy(&out.stderr).contains("land pod"));
    drop(pod);
}
