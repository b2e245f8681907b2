//! A pod that is deleted while the remote hangs. Alone in its binary: the signal reaches the whole process.
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

#[tokio::test]
async fn a_pod_that_must_go_does_not_wait_for_a_remote_that_hangs() {
    let town = Town::new();
    let pod = town.pod("");
    pod.cloned();
    // The server takes the connection and never answers, until the test is over.
    let (hangs, over) = (town.dir.path().join("hangs"), town.dir.path().join("over"));
    let hook = town.remote.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\ntouch {}\nuntil [ -e {} ]; do sleep 0.05; done\nexit 1\n",
        hangs.display(),
        over.display()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let patience = Patience {
        stop: Duration::from_millis(300),
        farewell: Duration::from_millis(10),
        ..Patience::default()
    };
    let courier = tokio::spawn(courier::run(
        setup::Pod {
            orders: pod.orders.clone(),
            uid: pod.uid.clone(),
            termination: pod.path("courier.report"),
        },
        patience,
    ));
    let mut run = loop {
        if let Some(invitation) = Invitation::read(&pod.path("shared/link")).unwrap() {
            break Line::<FromCourier>::join(&invitation).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(run.next().await, Some(FromCourier::Go));
    fs::write(pod.workspace().join("b.txt"), "b").unwrap();
    git(&pod.workspace(), &["add", "-A"]);
    git(&pod.workspace(), &["commit", "-qm", "b"]);
    let ended = Ended {
        exit: Some(0),
        branch: WORK.into(),
        ..Ended::default()
    };
    run.say(&FromRun::Ended(ended)).await.unwrap();
    while !hangs.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    signal(std::process::id(), "TERM");

    let code = tokio::time::timeout(Duration::from_secs(60), courier)
        .await
        .unwrap()
        .unwrap();
    fs::write(&over, "").unwrap();
    assert_eq!(code, 0);
    let report = CourierReport::decode(&pod.read("courier.report")).unwrap();
    // Not done, because nobody has seen it on the remote.
    assert!(
        matches!(report.outcome, CourierOutcome::PushFailed | CourierOutcome::Stopped) && report.commit.is_empty(),
        "{report:?}"
    );
}
