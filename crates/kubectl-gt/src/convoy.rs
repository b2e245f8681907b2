//! convoy: batches of beads.

use crate::examples;
use crate::globals::{Rehearsal, Scope};
use crate::held::Held;
use crate::output::{Block, age, note, one_line, or_dash, print_list, print_one};
use crate::session::Session;
use crate::wait::duration;
use crate::{Failure, Table, complete, exit};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use futures::StreamExt;
use gastown_api::{Convoy, ConvoyPhase, ConvoySpec, Polecat, SecretReference, conditions};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use std::io::IsTerminal;
use std::time::Duration;

/// Verbs of convoy.
#[derive(Subcommand, Debug)]
pub enum ConvoyVerb {
    /// All convoys.
    #[command(visible_alias = "ls", after_help = examples::CONVOY_LIST)]
    List(Scope),
    /// One convoy: what landed, and who waits for what.
    #[command(after_help = examples::CONVOY_STATUS)]
    Status {
        /// Its name.
        #[arg(add = ArgValueCompleter::new(complete::convoys))]
        id: String,
    },
    /// A new convoy.
    #[command(after_help = examples::CONVOY_CREATE)]
    Create(CreateArgs),
    /// Wait until all its beads have landed.
    #[command(after_help = examples::CONVOY_WAIT)]
    Wait {
        /// Its name.
        #[arg(add = ArgValueCompleter::new(complete::convoys))]
        id: String,
        /// Longest wait: 90s, 5m, 1h30m.
        #[arg(long, value_parser = duration, default_value = "1h")]
        timeout: Duration,
    },
}

/// Arguments of convoy create.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What the batch is for.
    description: String,
    /// Its beads.
    #[arg(required = true)]
    beads: Vec<String>,
    /// Its name; else cv- and four digits.
    #[arg(long)]
    name: Option<String>,
    /// The rig: the convoy makes polecats for beads that have none. `.` is that of this checkout.
    #[arg(long, add = ArgValueCompleter::new(complete::rigs))]
    rig: Option<String>,
    /// Most of its polecats at once.
    #[arg(long)]
    parallelism: Option<i32>,
    /// Whom to tell when it is complete or cannot finish: mayor, a URL, or slack, webhook, email, whose address is in a Secret.
    #[arg(long, value_name = "WHOM")]
    notify: Option<String>,
    /// The Secret with that address. Default gastown-notify.
    #[arg(long, value_name = "SECRET", requires = "notify")]
    notify_secret: Option<String>,
    #[command(flatten)]
    rehearsal: Rehearsal,
}

pub(crate) async fn run(verb: ConvoyVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        ConvoyVerb::List(scope) => list(scope, session).await,
        ConvoyVerb::Status { id } => status(&id, session).await,
        ConvoyVerb::Create(args) => create(args, session).await,
        ConvoyVerb::Wait { id, timeout } => wait(&id, timeout, session).await,
    }
}

async fn list(scope: Scope, session: &Session<'_>) -> Result<(), Failure> {
    let all = scope.all_namespaces;
    let convoys = session.convoys(all).list(None).await?;
    let now = Timestamp::now();
    let mut columns = vec![
        ("ID", false),
        ("DESCRIPTION", false),
        ("RIG", true),
        ("PROGRESS", false),
        ("COMPLETED", true),
        ("PENDING", true),
        ("FAILED", true),
        ("PHASE", false),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    if all {
        columns.insert(0, ("NAMESPACE", false));
    }
    let rows = convoys
        .iter()
        .map(|c| {
            let s = c.object.status.clone().unwrap_or_default();
            let mut row = vec![
                c.object.name_any(),
                c.object.spec.description.clone(),
                or_dash(c.object.spec.rig_ref.as_ref()),
                or_dash(s.progress.as_ref()),
                s.completed_beads.len().to_string(),
                s.pending_beads.len().to_string(),
                s.failed_beads.len().to_string(),
                format!("{:?}", s.phase),
                or_dash(s.message.as_ref()),
                age(c.object.metadata.creation_timestamp.as_ref(), now),
            ];
            if all {
                row.insert(0, c.object.namespace().unwrap_or_default());
            }
            row
        })
        .collect();
    let none = format!(
        "no convoys in namespace {}; make one: {} convoy create \"what for\" BEAD BEAD --rig RIG",
        session.namespace(),
        session.program()
    );
    let name = |c: &Held<Convoy>| format!("convoy/{}", c.object.name_any());
    print_list(session.output, &convoys, name, &Table { columns, rows }, &none)
}

async fn status(id: &str, session: &Session<'_>) -> Result<(), Failure> {
    let held = session.convoys(false).need(id, session.program()).await?;
    if !session.output.is_for_people() {
        return print_one(session.output, "convoy", id, &held, "");
    }
    // Who has which bead is told by the polecats.
    let polecats = session.polecats(false).list(None).await?;
    let block = block(id, &held.object, &polecats, session.program());
    print_one(session.output, "convoy", id, &held, block.text())
}

fn block(id: &str, convoy: &Convoy, polecats: &[Held<Polecat>], program: &str) -> Block {
    let s = convoy.status.clone().unwrap_or_default();
    let mut block = Block::default();
    block.line("Convoy", id);
    block.line("For", &convoy.spec.description);
    block.some("Rig", convoy.spec.rig_ref.as_ref());
    block.line("Phase", format!("{:?}", s.phase));
    block.line("Progress", s.progress.as_deref().unwrap_or("-"));
    block.line("Message", s.message.as_deref().unwrap_or("-"));
    let mut who = |key: &str, beads: &[String]| {
        for (n, bead) in beads.iter().enumerate() {
            let key = if n == 0 { key } else { "" };
            block.line(key, format!("- {bead}{}", holder(bead, convoy, polecats)));
        }
    };
    who("Landed", &s.completed_beads);
    who("Pending", &s.pending_beads);
    who("Failed", &s.failed_beads);
    block.some("Tells", convoy.spec.notify_on_complete.as_ref());
    if let Some(c) = conditions::get(&s.conditions, conditions::NOTIFIED) {
        block.line("Notified", format!("{} {} {}", c.status, c.reason, c.message));
    }
    match s.phase {
        ConvoyPhase::Pending | ConvoyPhase::InProgress => block.line("Next", format!("{program} convoy wait {id}")),
        ConvoyPhase::Failed => block.line(
            "Next",
            format!("{program} polecat list; then: {program} polecat retry NAME"),
        ),
        ConvoyPhase::Complete => {}
    }
    block
}

/// Which polecat has a bead, and where it stands.
fn holder(bead: &str, convoy: &Convoy, polecats: &[Held<Polecat>]) -> String {
    let of_rig = |p: &Polecat| convoy.spec.rig_ref.as_ref().is_none_or(|rig| *rig == p.spec.rig);
    let Some(polecat) = polecats
        .iter()
        .map(|p| &p.object)
        .find(|p| p.spec.bead_id.as_deref() == Some(bead) && of_rig(p))
    else {
        return String::new();
    };
    let s = polecat.status.clone().unwrap_or_default();
    let message = s.message.map(|m| format!(", {}", one_line(&m))).unwrap_or_default();
    format!("  polecat/{} {:?}{message}", polecat.name_any(), s.phase)
}

async fn create(args: CreateArgs, session: &Session<'_>) -> Result<(), Failure> {
    let dry = args.rehearsal.dry_run;
    let name = args.name.unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().simple().to_string();
        format!("cv-{}", id.chars().take(4).collect::<String>())
    });
    let spec = ConvoySpec {
        description: args.description,
        tracked_beads: args.beads,
        parallelism: args.parallelism,
        rig_ref: args.rig.map(|r| session.access.rig(&r)).transpose()?,
        notify_on_complete: args.notify,
        notify_secret_ref: args.notify_secret.map(|name| SecretReference { name }),
    };
    let Some(held) = session.convoys(false).create(Convoy::new(&name, spec), dry).await? else {
        return Err(Failure::new(exit::REFUSED, format!("there is a convoy {name} already"))
            .hint(format!("{} convoy status {name}", session.program())));
    };
    let follow = format!("{} convoy wait {name}", session.program());
    let block = format!("convoy/{name} created{}\nfollow it: {follow}", dry.suffix());
    print_one(session.output, "convoy", &name, &held, &block)
}

async fn wait(id: &str, timeout: Duration, session: &Session<'_>) -> Result<(), Failure> {
    let shelf = session.convoys(false);
    // What is not there is not waited for.
    shelf.need(id, session.program()).await?;
    let api: Api<Convoy> = Api::namespaced(session.cluster.client.clone(), session.namespace());
    let config = watcher::Config::default().fields(&format!("metadata.name={id}"));
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff());
    let show = std::io::stderr().is_terminal();
    let mut last = String::new();
    let status = format!("{} convoy status {id}", session.program());
    let watching = async {
        while let Some(event) = stream.next().await {
            let convoy = match event {
                Ok(watcher::Event::Apply(c) | watcher::Event::InitApply(c)) => c,
                Ok(watcher::Event::Delete(_)) => {
                    return Err(Failure::new(exit::FAILED, format!("convoy {id} was deleted")));
                }
                Ok(_) | Err(_) => continue,
            };
            let s = convoy.status.clone().unwrap_or_default();
            let message = s.message.clone().unwrap_or_default();
            let line = format!("{id}: {} {}", s.progress.as_deref().unwrap_or("-"), one_line(&message));
            if show && line != last {
                note(&line);
            }
            last = line;
            match s.phase {
                ConvoyPhase::Complete => return Ok(()),
                ConvoyPhase::Failed => {
                    return Err(
                        Failure::new(exit::FAILED, format!("convoy {id} cannot finish: {message}"))
                            .hint(status.clone()),
                    );
                }
                ConvoyPhase::Pending | ConvoyPhase::InProgress => {}
            }
        }
        Err(Failure::new(exit::FAILED, "the watch ended"))
    };
    match tokio::time::timeout(timeout, watching).await {
        Ok(result) => result?,
        Err(_) => {
            return Err(Failure::new(
                exit::TIMED_OUT,
                format!("convoy {id} is not complete after {} s: {last}", timeout.as_secs()),
            )
            .hint(format!("it goes on without you: {status}")));
        }
    }
    let held = shelf.need(id, session.program()).await?;
    let progress = held.object.status.as_ref().and_then(|s| s.progress.clone());
    let block = format!("convoy/{id} complete, {}", or_dash(progress.as_ref()));
    print_one(session.output, "convoy", id, &held, &block)
}
