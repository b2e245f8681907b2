//! beadstore: where issues come from.

use crate::examples;
use crate::globals::Scope;
use crate::held::Held;
use crate::output::{Block, age, or_dash, print_list, print_one, since};
use crate::session::Session;
use crate::{Failure, Table};
use clap::Subcommand;
use gastown_api::BeadStore;
use jiff::Timestamp;
use kube::ResourceExt;

/// Verbs of beadstore.
#[derive(Subcommand, Debug)]
pub enum BeadStoreVerb {
    /// All bead stores.
    #[command(visible_alias = "ls", after_help = examples::BEADSTORE_LIST)]
    List(Scope),
    /// One bead store: how many issues, and when it was read.
    #[command(after_help = examples::BEADSTORE_STATUS)]
    Status {
        /// Its name.
        name: String,
    },
}

pub(crate) async fn run(verb: BeadStoreVerb, session: &Session<'_>) -> Result<(), Failure> {
    match verb {
        BeadStoreVerb::List(scope) => list(scope, session).await,
        BeadStoreVerb::Status { name } => status(&name, session).await,
    }
}

async fn list(scope: Scope, session: &Session<'_>) -> Result<(), Failure> {
    let all = scope.all_namespaces;
    let stores = session.bead_stores(all).list(None).await?;
    let now = Timestamp::now();
    let mut columns = vec![
        ("NAME", false),
        ("RIG", false),
        ("PREFIX", false),
        ("PHASE", false),
        ("ISSUES", false),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    if all {
        columns.insert(0, ("NAMESPACE", false));
    }
    let rows = stores
        .iter()
        .map(|b| {
            let s = b.object.status.clone().unwrap_or_default();
            let issues = s.issue_count.map(|n| n.to_string());
            let mut row = vec![
                b.object.name_any(),
                b.object.spec.rig_ref.clone(),
                b.object.spec.prefix.clone(),
                format!("{:?}", s.phase),
                or_dash(issues.as_ref()),
                or_dash(s.message.as_ref()),
                age(b.object.metadata.creation_timestamp.as_ref(), now),
            ];
            if all {
                row.insert(0, b.object.namespace().unwrap_or_default());
            }
            row
        })
        .collect();
    let none = format!(
        "no bead stores in namespace {}: sling and convoys find beads without one",
        session.namespace()
    );
    let name = |b: &Held<BeadStore>| format!("beadstore/{}", b.object.name_any());
    print_list(session.output, &stores, name, &Table { columns, rows }, &none)
}

async fn status(name: &str, session: &Session<'_>) -> Result<(), Failure> {
    let held = session.bead_stores(false).need(name, session.program()).await?;
    let s = held.object.status.clone().unwrap_or_default();
    let mut block = Block::default();
    block.line("Name", name);
    block.line("Rig", &held.object.spec.rig_ref);
    block.line("Prefix", &held.object.spec.prefix);
    block.line("Phase", format!("{:?}", s.phase));
    block.line("Message", s.message.as_deref().unwrap_or("-"));
    block.some("Issues", s.issue_count.map(|n| n.to_string()));
    block.some("Commit", s.commit);
    let now = Timestamp::now();
    block.some("Read", s.last_sync_time.map(|t| format!("{} ago", since(t.0, now))));
    block.some("Reader", s.reader.map(|pod| format!("pod {pod}")));
    for c in &s.conditions {
        block.line(&c.type_, format!("{} {} {}", c.status, c.reason, c.message));
    }
    print_one(session.output, "beadstore", name, &held, block.text())
}
