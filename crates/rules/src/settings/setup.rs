//! The agent: its program, image, environment and credentials.

use super::named;
use crate::agents::Agent;
use crate::blueprint::Credentials;
use crate::reason::Reason;
use crate::row::{PolecatRow, RigRow};
use crate::world::World;
use gastown_api::{self as api, AgentKind};
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

    fn provider(&self) -> api::Provider {
        self.provider.unwrap_or(api::Provider::Litellm)
    }
}

pub(super) fn command(agent: &Agent, setup: &Setup) -> Result<Vec<String>, Reason> {
    if !setup.command.is_empty() && (agent.command.is_empty() || !only_arguments(setup)) {
        return Ok(setup.command.clone());
    }
    if agent.command.is_empty() {
        return Err(Reason::new(
            "MissingAgentCommand",
            "agent custom names no program: set spec.agentConfig.command, here or on the Rig",
        ));
    }
    let mut command: Vec<String> = agent.command.iter().map(|&word| word.to_owned()).collect();
    if let (Some(flag), Some(model)) = (agent.model_flag, &setup.model) {
        let prefix = if model.contains('/') {
            ""
        } else {
            (agent.model_prefix)(setup.provider())
        };
        command.extend([flag.to_owned(), format!("{prefix}{model}")]);
    }
    command.extend(setup.command.iter().cloned());
    Ok(command)
}

/// `args` without `command` are more flags for a known agent.
fn only_arguments(setup: &Setup) -> bool {
    setup.command.first().is_some_and(|word| word.starts_with('-'))
}

pub(super) fn image(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>, setup: &Setup) -> String {
    let own = polecat.spec.kubernetes.as_ref().and_then(|k| named(k.image.as_ref()));
    setup
        .own_image
        .clone()
        .or(own)
        .or_else(|| setup.rig_image.clone())
        .or_else(|| rig.and_then(|r| named(r.spec.image.as_ref())))
        .unwrap_or_else(|| world.town.agent_image.clone())
}

pub(super) fn env(agent: &Agent, setup: &Setup) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    let mut env: Vec<EnvVar> = agent.env.iter().map(|(name, value)| plain(name, value)).collect();
    if let (Some(name), Some(endpoint)) = (agent.endpoint_env, &setup.endpoint) {
        env.push(plain(name, endpoint));
    }
    for var in &setup.env {
        env.retain(|held| held.name != var.name);
        env.push(var.clone());
    }
    env
}

pub(super) fn credentials(polecat: &PolecatRow, rig: Option<&RigRow>, agent: &Agent, setup: &Setup) -> Credentials {
    let own = polecat.spec.kubernetes.clone().unwrap_or_default();
    let secret = |s: Option<&api::SecretReference>| s.map(|s| s.name.clone()).filter(|n| !n.is_empty());
    let key = |k: Option<&api::SecretKeyRef>, var: &str| {
        k.filter(|k| !k.name.is_empty())
            .map(|k| (k.name.clone(), k.key.clone(), var.to_owned()))
    };
    let variable = (agent.key_env)(setup.provider());
    let own_claude = secret(own.claude_creds_secret_ref.as_ref());
    let own_key =
        key(own.api_key_secret_ref.as_ref(), "ANTHROPIC_API_KEY").or_else(|| key(setup.own_key.as_ref(), variable));
    let rigs = rig.map(|r| &r.spec);
    // A polecat that brings a model credential of its own gets no other: an API key would beat its login.
    let (claude, api_key) = if own_claude.is_some() || own_key.is_some() {
        (own_claude, own_key)
    } else {
        let rig_key = key(rigs.and_then(|r| r.api_key_secret_ref.as_ref()), "ANTHROPIC_API_KEY");
        (
            secret(rigs.and_then(|r| r.claude_creds_secret_ref.as_ref())),
            rig_key.or_else(|| key(setup.rig_key.as_ref(), variable)),
        )
    };
    let hosts = own
        .ssh_known_hosts_config_map_ref
        .or_else(|| rigs.and_then(|r| r.ssh_known_hosts_config_map_ref.clone()))
        .map(|r| r.name)
        .filter(|n| !n.is_empty());
    Credentials {
        git: secret(own.git_secret_ref.as_ref()).or_else(|| secret(rigs.and_then(|r| r.git_secret_ref.as_ref()))),
        known_hosts: hosts,
        claude,
        api_key,
    }
}
