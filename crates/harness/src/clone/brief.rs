//! What the agent is given to read.

use std::{fs, path::Path};

use gastown_git::{GitError, Oid};
use gastown_wire::{
    Evidence, EvidenceKind, Text,
    beads::{Export, FOLDER},
};

use super::{CloneError, Held};
use crate::{
    beads,
    evidence::{self, BothSides},
    files,
    ledger::Ledger,
    setup::Pod,
};

/// Most of one side of a conflict that is read. Bytes.
const SIDE: usize = 32 * 1024;

/// Writes the task, byte for byte (or what the repository says of its bead), and from round 2 why the work came back.
pub(super) async fn write(pod: &Pod, ledger: &Ledger, held: &Held) -> Result<(), CloneError> {
    let o = &pod.orders;
    let task = match &o.task {
        Text::Inline(text) => text.clone().into_bytes(),
        Text::File(path) => fs::read(path).map_err(CloneError::file("the task's file cannot be read"))?,
    };
    let task = match &o.subject.bead {
        Some(bead) if o.task_of_bead => text_of(bead, ledger, held).await.unwrap_or(task),
        _ => task,
    };
    let unwritable = "the shared volume cannot be written";
    files::replace(&pod.task_file(), &task, 0o644).map_err(CloneError::file(unwritable))?;
    let Some(why) = &o.evidence else {
        return Ok(());
    };
    let sides = match why.kind {
        EvidenceKind::Conflict => both_sides(ledger, held, why).await?,
        EvidenceKind::TestFailed | EvidenceKind::Asked => None,
    };
    let page = evidence::page(why, o.round, &o.remote.branch, &o.work_branch, sides.as_ref());
    files::replace(&pod.evidence_file(), page.as_bytes(), 0o644).map_err(CloneError::file(unwritable))
}

/// What the repository's export of issues says of a bead, as the target branch has it. Without it the agent is told the
/// ID, and can still find out.
async fn text_of(bead: &str, ledger: &Ledger, held: &Held) -> Option<Vec<u8>> {
    let mut export = Export::only(bead);
    if let Err(error) = beads::fill(&mut export, &ledger.repo, &held.target).await {
        tracing::warn!("the repository's issues cannot be read: {error}");
    }
    match export.get(bead) {
        Some(found) => {
            tracing::info!("the task is bead {bead} as the target branch has it");
            Some(found.task().into_bytes())
        }
        None => {
            tracing::warn!("the target branch has no bead {bead} in {FOLDER}/*.jsonl: the agent is told only the ID");
            None
        }
    }
}

/// Both changes to the files in conflict; none where the commits are not known here any more.
async fn both_sides(ledger: &Ledger, held: &Held, why: &Evidence) -> Result<Option<BothSides>, GitError> {
    let repo = &ledger.repo;
    let onto = why
        .onto
        .as_deref()
        .and_then(|o| Oid::parse(o).ok())
        .unwrap_or_else(|| held.target.clone());
    let work = why
        .commit
        .as_deref()
        .and_then(|c| Oid::parse(c).ok())
        .unwrap_or_else(|| held.start.clone());
    if !repo.has_commit(&onto).await? || !repo.has_commit(&work).await? {
        return Ok(None);
    }
    let Some(base) = repo.merge_base(&onto, &work).await? else {
        return Ok(None);
    };
    let paths: Vec<&Path> = why.paths.iter().map(Path::new).collect();
    Ok(Some(BothSides {
        yours: repo.diff_text(&base, &work, &paths, SIDE).await?.text,
        theirs: repo.diff_text(&base, &onto, &paths, SIDE).await?.text,
    }))
}
