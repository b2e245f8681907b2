//! The blocks of the documents that bring a town up, typed as they stand, by a newcomer with the agent that they print.

use crate::checkout::{Checkout, isolated, program};
use gastown_testkit::documents::blocks;
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
