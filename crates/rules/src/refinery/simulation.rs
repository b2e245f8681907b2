//! Random queues through the planner alone: what it costs, and that nothing is lost, stuck or landed untested.

use super::plan::{Doubt, Known, Odds, Step, doubt, next};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A small deterministic generator (splitmix64): the same seed, the same history.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(super) fn chance(&mut self, p: f64) -> bool {
        ((self.next() >> 11) as f64) < p * (1_u64 << 53) as f64
    }
}

/// How a simulated queue behaves.
#[derive(Clone, Copy, Default)]
struct Weather {
    bad: f64,
    /// Two neighbours in the order of entering break only together.
    pair: f64,
    flake: f64,
    /// A run is lost.
    lost: f64,
    /// Others push before a run or a landing.
    moved: f64,
    /// The planner is told the truth instead of learning it.
    told: bool,
}

/// What a simulated queue came to.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    landed: BTreeSet<usize>,
    back: BTreeSet<usize>,
    longest_wait: u64,
}

struct Queue {
    weather: Weather,
    dice: Dice,
    waiting: VecDeque<usize>,
    bad: BTreeSet<usize>,
    /// Second of a pair that breaks together, to its first.
    pairs: BTreeMap<usize, usize>,
    suspect: Option<usize>,
    counts: (u64, u64, u64, u64),
    entered: BTreeMap<usize, u64>,
    tally: Tally,
}

impl Queue {
    fn new(changes: usize, seed: u64, weather: Weather) -> Self {
        let mut dice = Dice(seed);
        let mut bad = BTreeSet::new();
        let mut pairs = BTreeMap::new();
        for change in 0..changes {
            if dice.chance(weather.bad) {
                bad.insert(change);
            } else if change > 0 && dice.chance(weather.pair) {
                pairs.insert(change, change - 1);
            }
        }
        Self {
            weather,
            dice,
            waiting: (0..changes).collect(),
            bad,
            pairs,
            suspect: None,
            counts: (0, 0, 0, 0),
            entered: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn odds(&self) -> Odds {
        if self.weather.told {
            Odds {
                bad: self.weather.bad,
                flake: self.weather.flake,
            }
        } else {
            let (changes, bad, judged, flakes) = self.counts;
            Odds::learned(changes, bad, judged, flakes)
        }
    }

    /// Whether a tree with these changes on top of what landed passes.
    fn sound(&self, members: &[usize]) -> bool {
        let has = |c: &usize| members.contains(c) || self.tally.landed.contains(c);
        !members.iter().any(|m| self.bad.contains(m)) && !self.pairs.iter().any(|(a, b)| has(a) && has(b))
    }

    /// One batch, as the operator leads it: tests on one base, then a landing, then whom to doubt.
    fn batch(&mut self, limit: usize) -> Option<usize> {
        let odds = self.odds();
        let size = match self.suspect {
            Some(_) => 1,
            None => odds.longest().min(self.waiting.len()).min(limit),
        };
        let members: Vec<usize> = self.waiting.iter().copied().take(size).collect();
        for m in &members {
            self.entered.entry(*m).or_insert(self.tally.runs);
        }
        let mut verdicts: Vec<(usize, bool)> = Vec::new();
        loop {
            let known = Known::from(size, verdicts.clone());
            match next(known, odds) {
                Step::Test(n) => {
                    if !verdicts.is_empty() && self.dice.chance(self.weather.moved) {
                        return Some(n);
                    }
                    verdicts.push((n, self.run(&members[..n])));
                }
                Step::Land { green, suspect } => {
                    if green > 0 && self.dice.chance(self.weather.moved) {
                        return known.red.map(|_| green);
                    }
                    self.settle(&members, green, suspect, &verdicts);
                    return None;
                }
            }
        }
    }

    fn run(&mut self, tree: &[usize]) -> bool {
        for _ in 0..super::plan::MAX_LOST_RUNS {
            self.tally.runs += 1;
            if !self.dice.chance(self.weather.lost) {
                let flaky = self.dice.chance(self.weather.flake);
                return self.sound(tree) && !flaky;
            }
        }
        false
    }

    fn settle(&mut self, members: &[usize], green: usize, suspect: Option<usize>, verdicts: &[(usize, bool)]) {
        if green > 0 {
            assert!(verdicts.contains(&(green, true)), "what lands was green as one tree");
            assert!(self.sound(&members[..green]), "a tree that passed");
        }
        self.counts.0 += green as u64;
        self.counts.2 += verdicts.len() as u64;
        for m in &members[..green] {
            assert!(self.tally.landed.insert(*m), "lands once");
        }
        let was = self.suspect.take();
        if was.is_some() && suspect.is_none() {
            self.counts.3 += 1;
        }
        let mut gone = green;
        match suspect.map(|s| (members[s], doubt(was == Some(members[s]), members.len()))) {
            Some((who, Doubt::Confirm)) => {
                self.suspect = Some(who);
            }
            Some((who, Doubt::HandBack)) => {
                assert!(self.tally.back.insert(who));
                gone += 1;
                self.counts.0 += 1;
                self.counts.1 += 1;
            }
            None => {}
        }
        for m in self.waiting.drain(..gone) {
            let waited = self.tally.runs - self.entered[&m];
            self.tally.longest_wait = self.tally.longest_wait.max(waited);
        }
    }

    /// Runs until the queue is empty; a bound on the batches proves that it gets there.
    fn drain(mut self) -> (Tally, Self) {
        let most = 40 * (self.waiting.len() as u64 + 10);
        let mut limit = usize::MAX;
        let mut batches = 0;
        while !self.waiting.is_empty() {
            batches += 1;
            assert!(batches < most, "the queue does not come to an end");
            // Nothing known about an old base holds on a new one, but where to look first.
            limit = self.batch(limit).unwrap_or(usize::MAX);
        }
        let tally = std::mem::take(&mut self.tally);
        (tally, self)
    }
}

fn entropy(p: f64) -> f64 {
    -p * p.log2() - (1.0 - p) * (1.0 - p).log2()
}

#[test]
fn with_known_odds_the_runs_a_change_costs_are_within_the_budget() {
    let changes = 60_000;
    println!("   p   runs/change   H(p)+p   ratio");
    for bad in [0.05, 0.1, 0.2] {
        let weather = Weather {
            bad,
            told: true,
            ..Weather::default()
        };
        let (tally, _) = Queue::new(changes, 7, weather).drain();
        let (cost, bound) = (tally.runs as f64 / changes as f64, entropy(bad) + bad);
        println!("{bad:>4}   {cost:>11.4}   {bound:>6.4}   {:>5.3}", cost / bound);
        assert!(cost <= 1.05 * bound, "{cost} runs a change at p = {bad}");
    }
}

#[test]
fn with_learned_odds_it_costs_hardly_more() {
    let changes = 5_000;
    for bad in [0.01, 0.05, 0.1, 0.2, 0.3] {
        let (tally, _) = Queue::new(
            changes,
            11,
            Weather {
                bad,
                ..Weather::default()
            },
        )
        .drain();
        let (cost, bound) = (tally.runs as f64 / changes as f64, entropy(bad) + bad);
        println!(
            "learned p = {bad}: {cost:.4} runs a change, {:.3} of the bound",
            cost / bound
        );
        assert!(cost <= 1.2 * bound, "{cost} runs a change at p = {bad}");
    }
}

#[test]
fn without_flakes_exactly_the_good_changes_land_in_their_order() {
    for seed in 0..300 {
        let weather = Weather {
            bad: 0.15,
            lost: 0.02,
            moved: 0.2,
            ..Weather::default()
        };
        let (tally, queue) = Queue::new(60, seed, weather).drain();
        assert_eq!(
            tally.landed.len() + tally.back.len(),
            60,
            "seed {seed}: everyone leaves"
        );
        for back in &tally.back {
            // Three lost runs in a row, twice, may send a good change back; nothing else may.
            assert!(
                queue.bad.contains(back) || weather.lost > 0.0,
                "seed {seed}: {back} was good"
            );
        }
        assert!(tally.landed.is_disjoint(&queue.bad), "seed {seed}: a bad change landed");
    }
}

#[test]
fn of_two_changes_that_break_only_together_the_earlier_lands_and_the_later_goes_back() {
    for seed in 0..200 {
        let weather = Weather {
            pair: 0.1,
            ..Weather::default()
        };
        let (tally, queue) = Queue::new(50, seed, weather).drain();
        for back in &tally.back {
            let first = queue.pairs.get(back).expect("only the later of a pair goes back");
            assert!(tally.landed.contains(first), "seed {seed}");
        }
        for (later, first) in &queue.pairs {
            let both = tally.landed.contains(later) && tally.landed.contains(first);
            assert!(!both, "seed {seed}: a pair that breaks together landed");
        }
        assert_eq!(tally.landed.len() + tally.back.len(), 50);
    }
}

#[test]
fn a_flaky_test_sends_few_good_changes_back_and_blocks_nobody() {
    let (mut innocent, mut entered) = (0, 0);
    for seed in 0..100 {
        let weather = Weather {
            bad: 0.05,
            flake: 0.05,
            moved: 0.1,
            lost: 0.05,
            ..Weather::default()
        };
        let (tally, queue) = Queue::new(60, seed, weather).drain();
        innocent += tally.back.difference(&queue.bad).count();
        entered += 60;
        assert!(tally.landed.is_disjoint(&queue.bad));
        assert!(
            tally.longest_wait < 200,
            "seed {seed}: waited {} runs",
            tally.longest_wait
        );
    }
    let share = innocent as f64 / entered as f64;
    println!("flake 5 %: {:.2} % of the changes sent back though good", share * 100.0);
    assert!(share < 0.01, "one confirmation makes it about f squared");
}

#[test]
fn a_branch_that_others_push_to_all_the_time_still_takes_changes() {
    for seed in 0..50 {
        let weather = Weather {
            bad: 0.2,
            moved: 0.6,
            ..Weather::default()
        };
        let (tally, queue) = Queue::new(30, seed, weather).drain();
        assert_eq!(tally.landed.len(), 30 - queue.bad.len(), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let weather = Weather {
        bad: 0.1,
        flake: 0.05,
        lost: 0.05,
        moved: 0.1,
        ..Weather::default()
    };
    let run = |seed| format!("{:?}", Queue::new(80, seed, weather).drain().0);
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
