//! What a batch calls for: the next run, the landing, or the end.

use super::batch::{Batch, TestRun};
use super::plan::{self, MAX_LOST_RUNS, Odds, Step};
use super::verdict::{Hindrance, Landing, Tested};
use crate::reason::Reason;
use gastown_wire::{CandidateOutcome, LandOrders, Member};
use jiff::{SignedDuration, Timestamp};

/// Wait after a remote refused a push for good.
const REFUSED_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// What a batch calls for.
#[derive(Debug)]
pub(super) enum Course {
    /// Something runs.
    Wait {
        /// Look again then.
        until: Timestamp,
        /// Why it does not start, where it does not.
        trouble: Option<Reason>,
    },
    /// Something outside hinders it; nobody is to blame.
    Hold {
        /// What.
        why: Reason,
        /// Tried again then.
        until: Timestamp,
    },
    /// Test a prefix of the members.
    Test {
        /// So many members.
        prefix: usize,
        /// Which run of this prefix.
        run: u32,
        /// So many runs of it were lost.
        lost: u32,
        /// On this commit; none: the branch as it is.
        base: Option<String>,
    },
    /// Land what was tested green.
    Land {
        /// Base, candidate, tree, ref and members.
        what: Box<LandOrders>,
        /// Which try.
        run: u32,
    },
    /// It is over.
    End(Box<End>),
}

/// How a batch ended, in indices of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// What the branch is now, where something landed: commit, tree, when.
    pub(super) landed: Option<(String, String, Timestamp)>,
    /// What its candidates stood on.
    pub(super) base: Option<String>,
    /// Landed, each with its last commit on the branch.
    pub(super) merged: Vec<(usize, String)>,
    /// The branch had their changes already.
    pub(super) already: Vec<usize>,
    /// Do not apply to the branch as it is now: paths, and the members before them that landed.
    pub(super) conflicts: Vec<(usize, Vec<String>)>,
    /// The first that turned it red, and the tests' output.
    pub(super) suspect: Option<(usize, String)>,
    /// Its commit is not on the remote.
    pub(super) missing: Option<usize>,
    /// The branch moved: nothing of this batch holds any more.
    pub(super) moved: bool,
    /// How long the next batch should be at most: the branch moved in the middle of a search.
    pub(super) limit: Option<usize>,
    /// Prefixes judged.
    pub(super) judged: u64,
}

impl<'w> Batch<'w> {
    /// What the batch calls for now, testing in so many places. `eager`: somebody changed the spec since a hindrance was
    /// published.
    pub(super) fn course(&self, odds: Odds, places: usize, eager: bool, now: Timestamp) -> Course {
        if let Some(course) = self.landing(eager, now) {
            return course;
        }
        if let Some(end) = self.cut_short() {
            return Course::End(Box::new(end));
        }
        match plan::next(self.known, odds) {
            Step::Test(effective) => self.search(effective, odds, places, eager, now),
            Step::Land { green: 0, suspect } => {
                let mut end = self.end(0);
                end.suspect = suspect.map(|s| self.blame(s));
                Course::End(Box::new(end))
            }
            Step::Land { green, .. } => match self.land_orders(green) {
                Some(what) => Course::Land {
                    what: Box::new(what),
                    run: 1,
                },
                // Cannot be: a green prefix has a report. Test it again rather than land anything else.
                None => self.test(green, eager, now),
            },
        }
    }

    /// What a landing under way, or ended, calls for. What was tested green is landed by the book: its first orders.
    fn landing(&self, eager: bool, now: Timestamp) -> Option<Course> {
        if let Some((land, at)) = self.lands.iter().find_map(|l| match l.verdict {
            Landing::Landed { at } => Some((l, at)),
            _ => None,
        }) {
            return Some(Course::End(Box::new(self.landed(land.orders, at))));
        }
        let last = self.lands.last()?;
        let again = |hindrance: &Hindrance, wait: SignedDuration| {
            let until = hindrance.since + wait;
            if now < until && !eager {
                return Course::Hold {
                    why: hindrance.reason.clone(),
                    until,
                };
            }
            Course::Land {
                what: Box::new(last.orders.clone()),
                run: last.run.saturating_add(1),
            }
        };
        Some(match &last.verdict {
            Landing::Running { until, trouble } => Course::Wait {
                until: *until,
                trouble: trouble.clone(),
            },
            Landing::Hindered(h) if h.reason.code == "PushRejected" => again(h, REFUSED_WAIT),
            Landing::Hindered(h) | Landing::Lost(h) => again(h, backoff(last.run)),
            Landing::Mismatch(h) => match again(h, REFUSED_WAIT) {
                Course::Hold { why, until } => Course::Hold { why, until },
                _ => Course::End(Box::new(self.moved())),
            },
            Landing::Stale | Landing::Landed { .. } => Course::End(Box::new(self.moved())),
        })
    }

    /// Ends that no further run could change.
    fn cut_short(&self) -> Option<End> {
        for run in &self.tests {
            match run.verdict {
                Tested::Moved => return Some(self.moved()),
                Tested::Missing(i) => {
                    return Some(End {
                        missing: Some(i),
                        base: self.base.clone(),
                        ..End::default()
                    });
                }
                _ => {}
            }
        }
        None
    }

    /// The run that is called for, and where there is room, those that may be called for after it: one at a time, for
    /// each pod that is made asks again.
    fn search(&self, first: usize, odds: Odds, places: usize, eager: bool, now: Timestamp) -> Course {
        // Prefixes stand on one base, which the first candidate finds.
        let places = if self.base.is_some() { places } else { 1 };
        let running: Vec<usize> = self.running().map(|t| self.effective(t.prefix)).collect();
        let mut courses = plan::ahead(self.known, odds, places)
            .into_iter()
            .filter(|n| !running.contains(n))
            .take(places.saturating_sub(running.len()))
            .map(|n| (n, self.test(n, eager, now)))
            .filter(|(n, course)| *n == first || matches!(course, Course::Test { .. }));
        match courses.next() {
            Some((_, course)) => course,
            None => self.waiting(first),
        }
    }

    /// Until the first of what runs is overdue. Only the run that is called for is worth a word.
    fn waiting(&self, first: usize) -> Course {
        let of = |t: &TestRun<'w>| match &t.verdict {
            Tested::Running { until, trouble } => {
                Some((*until, trouble.clone().filter(|_| self.effective(t.prefix) == first)))
            }
            _ => None,
        };
        let all: Vec<(Timestamp, Option<Reason>)> = self.running().filter_map(of).collect();
        Course::Wait {
            until: all.iter().map(|(until, _)| *until).min().unwrap_or(Timestamp::MAX),
            trouble: all.into_iter().find_map(|(_, trouble)| trouble),
        }
    }

    fn test(&self, effective: usize, eager: bool, now: Timestamp) -> Course {
        let prefix = self.prefix(effective);
        let last = self.tests.iter().rfind(|t| t.prefix == prefix);
        let run = last.map_or(1, |t| t.run.saturating_add(1));
        let lost = last.map_or(0, |t| t.lost);
        if let Some(Tested::Hindered(hindrance)) = last.map(|t| &t.verdict) {
            let until = hindrance.since + backoff(run);
            if now < until && !eager {
                return Course::Hold {
                    why: hindrance.reason.clone(),
                    until,
                };
            }
        }
        Course::Test {
            prefix,
            run,
            lost,
            base: self.base.clone(),
        }
    }

    fn green(&self, effective: usize) -> Option<&TestRun<'w>> {
        self.on_base()
            .rfind(|t| t.verdict == Tested::Green && self.effective(t.prefix) == effective)
    }

    fn land_orders(&self, green: usize) -> Option<LandOrders> {
        let run = self.green(green)?;
        let (report, orders) = (run.built()?, run.pod.test.as_deref()?);
        let CandidateOutcome::Built { commit, tree } = &report.outcome else {
            return None;
        };
        let members: Vec<Member> = report
            .included
            .iter()
            .filter_map(|i| orders.members.get(i.i).cloned())
            .collect();
        Some(LandOrders {
            base: report.base.clone(),
            candidate: commit.clone(),
            tree: tree.clone(),
            candidate_ref: orders.candidate_ref.clone(),
            members,
            ..LandOrders::default()
        })
    }

    /// The end after a landing: only what the orders named has landed.
    fn landed(&self, orders: &LandOrders, at: Timestamp) -> End {
        let of_candidate = |t: &&TestRun<'w>| {
            t.built().is_some_and(
                |r| matches!(&r.outcome, CandidateOutcome::Built { commit, .. } if *commit == orders.candidate),
            )
        };
        let green = self.on_base().find(of_candidate).map(|t| self.effective(t.prefix));
        let mut end = match green {
            Some(green) => self.end(green),
            // The test pod is gone: the orders alone say who landed.
            None => End {
                base: self.base.clone(),
                ..End::default()
            },
        };
        if let Some(green) = green {
            let known = self.known;
            end.suspect = (known.red == Some(green + 1)).then(|| self.blame(green));
        }
        end.landed = Some((orders.candidate.clone(), orders.tree.clone(), at));
        let commits = self.on_base().find(of_candidate).and_then(TestRun::built);
        end.merged = match commits {
            Some(report) => report.included.iter().map(|i| (i.i, i.c.clone())).collect(),
            None => orders
                .members
                .iter()
                .filter_map(|o| self.members.iter().position(|m| m.uid == o.uid && m.commit == o.commit))
                .map(|i| (i, orders.candidate.clone()))
                .collect(),
        };
        end
    }

    /// Who is decided once so many members have landed, apart from those.
    fn end(&self, effective: usize) -> End {
        let decided = self.decided(effective);
        let longest = self.on_base().rfind(|t| t.applied().is_some());
        let report = longest.and_then(TestRun::applied);
        let conflicts = report.map(|r| {
            r.conflicts
                .iter()
                .filter(|c| c.i < decided)
                .cloned()
                .collect::<Vec<_>>()
        });
        let empty = report.map(|r| r.empty.iter().copied().filter(|i| *i < decided).collect::<Vec<_>>());
        End {
            base: self.base.clone().or_else(|| report.map(|r| r.base.clone())),
            already: empty.unwrap_or_default(),
            conflicts: conflicts
                .unwrap_or_default()
                .into_iter()
                .map(|c| (c.i, c.paths))
                .collect(),
            judged: self.judged(),
            ..End::default()
        }
    }

    fn judged(&self) -> u64 {
        let judged = |t: &&TestRun<'_>| matches!(t.verdict, Tested::Green | Tested::Red(_));
        self.tests.iter().filter(judged).count() as u64
    }

    /// The branch moved: where a red batch was being searched, the next one begins where this one would have gone on.
    fn moved(&self) -> End {
        let known = self.known;
        let next = |red: usize| {
            if self.lands.is_empty() {
                (known.green + red) / 2
            } else {
                known.green
            }
        };
        let limit = known.red.map(|red| next(red).max(1));
        End {
            moved: true,
            limit: limit.map(|e| self.prefix(e)),
            judged: self.judged(),
            ..End::default()
        }
    }

    /// The member that turned the prefix red, and what the tests said.
    fn blame(&self, effective: usize) -> (usize, String) {
        let index = self.included.get(effective).copied().unwrap_or_default();
        let of_it = || self.on_base().filter(|t| self.effective(t.prefix) == effective + 1);
        let output = of_it().find_map(|t| match &t.verdict {
            Tested::Red(output) => Some(output.clone()),
            _ => None,
        });
        let lost = || {
            of_it().find_map(|t| match &t.verdict {
                Tested::Lost(why) => Some(format!("its test pod was lost {MAX_LOST_RUNS} times: {why}")),
                _ => None,
            })
        };
        (index, output.or_else(lost).unwrap_or_default())
    }
}

/// Wait before a further run: 5 s doubling to 5 min.
fn backoff(run: u32) -> SignedDuration {
    SignedDuration::from_secs((5_i64 << run.min(7)).min(300))
}
