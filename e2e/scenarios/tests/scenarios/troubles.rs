//! Remotes that refuse or go away: the trouble is named on the object that people look at, nothing is lost, and what is mended
//! goes on.

use crate::forge;
use crate::landing::adds;
use crate::scene::{Scene, condition};
use gastown_api::Refinery;
use gastown_testkit::remotes::{Access, HttpGit, Repository};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

/// A server of the scene's own, for its repository and those beside it.
fn serve(scene: &Scene) -> HttpGit {
    let server = scene.server(|plan| {
        let plan = plan.account("writer", "may", Access::Write);
        plan.account("reader", "looks", Access::Read)
    });
    account(scene, "e2e-writer", "writer", "may");
    scene
        .rig(json!({ "gitURL": server.url(&format!("{}.git", scene.name)), "gitSecretRef": { "name": "e2e-writer" } }));
    server
}

/// A Secret with an account.
fn account(scene: &Scene, name: &str, user: &str, password: &str) {
    let secret = forge::account(name, user, password);
    scene.put_everywhere::<Secret>(name, &secret);
}

pub(crate) fn what_a_remote_refuses_is_named_and_goes_on_when_it_is_mended(scene: &Scene) {
    let server = serve(scene);
    account(scene, "e2e-wrong", "writer", "guess");
    account(scene, "e2e-reader", "reader", "looks");
    let beside = |name: &str| {
        let path = scene.repositories().join(format!("{}-{name}.git", scene.name));
        scene.git(&["clone", "--quiet", "--bare", ".", path.to_str().unwrap()]);
        (Repository::at(&path), server.url(&format!("{}-{name}.git", scene.name)))
    };
    let (old, old_url) = beside("old");
    let _ = old.without_atomic();
    let (strict, strict_url) = beside("strict");
    let _ = strict.refuse_custom_refs();
    let (hooked, hooked_url) = beside("hooked");
    let _ = hooked.refuse_branches("polecat/*", "commit messages need a ticket");
    let troubles = [
        (
            "wrong",
            json!({ "gitSecretRef": { "name": "e2e-wrong" } }),
            "CredentialRefused",
            "a valid key or token",
        ),
        (
            "reader",
            json!({ "gitSecretRef": { "name": "e2e-reader" } }),
            "CredentialReadOnly",
            "write access",
        ),
        (
            "old",
            json!({ "gitRepository": old_url }),
            "AtomicUnsupported",
            "receive.advertiseAtomic",
        ),
        (
            "strict",
            json!({ "gitRepository": strict_url }),
            "RefsRefused",
            "refs/gastown/*",
        ),
        (
            "hooked",
            json!({ "gitRepository": hooked_url }),
            "PushRejected",
            "need a ticket",
        ),
    ];
    for (name, kubernetes, ..) in &troubles {
        let agent = scene.agent(&adds(name));
        scene.create(name, &["sh", "-c", &agent], kubernetes.clone());
    }
    for (name, _, reason, words) in &troubles {
        let (polecat, _) = scene.stuck(name);
        let (code, message) = condition(&polecat, "Degraded");
        assert_eq!(code, *reason, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    account(scene, "e2e-wrong", "writer", "may");
    account(scene, "e2e-reader", "writer", "may");
    for name in ["wrong", "reader"] {
        scene.gt(&["polecat", "retry", name]).ok();
        scene.polecat(name, |p| condition(p, "Merged").0 == "Landed");
    }
}

pub(crate) fn a_branch_that_nobody_may_move_holds_the_queue_and_is_named(scene: &Scene) {
    let main = Repository::at(&scene.bare());
    let _ = main.protect("main");
    let before = main.tip("main");
    scene.sling("nux", &adds("nux"));
    let refineries = kube::Api::<Refinery>::namespaced(scene.client(), crate::backend::SYSTEM);
    let told = scene.until("the queue to say that main is protected", || {
        let all = scene
            .wait(async { refineries.list(&Default::default()).await })
            .unwrap();
        let own = all.items.into_iter().find(|r| r.spec.rig_ref == scene.name)?;
        let degraded = own
            .status?
            .conditions
            .into_iter()
            .find(|c| c.type_ == "Degraded" && c.status == "True")?;
        Some((degraded.reason, degraded.message))
    });
    assert_eq!(told.0, "PushRejected", "{}", told.1);
    assert!(told.1.contains("GH006"), "{}", told.1);
    assert_eq!(main.tip("main"), before);
    let status = scene.find("nux").unwrap().status.unwrap();
    assert_eq!(
        (status.round, status.failures),
        (Some(1), None),
        "nobody is sent back for it"
    );
}

pub(crate) fn a_server_that_is_away_while_work_is_pushed_costs_nothing(scene: &Scene) {
    let server = serve(scene);
    scene.sling("nux", &format!("say cloned; await down\n{}\nsay finished", adds("nux")));
    scene.says("cloned");
    server.down();
    scene.raise("down");
    scene.says("finished");
    let tried = "the courier to find nobody there";
    scene.until(tried, || {
        let log = scene.gt(&["polecat", "logs", "nux", "--container", "courier"]);
        log.out.contains("cannot be pushed now").then_some(())
    });
    server.up();
    let landed = scene.lands("nux");
    assert_eq!(landed.status.unwrap().attempt, Some(1), "the first attempt carried it");
}
