//! Makes answers comparable: what must differ between two servers becomes the same word on both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::play::Answer;

fn pattern(cell: &'static OnceLock<Regex>, text: &str) -> &'static Regex {
    cell.get_or_init(|| Regex::new(text).unwrap())
}

fn uid() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(&CELL, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
}

fn time() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(&CELL, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
}

/// Revisions in sentences.
fn revision() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(
        &CELL,
        r"(?P<before>current: |ResourceVersion in object meta: |ResourceVersion in precondition: |ResourceVersion in record \()(?P<rv>\d+)|(?P<old>too old resource version: \d+ )\(\d+\)",
    )
}

/// A patched object, printed whole in Go's order of fields.
fn patched() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(
        &CELL,
        r#"^(?P<before>| "" is invalid: patch: )Invalid value: "\{.*\}": "#,
    )
}

fn age() -> &'static Regex {
    static CELL: OnceLock<Regex> = OnceLock::new();
    pattern(&CELL, r"^(\d+[smhd])+$")
}

#[derive(Default)]
struct Names {
    namespace: String,
    uids: BTreeMap<String, String>,
    revisions: BTreeSet<u64>,
    generated: BTreeMap<String, String>,
}

/// The answers of a conversation in its namespace, made plain.
pub(crate) fn make((namespace, mut answers): (String, Vec<Answer>)) -> Vec<Answer> {
    let mut names = Names {
        namespace,
        ..Names::default()
    };
    for answer in &answers {
        names.learn(&answer.body);
    }
    for answer in &mut answers {
        names.simplify(&mut answer.body, false);
        for warning in &mut answer.warnings {
            *warning = names.text(warning);
        }
    }
    answers
}

fn is_list(value: &Value) -> bool {
    value.get("items").is_some() || value.get("rows").is_some()
}

impl Names {
    fn learn(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                for found in uid().find_iter(text) {
                    let next = format!("<uid {}>", self.uids.len() + 1);
                    self.uids.entry(found.as_str().to_owned()).or_insert(next);
                }
            }
            Value::Array(items) => items.iter().for_each(|i| self.learn(i)),
            // A bookmark is at whatever revision the server had reached.
            Value::Object(map) if is_bookmark(map) => {}
            Value::Object(map) => {
                if let Some(metadata) = map.get("metadata") {
                    let text = |field: &str| metadata.get(field).and_then(Value::as_str);
                    if let Some(rv) = text("resourceVersion").filter(|_| !is_list(value)) {
                        self.revisions.extend(rv.parse::<u64>());
                    }
                    if let (Some(name), Some(prefix)) = (text("name"), text("generateName"))
                        && let head = prefix.chars().take(58).collect::<String>()
                        && let Some(suffix) = name.strip_prefix(&head)
                    {
                        let shown = format!("{head}<{} made>", suffix.len());
                        self.generated.insert(name.to_owned(), shown);
                    }
                }
                map.values().for_each(|v| self.learn(v));
            }
            _ => {}
        }
    }

    fn rank(&self, rv: &str) -> String {
        match rv.parse::<u64>() {
            Ok(rv) if self.revisions.contains(&rv) => {
                format!("<revision {}>", self.revisions.range(..=rv).count())
            }
            Ok(0) => "0".to_owned(),
            Ok(_) => "<revision>".to_owned(),
            Err(_) => rv.to_owned(),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut out = patched()
            .replace(text, "${before}Invalid value: <the patched object>: ")
            .replace(&self.namespace, "<ns>");
        for (name, shown) in &self.generated {
            out = out.replace(name, shown);
        }
        out = uid()
            .replace_all(&out, |c: &Captures<'_>| {
                self.uids.get(&c[0]).cloned().unwrap_or_else(|| "<uid>".into())
            })
            .into_owned();
        out = time().replace_all(&out, |c: &Captures<'_>| present(&c[0])).into_owned();
        let rewritten = revision().replace_all(&out, |c: &Captures<'_>| match (c.name("before"), c.name("old")) {
            (Some(before), _) => format!("{}{}", before.as_str(), self.rank(&c["rv"])),
            (_, Some(old)) => format!("{}(<revision>)", old.as_str()),
            _ => String::new(),
        });
        rewritten.into_owned()
    }

    fn simplify(&self, value: &mut Value, cell: bool) {
        let list = is_list(value);
        match value {
            Value::String(text) if cell && age().is_match(text) => *text = "<age>".into(),
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|i| self.simplify(i, cell)),
            Value::Object(map) => {
                sort_discovery(map);
                sort_causes(map);
                if is_bookmark(map)
                    && let Some(object) = map.get_mut("object")
                {
                    anywhere(object, "resourceVersion", "<bookmark>");
                }
                if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("managedFields");
                    if let Some(Value::String(rv)) = metadata.get_mut("resourceVersion") {
                        *rv = if list { "<list>".into() } else { self.rank(rv) };
                    }
                    if let Some(Value::String(token)) = metadata.get_mut("continue")
                        && !token.is_empty()
                    {
                        *token = "<continue>".into();
                    }
                }
                for (field, below) in map.iter_mut() {
                    self.simplify(below, field.ends_with("cells"));
                }
            }
            _ => {}
        }
    }
}

fn is_bookmark(map: &serde_json::Map<String, Value>) -> bool {
    map.get("type").and_then(Value::as_str) == Some("BOOKMARK")
}

/// Sets every text under this name.
fn anywhere(value: &mut Value, field: &str, to: &str) {
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                if name == field && below.is_string() {
                    *below = to.into();
                } else {
                    anywhere(below, field, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|i| anywhere(i, field, to)),
        _ => {}
    }
}

/// Where an object has several faults, the real server finds them in no order. The sentence only joins the causes.
fn sort_causes(map: &mut serde_json::Map<String, Value>) {
    let causes = map
        .get_mut("details")
        .and_then(|d| d.get_mut("causes"))
        .and_then(Value::as_array_mut);
    let Some(causes) = causes.filter(|c| c.len() > 1) else {
        return;
    };
    causes.sort_by_key(Value::to_string);
    if let Some(Value::String(message)) = map.get_mut("message")
        && let Some(at) = message.find(" is invalid: [")
    {
        message.replace_range(at.., " is invalid: [<causes>]");
    }
}

/// The real server lists what definitions define in no order.
fn sort_discovery(map: &mut serde_json::Map<String, Value>) {
    for (list, by) in [("resources", "name"), ("resources", "resource"), ("groups", "name")] {
        if let Some(Value::Array(items)) = map.get_mut(list) {
            items.sort_by_key(|i| i.get(by).and_then(Value::as_str).map(str::to_owned));
        }
    }
}

/// A time of this run; others were written by the conversation.
fn present(text: &str) -> String {
    let time: jiff::Timestamp = text.parse().unwrap();
    let far = jiff::Timestamp::now().duration_since(time).as_secs().abs() > 3600;
    match (far, text.contains('.')) {
        (true, _) => text.to_owned(),
        (false, true) => "<fine time>".into(),
        (false, false) => "<time>".into(),
    }
}
