//! Files to objects: YAML, and the manifests in Markdown. Placeholders are filled with the example their file gives.
//!
//! ```yaml
//! # {{POLECAT_NAME}} = nux   its name
//! ```

use kubectl_gt::{Failure, exit};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was found of an object, or why it is none.
pub(super) type Found = Result<Object, String>;

/// One document of a file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: String,
    /// Where it begins. From 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) found: Found,
    /// Placeholders in it, and what they were filled with.
    pub(super) placeholders: Vec<String>,
}

/// An object that can be sent.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) value: Value,
}

impl Object {
    pub(super) fn namespace(&self) -> Option<&str> {
        self.value.get("metadata")?.get("namespace")?.as_str()
    }
}

/// The objects of a file, or of the files of a folder.
pub(super) fn read(path: &Path) -> Result<Vec<Part>, Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::USAGE, format!("{} cannot be read: {e}", path.display()));
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(failed)?;
        let mut files: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        files.retain(|f| f.is_dir() || kind_of(f).is_some());
        files.sort();
        let parts = files.iter().map(|f| read(f)).collect::<Result<Vec<_>, _>>()?;
        return Ok(parts.into_iter().flatten().collect());
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let file = path.display().to_string();
    Ok(match kind_of(path) {
        Some(Kind::Markdown) => {
            let blocks = fenced(&text).into_iter();
            // Prose shows parts of objects, too; those are nobody's manifest.
            let whole = blocks.flat_map(|(line, block)| documents(&file, line, block, &BTreeMap::new()));
            whole.filter(|p| p.found.is_ok()).collect()
        }
        Some(Kind::Yaml) | None => documents(&file, 1, &text, &examples(&text)),
    })
}

enum Kind {
    Yaml,
    Markdown,
}

fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "yaml" | "yml" | "json" => Some(Kind::Yaml),
        "md" => Some(Kind::Markdown),
        _ => None,
    }
}

/// The YAML blocks of a Markdown text that hold whole objects, and their first lines.
fn fenced(text: &str) -> Vec<(usize, &str)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(open) = rest.find("```") {
        let (before, after) = rest.split_at(open);
        let Some((fence, body)) = after.split_once('\n') else {
            break;
        };
        line += before.matches('\n').count() + 1;
        let Some(close) = body.find("```") else { break };
        let (block, after) = body.split_at(close);
        if matches!(fence.trim_start_matches('`').trim(), "yaml" | "yml") && block.contains("apiVersion:") {
            blocks.push((line, block));
        }
        line += block.matches('\n').count();
        // What follows the closing fence begins on its line.
        rest = after.trim_start_matches('`');
    }
    blocks
}

/// What a file says its placeholders may be.
fn examples(text: &str) -> BTreeMap<String, String> {
    let said = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix('#')?.trim().split_once(" = ")?;
        let name = name.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        // The value ends where two spaces begin what it is.
        let value = value.split("  ").next()?.trim();
        Some((name.to_owned(), value.to_owned()))
    });
    said.collect()
}

/// The documents of a YAML text that begins on that line.
fn documents(file: &str, first: usize, text: &str, examples: &BTreeMap<String, String>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut line = first;
    for document in split(text) {
        let begins = line + document.lines().take_while(|l| is_idle(l)).count();
        let idle = document.lines().all(is_idle);
        line += document.matches('\n').count();
        if idle {
            continue;
        }
        let (filled, placeholders) = fill(document, examples);
        parts.push(Part {
            file: file.to_owned(),
            line: begins,
            found: filled.and_then(|text| object(&text)),
            placeholders,
        });
    }
    parts
}

/// A line that says nothing.
fn is_idle(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// The documents, each with the line that parts it from the one before.
fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\n---") {
        let (document, after) = rest.split_at(at + 1);
        documents.push(document);
        rest = after;
    }
    documents.push(rest);
    documents
}

/// The text with its placeholders filled, and which they are.
fn fill(text: &str, examples: &BTreeMap<String, String>) -> (Result<String, String>, Vec<String>) {
    let mut filled = String::with_capacity(text.len());
    let (mut known, mut unknown) = (BTreeSet::new(), Vec::new());
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            filled.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some((before, name, after)) = placeholder(rest) {
            filled.push_str(before);
            match examples.get(name) {
                Some(value) => {
                    filled.push_str(value);
                    known.insert(format!("{{{{{name}}}}} (judged as {value})"));
                }
                None => unknown.push(name.to_owned()),
            }
            rest = after;
        }
        filled.push_str(rest);
    }
    let known = known.into_iter().collect();
    if unknown.is_empty() {
        return (Ok(filled), known);
    }
    let why = format!(
        "placeholders to be replaced, and no example is given: {}",
        unknown.join(", ")
    );
    (Err(why), known)
}

/// The first placeholder in a text: what is before it, its name, what comes after.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(legal)).then_some((before, name, after))
}

fn object(text: &str) -> Result<Object, String> {
    let value: Value = serde_saphyr::from_str(text).map_err(|e| format!("it is no YAML: {e}"))?;
    let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(api_version), Some(kind)) = (word(&value, "apiVersion"), word(&value, "kind")) else {
        return Err("it has no apiVersion and kind, so it is no object".to_owned());
    };
    let metadata = value.get("metadata").cloned().unwrap_or_default();
    let Some(name) = word(&metadata, "name") else {
        return Err(format!("{kind} has no metadata.name"));
    };
    Ok(Object {
        api_version,
        kind,
        name,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_with_their_lines_and_filled() {
        let text = "# {{NAME}} = nux   whose it is\n# {{X}} = a b   c\napiVersion: v1\nkind: A\nmetadata:\n  name: \"{{NAME}}-{{X}}\"\n---\n---\n# no more\n---\nkind: B\n";
        let parts = documents("f", 1, text, &examples(text));
        assert_eq!(parts.len(), 2, "{parts:?}");
        let first = parts[0].found.as_ref().unwrap();
        assert_eq!(
            (parts[0].line, first.name.as_str(), first.kind.as_str()),
            (3, "nux-a b", "A")
        );
        assert_eq!(parts[0].placeholders.len(), 2);
        assert_eq!(parts[1].line, 11);
        assert!(parts[1].found.as_ref().unwrap_err().contains("apiVersion"));
        let unknown = documents("f", 1, "name: {{WHO}}\nb: {{ nothing }}\n", &BTreeMap::new());
        assert!(unknown[0].found.as_ref().unwrap_err().contains("WHO"));
    }

    #[test]
    fn markdown_gives_its_whole_manifests() {
        let text = "# T\n\n```sh\napiVersion: no\n```\n\n```yaml\nagent: x\n```\ntext\n```yaml\napiVersion: v1\nkind: A\nmetadata: {name: n}\n---\napiVersion: v1\n```\n```yaml\nunclosed apiVersion: x\n";
        let blocks = fenced(text);
        assert_eq!(blocks.len(), 1, "{blocks:?}");
        assert_eq!(blocks[0].0, 12);
        assert!(blocks[0].1.starts_with("apiVersion: v1\nkind: A"));
    }
}
