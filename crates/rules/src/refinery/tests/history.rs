//! Random histories of a whole queue: changes good and bad, pairs that break together, conflicts, lost pods, lost
//! answers, pushes by others, restarts, repairs. The invariants of DESIGN §8 hold in every one of them.

use super::super::simulation::Dice;
use super::{Change, NS, Town};
use crate::row::{PodPhase, PodRole};
use gastown_api::{PolecatPhase, conditions as kind};
use jiff::SignedDuration;
use std::collections::BTreeSet;

const CHANGES: usize = 14;

struct Mishaps {
    lost: f64,
    moved: f64,
    restart: f64,
    parallelism: i32,
}

fn enter(town: &mut Town, dice: &mut Dice, i: usize, earlier: &mut Vec<String>) {
    let pick = |dice: &mut Dice, p: f64, from: &[String]| -> BTreeSet<String> {
        let chosen = dice
            .chance(p)
            .then(|| from.get(dice.below(from.len().max(1))).cloned())
            .flatten();
        chosen.into_iter().collect()
    };
    let change = Change {
        bad: dice.chance(0.15),
        conflicts: pick(dice, 0.1, earlier),
        breaks: pick(dice, 0.1, earlier),
    };
    earlier.push(town.ready(&format!("p{i:02}"), change));
}

/// One event: a plan carried out, a pod that runs or is lost, a push by others, a restart.
fn happen(town: &mut Town, dice: &mut Dice, mishaps: &Mishaps) -> bool {
    if dice.chance(mishaps.restart) {
        town.restart();
    }
    if town.act() {
        return true;
    }
    let tests = town.testing();
    assert!(
        tests.len() <= usize::try_from(mishaps.parallelism).unwrap(),
        "no more at once than were asked for"
    );
    let any = tests.get(dice.below(tests.len().max(1))).cloned();
    if let Some(pod) = any.clone().filter(|p| p.phase == PodPhase::Pending)
        && mishaps.parallelism > 1
        && dice.chance(0.6)
    {
        town.build(pod);
        return true;
    }
    let Some(mut pod) = any.or_else(|| town.live(PodRole::Land)) else {
        return match town.plan().wakes.get(super::RIG) {
            Some(wake) if *wake > town.now => {
                town.now = *wake;
                true
            }
            _ => false,
        };
    };
    if dice.chance(mishaps.moved) {
        town.push_by_others();
    }
    if dice.chance(mishaps.lost) {
        if pod.role == PodRole::Land && dice.chance(0.5) {
            // It landed, and nobody heard of it.
            town.landing(&pod);
        }
        if dice.chance(0.5) {
            town.vanish(pod.meta.key);
        } else {
            (pod.phase, pod.reason) = (PodPhase::Failed, "Evicted".into());
            town.show(pod);
        }
        return true;
    }
    town.now += SignedDuration::from_secs(5);
    match pod.role {
        PodRole::Land => town.run_land(pod),
        _ => town.run_test(pod),
    }
    true
}

fn live_out(seed: u64, mishaps: &Mishaps) -> Town {
    let mut dice = Dice(seed);
    let mut town = Town::new();
    town.edit_refinery(|r| r.spec.parallelism = Some(mishaps.parallelism));
    let mut earlier = Vec::new();
    let mut entered = 0;
    let mut mended = BTreeSet::new();
    for _ in 0..20_000 {
        if entered < CHANGES && dice.chance(0.15) {
            enter(&mut town, &mut dice, entered, &mut earlier);
            entered += 1;
        }
        // Whoever is sent back mends its work, and is ready again after a while.
        let back = town
            .world
            .polecats()
            .values()
            .find(|p| p.status.phase == PolecatPhase::Idle && p.status.round > Some(1));
        if let Some(name) = back.map(|p| p.meta.key.name.clone())
            && dice.chance(0.2)
        {
            town.ready(&name, Change::default());
            mended.insert(name);
        }
        let busy = happen(&mut town, &mut dice, mishaps);
        for (_, tree) in &town.main {
            assert!(town.passes(tree), "seed {seed}: a value of the branch is red");
        }
        let idle = town
            .world
            .polecats()
            .values()
            .all(|p| p.status.phase != PolecatPhase::Idle);
        if !busy && entered == CHANGES && idle {
            return town;
        }
    }
    panic!("seed {seed}: the queue never comes to rest: {:#?}", town.queue().status);
}

/// What is true of every queue that has come to rest.
fn check(seed: u64, town: &Town) {
    let landed: BTreeSet<String> = town.main.last().unwrap().1.clone();
    for window in town.main.windows(2) {
        assert!(
            window[0].1.is_subset(&window[1].1),
            "seed {seed}: the branch lost a change"
        );
    }
    for polecat in town.world.polecats().values() {
        let name = &polecat.meta.key.name;
        let merged = kind::is_true(&polecat.status.conditions, kind::MERGED);
        assert!(
            merged,
            "seed {seed}: {name} was mended and never landed: {:?}",
            polecat.status
        );
        let commit = polecat.status.commit.as_ref().unwrap();
        assert!(
            landed.contains(commit),
            "seed {seed}: {NS}/{name} is told merged and is not on the branch"
        );
        assert!(polecat.status.merged_commit.as_ref().is_some_and(|c| !c.is_empty()));
    }
    assert_eq!(landed.len(), CHANGES, "seed {seed}: each change landed once");
    assert!(town.world.pods().is_empty(), "seed {seed}: pods are left over");
    assert!(
        town.plan().actions.is_empty(),
        "seed {seed}: a settled queue writes nothing"
    );
}

#[test]
fn in_calm_weather_every_change_lands_in_the_end() {
    for seed in 0..40 {
        check(
            seed,
            &live_out(
                seed,
                &Mishaps {
                    lost: 0.0,
                    moved: 0.0,
                    restart: 0.0,
                    parallelism: 1,
                },
            ),
        );
    }
}

#[test]
fn whatever_is_lost_moved_or_restarted_every_change_lands_and_the_branch_is_never_red() {
    for seed in 100..160 {
        check(
            seed,
            &live_out(
                seed,
                &Mishaps {
                    lost: 0.15,
                    moved: 0.1,
                    restart: 0.2,
                    parallelism: 1,
                },
            ),
        );
    }
}

#[test]
fn with_many_tests_at_once_too() {
    for seed in 200..280 {
        let mishaps = Mishaps {
            lost: 0.1,
            moved: 0.1,
            restart: 0.1,
            parallelism: 2 + i32::try_from(seed % 4).unwrap(),
        };
        check(seed, &live_out(seed, &mishaps));
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let mishaps = Mishaps {
        lost: 0.1,
        moved: 0.1,
        restart: 0.1,
        parallelism: 2,
    };
    let (a, b) = (live_out(5, &mishaps), live_out(5, &mishaps));
    assert_eq!((a.told, a.main), (b.told, b.main));
}

#[test]
fn a_wait_always_has_a_deadline() {
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let mut town = Town::new();
        let mut earlier = Vec::new();
        for i in 0..6 {
            enter(&mut town, &mut dice, i, &mut earlier);
        }
        for _ in 0..200 {
            town.rest();
            if town.live(PodRole::Test).is_some() || town.live(PodRole::Land).is_some() {
                let wake = town.plan().wakes.get(super::RIG).copied();
                assert!(wake.is_some_and(|w| w > town.now && w < town.now + SignedDuration::from_hours(2)));
            }
            if !town.kubelet() {
                break;
            }
        }
    }
}
