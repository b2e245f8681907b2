//! What a batch's end means for its polecats: landed, or sent back with evidence.

use super::conditions;
use super::course::End;
use super::lane::Lane;
use super::news::{headline, is_handed_back};
use super::queue::{self, list, name, short};
use super::status::{told, warned};
use crate::draft::Draft;
use crate::plan::Notice;
use crate::reason::Reason;
use crate::row::PolecatRow;
use crate::world::World;
use gastown_api::{self as api, EvidenceRecord, PolecatPhase, QueueMember, RoundRecord, conditions as kind};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Rounds a task gets before a person has to look at it.
const MAX_ROUNDS: i64 = 5;
/// Rounds kept in a status.
const ROUNDS_KEPT: usize = 20;
/// Conflicting paths kept as evidence.
const PATHS_KEPT: usize = 50;

/// What a batch's end means for one member.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    /// Its last commit on the branch.
    Landed { commit: String },
    /// The branch had it already; its commit then.
    Already { commit: String },
    /// Back to its owner.
    Back {
        code: &'static str,
        message: String,
        evidence: Box<EvidenceRecord>,
    },
}

/// Publishes what became of each member. True once all of it stands in the world.
pub(super) fn settle(world: &World, lane: &Lane<'_>, end: &End, now: Timestamp, out: &mut Draft<'_>) -> bool {
    let members = &lane.refinery.status.members;
    let mut settled = true;
    for (member, fate) in members.iter().zip(fates(members, lane, end)) {
        let Some(fate) = fate else { continue };
        // A polecat that is gone, or went on by itself, has nothing left to be told.
        let concerns = match &fate {
            Fate::Landed { .. } | Fate::Already { .. } => queue::is_its_work,
            Fate::Back { .. } => queue::is_pinned,
        };
        let Some(polecat) = queue::find(world, member).filter(|p| p.meta.deleting.is_none() && concerns(p, member))
        else {
            continue;
        };
        if queue::given_up(world, polecat, now) {
            continue;
        }
        settled = false;
        match fate {
            Fate::Landed { commit } => merged(polecat, lane, ("Landed", &commit), now, out),
            Fate::Already { commit } => merged(polecat, lane, ("AlreadyOnTarget", &commit), now, out),
            Fate::Back {
                code,
                message,
                evidence,
            } => {
                hand_back(polecat, Reason::new(code, message), *evidence, now, out);
            }
        }
    }
    settled
}

fn fates(members: &[QueueMember], lane: &Lane<'_>, end: &End) -> Vec<Option<Fate>> {
    let mut fates: Vec<Option<Fate>> = vec![None; members.len()];
    let mut set = |index: usize, fate: Fate| {
        if let Some(slot) = fates.get_mut(index) {
            *slot = Some(fate);
        }
    };
    let landed = end.landed.as_ref().map(|(commit, ..)| commit.as_str());
    let onto = landed.or(end.base.as_deref()).unwrap_or_default();
    for index in &end.already {
        set(
            *index,
            Fate::Already {
                commit: onto.to_owned(),
            },
        );
    }
    for (index, paths) in &end.conflicts {
        set(*index, conflict(members, lane, end, *index, paths, onto));
    }
    if let Some((index, output)) = &end.suspect
        && is_handed_back(&lane.refinery.status, members, *index)
    {
        set(*index, red(lane, output, end.base.as_deref()));
    }
    if let Some(index) = end.missing {
        set(index, missing(members.get(index)));
    }
    for (index, commit) in &end.merged {
        set(*index, Fate::Landed { commit: commit.clone() });
    }
    fates
}

fn conflict(members: &[QueueMember], lane: &Lane<'_>, end: &End, index: usize, paths: &[String], onto: &str) -> Fate {
    let against: Vec<&QueueMember> = end
        .merged
        .iter()
        .filter(|(i, _)| *i < index)
        .filter_map(|(i, _)| members.get(*i))
        .collect();
    let what = if paths.is_empty() {
        "its changes".to_owned()
    } else {
        paths.join(", ")
    };
    let met = match against.is_empty() {
        true => String::new(),
        false => format!("; just before it landed {}", list(against.iter().map(|m| name(m)))),
    };
    let branch = &lane.target.branch;
    let message = format!("conflicts with {branch} at {} in {what}{met}", short(onto));
    Fate::Back {
        code: "Conflict",
        evidence: Box::new(EvidenceRecord {
            kind: "Conflict".to_owned(),
            summary: message.clone(),
            paths: paths.iter().take(PATHS_KEPT).cloned().collect(),
            onto: Some(onto.to_owned()).filter(|o| !o.is_empty()),
            against: against.iter().map(|m| m.polecat.clone()).take(PATHS_KEPT).collect(),
            test_command: None,
        }),
        message,
    }
}

fn red(lane: &Lane<'_>, output: &str, base: Option<&str>) -> Fate {
    let headline = headline(output);
    let on = base.map(|b| format!(" at {}", short(b))).unwrap_or_default();
    Fate::Back {
        code: "TestFailed",
        message: format!(
            "red twice, the second time alone on {}{on}: {headline}",
            lane.target.branch
        ),
        evidence: Box::new(EvidenceRecord {
            kind: "TestFailed".to_owned(),
            summary: output.to_owned(),
            onto: base.map(str::to_owned),
            test_command: Some(lane.command.clone()),
            ..EvidenceRecord::default()
        }),
    }
}

fn missing(member: Option<&QueueMember>) -> Fate {
    let commit = member.map_or("", |m| m.commit.as_str());
    let message = format!("commit {commit} is not on the remote any more: push the work again");
    Fate::Back {
        code: "CommitMissing",
        evidence: Box::new(EvidenceRecord {
            kind: "Asked".to_owned(),
            summary: message.clone(),
            ..EvidenceRecord::default()
        }),
        message,
    }
}

fn merged(polecat: &PolecatRow, lane: &Lane<'_>, how: (&'static str, &str), now: Timestamp, out: &mut Draft<'_>) {
    let (code, commit) = how;
    let branch = &lane.target.branch;
    let message = match code {
        "Landed" => format!("landed on {branch} as {}", short(commit)),
        _ => format!("{branch} at {} has this change already", short(commit)),
    };
    let because = Reason::new(code, message);
    let mut to = polecat.status.clone();
    to.message = Some(because.message.clone());
    to.merged_commit = Some(commit.to_owned());
    record(&mut to, "Merged", &because, None, now);
    conditions::set(
        &mut to.conditions,
        kind::MERGED,
        true,
        &because,
        polecat.meta.generation,
        now,
    );
    let notices = vec![told("Merged", because.message.clone())];
    out.publish_polecat(polecat, to, because, notices);
}

/// The next round of the same conversation, with evidence; after the last one a person is asked.
fn hand_back(polecat: &PolecatRow, why: Reason, evidence: EvidenceRecord, now: Timestamp, out: &mut Draft<'_>) {
    let mut to = polecat.status.clone();
    let (round, generation) = (to.round.unwrap_or(1), polecat.meta.generation);
    record(&mut to, "HandedBack", &why, Some(evidence), now);
    let back = Reason::new("HandedBack", why.message.clone());
    conditions::set(&mut to.conditions, kind::AVAILABLE, false, &back, generation, now);
    conditions::set(&mut to.conditions, kind::MERGED, false, &why, generation, now);
    to.failures = Some(0);
    to.retry_after = None;
    // The next round also where a person is asked first: an edit of the spec begins it, with this evidence.
    to.round = Some(round + 1);
    to.commit = None;
    to.finished_at = None;
    let because = if round >= MAX_ROUNDS {
        let because = Reason::new(
            "RoundsExhausted",
            format!(
                "sent back {round} times; the last time: {}. Look at its branch and its task; an edit of its spec begins another round",
                why.message
            ),
        );
        to.phase = PolecatPhase::Stuck;
        conditions::set(&mut to.conditions, kind::PROGRESSING, false, &because, generation, now);
        conditions::set(&mut to.conditions, kind::DEGRADED, true, &because, generation, now);
        because
    } else {
        // Terminated stays so: what is not wanted is not dispatched again.
        if to.phase == PolecatPhase::Done {
            to.phase = PolecatPhase::Idle;
        }
        conditions::set(&mut to.conditions, kind::PROGRESSING, false, &back, generation, now);
        Reason::new(
            "HandedBack",
            format!("sent back for round {}: {}", round + 1, why.message),
        )
    };
    to.message = Some(because.message.clone());
    let notices: Vec<Notice> = vec![warned("HandedBack", because.message.clone())];
    out.publish_polecat(polecat, to, because, notices);
}

fn record(to: &mut api::PolecatStatus, outcome: &str, why: &Reason, evidence: Option<EvidenceRecord>, now: Timestamp) {
    to.rounds.push(RoundRecord {
        round: to.round.unwrap_or(1),
        outcome: outcome.to_owned(),
        reason: why.code.to_owned(),
        message: why.message.clone(),
        commit: to.commit.clone(),
        base: to.base.clone(),
        evidence,
        finished_at: Some(Time(now)),
    });
    let surplus = to.rounds.len().saturating_sub(ROUNDS_KEPT);
    to.rounds.drain(..surplus);
}
