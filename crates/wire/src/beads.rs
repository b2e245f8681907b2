//! Beads (issues) as an export of `bd` has them: JSON lines, one object an issue. Read by whoever has a checkout. What a pod
//! reports of them is in [`report`].

mod report;

use serde::Deserialize;
use std::collections::BTreeMap;

pub use report::{BeadsOutcome, BeadsRead, BeadsReport};

/// The issue tracker's middle priority: neither urgent nor put off.
const MIDDLE: i64 = 2;

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
    #[serde(deserialize_with = "lenient_number")]
    pub priority: Option<i64>,
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

/// A whole number; anything else is none.
fn lenient_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_i64())
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
        let urgency = MIDDLE - self.priority.unwrap_or(MIDDLE).clamp(0, 4);
        // Between -2 and 2.
        i32::try_from(urgency).unwrap_or_default()
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.status.as_str(), "closed" | "tombstone")
    }
}

/// The folder of a repository that an export lies in.
pub const FOLDER: &str = ".beads";
/// Largest file of an export that is read: no tracker's export is larger. Bytes.
const LARGEST_FILE: usize = 64 * 1024 * 1024;
/// What all files of an export may have together. Bytes.
const LARGEST_EXPORT: usize = 2 * LARGEST_FILE;
/// Most files of an export that are read.
const MOST_FILES: usize = 64;
/// Longest line that is read. Bytes.
const LONGEST_LINE: usize = 1024 * 1024;
/// Most issues that are held: lines are short, and what is made of them is not.
const MOST: usize = 100_000;
/// Most issues whose priority is told.
pub const MOST_RANKED: usize = 400;
/// Longest ID.
const LONGEST_ID: usize = 253;

/// What was read of an export. Anybody may have written it: what is no issue is counted and passed over, and no line
/// spoils another.
#[derive(Clone, Debug, Default)]
pub struct Export {
    beads: BTreeMap<String, Bead>,
    /// Only this one is wanted.
    only: Option<String>,
    broken: usize,
    left_out: usize,
    /// Bytes read.
    taken: usize,
    unread: usize,
}

/// Of the files in [`FOLDER`] those to be read, by name; and how many more exports there are than are read.
pub fn to_read<T>(files: impl IntoIterator<Item = T>, name: impl Fn(&T) -> String) -> (Vec<T>, usize) {
    let mut exports: Vec<T> = files.into_iter().filter(|file| is_export(&name(file))).collect();
    exports.sort_by_key(name);
    let left = exports.len().saturating_sub(MOST_FILES);
    exports.truncate(MOST_FILES);
    (exports, left)
}

/// Whether a file of that name may hold issues.
#[must_use]
pub fn is_export(name: &str) -> bool {
    name.ends_with(".jsonl")
}

/// How many issues an export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Issues with the prefix.
    pub issues: u32,
    /// Of these, not closed.
    pub open: u32,
    /// Issues with another prefix.
    pub others: u32,
}

impl Export {
    /// To be read for one issue: nothing else is held.
    #[must_use]
    pub fn only(id: &str) -> Self {
        Self {
            only: Some(id.to_owned()),
            ..Self::default()
        }
    }

    /// Reads a file into what was read before. Of two of one ID the one updated later counts. Lines that are other JSON
    /// (memories, routes, interactions) are passed over. Returns how many lines are no JSON objects at all, or too long.
    pub fn read(&mut self, file: &[u8]) -> usize {
        let before = self.broken;
        self.taken = self.taken.saturating_add(file.len());
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        for line in file.split(|b| *b == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            // A list would be taken for an object whose fields come in order.
            let whole = line.len() <= LONGEST_LINE && line.starts_with(b"{");
            let text = String::from_utf8_lossy(if whole { line } else { b"" });
            match serde_json::from_str(&text) {
                Ok(bead) => self.hold(bead),
                Err(_) => self.broken += 1,
            }
        }
        self.broken - before
    }

    fn hold(&mut self, bead: Bead) {
        let named = (1..=LONGEST_ID).contains(&bead.id.len()) && bead.id.bytes().all(|b| b.is_ascii_graphic());
        let issue = matches!(bead.kind.as_str(), "" | "issue") && named && !bead.title.is_empty();
        if !issue || self.only.as_ref().is_some_and(|id| *id != bead.id) {
            return;
        }
        match self.beads.get(&bead.id) {
            Some(held) if held.updated_at > bead.updated_at => {}
            None if self.beads.len() >= MOST => self.left_out += 1,
            _ => drop(self.beads.insert(bead.id.clone(), bead)),
        }
    }

    /// How large the next file may be: what is larger is not read, but said to [`Export::pass_over`].
    #[must_use]
    pub fn room(&self) -> usize {
        LARGEST_FILE.min(LARGEST_EXPORT.saturating_sub(self.taken))
    }

    /// So many files are not read: they are too large or too many.
    pub fn pass_over(&mut self, files: usize) {
        self.unread += files;
    }

    /// The issue of this ID.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Bead> {
        self.beads.get(id)
    }

    /// Whether no issue was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.beads.is_empty()
    }

    /// Lines that are no JSON objects, or too long.
    #[must_use]
    pub fn broken(&self) -> usize {
        self.broken
    }

    /// Files that were not read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Issues that were found and not held: there are too many.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The open issues with the prefix whose urgency is not the middle one.
    #[must_use]
    pub fn ranked(&self, prefix: &str) -> Ranked {
        let open = |b: &&Bead| b.id.starts_with(prefix) && !b.is_closed() && b.urgency() != 0;
        let mut beads: Vec<&Bead> = self.beads.values().filter(open).collect();
        beads.sort_by_key(|b| std::cmp::Reverse(b.urgency()));
        beads.truncate(MOST_RANKED);
        let groups = beads.chunk_by(|a, b| a.urgency() == b.urgency());
        groups
            .filter_map(|group| Some((group.first()?.urgency(), group.iter().map(|b| b.id.clone()).collect())))
            .collect()
    }

    /// How many there are, by prefix. What was deleted (a tombstone) is no issue any more.
    #[must_use]
    pub fn tally(&self, prefix: &str) -> Tally {
        let mut tally = Tally::default();
        for bead in self.beads.values().filter(|b| b.status != "tombstone") {
            if bead.id.starts_with(prefix) {
                tally.issues += 1;
                tally.open += u32::from(!bead.is_closed());
            } else {
                tally.others += 1;
            }
        }
        tally
    }
}

/// Issues by urgency, the most urgent first; see [`Bead::urgency`].
pub type Ranked = Vec<(i32, Vec<String>)>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXPORT: &str = r#"{"id":"mp-1","title":"Add a flag","description":"--version prints it.","acceptance_criteria":"- tested","priority":0,"status":"open","labels":["cli"],"dependencies":[{"issue_id":"mp-1"}],"updated_at":"2026-01-02T00:00:00Z"}
{"_type":"issue","id":"mp-2","title":"Old","status":"closed","priority":4,"notes":null}
{"_type":"memory","id":"m-1","title":"not work"}
{"prefix":"hq-","path":"."}
<<<<<<< a merge conflict

{"id":"mp-1","title":"Add a flag, older","updated_at":"2026-01-01T00:00:00Z"}
{"id":"mp-3","title":"Deleted","status":"tombstone"}
{"id":"hq-1","title":"Of the town"}
"#;

    #[test]
    fn issues_are_read_and_the_rest_passed_over() {
        let mut export = Export::default();
        assert_eq!(export.read(EXPORT.as_bytes()), 1);
        assert_eq!(
            export.beads.keys().collect::<Vec<_>>(),
            ["hq-1", "mp-1", "mp-2", "mp-3"]
        );
        let one = export.get("mp-1").unwrap();
        assert_eq!(
            one.task(),
            "mp-1: Add a flag\n\n--version prints it.\n\n## Acceptance criteria\n\n- tested\n"
        );
        assert_eq!((one.urgency(), one.is_closed()), (2, false));
        let two = export.get("mp-2").unwrap();
        assert_eq!((two.urgency(), two.is_closed()), (-2, true));
        let tally = Tally {
            issues: 2,
            open: 1,
            others: 1,
        };
        assert_eq!(export.tally("mp-"), tally);
    }

    #[test]
    fn the_open_issues_that_are_not_middling_are_ranked() {
        let mut export = Export::default();
        let issue = |id: &str, priority: i64, status: &str| {
            format!("{{\"id\":\"{id}\",\"title\":\"t\",\"priority\":{priority},\"status\":\"{status}\"}}\n")
        };
        let lines = [
            issue("mp-1", 4, "open"),
            issue("mp-2", 0, "open"),
            issue("mp-3", 2, "open"),
            issue("mp-4", 0, "closed"),
            issue("mp-5", 0, "in_progress"),
            issue("hq-1", 0, "open"),
        ];
        export.read(lines.concat().as_bytes());
        let ids = |all: &[&str]| all.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            export.ranked("mp-"),
            [(2, ids(&["mp-2", "mp-5"])), (-2, ids(&["mp-1"]))]
        );
    }

    #[test]
    fn which_files_are_read() {
        let names = ["issues.jsonl", "b.jsonl", "config.yaml", "jsonl", "-x.jsonl"];
        let (chosen, left) = to_read(names, |n| (*n).to_owned());
        assert_eq!((chosen, left), (vec!["-x.jsonl", "b.jsonl", "issues.jsonl"], 0));
        let (chosen, left) = to_read(0..99, |n| format!("{n:02}.jsonl"));
        assert_eq!((chosen.len(), chosen[0], left), (64, 0, 35));
    }

    #[test]
    fn no_file_and_not_all_together_are_larger_than_any_export() {
        let mut export = Export::default();
        let large = vec![b'x'; LARGEST_FILE];
        assert_eq!(export.room(), LARGEST_FILE);
        export.read(&large);
        assert_eq!(export.room(), LARGEST_FILE);
        export.read(b"\n");
        assert_eq!(export.room(), LARGEST_FILE - 1);
        export.read(&large);
        assert_eq!(export.room(), 0);
    }

    #[test]
    fn who_looks_for_one_holds_one() {
        let mut export = Export::only("mp-2");
        export.read(EXPORT.as_bytes());
        assert_eq!(export.beads.len(), 1);
        assert_eq!(export.get("mp-2").unwrap().title, "Old");
    }

    #[test]
    fn odd_values_are_no_reason_to_lose_an_issue() {
        let mut export = Export::default();
        let text = "\u{feff}{\"id\":\"a-1\",\"title\":\"t\",\"description\":7,\"design\":null,\"priority\":99}\r\n\
                    {\"id\":\"a-2\",\"title\":\"t\",\"priority\":\"high\"}";
        assert_eq!(export.read(text.as_bytes()), 0);
        assert_eq!(export.get("a-1").unwrap().task(), "a-1: t\n");
        assert_eq!(export.get("a-1").unwrap().urgency(), -2);
        assert_eq!(export.get("a-2").unwrap().urgency(), 0);
    }

    #[test]
    fn hostile_lines_are_counted_and_spoil_no_other() {
        let long = format!("{{\"id\":\"a-1\",\"title\":\"{}\"}}", "x".repeat(LONGEST_LINE));
        let deep = "[".repeat(100_000);
        let nested = format!("{{\"id\":\"a-2\",\"title\":\"t\",\"x\":{deep}");
        let name = format!("{{\"id\":\"{}\",\"title\":\"t\"}}", "i".repeat(LONGEST_ID + 1));
        let lines = [
            &long,
            &deep,
            &nested,
            "[\"a-3\",\"a list is no issue\"]",
            "null",
            "\"a-4\"",
            "{\"id\":\"a-5\",\"id\":\"a-5\",\"title\":\"twice\"}",
            // JSON, and no issues.
            &name,
            "{\"id\":\"a 6\",\"title\":\"t\"}",
            "{\"id\":[],\"title\":\"t\"}",
            "{\"id\":\"a-7\",\"title\":\"good\"}",
        ];
        let mut file = lines.join("\n").into_bytes();
        file.extend(b"\n\xff\xfe{\n{\"id\":\"a-8\",\"title\":\"\xff\"}\n\0\n");
        let mut export = Export::default();
        assert_eq!(export.read(&file), 9);
        assert_eq!(export.beads.keys().collect::<Vec<_>>(), ["a-7", "a-8"]);
    }

    #[test]
    fn more_than_anybody_has_are_left_out() {
        let mut file = String::new();
        for n in 0..=MOST {
            file.push_str(&format!("{{\"id\":\"a-{n}\",\"title\":\"t\"}}\n"));
        }
        let mut export = Export::default();
        assert_eq!(export.read(file.as_bytes()), 0);
        assert_eq!((export.beads.len(), export.left_out()), (MOST, 1));
        assert_eq!(export.tally("a-").issues, 100_000);
    }

    proptest! {
        #[test]
        fn no_file_stops_the_reader(file in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut export = Export::default();
            let lines = file.split(|b| *b == b'\n').count();
            prop_assert!(export.read(&file) <= lines);
        }
    }
}
