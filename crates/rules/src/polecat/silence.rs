//! The first rungs of the ladder: an agent of which nothing is seen is waited for, nudged, and ended, so that a new
//! attempt takes up its work and conversation.
//!
//! Nothing seen: courier's readiness, which is activity (output, processor, tools, bytes from a model), never age.
//! The nudge is an annotation of the pod, and the only note of when it was written.

use super::{Case, outcome};
use crate::census::Census;
use crate::draft::Draft;
use crate::plan::Action;
use crate::reason::Reason;
use crate::row::{ContainerState, PodRow, PolecatRow};
use crate::settings;
use gastown_api::labels::WITNESS_NUDGE;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A node of a cluster passes an annotation on within a minute or so: what is not heard yet is not waited for in vain.
const PASSED_ON: SignedDuration = SignedDuration::from_mins(2);

/// Since when a live pod may have been without activity.
fn since(pod: &PodRow) -> Option<Timestamp> {
    outcome::unready_since(pod).filter(|_| pod.live() && pod.meta.deleting.is_none())
}

/// Whether a polecat's agent is silent. One that is unready from its start counts once it has lasted: then its rig is woken.
pub(crate) fn is_silent(census: &Census<'_>, polecat: &PolecatRow, out: &mut Draft<'_>) -> bool {
    let mut silent = false;
    for since in census.pods(polecat).iter().filter_map(|pod| since(pod)) {
        let at = since + settings::stuck_threshold(census.world, polecat, census.rig(&polecat.spec.rig));
        if at <= census.now {
            silent = true;
        } else {
            out.wake_at(&polecat.spec.rig, at);
        }
    }
    silent
}

/// When the witness nudged it.
fn nudged_at(pod: &PodRow) -> Option<Timestamp> {
    let text = pod.meta.annotations.get(WITNESS_NUDGE)?;
    // What is no time of ours was a nudge all the same: long ago, so that it holds nothing up.
    let time = text.split_whitespace().next().unwrap_or_default();
    Some(time.parse().unwrap_or(pod.meta.created))
}

fn is_active(pod: &PodRow) -> bool {
    pod.container("courier")
        .is_some_and(|c| c.ready && matches!(c.state, ContainerState::Running { .. }))
}

impl Case<'_, '_> {
    /// Takes the next step of the ladder, where one is due.
    pub(super) fn watch_silence(&self, pod: &PodRow, out: &mut Draft<'_>) {
        let now = self.census.now;
        let Some(since) = since(pod) else {
            if nudged_at(pod).is_some() && is_active(pod) {
                annotate(pod, None, Reason::new("Active", "its agent is active again"), out);
            }
            return;
        };
        let threshold = settings::stuck_threshold(self.census.world, self.row, self.rig);
        let grace = match self.census.world.town.one_machine {
            true => threshold,
            false => threshold.max(PASSED_ON),
        };
        match nudged_at(pod) {
            None if since + threshold > now => self.wake(since + threshold, out),
            None => {
                let quiet = spelt(threshold);
                let text = format!(
                    "{now:.0} Nothing has been seen of you for {quiet}. If you wait for something, do not wait longer: end it and go on \
                     without. If your work is done, commit it and finish. In another {} you are ended and take this up anew.",
                    spelt(grace)
                );
                let because = Reason::new("Nudged", format!("nothing was seen of its agent for {quiet}"));
                annotate(pod, Some(text), because, out);
            }
            Some(nudged) if nudged + grace > now => self.wake(nudged + grace, out),
            Some(_) => {
                let because = Reason::new(
                    "Silent",
                    format!(
                        "nothing was seen of its agent for {}, nor for {} after a nudge: no output, no work, no word from its model",
                        spelt(threshold),
                        spelt(grace)
                    ),
                );
                self.lost(&because, true, out);
            }
        }
    }
}

fn annotate(pod: &PodRow, text: Option<String>, because: Reason, out: &mut Draft<'_>) {
    out.push(Action::Annotate {
        key: pod.meta.key.clone(),
        uid: pod.meta.uid.clone(),
        rev: pod.meta.rev,
        set: BTreeMap::from([(WITNESS_NUDGE.to_owned(), text)]),
        because,
    });
}

/// `90s`, `15m`, `2h`.
fn spelt(time: SignedDuration) -> String {
    match time.as_secs() {
        s if s > 0 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}
