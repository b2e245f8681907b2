//! polecat: workers.

use crate::logs::{self, LogArgs};
use crate::output::{age, or_dash, print_list, print_one};
use crate::{Access, Cluster, Failure, Output, Table, exit};
use clap::Subcommand;
use gastown_api::{Polecat, PolecatPhase};
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use std::fmt::Write;
use std::io::IsTerminal;

/// Verbs of polecat.
#[derive(Subcommand, Debug)]
pub enum PolecatVerb {
    /// All polecats, or those of a rig.
    #[command(alias = "ls")]
    List {
        /// Only of this rig; `.` is that of this checkout.
        rig: Option<String>,
    },
    /// One polecat: why it is where it is, and what to type next.
    Status {
        /// NAME or RIG/NAME.
        name: String,
    },
    /// What its agent prints.
    Logs(LogArgs),
    /// End it; its branch and record stay.
    Nuke {
        /// NAME or RIG/NAME.
        name: String,
        /// Do not ask; delete the object too.
        #[arg(long)]
        force: bool,
    },
}

pub(crate) async fn run(verb: PolecatVerb, cluster: &Cluster, access: &Access, output: Output) -> Result<(), Failure> {
    match verb {
        PolecatVerb::List { rig } => list(cluster, rig, access, output).await,
        PolecatVerb::Status { name } => status(cluster, &name, access, output).await,
        PolecatVerb::Logs(args) => logs::run(args, cluster, access).await,
        PolecatVerb::Nuke { name, force } => nuke(cluster, &name, force, access, output).await,
    }
}

/// NAME or RIG/NAME.
pub(crate) async fn find(cluster: &Cluster, word: &str, access: &Access) -> Result<Polecat, Failure> {
    let (rig, name) = match word.split_once('/') {
        Some((rig, name)) => (Some(access.rig(rig)?), name),
        None => (None, word),
    };
    let api: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let hint = format!("{} polecat list", access.program);
    let Some(polecat) = api.get_opt(name).await? else {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!("there is no polecat {name} in namespace {}", cluster.namespace),
        )
        .hint(hint));
    };
    match rig {
        Some(rig) if rig != polecat.spec.rig => Err(Failure::new(
            exit::NOT_FOUND,
            format!("polecat {name} is of rig {}, not {rig}", polecat.spec.rig),
        )
        .hint(hint)),
        _ => Ok(polecat),
    }
}

async fn list(cluster: &Cluster, rig: Option<String>, access: &Access, output: Output) -> Result<(), Failure> {
    let rig = rig.map(|r| access.rig(&r)).transpose()?;
    let api: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut polecats = api.list(&ListParams::default()).await?.items;
    polecats.retain(|p| rig.as_ref().is_none_or(|r| *r == p.spec.rig));
    let now = Timestamp::now();
    let columns = vec![
        ("NAME", false),
        ("RIG", false),
        ("BEAD", false),
        ("PHASE", false),
        ("POD", true),
        ("ROUND", true),
        ("ATTEMPT", true),
        ("BRANCH", true),
        ("COMMIT", true),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    let rows = polecats
        .iter()
        .map(|p| {
            let s = p.status.clone().unwrap_or_default();
            let commit = s.commit.map(|c| c.chars().take(10).collect::<String>());
            vec![
                p.name_any(),
                p.spec.rig.clone(),
                or_dash(p.spec.bead_id.as_ref()),
                format!("{:?}", s.phase),
                or_dash(s.pod_name.as_ref()),
                s.round.unwrap_or(1).to_string(),
                s.attempt.unwrap_or(0).to_string(),
                or_dash(s.branch.as_ref()),
                or_dash(commit.as_ref()),
                or_dash(s.message.as_ref()),
                age(p.metadata.creation_timestamp.as_ref(), now),
            ]
        })
        .collect();
    let none = format!(
        "no polecats in namespace {}; make one: {} sling BEAD RIG",
        cluster.namespace, access.program
    );
    print_list(
        output,
        "polecat",
        &polecats,
        ResourceExt::name_any,
        Table { columns, rows },
        &none,
    )
}

async fn status(cluster: &Cluster, word: &str, access: &Access, output: Output) -> Result<(), Failure> {
    let polecat = find(cluster, word, access).await?;
    print_one(
        output,
        "polecat",
        &polecat.name_any(),
        &polecat,
        &block(&polecat, &access.program),
    )
}

fn block(polecat: &Polecat, program: &str) -> String {
    let name = polecat.name_any();
    let s = polecat.status.clone().unwrap_or_default();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<12} {value}", format!("{key}:"));
    };
    line("Name", &name);
    line("Rig", &polecat.spec.rig);
    line("Bead", polecat.spec.bead_id.as_deref().unwrap_or("-"));
    line("Phase", &format!("{:?}", s.phase));
    line("Message", s.message.as_deref().unwrap_or("-"));
    line(
        "Round",
        &format!("{} (attempt {})", s.round.unwrap_or(1), s.attempt.unwrap_or(0)),
    );
    line("Pod", s.pod_name.as_deref().unwrap_or("-"));
    line("Branch", s.branch.as_deref().unwrap_or("-"));
    line("Commit", s.commit.as_deref().unwrap_or("-"));
    line("Landed", s.merged_commit.as_deref().unwrap_or("not yet"));
    for c in &s.conditions {
        line(&c.type_, &format!("{:<6}{:<20} {}", c.status, c.reason, c.message));
    }
    for round in &s.rounds {
        line(
            &format!("Round {}", round.round),
            &format!("{} {}: {}", round.outcome, round.reason, round.message),
        );
        if let Some(evidence) = &round.evidence
            && !evidence.summary.is_empty()
        {
            for l in evidence.summary.lines().take(20) {
                line("", &format!("| {l}"));
            }
        }
    }
    let next = match s.phase {
        PolecatPhase::Working => format!("{program} polecat logs {name} -f"),
        PolecatPhase::Stuck => {
            format!("{program} polecat logs {name}; mend what the message says, then sling the bead with --again")
        }
        PolecatPhase::Done if s.merged_commit.is_none() => {
            format!("{program} rig status {}", polecat.spec.rig)
        }
        _ => return text,
    };
    line("Next", &next);
    text
}

async fn nuke(cluster: &Cluster, word: &str, force: bool, access: &Access, output: Output) -> Result<(), Failure> {
    let polecat = find(cluster, word, access).await?;
    let name = polecat.name_any();
    if !force && std::io::stdin().is_terminal() {
        eprint!("end polecat {name}? its pod is stopped, its branch stays [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new(exit::REFUSED, "nothing was done"));
        }
    }
    let api: Api<Polecat> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    if force {
        api.delete(&name, &DeleteParams::default()).await?;
        return print_one(
            output,
            "polecat",
            &name,
            &polecat,
            &format!("polecat/{name} deleted; its branch stays"),
        );
    }
    let patch = serde_json::json!({"spec": {"desiredState": "Terminated"}});
    let polecat = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    print_one(
        output,
        "polecat",
        &name,
        &polecat,
        &format!("polecat/{name} is being terminated; its branch stays"),
    )
}
