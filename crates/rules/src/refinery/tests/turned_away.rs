//! Who is Done, and what no queue will ever take.

use super::{Town, id};
use crate::row::PolecatRow;
use gastown_api::{self as api, PolecatPhase, conditions as kind};
use jiff::Timestamp;

/// As release 0.4.2 leaves a polecat whose pod succeeded: neither attempt nor commit, and no word of what it had seen.
fn done_by_the_predecessor(row: &mut PolecatRow) {
    let mut status = api::PolecatStatus {
        phase: PolecatPhase::Done,
        assigned_bead: row.spec.bead_id.clone(),
        pod_name: Some(format!("polecat-{}", row.meta.key.name)),
        pod_active: Some(false),
        ..api::PolecatStatus::default()
    };
    for (of, on, reason) in [
        (kind::READY, true, "PodSucceeded"),
        (kind::WORKING, false, "Completed"),
        (kind::PROGRESSING, false, "Completed"),
        (kind::AVAILABLE, true, "WorkComplete"),
        (kind::DEGRADED, false, "Healthy"),
    ] {
        kind::set(&mut status.conditions, of, on, reason, "", 1, Timestamp::UNIX_EPOCH);
    }
    row.status = status;
}

fn town(change: impl FnOnce(&mut PolecatRow)) -> Town {
    let mut town = Town::new();
    town.whole = true;
    town.good(&["nux"]);
    town.edit_polecat("nux", |row| {
        done_by_the_predecessor(row);
        change(row);
    });
    town
}

#[test]
fn what_release_0_4_2_finished_is_told_why_it_does_not_land_and_what_to_type() {
    let mut town = town(|_| ());
    town.run();
    assert_eq!(
        town.condition("nux", kind::MERGED),
        Some(("False".into(), "CommitUnknown".into()))
    );
    let status = town.polecat("nux").status.clone();
    assert_eq!(
        (status.phase, status.attempt),
        (PolecatPhase::Done, None),
        "it is not done again by itself"
    );
    assert_eq!(town.runs, 0, "nothing of it can be tested");
    let message = status.message.unwrap();
    for part in [
        "release 0.4.2",
        "merge feature/pt-nux yourself",
        "kubectl gt sling pt-nux parts --again -n gastown-system",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // Once, whoever looks again and whatever is edited.
    town.edit_polecat("nux", |row| {
        row.meta.generation += 1;
        row.spec.priority = Some(3);
    });
    town.run();
    town.restart();
    town.run();
    assert_eq!(town.heard("CommitUnknown"), [message.as_str()]);
    assert!(!town.act(), "a settled queue writes nothing");
}

#[test]
fn whoever_names_its_commit_has_it_tested_and_landed() {
    let mut town = town(|_| ());
    town.run();
    town.edit_polecat("nux", |row| {
        row.status.branch = Some("feature/pt-nux".into());
        row.status.commit = Some(id("nux-1"));
    });
    town.run();
    assert_eq!(town.runs, 1);
    assert_eq!(town.merged("nux"), Some(town.main[1].0.as_str()));
}

#[test]
fn only_what_nobody_else_speaks_of_is_told_of() {
    type Change = fn(&mut PolecatRow);
    let cases: [(&str, Change, Option<&str>); 10] = [
        ("as 0.4.2 leaves it", |_| (), Some("CommitUnknown")),
        (
            "as an older release leaves it",
            |row| row.status.conditions.retain(|c| c.type_ == kind::READY),
            Some("CommitUnknown"),
        ),
        (
            "landed by 0.4.2",
            |row| {
                kind::set(
                    &mut row.status.conditions,
                    kind::MERGED,
                    true,
                    "MergeComplete",
                    "",
                    1,
                    Timestamp::UNIX_EPOCH,
                );
            },
            Some("MergeComplete"),
        ),
        (
            "of another repository",
            |row| {
                let other = Some("https://example.com/other".into());
                row.spec.kubernetes.get_or_insert_default().git_repository = other;
            },
            Some("NotThisRepository"),
        ),
        ("had an attempt of ours", |row| row.status.attempt = Some(1), None),
        (
            "asked for another round",
            |row| {
                row.spec.another_round = Some(api::AnotherRound {
                    id: "again".into(),
                    message: None,
                });
            },
            None,
        ),
        (
            "is being deleted",
            |row| row.meta.deleting = Some(Timestamp::UNIX_EPOCH),
            None,
        ),
        (
            "not wanted any more",
            |row| row.spec.desired_state = api::DesiredState::Terminated,
            None,
        ),
        ("left Stuck", |row| row.status.phase = PolecatPhase::Stuck, None),
        ("left Working", |row| row.status.phase = PolecatPhase::Working, None),
    ];
    for (case, change, expected) in cases {
        let mut town = town(change);
        town.rest();
        let merged = town.condition("nux", kind::MERGED).map(|(_, reason)| reason);
        assert_eq!(merged.as_deref(), expected, "{case}");
        let told = town.heard("CommitUnknown").len() + town.heard("NotThisRepository").len();
        let is_ours = expected.is_some_and(|reason| reason != "MergeComplete");
        assert_eq!(told, usize::from(is_ours), "{case}");
    }
}

#[test]
fn a_queue_that_is_closed_tells_it_as_well() {
    let mut town = town(|_| ());
    town.edit_rig(|rig| rig.spec.test_command = None);
    town.rest();
    assert_eq!(town.heard("CommitUnknown").len(), 1);
}

#[test]
fn what_is_to_be_typed_is_words_of_a_shell() {
    for (bead, expected) in [
        (Some("pt-1"), "kubectl gt sling pt-1 parts --again -n gastown-system"),
        (Some("pt 1; true"), "kubectl gt sling parts -n gastown-system -m \"…\""),
        (None, "kubectl gt sling parts -n gastown-system -m \"…\""),
    ] {
        let mut town = town(|row| row.spec.bead_id = bead.map(str::to_owned));
        town.rest();
        let message = town.polecat("nux").status.message.clone().unwrap();
        assert!(message.ends_with(expected), "{bead:?}: {message}");
    }
}
