use super::*;
use crate::launch::Exit;
use crate::slot::Ended;
use k8s_openapi::api::core::v1::{Container, ContainerStatus};
use std::time::Duration;
use tokio::time::Instant;

fn slot(name: &str, init: bool) -> Slot {
    let spec = Container {
        name: name.to_owned(),
        ..Default::default()
    };
    Slot::new(spec, init)
}

fn run(slot: &mut Slot) {
    slot.begin(0, Instant::now());
    slot.state = State::Running {
        since: Timestamp::UNIX_EPOCH,
    };
    slot.ready = !slot.init;
}

fn end(slot: &mut Slot, code: i32, policy: RestartPolicy) {
    run(slot);
    let exit = Exit { code, failure: None };
    slot.end(Ended::of(&exit, Timestamp::UNIX_EPOCH, None), policy, Instant::now());
}

fn view(slots: &[Slot], policy: RestartPolicy) -> View<'_> {
    View {
        slots,
        policy,
        start_time: Timestamp::UNIX_EPOCH,
        stopping: false,
        verdict: None,
        before: &[],
        generation: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn phases_follow_the_containers() {
    use RestartPolicy::{Always, Never, OnFailure};
    let phase = |slots: &[Slot], policy| view(slots, policy).phase();
    let mut slots = vec![slot("i", true), slot("a", false), slot("b", false)];
    assert_eq!(phase(&slots, OnFailure), Phase::Pending);
    end(&mut slots[0], 1, OnFailure);
    assert_eq!(phase(&slots, OnFailure), Phase::Pending);
    assert_eq!(phase(&slots, Never), Phase::Failed);
    end(&mut slots[0], 0, OnFailure);
    assert_eq!(phase(&slots, OnFailure), Phase::Pending, "none has started");
    run(&mut slots[1]);
    assert_eq!(phase(&slots, OnFailure), Phase::Pending, "one has not started");
    run(&mut slots[2]);
    assert_eq!(phase(&slots, OnFailure), Phase::Running);
    end(&mut slots[1], 0, OnFailure);
    end(&mut slots[2], 2, OnFailure);
    assert_eq!(phase(&slots, OnFailure), Phase::Running, "one will start again");
    assert_eq!(phase(&slots, Never), Phase::Failed);
    end(&mut slots[2], 0, OnFailure);
    assert_eq!(phase(&slots, OnFailure), Phase::Succeeded);
    assert_eq!(phase(&slots, Always), Phase::Running);
}

#[test]
fn a_time_stands_until_its_condition_changes() {
    let mut slots = vec![slot("a", false)];
    run(&mut slots[0]);
    let first = view(&slots, RestartPolicy::Always).status();
    let conditions = first.conditions.unwrap();
    let later = View {
        now: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(60),
        before: &conditions,
        ..view(&slots, RestartPolicy::Always)
    };
    assert_eq!(later.status().conditions.unwrap(), conditions);
    slots[0].ready = false;
    let later = View {
        now: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(60),
        before: &conditions,
        ..view(&slots, RestartPolicy::Always)
    };
    let changed = later.status().conditions.unwrap();
    let moved: Vec<_> = changed
        .iter()
        .filter(|c| c.last_transition_time != Some(Time(Timestamp::UNIX_EPOCH)))
        .map(|c| c.type_.as_str())
        .collect();
    assert_eq!(moved, ["ContainersReady", "Ready"]);
}

#[test]
fn failures_back_off_from_at_once_to_a_minute() {
    let mut slot = slot("a", false);
    let now = Instant::now();
    let failed = || {
        let exit = Exit { code: 1, failure: None };
        Ended::of(&exit, Timestamp::UNIX_EPOCH, None)
    };
    let mut delays = Vec::new();
    for _ in 0..9 {
        slot.begin(0, now);
        slot.end(failed(), RestartPolicy::Always, now);
        delays.push(slot.retry_at.map_or(0, |at| (at - now).as_secs()));
    }
    assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(slot.restarts, 8);
    slot.begin(0, now);
    let much_later = now + Duration::from_secs(301);
    slot.end(failed(), RestartPolicy::Always, much_later);
    assert!(slot.retry_at.is_none(), "a long run is forgiven");
}

#[test]
fn a_reboot_counts_as_a_restart_where_the_policy_allows_one() {
    let status = |state: serde_json::Value| -> ContainerStatus {
        serde_json::from_value(serde_json::json!({
            "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 2, "state": state,
        }))
        .unwrap()
    };
    let running = status(serde_json::json!({ "running": {} }));
    let done = status(serde_json::json!({ "terminated": { "exitCode": 0 } }));
    for (reported, policy, restarts, ended) in [
        (&running, RestartPolicy::OnFailure, 3, None),
        (&running, RestartPolicy::Never, 2, Some(137)),
        (&done, RestartPolicy::OnFailure, 2, Some(0)),
        (&done, RestartPolicy::Always, 3, None),
    ] {
        let mut slot = slot("a", false);
        slot.restore(reported, policy);
        let code = slot.terminated().map(|e| e.code);
        assert_eq!((slot.restarts, code), (restarts, ended), "{policy:?}");
    }
}
