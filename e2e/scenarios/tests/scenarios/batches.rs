//! Beads and batches of them.

use crate::scene::Scene;
use gastown_api::{Convoy, ConvoyPhase, conditions};
use gastown_testkit::sink::Sink;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

fn polecats(scene: &Scene) -> usize {
    scene.gt(&["polecat", "list", "-o", "name"]).ok().lines().count()
}

pub(crate) fn a_bead_has_one_polecat_unless_somebody_says_again(scene: &Scene) {
    let agent = scene.agent("echo x > \"$GT_POLECAT\"; git add .; git commit --quiet -m x");
    let sling = |more: &[&str]| {
        let words = [
            "sling",
            "pa-7",
            &scene.name,
            "-m",
            "x",
            "--agent-command",
            &agent,
            "-o",
            "name",
        ];
        scene.gt(&[&words[..], more].concat()).ok()
    };
    let first = sling(&[]);
    assert_eq!(sling(&[]), first);
    let second = sling(&["--again"]);
    assert_ne!(second, first);
    assert_eq!(polecats(scene), 2);
    // Each has a branch of its own, so both get through.
    for one in [first, second] {
        let name = one.trim().trim_start_matches("polecat/");
        scene.lands(name);
        assert_eq!(scene.on_main(name), "x\n");
    }
}

/// Invariant 6, of convoys; what landed counts, nothing else does; and its end is told, once.
pub(crate) fn a_convoy_counts_what_landed_and_takes_no_polecat_along(scene: &Scene) {
    // Its beads' polecats are made from the rig's own agent.
    let agent =
        scene.agent("say \"at-$GT_POLECAT\"; await go; echo x > \"$GT_POLECAT\"; git add .; git commit -qm done");
    scene.rig(json!({ "agent": "custom", "agentConfig": { "command": ["/bin/sh", "-c", agent] } }));
    let mine = scene.agent("echo x > x; git add x; git commit --quiet -m x");
    let words = [
        "sling",
        "pa-1",
        &scene.name,
        "-m",
        "x",
        "--name",
        "mine",
        "--agent-command",
        &mine,
    ];
    scene.gt(&words).ok();
    scene.lands("mine");
    let words = [
        "convoy",
        "create",
        "a batch",
        "pa-1",
        "pa-2",
        "pa-3",
        "--name",
        "cv-one",
        "--rig",
        &scene.name,
    ];
    let hook = Sink::hook_at(scene.host(), &[]);
    let url = format!("http://{}/hook", hook.addr());
    scene
        .gt(&[&words[..], &["--parallelism", "1", "--notify", &url]].concat())
        .ok();
    let convoys: Api<Convoy> = Api::namespaced(scene.client(), &scene.name);
    let status = || {
        scene
            .wait(async { convoys.get("cv-one").await })
            .unwrap()
            .status
            .unwrap_or_default()
    };
    scene.until("one of them to be at work", || {
        (scene.live_pods().len() == 1).then_some(())
    });
    scene.raise("go");
    scene.until("the end of the convoy", || {
        let status = status();
        assert_ne!(status.phase, ConvoyPhase::Failed, "{status:?}");
        let live = scene.live_pods();
        let working = live
            .iter()
            .filter(|p| p.metadata.namespace.as_deref() == Some(&scene.name))
            .count();
        assert!(working <= 1, "{working} pods at once");
        (status.phase == ConvoyPhase::Complete).then_some(())
    });
    scene.until("word of the end", || {
        let status = status();
        conditions::is_true(&status.conditions, conditions::NOTIFIED).then_some(())
    });
    let heard = hook.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("Convoy cv-one is complete: 3/3 landed"), "{heard:?}");
    let text = scene.gt(&["convoy", "status", "cv-one"]).ok();
    assert!(text.contains("3/3"), "{text}");
    assert_eq!(polecats(scene), 3, "the bead that had a polecat got no second one");
    scene
        .wait(async { convoys.delete("cv-one", &DeleteParams::default()).await })
        .unwrap();
    assert_eq!(polecats(scene), 3);
}
