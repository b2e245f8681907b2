//! One rig: its Witness and Refinery, and its sums.

use crate::blueprint::Blueprint;
use crate::census::Census;
use crate::draft::Draft;
use crate::key::{Key, Kind};
use crate::names;
use crate::plan::{Action, Notice};
use crate::polecat;
use crate::reach;
use crate::reason::Reason;
use crate::refinery;
use crate::row::{PolecatRow, RigRow};
use crate::settings::budget::{self, Spent};
use gastown_api::conditions::{self, FIELDS_HONOURED, PROGRESSING, READY};
use gastown_api::{self as api, ConvoyPhase, PolecatPhase, RigPhase, RigStatus};
use jiff::SignedDuration;

/// Sums are written at most this often.
const PACE: SignedDuration = SignedDuration::from_secs(1);

/// Decides one rig.
pub(crate) fn decide(census: &Census<'_>, row: &RigRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        // Owner collection ends its children; its polecats are nobody's to delete.
        return;
    }
    let children = Children::of(census, row);
    children.make(row, out);
    if is_held_elsewhere(census, row) {
        // Two that sum what they see of one Rig would overwrite each other for ever (invariant 7).
        return;
    }
    let to = sum(census, row, &children);
    if to == row.status || !out.paced(&row.meta.key, PACE) {
        return;
    }
    let because = Reason::new("Summed", to.message.clone().unwrap_or_default());
    let degraded = to.phase == RigPhase::Degraded && row.status.phase != RigPhase::Degraded;
    let notice = Notice {
        warning: true,
        because: because.clone(),
    };
    out.publish_rig(row, to, because, degraded.then_some(notice).into_iter().collect());
}

/// Whether the status is of an operator of ours in another namespace. Release 0.4.2 named a namespace there, too, and never
/// the generation that it had seen: what it left is nobody's.
fn is_held_elsewhere(census: &Census<'_>, row: &RigRow) -> bool {
    let home = row.status.child_namespace.as_deref().unwrap_or_default();
    row.status.observed_generation.is_some() && !home.is_empty() && home != census.world.town.namespace
}

/// Witness and Refinery, in the operator's namespace.
struct Children {
    witness: Key,
    refinery: Key,
    witness_is_there: bool,
    refinery_is_there: bool,
    refused: Option<String>,
}

impl Children {
    fn of(census: &Census<'_>, row: &RigRow) -> Self {
        let world = census.world;
        let key = |kind, suffix: &str| {
            let name = names::object_name(&format!("{}-{suffix}", row.meta.key.name), 253);
            Key::new(kind, &world.town.namespace, name)
        };
        let (witness, refinery) = (key(Kind::Witness, "witness"), key(Kind::Refinery, "refinery"));
        let witness_is_there = world.witnesses.contains_key(&witness) || world.malformed.contains_key(&witness);
        let refinery_is_there = world.refineries.contains_key(&refinery) || world.malformed.contains_key(&refinery);
        // What is there was created: another refusal is of a write to its status.
        let refusal = |key, there: bool| world.refusal(key).filter(|_| !there).and_then(|r| r.why.clone());
        Self {
            refused: refusal(&witness, witness_is_there).or_else(|| refusal(&refinery, refinery_is_there)),
            witness_is_there,
            refinery_is_there,
            witness,
            refinery,
        }
    }

    /// Makes what is missing: also what somebody deleted.
    fn make(&self, row: &RigRow, out: &mut Draft<'_>) {
        let owner = (row.meta.key.name.clone(), row.meta.uid.clone());
        let rig_ref = row.meta.key.name.clone();
        let because = Reason::new("ChildMissing", format!("Rig {rig_ref} has a Witness and a Refinery"));
        if !self.witness_is_there {
            let spec = api::WitnessSpec {
                rig_ref: rig_ref.clone(),
                ..api::WitnessSpec::default()
            };
            let blueprint = Blueprint::Witness {
                key: self.witness.clone(),
                owner: owner.clone(),
                spec,
            };
            out.push(Action::Create {
                blueprint: Box::new(blueprint),
                because: because.clone(),
            });
        }
        if !self.refinery_is_there {
            let spec = api::RefinerySpec {
                rig_ref,
                ..api::RefinerySpec::default()
            };
            let blueprint = Blueprint::Refinery {
                key: self.refinery.clone(),
                owner,
                spec,
            };
            out.push(Action::Create {
                blueprint: Box::new(blueprint),
                because,
            });
        }
    }
}

fn sum(census: &Census<'_>, row: &RigRow, children: &Children) -> RigStatus {
    let name = &row.meta.key.name;
    let mut to = row.status.clone();
    (to.polecat_count, to.merged) = (0, 0);
    (to.working, to.queued, to.done, to.stuck) = (0, 0, 0, 0);
    let mut spent = Spent::default();
    for polecat in census.polecats(name) {
        spent = spent.plus(Spent::by(&polecat.status));
        let landed = polecat::landed(&polecat.status);
        to.polecat_count += 1;
        to.merged += i32::from(landed);
        match polecat.status.phase {
            PolecatPhase::Working => to.working += 1,
            PolecatPhase::Stuck => to.stuck += 1,
            PolecatPhase::Done if !landed => to.done += 1,
            PolecatPhase::Idle if is_queued(polecat) => to.queued += 1,
            PolecatPhase::Idle | PolecatPhase::Done | PolecatPhase::Terminated => {}
        }
    }
    (to.tokens, to.cost_usd) = spent.shown();
    let convoys = census
        .convoys_of(name)
        .filter(|c| c.status.phase == ConvoyPhase::InProgress)
        .count();
    to.active_convoys = i32::try_from(convoys).unwrap_or(i32::MAX);
    to.witness_created = children.witness_is_there;
    to.refinery_created = children.refinery_is_there;
    to.child_namespace = Some(census.world.town.namespace.clone());
    to.observed_generation = Some(row.meta.generation);
    let (phase, because) = judge(census, row, children, &to);
    to.phase = phase;
    to.message = Some(because.message.clone());
    let ready = phase == RigPhase::Ready;
    let mut set = |kind: &str, on: bool, code: &str, message: &str| {
        conditions::set(
            &mut to.conditions,
            kind,
            on,
            code,
            message,
            row.meta.generation,
            census.now,
        );
    };
    set(READY, ready, because.code, &because.message);
    let fields = not_served(&row.spec);
    if fields.is_empty() {
        to.conditions.retain(|c| c.type_ != FIELDS_HONOURED);
    } else {
        set(
            FIELDS_HONOURED,
            false,
            "NotYet",
            &format!("accepted and not served yet: {}", fields.join(", ")),
        );
    }
    to
}

fn is_queued(polecat: &PolecatRow) -> bool {
    conditions::get(&polecat.status.conditions, PROGRESSING).is_some_and(|c| c.reason == "Queued")
}

fn judge(census: &Census<'_>, row: &RigRow, children: &Children, to: &RigStatus) -> (RigPhase, Reason) {
    let name = &row.meta.key.name;
    if let Some(why) = &children.refused {
        let message = format!("Witness or Refinery of {name} cannot be created: {why}");
        return (RigPhase::Degraded, Reason::new("ChildCreationFailed", message));
    }
    if row.spec.git_url.is_empty() {
        let message = "no repository is named: set spec.gitURL";
        return (RigPhase::Degraded, Reason::new("MissingRepository", message));
    }
    if !children.witness_is_there || !children.refinery_is_there {
        return (
            RigPhase::Initializing,
            Reason::new("Initializing", "its Witness and Refinery are being made"),
        );
    }
    if row.spec.paused == Some(true) {
        return (
            RigPhase::Ready,
            Reason::new("Paused", "dispatches and lands nothing new: spec.paused"),
        );
    }
    let spent = Spent::of_rig(to);
    if budget::rig_is_spent(&row.spec, spent) {
        let message = "its budget is spent, nothing new starts: raise spec.budget to go on";
        return (RigPhase::Ready, Reason::new("BudgetSpent", message));
    }
    if let Some(why) = refinery::closed(census.world, name).filter(|why| why.code != "Paused") {
        return (RigPhase::Degraded, why);
    }
    if let Some(why) = reach::trouble(census, row) {
        return (RigPhase::Degraded, why);
    }
    if to.stuck > 0 {
        let message = format!("{} stuck: kubectl get polecats -A shows why", to.stuck);
        return (RigPhase::Ready, Reason::new("Ready", message));
    }
    (RigPhase::Ready, Reason::new("Ready", "takes work"))
}

fn not_served(spec: &api::RigSpec) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if spec.merge_strategy == Some(api::MergeStrategy::PullRequest) {
        fields.push("mergeStrategy pullRequest");
    }
    fields
}
