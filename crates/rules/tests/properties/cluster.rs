//! A cluster as bad as they come: writes answered late, lost or refused, a watch that lags, pods that live and die.

#![allow(unreachable_pub, reason = "a test's own module")]

use crate::common::*;
use crate::history::{Event, Reply, Turn, Wish};
use gastown_api::{DesiredState, RigSettings};
use gastown_rules::{
    Action, Answer, Blueprint, Fact, Kind, Outcome, Plan, PodPhase, PodRole, PodRow, PolecatRow, Rev, RigKey, Seen,
    Uid, World, convoy_home, decide,
};
use gastown_wire::{
    BeadsOutcome, BeadsRead, BeadsReport, CloneOutcome, CourierOutcome, NotifyOutcome, NotifyReport, Report,
};
use std::collections::{BTreeMap, BTreeSet};

pub const RIGS: [&str; 3] = ["parts", "tools", "no-such"];
pub const NAMES: [&str; 6] = ["nux", "slit", "dag", "toast", "ace", "doof"];

/// The API server's truth beside the operator's belief.
pub struct Cluster {
    pub scene: Scene,
    /// What is really there.
    pub truth: World,
    /// What the watch has not brought yet, oldest first.
    pub behind: Vec<Fact>,
    finished: BTreeMap<Uid, u32>,
}

impl Cluster {
    /// Two rigs, two places each, six polecats, a convoy across rigs and one that makes its own.
    pub fn new(judged: bool) -> Self {
        let mut scene = scene();
        for rig in &RIGS[..2] {
            scene.rig(rig, |r| {
                r.spec.settings = Some(RigSettings {
                    max_polecats: Some(2),
                    ..Default::default()
                });
                // With the queue: its test pods are made and never start.
                r.spec.test_command = judged.then(|| "sh test.sh".to_owned());
            });
        }
        for (i, name) in NAMES.iter().enumerate() {
            scene.polecat(name, |p| p.spec.rig = RIGS[[0, 0, 0, 1, 1, 2][i]].into());
            scene.later(i64::from(i % 2 == 0));
        }
        scene.convoy("across", &["mp-nux", "mp-toast", "mp-ace"], |c| {
            c.spec.rig_ref = None;
            c.spec.parallelism = Some(2);
            c.spec.notify_on_complete = Some("slack".into());
        });
        scene.convoy("cv", &["mp-dag", "mp-own-1", "mp-own-2"], |c| {
            c.spec.parallelism = Some(1);
            c.spec.notify_on_complete = Some("https://example.com/hook".into());
        });
        if judged {
            // It is never at rest for long.
            scene.bead_store("beads", |_| ());
        }
        let truth = scene.world.clone();
        Self {
            scene,
            truth,
            behind: Vec::new(),
            finished: BTreeMap::new(),
        }
    }

    pub fn dirty(&mut self, fact: Fact) {
        self.truth.learn(fact.clone());
        self.behind.push(fact);
    }

    /// What a write does to the truth, where its revision is the newest; the row as the watch will bring it.
    pub fn apply(&mut self, action: &Action) -> Outcome {
        let rev = self.scene.rev();
        let key = action.key().clone();
        match action {
            Action::Create { blueprint, .. } => {
                if let Some((uid, owner, held)) = self.there(&key) {
                    return Outcome::Exists { owner, uid, rev: held };
                }
                let uid = Uid(format!("uid-{}-{}", key.name, rev.0));
                let at = self.scene.now;
                let answer = Answer {
                    action: action.clone(),
                    outcome: Outcome::Done { rev, uid: uid.clone() },
                    at,
                };
                self.truth.learn(Fact::Answered(answer));
                if key.kind != Kind::ConfigMap {
                    self.behind.push(self.seen(blueprint.key()));
                }
                Outcome::Done { rev, uid }
            }
            Action::Delete { uid, .. } => match self.there(&key) {
                Some((held, ..)) if held == *uid => {
                    // The kubelet ends it at once; the watch tells later.
                    self.dirty(Fact::Vanished { key, rev });
                    Outcome::Done { rev, uid: uid.clone() }
                }
                Some(_) => Outcome::Stale,
                None => Outcome::Gone,
            },
            Action::Publish { uid, rev: on, .. }
            | Action::Annotate { uid, rev: on, .. }
            | Action::Release { uid, rev: on, .. } => match self.there(&key) {
                Some((held, _, newest)) if held == *uid && newest == *on => {
                    let at = self.scene.now;
                    let answer = Answer {
                        action: action.clone(),
                        outcome: Outcome::Done { rev, uid: uid.clone() },
                        at,
                    };
                    self.truth.learn(Fact::Answered(answer));
                    self.behind.push(self.seen(&key));
                    Outcome::Done { rev, uid: uid.clone() }
                }
                Some(_) => Outcome::Stale,
                None => Outcome::Gone,
            },
        }
    }

    pub fn there(&self, key: &gastown_rules::Key) -> Option<(Uid, Option<Uid>, Rev)> {
        let w = &self.truth;
        let plain = |m: &gastown_rules::Meta| (m.uid.clone(), None, m.rev);
        match key.kind {
            Kind::Rig => w.rigs.get(&key.name).map(|r| plain(&r.meta)),
            Kind::Polecat => w.polecats().get(key).map(|r| plain(&r.meta)),
            Kind::Convoy => w.convoys.get(key).map(|r| plain(&r.meta)),
            Kind::Witness => w.witnesses.get(key).map(|r| plain(&r.meta)),
            Kind::Refinery => w.refineries.get(key).map(|r| plain(&r.meta)),
            Kind::BeadStore => w.bead_stores.get(key).map(|r| plain(&r.meta)),
            Kind::Pod => w
                .pods()
                .get(key)
                .map(|p| (p.meta.uid.clone(), p.owner.clone(), p.meta.rev)),
            Kind::ConfigMap => None,
        }
    }

    pub fn seen(&self, key: &gastown_rules::Key) -> Fact {
        let w = &self.truth;
        Fact::Seen(match key.kind {
            Kind::Rig => Seen::Rig(Box::new(w.rigs[&key.name].clone())),
            Kind::Polecat => Seen::Polecat(Box::new(PolecatRow::clone(&w.polecats()[key]))),
            Kind::Convoy => Seen::Convoy(Box::new(w.convoys[key].clone())),
            Kind::Witness => Seen::Witness(Box::new(w.witnesses[key].clone())),
            Kind::Refinery => Seen::Refinery(Box::new(w.refineries[key].clone())),
            Kind::BeadStore => Seen::BeadStore(Box::new(w.bead_stores[key].clone())),
            Kind::Pod => Seen::Pod(Box::new(PodRow::clone(&w.pods()[key]))),
            Kind::ConfigMap => unreachable!("not watched"),
        })
    }

    pub fn send(&mut self, action: Action, reply: Reply) -> BTreeSet<RigKey> {
        let world = &mut self.scene.world;
        world.learn(Fact::Asked(action.clone()));
        let outcome = match reply {
            Reply::Done => self.apply(&action),
            Reply::Stale if !matches!(action, Action::Create { .. } | Action::Delete { .. }) => {
                // Somebody else wrote it in between.
                self.touch(action.key());
                Outcome::Stale
            }
            Reply::Denied => Outcome::Denied {
                why: "exceeded quota".into(),
            },
            Reply::Later => Outcome::Later { seconds: 3 },
            Reply::LostApplied => {
                self.apply(&action);
                Outcome::Unknown
            }
            Reply::Lost | Reply::Stale => Outcome::Unknown,
        };
        let at = self.scene.now;
        self.scene.world.learn(Fact::Answered(Answer { action, outcome, at }))
    }

    pub fn touch(&mut self, key: &gastown_rules::Key) {
        let rev = self.scene.rev();
        if let Some(p) = self.truth.polecats().get(key) {
            let mut p = Box::new(PolecatRow::clone(p));
            p.meta.rev = rev;
            self.dirty(Fact::Seen(Seen::Polecat(p)));
        } else if let Some(p) = self.truth.pods().get(key) {
            let mut p = Box::new(PodRow::clone(p));
            p.meta.rev = rev;
            self.dirty(Fact::Seen(Seen::Pod(p)));
        }
    }

    pub fn turn(&mut self, nth: usize, turn: Turn) {
        let pods: Vec<PodRow> = self
            .truth
            .pods()
            .values()
            .filter(|p| matches!(p.role, PodRole::Polecat | PodRole::Beads | PodRole::Notify))
            .map(|p| (**p).clone())
            .collect();
        let Some(mut pod) = pods.get(nth % pods.len().max(1)).cloned() else {
            return;
        };
        pod.meta.rev = self.scene.rev();
        let (round, attempt) = (pod.round.into(), pod.attempt.into());
        match turn {
            _ if !pod.live() && !matches!(turn, Turn::Vanishes) => return,
            Turn::Done | Turn::NoChange | Turn::CloneFails if pod.role == PodRole::Beads => {
                over(&mut pod, PodPhase::Succeeded);
                let outcome = match turn {
                    Turn::Done => BeadsOutcome::Read(BeadsRead::default()),
                    Turn::NoChange => BeadsOutcome::Unmoved,
                    _ => BeadsOutcome::Transient,
                };
                let report = BeadsReport {
                    version: 1,
                    outcome,
                    commit: COMMIT.into(),
                    detail: String::new(),
                    ranked: vec![(i32::from(nth.is_multiple_of(2)), vec!["mp-own-2".into()])],
                };
                said(&mut pod, "beads", 0, &report.encode());
            }
            Turn::Done | Turn::Failed | Turn::NoChange if pod.role == PodRole::Notify => tells(&mut pod, turn),
            Turn::Runs => runs(&mut pod),
            Turn::Done => {
                over(&mut pod, PodPhase::Succeeded);
                said(
                    &mut pod,
                    "courier",
                    0,
                    &courier(CourierOutcome::Done, round, attempt).encode(),
                );
                *self.finished.entry(pod.owner.clone().unwrap()).or_default() += 1;
            }
            Turn::Failed => {
                over(&mut pod, PodPhase::Failed);
                said(
                    &mut pod,
                    "courier",
                    0,
                    &courier(CourierOutcome::AgentFailed { exit: 1 }, round, attempt).encode(),
                );
            }
            Turn::NoChange => {
                over(&mut pod, PodPhase::Failed);
                said(
                    &mut pod,
                    "courier",
                    0,
                    &courier(CourierOutcome::NoChange, round, attempt).encode(),
                );
            }
            Turn::Evicted => {
                over(&mut pod, PodPhase::Failed);
                pod.reason = "Evicted".into();
            }
            Turn::Vanishes => {
                let rev = pod.meta.rev;
                return self.dirty(Fact::Vanished { key: pod.meta.key, rev });
            }
            Turn::NoImage => waits(&mut pod, "agent", "ImagePullBackOff", "no such image"),
            Turn::CloneFails => {
                let config = CloneOutcome::Config {
                    reason: "RepositoryNotFound".into(),
                };
                let report = clone(config, pod.attempt).encode();
                said(&mut pod, "clone", 78, &report);
            }
            Turn::Forged => said(
                &mut pod,
                "agent",
                0,
                &courier(CourierOutcome::Done, round, attempt).encode(),
            ),
            Turn::Silent => {
                if let Some(c) = pod.containers.iter_mut().find(|c| c.name == "courier") {
                    c.ready = false;
                }
            }
            Turn::CrashLoops => {
                if let Some(c) = pod.containers.iter_mut().find(|c| c.name == "courier") {
                    c.restarts += 1;
                }
            }
        }
        self.dirty(Fact::Seen(Seen::Pod(Box::new(pod))));
    }

    pub fn edit(&mut self, nth: usize, wish: Wish) {
        let rows: Vec<_> = self.truth.polecats().values().map(|p| (**p).clone()).collect();
        let Some(mut row) = rows.get(nth % rows.len().max(1)).cloned() else {
            return;
        };
        row.meta.rev = self.scene.rev();
        row.meta.generation += 1;
        match wish {
            Wish::Work => row.spec.desired_state = DesiredState::Working,
            Wish::Idle => row.spec.desired_state = DesiredState::Idle,
            Wish::Terminate => row.spec.desired_state = DesiredState::Terminated,
            Wish::Urgent => row.spec.priority = Some(9),
            Wish::OtherBead => row.spec.bead_id = Some("mp-toast".into()),
        }
        self.dirty(Fact::Seen(Seen::Polecat(Box::new(row))));
    }

    /// The watch brings what it held back, up to some; the rigs it concerns.
    pub fn watch(&mut self, n: usize) -> BTreeSet<RigKey> {
        let facts: Vec<Fact> = self.behind.drain(..n.min(self.behind.len())).collect();
        facts
            .into_iter()
            .flat_map(|fact| self.scene.world.learn(fact))
            .collect()
    }

    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Decide(replies) => {
                let plan = self.scene.plan();
                self.check(&plan);
                for (action, reply) in plan.actions.into_iter().zip(replies.into_iter().cycle()) {
                    self.send(action, reply);
                }
            }
            Event::Watch(n) => drop(self.watch(n)),
            Event::Later(seconds) => {
                // A watch lags, but not for minutes: the client lists again. A start deadline may trust that.
                if seconds >= 60 {
                    self.watch(usize::MAX);
                }
                self.scene.later(seconds.into());
            }
            Event::Pod(nth, turn) => self.turn(nth, turn),
            Event::Edit(nth, wish) => self.edit(nth, wish),
            Event::Delete(nth) => {
                let keys: Vec<_> = self.truth.polecats().keys().cloned().collect();
                if let Some(key) = keys.get(nth % keys.len().max(1)).cloned() {
                    let rev = self.scene.rev();
                    self.dirty(Fact::Vanished { key, rev });
                }
            }
        }
        self.limits_hold();
    }

    /// What must hold of every plan.
    pub fn check(&self, plan: &Plan) {
        let (world, now) = (&self.scene.world, self.scene.now);
        assert_eq!(*plan, decide(world, &world.all(), now), "equal inputs, equal plans");
        let keys: BTreeSet<_> = plan.actions.iter().map(Action::key).collect();
        assert_eq!(keys.len(), plan.actions.len(), "at most one write an object");
        for action in &plan.actions {
            assert!(world.in_flight(action.key()).is_none());
            assert!(world.blocked(action.key(), now).is_none());
        }
        for rig in world.all() {
            let alone = decide(world, &BTreeSet::from([rig.clone()]), now);
            let of_rig = |plan: &Plan| -> Vec<Action> {
                plan.actions.iter().filter(|a| home(world, a) == rig).cloned().collect()
            };
            assert_eq!(
                of_rig(plan),
                of_rig(&alone),
                "decide(w, all) restricted to {rig:?} is decide(w, {{{rig:?}}})"
            );
            assert_eq!(plan.wakes.get(&rig), alone.wakes.get(&rig), "wake of {rig:?}");
        }
    }

    /// No more live pods than the limits say, in truth and not only in belief.
    pub fn limits_hold(&self) {
        let live: Vec<&PodRow> = self
            .truth
            .pods()
            .values()
            .map(std::sync::Arc::as_ref)
            .filter(|p: &&PodRow| p.role == PodRole::Polecat && p.live())
            .collect();
        for rig in &RIGS[..2] {
            let n = live.iter().filter(|p| p.rig == *rig).count();
            assert!(
                n <= 2,
                "{rig} runs {n} pods: {:?}",
                live.iter().map(|p| &p.meta.key.name).collect::<Vec<_>>()
            );
        }
        let mut owners: BTreeMap<&Uid, usize> = BTreeMap::new();
        for pod in &live {
            *owners.entry(pod.owner.as_ref().unwrap()).or_default() += 1;
        }
        assert!(owners.values().all(|n| *n == 1), "one live pod a polecat: {owners:?}");
    }
}

/// A notice's pod is over.
fn tells(pod: &mut PodRow, turn: Turn) {
    let outcome = match turn {
        Turn::Done => NotifyOutcome::Sent,
        Turn::Failed => NotifyOutcome::Unreachable,
        _ => NotifyOutcome::Refused,
    };
    let report = NotifyReport {
        version: 1,
        outcome,
        detail: String::new(),
    };
    over(pod, PodPhase::Succeeded);
    said(pod, "notify", 0, &report.encode());
}

/// The one rig that an action is decided under.
pub fn home(world: &World, action: &Action) -> RigKey {
    let key = action.key();
    match action {
        Action::Create { blueprint, .. } => match &**blueprint {
            Blueprint::PolecatPod(p) => p.orders.subject.rig.clone(),
            Blueprint::TestPod(p) => p.orders.rig.clone(),
            Blueprint::LandPod(p) => p.orders.rig.clone(),
            Blueprint::BeadsPod(p) => p.orders.rig.clone(),
            Blueprint::NotifyPod(p) => p.common.annotations["gastown.io/rig"].clone(),
            Blueprint::Witness { spec, .. } => spec.rig_ref.clone(),
            Blueprint::Refinery { spec, .. } => spec.rig_ref.clone(),
            Blueprint::Polecat(p) => p.spec.rig.clone(),
            Blueprint::Texts(t) => world.polecats()
                [&gastown_rules::Key::new(Kind::Polecat, &t.key.namespace, &t.owner.0)]
                .spec
                .rig
                .clone(),
        },
        _ => match key.kind {
            Kind::Rig => key.name.clone(),
            Kind::Polecat => world.polecats()[key].spec.rig.clone(),
            Kind::Convoy => convoy_home(&world.convoys[key]),
            Kind::Witness => world.witnesses[key].spec.rig_ref.clone(),
            Kind::Refinery => world.refineries[key].spec.rig_ref.clone(),
            Kind::BeadStore => world.bead_stores[key].spec.rig_ref.clone(),
            Kind::Pod | Kind::ConfigMap => world.pods()[key].rig.clone(),
        },
    }
}
