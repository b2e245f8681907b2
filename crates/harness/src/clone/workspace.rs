//! The agent's checkout: made beside its place and moved there whole, or kept if it stands from before.

use std::{fs, path::Path};

use gastown_git::{BranchName, Checkout, Depth, FetchOptions, Oid, RefName, Refspec, Repo};
use serde::{Deserialize, Serialize};

use super::{CloneError, Held};
use crate::{files, ledger::Ledger, setup::Pod};

/// Agents run `git push` and `git fetch` by habit: the error they get says why there is no need.
const ORIGIN: &str = "/gastown-carries-every-commit/no-push-or-fetch-needed";

/// What stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stands {
    /// Commits of earlier attempts.
    pub(super) commits: u32,
    /// Uncommitted files put back.
    pub(super) dirty: u32,
    /// It stood already: this pod's container started again.
    pub(super) kept: bool,
}

/// Says whose workspace stands. The agent can write it, and would harm only its own work by forging it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    pod: String,
    attempt: u32,
    commits: u32,
    dirty: u32,
}

/// Makes the workspace, unless this pod's own stands: then nothing is run in it, for the agent has been there.
pub(super) async fn make(pod: &Pod, ledger: &Ledger, held: &Held) -> Result<Stands, CloneError> {
    let mark = pod.shared(".workspace");
    if let Some(stands) = standing(pod, &mark) {
        return Ok(stands);
    }
    let workspace = pod.workspace();
    let fresh = files::beside(&workspace).map_err(CloneError::file("the workspace has no place"))?;
    let folder = fresh.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(CloneError::file("the workspace volume cannot be written"))?;
    clear_remains(folder, &workspace);
    let (_, commits) = ledger.since(&held.target, &held.start).await?;
    let dirty = check_out(pod, ledger, held, &fresh).await?;
    files::remove(&workspace).map_err(CloneError::file("an old workspace cannot be removed"))?;
    fs::rename(&fresh, &workspace).map_err(CloneError::file("the workspace cannot be put in its place"))?;
    let written = Mark {
        pod: pod.uid.clone(),
        attempt: pod.orders.attempt,
        commits,
        dirty,
    };
    // Plain data with string keys always serialises.
    let text = serde_json::to_vec(&written).unwrap_or_default();
    files::replace(&mark, &text, 0o644).map_err(CloneError::file("the shared volume cannot be written"))?;
    Ok(Stands {
        commits,
        dirty,
        kept: false,
    })
}

/// What a clone that was killed half way left beside the workspace.
fn clear_remains(folder: &Path, workspace: &Path) {
    let name = workspace.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // It costs room and harms nobody.
            let _ = files::remove(&entry.path());
        }
    }
}

fn standing(pod: &Pod, mark: &Path) -> Option<Stands> {
    let mark: Mark = serde_json::from_slice(&fs::read(mark).ok()?).ok()?;
    let ours = mark.pod == pod.uid && mark.attempt == pod.orders.attempt;
    (ours && pod.workspace().join(".git").is_dir()).then_some(Stands {
        commits: mark.commits,
        dirty: mark.dirty,
        kept: true,
    })
}

/// A repository that shares nothing with ours, on the work branch. Returns how many uncommitted files came back.
async fn check_out(pod: &Pod, ledger: &Ledger, held: &Held, dir: &Path) -> Result<u32, CloneError> {
    let o = &pod.orders;
    let branch = BranchName::parse(&o.work_branch).map_err(crate::ledger::LedgerError::from)?;
    let origin = format!("refs/remotes/origin/{}", o.remote.branch);
    let origin = RefName::parse(&origin).map_err(crate::ledger::LedgerError::from)?;
    let want = Checkout {
        commit: &held.start,
        branch: Some(&branch),
        depth: Depth::Keep,
        tags: false,
        others: &[(&held.target, origin)],
        config: &[
            ("remote.origin.url", ORIGIN),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("user.name", "Gas Town Polecat"),
            ("user.email", "polecat@gastown.io"),
        ],
    };
    let repo = ledger.repo.checkout_into(dir, &want).await?;
    match &held.snapshot {
        Some(snapshot) => restore(ledger, &repo, snapshot, &held.start).await,
        None => Ok(0),
    }
}

/// Puts uncommitted work back, if it was taken on the commit that is checked out.
async fn restore(ledger: &Ledger, repo: &Repo, snapshot: &Oid, start: &Oid) -> Result<u32, CloneError> {
    let parent = ledger.repo.cat_commit(snapshot).await?.parents.into_iter().next();
    if parent.as_ref() != Some(start) {
        tracing::info!(
            "uncommitted work of an earlier attempt belongs to another commit and stays in {}",
            snapshot.short()
        );
        return Ok(0);
    }
    let kept = RefName::parse(crate::SNAPSHOT).map_err(crate::ledger::LedgerError::from)?;
    repo.fetch_from(
        &ledger.repo,
        &[Refspec::commit(snapshot, &kept)],
        FetchOptions::default(),
    )
    .await?;
    let restored = repo.restore_snapshot(snapshot).await?;
    Ok(u32::try_from(restored.written.len() + restored.deleted.len()).unwrap_or(u32::MAX))
}
