//! Agents that are tried again, forge, rewrite or mend; tasks that are hostile to whoever quotes them; long names.

use crate::checkout::{Checkout, condition, phase, until};
use gastown_api::PolecatPhase;
use serde_json::json;

/// Whether the town's repository holds that file: on a branch, or anywhere in a record. Each content is asked for by one name.
fn is_kept(checkout: &Checkout, file: &str) -> bool {
    let all = checkout.git_in(&checkout.bare(), &["rev-list", "--objects", "--all"]);
    all.lines().any(|object| object.ends_with(&format!(" {file}")))
}

/// Says done in every way it can think of, and fails.
const FORGER: &str = r#"
report='{"version":1,"round":1,"attempt":1,"outcome":"done","branch":"polecat/forger","base":"0123456789012345678901234567890123456789","commit":"0123456789012345678901234567890123456789","commits":1,"detail":""}'
echo "$report"; echo "$report" >&2
(echo "$report" > /dev/termination-log) || true
for file in /gastown/shared/report /gastown/shared/*; do test -d "$file" || (echo "$report" > "$file") || true; done
(echo "$report" > /gastown/courier/report) || true
exit 1
"#;

#[test]
fn failures_are_tried_again_then_said_and_nothing_is_lost() {
    let checkout = Checkout::up();
    checkout.rig(json!({ "retry": { "limit": 1, "backoffSeconds": 0 } }));
    checkout.sling("fails", "echo half > half-done; echo I give up; exit 3");
    checkout.sling("litters", "echo dirt > dirty-work");
    let stray = "git switch --quiet --create mine; echo far > strayed; git add strayed; git commit --quiet -m stray";
    checkout.sling("strays", stray);
    checkout.sling("forger", FORGER);
    // Told without a shell in between, the program itself is missing.
    let words = [
        "sling",
        ".",
        "-m",
        "x",
        "--name",
        "nobody",
        "--agent-command",
        "/no/such/agent",
    ];
    checkout.gastown(&words).ok();
    let cases = [
        ("fails", "AgentFailed", "exit code 3"),
        ("litters", "DirtyTree", "1 file uncommitted"),
        ("strays", "WrongBranch", "mine"),
        ("forger", "AgentFailed", "exit code 1"),
        ("nobody", "AgentMissing", "/no/such/agent"),
    ];
    for (name, reason, words) in cases {
        let (polecat, message) = checkout.stuck(name);
        let degraded = condition(&polecat, "Degraded");
        assert_eq!(degraded.0, reason, "{name}: {degraded:?}");
        assert!(message.contains(words), "{name}: {message}");
        let text = checkout.gastown(&["polecat", "status", name]).ok();
        assert!(
            text.contains("Next:") && text.contains(&format!("polecat logs {name}")),
            "{text}"
        );
    }
    let fails = checkout.find("fails").unwrap().status.unwrap();
    assert_eq!(fails.attempt, Some(2), "tried again once, and no more");
    assert!(
        checkout
            .gastown(&["polecat", "logs", "fails"])
            .ok()
            .contains("I give up")
    );
    assert_eq!(checkout.landed(), ["First"]);
    for file in ["half-done", "dirty-work", "strayed"] {
        assert!(is_kept(&checkout, file), "{file} is lost");
    }
    let taken = checkout
        .gastown(&["sling", ".", "-m", "x", "--name", "fails"])
        .failed(4);
    assert!(taken.contains("already"), "{taken}");
}

#[test]
fn a_second_attempt_finds_what_the_first_left() {
    let checkout = Checkout::up();
    checkout.rig(json!({ "retry": { "limit": 2, "backoffSeconds": 0 } }));
    checkout.sling(
        "second-wind",
        "if test -e lying; then
           cat lying >> README; rm lying; git add --all; git commit --quiet -m 'Second half'; exit 0
         fi
         echo committed >> README; git commit --quiet --all -m 'First half'
         echo lay about > lying; exit 1",
    );
    let polecat = checkout.lands("second-wind");
    assert_eq!(polecat.status.unwrap().attempt, Some(2));
    assert_eq!(checkout.on_main("README"), "parts\ncommitted\nlay about\n");
    assert_eq!(checkout.landed(), ["First", "First half", "Second half"]);
}

#[test]
fn every_tip_that_was_pushed_stays_though_the_agent_rewrites_it() {
    // Without isolation, so that the agent sees a file of the test: its sign to go on.
    let checkout = Checkout::up_unconfined();
    let go = checkout.path("go");
    // With two slashes it is no path of the pod, which a node without mount namespaces would rewrite.
    let sign = format!("/{}", go.display());
    checkout.sling(
        "rewriter",
        &format!(
            "for n in 1 2 3; do echo $n > f$n; git add f$n; git commit --quiet -m \"draft $n\"; done
             until test -e '{sign}'; do sleep 0.05; done
             git reset --quiet --soft HEAD~2; git commit --quiet --amend -m 'All of it'"
        ),
    );
    let subject = ["log", "--format=%s", "-1", "polecat/rewriter"];
    until("the push of the drafts", || {
        (checkout.try_git(&checkout.bare(), &subject).out == "draft 3\n").then_some(())
    });
    let draft = checkout.git_in(&checkout.bare(), &["rev-parse", "polecat/rewriter"]);
    std::fs::write(&go, "").unwrap();
    checkout.lands("rewriter");
    assert_eq!(checkout.landed(), ["First", "All of it"]);
    assert_eq!(checkout.on_main("f3"), "3\n");
    let holds = ["for-each-ref", "--contains", draft.trim(), "refs/gastown/"];
    assert!(
        !checkout.git_in(&checkout.bare(), &holds).is_empty(),
        "a tip that was pushed is lost"
    );
}

#[test]
fn a_task_reaches_its_agent_byte_for_byte() {
    for checkout in [Checkout::up(), Checkout::up_unconfined()] {
        let agent = r#"f="task-$GT_POLECAT"; cat > "$f"; cmp "$f" "$GASTOWN_TASK_FILE"; git add "$f"; git commit --quiet -m "$f""#;
        let tasks = [
            (
                "quotes",
                "it's \"quoted\" \\ and \\\\; $HOME `id` $(touch /tmp/x) ${x:?y} && exit 1 | # %s %n",
            ),
            (
                "lines",
                "first\n\n  second\r\n\tthird\n---\n{{ .x }}\n$(GASTOWN_ORDERS) $$(HOME) $(HOME) $$ \n",
            ),
            ("paths", "put it into /tmp/cache, /workspace/repo and \"/gastown/home\""),
            ("emoji", "füge 🦀 hinzu — «да» 日本語 \u{202e}rtl\u{202c} \u{7f} end"),
            ("json", r#"{"version":1,"outcome":"done"} --- apiVersion: v1"#),
            ("dashes", "--help -f /etc/passwd"),
            ("slashes", &"/".repeat(32 * 1024)),
        ];
        for (name, task) in tasks {
            let file = checkout.path(name);
            std::fs::write(&file, task).unwrap();
            let file = file.to_str().unwrap();
            let words = ["sling", ".", "--file", file, "--name", name, "--agent-command", agent];
            checkout.gastown(&words).ok();
        }
        for (name, task) in tasks {
            checkout.lands(name);
            assert_eq!(checkout.on_main(&format!("task-{name}")), task, "{name}");
        }
    }
}

#[test]
fn an_agent_finds_what_the_predecessors_agents_found() {
    let checkout = Checkout::up();
    let message = "--message\nwith 'lines' and $(things)";
    let agent = "cat > said; env | cut -d= -f1 | sort > names; git add said names; git commit --quiet -m said";
    let words = [
        "sling",
        "be-1",
        ".",
        "--message",
        message,
        "--name",
        "said",
        "--agent-command",
        agent,
    ];
    checkout.gastown(&words).ok();
    checkout.lands("said");
    assert_eq!(checkout.on_main("said"), message);
    let names = checkout.on_main("names");
    for name in [
        "GASTOWN_BRANCH",
        "GASTOWN_ROUND",
        "GASTOWN_TASK_FILE",
        "GT_POLECAT",
        "GT_RIG",
    ] {
        assert!(names.lines().any(|n| n == name), "{name} is not in {names}");
    }
}

#[test]
fn long_names_land_and_names_that_are_none_are_refused() {
    let checkout = Checkout::up();
    let bare = checkout.bare();
    checkout.git_in(&bare, &["branch", "side", "main"]);
    let (rig, polecat, bead) = ("r".repeat(63), "p".repeat(63), "b".repeat(63));
    let url = bare.to_str().unwrap();
    let words = [
        "rig",
        "create",
        &rig,
        "--git-url",
        url,
        "--prefix",
        "lo",
        "--test",
        "./test.sh",
    ];
    checkout
        .gastown(&[&words[..], &["--target-branch", "side"]].concat())
        .ok();
    let agent = "echo x > x; git add x; git commit --quiet -m long";
    let words = [
        "sling",
        &bead,
        &rig,
        "-m",
        "x",
        "--name",
        &polecat,
        "--agent-command",
        agent,
    ];
    checkout.gastown(&words).ok();
    checkout.lands(&polecat);
    assert_eq!(checkout.git_in(&bare, &["show", "side:x"]), "x\n");
    assert!(
        checkout
            .gastown(&["polecat", "logs", &polecat])
            .ok()
            .contains("round 1")
    );
    // More than a label holds.
    let longer = "long.".repeat(20) + "p";
    let agent = "echo y > y; git add y; git commit --quiet -m longer";
    let sling = |name: &str| checkout.gastown(&["sling", ".", "-m", "x", "--name", name, "--agent-command", agent]);
    sling(&longer).ok();
    checkout.lands(&longer);
    for bad in ["Nux", "n_x", &"n".repeat(254)] {
        let refused = sling(bad).failed(4);
        assert!(refused.contains("name"), "{refused}");
    }
}

#[test]
fn a_hand_back_is_mended_with_the_evidence() {
    let checkout = Checkout::up();
    checkout.rig(json!({ "testCommand": "if test -e BROKEN; then echo the part is broken, $$; exit 1; fi" }));
    checkout.sling(
        "mender",
        r#"if test "$GASTOWN_ROUND" = 2; then cp "$GASTOWN_EVIDENCE_FILE" evidence; git rm --quiet BROKEN; git add evidence
           else touch BROKEN; git add BROKEN; fi
           git commit --quiet -m "Round $GASTOWN_ROUND""#,
    );
    let polecat = checkout.lands("mender");
    let status = polecat.status.clone().unwrap();
    assert_eq!((phase(&polecat), status.round), (PolecatPhase::Done, Some(2)));
    let evidence = checkout.on_main("evidence");
    // The shell that ran the test put its number for `$$`: the command reached it as it was given.
    let said = |l: &str| {
        l.split_once("the part is broken, ")
            .is_some_and(|(_, n)| n.parse::<u32>().is_ok())
    };
    assert!(evidence.lines().any(said), "{evidence}");
    let text = checkout.gastown(&["polecat", "status", "mender"]).ok();
    assert!(
        text.contains("TestFailed") && text.contains("the part is broken"),
        "{text}"
    );
}
