//! Every wait of courier has an end, and the end has a name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::{fs, time::Duration};

use gastown_harness::{
    courier::{self, Patience},
    link::{Ended, FromCourier, FromRun, Invitation, Line},
    setup,
};
use gastown_wire::*;
use town::*;

/// Courier within this process, with shorter patience than a pod's.
fn start(pod: &Pod, patience: Patience) -> tokio::task::JoinHandle<i32> {
    let pod = setup::Pod {
        orders: pod.orders.clone(),
        uid: pod.uid.clone(),
        termination: pod.path("courier.report"),
    };
    tokio::spawn(courier::run(pod, patience))
}

/// Patient, but not when it comes to goodbye.
fn patient() -> Patience {
    Patience {
        farewell: Duration::from_millis(10),
        ..Patience::default()
    }
}

const SHORT: Duration = Duration::from_millis(300);

/// Joins like `run`.
async fn join(pod: &Pod) -> Line<FromCourier> {
    loop {
        if let Some(invitation) = Invitation::read(&pod.path("shared/link")).unwrap() {
            return Line::join(&invitation).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn outcome(pod: &Pod) -> CourierOutcome {
    CourierReport::decode(&pod.read("courier.report")).unwrap().outcome
}

#[tokio::test]
async fn an_agent_that_never_comes_is_lost() {
    let town = Town::new();
    let pod = town.pod("");
    pod.cloned();
    assert_eq!(
        start(
            &pod,
            Patience {
                first: SHORT,
                ..patient()
            }
        )
        .await
        .unwrap(),
        0
    );
    assert_eq!(outcome(&pod), CourierOutcome::AgentLost);
}

#[tokio::test]
async fn an_agent_that_goes_and_does_not_come_back_is_lost_and_its_work_is_not() {
    let town = Town::new();
    let pod = town.pod("");
    pod.cloned();
    let courier = start(
        &pod,
        Patience {
            again: Some(SHORT),
            ..patient()
        },
    );
    let mut run = join(&pod).await;
    assert_eq!(run.next().await, Some(FromCourier::Go));
    fs::write(pod.workspace().join("b.txt"), "b").unwrap();
    git(&pod.workspace(), &["add", "-A"]);
    git(&pod.workspace(), &["commit", "-qm", "b"]);
    drop(run);
    assert_eq!(courier.await.unwrap(), 0);
    let report = CourierReport::decode(&pod.read("courier.report")).unwrap();
    assert_eq!(
        (report.outcome, report.commit, report.commits),
        (CourierOutcome::AgentLost, town.work(), 1)
    );
}

#[tokio::test]
async fn a_remote_that_stays_away_is_a_push_that_failed_and_done_is_not_said() {
    let town = Town::new();
    let pod = town.pod("");
    pod.cloned();
    let courier = start(
        &pod,
        Patience {
            push: SHORT,
            ..patient()
        },
    );
    let mut run = join(&pod).await;
    assert_eq!(run.next().await, Some(FromCourier::Go));
    fs::rename(&town.remote, town.dir.path().join("away.git")).unwrap();
    fs::write(pod.workspace().join("b.txt"), "b").unwrap();
    git(&pod.workspace(), &["add", "-A"]);
    git(&pod.workspace(), &["commit", "-qm", "b"]);
    let ended = Ended {
        exit: Some(0),
        branch: WORK.into(),
        ..Ended::default()
    };
    run.say(&FromRun::Ended(ended)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(&pod), CourierOutcome::PushFailed);
}

#[tokio::test]
async fn a_failure_with_nothing_to_push_is_told_even_while_the_remote_is_away() {
    let town = Town::new();
    let pod = town.pod("");
    pod.cloned();
    let courier = start(
        &pod,
        Patience {
            push: SHORT,
            ..patient()
        },
    );
    let mut run = join(&pod).await;
    assert_eq!(run.next().await, Some(FromCourier::Go));
    fs::rename(&town.remote, town.dir.path().join("away.git")).unwrap();
    let ended = Ended {
        exit: Some(7),
        branch: WORK.into(),
        ..Ended::default()
    };
    run.say(&FromRun::Ended(ended)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(&pod), CourierOutcome::AgentFailed { exit: 7 });
}
