//! Whether a rig's repository can be worked with, by what the pods of its polecats said last.
//!
//! Nobody probes a repository for a Rig: its polecats find out anyway, and the newest of them is right.

use crate::census::Census;
use crate::reason::Reason;
use crate::remote;
use crate::row::{PolecatRow, RigRow};
use crate::settings;
use gastown_api::PolecatPhase;
use gastown_api::conditions::{self, DEGRADED, PROGRESSING};

/// What keeps the newest of its polecats from the repository; none: they reach it, or nobody has tried.
pub(crate) fn trouble(census: &Census<'_>, rig: &RigRow) -> Option<Reason> {
    let own = |p: &PolecatRow| settings::target(p, Some(rig)).is_some_and(|t| t.repository == rig.spec.git_url);
    let mut newest = None;
    for polecat in census.polecats(&rig.meta.key.name) {
        let name = &polecat.meta.key.name;
        let at = polecat.status.last_activity.as_ref().map(|t| (t.0, name));
        // Who is not newer is not asked what it knows: of a thousand at work that is most.
        if at > newest.as_ref().map(|(at, _)| *at)
            && let (Some(at), Some(word)) = (at, word(polecat))
            && own(polecat)
        {
            newest = Some((at, word));
        }
    }
    let Some(((_, name), Word::Barred { code, message })) = newest else {
        return None;
    };
    let message = format!("polecat {name} cannot work with the repository: {message}");
    Some(Reason::new(code, message))
}

/// What a polecat knows of the repository.
enum Word<'a> {
    /// It has cloned, so it is well.
    Reached,
    Barred {
        code: &'static str,
        message: &'a str,
    },
}

fn word(polecat: &PolecatRow) -> Option<Word<'_>> {
    let status = &polecat.status;
    let barred = [DEGRADED, PROGRESSING].into_iter().find_map(|kind| {
        let said = conditions::get(&status.conditions, kind)?;
        remote::of_the_repository(&said.reason)
    });
    if let Some(code) = barred {
        let message = status.message.as_deref().unwrap_or_default();
        return Some(Word::Barred { code, message });
    }
    let reached = status.pod_active == Some(true) || status.phase == PolecatPhase::Done;
    reached.then_some(Word::Reached)
}
