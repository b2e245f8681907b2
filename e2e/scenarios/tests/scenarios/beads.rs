//! Issues that the repository itself holds.

use crate::programs::git;
use crate::scene::Scene;
use gastown_api::{BeadStore, BeadStoreStatus, conditions};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

const EXPORT: &str = r#"{"_type":"issue","id":"pa-1","title":"Say it","description":"Write $(this) down.","priority":1,"status":"open"}
{"_type":"issue","id":"pa-2","title":"Said","status":"closed"}
{"_type":"issue","id":"hq-1","title":"The town's","status":"open"}
{"_type":"memory","id":"pa-m","title":"no work"}
"#;

/// Somebody pushes an export to main; its commit.
fn push(scene: &Scene, export: &str) -> String {
    let desk = scene.path("seed");
    let bare = scene.bare();
    let bare = bare.to_str().unwrap();
    git(&desk, &["pull", "--quiet", "--rebase", bare, "main"]).ok();
    std::fs::create_dir_all(desk.join(".beads")).unwrap();
    std::fs::write(desk.join(".beads/issues.jsonl"), export).unwrap();
    git(&desk, &["add", "--all"]).ok();
    git(&desk, &["commit", "--quiet", "--message=Beads"]).ok();
    git(&desk, &["push", "--quiet", bare, "HEAD:main"]).ok();
    git(&desk, &["rev-parse", "HEAD"]).ok().trim().to_owned()
}

pub(crate) fn issues_are_counted_and_tell_a_convoys_polecat_what_to_do(scene: &Scene) {
    let stores: Api<BeadStore> = Api::namespaced(scene.client(), &scene.name);
    let store: BeadStore = serde_json::from_value(json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "BeadStore", "metadata": { "name": "beads" },
        "spec": { "rigRef": scene.name, "prefix": "pa-", "syncInterval": "10s" },
    }))
    .unwrap();
    scene
        .wait(async { stores.create(&PostParams::default(), &store).await })
        .unwrap();
    let status = |what: &str, wanted: &dyn Fn(&BeadStoreStatus) -> bool| {
        scene.until(what, || {
            let status = scene.wait(async { stores.get("beads").await }).unwrap().status;
            status.filter(|s| wanted(s))
        })
    };
    let ready = |s: &BeadStoreStatus| conditions::get(&s.conditions, "Ready").map(|c| c.reason.clone());

    // A repository without beads: said, and no error.
    let none = status("the word that there are no beads", &|s| {
        ready(s).as_deref() == Some("NoBeads")
    });
    assert_eq!((none.issue_count, none.failures), (Some(0), None));
    assert!(none.message.is_some_and(|m| m.contains("bd export")));

    let first = push(scene, EXPORT);
    let read = status("the issues that were pushed", &|s| s.issue_count == Some(2));
    assert_eq!(read.commit.as_deref(), Some(first.as_str()));
    assert_eq!(ready(&read).as_deref(), Some("SyncSucceeded"));
    assert!(read.last_sync_time > none.last_sync_time);
    let told = scene.gt(&["beadstore", "status", "beads"]).ok();
    assert!(told.contains("2 issues, 1 open") && told.contains(&first), "{told}");

    // The convoy knows an ID; its polecat is told what that means.
    let agent = scene.agent(r#"cp "$GASTOWN_TASK_FILE" told; git add told; git commit --quiet -m told"#);
    scene.rig(json!({ "agent": "custom", "agentConfig": { "command": ["/bin/sh", "-c", agent] } }));
    let words = [
        "convoy",
        "create",
        "a batch",
        "pa-1",
        "--name",
        "cv",
        "--rig",
        &scene.name,
    ];
    scene.gt(&words).ok();
    scene.lands("cv-pa-1");
    assert_eq!(scene.on_main("told"), "pa-1: Say it\n\nWrite $(this) down.\n");

    // What the rig landed moved the branch: that is seen, too. Then nobody looks any more, and nothing is left over.
    let landed = scene.git(&["rev-parse", "main"]);
    status("the commit that landed", &|s| {
        s.commit.as_deref() == Some(landed.trim())
    });
    let rarely = Patch::Merge(json!({ "spec": { "syncInterval": "100h" } }));
    scene
        .wait(async { stores.patch("beads", &PatchParams::default(), &rarely).await })
        .unwrap();
    status("its reader to be gone", &|s| {
        s.reader.is_none() && s.observed_generation == Some(2)
    });
    scene.until("its pods to be gone", || {
        let left = scene
            .pods()
            .iter()
            .any(|p| p.metadata.name.as_ref().is_some_and(|n| n.starts_with("beads-")));
        (!left).then_some(())
    });
}
