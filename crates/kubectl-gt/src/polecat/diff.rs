//! polecat diff: what its work branch changes, read from the remote with the user's own right.

use super::find;
use super::place::Place;
use crate::output::{note, printable, write_out};
use crate::scratch::Scratch;
use crate::session::Session;
use crate::{Failure, Output, complete, exit};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use gastown_api::{Polecat, PolecatStatus};
use gastown_git::{BranchName, FetchOptions, Git, Oid, RefName, Refspec, Remote};
use kube::ResourceExt;
use serde::Serialize;

/// Most of a difference that is shown. Bytes.
const MOST: usize = 16 * 1024 * 1024;

/// Arguments of polecat diff.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// NAME or RIG/NAME.
    #[arg(add = ArgValueCompleter::new(complete::polecats))]
    name: String,
    /// Only which files.
    #[arg(long)]
    name_only: bool,
    /// Where to read it; else this checkout's remote, else the rig's repository.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
}

/// What `-o json` says.
#[derive(Serialize)]
struct Report {
    polecat: String,
    branch: String,
    base: String,
    commit: String,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    truncated: bool,
}

/// Where its work is.
struct Work {
    polecat: String,
    branch: BranchName,
    target: BranchName,
    base: Option<Oid>,
    commit: Option<Oid>,
}

pub(super) async fn run(args: &DiffArgs, session: &Session<'_>) -> Result<(), Failure> {
    let polecat = find(&args.name, session).await?.object;
    let place = Place::of(&polecat, args.remote.as_ref(), session).await?;
    let work = work(&polecat, &place.target)?;
    let report = compare(args, &work, &place)
        .await
        .map_err(|e| unreadable(&e, &work, &place.from))?;
    print(&report, session.output)
}

fn work(polecat: &Polecat, target: &str) -> Result<Work, Failure> {
    let s: PolecatStatus = polecat.status.clone().unwrap_or_default();
    let name = polecat.name_any();
    let Some(branch) = s.branch.as_deref() else {
        return Err(Failure::new(exit::NOT_FOUND, format!("{name} has no branch yet")));
    };
    let legal = |text: &str| BranchName::parse(text).map_err(|e| Failure::new(exit::FAILED, e.to_string()));
    let oid = |text: Option<String>| text.and_then(|t| Oid::parse(&t).ok());
    Ok(Work {
        polecat: name,
        branch: legal(branch)?,
        target: legal(target)?,
        base: oid(s.base),
        commit: oid(s.commit),
    })
}

fn unreadable(error: &str, work: &Work, from: &str) -> Failure {
    Failure::new(
        exit::FAILED,
        format!("{} cannot be read from {from}: {error}", work.branch),
    )
    .hint(format!(
        "with your own git: git fetch {from} {0} {1} && git diff FETCH_HEAD; or another place: --remote URL",
        work.target, work.branch
    ))
}

/// The difference; the error is for [`unreadable`].
async fn compare(args: &DiffArgs, work: &Work, place: &Place) -> Result<Report, String> {
    let text = |e: gastown_git::GitError| e.to_string();
    let git = Git::probe().await.map_err(text)?;
    // A scratch repository, so that nothing of the person's is touched.
    let scratch = Scratch::new();
    let repo = git.init_bare(&scratch.0).await.map_err(text)?;
    place.lend(&repo);
    let (theirs, ours) = (RefName::branch(&work.branch), RefName::branch(&work.target));
    let remote = Remote::parse(&place.from).map_err(|e| e.to_string())?;
    let specs = [Refspec::same(&theirs), Refspec::same(&ours)];
    let fetched = repo.fetch(&remote, &specs, FetchOptions::default()).await;
    let has = async |commit: &Option<Oid>| match commit {
        Some(commit) if repo.has_commit(commit).await.unwrap_or(false) => Some(commit.clone()),
        _ => None,
    };
    let (pinned, base) = (has(&work.commit).await, has(&work.base).await);
    // What the person has fetched already will do where the remote does not answer us.
    if let Err(e) = fetched
        && (pinned.is_none() || base.is_none())
    {
        return Err(text(e));
    }
    let tip = match pinned {
        Some(commit) => commit,
        None => repo
            .rev_parse(theirs.as_str())
            .await
            .map_err(text)?
            .ok_or_else(|| format!("it has no branch {}", work.branch))?,
    };
    let base = match base {
        Some(base) => base,
        None => {
            let main = repo.rev_parse(ours.as_str()).await.map_err(text)?;
            let main = main.ok_or_else(|| format!("it has no branch {}", work.target))?;
            repo.merge_base(&main, &tip).await.map_err(text)?.unwrap_or(main)
        }
    };
    let files = repo.diff_names(&base, &tip).await.map_err(text)?;
    let patch = match args.name_only {
        true => None,
        false => Some(repo.diff_text(&base, &tip, &[], MOST).await.map_err(text)?),
    };
    Ok(Report {
        polecat: work.polecat.clone(),
        branch: work.branch.to_string(),
        base: base.as_str().to_owned(),
        commit: tip.as_str().to_owned(),
        files: files.iter().map(|f| f.to_string_lossy().into_owned()).collect(),
        truncated: patch.as_ref().is_some_and(|t| t.truncated),
        patch: patch.map(|t| t.text),
    })
}

fn print(report: &Report, output: Output) -> Result<(), Failure> {
    let text = match output {
        Output::Json | Output::Yaml => crate::output::document(output, report)?,
        Output::Name => format!("polecat/{}\n", report.polecat),
        Output::Table | Output::Wide => match &report.patch {
            Some(patch) => printable(patch),
            None => report.files.iter().map(|f| printable(f) + "\n").collect(),
        },
    };
    if report.files.is_empty() {
        note(format!("{} changes nothing", report.branch));
    }
    write_out(&text)?;
    if report.truncated {
        note(format!("note: cut off after {MOST} bytes"));
    }
    Ok(())
}
