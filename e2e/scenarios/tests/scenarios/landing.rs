//! From a task to main.

use crate::programs::git;
use crate::scene::Scene;
use serde_json::json;

/// An agent that adds a file of that name, and once only: a later attempt finds what an earlier one committed.
pub(crate) fn adds(name: &str) -> String {
    format!(
        "echo {name} > {name}; git add {name}
         git diff --cached --quiet || git commit --quiet -m 'Add {name}'"
    )
}

/// Invariant 6: live pods never exceed the cap; and nobody is forgotten.
pub(crate) fn eight_tasks_land_under_a_cap_of_three(scene: &Scene) {
    scene.rig(json!({ "settings": { "maxPolecats": 3 } }));
    let names: Vec<String> = (1..=8).map(|n| format!("p{n}")).collect();
    for name in &names {
        scene.sling(name, &format!("say {name}; await go\n{}", adds(name)));
    }
    let said = || names.iter().filter(|n| scene.was_said(n)).count();
    scene.until("three of them to be at work", || (said() == 3).then_some(()));
    let queued = scene.gt(&["polecat", "list"]).ok();
    assert!(queued.contains("maxPolecats"), "who waits says for what: {queued}");
    assert_eq!(said(), 3);
    scene.raise("go");
    let polecat_pods = || {
        let pods = scene.live_pods();
        pods.iter()
            .filter(|p| p.metadata.namespace.as_deref() == Some(&scene.name))
            .count()
    };
    for name in &names {
        scene.polecat(name, |p| {
            let live = polecat_pods();
            assert!(live <= 3, "{live} pods at once");
            p.status.as_ref().is_some_and(|s| s.merged_commit.is_some())
        });
        assert_eq!(scene.on_main(name), format!("{name}\n"));
    }
    assert_eq!(scene.landed().len(), 9);
    scene.nothing_is_left("no such word");
}

pub(crate) fn somebody_else_may_push_to_main_at_any_time(scene: &Scene) {
    let names = ["p1", "p2", "p3"];
    for name in names {
        scene.sling(name, &adds(name));
    }
    let (bare, clone) = (scene.bare(), scene.path("outsider"));
    git(&bare, &["clone", "--quiet", ".", clone.to_str().unwrap()]).ok();
    // Push after push, in the middle of candidates, tests and landings.
    let mut pushed = Vec::new();
    for n in 0..8 {
        let file = format!("outside-{n}");
        std::fs::write(clone.join(&file), "x").unwrap();
        git(&clone, &["add", &file]).ok();
        git(&clone, &["commit", "--quiet", "-m", &file]).ok();
        scene.until("the outsider's push", || {
            git(&clone, &["pull", "--quiet", "--rebase", "origin", "main"]).ok();
            let push = git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
            (push.code == 0).then_some(())
        });
        pushed.push(file);
    }
    for name in names {
        scene.lands(name);
        assert_eq!(scene.on_main(name), format!("{name}\n"));
    }
    for file in &pushed {
        assert_eq!(scene.on_main(file), "x", "the outsider's work is lost");
    }
    let reflog = scene.git(&["reflog", "--format=%H", "main"]);
    let values: Vec<&str> = reflog.lines().collect();
    assert!(values.len() > pushed.len(), "{reflog}");
    for pair in values.windows(2) {
        let forward = git(&bare, &["merge-base", "--is-ancestor", pair[1], pair[0]]);
        assert_eq!(forward.code, 0, "main moved back from {} to {}", pair[1], pair[0]);
    }
}

pub(crate) fn long_names_land_and_names_that_are_none_are_refused(scene: &Scene) {
    // More than a label holds.
    let longer = "long.".repeat(20) + "p";
    let (polecat, bead) = ("p".repeat(63), "b".repeat(63));
    let agent = scene.agent("echo $GT_POLECAT > $GT_POLECAT; git add .; git commit --quiet -m long");
    let words = [
        "sling",
        &bead,
        &scene.name,
        "-m",
        "x",
        "--name",
        &polecat,
        "--agent-command",
        &agent,
    ];
    scene.gt(&words).ok();
    let sling = |name: &str| {
        scene.gt(&[
            "sling",
            &scene.name,
            "-m",
            "x",
            "--name",
            name,
            "--agent-command",
            &agent,
        ])
    };
    sling(&longer).ok();
    for name in [&polecat, &longer] {
        scene.lands(name);
        assert_eq!(scene.on_main(name), format!("{name}\n"));
    }
    for bad in ["Nux", "n_x", &"n".repeat(254)] {
        let refused = sling(bad).failed(4);
        assert!(refused.contains("name"), "{refused}");
    }
}
