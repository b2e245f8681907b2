//! The pod that tells, and what it says of itself.

use super::{Again, Sender};
use crate::blueprint::{Blueprint, Credentials, NotifyPod, PodCommon};
use crate::census::Census;
use crate::key::{Key, Kind};
use crate::names;
use crate::pods::{self, Patience, patience};
use crate::polecat::outcome::one_line;
use crate::reason::Reason;
use crate::row::{Meta, PodRow};
use gastown_api::{Notification, labels};
use gastown_wire::{self as wire, Channel, NotifyOutcome, NotifyReport, Report as _};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Its container.
const CONTAINER: &str = "notify";
/// Where the Secret is mounted.
const SECRET_DIR: &str = "/gastown/notify";
/// The kubelet ends it after this. Seconds.
const DEADLINE: i64 = 180;

/// What a pod says of its try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not yet.
    Nothing {
        /// Not waited for longer.
        until: Timestamp,
    },
    /// The receiver has it.
    Sent,
    /// Not told.
    InVain { because: Reason, again: Again },
}

pub(super) fn read(pod: &PodRow, now: Timestamp) -> Heard {
    let in_vain = |code, message: String, again| Heard::InVain {
        because: Reason::new(code, message),
        again,
    };
    if let Some(report) = report(pod) {
        let said = one_line(&report.detail);
        return match report.outcome {
            NotifyOutcome::Sent => Heard::Sent,
            NotifyOutcome::Refused => in_vain("Refused", format!("the receiver refuses it: {said}"), Again::Never),
            NotifyOutcome::Unreachable => in_vain(
                "Unreachable",
                format!("the receiver is not reached: {said}"),
                Again::Soon,
            ),
            NotifyOutcome::Config { reason } => in_vain(config(&reason), said, Again::OnceMended),
        };
    }
    if !pod.live() {
        let words = one_line(&format!("{} {}", pod.reason, pod.message));
        return in_vain(
            "PodFailed",
            format!("its pod ended without a word {words}"),
            Again::Soon,
        );
    }
    match patience(pod, CONTAINER, SignedDuration::from_secs(DEADLINE), now) {
        Patience::Running { until, .. } => Heard::Nothing { until },
        Patience::NeverStarted { reason, .. } => {
            let message = format!("its pod does not run: {}", reason.message);
            in_vain("NotStarted", message, Again::Soon)
        }
        Patience::Over(why) => in_vain("PodFailed", why, Again::Soon),
    }
}

fn report(pod: &PodRow) -> Option<NotifyReport> {
    NotifyReport::decode(&pods::ended(pod, CONTAINER)?.message).ok()
}

/// The harness' words as codes of ours.
fn config(reason: &str) -> &'static str {
    match reason {
        "SecretMissing" => "SecretMissing",
        "KeyMissing" => "KeyMissing",
        "AddressInvalid" => "AddressInvalid",
        "CurlMissing" => "CurlMissing",
        _ => "NotConfigured",
    }
}

impl Sender<'_> {
    /// Each try has a pod of its own name.
    pub(super) fn pod_name(&self, held: &Notification) -> String {
        let hash = names::short_hash(&[&self.meta.uid.0, &held.id, &held.tries.to_string()]);
        let room = names::NAME_LIMIT - "notify--".len() - hash.len();
        format!("notify-{}-{hash}", names::object_name(&self.meta.key.name, room))
    }

    pub(super) fn pod_key(&self, held: &Notification) -> Key {
        let name = held.pod_name.clone().unwrap_or_default();
        Key::new(Kind::Pod, &self.meta.key.namespace, name)
    }

    pub(super) fn blueprint(
        &self,
        census: &Census<'_>,
        held: &Notification,
        channel: Channel,
        url: Option<String>,
    ) -> Blueprint {
        let Meta { key, uid, .. } = self.meta;
        let annotations = BTreeMap::from([(labels::RIG.to_owned(), self.rig.to_owned())]);
        // The rig's proxy and certificates, but none of its caches: one of them may hang on another node.
        let template = census
            .rig(self.rig)
            .and_then(|r| r.spec.pod_template.clone())
            .map(|mut t| {
                t.cache_volumes = Default::default();
                t
            });
        let secret = url.is_none().then(|| self.secret_name().to_owned());
        Blueprint::NotifyPod(NotifyPod {
            common: PodCommon {
                key: self.pod_key(held),
                owner: (key.kind, key.name.clone(), uid.clone()),
                labels: pods::labels(CONTAINER, self.rig),
                annotations,
                harness_image: census.world.town.harness_image.clone(),
                credentials: Credentials::default(),
                deadline: Some(DEADLINE),
                template,
                local_remote: None,
                local_content: None,
            },
            orders: wire::NotifyOrders {
                version: wire::VERSION,
                id: held.id.clone(),
                channel,
                url,
                secret_dir: SECRET_DIR.to_owned(),
                subject: held.subject.clone(),
                text: held.text.clone(),
            },
            secret,
        })
    }
}
