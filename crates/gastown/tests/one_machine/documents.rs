//! What the documents say of a town: the blocks that bring one up, typed as they stand, by a newcomer with the agent that
//! they print; and the commands of their sentences, in a town where work has landed.

use crate::checkout::{Checkout, isolated, program};
use gastown_testkit::documents::{blocks, spoken, top};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;

/// What such a block cannot do here: cargo has made the programs, and the tests have them.
const BUILT: &str = "make build";

#[test]
fn what_the_pages_print_brings_a_town_up_and_lands_work() {
    let agent = blocks()
        .into_iter()
        .find_map(|b| b.script)
        .expect("AGENTS.md prints an agent");
    let typed: Vec<_> = blocks().into_iter().filter(|b| b.brings_a_town_up()).collect();
    let pages: Vec<&str> = typed.iter().map(|b| b.page.as_str()).collect();
    assert_eq!(pages, ["AGENT_INSTRUCTIONS.md", "README.md", "QUICKSTART.md"]);
    for block in &typed {
        let checkout = Checkout::new();
        checkout.script("agent.sh", agent.trim_start_matches("#!/bin/sh\n"));
        checkout.script("work-on", "echo \"$1\" >> README");
        // What is guessed where nobody names the test, and what those who name one call.
        std::fs::write(checkout.dir().join("Makefile"), "test:\n\ttest ! -e BROKEN\n").unwrap();
        checkout.git(&["add", "--all"]);
        checkout.git(&["commit", "--quiet", "--message=An agent"]);
        // The folder that it is typed in, with the programs where they are built.
        let folder = checkout.path("gastown-operator");
        std::fs::create_dir_all(folder.join("target")).unwrap();
        symlink(program().parent().unwrap(), folder.join("target/debug")).unwrap();
        for name in ["your-repository", "the-repository"] {
            symlink(checkout.dir(), folder.join(name)).unwrap();
        }
        let mut lines: Vec<String> = block.commands.iter().filter(|c| *c != BUILT).cloned().collect();
        if !isolated() {
            for line in &mut lines {
                *line = line.replace("gastown up ", "gastown up --unconfined ");
            }
        }
        // README has said before that this folder is on the PATH.
        let script = format!("set -e; cd \"$1\"; PATH=$PWD/target/debug:$PATH\n{}", lines.join("\n"));
        let ran = checkout.shell(&script, &[folder.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}: {}{}", block.page, ran.out, ran.err);
        if lines.iter().any(|line| line.contains(" sling ")) {
            assert_eq!(
                checkout.landed().last().map(String::as_str),
                Some("What was done"),
                "{}",
                block.page
            );
            assert!(
                checkout.on_main("README").ends_with("Add a --version flag\n"),
                "{}",
                block.page
            );
        }
    }
}

/// How it is typed here. A town that is in nobody's way goes on in the background.
fn as_typed(words: &str) -> String {
    let typed = words
        .replace("NAME", "furiosa")
        .replace("./scripts/", &format!("{}/scripts/", top().display()));
    match typed.strip_prefix("gastown up") {
        Some(flags) if isolated() || flags.contains("--unconfined") => format!("{typed} --detach"),
        Some(_) => format!("{typed} --detach --unconfined"),
        None => typed,
    }
}

#[test]
fn what_sentences_say_of_a_town_is_so() {
    let checkout = Checkout::new();
    checkout.script(
        "agent.sh",
        "echo more >> README; git commit --quiet --all --message='Done'",
    );
    // What the sentences take for there.
    std::fs::write(checkout.dir().join("Makefile"), "test:\n\ttest ! -e BROKEN\n").unwrap();
    std::fs::copy(
        top().join("templates/polecat-minimal.yaml"),
        checkout.dir().join("my-task.yaml"),
    )
    .unwrap();
    std::fs::create_dir(checkout.path("home/.claude")).unwrap();
    let login = r#"{"claudeAiOauth": {"accessToken": "sk-ant-oat01-none", "expiresAt": 32503680000000, "scopes": []}}"#;
    std::fs::write(checkout.path("home/.claude/.credentials.json"), login).unwrap();
    let folder = program().parent().unwrap().to_str().unwrap();
    let run = |line: &str| checkout.shell(&format!("PATH=$1:$PATH\n{line}"), &[folder]);
    let work = "set -e; gastown sling . -m 'Add a line' --agent-command ./agent.sh --wait; \
        git pull --quiet --ff-only gastown main; git commit --quiet --allow-empty -m 'By hand'";

    let typed = spoken().into_iter().filter(|s| s.is_a_command() && s.is_of_a_town());
    let all: BTreeSet<String> = typed.map(|s| s.words).collect();
    let (ups, rest): (Vec<&String>, Vec<&String>) = all.iter().partition(|c| c.starts_with("gastown up"));
    let (downs, rest): (Vec<&String>, Vec<&String>) = rest.into_iter().partition(|c| *c == "gastown down");
    assert!(!ups.is_empty() && downs.len() == 1 && rest.len() > 5, "{all:?}");
    let mut wrong = Vec::new();
    for (n, up) in ups.iter().enumerate() {
        let first = if n == 0 { rest.as_slice() } else { &[] };
        let work = (n == 0).then_some(work);
        let typed = first.iter().chain(&downs).map(|c| as_typed(c));
        for line in [as_typed(up)].into_iter().chain(work.map(str::to_owned)).chain(typed) {
            let ran = run(&line);
            // What lacks an argument is the name of a command, which its help knows.
            let named = ran.code == 2 && ran.err.contains("required arguments were not provided");
            if ran.code != 0 && !(named && run(&format!("{line} --help")).code == 0) {
                wrong.push(format!("{line}: {ran:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
