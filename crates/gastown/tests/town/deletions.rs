//! What is deleted, or ended, or slung again, at whatever moment, leaves no pod, no process and nothing stuck.

use crate::checkout::{Checkout, NAMESPACE, phase, until};
use gastown_api::{Convoy, ConvoyPhase, Polecat, PolecatPhase, Refinery, Rig};
use kube::Api;
use kube::api::DeleteParams;

/// The repository holds every push as long as a file lies in it; in its hook's command line there is this word.
const HOOK: &str = "pre-receive";

fn hold(checkout: &Checkout, held: bool) {
    let bare = checkout.bare();
    let hook = bare.join("hooks").join(HOOK);
    if !hook.exists() {
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        checkout.script("hook", "while test -e hold; do sleep 0.05; done");
        std::fs::rename(checkout.dir().join("hook"), &hook).unwrap();
    }
    let file = bare.join("hold");
    if held {
        std::fs::write(file, "").unwrap();
    } else {
        let _ = std::fs::remove_file(file);
    }
}

/// The hook of this checkout's repository runs.
fn is_held(checkout: &Checkout) -> bool {
    checkout.processes(&format!("hooks/{HOOK}")) > 0
}

fn delete(checkout: &Checkout, name: &str) {
    checkout.ask(async |client| {
        let api: Api<Polecat> = Api::namespaced(client, NAMESPACE);
        api.delete(name, &DeleteParams::default()).await.unwrap();
    });
}

fn nothing_is_left(checkout: &Checkout, marker: &str) {
    until("its pod and its processes to be gone", || {
        let left = checkout.live_pods().len() + checkout.processes(marker);
        (left == 0).then_some(())
    });
}

#[test]
fn a_polecat_may_be_deleted_whichever_of_its_containers_works() {
    let checkout = Checkout::up();
    let sleeper = format!("sleep 4{}", std::process::id());
    let busy = format!(
        "echo at work; (setsid {sleeper} &); n=0
         while true; do n=$((n+1)); echo $n > f; git add f; git commit --quiet -m \"step $n\"; sleep 0.2; done"
    );

    // Clone, in the middle of its first push.
    hold(&checkout, true);
    checkout.sling("cloning", &busy);
    until("clone's push", || is_held(&checkout).then_some(()));
    delete(&checkout, "cloning");
    nothing_is_left(&checkout, &format!("hooks/{HOOK}"));
    hold(&checkout, false);

    // The agent, with a process that has left its session.
    checkout.sling("working", &busy);
    checkout.says("working", "at work");
    delete(&checkout, "working");
    nothing_is_left(&checkout, &sleeper);

    // Courier, in the middle of a push.
    checkout.sling("carrying", &busy);
    checkout.says("carrying", "at work");
    hold(&checkout, true);
    until("courier's push", || is_held(&checkout).then_some(()));
    delete(&checkout, "carrying");
    hold(&checkout, false);
    nothing_is_left(&checkout, &sleeper);

    // The queue, in the middle of its landing: its work has left it, and lands.
    checkout.sling("landing", "echo x > x; git add x; git commit --quiet -m x");
    checkout.polecat("landing", |p| phase(p) == PolecatPhase::Done);
    delete(&checkout, "landing");
    checkout.sling("after", "echo y > y; git add y; git commit --quiet -m y");
    checkout.lands("after");
    nothing_is_left(&checkout, &sleeper);
}

#[test]
fn a_rig_deleted_with_work_in_flight_takes_nothing_along() {
    // Without isolation, so that agents see files of the test.
    let checkout = Checkout::up_unconfined();
    let go = format!("/{}", checkout.path("go").display());
    let waits = format!("echo at work; until test -e '{go}'; do sleep 0.05; done");
    checkout.sling(
        "p1",
        &format!("{waits}; echo x > x; git add x; git commit --quiet -m x"),
    );
    checkout.says("p1", "at work");
    let delete = async |client| {
        let api: Api<Rig> = Api::all(client);
        api.delete("parts", &DeleteParams::default()).await.unwrap();
    };
    checkout.ask(delete);
    until("the rig's children to be gone", || {
        let left = checkout.ask(async |client| {
            let rigs: Api<Rig> = Api::all(client.clone());
            let queues: Api<Refinery> = Api::all(client);
            let all = kube::api::ListParams::default();
            rigs.list(&all).await.unwrap().items.len() + queues.list(&all).await.unwrap().items.len()
        });
        (left == 0).then_some(())
    });
    assert!(checkout.gastown(&["sling", ".", "-m", "x"]).failed(3).contains("rig"));
    assert!(checkout.find("p1").is_some(), "deleting a Rig deletes no polecat");
    std::fs::write(checkout.path("go"), "").unwrap();
    until("the work on the repository", || {
        let show = checkout.try_git(&checkout.bare(), &["show", "polecat/p1:x"]);
        (show.code == 0).then_some(())
    });
    assert_eq!(checkout.landed(), ["First"]);
    // Up makes the rig again, and what was in flight goes on.
    checkout.gastown(&["down"]).ok();
    checkout.start();
    checkout.lands("p1");
    assert_eq!(checkout.on_main("x"), "x\n");
}

#[test]
fn a_bead_has_one_polecat_unless_somebody_says_again() {
    let checkout = Checkout::up();
    let agent = "echo x >> x; git add x; git commit --quiet -m x";
    let sling = |more: &[&str]| {
        let words = ["sling", "pa-7", ".", "-m", "x", "--agent-command", agent, "-o", "name"];
        checkout.gastown(&[&words[..], more].concat()).ok()
    };
    let first = sling(&[]);
    assert_eq!(sling(&[]), first);
    let second = sling(&["--again"]);
    assert_ne!(second, first);
    assert_eq!(
        checkout
            .gastown(&["polecat", "list", "-o", "name"])
            .ok()
            .lines()
            .count(),
        2
    );
}

#[test]
fn a_nuked_polecat_ends_and_its_branch_stays() {
    let checkout = Checkout::up();
    let sleeper = format!("sleep 3{}", std::process::id());
    let agent = format!("echo x > x; git add x; git commit --quiet -m x; echo at work; exec {sleeper}");
    checkout.sling("p1", &agent);
    until("the push", || {
        let show = checkout.try_git(&checkout.bare(), &["show", "polecat/p1:x"]);
        (show.code == 0).then_some(())
    });
    checkout.gastown(&["polecat", "nuke", "p1"]).ok();
    checkout.polecat("p1", |p| phase(p) == PolecatPhase::Terminated);
    nothing_is_left(&checkout, &sleeper);
    assert_eq!(checkout.git_in(&checkout.bare(), &["show", "polecat/p1:x"]), "x\n");
    assert_eq!(checkout.landed(), ["First"]);
    // Whoever waits for it is told.
    let words = ["sling", ".", "-m", "x", "--name", "p2", "--agent-command", &agent];
    checkout.gastown(&words).ok();
    checkout.says("p2", "at work");
    let out = checkout.path("waiting");
    let mut waiting = checkout.spawn(
        &["sling", "pa-1", ".", "-m", "x", "--agent-command", &agent, "--wait"],
        &out,
    );
    until("a polecat for it", || checkout.find("furiosa"));
    checkout.gastown(&["polecat", "nuke", "furiosa", "--force"]).ok();
    assert_eq!(waiting.wait().unwrap().code(), Some(1));
    assert!(std::fs::read_to_string(out).unwrap().contains("was deleted"));
}

#[test]
fn a_convoy_counts_what_landed_and_takes_no_polecat_along() {
    let checkout = Checkout::up();
    // Its beads' polecats are made from the rig's own agent.
    let agent = serde_json::json!({
        "agent": "custom",
        "agentConfig": { "command": ["/bin/sh", "-c", "cp \"$GASTOWN_TASK_FILE\" task-$GT_POLECAT; git add .; git commit -qm done"] },
    });
    checkout.rig(agent);
    let agent = "echo x > x; git add x; git commit --quiet -m x";
    let words = [
        "sling",
        "pa-1",
        ".",
        "-m",
        "x",
        "--name",
        "mine",
        "--agent-command",
        agent,
    ];
    checkout.gastown(&words).ok();
    let words = [
        "convoy", "create", "a batch", "pa-1", "pa-2", "pa-3", "--name", "cv-one", "--rig", ".",
    ];
    checkout.gastown(&[&words[..], &["--parallelism", "1"]].concat()).ok();
    until("the end of the convoy", || {
        let convoy = checkout.ask(async |client| {
            let api: Api<Convoy> = Api::namespaced(client, NAMESPACE);
            api.get("cv-one").await.unwrap()
        });
        let status = convoy.status.unwrap_or_default();
        assert_ne!(status.phase, ConvoyPhase::Failed, "{status:?}");
        (status.phase == ConvoyPhase::Complete).then_some(())
    });
    let text = checkout.gastown(&["convoy", "status", "cv-one"]).ok();
    assert!(text.contains("3/3"), "{text}");
    let polecats = || {
        checkout
            .gastown(&["polecat", "list", "-o", "name"])
            .ok()
            .lines()
            .count()
    };
    assert_eq!(polecats(), 3, "the bead that had a polecat got no second one");
    checkout.ask(async |client| {
        let api: Api<Convoy> = Api::namespaced(client, NAMESPACE);
        api.delete("cv-one", &DeleteParams::default()).await.unwrap();
    });
    assert_eq!(polecats(), 3);
}
