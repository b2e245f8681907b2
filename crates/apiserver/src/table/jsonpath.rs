//! The part of kubectl's JSONPath that printer columns use: fields, indexes, `[*]`, and equality filters.

use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// `[?(@.path=="value")]`
    Where(Vec<Step>, bool, String),
}

/// The first value that `path` leads to.
pub(super) fn first<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let steps = parse(path)?;
    walk(value, &steps).into_iter().next()
}

fn walk<'a>(value: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return vec![value];
    };
    let next: Vec<&Value> = match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => item(value, *index).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(path, equal, wanted) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items
                .iter()
                .filter(|i| walk(i, path).first().is_some_and(|v| (text(v) == *wanted) == *equal))
                .collect()
        }
    };
    next.into_iter().flat_map(|v| walk(v, rest)).collect()
}

fn item(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let index = if index < 0 {
        index + i64::try_from(items.len()).ok()?
    } else {
        index
    };
    items.get(usize::try_from(index).ok()?)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let path = path
        .trim()
        .trim_start_matches('{')
        .trim_end_matches('}')
        .trim_start_matches('$');
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let end = closing(tail)?;
            let (inner, after) = tail.split_at(end);
            steps.push(bracket(inner.trim())?);
            rest = after.strip_prefix(']')?;
            continue;
        }
        let tail = rest.strip_prefix('.').unwrap_or(rest);
        let (name, after) = field(tail);
        match name.as_str() {
            "" if after.is_empty() => break,
            "" if after.starts_with('[') => {}
            "" => return None,
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Field(name)),
        }
        rest = after;
    }
    Some(steps)
}

/// A field name up to the next separator; `\.` is a dot inside it.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that was opened before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (path, equal, wanted) = match filter.split_once("==") {
            Some((path, wanted)) => (path, true, wanted),
            None => filter.split_once("!=").map(|(path, wanted)| (path, false, wanted))?,
        };
        let path = parse(path.trim().strip_prefix('@')?)?;
        return Some(Step::Where(path, equal, unquote(wanted.trim()).to_owned()));
    }
    match inner.parse::<i64>() {
        Ok(index) => Some(Step::Index(index)),
        Err(_) => Some(Step::Field(unquote(inner).to_owned())),
    }
}

fn unquote(text: &str) -> &str {
    let inner = |q: char| text.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    inner('\'').or_else(|| inner('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_what_printer_columns_ask_for() {
        let object = json!({
            "metadata": {"labels": {"gastown.io/rig": "parts"}},
            "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True", "n": 3}]},
        });
        for (path, expected) in [
            (".status.conditions[?(@.type==\"Ready\")].status", Some(json!("True"))),
            (".status.conditions[?(@.type=='Ready')].n", Some(json!(3))),
            (".status.conditions[?(@.type!='A')].type", Some(json!("Ready"))),
            (".status.conditions[0].type", Some(json!("A"))),
            (".status.conditions[-1].type", Some(json!("Ready"))),
            (".status.conditions[*].type", Some(json!("A"))),
            (".metadata.labels.gastown\\.io/rig", Some(json!("parts"))),
            (".metadata.labels['gastown.io/rig']", Some(json!("parts"))),
            ("{.status.missing}", None),
            (".status.conditions[", None),
        ] {
            assert_eq!(first(&object, path).cloned(), expected, "{path}");
        }
    }
}
