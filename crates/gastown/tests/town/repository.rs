//! Repositories and tests that are missing, endless, or moved by somebody else.

use crate::checkout::{Checkout, condition, phase, until};
use gastown_api::PolecatPhase;
use serde_json::json;

/// Adds a file of its own.
fn adds(name: &str) -> String {
    format!("echo {name} > {name}; git add {name}; git commit --quiet -m 'Add {name}'")
}

#[test]
fn a_repository_or_branch_that_is_not_there_is_named() {
    let checkout = Checkout::up();
    let bare = checkout.bare();
    let gone = checkout.path("gone.git");
    let rigs = [
        ("gone", gone.to_str().unwrap(), "main"),
        ("closed", "https://127.0.0.1:1/nowhere.git", "main"),
        ("trunk", bare.to_str().unwrap(), "trunk"),
    ];
    for (rig, url, branch) in rigs {
        let words = [
            "rig",
            "create",
            rig,
            "--git-url",
            url,
            "--prefix",
            "ab",
            "--test",
            "true",
        ];
        checkout
            .gastown(&[&words[..], &["--target-branch", branch]].concat())
            .ok();
        let words = ["sling", rig, "-m", "x", "--name", rig, "--agent-command", "true"];
        checkout.gastown(&words).ok();
    }
    let (polecat, message) = checkout.stuck("trunk");
    assert_eq!(condition(&polecat, "Degraded").0, "BranchNotFound");
    assert!(message.contains("trunk"), "{message}");
    for (name, words) in [("gone", "gone.git"), ("closed", "could not reach the git remote")] {
        checkout.polecat(name, |p| {
            let message = p.status.clone().unwrap_or_default().message.unwrap_or_default();
            message.contains(words)
        });
    }
    // The rig says it as well.
    until("the word of the rig", || {
        let status = checkout.gastown(&["rig", "status", "closed"]).ok();
        (status.contains("Degraded") && status.contains("RemoteUnreachable")).then_some(())
    });
    // Whoever waits is told, too.
    let words = [
        "sling",
        "gone",
        "-m",
        "x",
        "--agent-command",
        "true",
        "--wait",
        "--timeout",
        "1s",
    ];
    assert!(checkout.gastown(&words).failed(5).contains("polecat status"));
    // The rig of the checkout does not care.
    checkout.sling("well", &adds("well"));
    checkout.lands("well");
}

/// With `--push`, what landed goes to the checkout's own remote as well, the way its owner's git goes there.
#[test]
fn what_landed_is_pushed_on_with_the_settings_of_whoever_runs_the_town() {
    let checkout = Checkout::new();
    let origin = checkout.path("origin.git");
    let origin = origin.to_str().unwrap();
    checkout.git(&["clone", "--quiet", "--bare", ".", origin]);
    checkout.git(&["remote", "add", "origin", "https://git.example.com/parts.git"]);
    let settings = format!("[url \"file://{origin}\"]\n\tinsteadOf = https://git.example.com/parts.git\n");
    std::fs::write(checkout.path("home").join(".gitconfig"), settings).unwrap();
    let nowhere = checkout.gastown(&checkout.up_args(&["--push", "upstream"]));
    assert!(nowhere.failed(2).contains("git remote -v"));
    checkout.gastown(&checkout.up_args(&["--detach", "--push"])).ok();
    checkout.sling("p1", &adds("p1"));
    checkout.lands("p1");
    until("the push to origin", || {
        let log = checkout.git(&["--git-dir", origin, "log", "--format=%s", "main"]);
        log.contains("Add p1").then_some(())
    });
}

#[test]
fn without_a_test_nothing_lands_and_with_one_it_does() {
    let checkout = Checkout::up();
    checkout.rig(json!({ "testCommand": null }));
    checkout.sling("p1", &adds("p1"));
    checkout.polecat("p1", |p| phase(p) == PolecatPhase::Done);
    until("the rig's word", || {
        let status = checkout.gastown(&["rig", "status", "."]).ok();
        (status.contains("NoTestCommand") && status.contains("testCommand")).then_some(())
    });
    assert_eq!(checkout.landed(), ["First"]);
    checkout.rig(json!({ "testCommand": "./test.sh" }));
    checkout.lands("p1");
}

#[test]
fn a_test_that_does_not_end_or_is_not_there_is_red() {
    let checkout = Checkout::up();
    let sleeper = format!("sleep 5{}", std::process::id());
    checkout.rig(json!({
        "testTimeoutSeconds": 3,
        "testCommand": format!("if test -e endless; then {sleeper}; fi; if test -e lost; then ./no-such-test; fi"),
    }));
    let mends = |file: &str| {
        format!(
            "if test \"$GASTOWN_ROUND\" = 1; then touch {file}; git add {file}; else git rm --quiet {file}; fi
             echo \"$GASTOWN_ROUND\" > {file}.round; git add {file}.round; git commit --quiet -m {file}"
        )
    };
    checkout.sling("endless", &mends("endless"));
    checkout.sling("lost", &mends("lost"));
    checkout.sling("good", &adds("good"));
    checkout.lands("good");
    for (name, words) in [("endless", "did not end"), ("lost", "no-such-test")] {
        let status = checkout.lands(name).status.unwrap();
        assert_eq!(status.round, Some(2), "{name}: {:?}", status.rounds);
        let evidence = status.rounds[0].evidence.clone().unwrap();
        let told = format!("{} {}", status.rounds[0].message, evidence.summary);
        assert!(told.contains(words), "{name}: {told}");
    }
    assert_eq!(checkout.processes(&sleeper), 0, "an endless test goes on");
}

#[test]
fn somebody_else_may_push_to_main_at_any_time() {
    let checkout = Checkout::up();
    let names = ["p1", "p2", "p3", "p4"];
    for name in names {
        checkout.sling(name, &adds(name));
    }
    let clone = checkout.path("outsider");
    let bare = checkout.bare();
    checkout.git(&["clone", "--quiet", bare.to_str().unwrap(), clone.to_str().unwrap()]);
    for (key, value) in [("user.name", "Outsider"), ("user.email", "out@example.com")] {
        checkout.git_in(&clone, &["config", key, value]);
    }
    // Push after push, in the middle of candidates, tests and landings.
    let mut pushed = Vec::new();
    for n in 0..12 {
        let file = format!("outside-{n}");
        std::fs::write(clone.join(&file), "x").unwrap();
        checkout.git_in(&clone, &["add", &file]);
        checkout.git_in(&clone, &["commit", "--quiet", "-m", &file]);
        until("the outsider's push", || {
            checkout.git_in(&clone, &["pull", "--quiet", "--rebase", "origin", "main"]);
            let push = checkout.try_git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
            (push.code == 0).then_some(())
        });
        pushed.push(file);
    }
    for name in names {
        checkout.lands(name);
        assert_eq!(checkout.on_main(name), format!("{name}\n"));
    }
    for file in &pushed {
        assert_eq!(checkout.on_main(file), "x", "the outsider's work is lost");
    }
    let reflog = checkout.git_in(&bare, &["reflog", "--format=%H", "main"]);
    let values: Vec<&str> = reflog.lines().collect();
    assert!(values.len() > pushed.len(), "{reflog}");
    for pair in values.windows(2) {
        let forward = checkout.try_git(&bare, &["merge-base", "--is-ancestor", pair[1], pair[0]]);
        assert_eq!(forward.code, 0, "main moved back from {} to {}", pair[1], pair[0]);
    }
}

#[test]
fn a_conflict_goes_back_with_both_sides_and_lands() {
    let checkout = Checkout::up();
    let agent = |name: &str| {
        format!(
            "if test \"$GASTOWN_ROUND\" = 2; then
               git reset --quiet --hard origin/main; cp \"$GASTOWN_EVIDENCE_FILE\" evidence; git add evidence
             fi
             echo {name} >> README; git commit --quiet --all -m 'Line of {name}'"
        )
    };
    // Nothing is tested before both are done.
    checkout.rig(json!({ "testCommand": null }));
    for name in ["p1", "p2"] {
        checkout.sling(name, &agent(name));
        checkout.polecat(name, |p| phase(p) == PolecatPhase::Done);
    }
    checkout.rig(json!({ "testCommand": "./test.sh" }));
    let mut rounds = ["p1", "p2"].map(|name| checkout.lands(name).status.unwrap().round.unwrap());
    rounds.sort_unstable();
    assert_eq!(rounds, [1, 2]);
    let readme = checkout.on_main("README");
    assert!(readme.contains("p1\n") && readme.contains("p2\n"), "{readme}");
    let evidence = checkout.on_main("evidence");
    assert!(evidence.contains("+p1") && evidence.contains("+p2"), "{evidence}");
}
