//! Over ssh, with a real sshd: key and host key reach the pods that need them, and what is wrong with one is named.

use crate::landing::adds;
use crate::scene::{Scene, condition};
use gastown_testkit::remotes::{Access, SshGit};
use serde_json::json;

/// Name of the Secret and of the ConfigMap.
fn name(scene: &Scene) -> String {
    format!("ssh-{}", scene.name)
}

fn know(scene: &Scene, server: &SshGit) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(scene) },
        "data": { "known_hosts": server.known_hosts() },
    });
    scene.put_everywhere::<k8s_openapi::api::core::v1::ConfigMap>(&name(scene), &map);
}

pub(crate) fn ssh_lands_and_a_host_that_is_another_is_named(scene: &Scene) {
    let Some(server) = SshGit::at(scene.repositories(), (scene.host(), 0).into()) else {
        return;
    };
    let key = server.key(Access::Write);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name(scene) },
        "type": "kubernetes.io/ssh-auth", "stringData": { "ssh-privatekey": key.private },
    });
    scene.put_everywhere::<k8s_openapi::api::core::v1::Secret>(&name(scene), &secret);
    know(scene, &server);
    scene.rig(json!({
        "gitURL": server.url(&format!("{}.git", scene.name)),
        "gitSecretRef": { "name": name(scene) },
        "sshKnownHostsConfigMapRef": { "name": name(scene) },
    }));
    scene.sling("nux", &adds("nux"));
    scene.lands("nux");

    server.change_host_key();
    scene.sling("slit", &adds("slit"));
    let (polecat, message) = scene.stuck("slit");
    assert_eq!(condition(&polecat, "Degraded").0, "HostKeyChanged", "{message}");
    know(scene, &server);
    scene.gt(&["polecat", "retry", "slit"]).ok();
    scene.polecat("slit", |p| condition(p, "Merged").0 == "Landed");
    assert_eq!(scene.landed().len(), 3, "{:?}", scene.landed());
}
