//! Pods, agents and operators that die in the middle.

use crate::landing::adds;
use crate::scene::Scene;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;

/// An agent in two halves: it counts its starts in a file that it commits, and hangs in the middle the first time,
/// with a file that is not committed.
fn in_two_halves(name: &str, sleeper: &str) -> String {
    format!(
        "echo start >> {name}.starts; git add {name}.starts; git commit --quiet --message='start {name}'
         if test ! -e {name}.half; then echo half > {name}.half; say {name}; exec {sleeper}; fi
         git add --all; git commit --quiet --message='finish {name}'"
    )
}

/// Waits until what the agent left uncommitted is on the remote too.
fn half_is_safe(scene: &Scene, name: &str) {
    scene.until("the uncommitted file on the remote", || {
        let all = scene.git(&["rev-list", "--objects", "--all"]);
        all.lines().any(|o| o.ends_with(&format!(" {name}.half"))).then_some(())
    });
}

/// Invariants 1 and 2: as by a dead node, the pod's object goes at once and whatever of it still runs may write nothing.
pub(crate) fn a_lost_pod_costs_nothing_that_was_written(scene: &Scene) {
    let sleeper = scene.sleeper();
    scene.sling("p1", &in_two_halves("p1", &sleeper));
    scene.says("p1");
    half_is_safe(scene, "p1");
    let pods: Api<Pod> = Api::namespaced(scene.client(), &scene.name);
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    scene.wait(async { pods.delete("polecat-p1", &now).await }).unwrap();
    let polecat = scene.lands("p1");
    let status = polecat.status.unwrap();
    assert_eq!((status.attempt, status.round), (Some(2), Some(1)));
    assert_eq!(scene.on_main("p1.starts"), "start\nstart\n");
    assert_eq!(scene.on_main("p1.half"), "half\n");
    assert_eq!(scene.landed(), ["First", "start p1", "start p1", "finish p1"]);
    scene.nothing_is_left(&sleeper);
}

/// As by the kernel, for want of memory: the container starts again in the same pod.
pub(crate) fn an_agent_that_is_killed_goes_on_in_its_workspace(scene: &Scene) {
    scene.sling(
        "p1",
        "if test ! -e half; then echo half > half; say half; kill -9 $$; fi
         git add half; git commit --quiet -m whole",
    );
    scene.says("half");
    scene.lands("p1");
    assert_eq!(scene.on_main("half"), "half\n");
}

/// Invariants 1, 3 and 4: the operator dies at several instants, and each task lands once.
pub(crate) fn an_operator_that_is_killed_goes_on(scene: &Scene) {
    let names: Vec<String> = (1..=6).map(|n| format!("p{n}")).collect();
    for name in &names {
        scene.sling(name, &format!("say {name}\n{}", adds(name)));
    }
    scene.backend.crash_operator();
    scene.until("the first to be at work", || {
        names.iter().any(|n| scene.was_said(n)).then_some(())
    });
    scene.backend.crash_operator();
    scene.until("the first on main", || (scene.landed().len() > 1).then_some(()));
    scene.backend.crash_operator();
    for name in &names {
        scene.lands(name);
        assert_eq!(scene.on_main(name), format!("{name}\n"));
    }
    let landed = scene.landed();
    for name in &names {
        let times = landed.iter().filter(|s| **s == format!("Add {name}")).count();
        assert_eq!(times, 1, "{name} landed {times} times");
    }
    scene.nothing_is_left("no such word");
}
