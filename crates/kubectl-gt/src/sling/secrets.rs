//! The Secrets that a polecat is given where nobody names any: those of the predecessor's names, if they are there. So
//! `rig create`, `auth sync`, `sling` is all that is needed.

use crate::auth::secrets;
use crate::session::Session;
use gastown_api::{AgentConfig, AgentKind, PolecatSpec, Rig, SecretReference};

/// As `auth sync` names it.
const CLAUDE: &str = "claude-creds";
/// As the predecessor's `--git-secret` was by default.
const GIT: &str = "git-creds";

pub(super) async fn fill(spec: &mut PolecatSpec, rig: &Rig, session: &Session<'_>) {
    let (claude, git) = (wants_claude(spec, rig), wants_git(spec, rig));
    let there = async |wanted: bool, name: &str| {
        // Whoever may not look leaves it to the rig.
        wanted && matches!(secrets(session).get_opt(name).await, Ok(Some(_)))
    };
    let (claude, git) = tokio::join!(there(claude, CLAUDE), there(git, GIT));
    let reference = |name: &str| Some(SecretReference { name: name.to_owned() });
    if claude {
        spec.kubernetes.get_or_insert_default().claude_creds_secret_ref = reference(CLAUDE);
    }
    if git {
        spec.kubernetes.get_or_insert_default().git_secret_ref = reference(GIT);
    }
}

fn wants_claude(spec: &PolecatSpec, rig: &Rig) -> bool {
    let its = |agent: Option<AgentKind>| matches!(agent, None | Some(AgentKind::ClaudeCode));
    let keyed = |config: Option<&AgentConfig>| config.is_some_and(|c| c.model_provider.is_some());
    let agent = spec.agent.or(rig.spec.agent);
    its(agent)
        && rig.spec.claude_creds_secret_ref.is_none()
        && rig.spec.api_key_secret_ref.is_none()
        && !keyed(spec.agent_config.as_deref())
        && !keyed(rig.spec.agent_config.as_ref())
}

fn wants_git(spec: &PolecatSpec, rig: &Rig) -> bool {
    let url = rig.spec.git_url.as_str();
    let local = url.starts_with('/') || url.starts_with("file:");
    let own = spec.kubernetes.as_ref().is_some_and(|k| k.git_secret_ref.is_some());
    !own && !local && rig.spec.git_secret_ref.is_none()
}
