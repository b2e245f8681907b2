//! Beads (issues) as an export of `bd` has them: JSON lines, one object an issue. Read by whoever has a checkout.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The issue tracker's middle priority: neither urgent nor put off.
const MIDDLE: i32 = 2;

/// One issue. Fields that are missing or null are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bead {
    /// Its ID.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// One line.
    #[serde(deserialize_with = "lenient")]
    pub title: String,
    /// What is to be done.
    #[serde(deserialize_with = "lenient")]
    pub description: String,
    /// How.
    #[serde(deserialize_with = "lenient")]
    pub design: String,
    /// What has to hold when it is done.
    #[serde(deserialize_with = "lenient")]
    pub acceptance_criteria: String,
    /// More.
    #[serde(deserialize_with = "lenient")]
    pub notes: String,
    /// open, in_progress, blocked, deferred, closed, tombstone, …
    #[serde(deserialize_with = "lenient")]
    pub status: String,
    /// 0 is the most urgent, 4 the least.
    pub priority: Option<i32>,
    /// issue, memory; older exports have none.
    #[serde(rename = "_type", deserialize_with = "lenient")]
    pub kind: String,
    /// RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub updated_at: String,
}

/// A text; null or any other value is none.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        _ => Ok(String::new()),
    }
}

impl Bead {
    /// The task it is: title and what else it says, as Markdown.
    #[must_use]
    pub fn task(&self) -> String {
        let mut text = format!("{}: {}\n", self.id, self.title.trim());
        for (heading, part) in [
            ("", &self.description),
            ("Design", &self.design),
            ("Acceptance criteria", &self.acceptance_criteria),
            ("Notes", &self.notes),
        ] {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            if !heading.is_empty() {
                text.push_str(&format!("\n## {heading}\n"));
            }
            text.push_str(&format!("\n{part}\n"));
        }
        text
    }

    /// Its priority as polecats have it: higher goes first, 0 is the middle.
    #[must_use]
    pub fn urgency(&self) -> i32 {
        MIDDLE - self.priority.unwrap_or(MIDDLE).clamp(0, 4)
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.status.as_str(), "closed" | "tombstone")
    }
}

/// Reads an export into what was read before. Of two of one ID the one updated later counts. Lines that are no issue
/// (memories, routes, interactions) are passed over; how many were not JSON at all is returned.
pub fn read_into(beads: &mut BTreeMap<String, Bead>, text: &str) -> usize {
    let mut broken = 0;
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let bead = match serde_json::from_str::<Bead>(line) {
            Ok(bead) => bead,
            Err(_) => {
                broken += 1;
                continue;
            }
        };
        let issue = matches!(bead.kind.as_str(), "" | "issue") && !bead.id.is_empty() && !bead.title.is_empty();
        if issue
            && beads
                .get(&bead.id)
                .is_none_or(|held| held.updated_at <= bead.updated_at)
        {
            beads.insert(bead.id.clone(), bead);
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"id":"mp-1","title":"Add a flag","description":"--version prints it.","acceptance_criteria":"- tested","priority":0,"status":"open","labels":["cli"],"dependencies":[{"issue_id":"mp-1"}],"updated_at":"2026-01-02T00:00:00Z"}
{"_type":"issue","id":"mp-2","title":"Old","status":"closed","priority":4,"notes":null}
{"_type":"memory","id":"m-1","title":"not work"}
{"prefix":"hq-","path":"."}
<<<<<<< a merge conflict

{"id":"mp-1","title":"Add a flag, older","updated_at":"2026-01-01T00:00:00Z"}
"#;

    #[test]
    fn issues_are_read_and_the_rest_passed_over() {
        let mut beads = BTreeMap::new();
        assert_eq!(read_into(&mut beads, EXPORT), 1);
        assert_eq!(beads.keys().collect::<Vec<_>>(), ["mp-1", "mp-2"]);
        let one = &beads["mp-1"];
        assert_eq!(
            one.task(),
            "mp-1: Add a flag\n\n--version prints it.\n\n## Acceptance criteria\n\n- tested\n"
        );
        assert_eq!((one.urgency(), one.is_closed()), (2, false));
        assert_eq!((beads["mp-2"].urgency(), beads["mp-2"].is_closed()), (-2, true));
    }

    #[test]
    fn odd_values_are_no_reason_to_lose_an_issue() {
        let mut beads = BTreeMap::new();
        read_into(
            &mut beads,
            r#"{"id":"a-1","title":"t","description":7,"design":null,"priority":99}"#,
        );
        assert_eq!(beads["a-1"].task(), "a-1: t\n");
        assert_eq!(beads["a-1"].urgency(), -2);
    }
}
