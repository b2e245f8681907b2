//! Labels, annotations and other names that several rooms agree on.

/// Constant selector label of every pod of ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGED_BY_VALUE: &str = "gastown-operator";
/// Label and annotation: the rig.
pub const RIG: &str = "gastown.io/rig";
/// Label: the polecat.
pub const POLECAT: &str = "gastown.io/polecat";
/// Label: the bead.
pub const BEAD: &str = "gastown.io/bead";
/// Label: the convoy.
pub const CONVOY: &str = "gastown.io/convoy";
/// Label: what a pod is for: polecat, test, land, notify.
pub const ROLE: &str = "gastown.io/role";
/// Label of a rig's Witness and Refinery (the predecessor's).
pub const RIG_OWNER: &str = "gastown.io/rig-owner";
/// Annotation: the attempt a pod is.
pub const ATTEMPT: &str = "gastown.io/attempt";
/// Annotation: the round a pod was made in.
pub const ROUND: &str = "gastown.io/round";
/// Annotation: the orders of a test or land pod, as JSON.
pub const ORDERS: &str = "gastown.io/orders";
/// Annotation on a pod: a message for the agent.
pub const NUDGE: &str = "gastown.io/nudge";
/// Annotation on a pod: the Witness's own message for a silent agent, after the time it was written.
pub const WITNESS_NUDGE: &str = "gastown.io/witness-nudge";
/// Annotation on a pod: the passwd file of its containers that speak git.
pub const PASSWD: &str = "gastown.io/passwd";
/// Annotation kubectl reads for `logs` and `exec`.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// Annotation the cluster autoscaler reads.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// Finalizers the predecessor left; stripped on sight.
pub const PREDECESSOR_FINALIZERS: [&str; 3] = [
    "gastown.io/rig-cleanup",
    "gastown.io/polecat-cleanup",
    "gastown.io/beadstore-cleanup",
];

/// Whether a text may stand as a label's value.
#[must_use]
pub fn legal_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.is_empty()
        || (text.len() <= 63
            && text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::legal_label_value;

    #[test]
    fn label_values_as_kubernetes_takes_them() {
        let longest = "a".repeat(63);
        for legal in ["", "a", "MP-1_x.y", "0", longest.as_str()] {
            assert!(legal_label_value(legal), "{legal}");
        }
        let too_long = "a".repeat(64);
        for illegal in ["-a", "a-", ".", "a b", "a/b", "ä", too_long.as_str()] {
            assert!(!legal_label_value(illegal), "{illegal}");
        }
    }
}
