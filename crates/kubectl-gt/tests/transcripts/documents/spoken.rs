//! The same of what stands between backticks in a sentence: who reads `kubectl gt polecat retry NAME -m "…"` types it with
//! a name of theirs. What lacks what it must be given is the name of a command, and its help knows it, flags and all.

use super::reader::{fault, kubectl, lack, reader, typed_by_a_reader};
use super::{is_run_here, is_run_nowhere, stands_in_a_script, typed};
use crate::objects::polecat;
use crate::scene::{NAMESPACE, Scene, Told};
use clap::error::ErrorKind;
use gastown_testkit::documents::{spoken, top};
use regex::Regex;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// What a reader of ours puts where a page leaves it open; the first that fits.
const PLACEHOLDERS: [(&str, &str); 15] = [
    (r"\bwitness NAME\b", "witness my-project-witness"),
    // It has landed, and its agent has said all it will.
    (r"\bpolecat/NAME\b", "polecat/nux"),
    (r"\bNAME -f$", "nux -f"),
    // Its agent began twice.
    (r"\bNAME --previous\b", "rictus --previous"),
    (
        r"\bPOD -c CONTAINER --previous\b",
        "polecat-rictus -c claude --previous",
    ),
    (r"\bNAME\b", "furiosa"),
    (r"\bRIG\b", "my-project"),
    (r"\bID\b", "cv-one"),
    (r"\bNAMESPACE\b", "gastown-system"),
    (r"\bUID\b", "00000000-0000-4000-8000-000000000000"),
    ("<crate>", "gastown-rules"),
    ("…", "Mind the fixture"),
    // A terminal would ask.
    (r"^(kubectl gt polecat nuke \w+)$", "$1 --force"),
    // In a checkout of the rig's repository.
    ("^(git push .*)$", "cd r && $1"),
    // Until somebody ends it, which is done as soon as it has shown its polecat.
    (
        "^(kubectl get .* -w)$",
        "mkfifo seen; $1 > seen & head -n 2 seen && kill $!",
    ),
];

fn as_typed(words: &str) -> String {
    let mut typed = words.to_owned();
    for (open, with) in PLACEHOLDERS {
        typed = Regex::new(open).unwrap().replace_all(&typed, with).into_owned();
    }
    typed
}

/// How a command that is spoken of is seen to be true.
#[derive(Debug, PartialEq)]
enum Way {
    /// It is typed here.
    Typed,
    /// It is a name: its help is asked.
    Named,
    /// A script of CI, or a block of a page, says the same.
    Elsewhere,
    /// cargo does not test within its own tests: what it is called with is looked up.
    LookedUp,
    /// Not at all, with a reason.
    Nowhere,
}

fn way(words: &str, in_blocks: &[String]) -> Option<Way> {
    let typed = as_typed(words);
    if is_run_nowhere(words) {
        Some(Way::Nowhere)
    } else if stands_in_a_script(words) || in_blocks.contains(&typed) {
        Some(Way::Elsewhere)
    } else if calls(words, "cargo") {
        Some(Way::LookedUp)
    } else if is_a_name(&typed) {
        Some(Way::Named)
    } else {
        let prepared = typed.starts_with("cd r && ") || typed.starts_with("mkfifo ");
        (prepared || is_run_here(&typed)).then_some(Way::Typed)
    }
}

/// Whether that program is called, with or without variables of its own.
fn calls(command: &str, program: &str) -> bool {
    let mut words = command.split(' ').skip_while(|word| word.contains('='));
    words.next() == Some(program)
}

/// Of ours, whether it lacks a verb or an argument. Of others' programs, whether nothing but flags follows a verb. A
/// target of make is whole.
fn is_a_name(command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    match words.as_slice() {
        ["kubectl", "gt", ..] => kubectl_gt::command()
            .try_get_matches_from(&words[1..])
            .is_err_and(|error| is_bare(error.kind())),
        ["make", ..] => false,
        [_, _, rest @ ..] => rest.iter().all(|word| word.starts_with('-')),
        _ => false,
    }
}

fn is_bare(kind: ErrorKind) -> bool {
    use ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand};
    matches!(
        kind,
        MissingRequiredArgument | MissingSubcommand | DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Every command of a sentence, once, with the last page that has it. A verb of the plugin may stand alone: `polecat nuke`.
pub fn commands() -> BTreeMap<String, String> {
    let verbs: Vec<String> = kubectl_gt::command()
        .get_subcommands()
        .map(|c| c.get_name().to_owned())
        .collect();
    let whole = |words: String| {
        let verb = words.split_once(' ').map(|(verb, _)| verb.to_owned());
        let ours = verb.is_some_and(|verb| verbs.contains(&verb));
        if ours { format!("kubectl gt {words}") } else { words }
    };
    let all = spoken().into_iter().filter(|s| !s.is_of_a_town());
    let all = all.filter_map(|s| {
        let words = whole(s.words.clone());
        (s.is_a_command() || words != s.words).then_some((words, s.page))
    });
    all.collect()
}

#[test]
fn every_command_of_a_sentence_is_run_named_or_listed() {
    let in_blocks: Vec<String> = typed().flat_map(|b| b.commands).collect();
    let commands = commands();
    let lost: Vec<String> = commands
        .iter()
        .filter(|(words, _)| way(words, &in_blocks).is_none())
        .map(|(words, page)| format!("{page}: {words}"))
        .collect();
    assert!(
        lost.is_empty(),
        "nothing runs these: a script of CI may, or NOWHERE has the reason:\n{}",
        lost.join("\n")
    );
    assert!(commands.len() > 80, "{} commands", commands.len());
}

#[test]
fn a_name_of_a_command_is_told_from_a_command() {
    for name in [
        "kubectl gt polecat retry",
        "kubectl gt rig",
        "helm template",
        "git clone --mirror",
    ] {
        assert!(is_a_name(name), "{name}");
    }
    for whole in [
        "kubectl gt polecat retry nux",
        "kubectl gt auth sync",
        "kubectl gt polecat retries",
        "kubectl gt sling --no-such-flag",
        "kubectl get pods",
        "make test",
    ] {
        assert!(!is_a_name(whole), "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_sentence_works() {
    let kubectl = kubectl();
    let scene = reader(false, kubectl.as_deref()).await;
    if scene.real {
        eprintln!("skipped: documents are read on our own API server");
        return;
    }
    // Sentences leave the namespace away.
    let here = format!("    namespace: {NAMESPACE}\n    user:");
    let kubeconfig = scene.dir.path().join("kubeconfig");
    let text = fs::read_to_string(&kubeconfig).unwrap();
    fs::write(&kubeconfig, text.replacen("    user:", &here, 1)).unwrap();
    let in_blocks: Vec<String> = typed().flat_map(|b| b.commands).collect();
    let (mut ran, mut wrong) = (0, Vec::new());
    for (words, page) in commands() {
        let command = as_typed(&words);
        let way = way(&words, &in_blocks);
        if !matches!(way, Some(Way::Typed | Way::Named)) {
            continue;
        }
        if let Some(lack) = lack(&scene, &command, kubectl.is_some()).await {
            eprintln!("SKIPPED: {page}: {words}: {lack}");
            continue;
        }
        let (works, told) = if way == Some(Way::Named) {
            help(&scene, &command).await
        } else {
            between_sentences(&scene).await;
            let told = typed_by_a_reader(&scene, &command).await;
            (told.code == 0, told)
        };
        if !works {
            wrong.push(fault(&page, &command, &told));
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 40, "{ran} commands");
}

/// What one sentence makes or deletes the next one knows nothing of.
async fn between_sentences(scene: &Scene) {
    if scene.run("kubectl gt polecat status furiosa").await.code != 0 {
        scene.put(polecat("furiosa", "my-project", "mp-10", "Working")).await;
    }
    scene.run("rm -f deploy-key deploy-key.pub").await;
}

/// Whether its help knows the command, and every flag that is named with it.
async fn help(scene: &Scene, command: &str) -> (bool, Told) {
    if command.starts_with("kubectl gt") {
        let told = scene.run(&format!("{command} --help")).await;
        return (told.code == 0, told);
    }
    let words: Vec<&str> = command.split(' ').collect();
    // git's own page of a manual may not be installed.
    let ask = if words[0] == "git" { "-h" } else { "--help" };
    let told = scene.run(&format!("{} {} {ask}", words[0], words[1])).await;
    let text = format!("{}{}", told.stdout, told.stderr).replace("--[no-]", "--");
    let known = text.to_lowercase().contains("usage:") && words[2..].iter().all(|flag| text.contains(flag));
    (known, told)
}

/// What make and cargo are called with is there, whether or not something runs it.
#[tokio::test(flavor = "multi_thread")]
async fn targets_packages_and_tests_that_are_named_exist() {
    let scene = Scene::new().await;
    let has_make = scene.run("command -v make").await.code == 0;
    let blocks = typed().flat_map(|b| b.commands).flat_map(|c| {
        let all = c.split(" ; ").map(str::to_owned);
        all.collect::<Vec<_>>()
    });
    let mut seen = 0;
    for command in blocks.chain(commands().into_keys()) {
        if calls(&command, "make") && has_make {
            let rehearsal = command.replacen("make ", "make -n ", 1);
            let told = scene.run_in(&top(), &rehearsal).await;
            assert_eq!(told.code, 0, "{rehearsal}\n{}{}", told.stdout, told.stderr);
            seen += 1;
        }
        if calls(&command, "cargo") {
            named_by_cargo(&as_typed(&command));
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} commands");
}

/// Fails where a package or a program of tests is not there.
fn named_by_cargo(command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag);
        at.and_then(|at| words.get(at + 1)).copied()
    };
    let folders = ["crates", "e2e"]
        .iter()
        .flat_map(|f| fs::read_dir(top().join(f)).unwrap());
    let packages: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    let here: Vec<&PathBuf> = packages
        .iter()
        .filter(|p| {
            let manifest = fs::read_to_string(p.join("Cargo.toml")).unwrap_or_default();
            !manifest.is_empty() && after("-p").is_none_or(|name| manifest.contains(&format!("name = \"{name}\"")))
        })
        .collect();
    assert!(!here.is_empty(), "{command}: no package is called that");
    if let Some(test) = after("--test") {
        let is_there = |p: &&PathBuf| {
            p.join(format!("tests/{test}.rs")).exists() || p.join(format!("tests/{test}/main.rs")).exists()
        };
        assert!(here.iter().any(is_there), "{command}: no test is called that");
    }
}
