//! A person's wish for another try: granted once, when nothing is under way and no batch has the work.

use super::status::{self, Tally};
use super::{Case, Tone, landed, reserved};
use crate::draft::Draft;
use crate::reason::Reason;
use gastown_api::{AnotherRound, PolecatPhase, PolecatStatus};

/// The wish that was not granted yet, in a spec and its status.
pub(crate) fn wished<'s>(wish: Option<&'s AnotherRound>, status: &PolecatStatus) -> Option<&'s AnotherRound> {
    wish.filter(|w| !landed(status) && !w.id.is_empty() && status.another_round.as_deref() != Some(w.id.as_str()))
}

impl Case<'_, '_> {
    /// The wish to grant now. An attempt under way ends first; so does the batch that has its work, for what is pinned
    /// may land, and is recorded then (invariant 4).
    pub(super) fn wish(&self) -> Option<&AnotherRound> {
        let wish = wished(self.row.spec.another_round.as_ref(), &self.row.status)?;
        let uid = &self.row.meta.uid.0;
        let pinned = self
            .census
            .world
            .refineries
            .values()
            .any(|r| r.status.members.iter().any(|m| m.uid == *uid));
        (!reserved(&self.row.status) && !pinned).then_some(wish)
    }

    /// With a word it is a new round, and the word its evidence; without one the same round is tried once more.
    pub(super) fn grant(&self, wish: &AnotherRound, out: &mut Draft<'_>) {
        let word = wish.message.as_deref().map(str::trim).filter(|m| !m.is_empty());
        // Done is latched for its round (invariant 3): only a new one goes on from it.
        let new_round = word.is_some() || self.row.status.phase == PolecatPhase::Done;
        let because = if new_round {
            Reason::new("Asked", format!("round {} was asked for", self.round() + 1))
        } else {
            Reason::new("Asked", "another try was asked for")
        };
        let mut to = status::waiting(self, &because, Tally::default(), self.census.now);
        to.retry_after = None;
        to.another_round = Some(wish.id.clone());
        if new_round {
            status::next_round(&mut to, &because, word, self.census.now);
        }
        self.publish(to, because, Tone::Normal, out);
    }
}
