//! What is left to read when the pod is gone: the conversation, where the rig's record level keeps it, from the repository.

use super::find;
use super::logs::{LogArgs, Sheet};
use super::place::Place;
use crate::output::note;
use crate::scratch::Scratch;
use crate::session::Session;
use crate::{Failure, exit};
use futures::io::Cursor;
use gastown_git::{FetchOptions, Git, GitError, RefName, Refspec, Remote};
use gastown_wire::conversation::{Conversation, FILE, LIMIT};
use kube::ResourceExt;
use std::path::Path;

/// Why there is no conversation to print.
enum Trouble {
    /// The remote has none of this polecat.
    None,
    /// The remote, or what it has, cannot be read.
    Unreadable(String),
    /// Only its agent can read it.
    Foreign,
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Prints the conversation; what cannot be read is told together with why the log is gone.
pub(super) async fn print(args: &LogArgs, gone: Failure, session: &Session<'_>) -> Result<(), Failure> {
    let polecat = find(&args.name, session).await?.object;
    let uid = polecat.uid().unwrap_or_default();
    let place = match Place::of(&polecat, args.remote.as_ref(), session).await {
        Ok(place) => place,
        Err(_) => return Err(gone),
    };
    let name = gastown_wire::conversation_ref(&uid);
    let text = match read(&place, &name, args.raw).await {
        Ok(text) => text,
        Err(trouble) => return Err(untold(trouble, &gone, &polecat.spec.rig, &place.kept, &name)),
    };
    note(format!(
        "note: the pod is gone; this is the conversation that {} keeps, over all attempts and rounds",
        place.kept
    ));
    let sheet = Sheet::of_record(args, &polecat, session.output);
    sheet.copy(Cursor::new(last(&text, args.tail))).await.map(drop)
}

async fn read(place: &Place, name: &str, raw: bool) -> Result<Vec<u8>, Trouble> {
    let wrong = |e: &dyn std::fmt::Display| Trouble::Unreadable(e.to_string());
    let remote = Remote::parse(&place.kept).map_err(|e| wrong(&e))?;
    let name = RefName::parse(name).map_err(|e| wrong(&e))?;
    let git = Git::probe().await?.as_user();
    if git.ls_remote(&remote, &[name.as_str()]).await?.is_empty() {
        return Err(Trouble::None);
    }
    let scratch = Scratch::new();
    let repo = git.init_bare(&scratch.0).await?;
    repo.fetch(&remote, &[Refspec::same(&name)], FetchOptions::default())
        .await?;
    let tip = repo.rev_parse(name.as_str()).await?.ok_or(Trouble::None)?;
    let packed = repo.read_file_at(&tip, Path::new(FILE), LIMIT).await?;
    let talk = packed
        .and_then(|bytes| Conversation::unpack(&bytes))
        .ok_or_else(|| wrong(&"what it keeps there is no conversation"))?;
    match (talk.readable(), raw) {
        (Some(_), true) => Ok(talk.parts.concat()),
        (Some(text), false) => Ok(text.into_bytes()),
        (None, _) => Err(Trouble::Foreign),
    }
}

/// Why there is nothing to read here either, and what to type.
fn untold(trouble: Trouble, gone: &Failure, rig: &str, from: &str, name: &str) -> Failure {
    let by_hand = format!("git fetch {from} {name} && git cat-file blob FETCH_HEAD:{FILE}");
    let (why, next) = match trouble {
        Trouble::None => (
            format!("{from} keeps no conversation of it: that is the rig's choice (record.level)"),
            format!(
                "for those to come: kubectl patch rig {rig} --type merge -p '{{\"spec\":{{\"record\":{{\"level\":\"conversation\"}}}}}}'"
            ),
        ),
        Trouble::Unreadable(error) => (
            format!("{from} cannot be asked for its conversation: {error}"),
            format!("with your own git: {by_hand}; or another place: --remote URL"),
        ),
        Trouble::Foreign => (
            format!("{from} keeps its conversation as a database, which only its agent reads"),
            format!("to have it: {by_hand}"),
        ),
    };
    let hint = gone.hint.iter().cloned().chain([next]).collect::<Vec<_>>().join("; ");
    Failure::new(exit::NOT_FOUND, format!("{}; {why}", gone.what)).hint(hint)
}

/// The last so many lines.
fn last(text: &[u8], lines: Option<i64>) -> &[u8] {
    let Some(lines) = lines.and_then(|n| usize::try_from(n).ok()) else {
        return text;
    };
    let ends = text.iter().enumerate().rev().filter(|(_, b)| **b == b'\n');
    // The end of a last line ends nothing before it.
    let skipped = usize::from(text.ends_with(b"\n"));
    let from = ends
        .map(|(at, _)| at + 1)
        .nth(lines.saturating_add(skipped).saturating_sub(1));
    match lines {
        0 => &[],
        _ => text.get(from.unwrap_or(0)..).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::last;

    #[test]
    fn the_last_lines() {
        for (text, n, expected) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\n", 9, "a\nb\n"),
            ("a\nb\n", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(last(text.as_bytes(), Some(n)), expected.as_bytes(), "{text:?} {n}");
        }
        assert_eq!(last(b"a\nb", None), b"a\nb");
    }
}
