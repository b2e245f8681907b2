//! What Claude Code says of its doings, in its stream and in the session that it keeps: the same messages in both.

use serde_json::Value;

/// Something it did or said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Words.
    Says(String),
    /// A command, or another tool with what it is about.
    Runs(String),
    /// A file it changes.
    Edits(String),
    /// A tool that ended badly.
    Ends(String),
}

/// What a message of the agent holds.
#[must_use]
pub fn acts(message: &Value) -> Vec<Act> {
    message["content"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(block)
        .collect()
}

fn block(block: &Value) -> Option<Act> {
    match block["type"].as_str()? {
        "text" => Some(Act::Says(block["text"].as_str()?.to_owned())),
        "tool_use" => {
            let (name, input) = (block["name"].as_str()?, &block["input"]);
            let text = |key: &str| input[key].as_str();
            Some(
                match (
                    name,
                    text("command"),
                    text("file_path").or_else(|| text("notebook_path")),
                ) {
                    ("Bash", Some(command), _) => Act::Runs(format!("$ {command}")),
                    ("Edit" | "Write" | "MultiEdit" | "NotebookEdit", _, Some(file)) => Act::Edits(file.to_owned()),
                    (_, _, Some(file)) => Act::Runs(format!("{name} {file}")),
                    _ => {
                        let about = ["pattern", "query", "url", "description", "prompt"]
                            .iter()
                            .find_map(|k| text(k));
                        Act::Runs(
                            format!("{name} {}", brief(about.unwrap_or_default()))
                                .trim_end()
                                .to_owned(),
                        )
                    }
                },
            )
        }
        _ => None,
    }
}

/// Only what went wrong: the rest is in the raw stream.
#[must_use]
pub fn results(message: &Value) -> Vec<Act> {
    let blocks = message["content"].as_array().into_iter().flatten();
    blocks
        .filter(|b| b["type"] == "tool_result" && b["is_error"] == true)
        .map(|b| {
            let text = b["content"].as_str().or_else(|| b["content"][0]["text"].as_str());
            Act::Ends(format!("failed: {}", brief(text.unwrap_or_default())))
        })
        .collect()
}

/// How lines for people begin, by what they tell.
pub mod mark {
    /// [`super::Act::Says`].
    pub const SAYS: &str = "says ";
    /// [`super::Act::Runs`].
    pub const RUNS: &str = "runs ";
    /// [`super::Act::Edits`].
    pub const EDITS: &str = "edits";
    /// [`super::Act::Ends`].
    pub const ENDS: &str = "  -> ";
    /// What a line that goes on begins with.
    pub(super) const MORE: &str = "     ";
}

/// Each line of a text with what it begins with.
pub fn marked<'a>(mark: &'a str, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let lines = text.trim_end().lines().enumerate();
    lines.map(move |(n, line)| (if n == 0 { mark } else { mark::MORE }, line))
}

/// The first line of a text, cut to what a log line may hold.
#[must_use]
pub fn brief(text: &str) -> String {
    const LIMIT: usize = 300;
    let line = text.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(LIMIT) {
        Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// A line of a session, as lines for people; nothing where it is no message.
pub(crate) fn tell(line: &str, text: &mut String) {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let message = &value["message"];
    let mut write = |mark: &str, words: &str| {
        for (mark, line) in marked(mark, words) {
            text.push_str(&format!("{mark} {line}\n"));
        }
    };
    let told = match value["type"].as_str() {
        Some("assistant") => acts(message),
        Some("user") => {
            write("told ", message["content"].as_str().unwrap_or_default());
            results(message)
        }
        _ => return,
    };
    for act in told {
        match act {
            Act::Says(words) => write(mark::SAYS, &words),
            Act::Runs(words) => write(mark::RUNS, &words),
            Act::Edits(words) => write(mark::EDITS, &words),
            Act::Ends(words) => write(mark::ENDS, &words),
        }
    }
}
