//! What the queue's pods would do: candidates, verdicts, landings.

use super::*;

impl Town {
    fn head(&self) -> &(String, BTreeSet<String>) {
        self.main.last().unwrap()
    }

    /// Somebody else pushes.
    pub(super) fn push_by_others(&mut self) {
        let (head, content) = self.head().clone();
        self.main.push((id(&format!("others on {head}")), content));
    }

    fn candidate(&mut self, pod: &PodRow) -> (CandidateReport, Option<BTreeSet<String>>) {
        let orders = pod.test.as_ref().unwrap();
        let (head, content) = self.head().clone();
        let mut report = CandidateReport {
            version: VERSION,
            outcome: CandidateOutcome::Nothing,
            base: head.clone(),
            included: Vec::new(),
            conflicts: Vec::new(),
            empty: Vec::new(),
            detail: String::new(),
        };
        if orders.base.as_ref().is_some_and(|b| *b != head) {
            report.outcome = CandidateOutcome::BaseMoved;
            return (report, None);
        }
        let (mut tree, mut commit) = (content, head);
        for (i, member) in orders.members.iter().enumerate() {
            let Some(change) = self.changes.get(&member.commit) else {
                report.outcome = CandidateOutcome::Missing { i };
                return (report, None);
            };
            let clash = |other: &String| {
                change.conflicts.contains(other)
                    || self
                        .changes
                        .get(other)
                        .is_some_and(|o| o.conflicts.contains(&member.commit))
            };
            if tree.contains(&member.commit) {
                report.empty.push(i);
            } else if tree.iter().any(clash) {
                report.conflicts.push(Conflict {
                    i,
                    paths: vec!["shelf.sh".into()],
                });
            } else {
                tree.insert(member.commit.clone());
                commit = id(&format!("{commit}+{}", member.commit));
                report.included.push(Included { i, c: commit.clone() });
            }
        }
        if !report.included.is_empty() {
            report.outcome = CandidateOutcome::Built {
                commit: commit.clone(),
                tree: tree_id(&tree),
            };
            self.candidates.insert(commit, (report.base.clone(), tree.clone()));
        }
        (report, Some(tree))
    }

    pub(super) fn passes(&self, tree: &BTreeSet<String>) -> bool {
        tree.iter()
            .filter_map(|c| self.changes.get(c))
            .all(|c| !c.bad && c.breaks.is_disjoint(tree))
    }

    pub(super) fn run_test(&mut self, pod: PodRow) {
        let (report, tree) = self.candidate(&pod);
        let built = matches!(report.outcome, CandidateOutcome::Built { .. });
        let mut ends = vec![("candidate", i32::from(!built), report.encode())];
        if let (CandidateOutcome::Built { commit, .. }, Some(tree)) = (&report.outcome, &tree) {
            self.runs += 1;
            let names = pod
                .test
                .as_ref()
                .unwrap()
                .members
                .iter()
                .map(|m| m.polecat.rsplit_once('/').unwrap().1.to_owned());
            self.tested.push(names.collect());
            let green = self.passes(tree);
            if green {
                self.greens.insert(commit.clone());
            }
            let output = if green { "" } else { "not ok 3 - lid fits\n" };
            ends.push(("test", i32::from(!green), output.to_owned()));
        }
        self.end(pod, &ends);
    }

    /// Its candidate is built, and its test runs.
    pub(super) fn build(&mut self, mut pod: PodRow) {
        let (report, _) = self.candidate(&pod);
        let running = ContainerRow {
            state: ContainerState::Running { since: Some(self.now) },
            ..ended("test", 0, "", self.now)
        };
        pod.phase = PodPhase::Running;
        pod.containers = vec![ended("candidate", 0, &report.encode(), self.now), running];
        self.show(pod);
    }

    pub(super) fn run_land(&mut self, pod: PodRow) {
        let report = self.landing(&pod);
        let exit = i32::from(!matches!(report.outcome, LandOutcome::Landed));
        self.end(pod, &[("land", exit, report.encode())]);
    }

    /// What a land pod does to the branch, whether or not anybody hears of it.
    pub(super) fn landing(&mut self, pod: &PodRow) -> LandReport {
        let orders = pod.land.as_ref().unwrap();
        assert!(
            self.greens.contains(&orders.candidate),
            "only what was tested green is ever pushed"
        );
        let (base, tree) = self.candidates[&orders.candidate].clone();
        assert_eq!(
            (&base, tree_id(&tree)),
            (&orders.base, orders.tree.clone()),
            "orders are what the report said"
        );
        let outcome = if self.main.iter().any(|(commit, _)| *commit == orders.candidate) {
            LandOutcome::Landed
        } else if self.head().0 == base {
            self.main.push((orders.candidate.clone(), tree));
            LandOutcome::Landed
        } else {
            LandOutcome::Stale {
                now: self.head().0.clone(),
            }
        };
        let landed = matches!(outcome, LandOutcome::Landed);
        let commit = if landed {
            orders.candidate.clone()
        } else {
            String::new()
        };
        LandReport {
            version: VERSION,
            outcome,
            commit,
            detail: String::new(),
        }
    }

    /// The kubelet's word: these containers ended so.
    pub(super) fn end(&mut self, mut pod: PodRow, ends: &[(&str, i32, String)]) {
        let failed = ends.iter().any(|(_, exit, _)| *exit != 0);
        pod.phase = if failed { PodPhase::Failed } else { PodPhase::Succeeded };
        pod.containers = ends
            .iter()
            .map(|(name, exit, message)| ended(name, *exit, message, self.now))
            .collect();
        self.show(pod);
    }

    pub(super) fn show(&mut self, mut pod: PodRow) {
        self.rev += 1;
        pod.meta.rev = Rev(self.rev);
        self.see(Seen::Pod(Box::new(pod)));
    }
}

pub(super) fn ended(name: &str, exit: i32, message: &str, at: Timestamp) -> ContainerRow {
    let reason = if exit == 0 { "Completed" } else { "Error" };
    ContainerRow {
        name: name.to_owned(),
        init: name == "candidate",
        state: ContainerState::Ended(Ended {
            exit,
            reason: reason.into(),
            message: message.into(),
            at: Some(at),
        }),
        last: None,
        restarts: 0,
        ready: false,
    }
}

fn tree_id(tree: &BTreeSet<String>) -> String {
    id(&tree.iter().cloned().collect::<Vec<_>>().join(" "))
}
