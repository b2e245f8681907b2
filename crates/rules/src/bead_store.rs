//! One bead store: says honestly that it is not read yet.

use crate::census::Census;
use crate::draft::Draft;
use crate::reason::Reason;
use crate::row::BeadStoreRow;
use gastown_api::BeadStorePhase;
use gastown_api::conditions::{self, FIELDS_HONOURED, READY};

/// Decides one bead store.
pub(crate) fn decide(census: &Census<'_>, row: &BeadStoreRow, out: &mut Draft<'_>) {
    if row.meta.deleting.is_some() {
        return;
    }
    let rig = &row.spec.rig_ref;
    let because = if census.rig(rig).is_none() {
        Reason::new(
            "RigNotFound",
            format!("there is no Rig {rig:?}: create it or correct spec.rigRef"),
        )
    } else {
        Reason::new(
            "NotYet",
            "issues are not read yet: give polecats their task with spec.task.description",
        )
    };
    let mut to = row.status.clone();
    to.phase = if because.code == "RigNotFound" {
        BeadStorePhase::Error
    } else {
        BeadStorePhase::Pending
    };
    to.message = Some(because.message.clone());
    to.observed_generation = Some(row.meta.generation);
    let generation = row.meta.generation;
    conditions::set(
        &mut to.conditions,
        READY,
        false,
        because.code,
        &because.message,
        generation,
        census.now,
    );
    let message = "accepted and not served yet: prefix, gitSecretRef, syncInterval";
    conditions::set(
        &mut to.conditions,
        FIELDS_HONOURED,
        false,
        "NotYet",
        message,
        generation,
        census.now,
    );
    out.publish_bead_store(row, to, because, Vec::new());
}
