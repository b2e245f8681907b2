//! Requests of the operator: their way to the store and back.

use super::book::Sent;
use super::operator::said;
use super::pods::Process;
use super::{Event, History, Millis, Object};
use gastown_api::labels;
use gastown_rules::{
    Action, Answer, Blueprint, Fact, Key, Kind, Meta, Outcome, PodCommon, PodPhase, PodRole, PodRow, Rev, Row, Status,
    Uid,
};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

/// After this the operator counts an answer as lost.
const TIMEOUT: Millis = 10_000;

/// Every kind the operator watches.
pub(super) fn kinds() -> [Kind; 7] {
    [
        Kind::Rig,
        Kind::Polecat,
        Kind::Convoy,
        Kind::Witness,
        Kind::Refinery,
        Kind::BeadStore,
        Kind::Pod,
    ]
}

/// A write on its way.
#[derive(Clone, Debug)]
pub(super) struct Request {
    action: Action,
    epoch: u32,
    /// What stood when it was sent.
    sent: Sent,
    /// Refused before it is looked at.
    refused: Option<Outcome>,
    /// What the operator will hear; none yet.
    answer: Option<Outcome>,
    /// The operator has heard, or its answer is lost.
    answered: bool,
}

impl History {
    /// Sends a write: usually it arrives and is answered.
    pub(super) fn request(&mut self, action: Action) {
        self.counts.sent += 1;
        let id = self.next_request;
        self.next_request += 1;
        let sent = Sent::of(&action, &self.operator.world);
        let epoch = self.operator.epoch;
        let mut request = Request {
            action,
            epoch,
            sent,
            refused: None,
            answer: None,
            answered: false,
        };
        if !self.dice.chance(self.weather.api) {
            self.put_between(1, 40, Event::Arrive(id));
        } else {
            match self.dice.below(7) {
                // It never arrives.
                0 => self.unheard(id, &mut request),
                // Its answer is lost.
                1 => {
                    self.put_between(1, TIMEOUT, Event::Arrive(id));
                    self.unheard(id, &mut request);
                }
                // It arrives long after everybody gave it up.
                2 => {
                    self.put_between(TIMEOUT, 6 * TIMEOUT, Event::Arrive(id));
                    self.unheard(id, &mut request);
                }
                3 => {
                    let seconds = u64::try_from(self.dice.between(1, 30)).unwrap_or(1);
                    request.refused = Some(Outcome::Later { seconds });
                    self.put_between(1, 40, Event::Arrive(id));
                }
                4 => {
                    request.refused = Some(Outcome::Denied {
                        why: "admission webhook says no".to_owned(),
                    });
                    self.put_between(1, 40, Event::Arrive(id));
                }
                // Slow.
                _ => self.put_between(40, TIMEOUT - 100, Event::Arrive(id)),
            }
        }
        self.requests.insert(id, request);
    }

    /// The operator will not hear of it.
    fn unheard(&mut self, id: u64, request: &mut Request) {
        request.answer = Some(Outcome::Unknown);
        request.answered = true;
        self.put_in(TIMEOUT, Event::Answer(id));
    }

    pub(super) fn arrive(&mut self, id: u64) {
        let Some(mut request) = self.requests.remove(&id) else {
            return;
        };
        // A leader that was deposed, or a write that was given up: its successor could not know of it.
        let fresh = request.epoch == self.operator.epoch && !(request.answered && request.answer.is_none());
        let outcome = match request.refused.take() {
            Some(refused) => refused,
            None => self.apply(&request, fresh),
        };
        self.note(|| format!("api     {} -> {}", said(&request.action), word(&outcome)));
        if matches!(outcome, Outcome::Done { .. }) {
            self.counts.writes += 1;
        }
        if request.answered {
            // Kept until the operator has given it up.
            if request.answer.is_some() {
                self.requests.insert(id, request);
            }
        } else {
            request.answer = Some(outcome);
            self.requests.insert(id, request);
            self.put_between(1, 40, Event::Answer(id));
        }
        self.spread();
    }

    pub(super) fn answer(&mut self, id: u64) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let Some(outcome) = request.answer.take() else { return };
        let (action, epoch, lost) = (request.action.clone(), request.epoch, request.answered);
        request.answered = true;
        if !lost {
            self.requests.remove(&id);
        }
        if !self.is_leading(epoch) {
            return;
        }
        self.watch_answer(&action, &outcome);
        let at = self.clock();
        self.note(|| format!("answer  {} -> {}", said(&action), word(&outcome)));
        self.operator.learn(Fact::Answered(Answer { action, outcome, at }));
        self.turn();
        self.spread();
    }

    fn apply(&mut self, request: &Request, fresh: bool) -> Outcome {
        match &request.action {
            Action::Create { blueprint, .. } => self.create(blueprint, fresh),
            Action::Delete { key, uid, .. } => match self.store.get(key).map(|o| o.meta().uid.clone()) {
                Some(held) if held == *uid => {
                    self.delete(key);
                    Outcome::Done {
                        rev: Rev::default(),
                        uid: uid.clone(),
                    }
                }
                _ => Outcome::Gone,
            },
            Action::Publish { key, rev, to, .. } => self.publish(key, *rev, to, &request.sent, fresh),
            Action::Annotate { key, rev, set, .. } => self.annotate(key, *rev, set),
            Action::Release { key, rev, keep, .. } => self.release(key, *rev, keep),
        }
    }

    fn publish(&mut self, key: &Key, rev: Rev, to: &Status, sent: &Sent, fresh: bool) -> Outcome {
        let Some(held) = self.store.get(key) else {
            return Outcome::Gone;
        };
        if held.meta().rev != rev {
            return Outcome::Stale;
        }
        let uid = held.meta().uid.clone();
        if let (Object::Polecat(before), Status::Polecat(after)) = (held, to) {
            let (before, after) = (before.clone(), after.clone());
            self.watch_polecat(&before, &after, sent, fresh);
        }
        let rev = self.store.update(key, |object| match (object, to) {
            (Object::Rig(r), Status::Rig(to)) => r.status = stored(to),
            (Object::Polecat(r), Status::Polecat(to)) => r.status = stored(to),
            (Object::Convoy(r), Status::Convoy(to)) => r.status = stored(to),
            (Object::Witness(r), Status::Witness(to)) => r.status = stored(to),
            (Object::Refinery(r), Status::Refinery(to)) => r.status = stored(to),
            _ => {}
        });
        rev.map_or(Outcome::Gone, |rev| Outcome::Done { rev, uid })
    }

    fn annotate(&mut self, key: &Key, rev: Rev, set: &BTreeMap<String, Option<String>>) -> Outcome {
        let Some(held) = self.store.get(key) else {
            return Outcome::Gone;
        };
        if held.meta().rev != rev {
            return Outcome::Stale;
        }
        let uid = held.meta().uid.clone();
        let rev = self.store.update(key, |o| {
            for (name, value) in set {
                let all = &mut o.meta_mut().annotations;
                match value {
                    Some(value) => all.insert(name.clone(), value.clone()),
                    None => all.remove(name),
                };
            }
        });
        rev.map_or(Outcome::Gone, |rev| Outcome::Done { rev, uid })
    }

    fn release(&mut self, key: &Key, rev: Rev, keep: &[String]) -> Outcome {
        let Some(held) = self.store.get(key) else {
            return Outcome::Gone;
        };
        if held.meta().rev != rev {
            return Outcome::Stale;
        }
        let uid = held.meta().uid.clone();
        let rev = self.store.update(key, |o| o.meta_mut().finalizers = keep.to_vec());
        if self
            .store
            .get(key)
            .is_some_and(|o| o.meta().deleting.is_some() && o.meta().finalizers.is_empty())
        {
            self.remove(key);
        }
        rev.map_or(Outcome::Gone, |rev| Outcome::Done { rev, uid })
    }

    /// As the API server deletes: at once, or marked until finalizers and kubelet let go.
    pub(super) fn delete(&mut self, key: &Key) {
        let now = self.time();
        let Some(held) = self.store.get(key) else { return };
        let meta = held.meta().clone();
        if meta.deleting.is_some() {
            return;
        }
        if let Object::Pod(_) = held {
            self.store.update(key, |o| o.meta_mut().deleting = Some(now));
            self.put_between(50, 3_000, Event::Stop(meta.uid));
        } else if meta.finalizers.is_empty() {
            self.remove(key);
        } else {
            self.store.update(key, |o| o.meta_mut().deleting = Some(now));
        }
        self.spread();
    }

    /// An object goes; what it owned follows, in its own time.
    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(uid) = self.store.remove(key) {
            if key.kind == Kind::Refinery {
                self.book.forgets();
            }
            self.note(|| format!("gone    {key}"));
            self.put_between(50, 10_000, Event::Collect(uid));
            self.spread();
        }
    }

    pub(super) fn collect(&mut self, owner: &Uid) {
        for key in self.store.owned_by(owner) {
            self.note(|| format!("collect {key}"));
            self.delete(&key);
        }
    }

    fn create(&mut self, blueprint: &Blueprint, fresh: bool) -> Outcome {
        let (object, owner) = made(blueprint);
        if let Object::Pod(pod) = &object {
            let pod = pod.clone();
            self.watch_pod(&pod, fresh);
        }
        let key = object.meta().key.clone();
        let now = self.time();
        match self.store.create(object, owner.clone(), now) {
            Err(taken) => Outcome::Exists {
                owner: taken.owner,
                uid: taken.uid,
                rev: taken.rev,
            },
            Ok((rev, uid)) => {
                if let Some(owner) = owner.filter(|o| !self.store.has_uid(o)) {
                    self.put_between(50, 10_000, Event::Collect(owner));
                }
                if !fresh {
                    self.book.is_late(&uid);
                }
                if let Some(Object::Pod(pod)) = self.store.get(&key) {
                    if let Some(process) = Process::of(blueprint, pod) {
                        self.processes.insert(uid.clone(), process);
                        self.put_between(50, 2_000, Event::Step(uid.clone()));
                    }
                    self.check_caps();
                }
                Outcome::Done { rev, uid }
            }
        }
    }
}

/// A status as it comes back: through JSON, where instants are whole seconds.
fn stored<T: Serialize + DeserializeOwned + Clone>(status: &T) -> T {
    serde_json::to_value(status)
        .and_then(serde_json::from_value)
        .unwrap_or_else(|_| status.clone())
}

/// A blueprint as an object, and who owns it.
fn made(blueprint: &Blueprint) -> (Object, Option<Uid>) {
    let pod = |role, common: &PodCommon| (Object::Pod(pod_row(role, common)), Some(common.owner.2.clone()));
    match blueprint {
        Blueprint::PolecatPod(p) => pod(PodRole::Polecat, &p.common),
        Blueprint::TestPod(p) => pod(PodRole::Test, &p.common),
        Blueprint::LandPod(p) => pod(PodRole::Land, &p.common),
        Blueprint::BeadsPod(p) => pod(PodRole::Beads, &p.common),
        Blueprint::NotifyPod(p) => pod(PodRole::Notify, &p.common),
        Blueprint::Witness { key, owner, spec } => {
            let row = Row {
                meta: bare(key),
                spec: spec.clone(),
                status: Default::default(),
            };
            (Object::Witness(row), Some(owner.1.clone()))
        }
        Blueprint::Refinery { key, owner, spec } => {
            let row = Row {
                meta: bare(key),
                spec: spec.clone(),
                status: Default::default(),
            };
            (Object::Refinery(row), Some(owner.1.clone()))
        }
        Blueprint::Polecat(p) => {
            let meta = Meta {
                labels: p.labels.clone(),
                ..bare(&p.key)
            };
            (
                Object::Polecat(Row {
                    meta,
                    spec: p.spec.clone(),
                    status: Default::default(),
                }),
                None,
            )
        }
        Blueprint::Texts(t) => (Object::Texts(bare(&t.key)), Some(t.owner.1.clone())),
    }
}

/// Metadata of something that does not exist yet.
pub(super) fn bare(key: &Key) -> Meta {
    Meta {
        key: key.clone(),
        uid: Uid::default(),
        rev: Rev::default(),
        generation: 1,
        created: super::BEGINNING,
        deleting: None,
        finalizers: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

/// A pod as the operator will read it: from labels and annotations, nothing else.
fn pod_row(role: PodRole, common: &PodCommon) -> PodRow {
    let ours = |all: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        all.iter()
            .filter(|(k, _)| k.starts_with("gastown.io/"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let meta = Meta {
        labels: ours(&common.labels),
        annotations: ours(&common.annotations),
        ..bare(&common.key)
    };
    let number = |name: &str| {
        meta.annotations
            .get(name)
            .and_then(|v| v.parse().ok())
            .unwrap_or_default()
    };
    let orders = meta.annotations.get(labels::ORDERS);
    PodRow {
        role,
        rig: meta.annotations.get(labels::RIG).cloned().unwrap_or_default(),
        owner: Some(common.owner.2.clone()),
        attempt: number(labels::ATTEMPT),
        round: number(labels::ROUND),
        test: orders
            .filter(|_| role == PodRole::Test)
            .and_then(|t| serde_json::from_str(t).ok()),
        land: orders
            .filter(|_| role == PodRole::Land)
            .and_then(|t| serde_json::from_str(t).ok()),
        node: None,
        phase: PodPhase::Pending,
        reason: String::new(),
        message: String::new(),
        unschedulable: None,
        disrupted: None,
        started: None,
        containers: Vec::new(),
        meta,
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { rev, .. } => format!("done at {}", rev.0),
        other => format!("{other:?}"),
    }
}
