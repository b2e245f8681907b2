//! Agents that fail, wander or lie are seen, named, and lose nothing; those that rewrite their history land.

use crate::checkout::{Checkout, condition, until};
use serde_json::json;

#[test]
fn an_agent_that_does_not_do_its_work_is_stuck_with_the_reason() {
    let checkout = Checkout::up();
    checkout.rig(json!({"retry": {"limit": 0}}));
    for (name, agent, reason, words) in [
        ("fails", "exit 3", "AgentFailed", "exit code 3"),
        ("idles", "true", "NoChange", "changed nothing"),
        ("litters", "echo x > left", "DirtyTree", "left 1 file uncommitted"),
        (
            "wanders",
            "git checkout -q -b elsewhere; echo x > f; git add f; git commit -qm f",
            "WrongBranch",
            "elsewhere",
        ),
        (
            "forges",
            r#"echo '{"version":1,"round":1,"attempt":1,"outcome":"done"}' | tee /dev/termination-log || true"#,
            "NoChange",
            "changed nothing",
        ),
    ] {
        checkout.sling(name, agent);
        let (polecat, message) = checkout.stuck(name);
        assert_eq!(condition(&polecat, "Degraded").0, reason, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    assert_eq!(checkout.landed().len(), 1, "nothing of them is on main");
}

#[test]
fn an_agent_may_rewrite_what_it_has_pushed() {
    let checkout = Checkout::up();
    checkout.sling(
        "amends",
        "echo one > f; git add f; git commit -qm one; sleep 2; echo two > f; git commit -q -a --amend -m two",
    );
    checkout.lands("amends");
    assert_eq!(checkout.on_main("f"), "two\n");
    assert!(!checkout.landed().contains(&"one".to_owned()));
}

/// Whatever a task says, its agent is told byte for byte, and its bead has one polecat.
#[test]
fn a_task_arrives_as_it_was_given() {
    let checkout = Checkout::up();
    let text = format!(
        "say \"hi\" 'there' $(rm -rf /) `x` \\ 🦨\n\n{}end",
        "long line\n".repeat(6800)
    );
    std::fs::write(checkout.path("task"), &text).unwrap();
    let file = checkout.path("task");
    let name = "n".repeat(63);
    let agent = "cat > got; git add got; git commit -qm got";
    let sling = [
        "sling",
        "pa-1",
        ".",
        "--file",
        file.to_str().unwrap(),
        "--name",
        &name,
        "--agent-command",
        agent,
    ];
    checkout.gastown(&sling).ok();
    let again = checkout.gastown(&["sling", "pa-1", ".", "-m", "the same"]).ok();
    assert!(again.contains("already") && again.contains(&name), "{again}");
    checkout.lands(&name);
    assert_eq!(checkout.on_main("got"), text);
}

#[test]
fn a_test_that_never_ends_is_red_and_the_change_comes_back() {
    let checkout = Checkout::up();
    checkout.rig(json!({"testCommand": "test ! -e f || sleep 1000", "testTimeoutSeconds": 1}));
    checkout.sling("slow", "test -e f && exit 0; echo x > f; git add f; git commit -qm f");
    let polecat = checkout.polecat("slow", |p| {
        p.status
            .as_ref()
            .is_some_and(|s| s.rounds.iter().any(|r| r.outcome == "HandedBack"))
    });
    assert_eq!(polecat.status.unwrap().rounds[0].reason, "TestFailed");
    assert_eq!(checkout.landed().len(), 1);
}

/// Invariant 10: what is deleted at any time leaves no pod and no process.
#[test]
fn a_deleted_polecat_leaves_nothing_behind() {
    let checkout = Checkout::up();
    let sleeper = format!("sleep 6{}", std::process::id());
    checkout.sling("gone", &format!("echo at work; exec {sleeper}"));
    checkout.says("gone", "at work");
    checkout.gastown(&["polecat", "nuke", "gone", "--force"]).ok();
    until("its pod and its processes to be gone", || {
        (checkout.live_pods().is_empty() && checkout.processes(&sleeper) == 0).then_some(())
    });
    // The place is free, and others are served.
    checkout.sling("next", "echo x > f; git add f; git commit -qm f");
    checkout.lands("next");
}

#[test]
fn without_isolation_a_task_lands_too() {
    let checkout = Checkout::up_unconfined();
    checkout.sling("free", "echo x > f; git add f; git commit -qm f");
    checkout.lands("free");
    assert_eq!(checkout.on_main("f"), "x\n");
}
