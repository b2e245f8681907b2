//! A rig's own authorities: every container trusts them beside those that everybody trusts.
//!
//! Git, OpenSSL and Python's requests take one file and trust nobody beside it. Our harness puts both into one by itself. For the
//! containers of other images (the agent's, the test's) the first step of the pod does, on a volume that they cannot write.

use super::parts;
use gastown_wire as wire;
use k8s_openapi::api::core::v1::PodSpec;

/// The rig's ConfigMap, in every container.
const OWN: &str = "ca-bundle";
const OWN_DIR: &str = "/gastown/ca";
const OWN_FILE: &str = "/gastown/ca/ca.crt";
/// What everybody trusts and the rig's own, for other images.
const ALL: &str = "authorities";
const ALL_DIR: &str = "/gastown/authorities";
const ALL_FILE: &str = "/gastown/authorities/ca.crt";

/// Variables that name the one file to trust.
const INSTEAD: [&str; 3] = ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE"];
/// A variable that names a file to trust as well.
const BESIDE: &str = "NODE_EXTRA_CA_CERTS";

/// Lays the rig's bundle over all containers of a pod. What a container or the rig's `env` says itself wins.
pub(super) fn lay_over(spec: &mut PodSpec, config_map: &str) {
    let volumes = spec.volumes.get_or_insert_default();
    volumes.push(parts::config_map(OWN, config_map));
    let foreign = spec.containers.iter().any(|c| !parts::is_harness(c));
    if foreign {
        volumes.push(parts::small_dir(ALL));
        for step in spec.init_containers.iter_mut().flatten() {
            let writes = [parts::env(wire::AUTHORITIES_ENV, ALL_FILE)];
            parts::add(step, &[parts::mount(ALL, ALL_DIR)], &writes);
        }
    }
    for container in parts::containers(spec) {
        let mut mounts = vec![parts::read_only(OWN, OWN_DIR)];
        let file = if parts::is_harness(container) {
            OWN_FILE
        } else {
            mounts.push(parts::read_only(ALL, ALL_DIR));
            ALL_FILE
        };
        let mut variables = INSTEAD.map(|name| parts::env(name, file)).to_vec();
        variables.push(parts::env(BESIDE, OWN_FILE));
        parts::add(container, &mounts, &variables);
    }
}
