//! refinery: merge queues. Named by their rig.

use crate::examples;
use crate::globals::Scope;
use crate::held::Held;
use crate::output::{Block, age, or_dash, print_list, print_one, since};
use crate::rig::PauseArgs;
use crate::session::Session;
use crate::{Failure, Table, complete, exit};
use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::{Refinery, names};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

/// Verbs of refinery.
#[derive(Subcommand, Debug)]
pub enum RefineryVerb {
    /// All merge queues.
    #[command(visible_alias = "ls", after_help = examples::REFINERY_LIST)]
    List(Scope),
    /// The queue of a rig: what is tested now, who waits, and why the last one was red.
    #[command(visible_alias = "status", after_help = examples::REFINERY_QUEUE)]
    Queue {
        /// The rig; `.` is that of this checkout.
        #[arg(add = ArgValueCompleter::new(complete::rigs))]
        rig: String,
    },
    /// Land nothing new; polecats go on working.
    #[command(after_help = examples::REFINERY_PAUSE)]
    Pause(PauseArgs),
    /// Go on.
    #[command(after_help = examples::REFINERY_RESUME)]
    Resume(PauseArgs),
}

pub(crate) async fn run(verb: RefineryVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        RefineryVerb::List(scope) => list(scope, session).await,
        RefineryVerb::Queue { rig } => queue(&rig, session).await,
        RefineryVerb::Pause(args) => pause(&args, true, session).await,
        RefineryVerb::Resume(args) => pause(&args, false, session).await,
    }
}

async fn list(scope: Scope, session: &Session<'_>) -> Result<(), Failure> {
    let all = scope.all_namespaces;
    let refineries = session
        .refineries((!all).then_some(session.namespace()))
        .list(None)
        .await?;
    let now = Timestamp::now();
    let mut columns = vec![
        ("RIG", false),
        ("PHASE", false),
        ("QUEUE", false),
        ("CURRENT", false),
        ("LANDINGS", false),
        ("TEST-RUNS", true),
        ("HEAD", true),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    if all {
        columns.insert(0, ("NAMESPACE", false));
    }
    let rows = refineries
        .iter()
        .map(|r| {
            let s = r.object.status.clone().unwrap_or_default();
            let head = s.head.map(|c| c.chars().take(10).collect::<String>());
            let mut row = vec![
                r.object.spec.rig_ref.clone(),
                format!("{:?}", s.phase),
                s.queue_length.to_string(),
                or_dash(s.current_merge.as_ref()),
                s.landings.to_string(),
                s.test_runs.to_string(),
                or_dash(head.as_ref()),
                or_dash(s.message.as_ref()),
                age(r.object.metadata.creation_timestamp.as_ref(), now),
            ];
            if all {
                row.insert(0, r.object.namespace().unwrap_or_default());
            }
            row
        })
        .collect();
    let none = format!(
        "no refineries in namespace {}; each rig gets one from the operator: {} rig list",
        session.namespace(),
        session.program()
    );
    let name = |r: &Held<Refinery>| format!("refinery/{}", r.object.name_any());
    print_list(session.output, &refineries, name, &Table { columns, rows }, &none)
}

/// The refinery of a rig, and its namespace.
async fn of_rig(word: &str, session: &Session<'_>) -> Result<(String, Held<Refinery>), Failure> {
    let rig = session.rig(word).await?;
    let rig_name = rig.object.name_any();
    let home = session.home_of(&rig.object).to_owned();
    let name = names::refinery_name(&rig_name);
    let held = session.refineries(Some(&home)).get(&name).await?.ok_or_else(|| {
        Failure::new(
            exit::NOT_FOUND,
            format!("rig {rig_name} has no refinery {name} in namespace {home} yet"),
        )
        .hint(format!(
            "the operator makes it; is it running? {} doctor",
            session.program()
        ))
    })?;
    Ok((home, held))
}

async fn queue(word: &str, session: &Session<'_>) -> Result<(), Failure> {
    let (_, held) = of_rig(word, session).await?;
    let refinery = &held.object;
    let name = refinery.name_any();
    let rig = &refinery.spec.rig_ref;
    let s = refinery.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let mut block = Block::default();
    block.line("Rig", rig);
    block.line("Phase", format!("{:?}", s.phase));
    if refinery.spec.paused == Some(true) {
        block.line(
            "Paused",
            format!("yes; go on with: {} refinery resume {rig}", session.program()),
        );
    }
    block.line("Message", s.message.as_deref().unwrap_or("-"));
    block.some("Head", s.head.as_ref());
    block.line("Now", s.current_merge.as_deref().unwrap_or("nothing is tested"));
    for member in &s.members {
        let commit: String = member.commit.chars().take(10).collect();
        block.line("", format!("- {} at {commit}", member.polecat));
    }
    block.line("Waiting", s.queue_length.to_string());
    for (n, who) in s.queue.iter().enumerate() {
        block.line("", format!("{}. {who}", n + 1));
    }
    let unseen = usize::try_from(s.queue_length)
        .unwrap_or(0)
        .saturating_sub(s.queue.len());
    if unseen > 0 && !s.queue.is_empty() {
        block.line("", format!("… and {unseen} more"));
    }
    for suspect in &s.suspects {
        block.line(
            "Suspect",
            format!(
                "{} was red {} time(s); it is tested once more, alone",
                suspect.polecat, suspect.reds
            ),
        );
    }
    block.some("Last red", s.last_red.as_ref());
    let last = s.last_merge_time.map(|t| format!(", the last {} ago", since(t.0, now)));
    block.line(
        "Landed",
        format!(
            "{} times{}; {} test runs",
            s.landings,
            last.unwrap_or_default(),
            s.test_runs
        ),
    );
    for c in &s.conditions {
        block.line(&c.type_, format!("{} {} {}", c.status, c.reason, c.message));
    }
    print_one(session.output, "refinery", &name, &held, block.text())
}

async fn pause(args: &PauseArgs, paused: bool, session: &Session<'_>) -> Result<(), Failure> {
    let dry = args.rehearsal.dry_run;
    let (home, before) = of_rig(&args.name, session).await?;
    let name = before.object.name_any();
    let rig = before.object.spec.rig_ref.clone();
    let said = if paused {
        format!(
            "refinery/{name} paused{}: nothing new is landed; go on with: {} refinery resume {rig}",
            dry.suffix(),
            session.program()
        )
    } else {
        format!("refinery/{name} goes on{}", dry.suffix())
    };
    if before.object.spec.paused.unwrap_or(false) == paused {
        return print_one(session.output, "refinery", &name, &before, &said);
    }
    let patch = json!({"spec": {"paused": if paused { json!(true) } else { json!(null) }}});
    let shelf = session.refineries(Some(&home));
    let held = shelf.patch(&name, &patch, dry, session.program()).await?;
    print_one(session.output, "refinery", &name, &held, &said)
}
