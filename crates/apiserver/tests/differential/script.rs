//! Conversations as data: what is asked, in which order.
//!
//! A step is a text `VERB path`, or a map whose one upper-case key is that text, with the body as its
//! value, and options beside it:
//!
//! | option | meaning |
//! |---|---|
//! | `as` | remembers the answer's body: `${name.metadata.uid}` in later steps |
//! | `type`, `accept` | media types |
//! | `until` | repeats the request until this status code, or until these pointers have these values |
//! | `only` | compares only list items whose field has one of these values: `{/resources: {name: [pods]}}` |
//! | `pick` | compares only what stands at these pointers |
//!
//! Verbs beside the methods: `MERGE`, `JSON`, `STRATEGIC`, `APPLY` (patches of that type), `WATCH` (opens
//! one; `EVENTS: n` reads n events of it, `EVENTS: end` all until it ends). `$ns` is the conversation's
//! own namespace; `FORGET path: revision` makes the server forget what that collection was before it, and the
//! conversation is played alone, after the others; the words before the first `/` of a path are looked up in the file's `roots`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) steps: Vec<Step>,
}

impl Conversation {
    /// Whether it makes the server forget, which others in the middle of something would notice.
    pub(crate) fn forgets(&self) -> bool {
        self.steps.iter().any(|s| s.verb == "FORGET")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// As written, for reports.
    pub(crate) text: String,
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) options: Choices,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
    #[serde(rename = "type")]
    pub(crate) media: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) until: Option<Value>,
    #[serde(default)]
    pub(crate) only: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub(crate) pick: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    roots: BTreeMap<String, String>,
    conversations: BTreeMap<String, Vec<Value>>,
}

/// Every conversation, in the order of files and titles.
pub(crate) fn load(folder: &Path) -> Vec<Conversation> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let wanted = std::env::var("DIFFERENTIAL_ONLY").unwrap_or_default();
    let mut all = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // `{x: y}` is a text, not a truth.
        let options = serde_saphyr::options! { strict_booleans: true };
        let file: File =
            serde_saphyr::from_str_with_options(&text, options).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (title, steps) in file.conversations {
            let title = format!("{name}: {title}");
            if !title.contains(&wanted) {
                continue;
            }
            let steps = steps.into_iter().map(|s| step(s, &file.roots, &title)).collect();
            all.push(Conversation {
                file: name.clone(),
                title,
                steps,
            });
        }
    }
    all
}

fn step(written: Value, roots: &BTreeMap<String, String>, title: &str) -> Step {
    let (text, body, options) = match written {
        Value::String(text) => (text, Value::Null, Choices::default()),
        Value::Object(mut map) => {
            let upper = |k: &String| k.starts_with(|c: char| c.is_ascii_uppercase());
            let text = map.keys().find(|k| upper(k)).cloned();
            let text = text.unwrap_or_else(|| panic!("{title}: a step without a verb: {map:?}"));
            let body = map.remove(&text).unwrap();
            let options = serde_json::from_value(Value::Object(map)).unwrap_or_else(|e| panic!("{title}: {text}: {e}"));
            (text, body, options)
        }
        other => panic!("{title}: no step: {other}"),
    };
    let (verb, path) = text.split_once(' ').unwrap_or((&text, ""));
    let (head, rest) = path.find(['/', '?']).map_or((path, ""), |i| path.split_at(i));
    let path = match roots.get(head) {
        Some(root) => format!("{root}{rest}"),
        None if path.is_empty() || path.starts_with('/') => path.to_owned(),
        None => panic!("{title}: {text}: no root is named {head}"),
    };
    Step {
        verb: verb.to_owned(),
        path,
        body,
        options,
        text,
    }
}
