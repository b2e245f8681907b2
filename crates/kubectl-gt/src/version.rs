//! version: of this program, and of the operator it talks to.

use crate::output::{Block, print_one};
use crate::{Access, Failure, Globals};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use std::time::Duration;

/// Longest wait for a cluster that may not be there.
const PATIENCE: Duration = Duration::from_secs(5);
/// What charts of ours label the operator with.
const OPERATOR: &str = "app.kubernetes.io/name=gastown-operator";
/// What the predecessor's manifests label it with.
const PREDECESSOR: &str = "control-plane=controller-manager";

/// Prints both. A cluster that does not answer is no failure.
///
/// # Errors
/// When stdout cannot be written.
pub async fn version(client_only: bool, globals: &Globals, access: &Access, own: &str) -> Result<(), Failure> {
    let operator = if client_only {
        None
    } else {
        tokio::time::timeout(PATIENCE, operator(globals, access))
            .await
            .ok()
            .flatten()
    };
    let name = if access.program == "gastown" {
        "gastown"
    } else {
        "kubectl-gt"
    };
    let mut block = Block::default();
    block.line("Client", format!("{name} {own}"));
    if !client_only {
        block.line(
            "Operator",
            operator
                .as_deref()
                .unwrap_or("not found (no cluster, no right to look, or none installed)"),
        );
    }
    let value = json!({
        "client": {"name": name, "version": own, "api": format!("{}/{}", gastown_api::GROUP, gastown_api::VERSION)},
        "operator": operator.map(|image| json!({"image": image})),
    });
    print_one(globals.output, "version", own, &value, block.text())
}

/// The image the operator runs, where it is a Deployment we may see.
async fn operator(globals: &Globals, access: &Access) -> Option<String> {
    let cluster = access.connect(globals).await.ok()?;
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut images = Vec::new();
    for labels in [OPERATOR, PREDECESSOR] {
        let list = api.list(&ListParams::default().labels(labels)).await.ok()?;
        let containers = list
            .items
            .into_iter()
            .filter_map(|d| d.spec?.template.spec)
            .flat_map(|pod| pod.containers);
        images.extend(containers.filter_map(|c| c.image));
    }
    images.into_iter().find(|image| image.contains("gastown"))
}
