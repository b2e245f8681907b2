//! `parallelism`: tests of one batch that run at once.

use super::{Change, PodRole, PodRow, Town};

fn prefixes(town: &Town) -> Vec<usize> {
    let orders = |p: &PodRow| p.test.as_ref().unwrap().members.len();
    town.testing().iter().map(orders).collect()
}

/// Eight changes, the one of that number bad, and a queue of so many places.
fn town(bad: usize, parallelism: i32) -> Town {
    let mut town = Town::new();
    town.edit_refinery(|r| r.spec.parallelism = Some(parallelism));
    for i in 0..8 {
        let change = Change {
            bad: i == bad,
            ..Change::default()
        };
        town.ready(&format!("p{i}"), change);
    }
    town.rest();
    town
}

/// Everything that runs ends, as on a cluster with room; how often something did.
fn rounds(town: &mut Town) -> usize {
    for round in 0..200 {
        town.rest();
        for pod in town.testing() {
            if pod.containers.is_empty() {
                town.build(pod);
            }
        }
        town.rest();
        let (tests, land) = (town.testing(), town.live(PodRole::Land));
        if tests.is_empty() && land.is_none() {
            return round;
        }
        for pod in tests {
            town.run_test(pod);
        }
        if let Some(pod) = land {
            town.run_land(pod);
        }
    }
    panic!("the queue never ends");
}

#[test]
fn a_batch_is_searched_ahead_once_its_base_is_known() {
    let mut town = town(8, 3);
    assert_eq!(prefixes(&town), [8], "nobody knows yet on which commit");
    let whole = town.testing().remove(0);
    town.build(whole);
    town.rest();
    assert_eq!(
        prefixes(&town),
        [3, 5, 8],
        "what would be called for were the whole red"
    );
    let base = |p: &PodRow| p.test.as_ref().unwrap().base.clone();
    let head = Some(town.main[0].0.clone());
    let bases: Vec<_> = town.testing().iter().map(base).collect();
    assert_eq!(
        bases,
        [head.clone(), head, None],
        "all stand where the first one stands"
    );
}

#[test]
fn a_green_batch_lands_at_once_and_what_ran_ahead_of_it_ends() {
    let mut town = town(8, 3);
    let whole = town.testing().remove(0);
    town.build(whole);
    town.rest();
    let whole = town.testing().pop().unwrap();
    town.run_test(whole);
    town.rest();
    assert_eq!(prefixes(&town), [0; 0], "their verdicts would tell nothing");
    assert!(town.live(PodRole::Land).is_some());
    town.run();
    assert!((0..8).all(|i| town.merged(&format!("p{i}")).is_some()));
    assert!(town.world.pods().is_empty());
}

#[test]
fn a_red_prefix_ends_the_tests_of_all_that_contain_it() {
    let mut town = town(0, 3);
    let whole = town.testing().remove(0);
    town.build(whole);
    town.rest();
    let shortest = town.testing().remove(0);
    town.run_test(shortest);
    town.rest();
    assert_eq!(prefixes(&town), [1, 2], "the search goes on in the first three");
}

#[test]
fn one_place_is_the_default_and_more_find_a_bad_change_sooner() {
    for bad in 0..8 {
        let of = |parallelism| {
            let mut town = town(bad, parallelism);
            let rounds = rounds(&mut town);
            let landed: Vec<bool> = (0..8).map(|i| town.merged(&format!("p{i}")).is_some()).collect();
            (rounds, landed)
        };
        let ((one, landed), (four, same)) = (of(1), of(4));
        assert_eq!(landed, same, "what lands does not depend on how many tests run at once");
        assert!(four <= one, "p{bad}: {four} rounds instead of {one}");
        assert!(bad != 5 || four < one, "p{bad}: {four} rounds instead of {one}");
    }
}

#[test]
fn fewer_places_while_it_runs_start_nothing_more() {
    let mut town = town(8, 3);
    let whole = town.testing().remove(0);
    town.build(whole);
    town.rest();
    assert_eq!(town.testing().len(), 3);
    town.edit_refinery(|r| r.spec.parallelism = None);
    town.rest();
    let shortest = town.testing().remove(0);
    town.run_test(shortest);
    town.rest();
    assert_eq!(prefixes(&town), [5, 8], "what runs goes on");
}

#[test]
fn a_paused_queue_starts_nothing_ahead_and_still_watches_what_runs() {
    let mut town = town(8, 3);
    town.edit_refinery(|r| r.spec.paused = Some(true));
    let whole = town.testing().remove(0);
    town.build(whole);
    town.rest();
    assert_eq!(prefixes(&town), [8]);
    assert!(town.plan().wakes.contains_key(super::RIG), "an overdue test is noticed");
}
