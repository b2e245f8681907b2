//! Agents are data: container, command, model flag, credential shape. Adding one is an entry.

use gastown_api::{AgentKind, Provider};

/// How an agent is started where the user names no command.
#[derive(Debug)]
pub(crate) struct Agent {
    /// As `spec.agent` spells it.
    pub(crate) name: &'static str,
    /// Name of its container.
    pub(crate) container: &'static str,
    /// Program and flags for unattended work; the task arrives on stdin. Empty: the user names it.
    pub(crate) command: &'static [&'static str],
    /// Flag that names the model.
    pub(crate) model_flag: Option<&'static str>,
    /// Written before the model's name, by provider.
    pub(crate) model_prefix: fn(Provider) -> &'static str,
    /// Environment it needs to stay unattended and quiet. The user's wins.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// Variable of the model's base URL.
    pub(crate) endpoint_env: Option<&'static str>,
    /// Variable of the model's API key, by provider.
    pub(crate) key_env: fn(Provider) -> &'static str,
}

static CLAUDE_CODE: Agent = Agent {
    name: "claude-code",
    container: "claude",
    command: &[
        "claude",
        "-p",
        "--dangerously-skip-permissions",
        "--output-format",
        "stream-json",
        "--verbose",
    ],
    model_flag: Some("--model"),
    model_prefix: |_| "",
    env: &[("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"), ("IS_SANDBOX", "1")],
    endpoint_env: Some("ANTHROPIC_BASE_URL"),
    // It speaks one wire format; a gateway's key is sent the same way.
    key_env: |_| "ANTHROPIC_API_KEY",
};

static OPENCODE: Agent = Agent {
    name: "opencode",
    container: "opencode",
    command: &["opencode", "run", "--format", "json"],
    model_flag: Some("--model"),
    model_prefix: provider_prefix,
    env: &[
        (
            "OPENCODE_CONFIG_CONTENT",
            r#"{"permission":"allow","autoupdate":false,"share":"disabled"}"#,
        ),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
        ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
    ],
    endpoint_env: Some("OPENAI_BASE_URL"),
    key_env: provider_key,
};

static AIDER: Agent = Agent {
    name: "aider",
    container: "aider",
    command: &[
        "aider",
        "--yes-always",
        "--no-check-update",
        "--analytics-disable",
        "--no-show-model-warnings",
        "--no-gitignore",
        "--no-pretty",
        "--no-stream",
        "--timeout",
        "120",
        "--message-file",
        "/dev/stdin",
    ],
    model_flag: Some("--model"),
    model_prefix: provider_prefix,
    env: &[("LITELLM_LOCAL_MODEL_COST_MAP", "True")],
    endpoint_env: Some("OPENAI_API_BASE"),
    key_env: provider_key,
};

static CUSTOM: Agent = Agent {
    name: "custom",
    container: "agent",
    command: &[],
    model_flag: None,
    model_prefix: |_| "",
    env: &[],
    endpoint_env: None,
    key_env: provider_key,
};

/// The entry of an agent.
pub(crate) fn agent(kind: AgentKind) -> &'static Agent {
    match kind {
        AgentKind::ClaudeCode => &CLAUDE_CODE,
        AgentKind::Opencode => &OPENCODE,
        AgentKind::Aider => &AIDER,
        AgentKind::Custom => &CUSTOM,
    }
}

/// Proxies and Ollama are spoken to in OpenAI's format.
fn provider_prefix(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "anthropic/",
        Provider::Litellm | Provider::Openai | Provider::Ollama => "openai/",
    }
}

fn provider_key(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "ANTHROPIC_API_KEY",
        Provider::Litellm | Provider::Openai | Provider::Ollama => "OPENAI_API_KEY",
    }
}
