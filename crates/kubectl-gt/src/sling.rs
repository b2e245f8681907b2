//! sling: a task becomes a Polecat.

use crate::output::print_one;
use crate::wait::{Until, duration, wait};
use crate::{Access, Cluster, Failure, Output, agent_command, exit};
use clap::Args;
use gastown_api::{
    AgentConfig, AgentKind, DesiredState, KubernetesSpec, Polecat, PolecatPhase, PolecatSpec, Rig, SecretReference,
    Task, themes,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// Largest task text. Bytes: it must fit a ConfigMap with room for its name.
const LARGEST_TASK: usize = 900 * 1024;

/// Arguments of sling.
#[derive(Args, Clone, Debug, Default)]
pub struct SlingArgs {
    /// BEAD RIG, or only RIG with --message, --file or --stdin; `.` is the rig of this checkout.
    #[arg(required = true, num_args = 1..=2, value_names = ["BEAD", "RIG"])]
    pub words: Vec<String>,
    /// The task, in plain words.
    #[arg(short, long, conflicts_with = "file", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// File with the task; - is stdin.
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// Name of the polecat.
    #[arg(long)]
    pub name: Option<String>,
    /// Theme to take a name from: mad-max, minerals, wasteland.
    #[arg(long)]
    pub theme: Option<String>,
    /// Which agent: claude-code, opencode, aider, custom.
    #[arg(long, value_parser = agent_kind)]
    pub agent: Option<AgentKind>,
    /// Program to run as a custom agent; a local file is brought along.
    #[arg(long, conflicts_with = "agent")]
    pub agent_command: Option<String>,
    /// Model.
    #[arg(long)]
    pub model: Option<String>,
    /// Image of the agent's container.
    #[arg(long)]
    pub image: Option<String>,
    /// Secret with the git credential; else the rig's.
    #[arg(long)]
    pub git_secret: Option<String>,
    /// Higher goes first.
    #[arg(long)]
    pub priority: Option<i32>,
    /// Wait until the work is on the target branch.
    #[arg(long)]
    pub wait: bool,
    /// Wait until the pod runs.
    #[arg(long)]
    pub wait_ready: bool,
    /// Longest wait: 90s, 5m, 1h30m.
    #[arg(long, value_parser = duration, default_value = "1h")]
    pub timeout: Duration,
    /// Sling though somebody has the bead already.
    #[arg(long)]
    pub again: bool,
}

fn agent_kind(text: &str) -> Result<AgentKind, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| format!("'{text}' is not an agent: claude-code, opencode, aider or custom"))
}

/// What became of a sling.
pub struct Slung {
    /// Who has it.
    pub polecat: Polecat,
    /// Whether it was made now.
    pub new: bool,
}

pub(crate) async fn run(args: SlingArgs, cluster: &Cluster, access: &Access, output: Output) -> Result<(), Failure> {
    let slung = sling(&args, cluster, access).await?;
    let name = slung.polecat.name_any();
    let what = slung
        .polecat
        .spec
        .bead_id
        .clone()
        .unwrap_or_else(|| "the task".to_owned());
    let program = &access.program;
    let block = if slung.new {
        format!("polecat/{name} has {what}\nwatch it: {program} polecat logs {name} -f")
    } else {
        let phase = slung.polecat.status.as_ref().map(|s| s.phase).unwrap_or_default();
        format!(
            "polecat/{name} has {what} already ({phase:?}); --again slings it to another\nlook at it: {program} polecat status {name}"
        )
    };
    let until = match (args.wait, args.wait_ready) {
        (true, _) => Some(Until::Landed),
        (_, true) => Some(Until::Ready),
        _ => None,
    };
    let Some(until) = until else {
        return print_one(output, "polecat", &name, &slung.polecat, &block);
    };
    eprintln!("{}", block.lines().next().unwrap_or_default());
    let polecat = wait(cluster, &name, until, args.timeout, program).await?;
    let merged = polecat.status.as_ref().and_then(|s| s.merged_commit.clone());
    let done = match (until, merged) {
        (Until::Landed, Some(commit)) => format!("polecat/{name} landed as {commit}"),
        (Until::Landed, None) => format!("polecat/{name} landed"),
        (Until::Ready, _) => format!("polecat/{name} runs"),
    };
    print_one(output, "polecat", &name, &polecat, &done)
}

/// Makes the Polecat, or finds who has the bead.
///
/// # Errors
/// When the rig is unknown, the words are off, or the cluster refuses.
pub async fn sling(args: &SlingArgs, cluster: &Cluster, access: &Access) -> Result<Slung, Failure> {
    let task = task(args)?;
    let (bead, rig) = match args.words.as_slice() {
        [bead, rig] => (Some(bead.clone()), access.rig(rig)?),
        [rig] if task.is_some() => (None, access.rig(rig)?),
        _ => {
            return Err(
                Failure::new(exit::USAGE, "one word names a rig, and there is no task for it").hint(format!(
                    "{0} sling BEAD RIG, or {0} sling RIG -m \"what to do\"",
                    access.program
                )),
            );
        }
    };
    let rigs: Api<Rig> = Api::all(cluster.client.clone());
    let Some(rig_object) = rigs.get_opt(&rig).await? else {
        return Err(
            Failure::new(exit::NOT_FOUND, format!("there is no rig {rig}")).hint(format!(
                "{0} rig list; {0} rig create {rig} --git-url URL --prefix ab",
                access.program
            )),
        );
    };
    let polecats: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let held = polecats.list(&ListParams::default()).await?.items;
    if let (Some(bead), false) = (&bead, args.again)
        && let Some(polecat) = held.iter().find(|p| has(p, bead, &rig))
    {
        return Ok(Slung {
            polecat: polecat.clone(),
            new: false,
        });
    }
    let spec = spec(args, cluster, bead, rig, task).await?;
    let theme = args
        .theme
        .clone()
        .or_else(|| rig_object.spec.settings.and_then(|s| s.namepool_theme));
    create(args, &polecats, &held, theme.as_deref(), spec).await
}

fn has(polecat: &Polecat, bead: &str, rig: &str) -> bool {
    let ended = polecat
        .status
        .as_ref()
        .is_some_and(|s| s.phase == PolecatPhase::Terminated);
    polecat.spec.bead_id.as_deref() == Some(bead) && polecat.spec.rig == rig && !ended
}

fn task(args: &SlingArgs) -> Result<Option<String>, Failure> {
    let text = match (&args.message, &args.file) {
        (Some(message), _) => Some(message.clone()),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Some(text)
        }
        (None, Some(file)) => Some(std::fs::read_to_string(file).map_err(|e| {
            Failure::new(
                exit::USAGE,
                format!("the task cannot be read from {}: {e}", file.display()),
            )
        })?),
        (None, None) => None,
    };
    match text {
        Some(t) if t.trim().is_empty() => Err(Failure::new(exit::USAGE, "the task is empty")),
        Some(t) if t.len() > LARGEST_TASK => Err(Failure::new(
            exit::USAGE,
            format!("the task has {} bytes; {LARGEST_TASK} is the most", t.len()),
        )
        .hint("put the material into the repository and refer to it")),
        text => Ok(text),
    }
}

async fn spec(
    args: &SlingArgs,
    cluster: &Cluster,
    bead: Option<String>,
    rig: String,
    task: Option<String>,
) -> Result<PolecatSpec, Failure> {
    let mut agent = args.agent;
    let mut config: Option<AgentConfig> = None;
    if let Some(command) = &args.agent_command {
        agent = Some(AgentKind::Custom);
        config = Some(agent_command::configured(cluster, command).await?);
    }
    if let Some(model) = &args.model {
        config.get_or_insert_default().model = Some(model.clone());
    }
    let mut kubernetes = KubernetesSpec::default();
    kubernetes.image.clone_from(&args.image);
    kubernetes.git_secret_ref = args.git_secret.clone().map(|name| SecretReference { name });
    Ok(PolecatSpec {
        rig,
        desired_state: DesiredState::Working,
        bead_id: bead,
        task: task.map(|t| Task { description: Some(t) }),
        agent,
        agent_config: config,
        kubernetes: (kubernetes != KubernetesSpec::default()).then_some(kubernetes),
        priority: args.priority,
        ..PolecatSpec::default()
    })
}

/// Creates it under its own name, or under the first free one of the theme.
async fn create(
    args: &SlingArgs,
    polecats: &Api<Polecat>,
    held: &[Polecat],
    theme: Option<&str>,
    spec: PolecatSpec,
) -> Result<Slung, Failure> {
    if let Some(name) = &args.name {
        let made = polecats.create(&PostParams::default(), &Polecat::new(name, spec)).await;
        return match made {
            Ok(polecat) => Ok(Slung { polecat, new: true }),
            Err(kube::Error::Api(s)) if s.code == 409 => Err(Failure::new(
                exit::REFUSED,
                format!("there is a polecat {name} already"),
            )
            .hint("leave --name out, or choose another")),
            Err(e) => Err(e.into()),
        };
    }
    let wanted = theme.unwrap_or("mad-max");
    let Some(theme) = themes::theme(wanted) else {
        return Err(
            Failure::new(exit::USAGE, format!("there is no theme {wanted}")).hint("mad-max, minerals or wasteland")
        );
    };
    let taken: std::collections::BTreeSet<String> = held.iter().map(|p| p.name_any()).collect();
    let rounds = (1..).flat_map(|n| {
        theme.names.iter().map(move |name| {
            if n == 1 {
                (*name).to_owned()
            } else {
                format!("{name}-{n}")
            }
        })
    });
    for name in rounds.filter(|n| !taken.contains(n)).take(1000) {
        match polecats
            .create(&PostParams::default(), &Polecat::new(&name, spec.clone()))
            .await
        {
            Ok(polecat) => return Ok(Slung { polecat, new: true }),
            // Somebody else took the name meanwhile: the next one.
            Err(kube::Error::Api(s)) if s.code == 409 => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(Failure::new(exit::REFUSED, "a thousand names are taken").hint("give one with --name"))
}
