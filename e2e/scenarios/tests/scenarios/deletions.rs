//! What is deleted or ended, at whatever moment, leaves no pod, no process and nothing stuck (invariant 10).

use crate::landing::adds;
use crate::scene::{Scene, phase};
use gastown_api::{PolecatPhase, Refinery, Rig};
use kube::Api;
use kube::api::DeleteParams;

pub(crate) fn a_polecat_may_be_deleted_whichever_of_its_containers_works(scene: &Scene) {
    let sleeper = scene.sleeper();
    let busy = |name: &str| {
        format!(
            "(setsid {sleeper} &); n=0
             while true; do
               n=$((n+1)); echo $n > f; git add f; git commit --quiet -m \"step $n\"; say {name}; sleep 0.2
             done"
        )
    };

    // Clone, in the middle of its first push.
    scene.hold_pushes();
    scene.sling("cloning", &busy("cloning"));
    scene.push_hangs();
    scene.delete("cloning");
    scene.nothing_is_left(&sleeper);
    scene.release_pushes();

    // The agent, with a process that has left its session.
    scene.sling("working", &busy("working"));
    scene.says("working");
    scene.delete("working");
    scene.nothing_is_left(&sleeper);

    // Courier, in the middle of a push.
    scene.sling("carrying", &busy("carrying"));
    scene.says("carrying");
    scene.hold_pushes();
    scene.push_hangs();
    scene.delete("carrying");
    scene.release_pushes();
    scene.nothing_is_left(&sleeper);

    // The queue, in the middle of its landing: its work has left it, and lands or not; the queue goes on.
    scene.sling("landing", &adds("x"));
    scene.polecat("landing", |p| phase(p) == PolecatPhase::Done);
    scene.delete("landing");
    scene.sling("after", &adds("y"));
    scene.lands("after");
    scene.nothing_is_left(&sleeper);
}

pub(crate) fn a_rig_deleted_with_work_in_flight_takes_nothing_along(scene: &Scene) {
    scene.sling("p1", &format!("say working; await go\n{}", adds("x")));
    scene.says("working");
    let rigs: Api<Rig> = Api::all(scene.client());
    let rig = scene.wait(async { rigs.get(&scene.name).await }).unwrap();
    scene
        .wait(async { rigs.delete(&scene.name, &DeleteParams::default()).await })
        .unwrap();
    let queues: Api<Refinery> = Api::namespaced(scene.client(), crate::backend::SYSTEM);
    let queue = gastown_api::names::refinery_name(&scene.name);
    scene.until("the rig's children to be gone", || {
        let rig = scene.wait(async { rigs.get_opt(&scene.name).await }).unwrap();
        let queue = scene.wait(async { queues.get_opt(&queue).await }).unwrap();
        (rig.is_none() && queue.is_none()).then_some(())
    });
    assert!(scene.gt(&["sling", &scene.name, "-m", "x"]).failed(3).contains("rig"));
    assert!(scene.find("p1").is_some(), "deleting a Rig deletes no polecat");
    scene.raise("go");
    scene.until("the work on the repository", || scene.show("polecat/p1:x"));
    assert_eq!(scene.landed(), ["First"]);
    // Made again, what was in flight goes on.
    let again = Rig::new(&scene.name, rig.spec);
    scene
        .wait(async { rigs.create(&kube::api::PostParams::default(), &again).await })
        .unwrap();
    scene.lands("p1");
    assert_eq!(scene.on_main("x"), "x\n");
}

pub(crate) fn a_nuked_polecat_ends_and_its_branch_stays(scene: &Scene) {
    let sleeper = scene.sleeper();
    scene.sling("p1", &format!("{}\nexec {sleeper}", adds("x")));
    scene.until("the push", || scene.show("polecat/p1:x"));
    scene.gt(&["polecat", "nuke", "p1"]).ok();
    scene.polecat("p1", |p| phase(p) == PolecatPhase::Terminated);
    scene.nothing_is_left(&sleeper);
    assert_eq!(scene.show("polecat/p1:x").as_deref(), Some("x\n"));
    assert_eq!(scene.landed(), ["First"]);
}
