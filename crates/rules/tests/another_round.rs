//! `kubectl gt polecat retry`: each wish is granted once, and never under a batch's feet.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api::{AnotherRound, PolecatPhase, QueueMember};
use gastown_rules::{Fact, PodPhase, Seen};
use gastown_wire::CourierOutcome;

fn wish(scene: &mut Scene, id: &str, message: Option<&str>) {
    scene.edit("nux", |row| {
        row.spec.another_round = Some(AnotherRound {
            id: id.into(),
            message: message.map(str::to_owned),
        });
    });
}

fn done() -> Scene {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene.at_work("nux");
    scene.finishes("nux");
    assert_eq!(scene.status("nux").phase, PolecatPhase::Done);
    scene
}

fn stuck() -> Scene {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene.at_work("nux");
    let status = scene.status("nux").clone();
    let report = courier(CourierOutcome::NoChange, 1, status.attempt.unwrap());
    scene.pod(&status.pod_name.unwrap(), |p| {
        over(p, PodPhase::Succeeded);
        said(p, "courier", 0, &gastown_wire::Report::encode(&report));
    });
    scene.settle();
    assert_eq!(scene.status("nux").phase, PolecatPhase::Stuck);
    scene
}

/// Invariant 3: done is latched for its round, so a word begins the next one.
#[test]
fn done_work_goes_on_in_a_new_round_with_the_word_as_evidence() {
    let mut scene = done();
    wish(&mut scene, "one", Some("keep the old flag"));
    scene.settle();
    let status = scene.status("nux").clone();
    assert_eq!(
        (status.phase, status.round, status.attempt),
        (PolecatPhase::Working, Some(2), Some(2))
    );
    let last = status.rounds.last().unwrap();
    assert_eq!(
        (last.round, last.outcome.as_str(), last.commit.as_deref()),
        (1, "Asked", Some(COMMIT))
    );
    let evidence = last.evidence.as_ref().unwrap();
    assert_eq!(
        (evidence.kind.as_str(), evidence.summary.as_str()),
        ("Asked", "keep the old flag")
    );
    assert_eq!(scene.pod_row(&status.pod_name.unwrap()).round, 2);
    assert!(scene.plan().actions.is_empty());
}

#[test]
fn a_wish_is_granted_once() {
    let mut scene = done();
    wish(&mut scene, "one", Some("more"));
    scene.at_work("nux");
    scene.finishes("nux");
    assert_eq!(
        (scene.status("nux").round, scene.status("nux").phase),
        (Some(2), PolecatPhase::Done)
    );
    assert!(scene.plan().actions.is_empty(), "{:#?}", scene.plan());
    wish(&mut scene, "two", Some("still more"));
    scene.settle();
    assert_eq!(scene.status("nux").round, Some(3));
}

#[test]
fn whoever_is_stuck_tries_the_same_round_again_with_all_retries() {
    let mut scene = stuck();
    wish(&mut scene, "one", None);
    scene.settle();
    let status = scene.status("nux");
    assert_eq!(
        (status.phase, status.round, status.failures),
        (PolecatPhase::Working, Some(1), None)
    );
    assert!(status.rounds.is_empty());
}

#[test]
fn whoever_is_stuck_and_told_something_begins_a_round() {
    let mut scene = stuck();
    wish(&mut scene, "one", Some("look at lib/"));
    scene.settle();
    assert_eq!(
        (scene.status("nux").round, scene.status("nux").phase),
        (Some(2), PolecatPhase::Working)
    );
}

#[test]
fn an_attempt_under_way_ends_first() {
    let mut scene = scene();
    scene.polecat("nux", alone);
    scene.at_work("nux");
    wish(&mut scene, "one", Some("more"));
    scene.settle();
    assert_eq!(
        (scene.status("nux").round, scene.status("nux").attempt),
        (Some(1), Some(1))
    );
    scene.finishes("nux");
    assert_eq!(
        (scene.status("nux").round, scene.status("nux").attempt),
        (Some(2), Some(2))
    );
}

#[test]
fn what_landed_stays_landed() {
    let mut scene = done();
    scene.lands("nux");
    wish(&mut scene, "one", Some("more"));
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").round),
        (PolecatPhase::Done, Some(1))
    );
    assert_eq!(scene.status("nux").another_round, None);
}

/// Invariant 4: what a batch has pinned may land at any moment, and is recorded then.
#[test]
fn a_batch_that_has_the_work_ends_first() {
    let mut scene = scene();
    scene.rig("parts", |_| {});
    scene.polecat("nux", |_| {});
    scene.at_work("nux");
    scene.finishes("nux");
    scene.settle();
    let name = scene.world.refineries.values().next().unwrap().meta.key.clone();
    let members = scene.world.refineries[&name].status.members.clone();
    assert_eq!(members.iter().map(|m: &QueueMember| m.round).collect::<Vec<_>>(), [1]);
    wish(&mut scene, "one", Some("more"));
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").round),
        (PolecatPhase::Done, Some(1))
    );
    // The batch is over, and the change not landed.
    let mut row = scene.world.refineries[&name].clone();
    row.meta.rev = scene.rev();
    row.status.members.clear();
    scene.world.learn(Fact::Seen(Seen::Refinery(Box::new(row))));
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").round),
        (PolecatPhase::Working, Some(2))
    );
    assert!(
        scene.world.refineries[&name].status.members.is_empty(),
        "it is not pinned while a wish is open"
    );
}
