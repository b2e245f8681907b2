//! rig: repositories.

use crate::examples;
use crate::globals::Rehearsal;
use crate::local_path;
use crate::needs;
use crate::output::{Block, age, note, or_dash, print_list, print_one};
use crate::session::Session;
use crate::{Failure, Table, complete, exit};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use gastown_api::{AgentConfig, AgentKind, Rig, RigSettings, RigSpec, SecretKeyRef, SecretReference, names};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

/// Verbs of rig.
#[derive(Subcommand, Debug)]
#[expect(clippy::large_enum_variant, reason = "made once, at start")]
pub enum RigVerb {
    /// All rigs.
    #[command(visible_alias = "ls", after_help = examples::RIG_LIST)]
    List,
    /// One rig, and its merge queue.
    #[command(after_help = examples::RIG_STATUS)]
    Status {
        /// Its name; `.` is that of this checkout.
        #[arg(add = ArgValueCompleter::new(complete::rigs))]
        name: String,
    },
    /// A new rig: one repository, and what its polecats inherit.
    #[command(after_help = examples::RIG_CREATE)]
    Create(CreateArgs),
    /// Dispatch and land nothing new. What runs goes on.
    #[command(after_help = examples::RIG_PAUSE)]
    Pause(PauseArgs),
    /// Go on.
    #[command(after_help = examples::RIG_RESUME)]
    Resume(PauseArgs),
}

/// Arguments of pause and resume.
#[derive(Args, Debug)]
pub struct PauseArgs {
    /// The rig's name; `.` is that of this checkout.
    #[arg(add = ArgValueCompleter::new(complete::rigs))]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

/// Arguments of rig create.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Its name.
    name: String,
    /// URL of the repository.
    #[arg(long)]
    git_url: String,
    /// Prefix of its bead IDs: 2 to 10 small letters.
    #[arg(long)]
    prefix: String,
    /// Its checkout on the machine of whoever slings: beads are read there first, committed or not; else from the repository.
    #[arg(long)]
    local_path: Option<String>,
    /// Shell text that judges a candidate: exit code 0 is green.
    #[arg(long, visible_alias = "test")]
    test_command: Option<String>,
    /// Branch that work starts from and lands on.
    #[arg(long)]
    target_branch: Option<String>,
    /// Most polecats at once.
    #[arg(long)]
    max_polecats: Option<i32>,
    /// Secret with the git credential.
    #[arg(long)]
    git_secret: Option<String>,
    /// Secret with Claude's OAuth credentials, as auth sync makes it.
    #[arg(long, value_name = "SECRET")]
    claude_creds: Option<String>,
    /// Secret with an Anthropic API key: NAME, or NAME/KEY. The key is ANTHROPIC_API_KEY where none is named.
    #[arg(long, value_name = "SECRET[/KEY]", value_parser = key_ref)]
    api_key_secret: Option<SecretKeyRef>,
    /// Theme of its polecats' names: mad-max, minerals, wasteland.
    #[arg(long, value_parser = theme, add = ArgValueCompleter::new(complete::themes))]
    theme: Option<String>,
    /// Which agent: claude-code, opencode, aider, custom.
    #[arg(long, value_parser = crate::sling::agent_kind, add = ArgValueCompleter::new(complete::agents))]
    agent: Option<AgentKind>,
    /// Program to run as a custom agent, with its arguments.
    #[arg(long, conflicts_with = "agent")]
    agent_command: Option<String>,
    /// Model.
    #[arg(long)]
    model: Option<String>,
    /// Image of the agent's container.
    #[arg(long)]
    image: Option<String>,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

fn theme(text: &str) -> Result<String, String> {
    match gastown_api::themes::theme(text) {
        Some(theme) => Ok(theme.name.to_owned()),
        None => Err(format!("'{text}' is not a theme: mad-max, minerals or wasteland")),
    }
}

fn key_ref(text: &str) -> Result<SecretKeyRef, String> {
    let (name, key) = text.split_once('/').unwrap_or((text, "ANTHROPIC_API_KEY"));
    if name.is_empty() || key.is_empty() {
        return Err(format!("'{text}' names no key of a Secret: write NAME or NAME/KEY"));
    }
    Ok(SecretKeyRef {
        name: name.to_owned(),
        key: key.to_owned(),
    })
}

pub(crate) async fn run(verb: RigVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        RigVerb::List => list(session).await,
        RigVerb::Status { name } => status(&name, session).await,
        RigVerb::Create(args) => create(args, session).await,
        RigVerb::Pause(args) => pause(&args, true, session).await,
        RigVerb::Resume(args) => pause(&args, false, session).await,
    }
}

async fn list(session: &Session<'_>) -> Result<(), Failure> {
    let rigs = session.rigs().list(None).await?;
    let now = Timestamp::now();
    let columns = vec![
        ("NAME", false),
        ("PREFIX", false),
        ("GIT-URL", false),
        ("PHASE", false),
        ("POLECATS", false),
        ("WORKING", true),
        ("QUEUED", true),
        ("MERGED", true),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    let rows = rigs
        .iter()
        .map(|r| {
            let s = r.object.status.clone().unwrap_or_default();
            vec![
                r.object.name_any(),
                r.object.spec.beads_prefix.clone(),
                r.object.spec.git_url.clone(),
                format!("{:?}", s.phase),
                s.polecat_count.to_string(),
                s.working.to_string(),
                s.queued.to_string(),
                s.merged.to_string(),
                or_dash(s.message.as_ref()),
                age(r.object.metadata.creation_timestamp.as_ref(), now),
            ]
        })
        .collect();
    let none = format!(
        "no rigs; make one: {} rig create NAME --git-url URL --prefix ab",
        session.program()
    );
    let name = |r: &crate::held::Held<Rig>| format!("rig/{}", r.object.name_any());
    print_list(session.output, &rigs, name, &Table { columns, rows }, &none)
}

async fn status(word: &str, session: &Session<'_>) -> Result<(), Failure> {
    let held = session.rig(word).await?;
    let rig = &held.object;
    let name = rig.name_any();
    if !session.output.is_for_people() {
        return print_one(session.output, "rig", &name, &held, "");
    }
    let s = rig.status.clone().unwrap_or_default();
    let queue = session
        .refineries(Some(session.home_of(rig)))
        .get(&names::refinery_name(&name))
        .await?
        .and_then(|r| r.object.status)
        .unwrap_or_default();
    let mut block = Block::default();
    block.line("Name", &name);
    block.line("Repository", &rig.spec.git_url);
    block.line("Branch", rig.spec.target_branch.as_deref().unwrap_or("main"));
    match needs::test_command(&name, rig.spec.test_command.as_deref()) {
        Some(lack) => block.line("Test", format!("none, so nothing lands; set it: {}", lack.fix)),
        None => block.some("Test", rig.spec.test_command.as_ref()),
    }
    block.line("Phase", format!("{:?}", s.phase));
    if rig.spec.paused == Some(true) {
        block.line(
            "Paused",
            format!("yes; go on with: {} rig resume {name}", session.program()),
        );
    }
    block.line("Message", s.message.as_deref().unwrap_or("-"));
    block.line(
        "Polecats",
        format!(
            "{} ({} working, {} queued, {} done, {} merged, {} stuck)",
            s.polecat_count, s.working, s.queued, s.done, s.merged, s.stuck
        ),
    );
    block.line(
        "Queue",
        format!(
            "{} waiting; {}",
            queue.queue_length,
            queue.current_merge.as_deref().unwrap_or("nothing is tested now")
        ),
    );
    block.line(
        "Landed",
        format!("{} times, {} test runs", queue.landings, queue.test_runs),
    );
    block.some("Last red", queue.last_red.as_ref());
    for c in &s.conditions {
        block.line(&c.type_, format!("{} {} {}", c.status, c.reason, c.message));
    }
    print_one(session.output, "rig", &name, &held, block.text())
}

async fn create(args: CreateArgs, session: &Session<'_>) -> Result<(), Failure> {
    let dry = args.rehearsal.dry_run;
    let name = args.name.clone();
    let rig = Rig::new(&name, spec(args));
    let Some(held) = session.rigs().create(rig, dry).await? else {
        return Err(Failure::new(exit::REFUSED, format!("there is a rig {name} already"))
            .hint(format!("{} rig status {name}", session.program())));
    };
    let block = format!(
        "rig/{name} created{}\nsling a task: {} sling {name} -m \"what to do\"",
        dry.suffix(),
        session.program()
    );
    print_one(session.output, "rig", &name, &held, &block)?;
    let spec = &held.object.spec;
    if let Some(path) = &spec.local_path {
        note(match local_path::checkout(path, &spec.git_url) {
            Ok(at) => format!(
                "note: sling reads beads in {} first, where that is on its machine",
                at.top.display()
            ),
            Err(why) => format!("warning: {why}: sling reads beads from the repository until it is a checkout of it"),
        });
    }
    let lacks = [
        needs::git_secret(&name, spec, session.namespace()),
        needs::test_command(&name, spec.test_command.as_deref()),
    ];
    for lack in lacks.into_iter().flatten() {
        note(format!("warning: {}\nhint: {}", lack.what, lack.fix));
    }
    Ok(())
}

fn spec(args: CreateArgs) -> RigSpec {
    let settings = RigSettings {
        namepool_theme: args.theme,
        max_polecats: args.max_polecats,
    };
    let secret = |name: Option<String>| name.map(|name| SecretReference { name });
    let config = AgentConfig {
        model: args.model,
        command: args
            .agent_command
            .iter()
            .flat_map(|c| c.split_whitespace().map(str::to_owned))
            .collect(),
        ..AgentConfig::default()
    };
    RigSpec {
        git_url: args.git_url,
        beads_prefix: args.prefix,
        local_path: args.local_path.map(local_path::typed),
        test_command: args.test_command,
        target_branch: args.target_branch,
        git_secret_ref: secret(args.git_secret),
        claude_creds_secret_ref: secret(args.claude_creds),
        api_key_secret_ref: args.api_key_secret,
        agent: args.agent.or(args.agent_command.map(|_| AgentKind::Custom)),
        agent_config: (config != AgentConfig::default()).then_some(config),
        image: args.image,
        settings: (settings != RigSettings::default()).then_some(settings),
        ..RigSpec::default()
    }
}

async fn pause(args: &PauseArgs, paused: bool, session: &Session<'_>) -> Result<(), Failure> {
    let dry = args.rehearsal.dry_run;
    let before = session.rig(&args.name).await?;
    let name = before.object.name_any();
    let said = if paused {
        format!(
            "rig/{name} paused{}: nothing new is dispatched or landed; go on with: {} rig resume {name}",
            dry.suffix(),
            session.program()
        )
    } else {
        format!("rig/{name} goes on{}", dry.suffix())
    };
    if before.object.spec.paused.unwrap_or(false) == paused {
        return print_one(session.output, "rig", &name, &before, &said);
    }
    let patch = json!({"spec": {"paused": if paused { json!(true) } else { json!(null) }}});
    let held = session.rigs().patch(&name, &patch, dry, session.program()).await?;
    print_one(session.output, "rig", &name, &held, &said)
}
