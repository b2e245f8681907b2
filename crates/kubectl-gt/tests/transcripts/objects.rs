//! What people have in a cluster: objects as the operator leaves them.

use serde_json::{Value, json};

use crate::scene::{NAMESPACE, Scene};

pub fn rig(name: &str) -> Value {
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Rig", "metadata": {"name": name},
        "spec": {"gitURL": format!("https://github.com/org/{name}.git"), "beadsPrefix": "mp", "testCommand": "make test"},
        "status": {"phase": "Ready", "message": "ready", "childNamespace": NAMESPACE, "polecatCount": 2, "working": 1, "merged": 1},
    })
}

pub fn polecat(name: &str, rig: &str, bead: &str, phase: &str) -> Value {
    let active = phase == "Working";
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Polecat", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"rig": rig, "beadID": bead, "desiredState": "Working", "task": {"description": format!("Do {bead}.")}},
        "status": {
            "phase": phase, "assignedBead": bead, "podName": format!("polecat-{name}"), "podActive": active, "agent": "claude-code",
            "agentModel": "claude-sonnet-5", "branch": format!("feature/{bead}"), "round": 1, "attempt": 1,
            "message": format!("{name} is {phase}"), "observedGeneration": 1,
        },
    })
}

/// A polecat with a condition that is true.
pub fn with_condition(mut polecat: Value, kind: &str, reason: &str, message: &str) -> Value {
    polecat["status"]["message"] = json!(message);
    polecat["status"]["conditions"] = json!([{
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }]);
    polecat
}

/// A polecat whose work is on main.
pub fn landed(name: &str, rig: &str, bead: &str) -> Value {
    let mut polecat = with_condition(
        polecat(name, rig, bead, "Done"),
        "Merged",
        "Landed",
        "landed as 0123456789",
    );
    polecat["status"]["mergedCommit"] = json!("0123456789abcdef0123456789abcdef01234567");
    polecat["status"]["commit"] = json!("fedcba9876543210fedcba9876543210fedcba98");
    polecat
}

/// A pod of a polecat; nobody runs it.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"initContainers": [{"name": "clone", "image": "none:1"}], "containers": [{"name": "claude", "image": "none:1"}, {"name": "courier", "image": "none:1"}]},
    })
}

pub fn convoy(name: &str, phase: &str, beads: &[&str], done: &[&str]) -> Value {
    let pending: Vec<&&str> = beads.iter().filter(|b| !done.contains(b)).collect();
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Convoy", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"description": format!("Batch {name}"), "trackedBeads": beads, "rigRef": "my-project"},
        "status": {
            "phase": phase, "progress": format!("{}/{}", done.len(), beads.len()), "completedBeads": done,
            "pendingBeads": pending, "message": format!("{} landed", done.len()),
        },
    })
}

pub fn refinery(rig: &str) -> Value {
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Refinery",
        "metadata": {"name": format!("{rig}-refinery"), "namespace": NAMESPACE}, "spec": {"rigRef": rig},
        "status": {
            "phase": "Processing", "queueLength": 2, "queue": ["gastown-system/nux", "gastown-system/slit"],
            "currentMerge": "batch 4: testing furiosa on main", "landings": 3, "testRuns": 5, "batch": 4,
            "head": "0123456789abcdef0123456789abcdef01234567", "lastRed": "rictus: not ok clamp leaves the middle",
            "members": [{"polecat": "gastown-system/furiosa", "uid": "u", "commit": "fedcba9876543210fedcba9876543210fedcba98", "round": 1}],
            "message": "testing furiosa on main",
        },
    })
}

pub fn witness(rig: &str) -> Value {
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "Witness",
        "metadata": {"name": format!("{rig}-witness"), "namespace": NAMESPACE}, "spec": {"rigRef": rig},
        "status": {
            "phase": "Degraded", "message": "1 polecat needs somebody: slit",
            "polecatsSummary": {"total": 4, "running": 1, "succeeded": 2, "failed": 1, "stuck": 0},
            "incidents": [{"polecat": format!("{NAMESPACE}/slit"), "uid": "u1", "generation": 1, "round": 1, "reason": "NoChange",
                "message": "the agent ended without a change: it said there is nothing to do", "told": "1"}],
        },
    })
}

pub fn bead_store(rig: &str) -> Value {
    json!({
        "apiVersion": "gastown.gastown.io/v1alpha1", "kind": "BeadStore",
        "metadata": {"name": format!("{rig}-beads"), "namespace": NAMESPACE}, "spec": {"rigRef": rig, "prefix": "mp-"},
        "status": {"phase": "Synced", "issueCount": 42, "message": "42 issues, 7 open, on main at 0123456789ab", "commit": "0123456789abcdef0123456789abcdef01234567"},
    })
}

/// A rig and what people have going on it.
pub async fn busy() -> Scene {
    let scene = Scene::new().await;
    scene.put(rig("my-project")).await;
    scene.put(refinery("my-project")).await;
    scene.put(witness("my-project")).await;
    scene.put(bead_store("my-project")).await;
    scene.put(polecat("furiosa", "my-project", "mp-10", "Working")).await;
    let stuck = polecat("slit", "my-project", "mp-11", "Stuck");
    let why = "the agent ended without a change: it said there is nothing to do";
    scene.put(with_condition(stuck, "Degraded", "NoChange", why)).await;
    scene.put(landed("nux", "my-project", "mp-12")).await;
    scene.put(pod("polecat-furiosa")).await;
    // For what changes its polecat: one each.
    scene.put(polecat("capable", "my-project", "mp-20", "Done")).await;
    scene.put(polecat("rictus", "my-project", "mp-21", "Stuck")).await;
    scene
        .put(convoy("cv-one", "InProgress", &["mp-10", "mp-12"], &["mp-12"]))
        .await;
    scene.put(convoy("cv-done", "Complete", &["mp-12"], &["mp-12"])).await;
    scene
}
