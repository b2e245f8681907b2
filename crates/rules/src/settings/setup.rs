//! The agent: its program, image, environment and credentials.

use super::named;
use crate::agents::{Agent, Model, Speech};
use crate::blueprint::Credentials;
use crate::reason::Reason;
use crate::row::{PolecatRow, RigRow};
use crate::world::World;
use gastown_api::{self as api, AgentKind};
use gastown_wire as wire;
use k8s_openapi::api::core::v1::EnvVar;

/// `agentConfig` of polecat and rig as one. The rig's is for the rig's agent only.
#[derive(Debug, Default)]
pub(super) struct Setup {
    provider: Option<api::Provider>,
    pub(super) model: Option<String>,
    endpoint: Option<String>,
    own_key: Option<api::SecretKeyRef>,
    rig_key: Option<api::SecretKeyRef>,
    own_image: Option<String>,
    rig_image: Option<String>,
    command: Vec<String>,
    pub(super) config_map: Option<String>,
    env: Vec<EnvVar>,
}

impl Setup {
    pub(super) fn of(polecat: &PolecatRow, rig: Option<&RigRow>, kind: AgentKind) -> Self {
        let own = polecat.spec.agent_config.clone().unwrap_or_default();
        let rigs = rig
            .filter(|r| r.spec.agent.is_none_or(|agent| agent == kind))
            .and_then(|r| r.spec.agent_config.clone())
            .unwrap_or_default();
        let endpoint = |c: &api::AgentConfig| c.model_provider.as_ref().and_then(|m| m.endpoint.clone());
        let key = |c: &api::AgentConfig| c.model_provider.as_ref().and_then(|m| m.api_key_secret_ref.clone());
        // Command and arguments belong together: naming a command drops the rig's arguments.
        let command = match (own.command.is_empty(), own.args.is_empty()) {
            (false, _) => [own.command.clone(), own.args.clone()].concat(),
            (true, false) => [rigs.command.clone(), own.args.clone()].concat(),
            (true, true) => [rigs.command.clone(), rigs.args.clone()].concat(),
        };
        let mut env = rigs.env.clone();
        for var in &own.env {
            env.retain(|held| held.name != var.name);
            env.push(var.clone());
        }
        Self {
            provider: own.provider.or(rigs.provider),
            model: own.model.clone().or_else(|| rigs.model.clone()),
            endpoint: endpoint(&own).or_else(|| endpoint(&rigs)),
            own_key: key(&own),
            rig_key: key(&rigs),
            own_image: named(own.image.as_ref()),
            rig_image: named(rigs.image.as_ref()),
            command,
            config_map: own
                .config_map_ref
                .or(rigs.config_map_ref)
                .map(|r| r.name)
                .filter(|n| !n.is_empty()),
            env,
        }
    }

    /// What is said of the model. An Anthropic key and no endpoint mean Anthropic, where no provider is named.
    fn model(&self, anthropic_key: bool, has_key: bool) -> Model<'_> {
        let direct = self.endpoint.is_none() && anthropic_key;
        Model {
            provider: self.provider.or(direct.then_some(api::Provider::Anthropic)),
            name: self.model.as_deref(),
            endpoint: self.endpoint.as_deref(),
            has_key,
        }
    }

    /// Whether the agent is started as its entry says, with more arguments at most.
    fn is_by_entry(&self, agent: &Agent) -> bool {
        !agent.command.is_empty() && (self.command.is_empty() || only_arguments(self))
    }
}

/// How the agent is spoken to, and what it is started with.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) orders: wire::AgentOrders,
    pub(super) env: Vec<EnvVar>,
    pub(super) credentials: Credentials,
}

/// Everything about the agent's start.
pub(super) fn start(
    polecat: &PolecatRow,
    rig: Option<&RigRow>,
    agent: &Agent,
    setup: &Setup,
    budget: Option<wire::Allowance>,
) -> Result<Started, Reason> {
    let named = credentials(polecat, rig, setup);
    let model = setup.model(matches!(named.key, Some(Key::Anthropic(_))), named.key.is_some());
    let by_entry = setup.is_by_entry(agent);
    let speech = match (agent.speech)(&model) {
        Ok(speech) => speech,
        // What the user starts instead may speak what it likes.
        Err(_) if !by_entry => Speech::default(),
        Err(why) => return Err(Reason::new("ProviderNotSpoken", why)),
    };
    let api_key = named.key.map(|key| match key {
        Key::Anthropic(k) => (k.name, k.key, "ANTHROPIC_API_KEY".to_owned()),
        Key::OfModel(k) => (k.name, k.key, speech.key.to_owned()),
    });
    let credential = wire::Credential {
        variable: api_key.as_ref().map(|(_, _, variable)| variable.clone()),
        login: api_key.is_none() && named.claude.is_some() && agent.transcript == wire::Transcript::Claude,
    };
    let words = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let mut orders = wire::AgentOrders {
        kind: agent.name.to_owned(),
        command: command(agent, setup, &speech)?,
        credential: (credential != wire::Credential::default()).then_some(credential),
        budget,
        ..wire::AgentOrders::default()
    };
    if by_entry {
        orders.start = words(agent.start);
        orders.resume = words(agent.resume);
        orders.input = agent.input;
        orders.transcript = agent.transcript;
        orders.conversation = words(agent.conversation);
        orders.notes = words(agent.notes);
        orders.files = agent
            .files
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect();
        orders.interrupt = agent.interrupt;
        orders.prompt_template = rig.and_then(|r| super::named(r.spec.prompt_template.as_ref()));
        if let (Some(flag), Some(micros)) = (agent.budget_flag, budget.and_then(|b| b.micros)) {
            let dollars = api::dollars(i64::try_from(micros).unwrap_or(i64::MAX));
            orders.command.extend([flag.to_owned(), dollars]);
        }
    }
    let env = env(agent, setup, &speech);
    let from_secret = |var: &&EnvVar| var.value_from.as_ref().is_some_and(|v| v.secret_key_ref.is_some());
    orders.secret = env.iter().filter(from_secret).map(|var| var.name.clone()).collect();
    Ok(Started {
        orders,
        env,
        credentials: Credentials {
            api_key,
            ..named.others
        },
    })
}

fn command(agent: &Agent, setup: &Setup, speech: &Speech) -> Result<Vec<String>, Reason> {
    if !setup.is_by_entry(agent) && !setup.command.is_empty() {
        return Ok(setup.command.clone());
    }
    if agent.command.is_empty() {
        return Err(Reason::new(
            "MissingAgentCommand",
            "agent custom names no program: set spec.agentConfig.command, here or on the Rig",
        ));
    }
    let mut command: Vec<String> = agent.command.iter().map(|&word| word.to_owned()).collect();
    command.extend(speech.args.iter().cloned());
    command.extend(setup.command.iter().cloned());
    Ok(command)
}

/// `args` without `command` are more flags for a known agent.
fn only_arguments(setup: &Setup) -> bool {
    setup.command.first().is_some_and(|word| word.starts_with('-'))
}

pub(super) fn image(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>, agent: &Agent, setup: &Setup) -> String {
    let own = polecat.spec.kubernetes.as_ref().and_then(|k| named(k.image.as_ref()));
    own.or_else(|| setup.own_image.clone())
        .or_else(|| setup.rig_image.clone())
        .or_else(|| rig.and_then(|r| named(r.spec.image.as_ref())))
        .or_else(|| world.town.agent_images.get(agent.name).cloned())
        .unwrap_or_else(|| world.town.agent_image.clone())
}

fn env(agent: &Agent, setup: &Setup, speech: &Speech) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    let mut env: Vec<EnvVar> = Vec::new();
    let entry = agent.env.iter().map(|(name, value)| plain(name, value));
    let spoken = speech.env.iter().map(|(name, value)| plain(name, value));
    for var in entry.chain(spoken).chain(setup.env.iter().cloned()) {
        env.retain(|held| held.name != var.name);
        env.push(var);
    }
    env
}

/// A key of a model's API, by where it is named.
enum Key {
    /// `apiKeySecretRef`: for Anthropic, whatever the agent.
    Anthropic(api::SecretKeyRef),
    /// `agentConfig.modelProvider`: for whoever serves the model.
    OfModel(api::SecretKeyRef),
}

/// What is named by polecat and rig.
struct Named {
    claude: Option<String>,
    key: Option<Key>,
    /// All but the key.
    others: Credentials,
}

fn credentials(polecat: &PolecatRow, rig: Option<&RigRow>, setup: &Setup) -> Named {
    let own = polecat.spec.kubernetes.clone().unwrap_or_default();
    let secret = |s: Option<&api::SecretReference>| s.map(|s| s.name.clone()).filter(|n| !n.is_empty());
    let key = |anthropic: Option<&api::SecretKeyRef>, of_model: Option<&api::SecretKeyRef>| {
        let named = |k: &&api::SecretKeyRef| !k.name.is_empty();
        let anthropic = anthropic.filter(named).cloned().map(Key::Anthropic);
        anthropic.or_else(|| of_model.filter(named).cloned().map(Key::OfModel))
    };
    let own_claude = secret(own.claude_creds_secret_ref.as_ref());
    let own_key = key(own.api_key_secret_ref.as_ref(), setup.own_key.as_ref());
    let rigs = rig.map(|r| &r.spec);
    // A polecat that brings a model credential of its own gets no other: an API key would beat its login.
    let (claude, key) = if own_claude.is_some() || own_key.is_some() {
        (own_claude, own_key)
    } else {
        (
            secret(rigs.and_then(|r| r.claude_creds_secret_ref.as_ref())),
            key(rigs.and_then(|r| r.api_key_secret_ref.as_ref()), setup.rig_key.as_ref()),
        )
    };
    let hosts = own
        .ssh_known_hosts_config_map_ref
        .or_else(|| rigs.and_then(|r| r.ssh_known_hosts_config_map_ref.clone()))
        .map(|r| r.name)
        .filter(|n| !n.is_empty());
    let git = secret(own.git_secret_ref.as_ref()).or_else(|| secret(rigs.and_then(|r| r.git_secret_ref.as_ref())));
    Named {
        claude: claude.clone(),
        key,
        others: Credentials {
            git,
            known_hosts: hosts,
            claude,
            api_key: None,
        },
    }
}
