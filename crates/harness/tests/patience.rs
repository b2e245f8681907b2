//! Every wait of courier has an end, and the end has a name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::{fs, time::Duration};

use gastown_harness::{
    courier::{self, Patience},
    link::{Ended, FromCourier, FromRun, Invitation, Line},
    setup,
};
use gastown_testkit::remotes::{Access, HttpGit, Mood, Repositories, Repository};
use gastown_wire::*;
use tokio::task::JoinHandle;
use town::*;

/// Courier within this process, with shorter patience than a pod's.
fn start(pod: &Pod, patience: Patience) -> JoinHandle<i32> {
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

const TOKEN: &str = "ghp_FuryRoadValhallaWitnessMe4711";

/// A repository behind a server that has moods, and a pod of it that has an hour.
struct Served {
    server: HttpGit,
    parts: Repository,
    pod: Pod,
    _town: Town,
    _repositories: Repositories,
}

impl Served {
    fn new() -> Self {
        let (town, repositories) = (Town::new(), Repositories::new());
        let parts = repositories.create("parts.git");
        let server = HttpGit::of(&repositories).token(TOKEN, Access::Write).start();
        let mut pod = town.pod("");
        fs::create_dir(pod.path("secret")).unwrap();
        fs::write(pod.path("secret/token"), TOKEN).unwrap();
        pod.orders.remote.url = server.url("parts.git");
        pod.orders.remote.secret_dir = Some(pod.path("secret").display().to_string());
        pod.orders.pace.deadline_s = Some(3600);
        pod.cloned();
        Self {
            server,
            parts,
            pod,
            _town: town,
            _repositories: repositories,
        }
    }

    /// Courier with that patience, and `run` that was told to go.
    async fn at_work(&self, patience: Patience) -> (JoinHandle<i32>, Line<FromCourier>) {
        let courier = start(&self.pod, patience);
        let mut run = join(&self.pod).await;
        assert_eq!(run.next().await, Some(FromCourier::Go));
        (courier, run)
    }

    /// Waits until courier has tried again and again, and has not given up.
    async fn is_asked_on_and_on(&self) {
        let before = self.server.requests().len();
        while self.server.requests().len() < before + 5 {
            assert!(!self.pod.path("courier.report").exists(), "it gave up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn commit(pod: &Pod) -> String {
    fs::write(pod.workspace().join("b.txt"), "b").unwrap();
    git(&pod.workspace(), &["add", "-A"]);
    git(&pod.workspace(), &["commit", "-qm", "b"]);
    git(&pod.workspace(), &["rev-parse", "HEAD"])
}

fn ended(exit: i32) -> FromRun {
    FromRun::Ended(Ended {
        exit: Some(exit),
        branch: WORK.into(),
        ..Ended::default()
    })
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
    commit(&pod);
    drop(run);
    assert_eq!(courier.await.unwrap(), 0);
    let report = CourierReport::decode(&pod.read("courier.report")).unwrap();
    assert_eq!(
        (report.outcome, report.commit, report.commits),
        (CourierOutcome::AgentLost, town.work(), 1)
    );
}

/// Longer than any patience with a remote that says no: what the agent committed is nowhere else.
#[tokio::test]
async fn a_remote_that_is_away_for_long_loses_nothing() {
    let served = Served::new();
    let pod = &served.pod;
    let (courier, mut run) = served
        .at_work(Patience {
            push: SHORT,
            ..patient()
        })
        .await;
    served.server.feel(Mood::Status(503));
    let work = commit(pod);
    run.say(&ended(0)).await.unwrap();
    served.is_asked_on_and_on().await;

    served.server.feel(Mood::Well);
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(pod), CourierOutcome::Done);
    assert_eq!(served.parts.tip(&format!("refs/heads/{WORK}")), Some(work));
}

#[tokio::test]
async fn a_remote_is_not_waited_for_beyond_the_pods_deadline_and_done_is_not_said() {
    let served = Served::new();
    let pod = &served.pod;
    let (courier, mut run) = served
        .at_work(Patience {
            // All there is of the hour.
            report: Duration::from_secs(3600),
            stop: SHORT,
            ..patient()
        })
        .await;
    served.server.feel(Mood::Status(503));
    commit(pod);
    run.say(&ended(0)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(pod), CourierOutcome::PushFailed);
}

/// A person must mend it, and the pod's place is wanted.
#[tokio::test]
async fn a_remote_that_says_no_is_not_asked_for_hours() {
    let served = Served::new();
    let pod = &served.pod;
    let (courier, mut run) = served
        .at_work(Patience {
            push: SHORT,
            ..patient()
        })
        .await;
    served.server.feel(Mood::Status(404));
    commit(pod);
    run.say(&ended(0)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(pod), CourierOutcome::PushFailed);
}

#[tokio::test]
async fn a_failure_with_nothing_to_push_is_told_even_while_the_remote_is_away() {
    let served = Served::new();
    let pod = &served.pod;
    let (courier, mut run) = served
        .at_work(Patience {
            push: SHORT,
            ..patient()
        })
        .await;
    served.server.feel(Mood::Status(503));
    run.say(&ended(7)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(pod), CourierOutcome::AgentFailed { exit: 7 });
}

#[tokio::test]
async fn before_the_agent_starts_a_remote_that_is_away_is_not_waited_for() {
    let served = Served::new();
    served.server.feel(Mood::Status(503));
    let courier = start(
        &served.pod,
        Patience {
            open: SHORT,
            ..patient()
        },
    );
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(&served.pod), CourierOutcome::PushFailed);
}

/// What the agent did before courier's container started again is nowhere else either.
#[tokio::test]
async fn who_starts_again_while_the_remote_is_away_waits_for_it() {
    let served = Served::new();
    let pod = &served.pod;
    fs::write(pod.path("courier/activity"), "").unwrap();
    let work = commit(pod);
    served.server.feel(Mood::Status(503));
    let courier = start(
        pod,
        Patience {
            open: SHORT,
            ..patient()
        },
    );
    served.is_asked_on_and_on().await;

    served.server.feel(Mood::Well);
    let mut run = join(pod).await;
    assert_eq!(run.next().await, Some(FromCourier::Go));
    run.say(&ended(0)).await.unwrap();
    assert_eq!(run.next().await, Some(FromCourier::Delivered));
    assert_eq!(courier.await.unwrap(), 0);
    assert_eq!(outcome(pod), CourierOutcome::Done);
    assert_eq!(served.parts.tip(&format!("refs/heads/{WORK}")), Some(work));
}
