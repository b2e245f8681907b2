//! Agents: who speaks to which provider, and how each is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{AgentConfig, AgentKind, ModelProvider, Provider, SecretKeyRef};
use gastown_rules::{PolecatPod, Town};
use gastown_wire::{Input, Transcript};

fn agent(kind: AgentKind, config: AgentConfig) -> Scene {
    let mut scene = Scene::of(Town::default());
    scene.rig("parts", |r| {
        r.spec.git_url = "https://example.org/parts.git".into();
        r.spec.agent = Some(kind);
        r.spec.agent_config = Some(config);
    });
    scene.polecat("nux", |_| {});
    scene
}

fn config(provider: Option<Provider>, model: Option<&str>, endpoint: Option<&str>) -> AgentConfig {
    AgentConfig {
        provider,
        model: model.map(Into::into),
        model_provider: Some(ModelProvider {
            endpoint: endpoint.map(Into::into),
            api_key_secret_ref: Some(SecretKeyRef {
                name: "model".into(),
                key: "key".into(),
            }),
        }),
        ..AgentConfig::default()
    }
}

fn env(pod: &PolecatPod, name: &str) -> Option<String> {
    pod.env.iter().find(|v| v.name == name)?.value.clone()
}

#[test]
fn each_agent_is_told_the_model_in_its_own_words() {
    use AgentKind::{Aider, ClaudeCode, Opencode};
    use Provider::{Anthropic, Litellm, Ollama, Openai};
    type Case = (
        AgentKind,
        Option<Provider>,
        Option<&'static str>,
        Option<&'static str>,
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: Vec<Case> = vec![
        (
            ClaudeCode,
            None,
            Some("opus"),
            None,
            "",
            &[("ANTHROPIC_MODEL", "opus")],
            "ANTHROPIC_API_KEY",
        ),
        (
            ClaudeCode,
            None,
            None,
            None,
            "",
            &[("ANTHROPIC_MODEL", "sonnet")],
            "ANTHROPIC_API_KEY",
        ),
        (
            ClaudeCode,
            Some(Litellm),
            Some("fast"),
            Some("http://litellm:4000/v1/"),
            "",
            &[
                ("ANTHROPIC_BASE_URL", "http://litellm:4000"),
                ("ANTHROPIC_MODEL", "fast"),
                ("ANTHROPIC_SMALL_FAST_MODEL", "fast"),
            ],
            "ANTHROPIC_AUTH_TOKEN",
        ),
        // v0.4.2's API server wrote litellm into every agentConfig.
        (
            ClaudeCode,
            Some(Litellm),
            Some("opus"),
            None,
            "",
            &[("ANTHROPIC_MODEL", "opus")],
            "ANTHROPIC_API_KEY",
        ),
        (
            Opencode,
            Some(Anthropic),
            Some("claude-sonnet-5"),
            None,
            "anthropic/claude-sonnet-5",
            &[],
            "ANTHROPIC_API_KEY",
        ),
        (
            Opencode,
            Some(Openai),
            Some("gpt-9"),
            None,
            "openai/gpt-9",
            &[],
            "OPENAI_API_KEY",
        ),
        (Opencode, None, Some("zen/any"), None, "zen/any", &[], "OPENAI_API_KEY"),
        (
            Opencode,
            Some(Litellm),
            Some("team/fast"),
            Some("http://litellm:4000"),
            "gastown/team/fast",
            &[],
            "OPENAI_API_KEY",
        ),
        (
            Opencode,
            Some(Ollama),
            Some("qwen"),
            None,
            "gastown/qwen",
            &[],
            "OPENAI_API_KEY",
        ),
        (
            Aider,
            Some(Anthropic),
            Some("claude-sonnet-5"),
            None,
            "anthropic/claude-sonnet-5",
            &[],
            "ANTHROPIC_API_KEY",
        ),
        (
            Aider,
            Some(Ollama),
            Some("qwen"),
            Some("http://ollama:11434"),
            "openai/qwen",
            &[("OPENAI_API_BASE", "http://ollama:11434/v1")],
            "OPENAI_API_KEY",
        ),
        (
            Aider,
            Some(Openai),
            Some("m"),
            Some("http://vllm:8000/api/openai"),
            "openai/m",
            &[("OPENAI_API_BASE", "http://vllm:8000/api/openai")],
            "OPENAI_API_KEY",
        ),
    ];
    for (kind, provider, model, endpoint, spoken, variables, key) in cases {
        let pod = agent(kind, config(provider, model, endpoint)).pod_made();
        let command = &pod.orders.agent.command;
        let flag = command
            .iter()
            .position(|w| w == "--model")
            .map(|at| command[at + 1].as_str());
        assert_eq!(
            flag.unwrap_or_default(),
            spoken,
            "{kind:?} {provider:?} {model:?} {endpoint:?}"
        );
        for (name, value) in variables {
            assert_eq!(env(&pod, name).as_deref(), Some(*value), "{kind:?} {name}");
        }
        assert_eq!(
            pod.common.credentials.api_key.as_ref().unwrap().2,
            key,
            "{kind:?} {provider:?}"
        );
        assert_eq!(
            pod.orders.agent.credential.as_ref().unwrap().variable.as_deref(),
            Some(key)
        );
    }
}

#[test]
fn opencode_finds_the_endpoint_in_its_configuration() {
    let litellm = config(Some(Provider::Litellm), Some("team/fast"), Some("http://litellm:4000"));
    let pod = agent(AgentKind::Opencode, litellm).pod_made();
    let told: serde_json::Value = serde_json::from_str(&env(&pod, "OPENCODE_CONFIG_CONTENT").unwrap()).unwrap();
    let provider = &told["provider"]["gastown"];
    assert_eq!(provider["npm"], "@ai-sdk/openai-compatible");
    assert_eq!(provider["options"]["baseURL"], "http://litellm:4000/v1");
    assert_eq!(
        provider["options"]["apiKey"], "{env:OPENAI_API_KEY}",
        "a key is never written out"
    );
    assert!(provider["models"]["team/fast"].is_object());
    assert_eq!(
        (&told["permission"], &told["small_model"]),
        (&"allow".into(), &"gastown/team/fast".into())
    );
    assert_eq!(
        (pod.orders.agent.input, pod.orders.agent.transcript),
        (Input::Prompt, Transcript::Opencode)
    );
}

#[test]
fn what_an_agent_cannot_speak_is_a_condition() {
    let mut scene = agent(
        AgentKind::ClaudeCode,
        config(Some(Provider::Ollama), Some("qwen"), Some("http://ollama:11434")),
    );
    scene.settle();
    let status = scene.status("nux");
    assert_eq!(condition(&status.conditions, "Degraded").1, "ProviderNotSpoken");
    assert!(
        status.message.as_deref().unwrap().contains("LiteLLM"),
        "{:?}",
        status.message
    );
    // A model is needed where an endpoint is named.
    let mut scene = agent(
        AgentKind::Opencode,
        config(Some(Provider::Litellm), None, Some("http://litellm:4000")),
    );
    scene.settle();
    assert!(
        scene
            .status("nux")
            .message
            .as_deref()
            .unwrap()
            .contains("agentConfig.model")
    );
}

#[test]
fn a_command_of_the_users_own_is_started_as_it_is() {
    let own = AgentConfig {
        command: vec!["./wrap.sh".into(), "{session}".into()],
        provider: Some(Provider::Ollama),
        ..AgentConfig::default()
    };
    let agent = agent(AgentKind::ClaudeCode, own).pod_made().orders.agent;
    assert_eq!(agent.command, ["./wrap.sh", "{session}"]);
    assert_eq!((agent.input, agent.transcript), (Input::Task, Transcript::Text));
    assert!(agent.start.is_empty() && agent.conversation.is_empty());
}
