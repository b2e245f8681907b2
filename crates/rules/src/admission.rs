//! Who may start: `maxPolecats` of the rig, `parallelism` of every convoy that counts, by priority and age.

use crate::census::Census;
use crate::key::{Key, Uid};
use crate::plan::Status;
use crate::polecat::{self, outcome::occupies};
use crate::reason::Reason;
use crate::row::PolecatRow;
use crate::settings::budget::{self, Spent};
use crate::world::{Blocked, limit};
use gastown_api::PolecatPhase;
use std::collections::{BTreeMap, HashMap};

/// Most polecats of a rig with a live pod, where the Rig does not say.
const MAX_POLECATS: usize = 8;

/// The verdicts over everybody who wants to start now.
#[derive(Debug)]
pub(crate) struct Admission<'w> {
    asked: HashMap<&'w Uid, Result<(), Full<'w>>>,
}

/// What admission says to one polecat.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It may start.
    Admitted,
    /// There is no room.
    Waits(&'a Full<'a>),
    /// It does not ask to start now, or something is wrong with what it asks for.
    NotAsked,
}

/// Where there is no room. A crowd may wait, so the words are made where they are published.
#[derive(Debug)]
pub(crate) enum Full<'w> {
    Paused { rig: &'w str },
    Spent { rig: &'w str },
    Rig { rig: &'w str, most: usize },
    Convoy { convoy: &'w str, most: usize },
}

impl Full<'_> {
    /// In words.
    pub(crate) fn reason(&self) -> Reason {
        let message = match self {
            Self::Paused { rig } => format!("Rig {rig} is paused: set spec.paused to false to go on"),
            Self::Spent { rig } => format!("the budget of Rig {rig} is spent: raise spec.budget to go on"),
            Self::Rig { rig, most } => {
                format!("waits for a place: Rig {rig} runs {most} polecats at once (settings.maxPolecats)")
            }
            Self::Convoy { convoy, most } => {
                format!("waits for a place: Convoy {convoy} runs {most} polecats at once (parallelism)")
            }
        };
        Reason::new("Queued", message)
    }
}

impl<'w> Admission<'w> {
    /// Judges all polecats of the rigs of a census. They must be closed under [`crate::World::joined`]:
    /// then what one rig is told does not depend on which others are looked at.
    pub(crate) fn judge(census: &Census<'w>) -> Self {
        let mut room = Room::measure(census);
        let polecats = census.rigs().flat_map(|rig| census.polecats(rig));
        let mut asking: Vec<&PolecatRow> = polecats.filter(|p| asks(census, p)).collect();
        asking.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut asked = HashMap::with_capacity(asking.len());
        for row in asking {
            // What holds a place already keeps it: a next attempt is no newcomer.
            let holds = holds(census, row);
            let verdict = if holds { Ok(()) } else { room.find(census, row) };
            if verdict.is_ok() {
                if !polecat::can_start(census, row) {
                    continue;
                }
                if !holds {
                    room.fill(census, row);
                }
            }
            asked.insert(&row.meta.uid, verdict);
        }
        Self { asked }
    }

    /// The verdict over one polecat.
    pub(crate) fn verdict(&self, polecat: &Uid) -> Verdict<'_> {
        match self.asked.get(polecat) {
            Some(Ok(())) => Verdict::Admitted,
            Some(Err(full)) => Verdict::Waits(full),
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
fn asks<'w>(census: &Census<'w>, row: &'w PolecatRow) -> bool {
    polecat::wants_attempt(census, row)
        && !matches!(census.world.blocked(&row.meta.key, census.now), Some(Blocked::Until(_)))
}

/// Whether a polecat has its place: reserved, being reserved, or still filled by a pod.
fn holds(census: &Census<'_>, row: &PolecatRow) -> bool {
    let reserves = |to: &Status| matches!(to, Status::Polecat(status) if status.phase == PolecatPhase::Working);
    polecat::reserved(&row.status)
        || census.is_coming(row)
        || census.pods(row).iter().any(|pod| occupies(pod, census.now))
        || census.world.pending_statuses(&row.meta.key).any(reserves)
}

/// Places taken, by rig and by convoy.
#[derive(Debug, Default)]
struct Room<'w> {
    rigs: BTreeMap<&'w str, usize>,
    convoys: BTreeMap<&'w Key, usize>,
    /// By rig.
    spent: BTreeMap<&'w str, Spent>,
}

impl<'w> Room<'w> {
    fn measure(census: &Census<'w>) -> Self {
        let mut room = Self::default();
        for rig in census.rigs() {
            let mut spent = Spent::default();
            for row in census.polecats(rig) {
                spent = spent.plus(Spent::by(&row.status));
                if holds(census, row) {
                    room.fill(census, row);
                }
            }
            room.spent.insert(rig, spent);
        }
        room
    }

    fn fill(&mut self, census: &Census<'w>, row: &'w PolecatRow) {
        *self.rigs.entry(&row.spec.rig).or_default() += 1;
        for convoy in census.limits(row) {
            *self.convoys.entry(&convoy.meta.key).or_default() += 1;
        }
    }

    /// Looks for a place.
    fn find(&self, census: &Census<'w>, row: &'w PolecatRow) -> Result<(), Full<'w>> {
        let name = row.spec.rig.as_str();
        // Nobody has set a limit for polecats without a Rig.
        if let Some(rig) = census.rig(name).map(|r| &r.spec) {
            if rig.paused == Some(true) {
                return Err(Full::Paused { rig: name });
            }
            if budget::rig_is_spent(rig, self.spent.get(name).copied().unwrap_or_default()) {
                return Err(Full::Spent { rig: name });
            }
            let taken = self.rigs.get(name).copied().unwrap_or_default() + census.strays(name);
            let most = rig.settings.as_ref().and_then(|s| s.max_polecats);
            let most = most.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_POLECATS);
            if taken >= most {
                return Err(Full::Rig { rig: name, most });
            }
        }
        for convoy in census.limits(row) {
            let taken = self.convoys.get(&convoy.meta.key).copied().unwrap_or_default();
            if let Some(most) = limit(convoy).filter(|most| taken >= *most) {
                let convoy = &convoy.meta.key.name;
                return Err(Full::Convoy { convoy, most });
            }
        }
        Ok(())
    }
}
