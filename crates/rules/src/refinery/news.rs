//! What a batch came to: counts, and the events that tell of it.

use super::batch::Batch;
use super::course::End;
use super::lane::Lane;
use super::plan::{Doubt, doubt};
use super::queue::{list, name, short};
use super::status::{told, warned};
use crate::plan::Notice;
use gastown_api::{QueueMember, QueueOdds, RefineryStatus, Suspect};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Counts are halved above this, so that what a queue was like long ago is forgotten.
const MEMORY: i64 = 400;

/// Whether the member at this index was red once before and stood alone.
pub(super) fn is_handed_back(status: &RefineryStatus, members: &[QueueMember], index: usize) -> bool {
    let doubted = members
        .get(index)
        .is_some_and(|m| status.suspects.iter().any(|s| s.uid == m.uid && s.commit == m.commit));
    doubt(doubted, members.len()) == Doubt::HandBack
}

pub(super) fn count(status: &mut RefineryStatus, members: &[QueueMember], batch: &Batch<'_>, end: &End) {
    let back = end
        .suspect
        .as_ref()
        .filter(|(i, _)| is_handed_back(status, members, *i));
    let landed = i32::try_from(end.merged.len() + end.already.len()).unwrap_or(0);
    let failed =
        i32::try_from(end.conflicts.len()).unwrap_or(0) + i32::from(back.is_some()) + i32::from(end.missing.is_some());
    let sums = status.merges_summary.get_or_insert_default();
    sums.succeeded = sums.succeeded.saturating_add(landed);
    sums.failed = sums.failed.saturating_add(failed);
    sums.total = sums.succeeded.saturating_add(sums.failed);
    let was_suspect = !status.suspects.is_empty();
    let odds = status.odds.get_or_insert_default();
    let whole = |n: usize| i64::try_from(n).unwrap_or(0);
    odds.changes += whole(end.merged.len()) + i64::from(back.is_some());
    odds.bad += i64::from(back.is_some());
    odds.judged += i64::try_from(end.judged).unwrap_or(0);
    odds.flakes += i64::from(was_suspect && !end.merged.is_empty() && end.suspect.is_none());
    if odds.changes > MEMORY {
        let QueueOdds {
            changes,
            bad,
            judged,
            flakes,
        } = *odds;
        *odds = QueueOdds {
            changes: changes / 2,
            bad: bad / 2,
            judged: judged / 2,
            flakes: flakes / 2,
        };
    }
    status.test_runs += whole(batch.runs());
    if let Some((commit, _, at)) = &end.landed {
        status.landings += 1;
        status.head = Some(commit.clone());
        status.last_merge_time = Some(Time(*at));
    } else if let Some(base) = &end.base {
        status.head = Some(base.clone());
    }
    status.limit = end.limit.and_then(|l| i32::try_from(l).ok());
    if let Some((index, output)) = &end.suspect
        && let Some(member) = members.get(*index)
    {
        status.last_red = Some(format!(
            "{} at {}: {}",
            member.polecat,
            short(&member.commit),
            headline(output)
        ));
        let confirm = back.is_none();
        status.suspects = if confirm { vec![suspect(member)] } else { Vec::new() };
    } else if !end.moved && end.missing.is_none() {
        status.suspects.clear();
    }
}

fn suspect(member: &QueueMember) -> Suspect {
    Suspect {
        polecat: member.polecat.clone(),
        uid: member.uid.clone(),
        commit: member.commit.clone(),
        reds: 1,
    }
}

/// What the batch came to, one event a matter.
pub(super) fn news(members: &[QueueMember], before: &RefineryStatus, lane: &Lane<'_>, end: &End) -> Vec<Notice> {
    let named = |indices: &mut dyn Iterator<Item = usize>| {
        list(indices.filter_map(|i| members.get(i).map(name)).collect::<Vec<_>>())
    };
    let (branch, number) = (&lane.target.branch, before.batch);
    let mut notices = Vec::new();
    if let Some((index, output)) = &end.suspect {
        let (who, said) = (named(&mut std::iter::once(*index)), headline(output));
        if is_handed_back(before, members, *index) {
            let message = format!("{who} goes back: red again, alone on {branch}: {said}");
            notices.push(warned("HandedBack", message));
        } else {
            let message =
                format!("{who} is the first that turns batch {number} red ({said}); it is tested once more, alone");
            notices.push(warned("CulpritFound", message));
        }
    }
    if let Some((commit, tree, _)) = &end.landed {
        let who = named(&mut end.merged.iter().map(|(i, _)| *i));
        let message = format!(
            "{who} landed on {branch} as {} (tree {}), the tree that was tested; batch {number}",
            short(commit),
            short(tree)
        );
        notices.push(told("Landed", message));
    }
    if !end.already.is_empty() {
        let who = named(&mut end.already.iter().copied());
        notices.push(told("AlreadyOnTarget", format!("{branch} has what {who} did already")));
    }
    for (index, paths) in &end.conflicts {
        let who = named(&mut std::iter::once(*index));
        let paths = if paths.is_empty() {
            "its changes".to_owned()
        } else {
            paths.join(", ")
        };
        notices.push(warned(
            "Conflict",
            format!("{who} goes back: {paths} conflicts with {branch}"),
        ));
    }
    if let Some(index) = end.missing {
        let who = named(&mut std::iter::once(index));
        notices.push(warned(
            "HandedBack",
            format!("{who} goes back: its commit is not on the remote any more"),
        ));
    }
    notices
}

/// The line of an output that says most, for a sentence: the first one after the exit code.
pub(super) fn headline(output: &str) -> &str {
    let mut lines = output.lines();
    let first = lines.next().unwrap_or_default();
    if first.starts_with("exit code ") {
        lines.next().unwrap_or(first)
    } else {
        first
    }
}
