//! The real agents in the images that pods get by default, with a scripted model where the pods reach it.

use crate::scene::Scene;
use gastown_testkit::agents::{self, Who};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

const KEY: &str = "sk-scripted-pod-0815";

fn lands(scene: &Scene, who: Who, provider: &str) {
    let (_runtime, model) = agents::model_at((scene.host(), 0).into(), who.work());
    let secret = json!({ "metadata": { "name": "model" }, "stringData": { "key": KEY } });
    let secrets: Api<Secret> = Api::namespaced(scene.client(), &scene.name);
    let secret = serde_json::from_value(secret).unwrap();
    scene
        .wait(async { secrets.create(&PostParams::default(), &secret).await })
        .unwrap();
    // No image is named, so it is the agent's own; the pod stays for its log.
    scene.rig(
        json!({ "image": null, "ttlSecondsAfterFinished": 600, "resources": { "limits": { "memory": "2Gi" } }, "agentConfig": {
            "provider": provider, "model": "sonnet",
            "modelProvider": { "endpoint": model.url(), "apiKeySecretRef": { "name": "model", "key": "key" } },
        }}),
    );
    let words = [
        "sling",
        &scene.name,
        "-m",
        "Write AGENT.md",
        "--name",
        "nux",
        "--agent",
        who.name(),
    ];
    scene.gt(&words).ok();
    let status = scene.lands("nux").status.unwrap();
    assert_eq!(scene.on_main("AGENT.md").trim(), "written by an agent");
    assert!(status.tokens.as_ref().is_some_and(|t| t.total() >= 120), "{status:?}");
    let image = status.agent_image.clone().unwrap();
    assert!(image.contains("/polecat-agent:"), "{image}");
    let logs = scene.gt(&["polecat", "logs", "nux"]).ok();
    assert!(!format!("{status:?}{logs}").contains(KEY), "the key is shown");
}

pub(crate) fn claude_code_lands(scene: &Scene) {
    lands(scene, Who::Claude, "anthropic");
}

pub(crate) fn opencode_lands(scene: &Scene) {
    lands(scene, Who::Opencode, "litellm");
}
