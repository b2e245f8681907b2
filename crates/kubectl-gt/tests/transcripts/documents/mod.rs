//! What the documents tell a person to type works. A command is run here, with whatever else its page says before it;
//! or by `one_machine`, where it is typed in a town; or by `remotes`, where it asks a server of git; or it stands word for word in a script that CI runs; or no machine of
//! ours can run it, and it is listed with the reason.

mod nowhere;
mod reader;
mod spoken;

use gastown_testkit::documents::{Block, blocks, top};
use nowhere::NOWHERE;
use reader::{fault, kubectl, lack, reader, typed_by_a_reader};
use std::fs;

/// Scripts that CI runs.
const SCRIPTS: [&str; 3] = [".ci/run", "e2e/install/run.sh", "e2e/install/older.sh"];

fn is_run_here(command: &str) -> bool {
    ["kubectl ", "ssh-keygen ", "PATH="]
        .iter()
        .any(|p| command.starts_with(p))
}

/// Whether a line of a script says just that; of several targets of make, whether each is said.
fn stands_in_a_script(command: &str) -> bool {
    match command.strip_prefix("make ") {
        Some(targets) if !targets.contains(['=', ';']) => targets.split(' ').all(|t| is_said(&format!("make {t}"))),
        _ => is_said(command),
    }
}

fn is_said(command: &str) -> bool {
    SCRIPTS.iter().any(|script| {
        let text = fs::read_to_string(top().join(script)).unwrap().replace("\\\n", " ");
        text.lines().any(|line| {
            let line: Vec<&str> = line.split_whitespace().collect();
            // How a script names make, and what it adds: that nothing may be skipped, and where Helm is.
            let line = line.join(" ").replace("\"${make[@]}\"", "make");
            let line = line.replace(" E2E_STRICT=1", "").replace(" HELM=\"$helm\"", "");
            line.find(command).is_some_and(|at| {
                let rest = &line[at + command.len()..];
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| c == ' ') && (rest.is_empty() || rest.starts_with(" >") || rest.starts_with(" |"))
            })
        })
    })
}

/// The harness has a server to ask: `what_ssh_keyscan_prints_makes_a_host_known`.
fn asks_a_server(command: &str) -> bool {
    command.starts_with("ssh-keyscan ")
}

fn is_run_nowhere(command: &str) -> bool {
    NOWHERE.iter().any(|(listed, _)| *listed == command)
}

fn typed() -> impl Iterator<Item = Block> {
    blocks()
        .into_iter()
        .filter(|b| b.script.is_none() && !b.brings_a_town_up())
}

#[test]
fn every_command_is_run_somewhere_or_listed() {
    let commands: Vec<(String, String)> = typed()
        .flat_map(|b| b.commands.into_iter().map(move |c| (b.page.clone(), c)))
        .collect();
    let lost: Vec<String> = commands
        .iter()
        .filter(|(_, c)| !is_run_here(c) && !asks_a_server(c) && !stands_in_a_script(c) && !is_run_nowhere(c))
        .map(|(page, command)| format!("{page}: {command}"))
        .collect();
    assert!(
        lost.is_empty(),
        "nothing runs these: put them into one of {SCRIPTS:?}, or into NOWHERE with a reason:\n{}",
        lost.join("\n")
    );
    for (listed, _) in NOWHERE {
        let spoken = spoken::commands().contains_key(*listed);
        assert!(
            spoken || commands.iter().any(|(_, c)| c == listed),
            "no page has it any more: {listed}"
        );
        assert!(!stands_in_a_script(listed), "a script runs it now: {listed}");
    }
    assert!(commands.len() > 60, "{} commands", commands.len());
}

#[test]
fn a_command_stands_in_a_script_as_a_whole_or_not() {
    assert!(stands_in_a_script("make demo"));
    for part in [
        "make images",
        "make dem",
        "elm uninstall gastown-operator --namespace gastown-system",
        "make nothing",
    ] {
        assert!(!stands_in_a_script(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_can_be_run_here_works() {
    let kubectl = kubectl();
    let mut pages: Vec<(String, Vec<String>)> = Vec::new();
    for block in typed() {
        match pages.last_mut() {
            Some((page, commands)) if *page == block.page => commands.extend(block.commands),
            _ => pages.push((block.page, block.commands)),
        }
    }
    let (mut ran, mut wrong) = (0, Vec::new());
    for (page, commands) in pages {
        let runs = |c: &&String| is_run_here(c) && !stands_in_a_script(c) && !is_run_nowhere(c);
        let commands: Vec<&String> = commands.iter().filter(runs).collect();
        if commands.is_empty() {
            continue;
        }
        let scene = reader(commands.iter().any(|c| c.contains(" rig create ")), kubectl.as_deref()).await;
        if scene.real {
            eprintln!("skipped: documents are read on our own API server");
            return;
        }
        for command in commands {
            if let Some(lack) = lack(&scene, command, kubectl.is_some()).await {
                eprintln!("SKIPPED: {page}: {command}: {lack}");
                continue;
            }
            let told = typed_by_a_reader(&scene, command).await;
            if told.code != 0 {
                wrong.push(fault(&page, command, &told));
            }
            ran += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 25, "{ran} commands");
}
