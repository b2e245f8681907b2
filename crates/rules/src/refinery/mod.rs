//! The merge queue of a rig: order, candidates, tests, landing, hand-back. Runs nothing itself: pods do.
//!
//! ```text
//! Available polecats ─queue─▶ members (status, pinned) ─test pods─▶ verdicts ─plan─▶ land pod ─settle─▶ Merged, or sent back
//! ```
//!
//! A batch is written down before its first pod, and its pods are its memory until everybody in it knows what became of
//! them: so nothing is tested twice after a restart, and nothing lands but a commit whose own test pod was green.

mod batch;
mod blueprint;
mod conditions;
mod course;
pub(crate) mod evidence;
mod lane;
mod news;
mod plan;
mod queue;
mod settle;
mod status;
mod sweep;
mod turn_away;
mod verdict;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::blueprint::Blueprint;
use crate::draft::Draft;
use crate::key::RigKey;
use crate::plan::Action;
use crate::reason::Reason;
use crate::row::{PodRole, PodRow, RefineryRow};
use crate::world::World;
use batch::Batch;
use course::{Course, End};
use gastown_api::conditions as kind;
use gastown_wire::Member;
use jiff::Timestamp;
use lane::Lane;
use status::Word;
use std::sync::Arc;

/// What the queues of a rig call for.
pub(crate) fn decide(world: &World, rig: &RigKey, now: Timestamp, out: &mut Draft<'_>) {
    let mut lanes = Vec::new();
    for refinery in of_rig(world, rig) {
        match Lane::open(world, refinery) {
            Ok(lane) => lanes.push(lane),
            Err(why) => publish(refinery, status::closed(refinery, &why, &[], now), out),
        }
    }
    for lane in &lanes {
        lead(world, lane, now, out);
    }
    if !lanes.is_empty() {
        turn_away::tell(world, rig, &lanes, now, out);
    }
}

/// Why a rig's queue does nothing, for the Rig's own status; none: it works, or there is none yet.
pub(crate) fn closed(world: &World, rig: &RigKey) -> Option<Reason> {
    of_rig(world, rig).find_map(|refinery| match Lane::open(world, refinery) {
        Ok(lane) => lane.gate,
        Err(why) => Some(why),
    })
}

fn of_rig<'w>(world: &'w World, rig: &RigKey) -> impl Iterator<Item = &'w RefineryRow> {
    world
        .refineries
        .values()
        .filter(move |r| r.spec.rig_ref == *rig && r.meta.deleting.is_none())
}

fn publish(row: &RefineryRow, word: Word, out: &mut Draft<'_>) {
    out.publish_refinery(row, word.status, word.because, word.notices);
}

/// One step of one queue.
fn lead(world: &World, lane: &Lane<'_>, now: Timestamp, out: &mut Draft<'_>) {
    if let Some(at) = queue::passed_over(world, lane, now) {
        out.wake_at(&lane.rig.meta.key.name, at);
    }
    let row = lane.refinery;
    let (own, over): (Vec<&PodRow>, Vec<&PodRow>) = pods(world, row).partition(|pod| is_of_batch(pod, row));
    for pod in over {
        delete(pod, "its batch is over", out);
    }
    if row.status.members.is_empty() {
        return rest(world, lane, now, out);
    }
    let batch = Batch::read(own.iter().copied(), &row.status.members, lane.timeout, now);
    for pod in batch.overtaken() {
        delete(pod, "a later run took its place", out);
    }
    let eager = row.status.observed_generation != Some(row.meta.generation);
    let course = if batch.stands_on_another(&lane.basis()) {
        Course::End(Box::new(End {
            moved: true,
            ..End::default()
        }))
    } else {
        batch.course(status::odds(&row.status), lane.places(), eager, now)
    };
    follow(world, lane, &batch, course, now, out);
}

fn follow(world: &World, lane: &Lane<'_>, batch: &Batch<'_>, course: Course, now: Timestamp, out: &mut Draft<'_>) {
    let row = lane.refinery;
    match course {
        Course::Wait { until, trouble } => {
            out.wake_at(&lane.rig.meta.key.name, until);
            if trouble.is_some() || !(is_hindered(row) && batch.stalled()) {
                let word = status::underway(row, lane, batch, trouble.as_ref(), now);
                publish(row, word, out);
            }
        }
        Course::Hold { why, until } => {
            out.wake_at(&lane.rig.meta.key.name, until);
            publish(row, status::underway(row, lane, batch, Some(&why), now), out);
        }
        Course::End(end) => {
            if settle::settle(world, lane, &end, now, out) {
                let waiting = queue::waiting(world, lane, now);
                publish(row, status::ended(row, lane, batch, &end, &waiting, now), out);
            }
        }
        Course::Test { .. } | Course::Land { .. } if lane.gate.is_some() => rest(world, lane, now, out),
        Course::Test {
            prefix,
            run,
            lost,
            base,
        } => {
            let members = members(world, lane, batch, prefix);
            let of = blueprint::Run {
                batch: row.status.batch,
                run,
                lost,
                base,
                members,
            };
            let pod = blueprint::test_pod(world, lane, of);
            let because = Reason::new(
                "TestPrefix",
                format!("{prefix} changes of batch {}, run {run}", row.status.batch),
            );
            start(world, lane, batch, (pod, because), now, out);
        }
        Course::Land { what, run } => {
            let because = Reason::new(
                "LandGreen",
                format!("{} was tested green on {}", what.candidate, what.base),
            );
            let pod = blueprint::land_pod(world, lane, run, *what, now);
            start(world, lane, batch, (pod, because), now, out);
        }
    }
}

/// Creates a pod of the batch. Where the API server refuses it, the Refinery says so until it does not.
fn start(
    world: &World,
    lane: &Lane<'_>,
    batch: &Batch<'_>,
    what: (Blueprint, Reason),
    now: Timestamp,
    out: &mut Draft<'_>,
) {
    let (pod, because) = what;
    let refused = world.refusal(pod.key()).and_then(|r| r.why.as_ref()).map(|why| {
        let words = evidence::clean(why);
        Reason::new(
            "PodRefused",
            format!("pod {} was refused: {words}; it is tried again", pod.key().name),
        )
    });
    // One more try is no news: a hindrance has passed when a pod runs.
    if refused.is_some() || !is_hindered(lane.refinery) {
        let word = status::underway(lane.refinery, lane, batch, refused.as_ref(), now);
        publish(lane.refinery, word, out);
    }
    out.push(Action::Create {
        blueprint: Box::new(pod),
        because,
    });
}

/// Whether a hindrance is published that this very spec has met.
fn is_hindered(row: &RefineryRow) -> bool {
    conditions::is_true(&row.status.conditions, kind::DEGRADED)
        && row.status.observed_generation == Some(row.meta.generation)
}

/// No batch can be begun or gone on with, or none is wanted.
fn rest(world: &World, lane: &Lane<'_>, now: Timestamp, out: &mut Draft<'_>) {
    let row = lane.refinery;
    let waiting = queue::waiting(world, lane, now);
    let word = match &lane.gate {
        Some(why) => status::closed(row, why, &waiting, now),
        None if waiting.is_empty() => status::idle(row, now),
        None => status::begun(row, lane, &waiting, now),
    };
    publish(row, word, out);
}

/// The members of a prefix as orders. What an earlier pod was told is told again: its polecat may be gone by now.
fn members(world: &World, lane: &Lane<'_>, batch: &Batch<'_>, prefix: usize) -> Vec<Member> {
    let told = batch.ordered();
    let pinned = lane.refinery.status.members.iter().take(prefix).enumerate();
    pinned
        .map(|(i, m)| {
            told.get(i)
                .cloned()
                .unwrap_or_else(|| blueprint::member(m, queue::find(world, m)))
        })
        .collect()
}

/// Test and land pods of a Refinery, of any batch.
fn pods<'w>(world: &'w World, row: &'w RefineryRow) -> impl Iterator<Item = &'w PodRow> {
    let pods = world.pods_of(&row.meta.uid).iter().map(Arc::as_ref);
    pods.filter(|pod| matches!(pod.role, PodRole::Test | PodRole::Land))
}

fn is_of_batch(pod: &PodRow, row: &RefineryRow) -> bool {
    !row.status.members.is_empty() && batch::number(pod, batch::BATCH) == Some(row.status.batch)
}

fn delete(pod: &PodRow, why: &str, out: &mut Draft<'_>) {
    out.delete(pod, !pod.live(), Reason::new("BatchOver", why));
}
