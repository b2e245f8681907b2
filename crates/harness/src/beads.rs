//! `beads`: reads the issues that the repository's branch holds in `.beads/*.jsonl`, and says how many there are.
//!
//! What is in those files anybody may have written who can push: they are bounded, and what is no issue is counted and
//! passed over. Nothing is checked out.

use gastown_git::{Git, GitError, Oid, RefName, Repo};
use gastown_wire::{
    BeadsOrders, BeadsOutcome, BeadsRead, BeadsReport, Report as _, VERSION,
    beads::{Export, FOLDER, is_export, to_read},
    exit,
};

use crate::{
    last_words,
    queue::{Desk, Trouble},
    setup::termination_path,
};

/// Where the branch is kept here.
const SEEN: &str = "refs/gastown/fetched/target";

/// Reads the issues, leaves the report, and returns the exit code.
pub async fn run(orders: BeadsOrders) -> i32 {
    let report = match Git::probe().await {
        Ok(git) => read(&git, &orders).await,
        Err(error) => troubled(&error.into()),
    };
    tracing::info!(report = %report.encode(), "beads");
    last_words::leave_or_log(&termination_path(), &report);
    match report.outcome {
        BeadsOutcome::Read(_) | BeadsOutcome::NoBeads | BeadsOutcome::Unmoved => 0,
        BeadsOutcome::Config { .. } => exit::CONFIG,
        BeadsOutcome::Transient => exit::TRANSIENT,
    }
}

/// Reads the issues. Whatever happens is in the report.
pub async fn read(git: &Git, orders: &BeadsOrders) -> BeadsReport {
    attempt(git, orders).await.unwrap_or_else(|trouble| troubled(&trouble))
}

fn troubled(trouble: &Trouble) -> BeadsReport {
    let outcome = match trouble {
        Trouble::Config { reason, .. } => BeadsOutcome::Config {
            reason: (*reason).to_owned(),
        },
        Trouble::Transient(_) => BeadsOutcome::Transient,
    };
    BeadsReport {
        version: VERSION,
        outcome,
        commit: String::new(),
        detail: trouble.detail(),
        ranked: Vec::new(),
    }
}

async fn attempt(git: &Git, orders: &BeadsOrders) -> Result<BeadsReport, Trouble> {
    let desk = Desk::open(git, &orders.remote, &orders.paths, &orders.pace).await?;
    let tip = desk.target_in(&desk.look(&[desk.target.as_str()]).await?).await?;
    let report = |outcome, commit: &Oid| BeadsReport {
        version: VERSION,
        outcome,
        commit: commit.to_string(),
        detail: String::new(),
        ranked: Vec::new(),
    };
    if orders.known.as_deref() == Some(tip.as_str()) {
        return Ok(report(BeadsOutcome::Unmoved, &tip));
    }
    let seen = RefName::parse(SEEN).map_err(Trouble::orders)?;
    // What was fetched counts, not what was listed: it may have moved in between.
    let spec = (&desk.target, &seen);
    let fetched = desk.repo.fetch_folder(&desk.remote, spec, FOLDER, is_export).await?;
    let tip = fetched.ok_or_else(|| Trouble::Transient("the target branch went away while we looked".into()))?;
    let mut export = Export::default();
    if fill(&mut export, &desk.repo, &tip).await? == 0 {
        return Ok(report(BeadsOutcome::NoBeads, &tip));
    }
    let tally = export.tally(&orders.prefix);
    let read = BeadsRead {
        issues: tally.issues,
        open: tally.open,
        others: tally.others,
        broken: number(export.broken()),
        left_out: number(export.left_out()),
        unread: number(export.unread()),
    };
    Ok(BeadsReport {
        ranked: export.ranked(&orders.prefix),
        ..report(BeadsOutcome::Read(read), &tip)
    })
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads the export that a commit holds. Returns how many files it has.
pub(crate) async fn fill(export: &mut Export, repo: &Repo, commit: &Oid) -> Result<usize, GitError> {
    let (files, left) = to_read(repo.files_in(commit, FOLDER).await?, |f| f.name.clone());
    export.pass_over(left);
    for file in &files {
        match repo.read_blob(&file.blob, export.room()).await {
            Ok(content) => drop(export.read(&content)),
            Err(GitError::TooLarge { .. }) => export.pass_over(1),
            Err(error) => return Err(error),
        }
    }
    Ok(files.len() + left)
}
