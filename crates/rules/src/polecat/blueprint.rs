//! The pod of an attempt.

use super::Case;
use crate::blueprint::{PodCommon, PolecatPod, TextMap};
use crate::key::{Key, Kind};
use crate::names;
use crate::passwd;
use crate::settings::{Settings, Target};
use gastown_api::labels;
use gastown_wire as wire;
use std::collections::BTreeMap;

/// Where a mounted task lies.
const TASK_FILE: &str = "/gastown/texts/task";

/// The ConfigMap that a task needs which is too long for the orders.
pub(super) fn texts(case: &Case<'_, '_>, settings: &Settings) -> Option<TextMap> {
    if wire::travels_inline(&settings.task) {
        return None;
    }
    let meta = &case.row.meta;
    let name = names::polecat_texts(&meta.key.name, &meta.uid.0, &settings.task);
    Some(TextMap {
        key: Key::new(Kind::ConfigMap, &meta.key.namespace, name),
        owner: (meta.key.name.clone(), meta.uid.clone()),
        texts: BTreeMap::from([("task".to_owned(), settings.task.clone())]),
    })
}

/// The whole pod of an attempt.
pub(super) fn pod(case: &Case<'_, '_>, settings: &Settings, attempt: u32) -> PolecatPod {
    let texts = texts(case, settings);
    let task = match &texts {
        Some(_) => wire::Text::File(TASK_FILE.into()),
        None => wire::Text::Inline(settings.task.clone()),
    };
    PolecatPod {
        common: common(case, settings, attempt),
        orders: orders(case, settings, attempt, task),
        container: settings.container.to_owned(),
        image: settings.image.clone(),
        env: settings.env.clone(),
        config_map: settings.config_map.clone(),
        resources: settings.resources.clone(),
        texts: texts.map(|t| t.key.name),
        // Frequent enough to tell a person, rare enough not to be felt.
        probe_seconds: if case.census.world.town.one_machine { 2 } else { 10 },
    }
}

fn common(case: &Case<'_, '_>, settings: &Settings, attempt: u32) -> PodCommon {
    let meta = &case.row.meta;
    let (labels, mut annotations) = marks(case, settings, attempt);
    annotations.extend(passwd::annotation(
        case.census.world.town.one_machine,
        settings.template.as_ref(),
    ));
    PodCommon {
        key: Key::new(
            Kind::Pod,
            &meta.key.namespace,
            names::polecat_pod(&meta.key.name, &meta.uid.0, attempt),
        ),
        owner: (Kind::Polecat, meta.key.name.clone(), meta.uid.clone()),
        labels,
        annotations,
        harness_image: case.census.world.town.harness_image.clone(),
        credentials: settings.credentials.clone(),
        deadline: Some(settings.deadline),
        template: settings.template.clone(),
        local_remote: settings.target.local_path(),
        local_content: settings.content.as_ref().and_then(Target::local_path),
    }
}

/// Labels where a value may be one; annotations say the rest, and what is not for selecting.
fn marks(
    case: &Case<'_, '_>,
    settings: &Settings,
    attempt: u32,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let row = case.row;
    let mut marks = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_VALUE.to_owned()),
        (labels::ROLE.to_owned(), "polecat".to_owned()),
        (labels::RIG.to_owned(), row.spec.rig.clone()),
        (labels::POLECAT.to_owned(), row.meta.key.name.clone()),
    ]);
    let convoy = row.meta.labels.get(labels::CONVOY).cloned();
    for (name, value) in [(labels::BEAD, row.spec.bead_id.clone()), (labels::CONVOY, convoy)] {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            marks.insert(name.to_owned(), value);
        }
    }
    let (labels, mut annotations): (BTreeMap<_, _>, BTreeMap<_, _>) = marks
        .into_iter()
        .partition(|(_, value)| labels::legal_label_value(value));
    annotations.insert(labels::RIG.to_owned(), row.spec.rig.clone());
    annotations.insert(labels::ATTEMPT.to_owned(), attempt.to_string());
    annotations.insert(labels::ROUND.to_owned(), case.round().to_string());
    annotations.insert(labels::DEFAULT_CONTAINER.to_owned(), settings.container.to_owned());
    annotations.insert(labels::SAFE_TO_EVICT.to_owned(), "false".to_owned());
    (labels, annotations)
}

fn orders(case: &Case<'_, '_>, settings: &Settings, attempt: u32, task: wire::Text) -> wire::PolecatOrders {
    let row = case.row;
    wire::PolecatOrders {
        version: wire::VERSION,
        subject: wire::Subject {
            namespace: row.meta.key.namespace.clone(),
            name: row.meta.key.name.clone(),
            uid: row.meta.uid.0.clone(),
            rig: row.spec.rig.clone(),
            rig_uid: case
                .census
                .world
                .rigs
                .get(&row.spec.rig)
                .map(|rig| rig.meta.uid.0.clone()),
            bead: row.spec.bead_id.clone(),
        },
        round: case.round(),
        attempt,
        remote: settings.target.orders(&settings.credentials),
        work_branch: settings.work_branch.clone(),
        task,
        task_of_bead: settings.task_of_bead,
        evidence: evidence(case),
        agent: settings.agent.clone(),
        paths: wire::Paths {
            workspace: "/workspace/repo".into(),
            home: "/gastown/home".into(),
            shared: "/gastown/shared".into(),
            courier: "/gastown/courier".into(),
            pod_info: "/gastown/pod".into(),
            settings: settings
                .credentials
                .claude
                .as_ref()
                .map(|_| "/gastown/claude".to_owned())
                .unwrap_or_default(),
        },
        pace: settings.pace.clone(),
        record: settings.record,
        content: settings.content.as_ref().map(|c| c.orders(&settings.credentials)),
    }
}

/// What the last round came back with.
fn evidence(case: &Case<'_, '_>) -> Option<wire::Evidence> {
    let last = case.row.status.rounds.last().filter(|_| case.round() > 1)?;
    let told = last.evidence.as_ref()?;
    Some(wire::Evidence {
        kind: match told.kind.as_str() {
            "Conflict" => wire::EvidenceKind::Conflict,
            "Asked" => wire::EvidenceKind::Asked,
            _ => wire::EvidenceKind::TestFailed,
        },
        summary: told.summary.clone(),
        paths: told.paths.clone(),
        onto: told.onto.clone(),
        commit: last.commit.clone(),
        test_command: told.test_command.clone(),
    })
}
