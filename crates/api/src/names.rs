//! Names that are made, and the hash that keeps them within Kubernetes' bounds.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Longest name we make: also legal as a label's value and a host name.
pub const LONGEST_NAME: usize = 63;

/// Eight hex digits over the parts. Stable across processes and builds: SipHash with fixed keys.
#[must_use]
pub fn short_hash(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// `name` cut to fit, its tail replaced by a hash of the whole where it was too long.
#[must_use]
pub fn bounded(name: &str) -> String {
    if name.len() <= LONGEST_NAME {
        return name.to_owned();
    }
    let mut end = LONGEST_NAME - 9;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let head = name
        .get(..end)
        .unwrap_or_default()
        .trim_end_matches(['-', '.']);
    format!("{head}-{}", short_hash(&[name]))
}

/// Name of an attempt's pod: `polecat-<name>`, later ones with their number and a hash of UID and number.
#[must_use]
pub fn pod_name(polecat: &str, uid: &str, attempt: u32) -> String {
    if attempt <= 1 {
        return bounded(&format!("polecat-{polecat}"));
    }
    let tail = format!("-{attempt}-{}", short_hash(&[uid, &attempt.to_string()]));
    let mut end = polecat
        .len()
        .min(LONGEST_NAME.saturating_sub(tail.len() + "polecat-".len()));
    while !polecat.is_char_boundary(end) {
        end -= 1;
    }
    let head = polecat
        .get(..end)
        .unwrap_or_default()
        .trim_end_matches(['-', '.']);
    format!("polecat-{head}{tail}")
}

/// Name of a rig's Witness.
#[must_use]
pub fn witness_name(rig: &str) -> String {
    format!("{rig}-witness")
}

/// Name of a rig's Refinery.
#[must_use]
pub fn refinery_name(rig: &str) -> String {
    format!("{rig}-refinery")
}

/// A text as a Kubernetes name: lower case, dashes for what is not allowed.
#[must_use]
pub fn legalized(text: &str) -> String {
    let dashed: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    bounded(dashed.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_names_fit_and_tell_attempts_apart() {
        assert_eq!(pod_name("furiosa", "u", 1), "polecat-furiosa");
        let long = "x".repeat(63);
        for attempt in [1, 2, 3, 1_000_000] {
            let name = pod_name(&long, "uid", attempt);
            assert!(name.len() <= LONGEST_NAME, "{name}");
            assert_ne!(name, pod_name(&long, "uid", attempt + 1));
        }
        assert_ne!(pod_name("nux", "uid-1", 2), pod_name("nux", "uid-2", 2));
    }

    #[test]
    fn hashes_do_not_change_between_builds() {
        assert_eq!(short_hash(&["a", "b"]), short_hash(&["a", "b"]));
        assert_ne!(short_hash(&["ab"]), short_hash(&["a", "b"]));
    }

    #[test]
    fn any_bead_becomes_a_legal_name() {
        assert_eq!(legalized("mp-123"), "mp-123");
        assert_eq!(legalized("MP_123.x!"), "mp-123-x");
    }
}
