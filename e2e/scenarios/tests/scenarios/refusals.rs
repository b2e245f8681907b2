//! What cannot be done is said, with what to type instead.

use crate::forge;
use crate::landing::adds;
use crate::scene::{Scene, condition};
use serde_json::json;

pub(crate) fn a_repository_or_branch_that_is_not_there_is_named(scene: &Scene) {
    let gone = scene.url_of("gone.git");
    let rigs = [("gone", gone.as_str(), "main"), ("trunk", &scene.url(), "trunk")];
    for (name, url, branch) in rigs {
        let repository =
            json!({ "gitRepository": url, "gitBranch": branch, "gitSecretRef": { "name": forge::SECRET } });
        scene.create(name, &["true"], repository);
    }
    let (polecat, message) = scene.stuck("trunk");
    assert_eq!(condition(&polecat, "Degraded").0, "BranchNotFound");
    assert!(message.contains("trunk"), "{message}");
    let (polecat, message) = scene.stuck("gone");
    assert!(message.contains("the repository does not exist"), "{message}");
    // A message is short; the condition has all of it.
    let degraded = condition(&polecat, "Degraded");
    assert!(degraded.1.contains("gone.git"), "{degraded:?}");
    // The scene's own rig does not care.
    scene.sling("well", &adds("well"));
    scene.lands("well");
}

pub(crate) fn words_that_are_off_get_an_exit_code_and_what_to_type_next(scene: &Scene) {
    let rig = scene.name.as_str();
    let cases: [(&[&str], i32, &str); 12] = [
        (&["sling", "nowhere", "-m", "x"], 3, "there is no rig nowhere"),
        (&["rig", "status", "nowhere"], 3, "rig list"),
        (&["polecat", "status", "nobody"], 3, "polecat list"),
        (&["polecat", "logs", "nobody"], 3, "polecat list"),
        (&["polecat", "nuke", "nobody"], 3, "polecat list"),
        (&["convoy", "status", "none"], 3, "convoy list"),
        (&["sling", rig], 2, "-m"),
        (&["sling", rig, "-m", " \n"], 2, "empty"),
        (&["sling", rig, "-f", "/no/such/file"], 2, "/no/such/file"),
        (&["sling", rig, "-m", "x", "--agent", "gpt"], 2, "claude-code"),
        (&["sling", rig, "-m", "x", "--theme", "fish"], 2, "mad-max"),
        (
            &["rig", "create", rig, "--git-url", "/x", "--prefix", "pa"],
            4,
            "already",
        ),
    ];
    for (words, code, text) in cases {
        let err = scene.gt(words).failed(code);
        assert!(err.contains(text), "{words:?}: {err}");
    }
    let none = scene.gt(&["polecat", "list"]);
    assert!(none.err.contains("sling"), "an empty list says what to type: {none:?}");
}
