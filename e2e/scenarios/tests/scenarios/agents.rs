//! Agents that fail, wander, forge or rewrite: seen, named, and nothing of theirs is lost.

use crate::scene::{Scene, condition};
use serde_json::json;

/// Whether the repository holds that file: on a branch, or anywhere in a record. Each content is asked for by one name.
fn is_kept(scene: &Scene, file: &str) -> bool {
    let all = scene.git(&["rev-list", "--objects", "--all"]);
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

pub(crate) fn failures_are_tried_again_then_said_and_nothing_is_lost(scene: &Scene) {
    scene.rig(json!({ "retry": { "limit": 1, "backoffSeconds": 0 } }));
    scene.sling("fails", "echo half > half-done; echo I give up; exit 3");
    scene.sling("idles", "true");
    scene.sling("litters", "echo dirt > dirty-work");
    let stray = "git switch --quiet --create mine; echo far > strayed; git add strayed; git commit --quiet -m stray";
    scene.sling("strays", stray);
    scene.sling("forger", FORGER);
    scene.sling("liar", &FORGER.replace("exit 1", "exit 0"));
    // Told without a shell in between, the program itself is missing.
    let words = [
        "sling",
        &scene.name,
        "-m",
        "x",
        "--name",
        "nobody",
        "--agent-command",
        "/no/such/agent",
    ];
    scene.gt(&words).ok();
    let cases = [
        ("fails", "AgentFailed", "exit code 3"),
        ("idles", "NoChange", "changed nothing"),
        ("litters", "DirtyTree", "1 file uncommitted"),
        ("strays", "WrongBranch", "mine"),
        ("forger", "AgentFailed", "exit code 1"),
        ("liar", "NoChange", "changed nothing"),
        ("nobody", "AgentMissing", "/no/such/agent"),
    ];
    for (name, reason, words) in cases {
        let (polecat, message) = scene.stuck(name);
        let degraded = condition(&polecat, "Degraded");
        assert_eq!(degraded.0, reason, "{name}: {degraded:?}");
        assert!(message.contains(words), "{name}: {message}");
        let text = scene.gt(&["polecat", "status", name]).ok();
        assert!(
            text.contains("Next:") && text.contains(&format!("polecat logs {name}")),
            "{text}"
        );
    }
    let fails = scene.find("fails").unwrap().status.unwrap();
    assert_eq!(fails.attempt, Some(2), "tried again once, and no more");
    let logs = scene.gt(&["polecat", "logs", "fails"]).ok();
    assert!(logs.contains("I give up"), "{logs}");
    assert_eq!(scene.landed(), ["First"]);
    for file in ["half-done", "dirty-work", "strayed"] {
        assert!(is_kept(scene, file), "{file} is lost");
    }
}

pub(crate) fn a_second_attempt_finds_what_the_first_left(scene: &Scene) {
    scene.rig(json!({ "retry": { "limit": 2, "backoffSeconds": 0 } }));
    scene.sling(
        "second-wind",
        "if test -e lying; then
           cat lying >> README; rm lying; git add --all; git commit --quiet -m 'Second half'; exit 0
         fi
         echo committed >> README; git commit --quiet --all -m 'First half'
         echo lay about > lying; exit 1",
    );
    let polecat = scene.lands("second-wind");
    assert_eq!(polecat.status.unwrap().attempt, Some(2));
    assert_eq!(scene.on_main("README"), "parts\ncommitted\nlay about\n");
    assert_eq!(scene.landed(), ["First", "First half", "Second half"]);
}

pub(crate) fn every_tip_that_was_pushed_stays_though_the_agent_rewrites_it(scene: &Scene) {
    scene.sling(
        "rewriter",
        "for n in 1 2 3; do echo $n > f$n; git add f$n; git commit --quiet -m \"draft $n\"; done
         await go
         git reset --quiet --soft HEAD~2; git commit --quiet --amend -m 'All of it'",
    );
    scene.until("the push of the drafts", || {
        scene.show("polecat/rewriter:f3").map(|f3| assert_eq!(f3, "3\n"))
    });
    let draft = scene.git(&["rev-parse", "polecat/rewriter"]);
    scene.raise("go");
    scene.lands("rewriter");
    assert_eq!(scene.landed(), ["First", "All of it"]);
    assert_eq!(scene.on_main("f3"), "3\n");
    let holds = ["for-each-ref", "--contains", draft.trim(), "refs/gastown/"];
    assert!(!scene.git(&holds).is_empty(), "a tip that was pushed is lost");
}

pub(crate) fn a_task_reaches_its_agent_byte_for_byte(scene: &Scene) {
    let agent = scene.agent(
        r#"f="task-$GT_POLECAT"; cat > "$f"; cmp "$f" "$GASTOWN_TASK_FILE"; git add "$f"; git commit --quiet -m "$f""#,
    );
    let tasks = [
        (
            "quotes",
            "it's \"quoted\" \\ and \\\\; $HOME `id` $(touch /tmp/x) ${x:?y} && exit 1 | # %s %n",
        ),
        (
            "lines",
            "first\n\n  second\r\n\tthird\n---\n{{ .x }}\n$(GASTOWN_ORDERS) $$(HOME) $(HOME) $$ \n",
        ),
        ("emoji", "füge 🦀 hinzu — «да» 日本語 \u{202e}rtl\u{202c} \u{7f} end"),
        ("dashes", "--help -f /etc/passwd"),
        ("slashes", &"/".repeat(66 * 1024)),
    ];
    for (name, task) in tasks {
        let file = scene.path(name);
        std::fs::write(&file, task).unwrap();
        let file = file.to_str().unwrap();
        let words = [
            "sling",
            &scene.name,
            "--file",
            file,
            "--name",
            name,
            "--agent-command",
            &agent,
        ];
        scene.gt(&words).ok();
    }
    for (name, task) in tasks {
        scene.lands(name);
        assert_eq!(scene.on_main(&format!("task-{name}")), task, "{name}");
    }
}

pub(crate) fn daemons_die_with_their_agent(scene: &Scene) {
    let sleeper = scene.sleeper();
    scene.sling(
        "parent",
        &format!(
            "(setsid nohup {sleeper} > /dev/null 2>&1 &)
             (trap '' TERM HUP INT; {sleeper}) > /dev/null 2>&1 &
             echo x > x; git add x; git commit --quiet -m x"
        ),
    );
    scene.lands("parent");
    scene.nothing_is_left(&sleeper);
}

pub(crate) fn an_agent_finds_what_the_predecessors_agents_found(scene: &Scene) {
    let message = "--message\nwith 'lines' and $(things)";
    let agent = "cat > said; env | cut -d= -f1 | sort > names; git add said names; git commit --quiet -m said";
    let words = ["sling", "be-1", &scene.name, "--message", message, "--name", "said"];
    scene.gt(&[&words[..], &["--agent-command", agent]].concat()).ok();
    scene.lands("said");
    assert_eq!(scene.on_main("said"), message);
    let names = scene.on_main("names");
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

/// A change lands whole: cloned, carried, tested and landed by pods of that user and group.
pub(crate) fn a_pod_runs_whole_as_whom_its_cluster_names(scene: &Scene) {
    let user = scene.backend.user().unwrap();
    let (uid, _) = user.split_once(' ').unwrap();
    let judge = format!(r#"test "$(id -u) $(id -g)" = "{user}" && test "$(cat who)" = "{user}""#);
    scene.rig(json!({ "testCommand": judge }));
    let agent = "say working; await seen\necho $(id -u) $(id -g) > who; git add who; git commit --quiet -m who";
    scene.sling("who", agent);
    scene.says("working");
    let pods = scene.live_pods();
    assert!(!pods.is_empty());
    for pod in pods {
        let spec = serde_json::to_value(pod.spec.unwrap()).unwrap();
        for kind in ["containers", "initContainers"] {
            for container in spec[kind].as_array().unwrap() {
                let own = &container["securityContext"]["runAsUser"];
                let named = if own.is_null() {
                    &spec["securityContext"]["runAsUser"]
                } else {
                    own
                };
                assert_eq!(named.to_string(), uid, "{container}");
                assert_eq!(container["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
            }
        }
    }
    scene.raise("seen");
    scene.lands("who");
    assert_eq!(scene.on_main("who").trim(), user);
}
