//! Directed histories: one fault at a set moment in fair weather, and what must come of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use gastown_api::{DesiredState, PolecatPhase, conditions};
use gastown_rules::{Key, Kind};
use gastown_testkit::build::{NAMESPACE, convoy, polecat, rig};
use gastown_testkit::sim::{History, Mishap, Moment, Weather};

/// A rig with room for two, and a polecat of each name, in fair weather.
fn town(names: &[&str]) -> History {
    let mut history = History::new(7, Weather::calm()).traced();
    history.add(rig("parts").with_room_for(2));
    for name in names {
        history.add(polecat(name));
    }
    history
}

/// Everything lands, nothing is left, nothing is written at rest.
fn ends_well(history: &mut History) {
    let end = history.settle().and_then(|()| history.check_rest());
    if let Err(violation) = end {
        for line in history.told() {
            println!("{line}");
        }
        panic!("{violation}");
    }
    for row in history.store.polecats() {
        assert!(
            conditions::is_true(&row.status.conditions, "Merged"),
            "{}: {:?}",
            row.meta.key,
            row.status
        );
    }
}

fn attempt(history: &History, name: &str) -> i64 {
    history.polecat(name).and_then(|p| p.status.attempt).unwrap_or(0)
}

#[test]
fn in_fair_weather_a_polecat_costs_six_writes_and_its_batch_few() {
    let mut history = town(&[]);
    history.settle().unwrap();
    let before = history.counts.writes;
    history.add(polecat("nux"));
    ends_well(&mut history);
    let counts = history.counts;
    assert_eq!((counts.agents, counts.tests, counts.landings), (1, 1, 1));
    // Attempt, pod, Working, Done, Merged, delete; two statuses and two pods made and deleted a batch; sums.
    let writes = counts.writes - before;
    println!("one polecat, slung to merged: {writes} writes, sums of rig and witness among them");
    assert!(writes <= 6 + 6 + 12, "{writes} writes");
}

#[test]
fn the_operator_may_die_after_any_write() {
    let mut calm = town(&["nux", "slit", "dag"]);
    ends_well(&mut calm);
    let writes = calm.counts.sent;
    assert!(writes > 30, "{writes}");
    for last in 1..=writes {
        let mut history = town(&["nux", "slit", "dag"]);
        history.crash_after(last);
        ends_well(&mut history);
        let counts = history.counts;
        assert!(counts.crashes >= 1, "after write {last}");
        // No agent runs twice, and no verdict is asked for twice, for the operator's sake.
        assert_eq!(counts.agents, 3, "after write {last}");
        assert_eq!(counts.merged, 3, "after write {last}");
    }
}

#[test]
fn a_report_that_is_lost_is_found_in_the_record() {
    for mishap in [Mishap::Vanish, Mishap::Evict] {
        let mut history = town(&["nux"]);
        history.plan(Moment::Reporting, mishap);
        ends_well(&mut history);
        assert_eq!(history.counts.agents, 1, "{mishap:?}: finished work never runs twice");
        assert!(attempt(&history, "nux") <= 2);
    }
}

#[test]
fn whatever_befalls_a_pod_at_any_moment_its_work_lands_once() {
    let moments = [
        Moment::Pending,
        Moment::Claiming,
        Moment::Working,
        Moment::Ending,
        Moment::Reporting,
        Moment::Building,
        Moment::Testing,
        Moment::Landing,
        Moment::Landed,
    ];
    let mishaps = [
        Mishap::Vanish,
        Mishap::Zombie,
        Mishap::Cut,
        Mishap::Evict,
        Mishap::Kill,
        Mishap::Garble,
    ];
    for moment in moments {
        for mishap in mishaps {
            println!("{mishap:?} at {moment:?}");
            let mut history = town(&["nux", "slit"]);
            history.plan(moment, mishap);
            ends_well(&mut history);
            assert_eq!(history.counts.merged, 2);
        }
    }
}

#[test]
fn a_zombie_pushes_nothing_once_its_successor_holds_the_record() {
    let mut history = town(&["nux"]);
    history.plan(Moment::Working, Mishap::Zombie);
    ends_well(&mut history);
    // That no earlier holder pushes again is invariant 1, checked at every push.
    assert_eq!(attempt(&history, "nux"), 2);
    assert_eq!(history.counts.agents, 2);
    assert!(history.counts.fenced >= 1, "it came back and was refused");
}

#[test]
fn a_watch_that_lags_after_a_create_makes_nobody_act_twice() {
    for kind in [Kind::Pod, Kind::Polecat, Kind::Refinery, Kind::Rig] {
        let mut history = town(&["nux", "slit", "dag"]);
        let made = |h: &History| h.store.pods().next().is_some();
        history.run(made).unwrap();
        history.hold(kind, 120_000);
        ends_well(&mut history);
        assert_eq!(history.counts.agents, 3, "{kind:?}");
    }
}

#[test]
fn a_landing_whose_answer_is_lost_is_recorded_once() {
    for mishap in [Mishap::Vanish, Mishap::Zombie, Mishap::Garble] {
        let mut history = town(&["nux"]);
        history.plan(Moment::Landed, mishap);
        ends_well(&mut history);
        assert_eq!(
            (history.counts.landings, history.counts.merged, history.counts.tests),
            (1, 1, 1),
            "{mishap:?}"
        );
    }
}

#[test]
fn whatever_is_deleted_leaves_nothing_behind() {
    let moments: [fn(&History) -> bool; 3] = [
        |h| h.store.pods().next().is_some(),
        |h| h.counts.agents > 0,
        |h| h.counts.tests > 0,
    ];
    let keys = [
        Key::new(Kind::Polecat, NAMESPACE, "nux"),
        Key::new(Kind::Refinery, "gastown-system", "parts-refinery"),
        Key::new(Kind::Convoy, NAMESPACE, "cv"),
    ];
    for moment in moments {
        for key in &keys {
            let mut history = town(&["nux", "slit"]);
            history.add(convoy("cv").tracking("mp-1").tracking("mp-2").of("parts").at_most(1));
            history.run(moment).unwrap();
            history.erase(key);
            // Deleted objects leave no pods, and what was not deleted lands: that is what rest is checked for.
            ends_well(&mut history);
        }
    }
}

#[test]
fn what_lands_though_nobody_wants_it_any_more_is_recorded() {
    let mut history = town(&["nux"]);
    history.run(|h| h.counts.tests > 0).unwrap();
    history.want(&Key::new(Kind::Polecat, NAMESPACE, "nux"), DesiredState::Terminated);
    assert_eq!(history.settle().and_then(|()| history.check_rest()), Ok(()));
    let status = &history.polecat("nux").unwrap().status;
    assert_eq!((history.counts.landings, status.phase), (1, PolecatPhase::Terminated));
    assert!(conditions::is_true(&status.conditions, "Merged"));
}

#[test]
fn what_hangs_at_any_moment_is_ended_in_time_and_holds_nothing() {
    for moment in [
        Moment::Pending,
        Moment::Claiming,
        Moment::Working,
        Moment::Ending,
        Moment::Reporting,
    ] {
        let mut history = town(&["nux"]);
        history.plan(moment, Mishap::Hang);
        history.settle().unwrap();
        let status = &history.polecat("nux").unwrap().status;
        let merged = conditions::is_true(&status.conditions, "Merged");
        assert!(merged || status.phase == PolecatPhase::Stuck, "{moment:?}: {status:?}");
        assert_eq!(history.store.pods().count(), 0, "{moment:?}");
    }
    for moment in [Moment::Building, Moment::Testing, Moment::Landing, Moment::Landed] {
        let mut history = town(&["nux", "slit"]);
        history.plan(moment, Mishap::Hang);
        ends_well(&mut history);
    }
}
