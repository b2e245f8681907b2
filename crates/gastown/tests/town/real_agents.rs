//! The real agents in a town of one machine, found on the `PATH` of whoever brings it up, with a scripted model at the given endpoint.
//! `make test-agents` fetches them; where they are not, the tests say so.

use crate::checkout::{Checkout, NAMESPACE};
use gastown_api::Rig;
use gastown_testkit::model::{Model, Turn};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use std::path::PathBuf;

const KEY: &str = "sk-scripted-town-0815";

/// Slings one task to an agent and waits until it is on main.
fn lands(agent: &str, program: &str, provider: &str, turns: Vec<Turn>, args: &[&str]) {
    let programs = std::env::var_os("GASTOWN_AGENTS").map(PathBuf::from);
    let Some(programs) = programs.filter(|p| p.join(program).exists()) else {
        println!(
            "{agent:<12} {:<22} SKIPPED: not fetched; `make test-agents` does",
            "gastown up"
        );
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let model = runtime.block_on(Model::start(turns)).unwrap();
    model.aside("agent: add AGENT.md");
    let checkout = Checkout::up_with_path(&programs);
    checkout.ask(async |client| {
        let secret: Secret = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "model"}, "stringData": {"key": KEY},
        }))
        .unwrap();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let rigs: Api<Rig> = Api::all(client);
        let rig = rigs
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .remove(0)
            .metadata
            .name
            .unwrap();
        let spec = serde_json::json!({"spec": {"agentConfig": {
            "provider": provider, "model": "sonnet", "args": args,
            "modelProvider": {"endpoint": model.url(), "apiKeySecretRef": {"name": "model", "key": "key"}},
        }}});
        rigs.patch(&rig, &PatchParams::default(), &Patch::Merge(spec))
            .await
            .unwrap();
    });
    let words = [
        "sling",
        ".",
        "-m",
        "Write AGENT.md",
        "--name",
        "nux",
        "--agent",
        agent,
        "--wait",
        "--timeout",
        "3m",
    ];
    let ran = checkout.gastown(&words);
    let logs = checkout.gastown(&["polecat", "logs", "nux"]);
    assert_eq!(
        ran.code,
        0,
        "{ran:?}\n{logs:?}\n{:?}",
        checkout.find("nux").and_then(|p| p.status)
    );
    assert_eq!(checkout.on_main("AGENT.md").trim(), "written by an agent");
    let status = checkout.find("nux").and_then(|p| p.status).unwrap();
    assert!(status.tokens.is_some_and(|t| t.total() >= 120), "{status:?}");
    assert!(!format!("{status:?}{logs:?}").contains(KEY), "the key is shown");
    println!(
        "{agent:<12} {:<22} ok  landed, {} tokens",
        "gastown up",
        status.tokens.unwrap().total()
    );
}

fn shell() -> Vec<Turn> {
    let work = "echo 'written by an agent' > AGENT.md && git add -A && git commit -qm 'agent: add AGENT.md'";
    vec![Turn::Shell(work.into()), Turn::Say("Done.".into())]
}

#[test]
fn claude_code_lands() {
    lands("claude-code", "claude", "anthropic", shell(), &[]);
}

#[test]
fn opencode_lands() {
    lands("opencode", "opencode", "litellm", shell(), &[]);
}

#[test]
fn aider_lands() {
    let edit = "AGENT.md\n```\n<<<<<<< SEARCH\n=======\nwritten by an agent\n>>>>>>> REPLACE\n```\n";
    lands(
        "aider",
        "aider",
        "litellm",
        vec![Turn::Say(edit.into())],
        &["--edit-format", "diff"],
    );
}
