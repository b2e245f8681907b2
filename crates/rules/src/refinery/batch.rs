//! A batch under way, remembered by its pods: a restart of the operator repeats nothing.

use super::plan::{Known, MAX_LOST_RUNS};
use super::verdict::{self, Landing, Tested};
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

/// One run of one prefix.
#[derive(Debug)]
pub(super) struct TestRun<'w> {
    pub(super) pod: &'w PodRow,
    pub(super) prefix: usize,
    pub(super) run: u32,
    /// Runs lost up to and with this one.
    pub(super) lost: u32,
    pub(super) report: Option<CandidateReport>,
    pub(super) verdict: Tested,
}

/// One try to land.
#[derive(Debug)]
pub(super) struct LandRun<'w> {
    pub(super) pod: &'w PodRow,
    pub(super) orders: &'w LandOrders,
    pub(super) run: u32,
    pub(super) verdict: Landing,
}

/// All runs of one batch.
#[derive(Debug)]
pub(super) struct Batch<'w> {
    /// Its members, pinned.
    pub(super) members: &'w [QueueMember],
    pub(super) tests: Vec<TestRun<'w>>,
    pub(super) lands: Vec<LandRun<'w>>,
    pub(super) base: Option<String>,
    /// Indices of the members that are really in the longest candidate; before any report, all.
    pub(super) included: Vec<usize>,
    /// What its verdicts say.
    pub(super) known: Known,
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
                    let lost = small(pod, LOST).unwrap_or(0) + u32::from(matches!(verdict, Tested::Lost(_)));
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
            known: Known::default(),
        };
        batch.base = batch.find_base();
        batch.included = batch.find_included();
        batch.known = Known::from(batch.included.len(), batch.verdicts());
        batch
    }

    /// Tests under way whose verdict will tell something.
    pub(super) fn running(&self) -> impl Iterator<Item = &TestRun<'w>> {
        self.tests
            .iter()
            .filter(|t| matches!(t.verdict, Tested::Running { .. }) && !self.is_settled(t.prefix))
    }

    /// Whether the verdicts so far say what a test of this prefix would.
    fn is_settled(&self, prefix: usize) -> bool {
        let Known { green, red, .. } = self.known;
        let effective = self.effective(prefix);
        effective <= green || red.is_some_and(|red| effective >= red)
    }

    /// Pods that say nothing any more: overtaken by a later run of the same thing, or by the verdicts on others.
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
            .filter(move |t| match t.verdict {
                Tested::Green | Tested::Red(_) => false,
                Tested::Running { .. } => t.run < newest(t.prefix) || self.is_settled(t.prefix),
                _ => t.run < newest(t.prefix),
            })
            .map(|t| t.pod);
        let last = self.lands.last().map_or(0, |l| l.run);
        tests.chain(self.lands.iter().filter(move |l| l.run < last).map(|l| l.pod))
    }

    /// Members as the longest of its pods was told of them.
    pub(super) fn ordered(&self) -> &[Member] {
        let longest = self.tests.iter().max_by_key(|t| t.prefix);
        longest
            .and_then(|t| t.pod.test.as_ref())
            .map_or(&[], |orders| &orders.members)
    }

    /// Whether a pod of it is under way and none has begun to run: nothing says yet that a hindrance has passed.
    pub(super) fn stalled(&self) -> bool {
        let tests = self
            .tests
            .iter()
            .filter(|t| matches!(t.verdict, Tested::Running { .. }))
            .map(|t| t.pod);
        let lands = self
            .lands
            .iter()
            .filter(|l| matches!(l.verdict, Landing::Running { .. }))
            .map(|l| l.pod);
        let mut pods = tests.chain(lands).peekable();
        pods.peek().is_some() && !pods.any(verdict::has_begun)
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
            && self
                .tests
                .iter()
                .any(|t| t.pod.meta.annotations.get(BASIS).is_some_and(|b| b != basis))
    }

    fn find_base(&self) -> Option<String> {
        let ordered = self.tests.iter().find_map(|t| t.pod.test.as_ref()?.base.clone());
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
        let inside = report.into_iter().flat_map(|r| r.included.iter().map(|i| i.i));
        inside.chain(prefix..self.members.len()).collect()
    }

    /// Runs that do not contradict the batch's base.
    pub(super) fn on_base(&self) -> impl DoubleEndedIterator<Item = &TestRun<'w>> {
        let base = self.base.as_deref();
        self.tests
            .iter()
            .filter(move |t| t.applied().is_none_or(|r| Some(r.base.as_str()) == base))
    }

    /// Members of a prefix that are really in it.
    pub(super) fn effective(&self, prefix: usize) -> usize {
        self.included.partition_point(|i| *i < prefix)
    }

    /// The shortest prefix with so many members really in it; with all of them, the whole batch.
    pub(super) fn prefix(&self, effective: usize) -> usize {
        if effective >= self.included.len() {
            return self.members.len();
        }
        effective
            .checked_sub(1)
            .and_then(|last| self.included.get(last))
            .map_or(0, |i| i + 1)
    }

    /// Members up to the first that is not decided when so many have landed.
    pub(super) fn decided(&self, effective: usize) -> usize {
        self.included.get(effective).copied().unwrap_or(self.members.len())
    }

    fn verdicts(&self) -> Vec<(usize, bool)> {
        (1..=self.included.len())
            .filter_map(|effective| {
                let runs = || self.on_base().filter(|t| self.effective(t.prefix) == effective);
                if runs().any(|t| t.verdict == Tested::Green) {
                    return Some((effective, true));
                }
                let red = |t: &TestRun<'w>| matches!(t.verdict, Tested::Red(_)) || t.lost >= MAX_LOST_RUNS;
                runs().any(red).then_some((effective, false))
            })
            .collect()
    }
}

impl TestRun<'_> {
    /// The report of a candidate that was built and whose test means something.
    pub(super) fn built(&self) -> Option<&CandidateReport> {
        let report = self.report.as_ref()?;
        let sound = !matches!(self.verdict, Tested::Hindered(_));
        (sound && matches!(report.outcome, CandidateOutcome::Built { .. })).then_some(report)
    }

    /// A report that says who applies.
    pub(super) fn applied(&self) -> Option<&CandidateReport> {
        match self.verdict {
            Tested::Nothing => self.report.as_ref(),
            _ => self.built(),
        }
    }
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
