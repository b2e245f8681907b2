//! Nudges: a pod annotation, through the downward API, to the agent.

use std::path::PathBuf;

use gastown_wire::ANNOTATIONS_FILE;

use crate::setup::Pod;

/// The annotation by which people tell the agent something.
pub const ANNOTATION: &str = "gastown.io/nudge";
/// The operator's own, for an agent of which nothing is seen: it must not take a person's place.
pub const WITNESS: &str = "gastown.io/witness-nudge";

/// Watches the file the kubelet writes; each new value is told once.
#[derive(Debug)]
pub(crate) struct Nudges {
    file: Option<PathBuf>,
    /// What was told last, of each annotation.
    last: [Option<String>; 2],
}

impl Nudges {
    pub(crate) fn of(pod: &Pod) -> Self {
        let folder = &pod.orders.paths.pod_info;
        Self {
            file: (!folder.is_empty()).then(|| PathBuf::from(folder).join(ANNOTATIONS_FILE)),
            last: [None, None],
        }
    }

    /// A nudge that was not told yet. There may be another.
    pub(crate) fn fresh(&mut self) -> Option<String> {
        // A missing file is a node that has not written it yet.
        let text = std::fs::read_to_string(self.file.as_ref()?).ok()?;
        for (annotation, last) in [ANNOTATION, WITNESS].into_iter().zip(&mut self.last) {
            let now = value(&text, annotation);
            if *last != now {
                last.clone_from(&now);
                if let Some(text) = now.filter(|text| !text.is_empty()) {
                    return Some(text);
                }
            }
        }
        None
    }
}

/// Finds a key in the downward API's format: `key="value"` a line, the value quoted as Go does.
fn value(file: &str, key: &str) -> Option<String> {
    let quoted = file
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix("=\""))?;
    let mut chars = quoted.strip_suffix('"').unwrap_or(quoted).chars();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'x' => out.push(code(&mut chars, 2)?),
            'u' => out.push(code(&mut chars, 4)?),
            'U' => out.push(code(&mut chars, 8)?),
            other => out.push(other),
        }
    }
    Some(out)
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let hex: String = chars.take(digits).collect();
    if hex.len() != digits {
        return None;
    }
    char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted_as_go_quotes_them() {
        let file = "a=\"x\"\ngastown.io/nudge=\"say \\\"hi\\\"\\n\\tto C:\\\\x \\u00e9 🦀\"\nb=\"\"\n";
        assert_eq!(value(file, ANNOTATION).unwrap(), "say \"hi\"\n\tto C:\\x é 🦀");
        assert_eq!(value("gastown.io/nudge-not=\"x\"", ANNOTATION), None);
        assert_eq!(value("gastown.io/nudge=\"broken \\u12", ANNOTATION), None);
    }

    #[test]
    fn the_names_are_those_that_are_written() {
        use gastown_api::labels;
        assert_eq!((ANNOTATION, WITNESS), (labels::NUDGE, labels::WITNESS_NUDGE));
    }

    #[test]
    fn a_nudge_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(ANNOTATIONS_FILE);
        let mut nudges = Nudges {
            file: Some(file.clone()),
            last: [None, None],
        };
        assert_eq!(nudges.fresh(), None);
        std::fs::write(&file, "gastown.io/nudge=\"go on\"\n").unwrap();
        assert_eq!(nudges.fresh().as_deref(), Some("go on"));
        assert_eq!(nudges.fresh(), None);
        std::fs::write(&file, "gastown.io/nudge=\"again\"\n").unwrap();
        assert_eq!(nudges.fresh().as_deref(), Some("again"));
        // The operator's takes no person's place, and the other way round.
        let both = "gastown.io/nudge=\"mine\"\ngastown.io/witness-nudge=\"12:00 hello?\"\n";
        std::fs::write(&file, both).unwrap();
        assert_eq!(nudges.fresh().as_deref(), Some("mine"));
        assert_eq!(nudges.fresh().as_deref(), Some("12:00 hello?"));
        assert_eq!(nudges.fresh(), None);
        // Taken back it is no word, and the next one is.
        std::fs::write(&file, "gastown.io/nudge=\"mine\"\n").unwrap();
        assert_eq!(nudges.fresh(), None);
        std::fs::write(
            &file,
            "gastown.io/nudge=\"mine\"\ngastown.io/witness-nudge=\"13:00 hello?\"\n",
        )
        .unwrap();
        assert_eq!(nudges.fresh().as_deref(), Some("13:00 hello?"));
    }
}
