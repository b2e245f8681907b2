//! Commands that the documents print are commands that these programs take.

use crate::Cli;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a command stands, and how sure one can be that it is meant to be typed as it is.
struct Line {
    place: String,
    text: String,
    /// In a block of code. Between backticks in a sentence it may be a name, without its arguments.
    whole: bool,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> = [root.clone(), root.join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    pages
}

/// Lines of fenced blocks, and what stands between backticks elsewhere.
fn lines(page: &Path) -> Vec<Line> {
    let text = fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let mut fenced = false;
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", n + 1);
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((place, line.to_owned(), true));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (place.clone(), span.to_owned(), false)));
        }
    }
    // How clap prints a usage is no command.
    let usage = |text: &str| text.contains("[OPTIONS]") || text.contains('<');
    let lines = found.into_iter().filter(|(_, text, _)| !usage(text));
    lines.map(|(place, text, whole)| Line { place, text, whole }).collect()
}

/// The commands of a line of shell: words without quotes, comments and redirections; cut at pipes and the like.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '#' if word.is_none() => break,
            '\'' | '"' => {
                let quoted: String = rest.by_ref().take_while(|q| *q != c).collect();
                word.get_or_insert_default().push_str(&quoted);
            }
            ' ' | '\t' | '|' | ';' | '&' | '>' => {
                let last = all.last_mut().unwrap();
                last.extend(word.take());
                match c {
                    '>' => last.push(">".to_owned()),
                    '|' | ';' | '&' => all.push(Vec::new()),
                    _ => {}
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    all.last_mut().unwrap().extend(word);
    for words in &mut all {
        while let Some(at) = words.iter().position(|w| w == ">") {
            words.drain(at..words.len().min(at + 2));
        }
        let assignments = words.iter().take_while(|w| is_assignment(w)).count();
        words.drain(..assignments);
    }
    all
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The program that a command is for, and its arguments.
fn ours(words: &[String]) -> Option<(Command, &[String])> {
    let spoken: Vec<&str> = words.iter().map(String::as_str).collect();
    match spoken.as_slice() {
        ["kubectl", "gt", _, ..] => Some((kubectl_gt::command(), &words[2..])),
        ["kubectl-gt", _, ..] => Some((kubectl_gt::command(), &words[1..])),
        [
            "gastown" | "./gastown" | "target/debug/gastown" | "target/release/gastown",
            _,
            ..,
        ] => Some((Cli::command(), &words[1..])),
        _ => None,
    }
}

/// What is wrong with a command.
fn fault(command: &mut Command, arguments: &[String], whole: bool) -> Option<String> {
    let words = std::iter::once("program").chain(arguments.iter().map(String::as_str));
    let error = command.try_get_matches_from_mut(words).err()?;
    let bare = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    match error.kind() {
        ErrorKind::DisplayHelp => None,
        kind if !whole && bare.contains(&kind) => None,
        _ => Some(error.to_string()),
    }
}

#[test]
fn every_command_in_the_documents_is_one() {
    let (mut typed, mut faults) = (0, Vec::new());
    for line in pages().iter().flat_map(|page| lines(page)) {
        for words in commands(&line.text) {
            let Some((mut command, arguments)) = ours(&words) else {
                continue;
            };
            typed += 1;
            if let Some(fault) = fault(&mut command, arguments, line.whole) {
                faults.push(format!("{}: {}\n{fault}", line.place, words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(typed > 150, "{typed} commands");
}

#[test]
fn what_is_no_command_is_told() {
    let split = |line: &str| commands(line).into_iter().find_map(|w| Some(ours(&w)?.1.to_vec()));
    let told = |line: &str| {
        let words = split(line).unwrap();
        fault(&mut Cli::command(), &words, true)
    };
    for good in [
        "gastown sling . -m \"Add # a flag\" --agent-command ./agent.sh --wait    # and wait",
        "KEY=x gastown auth sync --api-key-from-env > file && true",
        "echo text | gastown sling mp-7 . --file - -o name",
        "git fetch gastown ; gastown polecat logs furiosa -f",
    ] {
        assert_eq!(told(good), None, "{good}");
    }
    for bad in [
        "gastown sling",
        "gastown polecats lists",
        "gastown up --detached",
        "gastown sling . -m x --timeout soon",
        "gastown top -o josn",
    ] {
        assert!(told(bad).is_some(), "{bad}");
    }
    assert_eq!(split("git fetch gastown && git log gastown/main"), None);
}
