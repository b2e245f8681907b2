//! What one call of a verb works with.

use crate::held::Shelf;
use crate::{Access, Cluster, Failure, Output, exit};
use gastown_api::{BeadStore, Convoy, Polecat, Refinery, Rig, Witness};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

/// What one call of a verb works with.
pub(crate) struct Session<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) access: &'a Access,
    pub(crate) output: Output,
}

impl Session<'_> {
    /// How the program is called in hints.
    pub(crate) fn program(&self) -> &str {
        &self.access.program
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    fn here(&self, all: bool) -> Option<&str> {
        (!all).then_some(self.cluster.namespace.as_str())
    }

    pub(crate) fn rigs(&self) -> Shelf<Rig> {
        Shelf::cluster(&self.cluster.client)
    }

    pub(crate) fn polecats(&self, all: bool) -> Shelf<Polecat> {
        Shelf::within(&self.cluster.client, self.here(all))
    }

    pub(crate) fn convoys(&self, all: bool) -> Shelf<Convoy> {
        Shelf::within(&self.cluster.client, self.here(all))
    }

    pub(crate) fn refineries(&self, namespace: Option<&str>) -> Shelf<Refinery> {
        Shelf::within(&self.cluster.client, namespace)
    }

    pub(crate) fn witnesses(&self, namespace: Option<&str>) -> Shelf<Witness> {
        Shelf::within(&self.cluster.client, namespace)
    }

    pub(crate) fn bead_stores(&self, all: bool) -> Shelf<BeadStore> {
        Shelf::within(&self.cluster.client, self.here(all))
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        self.pods_of(&self.cluster.namespace)
    }

    /// Pods of another namespace than the one that is asked about.
    pub(crate) fn pods_of(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), namespace)
    }

    /// The rig of that name, `.` included.
    pub(crate) async fn rig(&self, word: &str) -> Result<crate::held::Held<Rig>, Failure> {
        let name = self.access.rig(word)?;
        self.rigs().get(&name).await?.ok_or_else(|| {
            Failure::new(exit::NOT_FOUND, format!("there is no rig {name}")).hint(format!(
                "{0} rig list; {0} rig create {name} --git-url URL --prefix ab",
                self.program()
            ))
        })
    }

    /// Where the rig's Witness and Refinery live.
    pub(crate) fn home_of<'a>(&'a self, rig: &'a Rig) -> &'a str {
        rig.status
            .as_ref()
            .and_then(|s| s.child_namespace.as_deref())
            .unwrap_or_else(|| self.namespace())
    }
}
