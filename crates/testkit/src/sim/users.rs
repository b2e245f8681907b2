//! People: they sling, edit, pause and delete whatever they like, whenever they like.

use super::{Event, History, Millis, Object, Weather};
use crate::build;
use gastown_api::{DesiredState, labels};
use gastown_rules::{Key, Kind};

/// The rigs of a random town.
const RIGS: [&str; 2] = ["parts", "tools"];
/// How long a storm lasts.
const STORM: (Millis, Millis) = (600_000, 7_200_000);

/// What a user may do.
#[derive(Clone, Copy, Debug)]
enum Act {
    Sling,
    SlingTwice,
    Delete,
    Terminate,
    Idle,
    Work,
    Edit,
    DeletePod,
    Pause,
    DeleteRig,
    DeleteChild,
    Convoy,
    Extend,
    DeleteConvoy,
}

const ACTS: [Act; 18] = [
    Act::Sling,
    Act::Sling,
    Act::SlingTwice,
    Act::Delete,
    Act::Delete,
    Act::Terminate,
    Act::Idle,
    Act::Work,
    Act::Work,
    Act::Edit,
    Act::DeletePod,
    Act::DeletePod,
    Act::Pause,
    Act::DeleteRig,
    Act::DeleteChild,
    Act::Convoy,
    Act::Extend,
    Act::DeleteConvoy,
];

impl History {
    /// A random town in random weather, with a calm after it.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut dice = super::Dice::new(super::dice::mix(seed ^ 0x676f_7365_6564));
        let weather = Weather::stormy(&mut dice);
        let mut history = Self::new(seed, weather);
        history.restore_rigs();
        for _ in 0..history.dice.between(2, 7) {
            history.act(Act::Sling);
        }
        for _ in 0..history.dice.between(0, 2) {
            history.act(Act::Convoy);
        }
        let end = history.dice.between(STORM.0, STORM.1);
        history.put_in(end, Event::Calm);
        history.put_between(1_000, 60_000, Event::User);
        history
    }

    /// Creates what a builder describes.
    pub fn add(&mut self, what: impl build::Town) {
        let now = self.time();
        let object = what.object();
        let key = object.meta().key.clone();
        self.note(|| format!("user    creates {key}"));
        // A name that is taken is the user's own mistake.
        let _taken = self.store.create(object, None, now);
        self.spread();
    }

    /// Deletes whatever has that key.
    pub fn erase(&mut self, key: &Key) {
        self.note(|| format!("user    deletes {key}"));
        self.delete(key);
    }

    /// Sets what is wanted of a polecat.
    pub fn want(&mut self, key: &Key, wanted: DesiredState) {
        self.note(|| format!("user    wants {key} {wanted:?}"));
        if wanted == DesiredState::Terminated
            && let Some(uid) = self.store.get(key).map(|o| o.meta().uid.clone())
        {
            self.book.unwanted(&uid);
        }
        self.edit_polecat(key, |p| p.spec.desired_state = wanted);
    }

    /// The rigs are there, and not paused.
    pub(super) fn restore_rigs(&mut self) {
        for name in RIGS {
            let key = Key::new(Kind::Rig, "", name);
            let paused = match self.store.get(&key) {
                None => {
                    let most = 1 + i32::from(name == "parts") * 2;
                    self.add(build::rig(name).with_room_for(most));
                    false
                }
                Some(Object::Rig(r)) => r.spec.paused == Some(true),
                Some(_) => false,
            };
            if paused {
                self.pause(&key, false);
            }
        }
    }

    fn pause(&mut self, key: &Key, paused: bool) {
        self.note(|| format!("user    pauses {key}: {paused}"));
        self.store.update(key, |o| {
            if let Object::Rig(r) = o {
                r.spec.paused = Some(paused);
                r.meta.generation += 1;
            }
        });
        self.spread();
    }

    pub(super) fn user(&mut self) {
        if self.calm {
            return;
        }
        if self.dice.chance(self.weather.users)
            && let Some(act) = self.dice.pick(&ACTS).copied()
        {
            self.act(act);
        }
        self.put_between(5_000, 300_000, Event::User);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Sling => self.sling(None),
            Act::SlingTwice => {
                let bead = self.any_polecat().and_then(|key| self.bead_of(&key));
                self.sling(bead);
            }
            Act::Delete => self.on_any(|h, key| h.erase(key)),
            Act::Terminate => self.on_any(|h, key| h.want(key, DesiredState::Terminated)),
            Act::Idle => self.on_any(|h, key| h.want(key, DesiredState::Idle)),
            Act::Work => self.on_any(|h, key| h.want(key, DesiredState::Working)),
            Act::Edit => self.on_any(|h, key| {
                let priority = i32::try_from(h.dice.below(5)).unwrap_or(0);
                h.edit_polecat(key, |p| p.spec.priority = Some(priority));
            }),
            Act::DeletePod => {
                let pods = self.pod_keys();
                if let Some(key) = self.dice.pick(&pods).cloned() {
                    self.erase(&key);
                }
            }
            Act::Pause => {
                if let Some(name) = self.dice.pick(&RIGS).copied() {
                    let paused = self.dice.chance(0.5);
                    self.pause(&Key::new(Kind::Rig, "", name), paused);
                }
            }
            Act::DeleteRig => {
                // Whoever deletes a rig often makes it again, with other things under the same name.
                if let Some(name) = self.dice.pick(&RIGS).copied() {
                    self.erase(&Key::new(Kind::Rig, "", name));
                    if self.dice.chance(0.7) {
                        self.restore_rigs();
                    }
                }
            }
            Act::DeleteChild => {
                let child = |k: &Key| matches!(k.kind, Kind::Refinery | Kind::Witness);
                let keys: Vec<Key> = self.store.all().map(|o| o.meta().key.clone()).filter(child).collect();
                if let Some(key) = self.dice.pick(&keys).cloned() {
                    self.erase(&key);
                }
            }
            Act::Convoy => self.new_convoy(),
            Act::Extend => {
                let bead = self.new_bead();
                if let Some(key) = self.any_convoy() {
                    self.note(|| format!("user    extends {key} by {bead}"));
                    self.store.update(&key, |o| {
                        if let Object::Convoy(c) = o {
                            c.spec.tracked_beads.push(bead);
                            c.meta.generation += 1;
                        }
                    });
                    self.spread();
                }
            }
            Act::DeleteConvoy => {
                if let Some(key) = self.any_convoy() {
                    self.erase(&key);
                }
            }
        }
    }

    fn sling(&mut self, bead: Option<String>) {
        let rig = self.dice.pick(&RIGS).copied().unwrap_or("parts");
        // Names come back after a deletion.
        let name = format!("cat{}", self.dice.below(12));
        if self.dice.chance(0.06) && self.polecat(&name).is_none() {
            self.hopeless.insert(name.clone());
        }
        let bead = bead.or_else(|| self.dice.chance(0.5).then(|| self.new_bead()));
        let mut polecat = build::polecat(&name).of(rig).of_priority(self.dice.between(0, 3));
        if let Some(bead) = bead {
            polecat = polecat.on_bead(&bead);
        }
        if self.dice.chance(0.1) {
            polecat = polecat.held_by(labels::PREDECESSOR_FINALIZERS[1]);
        }
        if self.dice.chance(0.2) {
            polecat = polecat.tried_again(i32::try_from(self.dice.below(3)).unwrap_or(0));
        }
        self.add(polecat);
    }

    fn new_convoy(&mut self) {
        let name = format!("cv{}", self.next_bead);
        let mut convoy = build::convoy(&name);
        for _ in 0..self.dice.between(1, 4) {
            convoy = convoy.tracking(&self.new_bead());
        }
        // Some track what is slung already, of any rig.
        if self.dice.chance(0.4)
            && let Some(bead) = self.any_polecat().and_then(|key| self.bead_of(&key))
        {
            convoy = convoy.tracking(&bead);
        }
        if self.dice.chance(0.7) {
            convoy = convoy.at_most(i32::try_from(self.dice.between(1, 2)).unwrap_or(1));
        }
        if self.dice.chance(0.7) {
            convoy = convoy.of(self.dice.pick(&RIGS).copied().unwrap_or("parts"));
        }
        self.add(convoy);
    }

    fn new_bead(&mut self) -> String {
        self.next_bead += 1;
        format!("mp-{}", self.next_bead)
    }

    fn on_any(&mut self, act: impl FnOnce(&mut Self, &Key)) {
        if let Some(key) = self.any_polecat() {
            act(self, &key);
        }
    }

    fn any_polecat(&mut self) -> Option<Key> {
        let keys: Vec<Key> = self.store.polecats().map(|p| p.meta.key.clone()).collect();
        self.dice.pick(&keys).cloned()
    }

    fn any_convoy(&mut self) -> Option<Key> {
        let keys: Vec<Key> = self.store.convoys().map(|c| c.meta.key.clone()).collect();
        self.dice.pick(&keys).cloned()
    }

    fn bead_of(&self, key: &Key) -> Option<String> {
        match self.store.get(key) {
            Some(Object::Polecat(p)) => p.spec.bead_id.clone(),
            _ => None,
        }
    }
}
