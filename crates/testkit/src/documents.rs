//! What the documents tell a person to type: the blocks of shell in README, docs and the other pages, and what stands
//! between backticks in their sentences.

#![allow(
    clippy::unwrap_used,
    reason = "a page that cannot be read fails the test that asks for it"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Programs that a page may tell a person to call.
const PROGRAMS: [&str; 12] = [
    "bd",
    "cargo",
    "claude",
    "gastown",
    "git",
    "helm",
    "kubectl",
    "kubectl-gt",
    "make",
    "perf",
    "ssh-keygen",
    "ssh-keyscan",
];

/// A block of shell, with the page it stands on.
#[derive(Debug, Clone)]
pub struct Block {
    pub page: String,
    /// Its lines that are commands, continued lines as one, without comments.
    pub commands: Vec<String>,
    /// As it stands, where it is a script and not typed.
    pub script: Option<String>,
}

impl Block {
    /// Whether it is typed in a checkout with a town of its own.
    pub fn brings_a_town_up(&self) -> bool {
        self.commands.iter().any(|command| command.starts_with("gastown "))
    }
}

/// The top of the checkout.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// What stands between backticks in a sentence, single-spaced, with the page it stands on.
#[derive(Debug, Clone)]
pub struct Spoken {
    pub page: String,
    pub words: String,
}

impl Spoken {
    /// Whether it calls a program with something to do. A program alone is its name.
    pub fn is_a_command(&self) -> bool {
        let mut words = self.words.split(' ').skip_while(|word| is_assignment(word));
        let known = |program: &str| PROGRAMS.contains(&program) || program.starts_with("./");
        words.next().is_some_and(known) && words.next().is_some()
    }

    /// Whether it is typed in a checkout with a town of its own.
    pub fn is_of_a_town(&self) -> bool {
        let words: Vec<&str> = self.words.split(' ').collect();
        matches!(
            words.as_slice(),
            ["gastown" | "./scripts/validate-template.sh", ..] | ["git", _, "gastown", ..]
        )
    }
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// Every page that a person wrote, by name, and what is on it.
fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<PathBuf> = [top(), top().join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|page| page.extension().is_some_and(|e| e == "md") && !page.ends_with("docs/CLI_REFERENCE.md"))
        .collect();
    pages.sort();
    let read = |page: &PathBuf| {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(page).unwrap())
    };
    pages.iter().map(read).collect()
}

/// Every block of shell of every page.
pub fn blocks() -> Vec<Block> {
    let block = |page: &String, text: String| Block {
        page: page.clone(),
        commands: text.replace("\\\n", " ").lines().filter_map(command).collect(),
        script: text.starts_with("#!").then_some(text),
    };
    pages()
        .iter()
        .flat_map(|(page, text)| shell_blocks(text).into_iter().map(move |text| block(page, text)))
        .collect()
}

/// What stands between backticks in the sentences of every page.
pub fn spoken() -> Vec<Spoken> {
    let words = |span: &str| span.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut all = Vec::new();
    for (page, text) in pages() {
        let sentences = sentences(&text);
        assert!(
            sentences.matches('`').count().is_multiple_of(2),
            "{page}: a backtick is not closed"
        );
        let spans = sentences.split('`').skip(1).step_by(2).map(words);
        all.extend(spans.map(|words| Spoken {
            page: page.clone(),
            words: words.replace("\\|", "|"),
        }));
    }
    all
}

/// A page without its blocks.
fn sentences(text: &str) -> String {
    let (mut found, mut fenced) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

/// Fenced blocks that name no language, or a shell's.
fn shell_blocks(text: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => open = Some((matches!(language, "" | "sh"), String::new())),
            (Some(_), Some(_)) => found.extend(open.take().filter(|(shell, _)| *shell).map(|(_, text)| text)),
            (Some((_, block)), None) => block.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    found
}

/// One command, single-spaced.
fn command(line: &str) -> Option<String> {
    let words = line.split_once(" #").map_or(line, |(words, _)| words);
    let spaced: Vec<&str> = words.split_whitespace().collect();
    (!spaced.is_empty() && !words.starts_with('#')).then(|| spaced.join(" "))
}
