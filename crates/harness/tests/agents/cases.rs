//! Every agent, every case.

use std::{fs, time::Duration};

use gastown_testkit::model::{Fault, Turn};
use gastown_wire::{CourierOutcome, CourierReport, CredentialProblem, RAW_MARK, Text};

use crate::{
    bench::{Bench, KEY, TASK, WORK, Who},
    logins::unusable,
    town::{git, signal, until},
};

each!(lands, a_task_lands_on_the_branch, Claude claude, Opencode opencode, Aider aider);
each!(resumes, a_lost_conversation_goes_on, Claude claude, Opencode opencode, Aider aider);
each!(handed_back, a_hand_back_goes_on, Claude claude, Opencode opencode, Aider aider);
each!(status_401, a_refused_key_is_named, Claude claude, Opencode opencode, Aider aider);
each!(status_429_later, a_limit_parks_and_goes_on, Claude claude, Opencode opencode, Aider aider);
each!(status_429_words, a_limit_in_words_parks_at_once, Aider aider);
each!(status_500, an_endpoint_that_fails_is_a_failure, Claude claude, Opencode opencode, Aider aider);
each!(hang, an_endpoint_that_hangs_is_ended, Claude claude, Opencode opencode, Aider aider);
each!(drop_, an_endpoint_that_drops_is_a_failure, Claude claude, Opencode opencode, Aider aider);
each!(no_change, nothing_done_is_no_change, Claude claude, Opencode opencode, Aider aider);
each!(killed, a_killed_agent_leaves_nobody, Claude claude, Opencode opencode);
each!(killed_asking, an_agent_killed_as_it_asks_is_a_failure, Aider aider);
each!(stall, an_answer_that_stalls_is_ended, Claude claude, Opencode opencode);
each!(long_task, a_long_task_is_told_to_its_end, Claude claude, Opencode opencode, Aider aider);
each!(says_key, a_key_that_the_model_says_is_not_shown, Claude claude, Opencode opencode, Aider aider);
each!(stopped, a_pod_that_goes_takes_its_tools_along, Claude claude, Opencode opencode);
each!(budget, what_is_spent_is_spent, Claude claude, Opencode opencode, Aider aider);
each!(no_key, without_a_key_nothing_starts, Claude claude, Opencode opencode, Aider aider);
each!(nudge, a_nudge_reaches_a_live_conversation, Claude claude);

/// Faults are over soon: what is in the table takes minutes.
pub(crate) fn hasten(bench: &mut Bench) {
    if bench.who == Who::Claude {
        bench.set("CLAUDE_CODE_MAX_RETRIES", "1");
        bench.set("API_TIMEOUT_MS", "4000");
    }
}

fn a_task_lands_on_the_branch(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    let file = git(
        &bench.town.remote,
        &["show", &format!("{}:AGENT.md", crate::town::WORK)],
    );
    assert_eq!(file, "written by an agent");
    let asked = bench.model.asked();
    assert!(bench.heard(0, TASK), "it was told its task");
    assert!(bench.heard(0, "Do not push"), "it was told how to finish");
    assert!(asked.iter().all(|a| a.credential.contains(KEY)), "it proved who pays");
    let tokens = report.tokens.expect("tokens are told");
    assert!(tokens.input >= 100 && tokens.output >= 20, "{tokens:?}");
    let log = pod.read("run.log");
    let line = match who {
        Who::Aider => "edits AGENT.md",
        _ => "runs  $ echo 'written by an agent' > AGENT.md",
    };
    assert!(log.contains(line), "people read what it does:\n{log}");
    assert!(log.contains("spent "), "{log}");
    assert!(!log.contains("\"type\":"), "raw JSON is not for people:\n{log}");
    let raw = pod.read("courier.log");
    assert!(
        raw.lines().any(|l| l.starts_with(RAW_MARK)),
        "machines read the rest:\n{raw}"
    );
    assert_eq!(
        git(&pod.workspace(), &["status", "--porcelain"]),
        "",
        "nothing is left lying about"
    );
    bench.told("done");
}

fn a_lost_conversation_goes_on(who: Who, case: &'static str) {
    let first = match who {
        Who::Aider => vec![Turn::Say("I will think about it.".into())],
        _ => vec![Turn::Shell("echo half > draft.txt; touch ../busy; sleep 300".into())],
    };
    let Some(bench) = Bench::of(who, case, first) else {
        return;
    };
    if who == Who::Aider {
        // It has no tool to be interrupted in: its second request hangs.
        bench.model.fail(Some(Fault::Hang));
    }
    let pod = bench.pod(1, 1);
    let up = pod.cloned().up();
    until("the conversation is carried", || {
        let busy = who == Who::Aider || pod.path("work/busy").exists();
        busy && !bench.model.asked().is_empty()
            && bench.town.record()["conversation"].is_string()
            && carried(&bench, TASK)
    });
    up.lost();
    let asked = bench.model.asked().len();
    bench.model.fail(None);
    bench.model.instead(who.work());
    // Another pod, another home, another folder.
    let next = bench.pod(1, 2);
    let report = bench.run(&next);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}\n{}", pod.logs(), next.logs());
    assert!(bench.heard(asked, TASK), "it remembers its task");
    assert!(
        bench.heard(asked, "You were interrupted"),
        "it knows what happened: {}",
        next.logs()
    );
    assert!(
        next.read("run.log").contains("its conversation goes on"),
        "{}",
        next.logs()
    );
    bench.told("the same conversation, done");
}

/// Whether the conversation on the remote holds some words.
fn carried(bench: &Bench, words: &str) -> bool {
    let name = format!("{}:conversation", gastown_wire::conversation_ref(crate::town::UID));
    let out = std::process::Command::new("git")
        .current_dir(&bench.town.remote)
        .args(["cat-file", "blob", &name])
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).contains(words)
}

fn a_hand_back_goes_on(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    let first = bench.pod(1, 1);
    let done = bench.run(&first);
    assert_eq!(done.outcome, CourierOutcome::Done, "{}", first.logs());
    let asked = bench.model.asked().len();
    bench.model.then(match who {
        Who::Aider => vec![Turn::Say(
            "AGENT.md\n```\n<<<<<<< SEARCH\nwritten by an agent\n=======\n# Agent\n>>>>>>> REPLACE\n```\n".into(),
        )],
        _ => vec![
            Turn::Shell("echo '# Agent' > AGENT.md && git commit -qam 'agent: a heading'".into()),
            Turn::Say("Mended.".into()),
        ],
    });
    let mut second = bench.pod(2, 2);
    second.orders.evidence = Some(Bench::evidence(&done.commit));
    let report = bench.run(&second);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", second.logs());
    assert!(bench.heard(asked, TASK), "it remembers its task");
    assert!(
        bench.heard(asked, "AGENT.md wants a heading"),
        "it is told the evidence"
    );
    let file = git(
        &bench.town.remote,
        &["show", &format!("{}:AGENT.md", crate::town::WORK)],
    );
    assert_eq!(file, "# Agent");
    bench.told("round 2 knows round 1 and the evidence, done");
}

fn a_refused_key_is_named(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.model.fail(Some(Fault::status(401)));
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, unusable(CredentialProblem::Refused), "{}", pod.logs());
    // Claude Code would ask eight times, which takes more than a minute.
    assert!(bench.model.asked().len() <= 4, "within seconds: {}", pod.logs());
    bench.told(&format!(
        "credential refused; {} requests; {:?}",
        bench.model.asked().len(),
        report.detail
    ));
}

fn a_limit_parks_and_goes_on(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.model.fail(Some(Fault::later(3600)));
    // Of the three only one shows when the provider will take requests again.
    let named = if who == Who::Opencode { 3600 } else { 300 };
    let pod = bench.pod(1, 1);
    let began = now();
    let report = bench.run(&pod);
    assert_parked_for(named, began, &report, &pod);
    let asked = bench.model.asked().len();
    bench.model.fail(None);
    let next = bench.pod(1, 2);
    let done = bench.run(&next);
    assert_eq!(done.outcome, CourierOutcome::Done, "{}\n{}", pod.logs(), next.logs());
    assert!(bench.heard(asked, TASK), "the same conversation: {}", next.logs());
    assert!(bench.heard(asked, "You were interrupted"), "{}", next.logs());
    bench.told(&format!("parked for {named} s after {asked} requests, then done"));
}

fn a_limit_in_words_parks_at_once(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.model.fail(Some(Fault::Says(
        429,
        "Limit 30000 a day. Please try again in 1h12m.".into(),
    )));
    let pod = bench.pod(1, 1);
    let began = now();
    let report = bench.run(&pod);
    assert_parked_for(4320, began, &report, &pod);
    // What its library tries by itself, before it says a word.
    assert_eq!(bench.model.asked().len(), 3, "{}", pod.logs());
    bench.told("parked for the time in the provider's words");
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Until so long after some moment of the run, to a second more or less.
fn assert_parked_for(seconds: i64, began: i64, report: &CourierReport, pod: &crate::town::Pod) {
    let CourierOutcome::Parked { until } = report.outcome else {
        panic!("{report:?}\n{}", pod.logs());
    };
    let asked_at = until - seconds;
    assert!((began..=now() + 1).contains(&asked_at), "{until}: {}", pod.logs());
}

fn an_endpoint_that_fails_is_a_failure(who: Who, case: &'static str) {
    fails(who, case, Fault::status(500), None);
}

fn an_endpoint_that_drops_is_a_failure(who: Who, case: &'static str) {
    fails(who, case, Fault::Drop, None);
}

fn an_endpoint_that_hangs_is_ended(who: Who, case: &'static str) {
    // Claude Code bounds it by itself.
    fails(who, case, Fault::Hang, (who != Who::Claude).then_some(20));
}

/// The answer begins and never ends, for which Claude Code would wait five minutes.
fn an_answer_that_stalls_is_ended(who: Who, case: &'static str) {
    fails(who, case, Fault::Stall, Some(20));
}

/// Longer than what fits in an argument or in a pod's spec.
fn a_long_task_is_told_to_its_end(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    let mut pod = bench.pod(1, 1);
    let rules: String = (1..=3000)
        .map(|n| format!("House rule {n}: leave the workshop as you found it, or better, please.\n"))
        .collect();
    let task = format!("{TASK}\n{rules}Last of all: paint it chrome.\n");
    assert!(task.len() > 200_000);
    fs::write(pod.path("task"), &task).unwrap();
    pod.orders.task = Text::File(pod.path("task").display().to_string());
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    assert!(bench.heard(0, "House rule 3000") && bench.heard(0, "paint it chrome"));
    bench.told(&format!("{} KB told; done", task.len() / 1000));
}

fn fails(who: Who, case: &'static str, fault: Fault, max_idle: Option<u64>) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    hasten(&mut bench);
    let retries = matches!(fault, Fault::Status(500, _));
    bench.model.fail(Some(fault));
    let mut pod = bench.pod(1, 1);
    pod.orders.pace.max_idle_s = max_idle.or(pod.orders.pace.max_idle_s);
    let report = bench.run(&pod);
    let CourierOutcome::AgentFailed { exit } = report.outcome else {
        panic!("{:?}\n{}", report, pod.logs());
    };
    assert!(!report.detail.is_empty(), "why is told\n{}", pod.logs());
    if retries {
        let log = pod.read("run.log");
        assert!(log.lines().any(|line| line.starts_with("waits ")), "{log}");
    }
    bench.told(&format!(
        "failed (exit {exit}); {} requests; {:?}",
        bench.model.asked().len(),
        report.detail
    ));
}

fn nothing_done_is_no_change(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, vec![Turn::Say("Nothing is to be done.".into())]) else {
        return;
    };
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::NoChange, "{}", pod.logs());
    bench.told("no change, said so");
}

/// An agent whose tool sleeps, in a shell of its own.
fn busy(who: Who, case: &'static str) -> Option<(Bench, crate::town::Pod)> {
    let turns = vec![Turn::Shell(format!("{WORK}; touch ../busy; sleep 271"))];
    let bench = Bench::of(who, case, turns)?;
    let pod = bench.pod(1, 1);
    Some((bench, pod))
}

/// Processes below a folder's pod that sleep.
fn sleepers(pod: &crate::town::Pod) -> usize {
    let folder = pod.workspace();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|e| fs::read_link(e.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)))
        .count()
}

fn a_killed_agent_leaves_nobody(who: Who, case: &'static str) {
    let Some((bench, pod)) = busy(who, case) else { return };
    let up = pod.cloned().up();
    until("its tool runs", || pod.path("work/busy").exists());
    let agent = crate::town::children(up.run.id());
    signal(*agent.first().unwrap(), "KILL");
    let report = up.report();
    assert!(
        matches!(report.outcome, CourierOutcome::AgentFailed { exit: 137 }),
        "{report:?}"
    );
    assert_eq!(sleepers(&pod), 0, "its tools are dead");
    assert_eq!(report.commits, 1, "its work is kept");
    bench.told("failed (exit 137), its tools dead, its commit pushed");
}

/// aider has no tool that could be under way: its turn is what it waits for.
fn an_agent_killed_as_it_asks_is_a_failure(who: Who, case: &'static str) {
    let Some(bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.model.fail(Some(Fault::Hang));
    let pod = bench.pod(1, 1);
    let up = pod.cloned().up();
    until("it asks", || !bench.model.asked().is_empty());
    signal(*crate::town::children(up.run.id()).first().unwrap(), "KILL");
    let report = up.report();
    assert!(
        matches!(report.outcome, CourierOutcome::AgentFailed { exit: 137 }),
        "{report:?}"
    );
    bench.model.fail(None);
    let next = bench.pod(1, 2);
    let report = bench.run(&next);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", next.logs());
    bench.told("failed (exit 137); the next attempt done");
}

fn a_key_that_the_model_says_is_not_shown(who: Who, case: &'static str) {
    let mut turns = who.work();
    let said = format!("Done. The key is {KEY}, I think.");
    match (who, turns.last_mut()) {
        (Who::Aider, Some(Turn::Say(edit))) => edit.push_str(&format!("\n\n{said}\n")),
        (_, Some(last)) => *last = Turn::Say(said),
        (_, None) => {}
    }
    let Some(bench) = Bench::of(who, case, turns) else {
        return;
    };
    let pod = bench.pod(1, 1);
    // That no log holds it, every run looks for.
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    for log in ["run.log", "courier.log", "shared/raw.log"] {
        assert!(
            pod.read(log).contains("The key is [redacted], I think"),
            "{log}: {}",
            pod.logs()
        );
    }
    bench.told("hidden in the log, the raw stream and courier's");
}

fn a_pod_that_goes_takes_its_tools_along(who: Who, case: &'static str) {
    let Some((bench, pod)) = busy(who, case) else { return };
    let up = pod.cloned().up();
    until("its tool runs", || pod.path("work/busy").exists());
    up.terminate();
    let report = up.report();
    assert_eq!(report.outcome, CourierOutcome::Stopped, "{}", pod.logs());
    assert_eq!(sleepers(&pod), 0, "its tools are dead");
    assert_eq!(report.commits, 1, "its work is kept");
    bench.told("stopped, its tools dead, its commit pushed");
}

fn what_is_spent_is_spent(who: Who, case: &'static str) {
    let turns = match who {
        Who::Aider => who.work(),
        // The second answer takes it over: what the first had it do is there.
        _ => vec![Turn::Shell(WORK.into()), Turn::Shell("sleep 30".into())],
    };
    let Some(mut bench) = Bench::of(who, case, turns) else {
        return;
    };
    let tokens = if who == Who::Aider { 100 } else { 150 };
    bench.budget = Some(gastown_api::Budget {
        tokens: Some(tokens),
        ..gastown_api::Budget::default()
    });
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    // aider has said all in one answer; it is counted all the same.
    let fine = matches!(report.outcome, CourierOutcome::BudgetSpent)
        || (who == Who::Aider && report.outcome == CourierOutcome::Done);
    assert!(fine, "{:?}\n{}", report, pod.logs());
    assert!(
        report
            .tokens
            .is_some_and(|t| i64::try_from(t.total()).unwrap() >= tokens),
        "{:?}",
        report
    );
    // aider commits after its one answer, or is ended before it can.
    if who != Who::Aider {
        let kept = (report.commits, &report.commit);
        assert_eq!(kept, (1, &bench.town.work()), "its work is kept: {}", pod.logs());
    }
    bench.told(&format!(
        "{:?} at {} tokens",
        report.outcome,
        report.tokens.unwrap().total()
    ));
}

fn without_a_key_nothing_starts(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.keyless = true;
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, unusable(CredentialProblem::Missing), "{}", pod.logs());
    assert!(bench.model.asked().is_empty());
    bench.told("credential missing, nothing started");
}

fn a_nudge_reaches_a_live_conversation(who: Who, case: &'static str) {
    let turns = vec![
        Turn::Shell("touch ../busy; until [ -e ../nudged ]; do sleep 0.1; done; sleep 1".into()),
        Turn::Shell(WORK.into()),
        Turn::Say("Done.".into()),
    ];
    let Some(bench) = Bench::of(who, case, turns) else {
        return;
    };
    let pod = bench.pod(1, 1);
    let up = pod.cloned().up();
    until("its tool runs", || pod.path("work/busy").exists());
    fs::write(
        pod.path("pod/annotations"),
        "gastown.io/nudge=\"prefer the blue part\"\n",
    )
    .unwrap();
    until("the nudge is passed on", || {
        pod.read("run.log").contains("nudged, in its conversation")
    });
    std::thread::sleep(Duration::from_millis(300));
    fs::write(pod.path("work/nudged"), "").unwrap();
    let report = up.report();
    assert!(bench.heard(0, "prefer the blue part"), "{}", pod.logs());
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    bench.told("heard in the turn that was under way");
}
