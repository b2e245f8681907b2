//! Random histories. `GASTOWN_SIM_SEEDS=5000` runs more of them, `GASTOWN_SIM_SEED=17` one of them, told in full.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use gastown_testkit::sim::{Counts, History, Violation};
use std::time::Instant;

/// Histories of an ordinary test run.
const SEEDS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn live(history: &mut History) -> Result<(), Violation> {
    history.settle()?;
    history.check_rest()
}

/// Lives one history; where a promise is broken, lives it again and tells what happened.
fn history(seed: u64, lines: usize) -> Counts {
    let mut first = History::random(seed);
    let Err(violation) = live(&mut first) else {
        return first.counts;
    };
    let mut again = History::random(seed).traced();
    let repeated = live(&mut again);
    let told: Vec<&str> = again.told().collect();
    let from = told.len().saturating_sub(lines);
    for line in &told[from..] {
        println!("{line}");
    }
    assert_eq!(repeated.as_ref(), Err(&violation), "seed {seed} does not repeat itself");
    panic!(
        "seed {seed}: {violation}\nagain, in full: GASTOWN_SIM_SEED={seed} cargo test -p gastown-testkit --test simulator"
    );
}

#[test]
fn random_histories_keep_every_promise() {
    if let Some(seed) = number("GASTOWN_SIM_SEED") {
        println!("{:#?}", history(seed, usize::MAX));
        return;
    }
    let seeds = number("GASTOWN_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number("GASTOWN_SIM_FROM").unwrap_or(0);
    let started = Instant::now();
    let mut sum = Counts::default();
    for seed in first..first + seeds {
        sum += history(seed, 250);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{seeds} histories in {seconds:.1} s, {:.1} a second",
        seeds as f64 / seconds
    );
    println!("{sum:#?}");
}

#[test]
fn a_seed_is_a_history() {
    let lived = |seed| {
        let mut history = History::random(seed);
        live(&mut history).unwrap();
        history.counts
    };
    assert_eq!(lived(3), lived(3));
    assert_ne!(lived(3), lived(4));
}
