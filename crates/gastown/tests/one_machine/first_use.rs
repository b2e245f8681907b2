//! What a newcomer types, in that order.

use crate::checkout::{Checkout, NAMESPACE, until};
use serde_json::Value;

/// Appends a line to the README, as the hint of `up` suggests.
const AGENT: &str =
    "echo one more line >> README\ngit add README\ngit commit --quiet --message='A line'\necho all done";

#[test]
fn from_a_fresh_checkout_to_a_merge_and_every_verb_on_the_way() {
    let checkout = Checkout::new();
    checkout.script("agent.sh", AGENT);
    let greeting = checkout.start();
    assert!(greeting.contains("the town is up"), "{greeting}");
    let words = [
        "sling",
        ".",
        "-m",
        "add a line to README",
        "--agent-command",
        "./agent.sh",
        "--wait",
    ];
    let out = checkout.gastown(&words).ok();
    assert!(out.contains("landed as"), "{out}");
    let rigs: Value = serde_json::from_str(&checkout.gastown(&["rig", "list", "-o", "json"]).ok()).unwrap();
    let top = checkout.dir().canonicalize().unwrap();
    assert_eq!(
        rigs[0]["spec"]["localPath"],
        serde_json::json!(top),
        "beads are read here: {rigs}"
    );

    checkout.git(&["fetch", "--quiet", "gastown"]);
    checkout.git(&["merge", "--quiet", "--ff-only", "gastown/main"]);
    let readme = std::fs::read_to_string(checkout.dir().join("README")).unwrap();
    assert_eq!(readme, "parts\none more line\n");

    every_verb_in_every_form(&checkout);
    logs_stay_after_the_pod(&checkout);
    let status = checkout.gastown(&["status"]).ok();
    assert!(status.starts_with("up "), "{status}");
    let again = checkout.gastown(&["up"]).failed(4);
    assert!(
        again.contains("up already") && again.contains("gastown down"),
        "{again}"
    );
    let again = checkout.gastown(&["up", "--detach"]).failed(4);
    assert!(
        again.contains("up already") && again.contains("gastown down"),
        "{again}"
    );
    let log = std::fs::read_to_string(checkout.data().join("up.log")).unwrap();
    assert!(
        log.contains("the town is up"),
        "a refused up spoils the log of the town: {log:?}"
    );

    let down = checkout.gastown(&["down"]).ok();
    assert!(down.starts_with("down;"), "{down}");
    assert!(checkout.gastown(&["status"]).failed(3).contains("gastown up"));
    assert!(checkout.gastown(&["polecat", "list"]).failed(1).contains("gastown up"));
    checkout.gastown(&["down"]).ok();
    checkout.start();
    let polecats = checkout.gastown(&["polecat", "list", "-o", "name"]).ok();
    assert!(polecats.contains("polecat/furiosa\n"), "all is kept: {polecats}");
}

/// Documents parse, names are names, and tables hold the name of the thing.
fn every_verb_in_every_form(checkout: &Checkout) {
    checkout
        .gastown(&["convoy", "create", "a batch", "pa-77", "--name", "cv-one", "--rig", "."])
        .ok();
    let verbs: [(&[&str], &str, &str); 8] = [
        (&["status"], "town/parts", "parts"),
        (&["rig", "list"], "rig/parts", "parts"),
        (&["rig", "status", "."], "rig/parts", "parts"),
        (&["polecat", "list"], "polecat/furiosa", "furiosa"),
        (&["polecat", "list", "."], "polecat/furiosa", "furiosa"),
        (&["polecat", "status", "parts/furiosa"], "polecat/furiosa", "furiosa"),
        (&["convoy", "list"], "convoy/cv-one", "cv-one"),
        (&["convoy", "status", "cv-one"], "convoy/cv-one", "cv-one"),
    ];
    for (verb, name, word) in verbs {
        let form = |form: &str| checkout.gastown(&[verb, &["-o", form]].concat()).ok();
        assert!(form("table").contains(word), "{verb:?}");
        assert!(form("wide").contains(word), "{verb:?}");
        assert!(form("name").lines().any(|l| l == name), "{verb:?}: {}", form("name"));
        let json: Value = serde_json::from_str(&form("json")).unwrap();
        let yaml: Value = serde_saphyr::from_str(&form("yaml")).unwrap();
        assert!(json.is_array() == verb.contains(&"list"), "{verb:?}");
        assert!(json.to_string().contains(word), "{verb:?}");
        // What changes between two calls is left aside.
        let kinds = |v: &Value| v.as_array().map_or(1, Vec::len);
        assert_eq!(kinds(&json), kinds(&yaml), "{verb:?}");
    }
    let wide = checkout.gastown(&["polecat", "list", "-o", "wide"]).ok();
    assert!(wide.contains("polecat-furiosa") && wide.contains("COMMIT"), "{wide}");
}

fn logs_stay_after_the_pod(checkout: &Checkout) {
    until("the end of the pod", || {
        let pod = checkout.ask(async |client| {
            let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client, NAMESPACE);
            pods.get_opt("polecat-furiosa").await.unwrap()
        });
        pod.is_none().then_some(())
    });
    for flags in [&[][..], &["--follow"], &["--tail", "50"]] {
        let logs = checkout
            .gastown(&[&["polecat", "logs", "furiosa"], flags].concat())
            .ok();
        assert!(logs.contains("all done"), "{flags:?}: {logs}");
    }
    let courier = checkout.gastown(&["polecat", "logs", "furiosa", "-c", "courier"]).ok();
    assert!(!courier.is_empty());
}

#[test]
fn a_checkout_that_is_not_fit_is_told_what_it_lacks() {
    let checkout = Checkout::new();
    let nowhere = checkout.path("home");
    let elsewhere = |args: &[&str]| {
        // The folder above the checkout is no checkout.
        let script = format!("cd '{}' && exec \"$@\"", nowhere.display());
        let program = env!("CARGO_BIN_EXE_gastown");
        checkout.shell(&script, &[&[program], args].concat())
    };
    assert!(elsewhere(&["up"]).failed(2).contains("git init"));
    assert!(elsewhere(&["status"]).failed(2).contains("git checkout"));
    let untested = checkout.gastown(&["up", "--detach", "--unconfined"]).failed(2);
    assert!(untested.contains("--test"), "{untested}");
    checkout.git(&["checkout", "--quiet", "--detach"]);
    let detached = checkout.gastown(&["up", "--detach", "--unconfined", "--test", "true"]);
    assert!(detached.failed(2).contains("git switch"));
    checkout.git(&["switch", "--quiet", "--orphan", "empty"]);
    let empty = checkout.gastown(&["up", "--detach", "--unconfined", "--test", "true"]);
    assert!(empty.failed(2).contains("git commit"));
}
