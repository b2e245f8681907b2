//! Lines as people may see them: no control character of a model reaches a terminal, no secret of the pod a log.

use super::Event;
use gastown_wire::claude::{self, mark};
use gastown_wire::spent;

/// Written in place of a secret.
const HIDDEN: &str = "[redacted]";
/// What is shorter is no secret but a word. Bytes.
const SHORTEST: usize = 8;

/// Values that must not be shown.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// From the environment of the agent's container, those of its names that a Secret fills, and files with logins and settings.
    pub fn of<'a>(
        env: impl Iterator<Item = (&'a str, &'a str)>,
        named: &[String],
        files: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut values: Vec<String> = env
            .filter(|(name, _)| is_secret_name(name) || named.iter().any(|n| n == name))
            .flat_map(|(_, value)| value.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for text in files {
            match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) => strings(&value, "", &mut values),
                Err(_) => text.lines().for_each(|line| assigned(line, &mut values)),
            }
        }
        // As JSON writes them, too.
        let quoted: Vec<String> = values
            .iter()
            .filter_map(|v| Some(serde_json::to_string(v).ok()?.trim_matches('"').to_owned()))
            .collect();
        values.extend(quoted);
        values.retain(|v| v.len() >= SHORTEST && v != "none");
        // The longest first: one may hold another.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self(values)
    }

    /// The text without them.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }

    /// Whether bytes that cannot be changed hold one.
    #[must_use]
    pub fn are_in(&self, bytes: &[u8]) -> bool {
        self.0
            .iter()
            .any(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "AUTHORIZATION"]
        .iter()
        .any(|word| name.contains(word))
}

/// A line of a file of variables or of YAML: the whole, and what it sets that is named like a secret. aider's `api-key` list sets
/// by the names of providers.
fn assigned(line: &str, found: &mut Vec<String>) {
    let line = line.trim();
    found.push(line.to_owned());
    let (item, line) = match line.strip_prefix("- ") {
        Some(item) => (true, item.trim()),
        None => (false, line),
    };
    let line = unquoted(line.trim_start_matches("export "));
    let Some((name, value)) = line.split_once(['=', ':']) else {
        return;
    };
    if item || is_secret_name(name) {
        let value = unquoted(value.trim());
        found.push(value.to_owned());
        found.extend(value.split_once('=').map(|(_, value)| value.to_owned()));
    }
}

fn unquoted(text: &str) -> &str {
    let quotes = ['"', '\''];
    text.strip_prefix(quotes)
        .and_then(|t| t.strip_suffix(quotes))
        .unwrap_or(text)
}

/// Strings in a login that look like secrets: what is named so, at any depth.
fn strings(value: &serde_json::Value, name: &str, found: &mut Vec<String>) {
    match value {
        // opencode calls the tokens of a login so.
        serde_json::Value::String(text) if is_secret_name(name) || ["access", "refresh"].contains(&name) => {
            found.push(text.clone());
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| strings(v, name, found)),
        serde_json::Value::Object(map) => map.iter().for_each(|(name, v)| strings(v, name, found)),
        _ => {}
    }
}

/// Without control characters, and without those that turn the direction of a line.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\t' => out.push('\t'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Leaves out what an escape introduces: `[…m`, `]…BEL`, or one character.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(']' | 'P' | '_' | '^') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    return;
                }
            }
        }
        _ => {}
    }
}

/// An event as lines of the log; none: not worth one.
#[must_use]
pub fn lines(event: &Event, plain: bool) -> Vec<String> {
    let marked = |mark: &str, text: &str| {
        let lines = claude::marked(mark, text);
        lines.map(|(mark, line)| format!("{mark} {}", clean(line))).collect()
    };
    match event {
        // A program of the user's own is shown as it is.
        Event::Says(text) if plain => text.lines().map(clean).collect(),
        Event::Says(text) => marked(mark::SAYS, text),
        Event::Runs(text) => marked(mark::RUNS, text),
        Event::Edits(text) => marked(mark::EDITS, text),
        Event::Ends(text) => marked(mark::ENDS, text),
        Event::Notes(text) => marked("note ", text),
        Event::Retries(text) => marked("waits", text),
        Event::Spent(spent) => vec![spent::line(spent.tokens, spent.micros)],
        Event::Session(_) | Event::TurnOver | Event::Over => Vec::new(),
    }
}
