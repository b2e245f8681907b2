//! The queue beside all other rooms: nobody undoes what another wrote.

use super::{Change, Town};
use crate::fact::Seen;
use crate::key::{Key, Kind, RigKey};
use crate::row::{PodRole, Row};
use gastown_api::{self as api, PolecatPhase, conditions as kind};
use jiff::SignedDuration;
use std::collections::BTreeSet;

fn bad() -> Change {
    Change {
        bad: true,
        ..Change::default()
    }
}

#[test]
fn landed_work_stays_as_it_was_told_and_nothing_more_is_written() {
    let mut town = Town::new();
    town.whole = true;
    town.good(&["a", "b"]);
    town.run();
    for name in ["a", "b"] {
        let status = &town.polecat(name).status;
        assert!(town.merged(name).is_some());
        assert_eq!(status.phase, PolecatPhase::Done);
        assert!(
            status.message.as_ref().unwrap().starts_with("landed on main"),
            "{:?}",
            status.message
        );
    }
    assert!(town.plan().actions.is_empty());
    assert!(town.live(PodRole::Polecat).is_none(), "finished work never runs again");
}

#[test]
fn a_hand_back_is_dispatched_again_with_its_evidence_and_lands_when_mended() {
    let mut town = Town::new();
    town.whole = true;
    town.good(&["a"]);
    town.ready("rictus", bad());
    let runs = |town: &mut Town| {
        for _ in 0..100 {
            town.rest();
            if !town.kubelet() {
                return;
            }
        }
    };
    runs(&mut town);
    assert!(town.merged("a").is_some());
    let pod = town.live(PodRole::Polecat).expect("rictus works again");
    assert_eq!((pod.round, pod.attempt), (2, 2));
    let status = &town.polecat("rictus").status;
    assert_eq!((status.phase, status.round), (PolecatPhase::Working, Some(2)));
    assert_eq!(town.condition("rictus", kind::AVAILABLE).unwrap().0, "False");
    assert_eq!(status.rounds[0].evidence.as_ref().unwrap().kind, "TestFailed");
    let key = pod.meta.key.clone();
    town.vanish(key);
    town.ready("rictus", Change::default());
    runs(&mut town);
    assert!(town.merged("rictus").is_some());
}

#[test]
fn the_rig_says_what_its_queue_lacks() {
    let mut town = Town::new();
    town.whole = true;
    town.edit_rig(|r| r.spec.test_command = None);
    town.good(&["a"]);
    town.rest();
    town.now += SignedDuration::from_secs(2);
    town.rest();
    let rig = &town.world.rigs[super::RIG].status;
    assert_eq!(rig.phase, api::RigPhase::Degraded);
    assert!(
        rig.message.as_ref().unwrap().contains("testCommand"),
        "{:?}",
        rig.message
    );
}

#[test]
fn whoever_is_the_older_queue_of_a_branch_concerns_the_rigs_of_its_repository() {
    let mut town = Town::new();
    let meta = town.meta(Kind::Rig, "", "twin");
    let spec = api::RigSpec {
        git_url: "https://example.com/parts".into(),
        ..town.world.rigs[super::RIG].spec.clone()
    };
    town.see(Seen::Rig(Box::new(Row {
        meta,
        spec,
        status: Default::default(),
    })));
    let both: BTreeSet<RigKey> = [super::RIG.to_owned(), "twin".to_owned()].into();
    assert_eq!(town.world.homes_of(&Key::new(Kind::Rig, "", "twin")), both);
    assert_eq!(town.world.homes_of(&town.queue().meta.key), both);
}
