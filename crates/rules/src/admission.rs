//! Who may start: `maxPolecats` of the rig, `parallelism` of every convoy that counts, by priority and age.

use crate::census::Census;
use crate::key::Key;
use crate::plan::Status;
use crate::polecat::{self, outcome::occupies};
use crate::reason::Reason;
use crate::row::PolecatRow;
use crate::settings::STANDALONE;
use crate::settings::budget::{self, Spent};
use crate::world::{Blocked, limit};
use gastown_api::PolecatPhase;
use std::collections::{BTreeMap, BTreeSet};

/// Most polecats of a rig with a live pod, where the Rig does not say.
const MAX_POLECATS: usize = 8;

/// The verdicts over everybody who wants to start now.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    admitted: BTreeSet<Key>,
    waiting: BTreeMap<Key, Reason>,
}

/// What admission says to one polecat.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It may start.
    Admitted,
    /// There is no room.
    Waits(&'a Reason),
    /// It does not ask to start now.
    NotAsked,
}

impl Admission {
    /// Judges all polecats of the rigs of a census. They must be closed under [`crate::World::joined`]:
    /// then what one rig is told does not depend on which others are looked at.
    pub(crate) fn judge(census: &Census<'_>) -> Self {
        let mut room = Room::measure(census);
        let mut asking: Vec<&PolecatRow> = census.all_polecats().filter(|p| asks(census, p)).collect();
        asking.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut verdicts = Self::default();
        for row in asking {
            let key = row.meta.key.clone();
            match room.take(census, row) {
                Ok(()) => drop(verdicts.admitted.insert(key)),
                Err(because) => drop(verdicts.waiting.insert(key, because)),
            }
        }
        verdicts
    }

    /// The verdict over one polecat.
    pub(crate) fn verdict(&self, key: &Key) -> Verdict<'_> {
        match self.waiting.get(key) {
            Some(because) => Verdict::Waits(because),
            None if self.admitted.contains(key) => Verdict::Admitted,
            None => Verdict::NotAsked,
        }
    }
}

/// Priority first, then age, then name.
fn order(row: &PolecatRow) -> impl Ord + '_ {
    (
        std::cmp::Reverse(row.spec.priority.unwrap_or(0)),
        row.meta.created,
        &row.meta.key,
    )
}

/// Whether a polecat asks to start now. One whose writes are refused does not: it must not keep others out.
fn asks(census: &Census<'_>, row: &PolecatRow) -> bool {
    !matches!(census.world.blocked(&row.meta.key, census.now), Some(Blocked::Until(_)))
        && polecat::wants_attempt(census, row)
}

/// Whether a polecat has its place: reserved, being reserved, or still filled by a pod.
fn holds(census: &Census<'_>, row: &PolecatRow) -> bool {
    let reserves = |to: &Status| matches!(to, Status::Polecat(status) if status.phase == PolecatPhase::Working);
    census.world.pending_statuses(&row.meta.key).any(reserves)
        || polecat::reserved(&row.status)
        || census.is_coming(row)
        || census.pods(row).iter().any(|pod| occupies(pod, census.now))
}

/// Places taken, by rig and by convoy.
#[derive(Debug, Default)]
struct Room {
    rigs: BTreeMap<String, usize>,
    convoys: BTreeMap<Key, usize>,
    holders: BTreeSet<Key>,
    /// By rig.
    spent: BTreeMap<String, Spent>,
}

impl Room {
    fn measure(census: &Census<'_>) -> Self {
        let mut room = Self::default();
        for row in census.all_polecats() {
            let spent = room.spent.entry(row.spec.rig.clone()).or_default();
            *spent = spent.plus(Spent::by(&row.status));
        }
        for row in census.all_polecats().filter(|row| holds(census, row)) {
            room.holders.insert(row.meta.key.clone());
            room.fill(census, row);
        }
        room
    }

    fn fill<'w>(&mut self, census: &Census<'w>, row: &'w PolecatRow) {
        *self.rigs.entry(row.spec.rig.clone()).or_default() += 1;
        for convoy in census.limits(row) {
            *self.convoys.entry(convoy.meta.key.clone()).or_default() += 1;
        }
    }

    fn take<'w>(&mut self, census: &Census<'w>, row: &'w PolecatRow) -> Result<(), Reason> {
        // What holds a place already keeps it: a next attempt is no newcomer.
        if self.holders.contains(&row.meta.key) {
            return Ok(());
        }
        let name = &row.spec.rig;
        let rig = census.rig(name).map(|r| &r.spec);
        if rig.is_some_and(|r| r.paused == Some(true)) {
            return Err(Reason::new(
                "Queued",
                format!("Rig {name} is paused: set spec.paused to false to go on"),
            ));
        }
        if rig.is_some_and(|r| budget::rig_is_spent(r, self.spent.get(name).copied().unwrap_or_default())) {
            return Err(Reason::new(
                "Queued",
                format!("the budget of Rig {name} is spent: raise spec.budget to go on"),
            ));
        }
        let taken = self.rigs.get(name).copied().unwrap_or_default() + census.strays(name);
        let most = rig
            .and_then(|r| r.settings.as_ref())
            .and_then(|s| s.max_polecats)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(MAX_POLECATS);
        // Nobody has set a limit for polecats without a Rig.
        if name != STANDALONE && taken >= most {
            return Err(Reason::new(
                "Queued",
                format!("waits for a place: Rig {name} runs {most} polecats at once (settings.maxPolecats)"),
            ));
        }
        for convoy in census.limits(row) {
            let key = &convoy.meta.key;
            let taken = self.convoys.get(key).copied().unwrap_or_default();
            if let Some(most) = limit(convoy).filter(|most| taken >= *most) {
                return Err(Reason::new(
                    "Queued",
                    format!(
                        "waits for a place: Convoy {} runs {most} polecats at once (parallelism)",
                        key.name
                    ),
                ));
            }
        }
        self.fill(census, row);
        Ok(())
    }
}
