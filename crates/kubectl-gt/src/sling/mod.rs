//! sling: tasks become Polecats.

mod beads;
mod create;
mod secrets;
mod task;

use crate::globals::Rehearsal;
use crate::held::Held;
use crate::output::{note, print_list, print_one};
use crate::session::Session;
use crate::wait::{Until, duration, wait};
use crate::{Access, Cluster, DryRun, Failure, Output, Table, agent_command, complete, exit};
use beads::Known;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::{
    AgentConfig, AgentKind, DesiredState, KubernetesSpec, Polecat, PolecatPhase, PolecatSpec, SecretReference, Task,
};
use kube::ResourceExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Arguments of sling.
#[derive(Args, Clone, Debug, Default)]
pub struct SlingArgs {
    /// Beads, then the rig; or only the rig with --message or --file. `.` is the rig of this checkout.
    #[arg(required = true, num_args = 1.., value_names = ["BEAD", "RIG"], add = ArgValueCompleter::new(complete::rigs))]
    pub words: Vec<String>,
    /// The task, in plain words. Else what the bead says in .beads/*.jsonl of this checkout, the rig's localPath or its repository.
    #[arg(short, long, conflicts_with = "file", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// File with the task; - is stdin.
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// Name of the polecat.
    #[arg(long)]
    pub name: Option<String>,
    /// Theme to take a name from: mad-max, minerals, wasteland. Else the rig's.
    #[arg(long, add = ArgValueCompleter::new(complete::themes))]
    pub theme: Option<String>,
    /// Which agent: claude-code, opencode, aider, custom.
    #[arg(long, value_parser = agent_kind, add = ArgValueCompleter::new(complete::agents))]
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
    /// Higher goes first; else as the bead says.
    #[arg(long, allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Wait until the work is on the target branch.
    #[arg(long)]
    pub wait: bool,
    /// Wait until the pod runs.
    #[arg(long)]
    pub wait_ready: bool,
    /// Longest this may take in all: 90s, 5m, 1h30m.
    #[arg(long, value_parser = duration, default_value = "1h")]
    pub timeout: Duration,
    /// Sling though somebody has the bead already, or it is closed.
    #[arg(long)]
    pub again: bool,
    /// Whether anything is made.
    #[command(flatten)]
    pub rehearsal: Rehearsal,
}

pub(crate) fn agent_kind(text: &str) -> Result<AgentKind, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| format!("'{text}' is not an agent: claude-code, opencode, aider or custom"))
}

/// What became of a sling.
#[derive(Debug)]
pub struct Slung {
    held: Held<Polecat>,
    /// Whether it was made now.
    pub new: bool,
}

impl Slung {
    /// Who has it.
    #[must_use]
    pub fn polecat(&self) -> &Polecat {
        &self.held.object
    }

    /// The polecat's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.held.object.name_any()
    }

    fn what(&self) -> String {
        let bead = self.polecat().spec.bead_id.clone();
        bead.unwrap_or_else(|| "the task".to_owned())
    }

    /// What is told of it, and what to type next.
    fn told(&self, dry: DryRun, program: &str) -> (String, String) {
        let (name, what) = (self.name(), self.what());
        if self.new {
            return (
                format!("polecat/{name} has {what}{}", dry.suffix()),
                format!("watch it: {program} polecat logs {name} -f"),
            );
        }
        let phase = self.polecat().status.as_ref().map(|s| s.phase).unwrap_or_default();
        (
            format!("polecat/{name} has {what} already ({phase:?}); --again slings it to another"),
            format!("look at it: {program} polecat status {name}"),
        )
    }
}

pub(crate) async fn run(args: SlingArgs, session: &Session<'_>) -> Result<(), Failure> {
    let deadline = Instant::now() + args.timeout;
    let (program, dry) = (session.program(), args.rehearsal.dry_run);
    let making = sling(&args, session.cluster, session.access);
    let slung = tokio::time::timeout_at(deadline, making).await.map_err(|_| {
        Failure::new(
            exit::TIMED_OUT,
            format!("the cluster did not answer within {} s", args.timeout.as_secs()),
        )
        .hint("slung again it answers who has it: nothing is made twice")
    })??;
    let until = match (args.wait, args.wait_ready, dry) {
        (_, _, DryRun::Client | DryRun::Server) => None,
        (true, _, _) => Some(Until::Landed),
        (_, true, _) => Some(Until::Ready),
        _ => None,
    };
    let Some(until) = until else {
        return print(&slung, |s| s.told(dry, program), session.output);
    };
    for s in &slung {
        note(s.told(dry, program).0);
    }
    let names: Vec<String> = slung.iter().map(Slung::name).collect();
    let waited = wait(session.cluster, &names, until, deadline, program).await;
    // What stands now is told even where not all got there: an agent that drives this reads it.
    let mut now = Vec::new();
    for s in slung {
        if let Some(held) = session.polecats(false).get(&s.name()).await? {
            now.push(Slung { held, new: s.new });
        }
    }
    let reached = |s: &Slung| {
        let name = s.name();
        let status = s.polecat().status.clone().unwrap_or_default();
        let text = match (until, status.merged_commit) {
            (Until::Landed, Some(commit)) => format!("polecat/{name} landed as {commit}"),
            (Until::Ready, _) if status.pod_active == Some(true) => format!("polecat/{name} runs"),
            _ => format!("polecat/{name} {:?}", status.phase),
        };
        (text, String::new())
    };
    match waited {
        Ok(()) => print(&now, reached, session.output),
        Err(failure) => {
            if !session.output.is_for_people() {
                print(&now, reached, session.output)?;
            }
            Err(failure)
        }
    }
}

/// One polecat as an object, several as a list.
fn print(slung: &[Slung], told: impl Fn(&Slung) -> (String, String), output: Output) -> Result<(), Failure> {
    if let [one] = slung {
        let (first, second) = told(one);
        return print_one(output, "polecat", &one.name(), &one.held, &format!("{first}\n{second}"));
    }
    if output.is_for_people() {
        let lines: Vec<String> = slung.iter().map(|s| told(s).0).collect();
        return crate::output::write_out(&format!("{}\n", crate::output::printable(&lines.join("\n"))));
    }
    let held: Vec<&Held<Polecat>> = slung.iter().map(|s| &s.held).collect();
    let name = |h: &&Held<Polecat>| format!("polecat/{}", h.object.name_any());
    let empty = Table {
        columns: Vec::new(),
        rows: Vec::new(),
    };
    print_list(output, &held, name, &empty, "")
}

/// Makes the Polecats, or finds who has the beads.
///
/// # Errors
/// When the rig is unknown, the words are off, or the cluster refuses.
pub async fn sling(args: &SlingArgs, cluster: &Cluster, access: &Access) -> Result<Vec<Slung>, Failure> {
    let session = Session {
        cluster,
        access,
        output: Output::default(),
    };
    let text = task::text(args)?;
    let (beads, rig) = words(args, text.is_some(), access)?;
    if args.name.is_some() && beads.len() > 1 {
        return Err(
            Failure::new(exit::USAGE, "--name names one polecat, and there are several beads")
                .hint("leave --name out: each gets a name of the rig's theme"),
        );
    }
    create::known_theme(args.theme.as_deref())?;
    let (shelf, polecats) = (session.rigs(), session.polecats(false));
    let (rig_object, held) = tokio::join!(shelf.get(&rig), polecats.list(None));
    let Some(rig_object) = rig_object? else {
        return Err(
            Failure::new(exit::NOT_FOUND, format!("there is no rig {rig}")).hint(format!(
                "{0} rig list; {0} rig create {rig} --git-url URL --prefix ab",
                access.program
            )),
        );
    };
    let mut held = held?;
    let mut known = None;
    let mut base = base(args, cluster, &rig).await?;
    secrets::fill(&mut base, &rig_object.object, &session).await;
    let mut slung = Vec::new();
    let wanted: Vec<Option<String>> = match beads.is_empty() {
        true => vec![None],
        false => beads.into_iter().map(Some).collect(),
    };
    for bead in wanted {
        if let (Some(bead), false) = (&bead, args.again)
            && let Some(who) = held.iter().find(|p| has(&p.object, bead, &rig))
        {
            slung.push(Slung {
                held: who.clone(),
                new: false,
            });
            continue;
        }
        // Read once, and only where somebody has to be told what a bead says.
        if known.is_none() && text.is_none() {
            known = Some(Known::around(access, &rig_object.object).await?);
        }
        let known = known.get_or_insert_default();
        let spec = with_task(base.clone(), bead, text.clone(), known, args)?;
        let made = create::create(args, &session, &held, &rig_object.object, spec).await?;
        held.push(made.clone());
        slung.push(Slung { held: made, new: true });
    }
    Ok(slung)
}

/// Beads, each once, and the rig: the last word.
fn words(args: &SlingArgs, has_task: bool, access: &Access) -> Result<(Vec<String>, String), Failure> {
    let Some((rig, beads)) = args.words.split_last() else {
        return Err(Failure::new(exit::USAGE, "there is no rig to sling to"));
    };
    if beads.is_empty() && !has_task {
        return Err(
            Failure::new(exit::USAGE, "one word names a rig, and there is no task for it").hint(format!(
                "{0} sling BEAD RIG, or {0} sling RIG -m \"what to do\"",
                access.program
            )),
        );
    }
    let mut once: Vec<String> = Vec::new();
    for bead in beads {
        if !once.contains(bead) {
            once.push(bead.clone());
        }
    }
    Ok((once, access.rig(rig)?))
}

fn has(polecat: &Polecat, bead: &str, rig: &str) -> bool {
    let ended = polecat
        .status
        .as_ref()
        .is_some_and(|s| s.phase == PolecatPhase::Terminated);
    polecat.spec.bead_id.as_deref() == Some(bead) && polecat.spec.rig == rig && !ended
}

/// What all polecats of this call share.
async fn base(args: &SlingArgs, cluster: &Cluster, rig: &str) -> Result<PolecatSpec, Failure> {
    let mut agent = args.agent;
    let mut config: Option<AgentConfig> = None;
    if let Some(command) = &args.agent_command {
        agent = Some(AgentKind::Custom);
        config = Some(agent_command::configured(cluster, command, args.rehearsal.dry_run).await?);
    }
    if let Some(model) = &args.model {
        config.get_or_insert_default().model = Some(model.clone());
    }
    let mut kubernetes = KubernetesSpec::default();
    kubernetes.image.clone_from(&args.image);
    kubernetes.git_secret_ref = args.git_secret.clone().map(|name| SecretReference { name });
    Ok(PolecatSpec {
        rig: rig.to_owned(),
        desired_state: DesiredState::Working,
        agent,
        agent_config: config.map(Box::new),
        kubernetes: (kubernetes != KubernetesSpec::default()).then(|| Box::new(kubernetes)),
        priority: args.priority,
        ..PolecatSpec::default()
    })
}

/// The task of one: what was said, else what the bead says.
fn with_task(
    mut spec: PolecatSpec,
    bead: Option<String>,
    text: Option<String>,
    known: &Known,
    args: &SlingArgs,
) -> Result<PolecatSpec, Failure> {
    let mut text = text;
    if let (None, Some(id)) = (&text, &bead) {
        match (known.get(id), known.from()) {
            (Some(found), _) if found.is_closed() && !args.again => {
                return Err(
                    Failure::new(exit::REFUSED, format!("bead {id} is closed: {}", found.title))
                        .hint("reopen it, or sling it all the same with --again"),
                );
            }
            (Some(found), _) => {
                text = Some(task::checked(found.task())?);
                spec.priority = spec.priority.or(Some(found.urgency()).filter(|n| *n != 0));
            }
            (None, Some(from)) => note(format!(
                "note: {from} does not have {id}: the pod looks for it on the target branch, else its agent is told only the \
                 ID; say more with --message"
            )),
            (None, None) => {}
        }
    }
    spec.bead_id = bead;
    spec.task = text.map(|t| Task { description: Some(t) });
    Ok(spec)
}
