//! witness: the health of a rig's polecats. Named by their rig.

use crate::examples;
use crate::globals::Scope;
use crate::held::Held;
use crate::output::{Block, age, one_line, or_dash, print_list, print_one};
use crate::session::Session;
use crate::{Failure, Table, complete, exit};
use clap::Subcommand;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::{Witness, names};
use jiff::Timestamp;
use kube::ResourceExt;

/// Verbs of witness.
#[derive(Subcommand, Debug)]
pub enum WitnessVerb {
    /// All witnesses.
    #[command(visible_alias = "ls", after_help = examples::WITNESS_LIST)]
    List(Scope),
    /// How a rig's polecats are, and who is stuck.
    #[command(after_help = examples::WITNESS_STATUS)]
    Status {
        /// The rig; `.` is that of this checkout.
        #[arg(add = ArgValueCompleter::new(complete::rigs))]
        rig: String,
    },
}

pub(crate) async fn run(verb: WitnessVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        WitnessVerb::List(scope) => list(scope, session).await,
        WitnessVerb::Status { rig } => status(&rig, session).await,
    }
}

async fn list(scope: Scope, session: &Session<'_>) -> Result<(), Failure> {
    let all = scope.all_namespaces;
    let namespace = (!all).then_some(session.namespace());
    let witnesses = session.witnesses(namespace).list(None).await?;
    let now = Timestamp::now();
    let mut columns = vec![
        ("RIG", false),
        ("PHASE", false),
        ("RUNNING", false),
        ("STUCK", false),
        ("FAILED", false),
        ("SUCCEEDED", true),
        ("TOTAL", true),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    if all {
        columns.insert(0, ("NAMESPACE", false));
    }
    let rows = witnesses
        .iter()
        .map(|w| {
            let s = w.object.status.clone().unwrap_or_default();
            let n = s.polecats_summary.unwrap_or_default();
            let mut row = vec![
                w.object.spec.rig_ref.clone(),
                format!("{:?}", s.phase),
                n.running.to_string(),
                n.stuck.to_string(),
                n.failed.to_string(),
                n.succeeded.to_string(),
                n.total.to_string(),
                or_dash(s.message.as_ref()),
                age(w.object.metadata.creation_timestamp.as_ref(), now),
            ];
            if all {
                row.insert(0, w.object.namespace().unwrap_or_default());
            }
            row
        })
        .collect();
    let none = format!(
        "no witnesses in namespace {}; each rig gets one from the operator: {} rig list",
        session.namespace(),
        session.program()
    );
    let name = |w: &Held<Witness>| format!("witness/{}", w.object.name_any());
    print_list(session.output, &witnesses, name, &Table { columns, rows }, &none)
}

async fn status(word: &str, session: &Session<'_>) -> Result<(), Failure> {
    let rig = session.rig(word).await?;
    let rig_name = rig.object.name_any();
    let home = session.home_of(&rig.object);
    let name = names::witness_name(&rig_name);
    let held = session.witnesses(Some(home)).get(&name).await?.ok_or_else(|| {
        Failure::new(
            exit::NOT_FOUND,
            format!("rig {rig_name} has no witness {name} in namespace {home} yet"),
        )
        .hint(format!(
            "the operator makes it; is it running? {} doctor",
            session.program()
        ))
    })?;
    let s = held.object.status.clone().unwrap_or_default();
    let n = s.polecats_summary.unwrap_or_default();
    let mut block = Block::default();
    block.line("Rig", &rig_name);
    block.line("Phase", format!("{:?}", s.phase));
    block.line("Message", s.message.as_deref().unwrap_or("-"));
    block.line(
        "Polecats",
        format!(
            "{} ({} running, {} stuck, {} failed, {} succeeded)",
            n.total, n.running, n.stuck, n.failed, n.succeeded
        ),
    );
    block.line(
        "Stuck after",
        held.object
            .spec
            .stuck_threshold
            .as_deref()
            .unwrap_or("the rig's, else 15m"),
    );
    block.line(
        "Tells",
        held.object.spec.escalation_target.as_deref().unwrap_or("mayor"),
    );
    for (n, incident) in s.incidents.iter().enumerate() {
        let key = if n == 0 { "Incidents" } else { "" };
        let told = if incident.told.is_some() {
            "told"
        } else {
            "not told yet"
        };
        let (who, why) = (&incident.polecat, one_line(&incident.message));
        block.line(key, format!("- {who} {} ({told}): {why}", incident.reason));
    }
    for c in &s.conditions {
        block.line(&c.type_, format!("{} {} {}", c.status, c.reason, c.message));
    }
    if n.stuck + n.failed > 0 {
        block.line("Next", format!("{} polecat list {rig_name}", session.program()));
    }
    print_one(session.output, "witness", &name, &held, block.text())
}
