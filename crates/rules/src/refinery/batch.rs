//! A batch under way, remembered by its pods: a restart of the operator repeats nothing.

use super::plan::{self, Known, MAX_LOST_RUNS, Odds, Step};
use super::verdict::{self, Hindrance, Landing, Tested};
use crate::reason::Reason;
use crate::row::{PodRole, PodRow};
use gastown_api::QueueMember;
use gastown_wire::{CandidateOutcome, CandidateReport, LandOrders, Member};
use jiff::{SignedDuration, Timestamp};

/// Annotation of test and land pods: the batch they belong to.
pub(super) const BATCH: &str = "gastown.io/batch";
/// Annotation of test and land pods: which run of the same thing, from 1.
pub(super) const RUN: &str = "gastown.io/run";
/// Annotation of test pods: how many runs of the same prefix were lost before.
pub(super) const LOST: &str = "gastown.io/lost-runs";
/// Annotation of test pods: what a verdict holds for (remote, branch, command, image, style).
pub(super) const BASIS: &str = "gastown.io/basis";

/// Longest a land pod may take: it only pushes.
pub(super) const LAND_DEADLINE: SignedDuration = SignedDuration::from_mins(10);
/// Wait after a remote refused a push for good.
const REFUSED_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// One run of one prefix.
#[derive(Debug)]
struct TestRun<'w> {
    pod: &'w PodRow,
    prefix: usize,
    run: u32,
    /// Runs lost up to and with this one.
    lost: u32,
    report: Option<CandidateReport>,
    verdict: Tested,
}

/// One try to land.
#[derive(Debug)]
struct LandRun<'w> {
    pod: &'w PodRow,
    orders: &'w LandOrders,
    run: u32,
    verdict: Landing,
}

/// All runs of one batch.
#[derive(Debug)]
pub(super) struct Batch<'w> {
    /// Its members, pinned.
    members: &'w [QueueMember],
    tests: Vec<TestRun<'w>>,
    lands: Vec<LandRun<'w>>,
    base: Option<String>,
    /// Indices of the members that are really in the longest candidate; before any report, all.
    included: Vec<usize>,
}

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
    /// Reads the pods of a batch. Pods that do not fit its members are none of its own.
    pub(super) fn read(
        pods: impl IntoIterator<Item = &'w PodRow>,
        members: &'w [QueueMember],
        timeout: SignedDuration,
        now: Timestamp,
    ) -> Self {
        let (mut tests, mut lands) = (Vec::new(), Vec::new());
        for pod in pods {
            let run = small(pod, RUN).unwrap_or(1);
            match (pod.role, &pod.test, &pod.land) {
                (PodRole::Test, Some(orders), _) if is_prefix(&orders.members, members) => {
                    let verdict = verdict::of_test(pod, timeout, now);
                    let lost = small(pod, LOST).unwrap_or(0)
                        + u32::from(matches!(verdict, Tested::Lost(_)));
                    let report = verdict::candidate_report(pod).and_then(Result::ok);
                    tests.push(TestRun {
                        pod,
                        prefix: orders.members.len(),
                        run,
                        lost,
                        report,
                        verdict,
                    });
                }
                (PodRole::Land, _, Some(orders)) => {
                    let verdict = verdict::of_land(pod, LAND_DEADLINE, now);
                    lands.push(LandRun {
                        pod,
                        orders,
                        run,
                        verdict,
                    });
                }
                _ => {}
            }
        }
        tests.sort_by_key(|t| (t.prefix, t.run));
        lands.sort_by_key(|l| l.run);
        let mut batch = Self {
            members,
            tests,
            lands,
            base: None,
            included: (0..members.len()).collect(),
        };
        batch.base = batch.find_base();
        batch.included = batch.find_included();
        batch
    }

    /// Pods that say nothing any more: overtaken by a later run of the same thing.
    pub(super) fn overtaken(&self) -> impl Iterator<Item = &'w PodRow> {
        let newest = |prefix| {
            self.tests
                .iter()
                .rfind(move |t| t.prefix == prefix)
                .map_or(0, |t| t.run)
        };
        let tests = self
            .tests
            .iter()
            .filter(move |t| {
                t.run < newest(t.prefix) && !matches!(t.verdict, Tested::Green | Tested::Red(_))
            })
            .map(|t| t.pod);
        let last = self.lands.last().map_or(0, |l| l.run);
        tests.chain(
            self.lands
                .iter()
                .filter(move |l| l.run < last)
                .map(|l| l.pod),
        )
    }

    /// Members as the longest of its pods was told of them.
    pub(super) fn ordered(&self) -> &[Member] {
        let longest = self.tests.iter().max_by_key(|t| t.prefix);
        longest
            .and_then(|t| t.pod.test.as_ref())
            .map_or(&[], |orders| &orders.members)
    }

    /// Test pods so far.
    pub(super) fn runs(&self) -> usize {
        self.tests.len()
    }

    /// The shortest red prefix, while it is being searched.
    pub(super) fn searching(&self) -> Option<(usize, &str)> {
        let red = |t: &&TestRun<'_>| matches!(t.verdict, Tested::Red(_));
        let shortest = self.tests.iter().filter(red).min_by_key(|t| t.prefix)?;
        match &shortest.verdict {
            Tested::Red(output) if self.included.len() > 1 => Some((shortest.prefix, output)),
            _ => None,
        }
    }

    /// Whether something of it was tested on another basis than today's.
    pub(super) fn stands_on_another(&self, basis: &str) -> bool {
        self.lands.is_empty()
            && self.tests.iter().any(|t| {
                t.pod
                    .meta
                    .annotations
                    .get(BASIS)
                    .is_some_and(|b| b != basis)
            })
    }

    fn find_base(&self) -> Option<String> {
        let ordered = self
            .tests
            .iter()
            .find_map(|t| t.pod.test.as_ref()?.base.clone());
        let landed = self.lands.iter().map(|l| l.orders.base.clone()).next_back();
        let reported = || {
            self.tests
                .iter()
                .rev()
                .find_map(|t| t.applied().map(|r| r.base.clone()))
        };
        landed.or(ordered).or_else(reported)
    }

    /// Applying members is deterministic and in order, so the longest report on the base speaks for all prefixes.
    fn find_included(&self) -> Vec<usize> {
        let known = self
            .on_base()
            .filter_map(|t| t.applied().map(|r| (t.prefix, r)))
            .next_back();
        let (prefix, report) = known.map_or((0, None), |(prefix, report)| (prefix, Some(report)));
        let inside = report
            .into_iter()
            .flat_map(|r| r.included.iter().map(|i| i.i));
        inside.chain(prefix..self.members.len()).collect()
    }

    /// Runs that do not contradict the batch's base.
    fn on_base(&self) -> impl DoubleEndedIterator<Item = &TestRun<'w>> {
        let base = self.base.as_deref();
        self.tests
            .iter()
            .filter(move |t| t.applied().is_none_or(|r| Some(r.base.as_str()) == base))
    }

    /// Members of a prefix that are really in it.
    fn effective(&self, prefix: usize) -> usize {
        self.included.partition_point(|i| *i < prefix)
    }

    /// The shortest prefix with so many members really in it; with all of them, the whole batch.
    fn prefix(&self, effective: usize) -> usize {
        if effective >= self.included.len() {
            return self.members.len();
        }
        effective
            .checked_sub(1)
            .and_then(|last| self.included.get(last))
            .map_or(0, |i| i + 1)
    }

    /// Members up to the first that is not decided when so many have landed.
    fn decided(&self, effective: usize) -> usize {
        self.included
            .get(effective)
            .copied()
            .unwrap_or(self.members.len())
    }

    /// What the batch calls for now. `eager`: somebody changed the spec since a hindrance was published.
    pub(super) fn course(&self, odds: Odds, eager: bool, now: Timestamp) -> Course {
        if let Some(course) = self.landing(eager, now) {
            return course;
        }
        if let Some(end) = self.cut_short() {
            return Course::End(Box::new(end));
        }
        if let Some(course) = self.waiting() {
            return course;
        }
        match plan::next(self.known(), odds) {
            Step::Test(effective) => self.test(effective, eager, now),
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

    fn known(&self) -> Known {
        let verdicts: Vec<(usize, bool)> = self.verdicts();
        Known::from(self.included.len(), verdicts)
    }

    fn verdicts(&self) -> Vec<(usize, bool)> {
        (1..=self.included.len())
            .filter_map(|effective| {
                let runs = || {
                    self.on_base()
                        .filter(|t| self.effective(t.prefix) == effective)
                };
                if runs().any(|t| t.verdict == Tested::Green) {
                    return Some((effective, true));
                }
                let red = |t: &TestRun<'w>| {
                    matches!(t.verdict, Tested::Red(_)) || t.lost >= MAX_LOST_RUNS
                };
                runs().any(red).then_some((effective, false))
            })
            .collect()
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

    fn waiting(&self) -> Option<Course> {
        self.tests.iter().find_map(|t| match &t.verdict {
            Tested::Running { until, trouble } => Some(Course::Wait {
                until: *until,
                trouble: trouble.clone(),
            }),
            _ => None,
        })
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
        let green = self
            .on_base()
            .find(of_candidate)
            .map(|t| self.effective(t.prefix));
        let mut end = match green {
            Some(green) => self.end(green),
            // The test pod is gone: the orders alone say who landed.
            None => End {
                base: self.base.clone(),
                ..End::default()
            },
        };
        if let Some(green) = green {
            let known = self.known();
            end.suspect = (known.red == Some(green + 1)).then(|| self.blame(green));
        }
        end.landed = Some((orders.candidate.clone(), orders.tree.clone(), at));
        let commits = self.on_base().find(of_candidate).and_then(TestRun::built);
        end.merged = match commits {
            Some(report) => report.included.iter().map(|i| (i.i, i.c.clone())).collect(),
            None => orders
                .members
                .iter()
                .filter_map(|o| {
                    self.members
                        .iter()
                        .position(|m| m.uid == o.uid && m.commit == o.commit)
                })
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
        let empty = report.map(|r| {
            r.empty
                .iter()
                .copied()
                .filter(|i| *i < decided)
                .collect::<Vec<_>>()
        });
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
        let known = self.known();
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
        let of_it = || {
            self.on_base()
                .filter(|t| self.effective(t.prefix) == effective + 1)
        };
        let output = of_it().find_map(|t| match &t.verdict {
            Tested::Red(output) => Some(output.clone()),
            _ => None,
        });
        let lost = || {
            of_it().find_map(|t| match &t.verdict {
                Tested::Lost(why) => Some(format!(
                    "its test pod was lost {MAX_LOST_RUNS} times: {why}"
                )),
                _ => None,
            })
        };
        (index, output.or_else(lost).unwrap_or_default())
    }
}

impl TestRun<'_> {
    /// The report of a candidate that was built and whose test means something.
    fn built(&self) -> Option<&CandidateReport> {
        let report = self.report.as_ref()?;
        let sound = !matches!(self.verdict, Tested::Hindered(_));
        (sound && matches!(report.outcome, CandidateOutcome::Built { .. })).then_some(report)
    }

    /// A report that says who applies.
    fn applied(&self) -> Option<&CandidateReport> {
        match self.verdict {
            Tested::Nothing => self.report.as_ref(),
            _ => self.built(),
        }
    }
}

/// Wait before a further run: 5 s doubling to 5 min.
fn backoff(run: u32) -> SignedDuration {
    SignedDuration::from_secs((5_i64 << run.min(7)).min(300))
}

fn is_prefix(ordered: &[Member], members: &[QueueMember]) -> bool {
    ordered.len() <= members.len()
        && !ordered.is_empty()
        && ordered
            .iter()
            .zip(members)
            .all(|(o, m)| o.uid == m.uid && o.commit == m.commit)
}

fn small(pod: &PodRow, annotation: &str) -> Option<u32> {
    number(pod, annotation).and_then(|n| u32::try_from(n).ok())
}

/// A number in an annotation.
pub(super) fn number(pod: &PodRow, annotation: &str) -> Option<i64> {
    pod.meta.annotations.get(annotation)?.parse().ok()
}
