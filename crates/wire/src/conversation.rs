//! A conversation as one file: a line of JSON that names its parts, then their bytes. `run` packs it, courier carries it as a
//! blob to [`crate::conversation_ref`], the next attempt's `clone` brings it, and its `run` unpacks it. Who may read the
//! repository can read it there, also after the pod is gone.

use crate::claude;
use serde::{Deserialize, Serialize};

/// Most that is kept. Bytes.
pub const LIMIT: usize = 48 * 1024 * 1024;
/// Name of the file in the shared volume, and in the commit that carries it.
pub const FILE: &str = "conversation";

/// What the first line says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head {
    /// As the agent calls it.
    pub session: String,
    /// Which agent.
    pub agent: String,
    /// Where it was held: some agents find it by that.
    pub cwd: String,
    /// Path below home, and length.
    pub parts: Vec<(String, usize)>,
}

/// A conversation in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// About it.
    pub head: Head,
    /// Content of each part.
    pub parts: Vec<Vec<u8>>,
}

impl Conversation {
    /// As a file.
    #[must_use]
    pub fn pack(mut self) -> Vec<u8> {
        self.head.parts = self
            .head
            .parts
            .into_iter()
            .zip(&self.parts)
            .map(|((name, _), p)| (name, p.len()))
            .collect();
        // Plain data always serialises.
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        for part in &self.parts {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// From a file; none: it is not one, or was cut.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let head: Head = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let mut rest = bytes.get(end + 1..)?;
        let mut parts = Vec::new();
        for (_, length) in &head.parts {
            let (part, tail) = rest.split_at_checked(*length)?;
            parts.push(part.to_vec());
            rest = tail;
        }
        rest.is_empty().then_some(Self { head, parts })
    }

    /// Its lines as people read them; none: it is in a form that only its agent reads.
    #[must_use]
    pub fn readable(&self) -> Option<String> {
        let mut text = String::new();
        for ((name, _), part) in self.head.parts.iter().zip(&self.parts) {
            let part = String::from_utf8_lossy(part);
            match name.rsplit_once('.') {
                Some((_, "jsonl")) => part.lines().for_each(|line| claude::tell(line, &mut text)),
                Some((_, "md")) => text.push_str(&part),
                _ => return None,
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_comes_back_and_a_cut_one_does_not() {
        let talk = Conversation {
            head: Head {
                session: "s".into(),
                parts: vec![("a".into(), 0), ("b/c".into(), 0)],
                ..Head::default()
            },
            parts: vec![b"one\n\xff".to_vec(), Vec::new()],
        };
        let packed = talk.clone().pack();
        let back = Conversation::unpack(&packed).unwrap();
        assert_eq!((&back.parts, &back.head.session), (&talk.parts, &talk.head.session));
        assert_eq!(Conversation::unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(Conversation::unpack(b"{}"), None);
    }

    #[test]
    fn what_people_can_read_of_it() {
        let talk = |part: &str, text: &str| Conversation {
            head: Head {
                parts: vec![(part.into(), 0)],
                ..Head::default()
            },
            parts: vec![text.as_bytes().to_vec()],
        };
        let claude = concat!(
            r#"{"type":"queue-operation","operation":"enqueue"}"#,
            "\n",
            r#"{"type":"user","message":{"role":"user","content":"Fix the flag.\nSoon."}}"#,
            "\n",
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"On it."},{"type":"tool_use","name":"Bash","input":{"command":"make test"}}]}}"#,
            "\n",
            r#"{"type":"user","message":{"content":[{"type":"tool_result","is_error":true,"content":"1 failed\nmore"}]}}"#,
            "\n",
            "half a li",
        );
        assert_eq!(
            talk(".claude/projects/-w/s.jsonl", claude).readable().unwrap(),
            "told  Fix the flag.\n      Soon.\nsays  On it.\nruns  $ make test\n  ->  failed: 1 failed\n"
        );
        assert_eq!(
            talk(".aider.chat.history.md", "# aider\n").readable().unwrap(),
            "# aider\n"
        );
        assert_eq!(talk(".local/share/opencode/opencode.db", "SQLite").readable(), None);
    }
}
