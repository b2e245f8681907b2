//! The real agents in a town of one machine, found on the `PATH` of whoever brings it up, with a scripted model at the given endpoint.
//! `make test-agents` fetches them; where they are not, the tests say so.

use crate::checkout::Checkout;
use gastown_testkit::agents::{self, Who};
use serde_json::json;

const KEY: &str = "sk-scripted-town-0815";

/// Slings one task to an agent and waits until it is on main.
fn lands(who: Who, provider: &str, args: &[&str]) {
    let agent = who.name();
    let Some(programs) = who.fetched("gastown up") else {
        return;
    };
    let (_runtime, model) = agents::model(who.work());
    let checkout = Checkout::up_with_path(&programs);
    checkout.secret("model", json!({ "key": KEY }));
    checkout.rig(json!({ "agentConfig": {
        "provider": provider, "model": "sonnet", "args": args,
        "modelProvider": { "endpoint": model.url(), "apiKeySecretRef": { "name": "model", "key": "key" } },
    }}));
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

#[test]
fn claude_code_lands() {
    lands(Who::Claude, "anthropic", &[]);
}

#[test]
fn opencode_lands() {
    lands(Who::Opencode, "litellm", &[]);
}

#[test]
fn aider_lands() {
    lands(Who::Aider, "litellm", &["--edit-format", "diff"]);
}
