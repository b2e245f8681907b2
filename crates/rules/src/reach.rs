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
    let own = |p: &&&PolecatRow| {
        let target = settings::target(p, Some(rig));
        target.is_some_and(|t| Some(t.repository.as_str()) == Some(rig.spec.git_url.as_str()))
    };
    let words = census.polecats(&rig.meta.key.name).iter().filter(own);
    let told = words.filter_map(|p| Some((p.status.last_activity.as_ref()?.0, &p.meta.key.name, word(p)?)));
    let (_, name, word) = told.max_by_key(|(at, name, _)| (*at, *name))?;
    let Word::Barred { code, message } = word else {
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
