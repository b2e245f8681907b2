//! Bad days: lost pods, moved branches, refusals, missing settings.

use super::{Change, Town, ended};
use crate::fact::{Answer, Fact, Outcome};
use crate::key::{Key, Kind, RigKey};
use crate::plan::{Action, Status};
use crate::row::{ContainerRow, ContainerState, PodPhase, PodRole, PodRow};
use gastown_api::{self as api, conditions as kind};
use gastown_wire::{CandidateOutcome, CandidateReport, LandOutcome, LandReport, Report, VERSION};
use jiff::SignedDuration;

fn evict(town: &mut Town, role: PodRole) {
    let mut pod = town.live(role).expect("a live pod");
    pod.phase = PodPhase::Failed;
    pod.reason = "Evicted".into();
    pod.message = "The node was low on resource: memory.".into();
    town.show(pod);
}

fn answer(town: &mut Town, outcome: LandOutcome) {
    let pod = town.live(PodRole::Land).expect("a land pod");
    let report = LandReport {
        version: VERSION,
        outcome,
        commit: String::new(),
        detail: String::new(),
    };
    town.end(pod, &[("land", 1, report.encode())]);
}

fn until_landing(town: &mut Town) {
    town.rest();
    while town.live(PodRole::Land).is_none() {
        assert!(town.kubelet());
        town.rest();
    }
}

#[test]
fn without_a_test_command_nothing_lands_and_it_says_what_to_type() {
    let mut town = Town::new();
    town.edit_rig(|r| r.spec.test_command = None);
    town.good(&["nux"]);
    town.run();
    assert_eq!(
        town.queue_condition(kind::READY),
        Some(("False".into(), "NoTestCommand".into()))
    );
    assert!(
        town.queue()
            .status
            .message
            .as_ref()
            .unwrap()
            .contains("kubectl patch rig parts")
    );
    assert_eq!((town.runs, town.main.len()), (0, 1));
    assert_eq!(
        super::super::closed(&town.world, &RigKey::from("parts")).unwrap().code,
        "NoTestCommand"
    );
    town.edit_refinery(|r| r.spec.test_command = Some("./check".into()));
    town.run();
    assert!(
        town.merged("nux").is_some(),
        "the Refinery's own command serves as well"
    );
}

#[test]
fn a_paused_queue_starts_nothing_and_settles_what_has_landed() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    until_landing(&mut town);
    town.edit_rig(|r| r.spec.paused = Some(true));
    town.good(&["c"]);
    town.run();
    assert!(town.merged("a").is_some() && town.merged("b").is_some());
    assert_eq!(town.merged("c"), None);
    assert_eq!(
        town.queue_condition(kind::READY),
        Some(("False".into(), "Paused".into()))
    );
    assert!(!town.act());
    town.edit_rig(|r| r.spec.paused = Some(false));
    town.run();
    assert!(town.merged("c").is_some());
}

#[test]
fn of_two_queues_on_one_branch_the_oldest_acts_and_the_other_says_so() {
    let mut town = Town::new();
    town.now += SignedDuration::from_secs(1);
    town.refinery("another");
    town.good(&["nux"]);
    town.run();
    assert_eq!((town.runs, town.main.len()), (1, 2));
    let another = &town.world.refineries[&Key::new(Kind::Refinery, super::NS, "another")].status;
    assert_eq!(
        kind::get(&another.conditions, kind::READY).unwrap().reason,
        "Superseded"
    );
    assert!(another.message.as_ref().unwrap().contains("parts-refinery"));
}

#[test]
fn a_queue_without_its_rig_says_so_and_does_nothing() {
    let mut town = Town::new();
    town.good(&["nux"]);
    town.vanish(Key::new(Kind::Rig, "", super::RIG));
    town.rest();
    assert_eq!(
        town.queue_condition(kind::READY),
        Some(("False".into(), "RigNotFound".into()))
    );
    assert!(town.world.pods().is_empty());
}

#[test]
fn an_evicted_test_is_no_verdict_and_runs_again() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    town.rest();
    evict(&mut town, PodRole::Test);
    town.run();
    assert!(town.merged("a").is_some() && town.merged("b").is_some());
    assert_eq!(town.tested, [["a", "b"]]);
    assert!(town.heard("BatchRed").is_empty());
}

#[test]
fn a_vanished_test_pod_runs_again() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let pod = town.live(PodRole::Test).unwrap();
    town.vanish(pod.meta.key);
    town.run();
    assert!(town.merged("a").is_some());
}

#[test]
fn three_lost_runs_of_one_prefix_count_as_red() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    for _ in 0..3 {
        town.rest();
        evict(&mut town, PodRole::Test);
    }
    town.rest();
    assert_eq!(
        town.live(PodRole::Test).unwrap().test.unwrap().members.len(),
        1,
        "the search goes on"
    );
    town.run();
    assert!(
        town.merged("a").is_some() && town.merged("b").is_some(),
        "and the suspect is green alone"
    );
    assert_eq!(town.queue().status.odds.as_ref().unwrap().flakes, 1);
}

#[test]
fn a_landing_whose_answer_is_lost_is_asked_for_again_and_lands_once() {
    let mut town = Town::new();
    town.good(&["a"]);
    until_landing(&mut town);
    let pod = town.live(PodRole::Land).unwrap();
    town.landing(&pod);
    town.push_by_others();
    evict(&mut town, PodRole::Land);
    town.rest();
    town.now += SignedDuration::from_mins(1);
    town.run();
    assert_eq!(town.main.len(), 3);
    assert_eq!(
        town.merged("a"),
        Some(town.main[1].0.as_str()),
        "the second one finds it on the branch"
    );
}

#[test]
fn a_branch_pushed_to_by_others_during_the_test_is_tested_anew() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    until_landing(&mut town);
    town.push_by_others();
    town.run();
    assert_eq!(
        town.runs, 2,
        "what was green on the old base proves nothing on the new one"
    );
    assert!(town.merged("a").is_some() && town.merged("b").is_some());
}

#[test]
fn a_branch_that_moves_during_a_search_is_searched_on_where_it_was_left() {
    let mut town = Town::new();
    town.good(&["a", "b", "c", "d", "e", "f", "g"]);
    town.ready(
        "h",
        Change {
            bad: true,
            ..Change::default()
        },
    );
    town.rest();
    town.kubelet();
    town.push_by_others();
    town.run();
    assert_eq!(town.tested[0].len(), 8);
    assert_eq!(town.tested[1].len(), 4, "not the eight again");
    assert_eq!(town.queue().status.merges_summary.as_ref().unwrap().succeeded, 7);
}

#[test]
fn a_refused_push_pauses_the_queue_ejects_nobody_and_is_tried_again() {
    let mut town = Town::new();
    town.good(&["a"]);
    until_landing(&mut town);
    answer(
        &mut town,
        LandOutcome::Refused {
            why: "protected branch hook declined".into(),
        },
    );
    town.rest();
    assert_eq!(
        town.queue_condition(kind::DEGRADED),
        Some(("True".into(), "PushRejected".into()))
    );
    assert!(
        town.queue()
            .status
            .message
            .as_ref()
            .unwrap()
            .contains("protected branch")
    );
    assert_eq!(town.queue().status.phase, api::RefineryPhase::Error);
    assert!(town.live(PodRole::Land).is_none());
    let wake = town.plan().wakes["parts"];
    assert_eq!(
        wake.duration_since(town.now),
        SignedDuration::from_mins(5),
        "no wait without a deadline"
    );
    town.now = wake;
    town.run();
    assert!(town.merged("a").is_some());
    assert_eq!(
        town.queue_condition(kind::DEGRADED),
        Some(("False".into(), "Recovered".into()))
    );
    assert_eq!(town.runs, 1);
}

#[test]
fn a_changed_spec_ends_the_wait_after_a_refusal() {
    let mut town = Town::new();
    town.good(&["a"]);
    until_landing(&mut town);
    answer(&mut town, LandOutcome::Refused { why: "denied".into() });
    town.rest();
    town.edit_refinery(|r| r.spec.git_secret_ref = Some(api::SecretReference { name: "deploy".into() }));
    town.run();
    assert!(town.merged("a").is_some());
}

#[test]
fn a_mismatch_is_never_pushed_and_the_batch_is_tested_anew_later() {
    let mut town = Town::new();
    town.good(&["a"]);
    until_landing(&mut town);
    answer(
        &mut town,
        LandOutcome::Mismatch {
            why: "the tree differs".into(),
        },
    );
    town.rest();
    assert_eq!(
        town.queue_condition(kind::DEGRADED),
        Some(("True".into(), "LandingMismatch".into()))
    );
    town.now += SignedDuration::from_mins(5);
    town.run();
    assert_eq!(town.runs, 2);
    assert!(town.merged("a").is_some());
}

#[test]
fn a_wrong_repository_degrades_the_queue_and_blames_nobody() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let report = CandidateReport {
        version: VERSION,
        outcome: CandidateOutcome::Config {
            reason: "RepositoryNotFound".into(),
        },
        base: String::new(),
        included: Vec::new(),
        conflicts: Vec::new(),
        empty: Vec::new(),
        detail: "fatal: not found".into(),
    };
    let pod = town.live(PodRole::Test).unwrap();
    town.end(pod, &[("candidate", 78, report.encode())]);
    town.rest();
    assert_eq!(
        town.queue_condition(kind::DEGRADED),
        Some(("True".into(), "RepositoryNotFound".into()))
    );
    assert!(town.queue().status.message.as_ref().unwrap().contains("check gitURL"));
    assert_eq!(
        town.condition("a", kind::AVAILABLE),
        Some(("True".into(), "Done".into()))
    );
    town.now = town.plan().wakes["parts"];
    town.run();
    assert!(town.merged("a").is_some());
}

#[test]
fn a_commit_that_is_not_on_the_remote_sends_its_polecat_back() {
    let mut town = Town::new();
    town.good(&["a"]);
    let b = town.ready("b", Change::default());
    town.changes.remove(&b);
    town.run();
    assert!(town.merged("a").is_some());
    assert_eq!(
        town.condition("b", kind::MERGED),
        Some(("False".into(), "CommitMissing".into()))
    );
    assert_eq!(
        town.polecat("b").status.rounds[0].evidence.as_ref().unwrap().kind,
        "Asked"
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_at_once_and_blamed_on_nobody() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let mut pod = town.live(PodRole::Test).unwrap();
    let state = ContainerState::Waiting {
        reason: "ImagePullBackOff".into(),
        message: "no such image".into(),
    };
    pod.containers = vec![ContainerRow {
        state,
        ..ended("candidate", 0, "", town.now)
    }];
    let stuck = pod.containers.clone();
    town.show(pod);
    town.rest();
    assert_eq!(
        town.queue_condition(kind::DEGRADED),
        Some(("True".into(), "ImagePullFailed".into()))
    );
    town.told.clear();
    town.writes.clear();
    for _ in 0..6 {
        town.now = town.plan().wakes["parts"];
        town.rest();
        if let Some(mut pod) = town.live(PodRole::Test).filter(|p| p.containers.is_empty()) {
            pod.containers.clone_from(&stuck);
            town.show(pod);
        }
        town.rest();
    }
    assert!(
        town.heard("ImagePullFailed").is_empty(),
        "told once, however often it is tried again"
    );
    assert!(
        town.writes["Pod"] >= 4 && town.writes["Refinery"] <= 3,
        "{:?}",
        town.writes
    );
    assert_eq!(
        town.condition("a", kind::AVAILABLE),
        Some(("True".into(), "Done".into()))
    );
}

#[test]
fn a_node_that_falls_silent_does_not_hold_the_queue_for_ever() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let mut pod = town.live(PodRole::Test).unwrap();
    (pod.phase, pod.started) = (PodPhase::Running, Some(town.now));
    pod.containers = vec![ContainerRow {
        state: ContainerState::Running { since: Some(town.now) },
        ..ended("candidate", 0, "", town.now)
    }];
    town.show(pod.clone());
    town.rest();
    town.now = town.plan().wakes["parts"];
    town.rest();
    assert_ne!(
        town.live(PodRole::Test).unwrap().meta.key,
        pod.meta.key,
        "another run, and the silent pod is deleted"
    );
    town.run();
    assert!(town.merged("a").is_some());
}

#[test]
fn a_verdict_of_another_test_command_is_worth_nothing() {
    let mut town = Town::new();
    town.good(&["a"]);
    until_landing(&mut town);
    let pod = town.live(PodRole::Land).unwrap();
    town.vanish(pod.meta.key);
    town.edit_rig(|r| r.spec.test_command = Some("make thorough".into()));
    town.run();
    assert_eq!(town.runs, 2);
    assert!(town.merged("a").is_some());
}

#[test]
fn pull_requests_are_not_bypassed_by_pushing() {
    let mut town = Town::new();
    town.edit_rig(|r| r.spec.merge_strategy = Some(api::MergeStrategy::PullRequest));
    town.good(&["a"]);
    town.run();
    assert_eq!(town.main.len(), 1);
    assert_eq!(
        town.queue_condition(kind::READY),
        Some(("False".into(), "PullRequestNotServed".into()))
    );
}

#[test]
fn a_flaky_red_is_confirmed_and_the_innocent_lands() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    let candidate = town.live(PodRole::Test).unwrap();
    // The model's own report, but a test that failed by chance.
    town.kubelet();
    let honest = town.world.pods()[&candidate.meta.key].containers.clone();
    let mut pod = Box::new(PodRow::clone(&town.world.pods()[&candidate.meta.key]));
    pod.phase = PodPhase::Failed;
    pod.containers = vec![
        honest[0].clone(),
        ended("test", 1, "timeout waiting for port", town.now),
    ];
    town.greens.clear();
    town.show(*pod);
    town.run();
    assert!(town.merged("a").is_some());
    assert_eq!(town.queue().status.odds.as_ref().unwrap().flakes, 1);
}

#[test]
fn whose_record_is_refused_is_passed_over_until_an_instant() {
    let mut town = Town::new();
    town.good(&["nux"]);
    let row = town.polecat("nux").clone();
    let (from, at) = (Status::Polecat(Box::new(row.status.clone())), town.now);
    let action = Action::Publish {
        key: row.meta.key.clone(),
        uid: row.meta.uid.clone(),
        rev: row.meta.rev,
        from: from.clone(),
        to: from,
        notices: Vec::new(),
        because: crate::reason::Reason::new("Any", ""),
    };
    for _ in 0..4 {
        let outcome = Outcome::Denied { why: "quota".into() };
        let answer = Answer {
            action: action.clone(),
            outcome,
            at,
        };
        town.world.learn(Fact::Answered(answer));
    }
    town.rest();
    assert!(town.queue().status.members.is_empty(), "it is passed over");
    let until = town.world.refusal(&row.meta.key).unwrap().until;
    assert_eq!(town.plan().wakes.get(super::RIG), Some(&until));
    town.now = until;
    town.run();
    assert!(town.merged("nux").is_some());
}
