//! polecat list.

use crate::globals::Scope;
use crate::held::Held;
use crate::output::{age, or_dash, print_list};
use crate::session::Session;
use crate::{Failure, Table};
use gastown_api::Polecat;
use jiff::Timestamp;
use kube::ResourceExt;

const COLUMNS: [(&str, bool); 13] = [
    ("NAME", false),
    ("RIG", false),
    ("BEAD", false),
    ("PHASE", false),
    ("POD", true),
    ("AGENT", true),
    ("MODEL", true),
    ("ROUND", true),
    ("ATTEMPT", true),
    ("BRANCH", true),
    ("COMMIT", true),
    ("MESSAGE", false),
    ("AGE", false),
];

pub(super) async fn run(rig: Option<String>, scope: Scope, session: &Session<'_>) -> Result<(), Failure> {
    let all = scope.all_namespaces;
    let rig = rig.map(|r| session.access.rig(&r)).transpose()?;
    let mut polecats = session.polecats(all).list(None).await?;
    polecats.retain(|p| rig.as_ref().is_none_or(|r| *r == p.object.spec.rig));
    let now = Timestamp::now();
    let mut columns = COLUMNS.to_vec();
    if all {
        columns.insert(0, ("NAMESPACE", false));
    }
    let rows = polecats.iter().map(|p| row(&p.object, all, now)).collect();
    let none = match (&rig, all) {
        (Some(rig), _) => format!(
            "no polecats of rig {rig}; make one: {} sling BEAD {rig}",
            session.program()
        ),
        (None, true) => format!("no polecats; make one: {} sling BEAD RIG", session.program()),
        (None, false) => format!(
            "no polecats in namespace {}; make one: {} sling BEAD RIG",
            session.namespace(),
            session.program()
        ),
    };
    let name = |p: &Held<Polecat>| format!("polecat/{}", p.object.name_any());
    print_list(session.output, &polecats, name, &Table { columns, rows }, &none)
}

fn row(polecat: &Polecat, all: bool, now: Timestamp) -> Vec<String> {
    let s = polecat.status.clone().unwrap_or_default();
    let commit = s.commit.map(|c| c.chars().take(10).collect::<String>());
    let mut row = vec![
        polecat.name_any(),
        polecat.spec.rig.clone(),
        or_dash(polecat.spec.bead_id.as_ref()),
        format!("{:?}", s.phase),
        or_dash(s.pod_name.as_ref()),
        or_dash(s.agent.as_ref()),
        or_dash(s.agent_model.as_ref()),
        s.round.unwrap_or(1).to_string(),
        s.attempt.unwrap_or(0).to_string(),
        or_dash(s.branch.as_ref()),
        or_dash(commit.as_ref()),
        or_dash(s.message.as_ref()),
        age(polecat.metadata.creation_timestamp.as_ref(), now),
    ];
    if all {
        row.insert(0, polecat.namespace().unwrap_or_default());
    }
    row
}
