//! What the operator calls, as one table: RBAC is generated from it, tests hold the code to it, and the audit log of a
//! full run is compared with it.

use gastown_api::GROUP;

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Of kinds that are in no namespace.
    Cluster,
    /// In every namespace that is served.
    Watched,
    /// In the operator's own namespace.
    Own,
}

/// Calls of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where.
    pub reach: Reach,
    /// API group; empty for core.
    pub group: &'static str,
    /// Plural, and the subresource after a slash.
    pub resource: &'static str,
    /// The only object, where it has a fixed name.
    pub name: Option<&'static str>,
    /// Kubernetes' words for what is done.
    pub verbs: &'static [&'static str],
    /// Which part of the code does it, and why.
    pub why: &'static str,
}

const COORDINATION: &str = "coordination.k8s.io";

const fn call(
    reach: Reach,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Call {
    Call {
        reach,
        group,
        resource,
        name: None,
        verbs,
        why,
    }
}

/// Everything that the operator calls. Discovery and OpenAPI, which every account may read, are not in it.
pub const CALLS: &[Call] = &[
    call(
        Reach::Cluster,
        GROUP,
        "rigs",
        &["list", "patch", "watch"],
        "watched; patched to take the predecessor's finalizer off",
    ),
    call(Reach::Cluster, GROUP, "rigs/status", &["patch"], "what is decided"),
    call(
        Reach::Watched,
        GROUP,
        "polecats",
        &["create", "get", "list", "patch", "watch"],
        "watched; created by convoys, got where the name was taken; patched to take the predecessor's finalizer off",
    ),
    call(Reach::Watched, GROUP, "convoys", &["list", "watch"], "watched"),
    call(Reach::Watched, GROUP, "witnesses", &["list", "watch"], "watched"),
    call(Reach::Watched, GROUP, "refineries", &["list", "watch"], "watched"),
    call(
        Reach::Watched,
        GROUP,
        "beadstores",
        &["list", "patch", "watch"],
        "watched; patched to take the predecessor's finalizer off",
    ),
    call(Reach::Watched, GROUP, "polecats/status", &["patch"], "what is decided"),
    call(Reach::Watched, GROUP, "convoys/status", &["patch"], "what is decided"),
    call(Reach::Watched, GROUP, "witnesses/status", &["patch"], "what is decided"),
    call(
        Reach::Watched,
        GROUP,
        "refineries/status",
        &["patch"],
        "what is decided",
    ),
    call(
        Reach::Watched,
        GROUP,
        "beadstores/status",
        &["patch"],
        "what is decided",
    ),
    call(
        Reach::Watched,
        "",
        "pods",
        &["create", "delete", "get", "list", "patch", "watch"],
        "watched by our label; created, got where the name was taken, deleted; patched to nudge a silent agent",
    ),
    call(
        Reach::Watched,
        "",
        "configmaps",
        &["create", "get"],
        "texts too long for a pod's spec; got where the name was taken",
    ),
    call(
        Reach::Watched,
        "",
        "events",
        &["create", "patch"],
        "what changed, and why; patched to count what happens again",
    ),
    call(
        Reach::Own,
        GROUP,
        "witnesses",
        &["create", "get"],
        "a rig's; got where the name was taken",
    ),
    call(
        Reach::Own,
        GROUP,
        "refineries",
        &["create", "get"],
        "a rig's; got where the name was taken",
    ),
    call(Reach::Own, COORDINATION, "leases", &["create"], "the election"),
    Call {
        name: Some(crate::lease::LEASE_NAME),
        ..call(Reach::Own, COORDINATION, "leases", &["get", "update"], "the election")
    },
];

/// Whether the table has that call. `namespace` is none for what is in none; `name` where the request has one.
#[must_use]
pub fn is_called(
    group: &str,
    resource: &str,
    verb: &str,
    namespace: Option<&str>,
    name: Option<&str>,
    own: &str,
) -> bool {
    CALLS.iter().any(|call| {
        let place = match call.reach {
            Reach::Cluster => namespace.is_none(),
            // A list of the whole cluster is of every namespace.
            Reach::Watched => true,
            Reach::Own => namespace == Some(own),
        };
        place
            && call.group == group
            && call.resource == resource
            && call.verbs.contains(&verb)
            && call.name.is_none_or(|only| name == Some(only))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 9, and what least privilege means here.
    #[test]
    fn nothing_is_asked_for_that_could_hurt() {
        for call in CALLS {
            assert!(!call.resource.contains("secret"), "{call:?}");
            assert!(!call.resource.contains('*') && !call.verbs.contains(&"*") && !call.group.contains('*'));
            for sub in [
                "exec",
                "attach",
                "portforward",
                "ephemeralcontainers",
                "log",
                "finalizers",
            ] {
                assert!(!call.resource.ends_with(sub), "{call:?}");
            }
            assert!(["", GROUP, COORDINATION].contains(&call.group), "{call:?}");
            let mut sorted = call.verbs.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, call.verbs, "in order, so that what is generated is");
        }
    }

    #[test]
    fn without_a_namespace_only_rigs_are_reached() {
        let cluster: Vec<&str> = CALLS
            .iter()
            .filter(|call| call.reach == Reach::Cluster)
            .map(|call| call.resource)
            .collect();
        assert_eq!(cluster, ["rigs", "rigs/status"]);
    }
}
