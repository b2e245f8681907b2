//! Which landing is told to sweep, and what.

use super::*;
use crate::blueprint::Blueprint;
use crate::refinery::{lane::Lane, sweep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn told(town: &Town) -> Option<gastown_wire::Sweep> {
    sweep::orders(&town.world, &Lane::open(&town.world, town.queue()).unwrap(), town.now)
}

#[test]
fn the_first_landing_of_an_hour_sweeps() {
    for (last, now, sweeps) in [
        (None, "2026-03-02T12:00:00Z", true),
        (Some("2026-03-01T23:59:59Z"), "2026-03-02T00:00:00Z", true),
        (Some("2026-03-02T12:00:00Z"), "2026-03-02T12:59:59Z", false),
        (Some("2026-03-01T12:30:00Z"), "2026-03-02T12:30:00Z", true),
        // A clock that was set back.
        (Some("2026-03-03T12:00:00Z"), "2026-03-02T12:00:00Z", true),
    ] {
        let mut town = Town::new();
        town.now = now.parse().unwrap();
        town.edit_refinery(|r| r.status.last_merge_time = last.map(|t| Time(t.parse().unwrap())));
        assert_eq!(told(&town).is_some(), sweeps, "{last:?} and then {now}");
    }
}

#[test]
fn only_who_knows_all_who_live_sweeps() {
    let mut town = Town::new();
    town.good(&["nux", "slit"]);
    town.edit_polecat("slit", |p| p.spec.rig = "another".into());
    let uid = |name: &str| town.polecat(name).meta.uid.0.clone();
    let swept = told(&town).unwrap();
    assert_eq!(swept.owner, town.world.rigs[RIG].meta.uid.0);
    assert_eq!(swept.living, [uid("nux"), uid("slit")], "of every rig");

    let mut listed = Town::new();
    listed.world.town.every_namespace = false;
    assert_eq!(told(&listed), None, "others live where nobody looks");

    let mut unread = Town::new();
    unread.world.learn(Fact::Malformed {
        key: Key::new(Kind::Polecat, NS, "odd"),
        why: "no spec".into(),
    });
    assert_eq!(told(&unread), None, "it lives, under a UID that nobody knows");
}

#[test]
fn orders_stay_small_enough_to_travel() {
    let mut town = Town::new();
    let names: Vec<String> = (0..2_001).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    town.good(&names[..2_000]);
    assert_eq!(told(&town).map(|s| s.living.len()), Some(2_000));
    town.good(&names[2_000..]);
    assert_eq!(told(&town), None);
}

#[test]
fn the_land_pod_is_told_and_its_annotation_does_not_repeat_it() {
    let mut town = Town::new();
    town.good(&["nux"]);
    let pod = loop {
        let land = town.plan().actions.into_iter().find_map(|action| match action {
            Action::Create { blueprint, .. } => match *blueprint {
                Blueprint::LandPod(pod) => Some(pod),
                _ => None,
            },
            _ => None,
        });
        match land {
            Some(pod) => break pod,
            None => assert!(town.act() || town.kubelet(), "nothing lands"),
        }
    };
    let swept = pod.orders.sweep.as_ref().unwrap();
    assert_eq!(swept.living, [town.polecat("nux").meta.uid.0.clone()]);
    let annotation = &pod.common.annotations[api::labels::ORDERS];
    assert!(
        annotation.contains(&pod.orders.candidate) && !annotation.contains("living"),
        "{annotation}"
    );
}
