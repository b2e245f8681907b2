//! Test and land pods of a batch.

use super::batch::{BASIS, BATCH, LAND_DEADLINE, LOST, RUN};
use super::lane::Lane;
use super::{queue, sweep, verdict};
use crate::blueprint::{Blueprint, LandPod, PodCommon, TestPod};
use crate::key::{Key, Kind};
use crate::names;
use crate::passwd;
use crate::pods;
use crate::row::PolecatRow;
use crate::world::World;
use gastown_api::{QueueMember, labels};
use gastown_wire::{self as wire, LandOrders, Member, Pace, Paths, TestOrders};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Longest title of a squash or merge commit. Characters.
const TITLE_LIMIT: usize = 100;

/// A run of a prefix.
pub(super) struct Run {
    pub(super) batch: i64,
    pub(super) run: u32,
    pub(super) lost: u32,
    pub(super) base: Option<String>,
    pub(super) members: Vec<Member>,
}

/// The pod that tests a prefix.
pub(super) fn test_pod(world: &World, lane: &Lane<'_>, of: Run) -> Blueprint {
    let (label, prefix) = (lane.label(), of.members.len());
    let name = format!("test-{label}-{}-{prefix}-{}", of.batch, of.run);
    let rig = lane.rig.meta.key.name.clone();
    let orders = TestOrders {
        version: wire::VERSION,
        candidate_ref: format!("{}{}-{prefix}", wire::candidates_prefix(&rig), of.batch),
        rig,
        remote: lane.target.orders(&lane.credentials),
        base: of.base,
        members: of.members,
        merge_style: lane.style,
        paths: paths(),
        pace: Pace::default(),
    };
    // Plain data with string keys always serialises.
    let mut common = common(
        world,
        lane,
        &name,
        "test",
        serde_json::to_string(&orders).unwrap_or_default(),
    );
    common.deadline = Some(verdict::test_deadline(lane.timeout).as_secs());
    common.annotations.extend([
        (BATCH.to_owned(), of.batch.to_string()),
        (RUN.to_owned(), of.run.to_string()),
        (LOST.to_owned(), of.lost.to_string()),
        (BASIS.to_owned(), lane.basis()),
        (labels::DEFAULT_CONTAINER.to_owned(), verdict::TEST.to_owned()),
    ]);
    Blueprint::TestPod(TestPod {
        common,
        orders,
        image: lane.image.clone(),
        command: lane.command.clone(),
        resources: lane.resources.clone(),
    })
}

/// The pod that pushes what was tested. `what` says base, candidate, tree, ref and members.
pub(super) fn land_pod(world: &World, lane: &Lane<'_>, run: u32, what: LandOrders, now: Timestamp) -> Blueprint {
    let batch = lane.refinery.status.batch;
    let name = format!("land-{}-{batch}-{run}", lane.label());
    let orders = LandOrders {
        version: wire::VERSION,
        rig: lane.rig.meta.key.name.clone(),
        remote: lane.target.orders(&lane.credentials),
        batch: u64::try_from(batch).unwrap_or_default(),
        paths: paths(),
        pace: Pace::default(),
        sweep: sweep::orders(world, lane, now),
        ..what
    };
    // What we read back is what landed. Who lives would only make the pod twice as large.
    let told = LandOrders {
        sweep: None,
        ..orders.clone()
    };
    let mut common = common(
        world,
        lane,
        &name,
        "land",
        serde_json::to_string(&told).unwrap_or_default(),
    );
    common.deadline = Some(LAND_DEADLINE.as_secs());
    // Only who sweeps goes there.
    let content = sweep::content(world, lane).filter(|_| orders.sweep.is_some());
    common.local_content = content.and_then(|c| c.local_path());
    common.annotations.extend([
        (BATCH.to_owned(), batch.to_string()),
        (RUN.to_owned(), run.to_string()),
        (labels::DEFAULT_CONTAINER.to_owned(), verdict::LAND.to_owned()),
    ]);
    Blueprint::LandPod(LandPod { common, orders })
}

/// A member as candidates are told of it.
pub(super) fn member(pinned: &QueueMember, polecat: Option<&PolecatRow>) -> Member {
    Member {
        polecat: pinned.polecat.clone(),
        uid: pinned.uid.clone(),
        commit: pinned.commit.clone(),
        // Where nobody knows it any more, the commit is still reachable from the polecat's record.
        branch: polecat
            .and_then(|p| p.status.branch.clone())
            .unwrap_or_else(|| names::branch(&format!("polecat/{}", queue::name(pinned)))),
        title: polecat.map_or_else(|| queue::name(pinned).to_owned(), title),
    }
}

/// One line: the bead and the task's first words.
fn title(polecat: &PolecatRow) -> String {
    let spec = &polecat.spec;
    let task = spec
        .task
        .as_ref()
        .and_then(|t| t.description.as_ref())
        .or(spec.task_description.as_ref());
    let line = task
        .and_then(|t| t.lines().map(str::trim).find(|l| !l.is_empty()))
        .unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(TITLE_LIMIT).collect();
    match (&spec.bead_id, line.is_empty()) {
        (Some(bead), false) => format!("{bead}: {line}"),
        (Some(bead), true) => bead.clone(),
        (None, false) => line,
        (None, true) => polecat.meta.key.name.clone(),
    }
}

/// `orders` are the inner ones: the pod's role says which kind they are.
fn common(world: &World, lane: &Lane<'_>, name: &str, role: &str, orders: String) -> PodCommon {
    let (owner, rig) = (&lane.refinery.meta, &lane.rig.meta.key.name);
    let template = lane.rig.spec.pod_template.clone();
    let mut annotations = BTreeMap::from([
        (labels::RIG.to_owned(), rig.clone()),
        (labels::ORDERS.to_owned(), orders),
        (labels::SAFE_TO_EVICT.to_owned(), "false".to_owned()),
    ]);
    annotations.extend(passwd::annotation(world.town.one_machine, template.as_ref()));
    PodCommon {
        key: Key::new(
            Kind::Pod,
            &owner.key.namespace,
            names::object_name(name, names::NAME_LIMIT),
        ),
        owner: (Kind::Refinery, owner.key.name.clone(), owner.uid.clone()),
        labels: pods::labels(role, rig),
        annotations,
        harness_image: world.town.harness_image.clone(),
        credentials: lane.credentials.clone(),
        deadline: None,
        template,
        local_remote: lane.target.local_path().filter(|_| world.town.one_machine),
        local_content: None,
    }
}

fn paths() -> Paths {
    Paths {
        workspace: "/workspace/repo".to_owned(),
        home: "/gastown/home".to_owned(),
        shared: "/gastown/shared".to_owned(),
        courier: "/gastown/courier".to_owned(),
        pod_info: "/gastown/pod".to_owned(),
        settings: String::new(),
    }
}
