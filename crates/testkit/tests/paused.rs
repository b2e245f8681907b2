//! Deadlines, paces and quiet, through the whole operator: a town on a paused clock, where a day passes at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use gastown_api::{Polecat, PolecatPhase, PolecatStatus, Rig, Witness, conditions};
use gastown_testkit::build::{polecat, rig};
use gastown_testkit::town::Town;
use gastown_wire::CourierOutcome;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A town with rig `parts`, where so many may work at once.
async fn parts(room: i32) -> Town {
    let town = Town::start().await;
    let rigs: Api<Rig> = Api::all(town.client.clone());
    town.create(rigs, &rig("parts").with_room_for(room).into()).await;
    town
}

async fn sling(town: &Town, polecat: impl Into<Polecat>) {
    town.create(town.api::<Polecat>(), &polecat.into()).await;
}

async fn status(town: &Town, name: &str) -> PolecatStatus {
    let polecat = town.api::<Polecat>().get(name).await.unwrap();
    polecat.status.unwrap_or_default()
}

/// Waits until it is in that phase, and says how it is then.
async fn phase(town: &Town, name: &str, wanted: PolecatPhase, within: Duration) -> PolecatStatus {
    town.until(&format!("{name} {wanted:?}"), within, async || {
        Some(status(town, name).await).filter(|s| s.phase == wanted)
    })
    .await
}

/// Invariant 8: what cannot start says so at once, holds its place until its deadline, and then nobody's.
#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_said_at_once_and_its_place_is_free_in_ten_minutes() {
    let town = parts(1).await;
    sling(&town, polecat("nux")).await;
    town.pod("polecat-nux").await;
    sling(&town, polecat("slit")).await;
    town.cannot_pull("polecat-nux").await;
    town.until("its reason", 2 * SECOND, async || {
        let status = status(&town, "nux").await;
        let why = conditions::get(&status.conditions, "Progressing").map(|c| c.reason.clone());
        (why.as_deref() == Some("ImagePullFailed")).then_some(())
    })
    .await;
    town.pass(9 * MINUTE).await;
    assert_eq!(status(&town, "nux").await.phase, PolecatPhase::Working);
    assert_eq!(town.pods().await, ["polecat-nux"], "one place, one pod");

    // Ten minutes after its pod was made, and not a second of that is real.
    let stuck = phase(&town, "nux", PolecatPhase::Stuck, 2 * MINUTE).await;
    assert!(stuck.message.unwrap().contains("image"));
    town.pod("polecat-slit").await;
    assert_eq!(town.pods().await, ["polecat-slit"]);
    town.stop().await;
}

/// Invariant 8: no retry without backoff, and no retry without end.
#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_later_and_later_and_then_no_more() {
    let town = parts(1).await;
    sling(&town, polecat("nux")).await;
    let mut waits = Vec::new();
    let mut pod = town.pod("polecat-nux").await;
    for attempt in 1..=3 {
        let name = pod.metadata.name.clone().unwrap();
        town.runs(&name, true).await;
        town.until("running", MINUTE, async || {
            status(&town, "nux").await.pod_active.filter(|active| *active)
        })
        .await;
        town.reports(&name, 1, attempt, CourierOutcome::AgentFailed { exit: 3 })
            .await;
        let ended = town.now();
        if attempt == 3 {
            break;
        }
        let next = town
            .until("the next attempt", 10 * MINUTE, async || {
                let status = status(&town, "nux").await;
                (status.attempt == Some(i64::from(attempt) + 1)).then_some(status.pod_name.unwrap())
            })
            .await;
        waits.push((town.now() - ended).get_seconds());
        pod = town.pod(&next).await;
    }
    phase(&town, "nux", PolecatPhase::Stuck, MINUTE).await;
    assert_eq!(waits.len(), 2);
    assert!(waits[0] >= 10 && waits[1] >= 2 * waits[0] - 2, "{waits:?}");
    // And it stays so.
    town.pass(24 * HOUR).await;
    assert_eq!(status(&town, "nux").await.attempt, Some(3));
    town.stop().await;
}

/// A finished pod goes after its TTL; the record of it stays.
#[tokio::test(start_paused = true)]
async fn a_finished_pod_is_kept_for_its_logs_and_no_longer() {
    let town = parts(2).await;
    let mut nux: Polecat = polecat("nux").into();
    nux.spec.ttl_seconds_after_finished = Some(1800);
    sling(&town, nux).await;
    town.pod("polecat-nux").await;
    town.runs("polecat-nux", true).await;
    town.reports("polecat-nux", 1, 1, CourierOutcome::NoChange).await;
    phase(&town, "nux", PolecatPhase::Stuck, MINUTE).await;
    town.pass(29 * MINUTE).await;
    assert_eq!(town.pods().await, ["polecat-nux"]);
    town.until("its end", 2 * MINUTE, async || {
        town.pods().await.is_empty().then_some(())
    })
    .await;
    assert_eq!(status(&town, "nux").await.phase, PolecatPhase::Stuck);
    town.stop().await;
}

/// The Witness goes by activity: a long task is none of its business, a silent one is.
#[tokio::test(start_paused = true)]
async fn silence_counts_and_age_does_not() {
    let town = parts(2).await;
    for name in ["busy", "silent"] {
        let mut long: Polecat = polecat(name).into();
        long.spec.kubernetes.get_or_insert_default().active_deadline_seconds = Some(24 * 3600);
        sling(&town, long).await;
        town.pod(&format!("polecat-{name}")).await;
    }
    town.runs("polecat-busy", true).await;
    town.runs("polecat-silent", false).await;
    let summary = async || {
        let witness = town.api::<Witness>().get("parts-witness").await.unwrap();
        witness.status.unwrap_or_default().polecats_summary.unwrap_or_default()
    };
    town.pass(14 * MINUTE).await;
    assert_eq!((summary().await.running, summary().await.stuck), (2, 0));
    town.pass(2 * MINUTE).await;
    assert_eq!((summary().await.running, summary().await.stuck), (2, 1));
    // It works again.
    town.runs("polecat-silent", true).await;
    town.pass(MINUTE).await;
    assert_eq!(summary().await.stuck, 0);
    town.pass(5 * HOUR).await;
    assert_eq!(summary().await.stuck, 0, "five hours of work are no silence");
    town.stop().await;
}

/// Invariant 7: a day in which nothing happens writes nothing, whatever is in flight.
#[tokio::test(start_paused = true)]
async fn a_day_at_rest_writes_nothing() {
    let town = parts(30).await;
    for n in 0..20 {
        let mut long: Polecat = polecat(&format!("p{n}")).into();
        long.spec.kubernetes.get_or_insert_default().active_deadline_seconds = Some(100 * 3600);
        long.spec.ttl_seconds_after_finished = Some(100 * 3600);
        sling(&town, long).await;
        let pod = format!("polecat-p{n}");
        town.pod(&pod).await;
        town.runs(&pod, true).await;
        if n % 2 == 0 {
            town.reports(&pod, 1, 1, CourierOutcome::NoChange).await;
        }
    }
    town.pass(MINUTE).await;
    let before = town.revisions().await;
    assert!(before.len() > 40, "{before:?}");
    town.pass(24 * HOUR).await;
    assert_eq!(town.revisions().await, before);
    town.stop().await;
}

/// The ladder, through the whole operator: wait, nudge, a new attempt in the same round, and in the end a word to somebody.
#[tokio::test(start_paused = true)]
async fn a_dead_agent_is_nudged_replaced_and_at_last_escalated_once() {
    let town = Town::start().await;
    let mut parts: Rig = rig("parts").with_room_for(1).into();
    parts.spec.retry = Some(gastown_api::Retry {
        limit: Some(1),
        backoff_seconds: Some(0),
    });
    parts.spec.active_deadline_seconds = Some(24 * 3600);
    town.create(Api::all(town.client.clone()), &parts).await;
    sling(&town, polecat("nux")).await;
    let pods = town.api::<Pod>();
    let nudged = async |name: &str| {
        let pod = pods.get_opt(name).await.unwrap()?;
        pod.metadata.annotations?.get("gastown.io/witness-nudge").cloned()
    };
    let mut name = "polecat-nux".to_owned();
    for attempt in 1..=2 {
        town.pod(&name).await;
        // Hours of activity are nobody's business.
        town.runs(&name, true).await;
        town.pass(HOUR).await;
        assert_eq!(nudged(&name).await, None);
        town.runs(&name, false).await;
        town.pass(14 * MINUTE).await;
        assert_eq!(nudged(&name).await, None, "wait");
        let text = town.until("the nudge", 2 * MINUTE, async || nudged(&name).await).await;
        assert!(text.contains("15m"), "{text}");
        town.pass(14 * MINUTE).await;
        assert_eq!(status(&town, "nux").await.attempt, Some(attempt));
        town.pass(2 * MINUTE).await;
        // No kubelet here ends a pod that is deleted.
        let now = kube::api::DeleteParams::default().grace_period(0);
        let _ = pods.delete(&name, &now).await;
        if attempt == 1 {
            let next = town
                .until("the next attempt", 10 * MINUTE, async || {
                    Some(status(&town, "nux").await).filter(|s| s.attempt == Some(2))
                })
                .await;
            assert_eq!(next.round, Some(1), "the same round: the same conversation");
            name = next.pod_name.unwrap();
        }
    }
    let stuck = phase(&town, "nux", PolecatPhase::Stuck, 10 * MINUTE).await;
    assert!(stuck.message.unwrap().contains("retry.limit"));
    let witness = async || {
        let witness = town.api::<Witness>().get("parts-witness").await.unwrap();
        witness.status.unwrap_or_default()
    };
    let told = town
        .until("the escalation", MINUTE, async || witness().await.notification)
        .await;
    assert!(
        told.text.contains("nux (Silent)") && told.text.contains("polecat retry nux"),
        "{}",
        told.text
    );
    assert_eq!(witness().await.incidents.len(), 1);
    let before = town.revisions().await;
    town.pass(HOUR / 2).await;
    assert_eq!(
        town.revisions().await,
        before,
        "once, and then there is nothing to write"
    );
    town.stop().await;
}
