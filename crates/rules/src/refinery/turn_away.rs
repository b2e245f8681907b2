//! Finished work that no queue of its rig will ever take by itself is told so, and what to do about it.

use super::conditions;
use super::lane::Lane;
use super::queue;
use super::status::warned;
use crate::draft::Draft;
use crate::key::RigKey;
use crate::polecat::wished;
use crate::reason::Reason;
use crate::row::PolecatRow;
use crate::settings;
use crate::world::World;
use gastown_api::{PolecatPhase, conditions as kind, labels};
use jiff::Timestamp;

/// Tells each of them once: the event comes with the words.
pub(super) fn tell(world: &World, rig: &RigKey, lanes: &[Lane<'_>], now: Timestamp, out: &mut Draft<'_>) {
    for polecat in world.polecats_of(rig) {
        let Some(why) = misfit(polecat, lanes) else { continue };
        let mut to = polecat.status.clone();
        let known = kind::get(&to.conditions, kind::MERGED).is_some_and(|c| c.message == why.message);
        conditions::set(
            &mut to.conditions,
            kind::MERGED,
            false,
            &why,
            polecat.meta.generation,
            now,
        );
        if to.attempt.is_none() {
            // Release 0.4.2 had no message, and nobody else of ours has a word for what it left Done.
            to.message = Some(why.message.clone());
        }
        let news = (!known).then(|| warned(why.code, why.message.clone()));
        out.publish_polecat(polecat, to, why, news.into_iter().collect());
    }
}

/// Why none of these queues takes it; none: one does, or there is nothing to take.
fn misfit(polecat: &PolecatRow, lanes: &[Lane<'_>]) -> Option<Reason> {
    let lane = lanes.first()?;
    let unknown = is_without_a_commit(polecat);
    if !unknown && !queue::is_ready(polecat) {
        return None;
    }
    if !lanes.iter().any(|l| l.serves(polecat)) {
        return Some(not_this_repository(polecat, lane));
    }
    unknown.then(|| commit_unknown(polecat, lane))
}

/// Done by release 0.4.2, which wrote down no commit. Whatever is Done by us had an attempt and has one; how our attempts
/// end without (nothing changed, files left uncommitted) is Stuck, and says so itself.
fn is_without_a_commit(polecat: &PolecatRow) -> bool {
    let status = &polecat.status;
    polecat.meta.deleting.is_none()
        && status.phase == PolecatPhase::Done
        && status.attempt.is_none()
        && status.commit.is_none()
        && !conditions::is_true(&status.conditions, kind::MERGED)
        && wished(polecat.spec.another_round.as_ref(), status).is_none()
}

fn not_this_repository(polecat: &PolecatRow, lane: &Lane<'_>) -> Reason {
    let own = settings::target(polecat, Some(lane.rig));
    let (repository, branch) = own.map_or_else(Default::default, |t| (t.repository, t.branch));
    let rig = &lane.rig.meta.key.name;
    Reason::new(
        "NotThisRepository",
        format!(
            "its work is for {branch} of {repository}, and the queue of Rig {rig} lands on {} of {}: merge it \
             yourself, or name that repository and branch in a Rig",
            lane.target.branch, lane.target.repository
        ),
    )
}

fn commit_unknown(polecat: &PolecatRow, lane: &Lane<'_>) -> Reason {
    let (namespace, rig) = (&polecat.meta.key.namespace, &lane.rig.meta.key.name);
    let branch = settings::work_branch(polecat, &lane.target).unwrap_or_else(|_| "its branch".to_owned());
    // A new polecat, for the branch that is there is not this one's by any record. What is pasted into a shell is a word.
    let bead = polecat.spec.bead_id.as_deref();
    let again = match bead.filter(|bead| !bead.is_empty() && labels::legal_label_value(bead)) {
        Some(bead) => format!("kubectl gt sling {bead} {rig} --again -n {namespace}"),
        None => format!("kubectl gt sling {rig} -n {namespace} -m \"…\""),
    };
    Reason::new(
        "CommitUnknown",
        format!(
            "finished by release 0.4.2, which wrote down no commit that could be tested and landed: merge {branch} \
             yourself, or have it done anew: {again}"
        ),
    )
}
