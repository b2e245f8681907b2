//! Every reason that is written is in docs/TROUBLESHOOTING.md, and that names no other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use gastown_wire::RemoteTrouble;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a kubelet, a scheduler or Kubernetes itself calls things.
const THEIRS: &[&str] = &[
    "Completed",
    "ConfigMap",
    "ContainerCannotRun",
    "ContainerStatusUnknown",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "Error",
    "Evicted",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "NodeAffinity",
    "NodeShutdown",
    "OutOfcpu",
    "OutOfmemory",
    "OutOfpods",
    "PostStartHookError",
    "PreCreateHookError",
    "PreStartHookError",
    "Preempted",
    "Preempting",
    "RegistryUnavailable",
    "RunContainerError",
    "Shutdown",
    "SignatureValidationFailed",
    "StartError",
    "UnexpectedAdmissionError",
];
/// Why a call is made: nobody reads these in a condition or an event.
const OF_CALLS: &[&str] = &[
    "Active",
    "AnswerLost",
    "BatchOver",
    "Checked",
    "ChildMissing",
    "Dispatched",
    "Finished",
    "LandGreen",
    "NotWanted",
    "Notified",
    "Notifying",
    "Nudged",
    "PredecessorFinalizer",
    "Summed",
    "SyncDue",
    "SyncOver",
    "TestPrefix",
    "Unknown",
];
/// Kinds, types of conditions, values of variables; an incident of a polecat that says no reason.
const OTHER_WORDS: &[&str] = &["False", "Processing", "Refinery", "Rig", "Stuck", "True"];

/// String literals that look like a reason, of the code that decides; not of its tests.
fn literals(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                literals(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "simulation.rs" {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().filter(|l| !l.trim_start().starts_with("//"));
            found.extend(
                lines
                    .flat_map(|l| l.split('"'))
                    .filter(|w| is_camel(w))
                    .map(str::to_owned),
            );
        }
    }
}

fn is_camel(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_alphabetic())
}

/// Words in backticks.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_reason_is_in_the_documents_and_the_documents_name_no_other() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut words = BTreeSet::new();
    literals(&here.join("src"), &mut words);
    for known in [THEIRS, OF_CALLS, OTHER_WORDS].concat() {
        assert!(
            words.remove(known),
            "{known} is in the code no more: strike it from this test's lists"
        );
    }
    words.extend(RemoteTrouble::ALL.iter().map(|t| t.as_str().to_owned()));
    assert!(words.len() > 120, "{} reasons", words.len());

    let page = fs::read_to_string(here.join("../../docs/TROUBLESHOOTING.md")).unwrap();
    let told: BTreeSet<&str> = named(&page).collect();
    let untold: Vec<&String> = words.iter().filter(|w| !told.contains(w.as_str())).collect();
    assert!(
        untold.is_empty(),
        "not in docs/TROUBLESHOOTING.md (or name them in this test's lists): {untold:?}"
    );

    let columns = page
        .lines()
        .filter(|l| l.starts_with("| `"))
        .filter_map(|l| l.split('|').nth(1));
    let invented: Vec<&str> = columns
        .flat_map(|first| named(first).collect::<Vec<_>>())
        .filter(|w| is_camel(w) && !words.contains(*w))
        .collect();
    assert!(
        invented.is_empty(),
        "docs/TROUBLESHOOTING.md explains what nobody says: {invented:?}"
    );
}

/// Who sorts conditions by these words, as `doctor` does, sorts as the document does.
#[test]
fn the_reasons_that_blame_the_remote_are_those_of_its_chapter() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("../../docs/TROUBLESHOOTING.md")).unwrap();
    let mut seen = 0;
    // A Secret that is missing elsewhere, where notices go, is another one.
    let of_work = |c: &&str| {
        ["The git remote", "Polecat", "Refinery"]
            .iter()
            .any(|w| c.starts_with(w))
    };
    for chapter in page.split("\n## ").filter(of_work) {
        let of_the_remote = chapter.starts_with("The git remote\n");
        let rows = chapter.lines().filter(|l| l.starts_with("| `"));
        for reason in rows.flat_map(|l| named(l.split('|').nth(1).unwrap())) {
            // A pod that does not start says so, too.
            if reason != "RemoteUnreachable" {
                assert_eq!(gastown_wire::blames_the_remote(reason), of_the_remote, "{reason}");
            }
            seen += usize::from(of_the_remote);
        }
    }
    assert!(seen > RemoteTrouble::ALL.len(), "{seen} reasons");
}
