//! Label and field selectors.

use serde_json::Value;

use crate::catalog::{Resource, Version};
use crate::kinds::BuiltIn;
use crate::names::{is_label_value, is_qualified};
use crate::object::{dig, meta};
use crate::status::{ApiError, ApiResult};

/// Which objects a list or watch shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(Vec<String>, bool, String)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Greater(i64),
    Less(i64),
}

impl Selector {
    /// Parses both selectors of a request.
    pub(crate) fn parse(labels: &str, fields: &str, resource: &Resource, version: &Version) -> ApiResult<Selector> {
        let labels =
            parse_labels(labels).map_err(|why| ApiError::bad_request(format!("unable to parse requirement: {why}")))?;
        let mut parsed = Vec::new();
        for term in fields.split(',').map(str::trim).filter(|t| !t.is_empty()) {
            let (path, equal, value) = split_field(term).ok_or_else(|| {
                ApiError::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'"))
            })?;
            if !is_selectable(path, resource, version) {
                return Err(ApiError::bad_request(format!("field label not supported: {path}")));
            }
            parsed.push((path.split('.').map(str::to_owned).collect(), equal, value.to_owned()));
        }
        Ok(Selector { labels, fields: parsed })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn admits(&self, object: &Value) -> bool {
        self.labels.iter().all(|r| r.admits(object))
            && self
                .fields
                .iter()
                .all(|(path, equal, value)| (field(object, path) == *value) == *equal)
    }
}

fn split_field(term: &str) -> Option<(&str, bool, &str)> {
    if let Some((path, value)) = term.split_once("!=") {
        return Some((path, false, value));
    }
    term.split_once("==")
        .or_else(|| term.split_once('='))
        .map(|(path, value)| (path, true, value))
}

fn is_selectable(path: &str, resource: &Resource, version: &Version) -> bool {
    match path {
        "metadata.name" => true,
        "metadata.namespace" => resource.namespaced,
        _ => version.selectable.iter().any(|s| s == path),
    }
}

/// A field as text; fields of some events live elsewhere than their selector says.
fn field(object: &Value, path: &[String]) -> String {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let found = match words.as_slice() {
        ["source"] => dig(object, &["source", "component"]),
        ["reportingComponent"] => dig(object, &["reportingComponent"]),
        words => dig(object, words),
    };
    match found {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) if words == ["spec", "unschedulable"] => "false".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

impl Requirement {
    fn admits(&self, object: &Value) -> bool {
        let label = meta(object, "labels")
            .and_then(|l| l.get(&self.key))
            .and_then(Value::as_str);
        match (&self.test, label) {
            (Test::In(values), Some(label)) => values.iter().any(|v| v == label),
            (Test::NotIn(values), Some(label)) => !values.iter().any(|v| v == label),
            (Test::Exists, label) => label.is_some(),
            (Test::Missing, label) => label.is_none(),
            (Test::Greater(than), Some(label)) => label.parse::<i64>().is_ok_and(|l| l > *than),
            (Test::Less(than), Some(label)) => label.parse::<i64>().is_ok_and(|l| l < *than),
            (Test::NotIn(_), None) => true,
            (Test::In(_) | Test::Greater(_) | Test::Less(_), None) => false,
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    split_terms(text)
        .into_iter()
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .map(parse_requirement)
        .collect()
}

/// Splits at commas outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(text.get(start..i).unwrap_or_default());
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn parse_requirement(term: &str) -> Result<Requirement, String> {
    let made = |key: &str, test: Test| {
        let key = key.trim();
        if is_qualified(key) {
            Ok(Requirement {
                key: key.to_owned(),
                test,
            })
        } else {
            Err(format!("invalid label key \"{key}\""))
        }
    };
    if let Some(key) = term.strip_prefix('!') {
        return made(key, Test::Missing);
    }
    if let Some(open) = term.find('(') {
        return parse_set(term, open, made);
    }
    let value = |text: &str| {
        let text = text.trim().to_owned();
        if is_label_value(&text) {
            Ok(text)
        } else {
            Err(format!("invalid label value: \"{text}\""))
        }
    };
    if let Some((key, v)) = term.split_once("!=") {
        return made(key, Test::NotIn(vec![value(v)?]));
    }
    if let Some((key, v)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return made(key, Test::In(vec![value(v)?]));
    }
    for (sign, greater) in [('>', true), ('<', false)] {
        if let Some((key, v)) = term.split_once(sign) {
            let number: i64 = v
                .trim()
                .parse()
                .map_err(|_| format!("\"{}\" is not an integer", v.trim()))?;
            return made(
                key,
                if greater {
                    Test::Greater(number)
                } else {
                    Test::Less(number)
                },
            );
        }
    }
    made(term, Test::Exists)
}

fn parse_set(
    term: &str,
    open: usize,
    made: impl Fn(&str, Test) -> Result<Requirement, String>,
) -> Result<Requirement, String> {
    let (head, tail) = term.split_at(open);
    let inner = tail
        .strip_prefix('(')
        .and_then(|t| t.trim_end().strip_suffix(')'))
        .ok_or_else(|| format!("\"{term}\" has no closing parenthesis"))?;
    let values: Vec<String> = inner.split(',').map(|v| v.trim().to_owned()).collect();
    let mut words = head.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(key), Some("in"), None) => made(key, Test::In(values)),
        (Some(key), Some("notin"), None) => made(key, Test::NotIn(values)),
        _ => Err(format!("\"{term}\": expected: in, notin")),
    }
}

impl BuiltIn {
    /// Whether lists of this kind should drop what is too old to show.
    pub(crate) fn expires(self) -> bool {
        self == BuiltIn::Event
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_match_as_kubectl_writes_them() {
        let object = json!({"metadata": {"labels": {"app": "town", "tier": "2", "gastown.io/rig": "parts"}}});
        for (selector, expected) in [
            ("app=town", true),
            ("app==town,tier!=3", true),
            ("app in (x, town),tier notin (3,4)", true),
            ("gastown.io/rig", true),
            ("!gastown.io/rig", false),
            ("missing!=x", true),
            ("tier>1,tier<3", true),
            ("tier>2", false),
            ("app in (x)", false),
            ("", true),
        ] {
            let parsed = parse_labels(selector).unwrap();
            assert_eq!(parsed.iter().all(|r| r.admits(&object)), expected, "{selector}");
        }
        for bad in ["app in (x", "a b", "app=a b", "x>y", "-=1"] {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
    }
}
