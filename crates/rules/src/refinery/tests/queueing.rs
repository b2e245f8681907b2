//! Order, batches, landing, hand-back.

use super::{Change, Town, id};
use crate::key::{Key, Kind};
use crate::row::PodRole;
use gastown_api::{self as api, conditions as kind};

fn bad() -> Change {
    Change {
        bad: true,
        ..Change::default()
    }
}

#[test]
fn an_idle_queue_tests_the_first_ready_change_at_once_and_lands_it() {
    let mut town = Town::new();
    town.good(&["nux"]);
    town.run();
    assert_eq!(town.main.len(), 2);
    assert_eq!(town.merged("nux"), Some(town.main[1].0.as_str()));
    assert_eq!(town.queue().status.landings, 1);
    assert_eq!(town.queue().status.head.as_deref(), Some(town.main[1].0.as_str()));
    assert!(town.world.pods().is_empty(), "the batch's pods go once everybody knows");
    assert!(!town.act(), "a settled queue writes nothing");
}

#[test]
fn a_good_batch_costs_one_run_and_few_writes() {
    let mut town = Town::new();
    town.rest();
    town.writes.clear();
    town.good(&["a", "b", "c", "d", "e"]);
    town.run();
    assert_eq!(town.runs, 1);
    assert_eq!(town.tested, [["a", "b", "c", "d", "e"]]);
    assert_eq!(town.writes["Polecat"], 5, "one Merged a member");
    assert_eq!(town.writes["Refinery"], 2, "begun and landed");
    assert_eq!(town.writes["Pod"], 4, "a test and a land pod, made and taken away");
    let landed = town.heard("Landed");
    let (commit, _) = town.main.last().unwrap();
    assert!(
        landed[0].starts_with("a, b, c, d and e landed on main as"),
        "{landed:?}"
    );
    assert!(landed[0].contains(&commit[..10]), "{landed:?}");
    assert_eq!(
        town.heard("BatchTesting"),
        ["batch 1: testing a, b, c, d and e as one tree on main"]
    );
}

#[test]
fn each_member_knows_its_own_commit_on_the_branch() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    town.run();
    let (a, b) = (town.merged("a").unwrap(), town.merged("b").unwrap());
    assert_eq!(b, town.main[1].0, "the last one's is the tip");
    assert_ne!(a, b);
}

#[test]
fn a_bad_change_is_found_confirmed_and_sent_back_while_the_others_land() {
    let mut town = Town::new();
    town.good(&["furiosa", "nux", "slit"]);
    town.ready("rictus", bad());
    town.good(&["toast"]);
    town.run();
    for name in ["furiosa", "nux", "slit", "toast"] {
        assert!(town.merged(name).is_some(), "{name}");
    }
    let rictus = &town.polecat("rictus").status;
    assert_eq!((rictus.phase, rictus.round), (api::PolecatPhase::Idle, Some(2)));
    assert_eq!(
        town.condition("rictus", kind::AVAILABLE),
        Some(("False".into(), "HandedBack".into()))
    );
    assert_eq!(
        town.condition("rictus", kind::MERGED),
        Some(("False".into(), "TestFailed".into()))
    );
    let round = &rictus.rounds[0];
    assert_eq!(
        (round.round, round.outcome.as_str(), round.reason.as_str()),
        (1, "HandedBack", "TestFailed")
    );
    assert_eq!(round.commit, Some(id("rictus-1")));
    let evidence = round.evidence.as_ref().unwrap();
    assert_eq!(evidence.kind, "TestFailed");
    assert_eq!(evidence.summary, "exit code 1\nnot ok 3 - lid fits");
    assert_eq!(evidence.test_command.as_deref(), Some("make test"));
    assert_eq!(town.heard("BatchRed").len(), 1, "{:?}", town.told);
    assert!(
        town.heard("CulpritFound")[0].starts_with("rictus is the first"),
        "{:?}",
        town.told
    );
    assert_eq!(
        town.tested.iter().filter(|t| **t == ["rictus"]).count(),
        1,
        "confirmed once, alone"
    );
    let sums = town.queue().status.merges_summary.clone().unwrap();
    assert_eq!((sums.total, sums.succeeded, sums.failed, sums.pending), (5, 4, 1, 0));
    assert!(
        town.main.iter().all(|(_, tree)| town.passes(tree)),
        "the branch was never red"
    );
}

#[test]
fn a_mended_change_lands_in_its_next_round() {
    let mut town = Town::new();
    town.ready("rictus", bad());
    town.run();
    assert_eq!(town.runs, 2, "a lone red change is confirmed once");
    town.ready("rictus", Change::default());
    town.run();
    let rictus = &town.polecat("rictus").status;
    assert_eq!(town.merged("rictus"), Some(town.main[1].0.as_str()));
    assert_eq!(
        rictus.rounds.iter().map(|r| r.outcome.as_str()).collect::<Vec<_>>(),
        ["HandedBack", "Merged"]
    );
}

#[test]
fn rounds_are_bounded() {
    let mut town = Town::new();
    for _ in 0..5 {
        town.ready("rictus", bad());
        town.run();
    }
    let rictus = &town.polecat("rictus").status;
    assert_eq!((rictus.phase, rictus.round), (api::PolecatPhase::Stuck, Some(6)));
    assert_eq!(
        town.condition("rictus", kind::DEGRADED),
        Some(("True".into(), "RoundsExhausted".into()))
    );
    assert!(!town.act());
}

#[test]
fn of_two_changes_on_the_same_lines_the_later_goes_back_with_the_conflict() {
    let mut town = Town::new();
    let dag = town.ready("dag", Change::default());
    town.ready(
        "cheedo",
        Change {
            conflicts: [dag].into(),
            ..Change::default()
        },
    );
    town.good(&["toast"]);
    town.run();
    assert_eq!(town.runs, 1, "the conflict costs no run");
    assert!(town.merged("dag").is_some() && town.merged("toast").is_some());
    assert_eq!(
        town.condition("cheedo", kind::MERGED),
        Some(("False".into(), "Conflict".into()))
    );
    let evidence = town.polecat("cheedo").status.rounds[0].evidence.clone().unwrap();
    assert_eq!(evidence.paths, ["shelf.sh"]);
    assert_eq!(evidence.against, [format!("{}/dag", super::NS)]);
    assert_eq!(
        evidence.onto,
        Some(town.main[1].0.clone()),
        "the landed commit it conflicts with"
    );
    assert_eq!(town.heard("Conflict").len(), 1);
}

#[test]
fn a_conflict_with_a_change_that_does_not_land_is_no_reason_to_go_back() {
    let mut town = Town::new();
    let dag = town.ready("dag", bad());
    town.ready(
        "cheedo",
        Change {
            conflicts: [dag].into(),
            ..Change::default()
        },
    );
    town.run();
    assert!(town.merged("cheedo").is_some(), "without dag it applies");
    assert_eq!(
        town.condition("dag", kind::MERGED),
        Some(("False".into(), "TestFailed".into()))
    );
    assert!(town.heard("Conflict").is_empty());
}

#[test]
fn a_change_that_conflicts_with_the_branch_itself_goes_back_without_a_run() {
    let mut town = Town::new();
    let dag = town.ready("dag", Change::default());
    town.run();
    town.ready(
        "cheedo",
        Change {
            conflicts: [dag].into(),
            ..Change::default()
        },
    );
    town.run();
    assert_eq!(town.runs, 1);
    let evidence = town.polecat("cheedo").status.rounds[0].evidence.clone().unwrap();
    assert_eq!(evidence.onto, Some(town.main[1].0.clone()));
}

#[test]
fn what_the_branch_has_already_counts_as_merged() {
    let mut town = Town::new();
    let nux = town.ready("nux", Change::default());
    town.main.push((id("by hand"), [nux].into()));
    town.run();
    assert_eq!(
        town.condition("nux", kind::MERGED),
        Some(("True".into(), "AlreadyOnTarget".into()))
    );
    assert_eq!(town.merged("nux"), Some(id("by hand").as_str()));
    assert_eq!((town.runs, town.main.len()), (0, 2));
}

#[test]
fn priority_goes_first_and_waiting_counts_towards_it() {
    let mut town = Town::new();
    town.edit_refinery(|r| r.spec.paused = Some(true));
    town.good(&["early", "late", "urgent"]);
    town.edit_polecat("urgent", |p| p.spec.priority = Some(1));
    town.rest();
    assert_eq!(town.queue().status.queue, ["urgent", "early", "late"]);
    assert_eq!(town.queue().status.queue_length, 3);
    town.now += jiff::SignedDuration::from_hours(2);
    town.ready("urgent2", Change::default());
    town.edit_polecat("urgent2", |p| p.spec.priority = Some(3));
    town.rest();
    assert_eq!(town.queue().status.queue, ["urgent", "early", "late", "urgent2"]);
}

#[test]
fn while_a_batch_is_tested_the_next_one_gathers() {
    let mut town = Town::new();
    town.good(&["a"]);
    town.rest();
    town.good(&["b", "c"]);
    town.run();
    assert_eq!(town.tested, [vec!["a"], vec!["b", "c"]]);
    assert_eq!(town.queue().status.batch, 2);
}

#[test]
fn a_restart_at_any_write_repeats_nothing() {
    let mut calm = Town::new();
    let mut shaken = Town::new();
    for town in [&mut calm, &mut shaken] {
        town.good(&["a", "b"]);
        town.ready("c", bad());
        town.good(&["d", "e"]);
    }
    calm.run();
    loop {
        shaken.restart();
        let acted = shaken.act();
        shaken.restart();
        if !acted && !shaken.kubelet() {
            break;
        }
    }
    assert_eq!(shaken.tested, calm.tested);
    assert_eq!(shaken.writes, calm.writes);
    assert_eq!(shaken.main, calm.main);
}

#[test]
fn a_polecat_deleted_in_flight_does_not_stop_the_landing() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    town.rest();
    town.vanish(Key::new(Kind::Polecat, super::NS, "a"));
    town.run();
    assert!(town.merged("b").is_some());
    assert_eq!(town.main.len(), 2);
}

#[test]
fn work_that_lands_though_nobody_wants_it_any_more_is_recorded() {
    let mut town = Town::new();
    town.good(&["nux"]);
    town.rest();
    town.edit_polecat("nux", |p| {
        // As a polecat's own rules write it for desiredState Terminated.
        p.spec.desired_state = gastown_api::DesiredState::Terminated;
        p.status.phase = gastown_api::PolecatPhase::Terminated;
        for c in &mut p.status.conditions {
            c.status = "False".into();
        }
    });
    town.run();
    assert!(town.merged("nux").is_some(), "{:?}", town.polecat("nux").status);
}

#[test]
fn a_polecat_deleted_while_its_batch_is_searched_is_told_of_as_before() {
    let mut town = Town::new();
    town.good(&["a", "b"]);
    town.ready("c", bad());
    town.rest();
    town.kubelet();
    let orders = |town: &Town| town.live(PodRole::Test).unwrap().test.unwrap().members;
    town.vanish(Key::new(Kind::Polecat, super::NS, "a"));
    town.rest();
    assert_eq!(
        orders(&town)[0].branch,
        "polecat/a",
        "later runs order what the first was ordered"
    );
    town.run();
    assert!(town.merged("b").is_some());
}

#[test]
fn work_for_another_repository_is_told_so_once() {
    let mut town = Town::new();
    town.good(&["stray"]);
    town.edit_polecat("stray", |p| {
        p.spec.kubernetes = Some(Box::new(api::KubernetesSpec {
            git_repository: Some("https://example.com/other".into()),
            ..Default::default()
        }));
    });
    town.run();
    assert_eq!(
        town.condition("stray", kind::MERGED),
        Some(("False".into(), "NotThisRepository".into()))
    );
    assert_eq!(town.heard("NotThisRepository").len(), 1);
    assert_eq!(town.runs, 0);
}

#[test]
fn two_spellings_of_one_repository_are_one() {
    let mut town = Town::new();
    town.good(&["nux"]);
    town.edit_polecat("nux", |p| {
        let repository = Some("https://example.com/parts/".into());
        p.spec.kubernetes = Some(Box::new(api::KubernetesSpec {
            git_repository: repository,
            ..Default::default()
        }));
    });
    town.run();
    assert!(town.merged("nux").is_some());
}
