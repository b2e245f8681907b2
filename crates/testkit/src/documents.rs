//! What the documents tell a person to type: the blocks of shell in README, docs and the other pages.

#![allow(
    clippy::unwrap_used,
    reason = "a page that cannot be read fails the test that asks for it"
)]

use std::fs;
use std::path::{Path, PathBuf};

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

/// Every block of shell of every page that a person wrote.
pub fn blocks() -> Vec<Block> {
    let mut pages: Vec<PathBuf> = [top(), top().join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|page| page.extension().is_some_and(|e| e == "md") && !page.ends_with("docs/CLI_REFERENCE.md"))
        .collect();
    pages.sort();
    pages.iter().flat_map(|page| blocks_of(page)).collect()
}

fn blocks_of(page: &Path) -> Vec<Block> {
    let name = page.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(page).unwrap();
    shell_blocks(&text)
        .into_iter()
        .map(|text| Block {
            page: name.clone(),
            commands: text.replace("\\\n", " ").lines().filter_map(command).collect(),
            script: text.starts_with("#!").then_some(text),
        })
        .collect()
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
