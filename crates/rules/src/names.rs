//! Deterministic names, and texts made legal for the place they go to.

pub(crate) use gastown_api::names::polecat_pod;
use sha2::{Digest, Sha256};

/// Longest name of an object that also becomes a label or host name.
pub(crate) const NAME_LIMIT: usize = 63;

/// The first 8 hex digits of a hash over all parts.
pub(crate) fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A legal object name from any text: lower case, digits, dashes. A text that had to change or did not fit
/// carries a hash, so that two texts never share a name.
pub(crate) fn object_name(text: &str, limit: usize) -> String {
    let mapped: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let trimmed = mapped.trim_matches('-');
    if trimmed == text && text.len() <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(9);
    let head: String = trimmed.chars().take(room).collect();
    let hash = short_hash(&[text]);
    match head.trim_end_matches('-') {
        "" => format!("x-{hash}"),
        head => format!("{head}-{hash}"),
    }
}

/// Name of the ConfigMap with a polecat's long texts; another text is another map.
pub(crate) fn polecat_texts(polecat: &str, uid: &str, text: &str) -> String {
    let tail = format!("-texts-{}", short_hash(&[uid, text]));
    let head: String = format!("polecat-{polecat}")
        .chars()
        .take(253_usize.saturating_sub(tail.len()))
        .collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

/// Names of pods that read a bead store begin so.
pub(crate) const READER: &str = "beads-";

/// Name of the pod that reads a bead store after so many failures in a row: another one each time, of a bounded set.
pub(crate) fn reader(store: &str, uid: &str, failures: i32) -> String {
    let hash = short_hash(&[uid, &failures.clamp(0, 99).to_string()]);
    let name = object_name(&format!("{READER}{store}"), NAME_LIMIT - hash.len() - 1);
    format!("{name}-{hash}")
}

/// Name of the polecat a convoy makes for a bead.
pub(crate) fn convoy_polecat(convoy: &str, bead: &str) -> String {
    object_name(&format!("{convoy}-{bead}"), NAME_LIMIT - "polecat-".len())
}

/// A legal branch from any text; one that had to change carries a hash.
pub(crate) fn branch(text: &str) -> String {
    if legal_branch(text) {
        return text.to_owned();
    }
    let mapped: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '-') {
                c
            } else {
                '-'
            }
        })
        .take(120)
        .collect();
    let parts: Vec<&str> = mapped
        .split('/')
        .map(|part| part.trim_matches('-'))
        .filter(|part| !part.is_empty())
        .collect();
    format!("{}-{}", parts.join("/"), short_hash(&[text]))
}

/// A repository's URL without what two spellings of it differ in.
pub(crate) fn repository(url: &str) -> &str {
    let url = url
        .trim()
        .strip_prefix("file://")
        .unwrap_or(url.trim())
        .trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).trim_end_matches('/')
}

/// Whether git takes a text as a branch, and nothing takes it for an option.
pub(crate) fn legal_branch(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
    !text.is_empty()
        && text.len() <= 200
        && text.chars().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// A full object name of git, SHA-1 or SHA-256: what lands is pinned by them.
pub(crate) fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_legal_and_distinct() {
        for (text, want) in [
            ("mp-123", true),
            ("a/b", true),
            ("a b", false),
            ("-x", false),
            ("a..b", false),
            ("", false),
        ] {
            assert_eq!(legal_branch(text), want, "{text}");
        }
        for text in [
            "feature/mp 1",
            "feature/ü",
            "feature/../x",
            "feature/-",
            "feature/.a",
            "feature/a.lock",
            "x~1",
        ] {
            assert!(legal_branch(&branch(text)), "{text} -> {}", branch(text));
        }
        assert_ne!(branch("feature/a b"), branch("feature/a?b"));
        assert_eq!(branch("feature/mp-1"), "feature/mp-1");
    }

    #[test]
    fn names_fit_and_stay_distinct() {
        let long = "n".repeat(63);
        assert_eq!(polecat_pod("nux", "u", 1), "polecat-nux");
        assert_ne!(polecat_pod("nux", "u", 2), polecat_pod("nux", "v", 2));
        assert!(polecat_pod(&"n".repeat(253), "u", 12).len() <= 253);
        assert!(convoy_polecat(&long, "mp-1").len() <= 55);
        assert_ne!(convoy_polecat(&long, "mp-1"), convoy_polecat(&long, "mp-2"));
        assert_ne!(convoy_polecat("cv", "MP-1"), convoy_polecat("cv", "mp-1"));
        assert_eq!(convoy_polecat("cv", "mp-1"), "cv-mp-1");
        assert!(reader(&long, "u", 0).len() <= 63);
        assert_ne!(reader("s", "u", 0), reader("s", "u", 1));
        assert_ne!(reader("s", "u", 0), reader("s", "v", 0));
        assert_eq!(object_name("ÄÖ", 63), format!("x-{}", short_hash(&["ÄÖ"])));
    }
}
