//! The planner: which prefix to test next, what to land, whom to doubt. Pure; knows no Kubernetes and no git.
//!
//! Changes stand in order. A prefix is tested as one tree; the longest one worth testing is red about every second
//! time, which is where a run tells most. A red one is searched for the first change that turns it red by cut points
//! of equal probability; everything before that change has been green by then, and lands.

use gastown_wire::MAX_MEMBERS;

/// Runs of one prefix that may be lost to the infrastructure before the loss counts as red.
pub(crate) const MAX_LOST_RUNS: u32 = 3;

/// A run ahead of its turn is worth a pod where it is needed with at least this probability.
const WORTH: f64 = 0.1;

/// What the next run is planned with, learned from the runs before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Odds {
    /// Probability that a change is bad when it enters.
    pub(crate) bad: f64,
    /// Probability that a run is red though every change in it is good.
    pub(crate) flake: f64,
}

impl Odds {
    /// Estimates from what was counted: changes decided by their tests, how many of them were bad; suspects tested
    /// alone, how many of them were green then; prefixes judged. The priors give a first batch of eight.
    pub(crate) fn learned(changes: u64, bad: u64, judged: u64, flakes: u64) -> Self {
        Self {
            bad: ((as_f64(bad) + 1.0) / (as_f64(changes) + 11.5)).clamp(0.005, 0.5),
            flake: ((as_f64(flakes) + 0.1) / (as_f64(judged) + 20.0)).clamp(0.0, 0.4),
        }
    }

    /// The longest prefix worth testing: the one that is as likely to be green as red.
    pub(crate) fn longest(self) -> usize {
        let worth = ((2.0 * (1.0 - self.flake)).ln() / -(1.0 - self.bad).ln()).round();
        (1..=MAX_MEMBERS)
            .take_while(|n| as_f64(*n as u64) <= worth.max(1.0))
            .count()
            .max(1)
    }

    /// Probability that the prefix of `n` changes is red, given what is known.
    fn red(self, known: Known, n: usize) -> f64 {
        let good = 1.0 - self.bad;
        let among = |upto: usize| 1.0 - good.powf(as_f64(upto.saturating_sub(known.green) as u64));
        match known.red {
            None => 1.0 - (1.0 - among(n)) * (1.0 - self.flake),
            Some(red) => among(n) / among(red),
        }
    }

    /// Where to cut `green..red`, whose first bad change is equally likely to lie on either side.
    fn cut(self, green: usize, red: usize) -> usize {
        let good = 1.0 - self.bad;
        let all = 1.0 - good.powf(as_f64((red - green) as u64));
        let mut reached = 0.0;
        let mut alive = 1.0;
        for cut in green + 1..red {
            let before = reached;
            reached += alive * self.bad;
            alive *= good;
            if reached * 2.0 >= all {
                // Which of the two neighbours lies nearer to the middle.
                let nearer = if all - 2.0 * before < 2.0 * reached - all {
                    cut - 1
                } else {
                    cut
                };
                return nearer.max(green + 1);
            }
        }
        red - 1
    }
}

/// Counts are far below 2^52.
fn as_f64(n: u64) -> f64 {
    n as f64
}

/// What is known of the prefixes of one batch on one base, in changes that are really in the candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Changes in the longest candidate.
    pub(crate) size: usize,
    /// The longest green prefix; 0: none but the base.
    pub(crate) green: usize,
    /// The shortest red prefix that is longer than the green one.
    pub(crate) red: Option<usize>,
}

impl Known {
    /// Sums up verdicts: pairs of a prefix length and whether it was green.
    pub(crate) fn from(size: usize, verdicts: impl IntoIterator<Item = (usize, bool)> + Clone) -> Self {
        let green = verdicts
            .clone()
            .into_iter()
            .filter(|(_, g)| *g)
            .map(|(n, _)| n)
            .max()
            .unwrap_or(0);
        let red = verdicts
            .into_iter()
            .filter(|(n, g)| !*g && *n > green)
            .map(|(n, _)| n)
            .min();
        Self { size, green, red }
    }
}

/// What a batch calls for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Test the prefix of so many changes.
    Test(usize),
    /// Land the green prefix of so many changes (0: nothing lands). The change right after it is the suspect, if any.
    Land {
        /// How many.
        green: usize,
        /// Index of the change that turned it red.
        suspect: Option<usize>,
    },
}

/// The next step of a batch.
pub(crate) fn next(known: Known, odds: Odds) -> Step {
    let Known { size, green, red } = known;
    match red {
        None if green >= size => Step::Land { green, suspect: None },
        None => Step::Test(size),
        Some(red) if red == green + 1 => Step::Land {
            green,
            suspect: Some(green),
        },
        Some(red) => Step::Test(odds.cut(green, red)),
    }
}

/// What to test at once in so many places: the prefix that is called for, then those that are likeliest to be called for
/// after it. Nothing where nothing is to be tested.
pub(crate) fn ahead(known: Known, odds: Odds, places: usize) -> Vec<usize> {
    let mut open = vec![(1.0_f64, known)];
    let mut tests = Vec::new();
    while tests.len() < places {
        let likeliest = open.iter().enumerate().max_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        let Some(likeliest) = likeliest.map(|(i, _)| i) else {
            break;
        };
        let (p, known) = open.swap_remove(likeliest);
        let Step::Test(n) = next(known, odds) else {
            continue;
        };
        tests.push(n);
        let red = odds.red(known, n);
        let futures = [
            (p * red, Known { red: Some(n), ..known }),
            (p * (1.0 - red), Known { green: n, ..known }),
        ];
        open.extend(futures.into_iter().filter(|(p, _)| *p >= WORTH));
    }
    tests
}

/// What becomes of the change that turned a batch red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// First in the queue, and alone, once more.
    Confirm,
    /// It was red alone and after a doubt: it goes back to its owner.
    HandBack,
}

/// One red run may be a flake; a change leaves only when it was red again by itself.
pub(crate) fn doubt(was_suspect: bool, size: usize) -> Doubt {
    if was_suspect && size == 1 {
        Doubt::HandBack
    } else {
        Doubt::Confirm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODDS: Odds = Odds { bad: 0.1, flake: 0.0 };

    #[test]
    fn a_new_queue_begins_with_a_batch_of_eight() {
        assert_eq!(Odds::learned(0, 0, 0, 0).longest(), 8);
    }

    #[test]
    fn the_longest_prefix_is_as_likely_green_as_red() {
        for (bad, longest) in [(0.02, 34), (0.05, 14), (0.1, 7), (0.2, 3), (0.3, 2), (0.5, 1)] {
            assert_eq!(Odds { bad, flake: 0.0 }.longest(), longest, "p = {bad}");
        }
        assert_eq!(
            Odds { bad: 0.005, flake: 0.0 }.longest(),
            MAX_MEMBERS,
            "never more than a report holds"
        );
        assert!(
            Odds { bad: 0.05, flake: 0.2 }.longest() < 14,
            "flakes make batches shorter"
        );
    }

    #[test]
    fn many_bad_changes_make_batches_shorter_and_good_ones_longer() {
        assert!(Odds::learned(20, 10, 20, 0).longest() < 4);
        assert!(Odds::learned(200, 2, 40, 0).longest() > 30);
    }

    #[test]
    fn a_batch_is_tested_whole_first_and_lands_when_green() {
        assert_eq!(
            next(
                Known {
                    size: 5,
                    green: 0,
                    red: None
                },
                ODDS
            ),
            Step::Test(5)
        );
        assert_eq!(
            next(
                Known {
                    size: 5,
                    green: 5,
                    red: None
                },
                ODDS
            ),
            Step::Land {
                green: 5,
                suspect: None
            }
        );
    }

    #[test]
    fn a_red_batch_is_halved_until_the_first_bad_change_stands_alone() {
        const ODDS: Odds = Odds { bad: 0.01, flake: 0.0 };
        assert_eq!(
            next(
                Known {
                    size: 8,
                    green: 0,
                    red: Some(8)
                },
                ODDS
            ),
            Step::Test(4)
        );
        assert_eq!(
            next(
                Known {
                    size: 8,
                    green: 4,
                    red: Some(8)
                },
                ODDS
            ),
            Step::Test(6)
        );
        assert_eq!(
            next(
                Known {
                    size: 8,
                    green: 6,
                    red: Some(8)
                },
                ODDS
            ),
            Step::Test(7)
        );
        assert_eq!(
            next(
                Known {
                    size: 8,
                    green: 7,
                    red: Some(8)
                },
                ODDS
            ),
            Step::Land {
                green: 7,
                suspect: Some(7)
            }
        );
        assert_eq!(
            next(
                Known {
                    size: 8,
                    green: 0,
                    red: Some(1)
                },
                ODDS
            ),
            Step::Land {
                green: 0,
                suspect: Some(0)
            }
        );
    }

    #[test]
    fn where_bad_changes_abound_the_first_of_them_is_sought_near_the_front() {
        assert!(Odds { bad: 0.4, flake: 0.0 }.cut(0, 16) <= 2);
        for red in 2..=MAX_MEMBERS {
            let cut = ODDS.cut(0, red);
            assert!(cut >= 1 && cut < red, "a cut lies strictly inside, got {cut} of {red}");
        }
    }

    fn known(size: usize, green: usize, red: Option<usize>) -> Known {
        Known { size, green, red }
    }

    #[test]
    fn with_one_place_only_what_is_called_for_is_tested() {
        for size in 1..=MAX_MEMBERS {
            assert_eq!(ahead(known(size, 0, None), ODDS, 1), [size]);
        }
        assert_eq!(ahead(known(8, 4, Some(8)), ODDS, 1), [ODDS.cut(4, 8)]);
        assert_eq!(ahead(known(8, 8, None), ODDS, 3), [0; 0], "it lands");
        assert_eq!(
            ahead(known(8, 3, Some(4)), ODDS, 3),
            [0; 0],
            "its first bad change is found"
        );
    }

    #[test]
    fn more_places_test_what_would_be_called_for_next() {
        const EVEN: Odds = Odds { bad: 0.01, flake: 0.0 };
        assert_eq!(
            ahead(known(8, 0, Some(8)), EVEN, 3),
            [4, 2, 6],
            "both halves of the search"
        );
        assert_eq!(
            ahead(known(1, 0, None), ODDS, 4),
            [1],
            "nothing comes after a change alone"
        );
        assert_eq!(
            ahead(known(8, 0, None), Odds { bad: 0.005, flake: 0.0 }, 4),
            [8],
            "a batch that is almost surely green needs no search"
        );
    }

    #[test]
    fn whatever_is_known_each_place_tests_another_prefix_that_tells_something() {
        for size in 1..=MAX_MEMBERS {
            for (green, red) in (0..size).flat_map(|g| [(g, None), (g, Some(size)), (g, Some((g + 3).min(size)))]) {
                for bad in [0.005, 0.1, 0.5] {
                    let odds = Odds { bad, flake: 0.1 };
                    let mut tests = ahead(known(size, green, red), odds, 5);
                    assert!(
                        tests
                            .iter()
                            .all(|n| *n > green && *n <= size && red.is_none_or(|r| *n < r))
                    );
                    tests.sort_unstable();
                    assert!(tests.windows(2).all(|two| two[0] != two[1]), "{tests:?}");
                }
            }
        }
    }

    #[test]
    fn a_red_below_a_green_tells_nothing() {
        let known = Known::from(8, [(8, false), (3, false), (5, true)]);
        assert_eq!(
            known,
            Known {
                size: 8,
                green: 5,
                red: Some(8)
            }
        );
    }

    #[test]
    fn only_a_second_red_alone_sends_a_change_back() {
        assert_eq!(doubt(false, 1), Doubt::Confirm);
        assert_eq!(doubt(false, 8), Doubt::Confirm);
        assert_eq!(doubt(true, 1), Doubt::HandBack);
    }
}
