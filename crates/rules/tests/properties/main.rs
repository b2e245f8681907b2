//! Random histories: a town whose API server answers late, loses answers and refuses, whose watch lags, whose pods
//! live and die as they like. Over all of it: the whole world is the specification and dirty rigs are the
//! execution; equal inputs give equal plans; nobody runs over a limit; a quiet world asks for nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod history;

use cluster::*;
use common::*;
use gastown_api::{DesiredState, PolecatPhase};
use gastown_rules::{Action, RigKey, Row, Status, Uid, decide};
use history::*;
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dirty_rigs_decide_what_the_whole_world_would(events in proptest::collection::vec(event(), 1..80)) {
        let mut cluster = Cluster::new(true);
        for event in events {
            cluster.happen(event);
        }
    }

    #[test]
    fn what_learn_calls_dirty_is_all_that_changed(events in proptest::collection::vec(event(), 1..60)) {
        // Keeps a plan a rig, refreshed only where learn says so or its wake has come: it must never be behind.
        let mut cluster = Cluster::new(true);
        let mut plans: BTreeMap<RigKey, Vec<Action>> = BTreeMap::new();
        let mut wakes: BTreeMap<RigKey, jiff::Timestamp> = BTreeMap::new();
        let mut dirty = cluster.scene.world.all();
        for event in events {
            match event {
                Event::Watch(n) => dirty.extend(cluster.watch(n)),
                Event::Later(seconds) => {
                    dirty.extend(cluster.watch(if seconds >= 60 { usize::MAX } else { 0 }));
                    cluster.happen(event);
                }
                Event::Decide(replies) => {
                    let now = cluster.scene.now;
                    dirty.extend(wakes.iter().filter(|(_, at)| **at <= now).map(|(rig, _)| rig.clone()));
                    let world = &cluster.scene.world;
                    let joined = world.joined(&dirty);
                    let plan = decide(world, &dirty, now);
                    for rig in &joined {
                        wakes.remove(rig);
                        plans.insert(rig.clone(), plan.actions.iter().filter(|a| home(world, a) == *rig).cloned().collect());
                    }
                    wakes.extend(plan.wakes.clone());
                    dirty.clear();
                    let whole = decide(world, &world.all(), now);
                    for rig in world.all() {
                        let want: Vec<Action> = whole.actions.iter().filter(|a| home(world, a) == rig).cloned().collect();
                        prop_assert_eq!(plans.get(&rig).cloned().unwrap_or_default(), want, "{} is behind", rig);
                    }
                    plans.clear();
                    for (action, reply) in whole.actions.into_iter().zip(replies.into_iter().cycle()) {
                        dirty.extend(cluster.send(action, reply));
                    }
                }
                other => cluster.happen(other),
            }
        }
    }

    #[test]
    fn a_quiet_world_settles_and_then_asks_for_nothing(events in proptest::collection::vec(event(), 1..50)) {
        let mut cluster = Cluster::new(false);
        for event in events {
            cluster.happen(event);
        }
        // No test command, so nothing is judged and nothing lands: the queue's liveness has tests of its own.
        // The storm is over: the watch catches up, every write is accepted, agents finish.
        for _ in 0..200 {
            cluster.happen(Event::Watch(usize::MAX));
            let plan = cluster.scene.plan();
            let idle = plan.actions.is_empty();
            cluster.happen(Event::Decide(vec![Reply::Done]));
            for nth in 0..cluster.truth.pods().len() {
                cluster.turn(nth, Turn::Runs);
                cluster.turn(nth, Turn::Done);
            }
            if idle && cluster.behind.is_empty() {
                match plan.wakes.values().min() {
                    Some(at) if *at <= cluster.scene.now + SignedDuration::from_hours(2) => {
                        prop_assert!(*at > cluster.scene.now, "a wake that has come and changes nothing");
                        cluster.scene.now = *at;
                    }
                    _ => break,
                }
            }
        }
        let world = &cluster.scene.world;
        let left = decide(world, &world.all(), cluster.scene.now).actions;
        prop_assert!(left.is_empty(), "never settles: {:?}", said_by(&left));
        // Nobody waits in silence, and nobody who could have worked is left over.
        for (key, row) in world.polecats() {
            let status = &row.status;
            prop_assert!(status.message.is_some(), "{key} says nothing: {status:?}");
            let able = row.spec.desired_state == DesiredState::Working && row.spec.rig != "no-such";
            if able && status.phase != PolecatPhase::Stuck {
                prop_assert_eq!(status.phase, PolecatPhase::Done, "{} is left over: {:?}", key, status.message);
            }
        }
    }
}

#[test]
fn attempts_only_grow() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = proptest::collection::vec(event(), 1..80);
    for _ in 0..128 {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        let mut cluster = Cluster::new(true);
        let mut attempts: BTreeMap<Uid, i64> = BTreeMap::new();
        let mut latched: BTreeMap<Uid, Option<String>> = BTreeMap::new();
        for event in events {
            cluster.happen(event);
            for row in cluster.truth.polecats().values() {
                let Row { meta, status, .. } = &**row;
                let now = status.attempt.unwrap_or(0);
                let before = attempts.insert(meta.uid.clone(), now).unwrap_or(0);
                assert!(now >= before && now <= before + 1, "{}: {before} -> {now}", meta.key);
                if let Some(commit) = latched.get(&meta.uid) {
                    assert_eq!(*commit, status.commit, "{}: done is latched", meta.key);
                } else if status.phase == PolecatPhase::Done {
                    latched.insert(meta.uid.clone(), status.commit.clone());
                }
            }
        }
    }
}

#[test]
fn statuses_are_published_from_what_was_read() {
    let mut cluster = Cluster::new(true);
    for action in cluster.scene.plan().actions {
        if let Action::Publish {
            key,
            from: Status::Polecat(from),
            ..
        } = action
        {
            assert_eq!(*from, cluster.truth.polecats()[&key].status);
        }
    }
    cluster.happen(Event::Decide(vec![Reply::Done]));
}

/// Found by the property above: the answer to a pod's creation is lost as the last moment comes in which it may start. It may run,
/// and holds its place.
#[test]
fn a_pod_that_may_have_been_made_is_not_given_up() {
    use Reply::{Done, LostApplied};
    let mut cluster = Cluster::new(false);
    for event in [
        Event::Decide(vec![Done]),
        Event::Later(598),
        Event::Decide(vec![Done, Done, LostApplied]),
        Event::Watch(1),
        Event::Later(1),
        Event::Watch(2),
        Event::Later(1),
        Event::Decide(vec![Done]),
        Event::Decide(vec![Done]),
        Event::Decide(vec![Done]),
    ] {
        cluster.happen(event);
    }
}

/// And whoever rests or ends such a polecat does not free its place before it is known.
#[test]
fn a_pod_that_may_have_been_made_holds_its_place() {
    use Reply::{Done, LostApplied};
    for wish in [Wish::Idle, Wish::Terminate] {
        for nth in 0..3 {
            let mut cluster = Cluster::new(false);
            cluster.happen(Event::Decide(vec![Done]));
            cluster.happen(Event::Watch(usize::MAX));
            cluster.happen(Event::Decide(vec![LostApplied]));
            let unseen = std::mem::take(&mut cluster.behind);
            cluster.happen(Event::Edit(nth, wish));
            cluster.happen(Event::Watch(usize::MAX));
            cluster.behind = unseen;
            for _ in 0..3 {
                cluster.happen(Event::Decide(vec![Done]));
            }
        }
    }
}
