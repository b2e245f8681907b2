//! What a polecat works with: its own spec over its rig's over the defaults.

pub(crate) mod budget;
mod setup;

use crate::agents;
use crate::blueprint::Credentials;
use crate::duration;
use crate::key::Kind;
use crate::names;
use crate::reason::Reason;
use crate::row::{PolecatRow, RigRow, WitnessRow};
use crate::world::World;
use gastown_api::{self as api, AgentKind};
use gastown_wire as wire;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// The rig name that stands for no Rig object.
pub(crate) const STANDALONE: &str = "standalone";
/// Without activity for this long a polecat counts as stuck, where nobody says.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(15);
/// Longest one attempt may take where nobody says. Seconds.
const DEADLINE_S: i64 = 3600;
/// A finished pod that nobody waits for stays this long for its logs. Seconds.
pub(crate) const KEEP_LOGS_S: i64 = 3600;
/// The code of a Rig that is not there.
pub(crate) const NO_RIG: &str = "RigNotFound";
/// Codes of the problems [`resolve`] finds. They lift by themselves once mended.
const PROBLEMS: [&str; 14] = [
    NO_RIG,
    "MissingRepository",
    "LocalRepository",
    "InvalidBranch",
    "MissingAgentCommand",
    "MissingTask",
    "LocalModeNeedsOneMachine",
    "RigUnreadable",
    "ProviderNotSpoken",
    "BudgetSpent",
    // Mended where we cannot see it: tried again in intervals.
    "ModelCredentialMissing",
    "ModelCredentialEmpty",
    "ModelCredentialExpired",
    "ModelCredentialRefused",
];

/// Everything an attempt needs, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) target: Target,
    pub(crate) work_branch: String,
    pub(crate) credentials: Credentials,
    pub(crate) agent: wire::AgentOrders,
    pub(crate) container: &'static str,
    pub(crate) model: Option<String>,
    pub(crate) image: String,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) config_map: Option<String>,
    pub(crate) resources: Option<ResourceRequirements>,
    /// Seconds.
    pub(crate) deadline: i64,
    pub(crate) pace: wire::Pace,
    pub(crate) record: wire::RecordLevel,
    /// Where uncommitted files and conversations go, if not to the target's repository.
    pub(crate) content: Option<Target>,
    pub(crate) template: Option<api::PodTemplate>,
    pub(crate) task: String,
    /// Nobody said what to do but for the bead's name: the pod looks up what the bead says.
    pub(crate) task_of_bead: bool,
}

/// A repository and the branch work starts from and lands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) repository: String,
    pub(crate) branch: String,
}

impl Target {
    /// The path on the host that the repository is, where it is one.
    pub(crate) fn local_path(&self) -> Option<String> {
        let path = self.repository.strip_prefix("file://").unwrap_or(&self.repository);
        path.starts_with('/').then(|| path.to_owned())
    }

    /// What a pod that speaks to it is told: render mounts the Secret and the known hosts where this says.
    pub(crate) fn orders(&self, with: &Credentials) -> wire::RemoteOrders {
        wire::RemoteOrders {
            url: self.repository.clone(),
            branch: self.branch.clone(),
            secret_dir: with.git.as_ref().map(|_| "/gastown/git".to_owned()),
            known_hosts: with
                .known_hosts
                .as_ref()
                .map(|_| "/gastown/known-hosts/known_hosts".to_owned()),
        }
    }
}

/// The repository that a rig keeps uncommitted files and conversations in, where it is another than the work's.
pub(crate) fn content(rig: &RigRow, work: &Target) -> Option<Target> {
    let own = named(rig.spec.record.as_ref().and_then(|r| r.git_url.as_ref()))?;
    (own != work.repository).then(|| Target {
        repository: own,
        branch: work.branch.clone(),
    })
}

/// How often, and how soon, a failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// In one round.
    pub(crate) limit: i64,
    /// Before the first retry. Seconds.
    pub(crate) backoff: i64,
}

/// Whether a condition's reason is one of [`resolve`]'s problems.
pub(crate) fn is_problem(code: &str) -> bool {
    PROBLEMS.contains(&code)
}

/// Where a polecat's work comes from and goes to, as far as that is named.
pub(crate) fn target(polecat: &PolecatRow, rig: Option<&RigRow>) -> Option<Target> {
    let own = polecat.spec.kubernetes.as_ref();
    let repository = own
        .and_then(|k| named(k.git_repository.as_ref()))
        .or_else(|| rig.and_then(|r| named(Some(&r.spec.git_url))))?;
    let branch = own
        .and_then(|k| named(k.git_branch.as_ref()))
        .or_else(|| rig.and_then(|r| named(r.spec.target_branch.as_ref())))
        .unwrap_or_else(|| "main".into());
    Some(Target { repository, branch })
}

/// Longest one attempt may take. Seconds.
pub(crate) fn deadline(polecat: &PolecatRow, rig: Option<&RigRow>) -> i64 {
    polecat
        .spec
        .kubernetes
        .as_ref()
        .and_then(|k| k.active_deadline_seconds)
        .or_else(|| rig.and_then(|r| r.spec.active_deadline_seconds))
        .unwrap_or(DEADLINE_S)
        .max(1)
}

/// How failures are tried again.
pub(crate) fn retry(polecat: &PolecatRow, rig: Option<&RigRow>) -> Retry {
    let own = polecat.spec.retry.as_ref();
    let inherited = rig.and_then(|r| r.spec.retry.as_ref());
    let pick = |f: fn(&api::Retry) -> Option<i32>| own.and_then(f).or_else(|| inherited.and_then(f));
    Retry {
        limit: pick(|r| r.limit).unwrap_or(2).max(0).into(),
        backoff: pick(|r| r.backoff_seconds).unwrap_or(10).max(0).into(),
    }
}

/// How long a finished pod is kept where somebody says so. Seconds.
pub(crate) fn ttl(polecat: &PolecatRow, rig: Option<&RigRow>) -> Option<i64> {
    polecat
        .spec
        .ttl_seconds_after_finished
        .or_else(|| rig.and_then(|r| r.spec.ttl_seconds_after_finished))
        .map(|seconds| i64::from(seconds.max(0)))
}

/// Everything an attempt needs.
///
/// # Errors
/// What is missing or wrong, with what to do about it.
pub(crate) fn resolve(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>) -> Result<Settings, Reason> {
    let spec = &polecat.spec;
    rig_is_there(world, polecat, rig)?;
    if spec.execution_mode == Some(api::ExecutionMode::Local) && !world.town.one_machine {
        return Err(Reason::new(
            "LocalModeNeedsOneMachine",
            "executionMode local is served by `gastown up` only: remove it or set it to kubernetes",
        ));
    }
    let target = target(polecat, rig).ok_or_else(|| {
        Reason::new(
            "MissingRepository",
            "no repository is named: set spec.kubernetes.gitRepository",
        )
    })?;
    if target.local_path().is_some() && !world.town.one_machine {
        return Err(Reason::new(
            "LocalRepository",
            format!(
                "{} is a path, which pods of a cluster cannot reach: name an https or ssh URL",
                target.repository
            ),
        ));
    }
    let content = rig.and_then(|r| content(r, &target));
    if content.as_ref().is_some_and(|c| c.local_path().is_some()) && !world.town.one_machine {
        return Err(Reason::new(
            "LocalRepository",
            "record.gitURL of the Rig is a path, which pods of a cluster cannot reach: name an https or ssh URL",
        ));
    }
    let work_branch = work_branch(polecat, &target)?;
    let kind = agent_kind(polecat, rig);
    let agent = agents::agent(kind);
    let setup = setup::Setup::of(polecat, rig, kind);
    let (task, task_of_bead) = task(polecat, kind)?;
    let budget = budget::allowance(polecat, rig)?;
    let started = setup::start(polecat, rig, agent, &setup, budget)?;
    let max_idle = polecat.spec.max_idle_seconds.and_then(|s| u64::try_from(s).ok());
    Ok(Settings {
        work_branch,
        credentials: started.credentials,
        agent: started.orders,
        container: agent.container,
        model: setup.model.clone(),
        image: setup::image(world, polecat, rig, agent, &setup),
        env: started.env,
        config_map: setup.config_map.clone(),
        resources: resources(world, polecat, rig),
        deadline: deadline(polecat, rig),
        pace: wire::Pace {
            max_idle_s: max_idle.filter(|s| *s > 0).or(agent.max_idle),
            ..pace(world, polecat, rig)
        },
        record: record(world, rig),
        content,
        template: rig.and_then(|r| r.spec.pod_template.clone()),
        task,
        task_of_bead,
        target,
    })
}

fn rig_is_there(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>) -> Result<(), Reason> {
    let name = &polecat.spec.rig;
    if rig.is_some() || name == STANDALONE {
        return Ok(());
    }
    if world.malformed.keys().any(|k| k.kind == Kind::Rig && k.name == *name) {
        return Err(Reason::new(
            "RigUnreadable",
            format!("Rig {name} cannot be read: see kubectl get rig {name} -o yaml"),
        ));
    }
    Err(Reason::new(
        NO_RIG,
        format!("there is no Rig {name:?}: create it (kubectl gt rig create) or correct spec.rig"),
    ))
}

/// The branch that its work goes to.
///
/// # Errors
/// Where git takes no such branch, or it is the one that work lands on.
pub(crate) fn work_branch(polecat: &PolecatRow, target: &Target) -> Result<String, Reason> {
    let given = polecat
        .spec
        .kubernetes
        .as_ref()
        .and_then(|k| named(k.work_branch.as_ref()));
    let work_branch = given.unwrap_or_else(|| match named(polecat.spec.bead_id.as_ref()) {
        Some(bead) => names::branch(&format!("feature/{bead}")),
        None => names::branch(&format!("polecat/{}", polecat.meta.key.name)),
    });
    for branch in [&work_branch, &target.branch] {
        if !names::legal_branch(branch) {
            return Err(Reason::new(
                "InvalidBranch",
                format!("git takes no branch named {branch:?}: use letters, digits and - _ . /"),
            ));
        }
    }
    if work_branch == target.branch {
        return Err(Reason::new(
            "InvalidBranch",
            format!("{work_branch} is the branch work lands on: set another spec.kubernetes.workBranch"),
        ));
    }
    Ok(work_branch)
}

/// The task's text: the description, else the bead's name; and whether it is that.
fn task(polecat: &PolecatRow, kind: AgentKind) -> Result<(String, bool), Reason> {
    let spec = &polecat.spec;
    let text = spec
        .task
        .as_ref()
        .and_then(|t| t.description.as_ref())
        .or(spec.task_description.as_ref());
    if let Some(text) = text.filter(|t| !t.trim().is_empty()) {
        return Ok((text.clone(), false));
    }
    match (named(spec.bead_id.as_ref()), kind) {
        (Some(bead), _) => Ok((
            format!("Work on issue {bead} of this repository until it is resolved."),
            true,
        )),
        // A program of the user's own may know what to do.
        (None, AgentKind::Custom) => Ok((String::new(), false)),
        (None, _) => Err(Reason::new(
            "MissingTask",
            "there is nothing to do: set spec.task.description or spec.beadID",
        )),
    }
}

fn agent_kind(polecat: &PolecatRow, rig: Option<&RigRow>) -> AgentKind {
    let named = polecat.spec.agent.or_else(|| rig.and_then(|r| r.spec.agent));
    named.unwrap_or_else(|| {
        if speaks_to_claude(polecat, rig) {
            AgentKind::ClaudeCode
        } else {
            AgentKind::Opencode
        }
    })
}

fn speaks_to_claude(polecat: &PolecatRow, rig: Option<&RigRow>) -> bool {
    let own = polecat.spec.kubernetes.as_ref();
    let anthropic = |c: Option<&api::AgentConfig>| {
        c.is_some_and(|c| {
            c.provider == Some(api::Provider::Anthropic)
                && c.model_provider
                    .as_ref()
                    .is_some_and(|m| m.api_key_secret_ref.is_some())
        })
    };
    own.is_some_and(|k| k.claude_creds_secret_ref.is_some() || k.api_key_secret_ref.is_some())
        || rig.is_some_and(|r| r.spec.claude_creds_secret_ref.is_some() || r.spec.api_key_secret_ref.is_some())
        || anthropic(polecat.spec.agent_config.as_deref())
        || anthropic(rig.and_then(|r| r.spec.agent_config.as_ref()))
}

fn resources(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>) -> Option<ResourceRequirements> {
    let own = polecat.spec.kubernetes.as_ref().and_then(|k| k.resources.clone());
    own.or_else(|| polecat.spec.resources.clone())
        .or_else(|| rig.and_then(|r| r.spec.resources.clone()))
        .or_else(|| (!world.town.one_machine).then(predecessor_resources))
}

/// Whether both an API key and a login are named, of which the key is used.
pub(crate) fn key_wins(polecat: &PolecatRow, rig: Option<&RigRow>) -> bool {
    let both =
        |claude: Option<&api::SecretReference>, key: Option<&api::SecretKeyRef>, config: Option<&api::AgentConfig>| {
            let of_model = config
                .and_then(|c| c.model_provider.as_ref())
                .and_then(|m| m.api_key_secret_ref.as_ref());
            let key = key.or(of_model).is_some_and(|k| !k.name.is_empty());
            (claude.is_some_and(|s| !s.name.is_empty()), key)
        };
    let spec = &polecat.spec;
    let kubernetes = spec.kubernetes.as_ref();
    let own = both(
        kubernetes.and_then(|k| k.claude_creds_secret_ref.as_ref()),
        kubernetes.and_then(|k| k.api_key_secret_ref.as_ref()),
        spec.agent_config.as_deref(),
    );
    let rigs = rig.map_or((false, false), |r| {
        both(
            r.spec.claude_creds_secret_ref.as_ref(),
            r.spec.api_key_secret_ref.as_ref(),
            r.spec.agent_config.as_ref(),
        )
    });
    let used = if own == (false, false) { rigs } else { own };
    used == (true, true) && agent_kind(polecat, rig) == AgentKind::ClaudeCode
}

/// What v0.4.2 asked for.
fn predecessor_resources() -> ResourceRequirements {
    let amounts = |cpu: &str, memory: &str| {
        BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ])
    };
    ResourceRequirements {
        requests: Some(amounts("500m", "1Gi")),
        limits: Some(amounts("2", "4Gi")),
        ..ResourceRequirements::default()
    }
}

fn pace(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>) -> wire::Pace {
    let push = rig
        .and_then(|r| r.spec.push_interval_seconds)
        .and_then(|s| u64::try_from(s).ok());
    wire::Pace {
        push_interval_ms: push.map_or(world.town.push_interval_ms, |s| s.saturating_mul(1000)),
        stuck_after_s: stuck_threshold(world, polecat, rig).as_secs().unsigned_abs(),
        ..wire::Pace::default()
    }
}

/// Without activity for this long a polecat counts as stuck: the word of the Witness beside it, else of the rig's own Witness,
/// else of the Rig. At least a second.
pub(crate) fn stuck_threshold(world: &World, polecat: &PolecatRow, rig: Option<&RigRow>) -> SignedDuration {
    let read = |text: Option<&String>| text.and_then(|text| duration::parse(text)).filter(|d| d.is_positive());
    let of_witness = |namespace: &String| {
        let watch = |w: &&WitnessRow| w.spec.rig_ref == polecat.spec.rig && w.meta.key.namespace == *namespace;
        let mut words = world.witnesses.values().filter(watch);
        words.find_map(|w| read(w.spec.stuck_threshold.as_ref()))
    };
    of_witness(&polecat.meta.key.namespace)
        .or_else(|| of_witness(&world.town.namespace))
        .or_else(|| read(rig?.spec.stuck_threshold.as_ref()))
        .unwrap_or(STUCK_AFTER)
        .max(SignedDuration::from_secs(1))
}

fn record(world: &World, rig: Option<&RigRow>) -> wire::RecordLevel {
    match rig.and_then(|r| r.spec.record.as_ref()).and_then(|r| r.level) {
        Some(api::RecordLevel::Commits) => wire::RecordLevel::Commits,
        Some(api::RecordLevel::Work) => wire::RecordLevel::Work,
        Some(api::RecordLevel::Conversation) => wire::RecordLevel::Conversation,
        None => world.town.record,
    }
}

/// A text that is there and not empty.
fn named(text: Option<&String>) -> Option<String> {
    text.filter(|t| !t.is_empty()).cloned()
}
