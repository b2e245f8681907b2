//! Telling somebody outside: one notice for each thing that happens, carried by a pod, tried again until it is accepted.
//!
//! The notice stands in its owner's status before its first pod is made, so a restart tells nothing anew. It is told at
//! least once: a try whose answer is lost is repeated under the same id, by which a receiver knows it again.

mod pod;
mod target;

use crate::census::Census;
use crate::draft::Draft;
use crate::names;
use crate::plan::Action;
use crate::reason::Reason;
use crate::row::{Meta, PodRow};
use gastown_api::conditions::{self, NOTIFIED};
use gastown_api::{Notification, SecretReference};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pod::Heard;
pub(crate) use target::Target;

/// Secret with the addresses, where the spec names none.
const SECRET: &str = "gastown-notify";
/// So many tries, and then it is given up until the spec is edited.
const TRIES: i64 = 12;

/// Whoever has something to tell.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) meta: &'a Meta,
    /// The rig it is decided under.
    pub(crate) rig: &'a str,
    /// Whom, as its spec says.
    pub(crate) target: Result<Target, Reason>,
    /// Its spec's word for where the address is.
    pub(crate) secret: Option<&'a SecretReference>,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// The part of a status that this is about.
#[derive(Debug)]
pub(crate) struct Standing<'s> {
    pub(crate) notification: &'s mut Option<Notification>,
    pub(crate) conditions: &'s mut Vec<Condition>,
}

/// Where a notice is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State<'n> {
    /// Accepted.
    Sent,
    /// This pod tells it.
    Trying(&'n str),
    /// Tried in vain; tried again then.
    Waiting(Timestamp),
    /// Not tried again before the spec is edited.
    GivenUp,
}

fn state(held: &Notification) -> State<'_> {
    match (&held.sent_at, &held.pod_name, &held.retry_after) {
        (Some(_), _, _) => State::Sent,
        (None, Some(pod), _) => State::Trying(pod),
        (None, None, Some(at)) => State::Waiting(at.0),
        (None, None, None) => State::GivenUp,
    }
}

/// Whether nothing more happens to a notice by itself.
pub(crate) fn settled(held: Option<&Notification>) -> bool {
    held.is_none_or(|n| matches!(state(n), State::Sent | State::GivenUp))
}

impl Sender<'_> {
    /// Something has happened: a new notice, in the place of the one before.
    pub(crate) fn begin(&self, word: Word, to: &mut Standing<'_>, now: Timestamp) -> String {
        let Meta { key, uid, .. } = self.meta;
        let when = now.as_millisecond().to_string();
        let hash = names::short_hash(&[&uid.0, &word.text, &when]);
        let id = format!("{}.{}.{hash}", key.namespace, key.name);
        let mut held = Notification {
            id: id.clone(),
            subject: word.subject,
            text: word.text,
            ..Notification::default()
        };
        self.address(&mut held, to, now);
        *to.notification = Some(held);
        id
    }

    /// The next try, as the spec names its receiver now.
    fn address(&self, held: &mut Notification, to: &mut Standing<'_>, now: Timestamp) {
        held.retry_after = None;
        held.pod_name = None;
        match &self.target {
            Err(because) => self.say(to, false, because, now),
            Ok(Target::Event) => {
                held.sent_at = Some(Time(now));
                let because = Reason::new("Event", "told as a Kubernetes Event: kubectl get events");
                self.say(to, true, &because, now);
            }
            Ok(Target::Outside { .. }) => {
                held.tries += 1;
                held.pod_name = Some(self.pod_name(held));
                let because = Reason::new("Sending", format!("try {} is under way", held.tries));
                self.say(to, false, &because, now);
            }
        }
    }

    fn say(&self, to: &mut Standing<'_>, told: bool, because: &Reason, now: Timestamp) {
        let generation = self.meta.generation;
        let Reason { code, message } = because;
        conditions::set(to.conditions, NOTIFIED, told, code, message, generation, now);
    }

    /// There is nothing to tell, or nobody.
    pub(crate) fn forget(&self, to: &mut Standing<'_>) {
        *to.notification = None;
        to.conditions.retain(|c| c.type_ != NOTIFIED);
    }

    /// What has become of the notice, and its next try where one is due.
    pub(crate) fn carry(&self, census: &Census<'_>, to: &mut Standing<'_>, out: &mut Draft<'_>) {
        let now = census.now;
        let Some(mut held) = to.notification.clone() else {
            // Said before there is anything to tell: an incident is no time to learn it.
            match &self.target {
                Err(because) => self.say(to, false, because, now),
                Ok(_) => to.conditions.retain(|c| c.type_ != NOTIFIED),
            }
            return;
        };
        match state(&held) {
            State::Sent => return,
            State::Trying(_) => self.listen(census, &mut held, to, out),
            State::Waiting(at) if at > now && !self.is_edited(to.conditions) => out.wake_at(&self.rig.to_owned(), at),
            State::Waiting(_) => self.address(&mut held, to, now),
            State::GivenUp if self.is_edited(to.conditions) => self.address(&mut held, to, now),
            State::GivenUp => return,
        }
        *to.notification = Some(held);
    }

    fn is_edited(&self, all: &[Condition]) -> bool {
        let seen = conditions::get(all, NOTIFIED).and_then(|c| c.observed_generation);
        seen.is_some_and(|seen| seen < self.meta.generation)
    }

    fn listen(&self, census: &Census<'_>, held: &mut Notification, to: &mut Standing<'_>, out: &mut Draft<'_>) {
        let now = census.now;
        let Some(pod) = self.pod(census, held) else {
            // It is being made. Who does not let us make it is worth a word.
            let key = self.pod_key(held);
            let refused = census.world.refusal(&key).and_then(|r| r.why.clone());
            if let Some(why) = refused {
                let because = Reason::new("PodRefused", format!("its pod cannot be created: {why}"));
                self.say(to, false, &because, now);
            }
            return;
        };
        match pod::read(pod, now) {
            Heard::Nothing { until } => out.wake_at(&self.rig.to_owned(), until),
            Heard::Sent => {
                held.pod_name = None;
                held.sent_at = Some(Time(now));
                let because = Reason::new("Sent", format!("accepted by the receiver at try {}", held.tries));
                self.say(to, true, &because, now);
            }
            Heard::InVain { because, again } => {
                // An address in a Secret may be mended unseen.
                let unseen = matches!(&self.target, Ok(Target::Outside { url: None, .. }));
                let again = if again == Again::Never && unseen {
                    Again::OnceMended
                } else {
                    again
                };
                held.pod_name = None;
                held.retry_after = self.next_try(held, again, now).map(Time);
                let because = self.explained(because, held);
                self.say(to, false, &because, now);
            }
        }
    }

    fn next_try(&self, held: &Notification, again: Again, now: Timestamp) -> Option<Timestamp> {
        let (base, cap) = match again {
            Again::Soon => (10, 1800),
            Again::OnceMended => (300, 3600),
            Again::Never => return None,
        };
        let tried = held.tries.rem_euclid(TRIES);
        let wait = base << (tried - 1).clamp(0, 20);
        (tried > 0).then(|| now + SignedDuration::from_secs(wait.min(cap)))
    }

    /// With what to do, and what happens by itself.
    fn explained(&self, because: Reason, held: &Notification) -> Reason {
        let Meta { key, .. } = self.meta;
        let secret = format!("{}/{}", key.namespace, self.secret_name());
        let keys = match &self.target {
            Ok(Target::Outside { channel, .. }) => channel.keys(),
            _ => &[],
        };
        let literals: Vec<String> = keys.iter().map(|k| format!("--from-literal={k}=…")).collect();
        let said = because.message;
        let fix = match because.code {
            "SecretMissing" | "KeyMissing" => format!(
                "Secret {secret} {said}: kubectl create secret generic {} -n {} {}",
                self.secret_name(),
                key.namespace,
                literals.join(" ")
            ),
            "AddressInvalid" => format!("the address in Secret {secret} cannot be used: {said}"),
            _ => said,
        };
        let next = match &held.retry_after {
            Some(at) => format!("; tried again at {:.0}", at.0),
            None => format!(
                "; given up after {} tr{}: edit the spec to try again",
                held.tries,
                if held.tries == 1 { "y" } else { "ies" }
            ),
        };
        Reason::new(because.code, fix + &next)
    }

    fn secret_name(&self) -> &str {
        self.secret
            .map(|s| s.name.as_str())
            .filter(|name| !name.is_empty())
            .unwrap_or(SECRET)
    }

    fn pod<'w>(&self, census: &Census<'w>, held: &Notification) -> Option<&'w PodRow> {
        let name = held.pod_name.as_ref()?;
        census.notifying(&self.meta.uid).find(|p| p.meta.key.name == *name)
    }

    /// Makes the pod of a published try, and deletes those of earlier ones.
    pub(crate) fn serve(&self, census: &Census<'_>, published: Option<&Notification>, out: &mut Draft<'_>) {
        let trying = published.filter(|n| matches!(state(n), State::Trying(_)));
        for pod in census.notifying(&self.meta.uid) {
            let wanted = trying.is_some_and(|n| n.pod_name.as_ref() == Some(&pod.meta.key.name));
            if !wanted {
                let because = Reason::new("Finished", "what it had to tell is settled");
                out.delete(pod, !pod.live(), because);
            }
        }
        // A write of the owner that is under way or in doubt may say that no pod is needed any more.
        let world = census.world;
        let Some(held) = trying.filter(|_| world.blocked(&self.meta.key, census.now).is_none()) else {
            return;
        };
        if let (None, Ok(Target::Outside { channel, url })) = (self.pod(census, held), &self.target) {
            let because = Reason::new("Notifying", held.subject.clone());
            out.push(Action::Create {
                blueprint: Box::new(self.blueprint(census, held, *channel, url.clone())),
                because,
            });
        }
    }
}

/// Whether, and how soon, a try in vain is worth another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// The receiver may be back in a moment.
    Soon,
    /// Somebody must mend something first, where we cannot see it.
    OnceMended,
    /// It would be refused again.
    Never,
}
