//! Where the operator looks, and at what.

use gastown_api::labels;
use gastown_rules::{Key, Kind};
use std::collections::BTreeSet;

/// The namespaces that the operator serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    Cluster,
    /// These only. Rigs, which are in no namespace, are served all the same.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// The listed namespaces and the operator's own, where rigs' children live; none listed means all.
    #[must_use]
    pub fn of(listed: &[String], own: &str) -> Self {
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if listed.is_empty() {
            return Self::Cluster;
        }
        Self::Namespaces(listed.into_iter().chain([own.to_owned()]).collect())
    }

    /// Whether an event about the object can be told: of what is in no namespace, events live in `default`, where an
    /// operator of listed namespaces may write nothing.
    pub(crate) fn tells_of(&self, key: &Key) -> bool {
        matches!(self, Self::Cluster) || !key.namespace.is_empty()
    }

    /// Where to list objects of a kind; none is everywhere.
    fn places(&self, kind: Kind) -> Vec<Option<String>> {
        match self {
            Self::Namespaces(names) if kind != Kind::Rig => names.iter().cloned().map(Some).collect(),
            Self::Namespaces(_) | Self::Cluster => vec![None],
        }
    }
}

/// One watched kind.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) kind: Kind,
    pub(super) selector: Option<String>,
    /// Where: the whole cluster, or namespaces.
    pub(super) places: Vec<Option<String>>,
}

/// Every kind we watch: our six, and our pods (never all pods, never a Secret).
pub(crate) fn watched(scope: &Scope) -> Vec<Watched> {
    let kinds = [
        Kind::Rig,
        Kind::Polecat,
        Kind::Convoy,
        Kind::Witness,
        Kind::Refinery,
        Kind::BeadStore,
        Kind::Pod,
    ];
    kinds
        .into_iter()
        .map(|kind| Watched {
            kind,
            selector: (kind == Kind::Pod).then(|| format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE)),
            places: scope.places(kind),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_namespaces_and_our_own_are_watched_and_rigs_everywhere() {
        let scope = Scope::of(&[" team-a".into(), String::new(), "team-b".into()], "gastown-system");
        let places = |kind| {
            let all = watched(&scope);
            all.into_iter().find(|w| w.kind == kind).unwrap().places
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(
            places(Kind::Polecat),
            [named("gastown-system"), named("team-a"), named("team-b")]
        );
        assert_eq!(places(Kind::Rig), [None]);
        assert!(!scope.tells_of(&Key::new(Kind::Rig, "", "parts")));
        assert!(scope.tells_of(&Key::new(Kind::Polecat, "team-a", "nux")));
        assert_eq!(Scope::of(&[String::new()], "gastown-system"), Scope::Cluster);
    }
}
