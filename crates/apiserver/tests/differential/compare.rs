//! What differs between two servers' answers, and which of it is known and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::play::Answer;
use crate::script::Conversation;

/// A difference that stays, with its reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// For people: what differs.
    what: String,
    #[expect(dead_code, reason = "read by the generator of the document")]
    why: String,
    /// Where it shows: every place must.
    shows: Vec<Place>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// The title of a conversation; empty for all.
    #[serde(default, rename = "in")]
    title: String,
    /// The step as it is written; empty for all.
    #[serde(default)]
    step: String,
    /// Which parts of an answer: paths such as `body/spec/tolerations`; `*` is one word, `**` any.
    fields: Vec<String>,
    #[serde(skip)]
    seen: bool,
}

pub(crate) struct Known {
    all: Vec<Difference>,
    /// Whether every conversation is played: then each difference must show.
    whole: bool,
}

impl Known {
    pub(crate) fn load(path: &Path) -> Known {
        let text = std::fs::read_to_string(path).unwrap();
        Known {
            all: serde_saphyr::from_str(&text).unwrap(),
            whole: std::env::var_os("DIFFERENTIAL_ONLY").is_none(),
        }
    }

    pub(crate) fn nothing() -> Known {
        Known {
            all: Vec::new(),
            whole: false,
        }
    }

    /// What of `answers` is neither as `expected` nor known, in words.
    pub(crate) fn compare(
        &mut self,
        conversation: &Conversation,
        answers: &[Answer],
        expected: &[Answer],
    ) -> Vec<String> {
        if expected.len() != answers.len() {
            return vec![format!(
                "{}: {} answers, {} recorded; record again",
                conversation.title,
                answers.len(),
                expected.len()
            )];
        }
        let mut lines = Vec::new();
        for (step, (mine, theirs)) in conversation.steps.iter().zip(answers.iter().zip(expected)) {
            let mut found = BTreeMap::new();
            differ("", &plain(mine), &plain(theirs), &mut found);
            let mut unknown = Vec::new();
            for (at, (mine, theirs)) in found {
                if !self.excuses(&conversation.title, &step.text, &at) {
                    unknown.push(format!("    {at}\n      - {theirs}\n      + {mine}"));
                }
            }
            if !unknown.is_empty() {
                lines.push(format!(
                    "{}\n  {}\n{}",
                    conversation.title,
                    step.text,
                    unknown.join("\n")
                ));
            }
        }
        lines
    }

    fn excuses(&mut self, title: &str, step: &str, at: &str) -> bool {
        let mut excused = false;
        for place in self.all.iter_mut().flat_map(|d| &mut d.shows) {
            if (place.title.is_empty() || place.title == title)
                && (place.step.is_empty() || place.step == step)
                && place.fields.iter().any(|f| matches(f, at))
            {
                place.seen = true;
                excused = true;
            }
        }
        excused
    }

    /// Known differences that nothing showed, or not where they say.
    pub(crate) fn idle(&self) -> Vec<String> {
        let all = self.all.iter().filter(|_| self.whole);
        all.flat_map(|d| d.shows.iter().filter(|p| !p.seen).map(|p| format!("{}: {p:?}", d.what)))
            .collect()
    }
}

fn plain(answer: &Answer) -> Value {
    let mut value = serde_json::to_value(answer).unwrap();
    value.as_object_mut().unwrap().remove("step");
    value
}

fn is_refusal(value: &Value) -> bool {
    value.get("kind").and_then(Value::as_str) == Some("Status")
}

/// Differences by their path: the value here and the value there.
fn differ(at: &str, mine: &Value, theirs: &Value, found: &mut BTreeMap<String, (String, String)>) {
    let below = |word: &str| {
        if at.is_empty() {
            word.to_owned()
        } else {
            format!("{at}/{word}")
        }
    };
    match (mine, theirs) {
        // A refusal on one side only: field by field that says nothing.
        (a, b) if is_refusal(a) != is_refusal(b) => {
            found.insert(at.to_owned(), (a.to_string(), b.to_string()));
        }
        (Value::Object(a), Value::Object(b)) => {
            let fields: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for field in fields {
                match (a.get(field), b.get(field)) {
                    (Some(a), Some(b)) => differ(&below(field), a, b, found),
                    (a, b) => {
                        let shown = |v: Option<&Value>| v.map_or("(absent)".into(), Value::to_string);
                        found.insert(below(field), (shown(a), shown(b)));
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&below(&i.to_string()), a, b, found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            found.insert(at.to_owned(), (a.to_string(), b.to_string()));
        }
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    fn words(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=path.len()).any(|i| words(rest, &path[i..])),
            (["*", rest @ ..], [_, more @ ..]) => words(rest, more),
            ([word, rest @ ..], [found, more @ ..]) => word == found && words(rest, more),
            _ => false,
        }
    }
    let split = |text| str::split(text, '/').collect::<Vec<_>>();
    words(&split(pattern), &split(path))
}
