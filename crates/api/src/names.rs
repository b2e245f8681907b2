//! Names that are made, and the hash that keeps them within Kubernetes' bounds. Pods are named by who decides on them.

use sha2::{Digest, Sha256};

/// Longest name we make: also legal as a label's value and a host name.
pub const LONGEST_NAME: usize = 63;

/// Longest name Kubernetes takes for our own kinds. A rig's children keep the predecessor's names up to here.
const LONGEST_OBJECT_NAME: usize = 253;

/// The first eight hex digits of a SHA-256 over the parts and their lengths: the same in every process and release,
/// because names made from it must be found again after an upgrade.
#[must_use]
pub fn short_hash(parts: &[&str]) -> String {
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

/// `name` cut to fit 63 bytes, its tail replaced by a hash of the whole where it was too long.
#[must_use]
pub fn bounded(name: &str) -> String {
    bounded_to(name, LONGEST_NAME)
}

fn bounded_to(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let hash = short_hash(&[name]);
    format!("{}-{hash}", head(name, longest - hash.len() - 1))
}

/// The first bytes of `text`, whole characters only, without a separator at the end.
fn head(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim_end_matches(['-', '.'])
}

/// Name of a polecat's pod. The first attempt has the predecessor's name, so that scripts find it.
#[must_use]
pub fn polecat_pod(polecat: &str, uid: &str, attempt: u32) -> String {
    let first = format!("polecat-{polecat}");
    if attempt <= 1 {
        return first;
    }
    let tail = format!("-{attempt}-{}", short_hash(&[uid, &attempt.to_string()]));
    let room = LONGEST_OBJECT_NAME.saturating_sub(tail.len());
    let head: String = first.chars().take(room).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

/// Name of a rig's Witness.
#[must_use]
pub fn witness_name(rig: &str) -> String {
    bounded_to(&format!("{rig}-witness"), LONGEST_OBJECT_NAME)
}

/// Name of a rig's Refinery.
#[must_use]
pub fn refinery_name(rig: &str) -> String {
    bounded_to(&format!("{rig}-refinery"), LONGEST_OBJECT_NAME)
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
    fn hashes_never_change() {
        // The value is the contract: pods named by an older release are found by it.
        assert_eq!(short_hash(&["uid", "2"]), "2f4ee3f1");
        assert_ne!(short_hash(&["ab"]), short_hash(&["a", "b"]));
    }

    #[test]
    fn children_keep_the_predecessors_names_while_they_fit() {
        let long = "r".repeat(240);
        assert_eq!(refinery_name(&long), format!("{long}-refinery"));
        let longest = "r".repeat(253);
        assert!(refinery_name(&longest).len() <= 253);
        assert_ne!(refinery_name(&longest), witness_name(&longest));
    }

    #[test]
    fn any_bead_becomes_a_legal_name() {
        assert_eq!(legalized("mp-123"), "mp-123");
        assert_eq!(legalized("MP_123.x!"), "mp-123-x");
    }
}
