//! How a model, and where it is served, are named to each agent.

use gastown_api::Provider;
use serde_json::json;

/// Longest a model may be silent, for agents that can be told. Milliseconds.
const TIMEOUT_MS: u32 = 300_000;
/// Name of the provider that opencode is told of.
const OURS: &str = "gastown";

/// What `agentConfig` says of the model.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Model<'a> {
    pub(crate) provider: Option<Provider>,
    pub(crate) name: Option<&'a str>,
    pub(crate) endpoint: Option<&'a str>,
    /// A Secret's key is named for it.
    pub(crate) has_key: bool,
}

/// The same in an agent's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Speech {
    /// More arguments.
    pub(crate) args: Vec<String>,
    /// More environment.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The variable that its key goes into.
    pub(crate) key: &'static str,
}

impl Model<'_> {
    /// Served by Anthropic itself, or by something that answers as it does.
    fn is_anthropic(&self) -> bool {
        self.provider == Some(Provider::Anthropic)
    }

    /// The base URL of a server that speaks OpenAI's format; none: OpenAI itself, or whatever the agent knows.
    fn openai_url(&self) -> Option<String> {
        let given = match (self.endpoint, self.provider) {
            (Some(given), _) => given,
            (None, Some(Provider::Ollama)) => "http://127.0.0.1:11434",
            (None, _) => return None,
        };
        Some(with_v1(given))
    }
}

/// A server without a path is meant to be asked below `/v1`.
fn with_v1(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    if host.contains('/') {
        url.to_owned()
    } else {
        format!("{url}/v1")
    }
}

/// Claude Code adds `/v1` by itself.
fn without_v1(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v1").unwrap_or(url)
}

/// It speaks Anthropic's format only, to Anthropic or to a gateway.
pub(super) fn claude(model: &Model<'_>) -> Result<Speech, String> {
    if let Some(other @ (Provider::Openai | Provider::Ollama)) = model.provider {
        let name = if other == Provider::Ollama { "ollama" } else { "openai" };
        return Err(format!(
            "Claude Code speaks Anthropic's format only, not provider {name}: put a LiteLLM proxy before it (provider litellm and its \
             endpoint), or take agent opencode"
        ));
    }
    let gateway = model.endpoint.is_some() && !model.is_anthropic();
    let name = model
        .name
        .map(|name| name.strip_prefix("anthropic/").filter(|_| !gateway).unwrap_or(name));
    let mut env = Vec::new();
    if let Some(endpoint) = model.endpoint {
        env.push(("ANTHROPIC_BASE_URL", without_v1(endpoint).to_owned()));
        // Small jobs go to a model that the gateway may not have.
        env.extend(name.map(|name| ("ANTHROPIC_SMALL_FAST_MODEL", name.to_owned())));
    }
    env.extend(name.map(|name| ("ANTHROPIC_MODEL", name.to_owned())));
    Ok(Speech {
        args: Vec::new(),
        env,
        // Gateways want a bearer token.
        key: if gateway {
            "ANTHROPIC_AUTH_TOKEN"
        } else {
            "ANTHROPIC_API_KEY"
        },
    })
}

#[allow(clippy::indexing_slicing, reason = "keys are set in JSON objects made here")]
pub(super) fn opencode(model: &Model<'_>) -> Result<Speech, String> {
    let mut config = json!({"permission": "allow", "autoupdate": false, "share": "disabled"});
    let mut spoken = None;
    let mut provide = |id: &str, entry: serde_json::Value| config["provider"] = json!({ id: entry });
    let key = if model.is_anthropic() {
        let mut options = json!({"apiKey": "{env:ANTHROPIC_API_KEY}", "timeout": TIMEOUT_MS});
        if let Some(endpoint) = model.endpoint {
            options["baseURL"] = with_v1(endpoint).into();
        }
        let models = match (model.name, model.endpoint) {
            // Also where its own list does not know the model.
            (Some(name), Some(_)) => json!({ strip(name, "anthropic/"): {} }),
            _ => json!({}),
        };
        provide("anthropic", json!({"options": options, "models": models}));
        spoken = model
            .name
            .map(|name| format!("anthropic/{}", strip(name, "anthropic/")));
        "ANTHROPIC_API_KEY"
    } else if let Some(url) = model.openai_url() {
        let name = model
            .name
            .ok_or("no model is named: set agentConfig.model to one that the endpoint serves")?;
        provide(
            OURS,
            json!({
                "npm": "@ai-sdk/openai-compatible",
                "name": "the endpoint in agentConfig",
                "options": {"baseURL": url, "apiKey": "{env:OPENAI_API_KEY}", "timeout": TIMEOUT_MS},
                "models": {name: {"limit": {"context": 128_000, "output": 8192}}},
            }),
        );
        spoken = Some(format!("{OURS}/{name}"));
        "OPENAI_API_KEY"
    } else {
        if let Some(name) = model.name {
            spoken = Some(prefixed(name, "openai/"));
            if prefixed(name, "openai/").starts_with("openai/") {
                provide("openai", json!({"options": {"timeout": TIMEOUT_MS}}));
            }
        }
        "OPENAI_API_KEY"
    };
    // Titles would otherwise go to a model of its own choice.
    if let (Some(spoken), Some(_)) = (&spoken, model.endpoint) {
        config["small_model"] = spoken.clone().into();
    }
    let mut env = vec![("OPENCODE_CONFIG_CONTENT", config.to_string())];
    env.extend(no_key(model, key));
    Ok(Speech {
        args: spoken.into_iter().flat_map(|m| ["--model".to_owned(), m]).collect(),
        env,
        key,
    })
}

pub(super) fn aider(model: &Model<'_>) -> Result<Speech, String> {
    let mut env = Vec::new();
    let (name, key) = if model.is_anthropic() {
        env.extend(
            model
                .endpoint
                .map(|url| ("ANTHROPIC_API_BASE", without_v1(url).to_owned())),
        );
        (model.name.map(|name| prefixed(name, "anthropic/")), "ANTHROPIC_API_KEY")
    } else if let Some(url) = model.openai_url() {
        env.push(("OPENAI_API_BASE", url));
        // Whatever it is called there: it is asked for in OpenAI's format.
        (model.name.map(|name| format!("openai/{name}")), "OPENAI_API_KEY")
    } else {
        (model.name.map(|name| prefixed(name, "openai/")), "OPENAI_API_KEY")
    };
    env.extend(no_key(model, key));
    Ok(Speech {
        args: name.into_iter().flat_map(|m| ["--model".to_owned(), m]).collect(),
        env,
        key,
    })
}

/// A program of the user's own reads what it likes.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all agents")]
pub(super) fn custom(model: &Model<'_>) -> Result<Speech, String> {
    Ok(Speech {
        key: if model.is_anthropic() {
            "ANTHROPIC_API_KEY"
        } else {
            "OPENAI_API_KEY"
        },
        ..Speech::default()
    })
}

/// Clients want some key even where the server wants none.
fn no_key(model: &Model<'_>, key: &'static str) -> Option<(&'static str, String)> {
    let free = model.endpoint.is_some() || model.provider == Some(Provider::Ollama);
    (free && !model.has_key).then(|| (key, "none".to_owned()))
}

fn prefixed(name: &str, prefix: &str) -> String {
    if name.contains('/') {
        name.to_owned()
    } else {
        format!("{prefix}{name}")
    }
}

fn strip<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}
