//! A polecat's pod: clone, agent, courier. What the record allows and how an end is judged is the harness's own code.

use super::agent::{Temper, ending, forgery};
use super::carry::{Carried, Heads};
use super::mishap::Moment;
use super::{History, Process, Work};
use crate::sim::{Millis, Oid};
use gastown_harness::courier::verdict::{Proof, judge, word};
use gastown_harness::link::Ended;
use gastown_harness::record::{Claim, DONE, Record, Standing, WORKING, weigh};
use gastown_wire::{
    CloneOutcome, CloneReport, CourierOutcome, CourierReport, PolecatOrders, Report as _, VERSION, exit,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Looking,
    Claiming(Heads),
    Opening,
    Working(u32),
    Ending,
    Reporting,
    Over,
}

/// One attempt's processes.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) orders: PolecatOrders,
    container: String,
    stage: Stage,
    looks: u32,
    /// The remote's refs, as we left or found them.
    pub(super) known: Heads,
    /// What our record says.
    pub(super) record: Record,
    /// The agent's branch.
    pub(super) tip: Option<Oid>,
    /// Somebody else moved the branch: it takes nothing of ours.
    pub(super) refused: Option<String>,
    pub(super) temper: Option<Temper>,
    pub(super) value: Option<u64>,
    outcome: Option<CourierOutcome>,
}

impl Attempt {
    pub(super) fn new(orders: &PolecatOrders, container: &str) -> Self {
        Self {
            orders: orders.clone(),
            container: container.to_owned(),
            stage: Stage::Pending,
            looks: 0,
            known: Heads::default(),
            record: Record::default(),
            tip: None,
            refused: None,
            temper: None,
            value: None,
            outcome: None,
        }
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn moment(&self) -> Moment {
        match self.stage {
            Stage::Pending => Moment::Pending,
            Stage::Looking | Stage::Claiming(_) => Moment::Claiming,
            Stage::Opening | Stage::Working(_) => Moment::Working,
            Stage::Ending => Moment::Ending,
            Stage::Reporting => Moment::Reporting,
            Stage::Over => Moment::Over,
        }
    }

    /// A container starts again, in the same workspace.
    pub(super) fn restarted(&mut self, name: &str) {
        match name {
            "clone" => self.stage = Stage::Looking,
            "courier" => self.stage = Stage::Opening,
            // The agent goes on where it was.
            _ => {}
        }
    }

    pub(super) fn report(&self, outcome: CourierOutcome) -> CourierReport {
        CourierReport {
            version: VERSION,
            round: self.orders.round,
            attempt: self.orders.attempt,
            outcome,
            branch: self.orders.work_branch.clone(),
            base: self.record.base.clone(),
            commit: self.record.commit.clone(),
            commits: self.record.commits,
            tokens: None,
            cost_micros: None,
            detail: String::new(),
            content: None,
        }
    }
}

impl History {
    /// The next step of an attempt; none when nothing is left to do.
    pub(super) fn step_attempt(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        match attempt.stage {
            Stage::Pending => self.schedule(process, attempt),
            Stage::Looking => self.look(process, attempt),
            Stage::Claiming(heads) => self.claim(process, attempt, heads),
            Stage::Opening => self.open(process, attempt),
            Stage::Working(left) => self.labour(process, attempt, left),
            Stage::Ending => self.end(process, attempt),
            Stage::Reporting => self.report(process, attempt),
            Stage::Over => None,
        }
    }

    fn schedule(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        if self.dice.chance(self.weather.pods / 2.0) {
            if self.dice.chance(0.5) {
                process.shown.unschedulable();
            } else {
                process.shown.waits("clone", "ImagePullBackOff", "no such image");
            }
            self.show(process);
            return Some(self.dice.between(10_000, 400_000));
        }
        self.begin(process);
        let now = self.time();
        process.shown.container_runs("clone", now);
        self.show(process);
        attempt.stage = Stage::Looking;
        Some(self.dice.between(50, 3_000))
    }

    fn look(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        if self.dice.chance(self.weather.git) {
            let report = clone_report(attempt, CloneOutcome::Transient);
            let now = self.time();
            process.shown.restarts("clone", exit::TRANSIENT, "Error", &report, now);
            self.show(process);
            return Some(self.dice.between(5_000, 60_000));
        }
        attempt.stage = Stage::Claiming(self.heads(process, attempt));
        Some(self.dice.between(10, 2_000))
    }

    fn claim(&mut self, process: &mut Process, attempt: &mut Attempt, heads: Heads) -> Option<Millis> {
        self.book.wants(&process.url, &attempt.orders);
        let remote = self.remote(&process.url);
        let record = heads.record.and_then(|id| remote.record(id)).cloned();
        let recorded = record.as_ref().and_then(|r| Oid::parse(&r.commit));
        let holds = match (heads.work, recorded) {
            (Some(branch), Some(recorded)) => remote.is_ancestor(recorded, branch),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let (round, number) = (attempt.orders.round, attempt.orders.attempt);
        let us = Claim {
            round,
            attempt: number,
            pod_uid: &process.uid.0,
        };
        let branch = heads.work.map(|b| b.to_string());
        let standing = weigh(record.as_ref(), us, branch.as_deref(), holds);
        let record = record.unwrap_or_default();
        let refusal = match standing {
            Standing::Fenced => Some((exit::FENCED, CloneOutcome::Fenced)),
            Standing::BranchTaken => Some((exit::CONFIG, CloneOutcome::BranchTaken)),
            Standing::Done => {
                let (commit, base, commits) = (record.commit.clone(), record.base.clone(), record.commits);
                Some((exit::ALREADY_DONE, CloneOutcome::AlreadyDone { commit, base, commits }))
            }
            Standing::Free | Standing::Ours => None,
        };
        if let Some((code, outcome)) = refusal {
            self.counts.fenced += u64::from(standing == Standing::Fenced);
            return self.decline(process, attempt, code, outcome);
        }
        attempt.known = heads;
        attempt.tip = heads.work.or(recorded);
        attempt.record = record;
        if standing == Standing::Free {
            attempt.record.round = round;
            attempt.record.attempt = number;
            attempt.record.pod_uid = process.uid.0.clone();
            if !self.push_record(process, attempt, WORKING) {
                attempt.looks += 1;
                if attempt.looks >= 2 {
                    self.counts.fenced += 1;
                    return self.decline(process, attempt, exit::FENCED, CloneOutcome::Fenced);
                }
                attempt.stage = Stage::Looking;
                return Some(self.dice.between(10, 500));
            }
        }
        let now = self.time();
        let ready = clone_report(
            attempt,
            CloneOutcome::Ready {
                commits: attempt.record.commits,
                dirty: 0,
            },
        );
        process.shown.ends("clone", 0, "Completed", &ready, now);
        process.shown.container_runs(attempt.container(), now);
        process.shown.container_runs("courier", now);
        process.shown.runs();
        self.show(process);
        self.counts.agents += 1;
        self.watch_agent(&attempt.orders);
        attempt.stage = Stage::Opening;
        Some(self.dice.between(10, 1_000))
    }

    /// Clone ends for good.
    fn decline(
        &mut self,
        process: &mut Process,
        attempt: &mut Attempt,
        code: i32,
        what: CloneOutcome,
    ) -> Option<Millis> {
        let report = clone_report(attempt, what);
        let now = self.time();
        process.shown.ends("clone", code, "Error", &report, now);
        self.show(process);
        attempt.stage = Stage::Over;
        None
    }

    /// Courier reads the record, at its start and at each further one.
    fn open(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        let heads = self.heads(process, attempt);
        let remote = self.remote(&process.url);
        let record = heads
            .record
            .and_then(|id| remote.record(id))
            .cloned()
            .unwrap_or_default();
        if !record.is_held_by(attempt.orders.attempt, &process.uid.0) {
            return self.fenced(attempt);
        }
        let done = record.is_done(attempt.orders.round);
        attempt.known = heads;
        attempt.record = record;
        self.mind_strangers(attempt);
        if done {
            attempt.outcome = Some(CourierOutcome::Done);
            attempt.stage = Stage::Reporting;
            return Some(self.dice.between(1, 200));
        }
        if attempt.temper.is_none() {
            attempt.temper = Some(self.temper());
        }
        if attempt.temper == Some(Temper::Hangs) && self.dice.chance(0.5) {
            return None;
        }
        let idle = matches!(attempt.temper, Some(Temper::Idles | Temper::Missing));
        let steps = if idle { 0 } else { self.dice.between(1, 3) };
        attempt.stage = Stage::Working(u32::try_from(steps).unwrap_or(1));
        Some(self.dice.between(500, 60_000))
    }

    /// The agent commits, courier carries.
    fn labour(&mut self, process: &mut Process, attempt: &mut Attempt, left: u32) -> Option<Millis> {
        if left == 0 && attempt.temper == Some(Temper::Hangs) {
            return None;
        }
        if left == 0 {
            attempt.stage = Stage::Ending;
            return Some(self.dice.between(1, 2_000));
        }
        self.commit(process, attempt);
        attempt.stage = Stage::Working(left - 1);
        match self.carry(process, attempt, WORKING) {
            Carried::Level | Carried::Later => Some(self.dice.between(500, 120_000)),
            Carried::Fenced => self.fenced(attempt),
        }
    }

    /// The agent has ended: the last push says how.
    fn end(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        let ended = ending(attempt);
        match self.settle_attempt(process, attempt, &ended) {
            None => Some(self.dice.between(200, 15_000)),
            Some(Carried::Fenced) => self.fenced(attempt),
            Some(_) => {
                attempt.stage = Stage::Reporting;
                Some(self.dice.between(1, 1_000))
            }
        }
    }

    /// Judges and pushes. None: the remote does not answer.
    fn settle_attempt(&mut self, process: &Process, attempt: &mut Attempt, ended: &Ended) -> Option<Carried> {
        let proof = self.proof(process, attempt);
        let outcome = judge(ended, &proof, &attempt.orders.work_branch);
        let outcome = match (&attempt.refused, outcome) {
            (Some(why), CourierOutcome::Done) => CourierOutcome::PushRejected { why: why.clone() },
            (_, outcome) => outcome,
        };
        match self.carry(process, attempt, word(&outcome)) {
            Carried::Later => None,
            Carried::Fenced => Some(Carried::Fenced),
            // The branch may have turned out to be somebody else's only now.
            Carried::Level if attempt.refused.is_some() && outcome == CourierOutcome::Done => None,
            Carried::Level => {
                attempt.outcome = Some(outcome);
                Some(Carried::Level)
            }
        }
    }

    fn proof(&mut self, process: &Process, attempt: &Attempt) -> Proof {
        let handed_back = attempt.orders.evidence.as_ref().and_then(|e| e.commit.clone());
        let strays = attempt.temper == Some(Temper::Strays);
        let remote = self.remote(&process.url);
        let target = attempt.known.target.or(remote.main());
        match (attempt.tip, target) {
            (Some(tip), Some(target)) => Proof {
                tip: tip.to_string(),
                commits: remote.since(target, tip),
                unrelated: false,
                elsewhere: strays,
                handed_back,
            },
            _ => Proof {
                handed_back,
                elsewhere: strays,
                ..Proof::default()
            },
        }
    }

    fn fenced(&mut self, attempt: &mut Attempt) -> Option<Millis> {
        self.counts.fenced += 1;
        attempt.outcome = Some(CourierOutcome::Fenced);
        attempt.stage = Stage::Reporting;
        Some(self.dice.between(1, 200))
    }

    fn report(&mut self, process: &mut Process, attempt: &mut Attempt) -> Option<Millis> {
        attempt.stage = Stage::Over;
        let outcome = attempt.outcome.clone()?;
        let now = self.time();
        let forged = forgery(attempt);
        let good = outcome == CourierOutcome::Done;
        let report = attempt.report(outcome).encode();
        process.shown.ends(
            "courier",
            i32::from(!good),
            if good { "Completed" } else { "Error" },
            &report,
            now,
        );
        // A container that never ends keeps the pod running; the report counts all the same.
        if self.dice.chance(0.8) {
            process
                .shown
                .ends(attempt.container(), i32::from(!good), "Completed", &forged, now);
            process.shown.over(good);
        }
        self.show(process);
        None
    }

    /// SIGTERM: what there is goes to the remote, if there is time, and courier says so.
    pub(super) fn last_words(&mut self, process: &mut Process) {
        let mut work = std::mem::replace(&mut process.work, Work::Landing(Box::new(super::Landing::none())));
        if let Work::Attempt(attempt) = &mut work {
            // An agent that had ended before has ended as it did.
            let ended = match attempt.stage {
                Stage::Ending => ending(attempt),
                _ => Ended {
                    stopped: true,
                    ..Ended::default()
                },
            };
            let said = match attempt.stage {
                Stage::Opening | Stage::Working(_) | Stage::Ending if attempt.tip.is_some() => {
                    self.settle_attempt(process, attempt, &ended)
                }
                Stage::Reporting => Some(Carried::Level),
                _ => None,
            };
            let outcome = match said {
                Some(Carried::Fenced) => Some(CourierOutcome::Fenced),
                Some(_) => attempt.outcome.clone(),
                None => None,
            };
            if let Some(outcome) = outcome {
                let now = self.time();
                let report = attempt.report(outcome).encode();
                process.shown.ends("courier", 0, "Completed", &report, now);
            }
            attempt.stage = Stage::Over;
        }
        process.work = work;
    }
}

fn clone_report(attempt: &Attempt, outcome: CloneOutcome) -> String {
    let attempt = attempt.orders.attempt;
    CloneReport {
        version: VERSION,
        attempt,
        outcome,
        detail: String::new(),
        content: None,
    }
    .encode()
}

/// The record's word for finished work, for those who look at records.
pub(super) const fn done() -> &'static str {
    DONE
}
