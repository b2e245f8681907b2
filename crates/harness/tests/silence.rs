//! A long model call is not silence; a dead one is. And an agent of which nothing is seen hears the Witness's word.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use gastown_wire::*;
use town::*;

/// Longer than an agent may be silent here: so long a model thinks aloud, a heartbeat now and then.
const THINKS: Duration = Duration::from_secs(10);

/// A model that answers one call for [`THINKS`], and then is dead though its connection stands. Tells how long that took
/// until its caller hung up.
fn model() -> (SocketAddr, mpsc::Receiver<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, (send, hung_up)) = (listener.local_addr().unwrap(), mpsc::channel());
    thread::spawn(move || {
        let (mut call, _) = listener.accept().unwrap();
        let began = Instant::now();
        call.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .unwrap();
        while began.elapsed() < THINKS && call.write_all(b": ping\n\n").is_ok() {
            thread::sleep(Duration::from_millis(400));
        }
        // Until nothing more is heard: its end.
        let mut rest = [0; 1024];
        while call.read(&mut rest).is_ok_and(|n| n > 0) {}
        send.send(began.elapsed()).unwrap();
    });
    (addr, hung_up)
}

#[test]
fn a_long_model_call_is_work_and_a_dead_one_is_not() {
    let town = Town::new();
    let (addr, hung_up) = model();
    // It prints nothing, writes nothing and waits: what a coding agent does while its model thinks.
    let mut pod = town.pod(&format!(
        "exec curl --silent --no-buffer --output /dev/null http://{addr}/v1/messages"
    ));
    pod.orders.pace.max_idle_s = Some(5);
    pod.orders.pace.push_interval_ms = 100;

    let report = pod.all();

    let CourierOutcome::AgentFailed { .. } = report.outcome else {
        panic!("{report:?}\n{}", pod.logs());
    };
    assert!(report.detail.contains("nothing was seen of it for 5 s"), "{report:?}");
    let lasted = hung_up.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(
        lasted >= THINKS,
        "ended after {lasted:?}, in the middle of an answer: {}",
        pod.logs()
    );
}

/// The provider's word that it takes nothing for an hour, told by the plugin that lies in the agent's home.
#[test]
fn who_would_wait_for_an_hour_is_parked_with_its_work() {
    let town = Town::new();
    let mut pod = town.pod("echo half > half.txt; cat ~/.config/waits >&2; echo >&2; exec sleep 300");
    let until = jiff::Timestamp::now().as_second() + 3600;
    let told = serde_json::json!({"type": "session.status", "properties": {"sessionID": "ses_1", "status": {
        "type": "retry", "attempt": 1, "message": "scripted 429", "next": until * 1000,
    }}});
    pod.orders.agent.transcript = Transcript::Opencode;
    pod.orders.agent.files = [(".config/waits".to_owned(), told.to_string())].into();

    let report = pod.all();

    assert_eq!(report.outcome, CourierOutcome::Parked { until }, "{}", pod.logs());
    assert!(
        pod.read("run.log").contains("scripted 429"),
        "why is told: {}",
        pod.logs()
    );
    let kept = git(&town.remote, &["show", &format!("{}:half.txt", snapshot_ref(UID))]);
    assert_eq!(kept, "half", "its work is kept");
}

#[test]
fn the_witness_word_reaches_the_agent_beside_a_persons() {
    let town = Town::new();
    let pod = town.pod(
        "until [ \"$(grep -c . \"$GASTOWN_NUDGE_FILE\" 2>/dev/null)\" = 2 ]; do sleep 0.05; done; \
         cp \"$GASTOWN_NUDGE_FILE\" ../nudge; echo new > b.txt; git add -A; git commit -qm 'add b'",
    );
    let up = pod.cloned().up();
    until("the agent works", || pod.read("run.log").contains("started"));
    let both = "gastown.io/nudge=\"look\"\ngastown.io/witness-nudge=\"12:00 Nothing has been seen of you\"\n";
    fs::write(pod.path("pod/annotations"), both).unwrap();
    assert_eq!(up.report().outcome, CourierOutcome::Done, "{}", pod.logs());
    let heard = pod.read("work/nudge");
    assert!(
        heard.contains("look") && heard.contains("12:00 Nothing has been seen of you"),
        "{heard}"
    );
}
