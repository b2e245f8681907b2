//! A town that dies at any instant goes on where it was: nothing is lost, nothing finished runs again.

use crate::checkout::{Checkout, isolated, phase, until};
use gastown_api::PolecatPhase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;

/// How many tasks a run has: more than the five pods there may be at once.
const TASKS: usize = 8;

/// An agent in two halves. It commits each start of itself to a file of its own, so that main tells in the end how
/// often it ran; the first time it hangs in the middle, with a file that is not committed.
fn in_two_halves(name: &str, sleeper: &str) -> String {
    format!(
        "echo start >> {name}.starts; git add {name}.starts; git commit --quiet --message='start {name}'
         if test ! -e {name}.half; then
           echo half > {name}.half; echo in the middle; exec {sleeper}
         fi
         git add --all; git commit --quiet --message='finish {name}'"
    )
}

/// One that does everything at once.
fn at_once(name: &str) -> String {
    format!(
        "echo start >> {name}.starts; echo half > {name}.half
         git add --all; git commit --quiet --message='finish {name}'"
    )
}

/// Each task is on main, whole.
fn all_landed(checkout: &Checkout, names: &[String]) {
    for name in names {
        checkout.lands(name);
        assert_eq!(checkout.on_main(&format!("{name}.half")), "half\n");
    }
}

/// How often main has that change.
fn times(checkout: &Checkout, subject: &str) -> usize {
    checkout.landed().iter().filter(|s| *s == subject).count()
}

fn starts(checkout: &Checkout, name: &str) -> usize {
    checkout.on_main(&format!("{name}.starts")).lines().count()
}

#[test]
fn killed_in_the_middle_of_eight_tasks_every_one_goes_on() {
    let checkout = Checkout::up();
    // A number that no other test and no other run uses marks the agents' processes.
    let sleeper = format!("sleep 9{}", std::process::id());
    let names: Vec<String> = (1..=TASKS).map(|n| format!("p{n}")).collect();
    // Two are through before the crash, three hang in their middle; then three more take the free places or queue.
    for name in &names[..2] {
        checkout.sling(name, &at_once(name));
        checkout.lands(name);
    }
    for name in &names[2..] {
        checkout.sling(name, &in_two_halves(name, &sleeper));
    }
    for name in &names[2..7] {
        checkout.says(name, "in the middle");
    }
    // One more of them waits for a place.
    assert_eq!(phase(&checkout.find("p8").unwrap()), PolecatPhase::Idle);
    assert_eq!(checkout.processes(&sleeper), 5);
    checkout.signal(Signal::SIGKILL);
    if isolated() {
        until("the end of the agents of the dead town", || {
            (checkout.processes(&sleeper) == 0).then_some(())
        });
    }
    assert!(checkout.pid().is_none(), "a dead town is not up");
    checkout.start();
    checkout.says("p8", "in the middle");
    // Interrupted as by Ctrl-C in a terminal, which is told to the town alone.
    checkout.signal(Signal::SIGINT);
    until("the end of the agents", || {
        (checkout.processes(&sleeper) == 0).then_some(())
    });
    checkout.start();
    all_landed(&checkout, &names);
    for name in &names {
        assert_eq!(times(&checkout, &format!("finish {name}")), 1, "{name}");
    }
    for name in &names[..2] {
        assert_eq!(starts(&checkout, name), 1, "{name} was finished and ran again");
    }
    for name in &names[2..] {
        assert_eq!(starts(&checkout, name), 2, "{name} was interrupted once while it ran");
    }
}

#[test]
fn killed_again_and_again_at_whatever_it_does() {
    let checkout = Checkout::up();
    let names: Vec<String> = (1..=TASKS).map(|n| format!("p{n}")).collect();
    for name in &names {
        checkout.sling(name, &at_once(name));
    }
    // Each life of the town ends as soon as the API has counted so many more writes: at another instant each time,
    // from the first reservation of a pod to the last landing.
    let mut lives = 0;
    let mut done = BTreeMap::new();
    for more in [1, 7, 13, 5, 21, 3, 17, 11] {
        let from = checkout.writes();
        let all = until("some more writes", || {
            let all = names.iter().all(|n| {
                let polecat = checkout.find(n).unwrap();
                polecat.status.is_some_and(|s| s.merged_commit.is_some())
            });
            (all || checkout.writes() >= from + more).then_some(all)
        });
        if all {
            break;
        }
        checkout.signal(Signal::SIGKILL);
        checkout.start();
        lives += 1;
        for name in &names {
            let status = checkout.find(name).unwrap().status.unwrap_or_default();
            if status.phase == PolecatPhase::Done {
                done.entry(name).or_insert(status.commit);
            }
        }
    }
    assert!(lives >= 2, "the town was never killed in its work");
    all_landed(&checkout, &names);
    for (name, commit) in done {
        let polecat = checkout.find(name).unwrap();
        assert_eq!(polecat.status.unwrap().commit, commit, "{name} was done and ran again");
    }
    for name in &names {
        let starts = starts(&checkout, name);
        assert!(starts <= 1 + lives, "{name} ran {starts} times in {lives} lives");
        // Killed between its commit and its word of the end, an agent starts again and commits again.
        assert!(
            times(&checkout, &format!("finish {name}")) <= starts,
            "{name} landed twice"
        );
    }
    until("no pod is left that goes on", || {
        let pods = checkout.live_pods();
        pods.is_empty().then_some(())
    });
}

#[test]
fn a_town_in_the_foreground_ends_at_ctrl_c_with_its_agents() {
    let checkout = Checkout::new();
    let sleeper = format!("sleep 8{}", std::process::id());
    let out = checkout.path("out");
    let mut town = checkout.spawn(&checkout.up_args(&[]), &out);
    until("the town", || {
        let text = std::fs::read_to_string(&out).unwrap();
        text.contains("the town is up").then_some(())
    });
    checkout.sling("p1", &in_two_halves("p1", &sleeper));
    checkout.says("p1", "in the middle");
    // A terminal tells the whole group.
    let group = Pid::from_raw(-i32::try_from(town.id()).unwrap());
    kill(group, Signal::SIGINT).unwrap();
    assert!(town.wait().unwrap().success());
    assert_eq!(checkout.processes(&sleeper), 0);
    checkout.start();
    checkout.lands("p1");
    assert_eq!(starts(&checkout, "p1"), 2);
}

#[test]
fn a_number_left_behind_by_a_crash_stops_no_stranger() {
    let checkout = Checkout::up();
    checkout.signal(Signal::SIGKILL);
    let mut stranger = checkout.stranger();
    std::fs::write(checkout.data().join("up.pid"), stranger.id().to_string()).unwrap();
    checkout.gastown(&["status"]).failed(3);
    checkout.gastown(&["down"]).ok();
    assert!(stranger.try_wait().unwrap().is_none(), "down has ended a stranger");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    checkout.start();
}

#[test]
fn a_corrupt_store_is_an_error_and_never_an_empty_town() {
    let checkout = Checkout::up();
    checkout.sling("p1", &at_once("p1"));
    checkout.lands("p1");
    checkout.gastown(&["down"]).ok();
    let store = checkout.data().join("store");
    let file = std::fs::read_dir(&store)
        .unwrap()
        .filter_map(Result::ok)
        .map(|f| f.path());
    let file = file.max_by_key(|f| f.metadata().unwrap().len()).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut bad = whole.clone();
    bad[..4096].fill(0xa5);
    std::fs::write(&file, &bad).unwrap();
    let err = checkout.gastown(&checkout.up_args(&["--detach"])).failed(1);
    assert!(err.contains(store.to_str().unwrap()), "it does not say where: {err}");
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(std::fs::read(&file).unwrap(), bad, "evidence stays");
    std::fs::write(&file, &whole).unwrap();
    checkout.start();
    checkout.lands("p1");
}

#[test]
fn locks_of_a_git_that_was_killed_stop_nothing() {
    let checkout = Checkout::up();
    let sleeper = format!("sleep 7{}", std::process::id());
    checkout.sling("p1", &in_two_halves("p1", &sleeper));
    checkout.says("p1", "in the middle");
    checkout.signal(Signal::SIGKILL);
    // As if each git had been killed between making its lock and removing it.
    let pods = checkout.data().join("node");
    let mut places = checkout.find_folders(&pods, "repo.git");
    places.retain(|p| p.parent().unwrap().ends_with("courier"));
    places.extend(checkout.find_folders(&pods, ".git"));
    assert_eq!(places.len(), 2, "the agent's and courier's: {places:?}");
    places.push(checkout.bare());
    for place in &places {
        for file in [
            "config",
            "HEAD",
            "packed-refs",
            "refs/heads/main",
            "refs/heads/polecat/p1",
        ] {
            let lock = place.join(format!("{file}.lock"));
            std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
            std::fs::write(lock, "").unwrap();
        }
    }
    std::fs::write(
        places.iter().find(|p| p.ends_with(".git")).unwrap().join("index.lock"),
        "",
    )
    .unwrap();
    checkout.start();
    checkout.lands("p1");
    assert_eq!(starts(&checkout, "p1"), 2);
}

#[test]
fn a_test_that_the_end_of_the_town_interrupts_is_no_verdict() {
    let checkout = Checkout::new();
    let sleeper = format!("sleep 1{}", std::process::id());
    checkout.script("test.sh", &sleeper);
    checkout.git(&["commit", "--quiet", "--all", "--message=A test that takes its time"]);
    checkout.start();
    checkout.sling("p1", &at_once("p1"));
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        until("the test", || (checkout.processes(&sleeper) > 0).then_some(()));
        checkout.signal(signal);
        until("the end of the test", || {
            (checkout.processes(&sleeper) == 0).then_some(())
        });
        checkout.start();
    }
    until("the test", || (checkout.processes(&sleeper) > 0).then_some(()));
    let status = checkout.find("p1").unwrap().status.unwrap();
    assert!(status.rounds.is_empty() && status.round == Some(1), "{status:?}");
    assert!(status.merged_commit.is_none());
}

/// What is not committed lies in the record repository that the rig names: a folder beside the town's own repository.
#[test]
fn uncommitted_work_is_kept_where_the_rig_says() {
    let checkout = Checkout::up();
    let records = checkout.data().join("records.git");
    let path = records.to_str().unwrap();
    checkout.git_in(&checkout.data(), &["init", "--quiet", "--bare", "records.git"]);
    checkout.rig(serde_json::json!({"record": {"gitURL": path}}));
    checkout.sling("nux", "echo half > draft; until test -e go; do sleep 0.1; done");
    let draft = |repository: &std::path::Path| {
        let refs = checkout.git_in(
            repository,
            &["for-each-ref", "--format=%(refname)", "refs/gastown/work"],
        );
        let name = refs.lines().next()?.to_owned();
        Some(checkout.git_in(repository, &["show", &format!("{name}:draft")]))
    };
    // It may be seen before it is written whole.
    until("the draft to be kept", || {
        draft(&records).filter(|text| text.trim() == "half")
    });
    assert_eq!(draft(&checkout.bare()), None, "it lies beside the code too");
}
