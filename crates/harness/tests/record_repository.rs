//! A record repository: what is not committed lies there and nowhere else, and without it the work goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests run processes")]

mod town;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use gastown_wire::*;
use town::*;

/// Commits once, leaves a file uncommitted, and never ends by itself.
const LEAVES: &str =
    "echo 1 > b.txt; git add -A; git commit -qm one; echo 'half a thought' > draft.txt; until false; do sleep 1; done";
const TALK: &[u8] = b"what was said so far";

fn records(town: &Town) -> PathBuf {
    git(town.dir.path(), &["init", "-q", "--bare", "records.git"]);
    town.dir.path().join("records.git")
}

/// An attempt that keeps everything, in the record repository.
fn attempt(town: &Town, attempt: u32, script: &str) -> Pod {
    let mut pod = town.attempt(1, attempt, script);
    pod.orders.record = RecordLevel::Conversation;
    pod.orders.content = Some(RemoteOrders {
        url: town.dir.path().join("records.git").display().to_string(),
        ..RemoteOrders::default()
    });
    pod
}

fn talk_of(pod: &Pod) -> PathBuf {
    pod.path("shared").join(gastown_harness::conversation::FILE)
}

fn tip(repository: &Path, name: &str) -> String {
    let (ok, text) = try_git(repository, &["rev-parse", "--verify", "-q", name]);
    if ok { text } else { String::new() }
}

/// What a report calls what is wrong with the record repository.
fn trouble(content: Option<ContentTrouble>) -> String {
    content.map(|told| told.reason).unwrap_or_default()
}

/// Everything that the attempt has is in the record repository, and the record says so.
fn is_kept(town: &Town, records: &Path) -> bool {
    let (snapshot, talk) = (tip(records, &snapshot_ref(UID)), tip(records, &conversation_ref(UID)));
    let (recorded, record) = try_git(&town.remote, &["show", &format!("{}:record.json", record_ref(UID))]);
    let drafted = try_git(records, &["cat-file", "-e", &format!("{snapshot}:draft.txt")]).0;
    recorded && drafted && !talk.is_empty() && [snapshot, talk].iter().all(|id| record.contains(id))
}

/// An attempt whose node dies once all it has is kept.
fn lost(town: &Town, records: &Path) {
    let first = attempt(town, 1, LEAVES);
    fs::write(talk_of(&first), TALK).unwrap();
    let up = first.cloned().up();
    until("everything is kept", || is_kept(town, records));
    up.lost();
}

#[test]
fn what_is_not_committed_is_kept_in_the_record_repository_only() {
    let town = Town::new();
    let records = records(&town);
    lost(&town, &records);
    let refs = town.refs();
    assert!(
        !refs.contains("refs/gastown/work/") && !refs.contains("refs/gastown/conversations/"),
        "{refs}"
    );
    for kept in [snapshot_ref(UID), conversation_ref(UID)] {
        let id = tip(&records, &kept);
        assert!(
            !try_git(&town.remote, &["cat-file", "-e", &id]).0,
            "{kept} is beside the code too"
        );
    }
    assert_eq!(
        tip(&records, &record_ref(UID)),
        "",
        "the record stays with the work it fences"
    );

    let second = attempt(&town, 2, "grep -q thought draft.txt; git add -A; git commit -qm two");
    let (code, report) = second.clone_step();
    assert_eq!(
        (code, report.outcome),
        (0, CloneOutcome::Ready { commits: 1, dirty: 1 }),
        "{}",
        second.logs()
    );
    assert_eq!(fs::read(talk_of(&second)).unwrap(), TALK);
    let report = second.up().report();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 2),
        "{}",
        second.logs()
    );
    assert_eq!(report.content, None);
    assert_eq!(
        git(&town.remote, &["show", &format!("{WORK}:draft.txt")]),
        "half a thought"
    );
    assert_eq!(tip(&records, &snapshot_ref(UID)), "", "nothing is uncommitted any more");
}

#[test]
fn a_resume_that_cannot_read_it_goes_on_without_and_says_so() {
    let town = Town::new();
    let records = records(&town);
    lost(&town, &records);
    fs::rename(&records, town.dir.path().join("elsewhere.git")).unwrap();

    let second = attempt(&town, 2, "test ! -e draft.txt; echo 2 > b.txt; git commit -qam two");
    let (code, report) = second.clone_step();
    assert_eq!(
        (code, report.outcome),
        (0, CloneOutcome::Ready { commits: 1, dirty: 0 })
    );
    assert_eq!(trouble(report.content), "RepositoryNotFound");
    assert!(
        report.detail.contains("the record repository cannot be read"),
        "{}",
        report.detail
    );
    assert!(!talk_of(&second).exists());
    let report = second.up().report();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 2),
        "{}",
        second.logs()
    );
    assert_eq!(report.commit, town.work());
    assert_eq!(trouble(report.content), "RepositoryNotFound", "{}", second.logs());
}

#[test]
fn work_is_carried_while_it_is_away_and_the_rest_follows_in_the_end() {
    let town = Town::new();
    let pod = attempt(&town, 1, LEAVES);
    fs::write(talk_of(&pod), TALK).unwrap();
    let (code, report) = pod.clone_step();
    assert_eq!(
        (code, report.outcome),
        (0, CloneOutcome::Ready { commits: 0, dirty: 0 })
    );
    let up = pod.up();
    until("the work is carried", || !town.work().is_empty());
    until("courier has tried", || {
        pod.logs().contains("the record repository cannot be used now")
    });
    let records = records(&town);

    up.terminate();
    let report = up.report();

    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Stopped, 1),
        "{}",
        pod.logs()
    );
    assert!(is_kept(&town, &records), "{}", pod.logs());
    assert_eq!(report.content, None, "it came in the end");
    let next = attempt(&town, 2, "true");
    assert_eq!(
        next.clone_step().1.outcome,
        CloneOutcome::Ready { commits: 1, dirty: 1 }
    );
}

#[test]
fn a_credential_that_does_not_fit_it_holds_up_no_work() {
    let town = Town::new();
    let mut pod = attempt(&town, 1, GOOD);
    fs::write(talk_of(&pod), TALK).unwrap();
    // An ssh address, and no key.
    pod.orders.content = Some(RemoteOrders {
        url: "git@records.example:org/records.git".into(),
        ..RemoteOrders::default()
    });
    let report = pod.all();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 1),
        "{}",
        pod.logs()
    );
    assert!(pod.logs().contains("nothing but commits is kept"), "{}", pod.logs());
    assert_eq!(trouble(report.content), "CredentialMissing");
    assert!(!town.refs().contains("refs/gastown/conversations/"), "{}", town.refs());
}

#[test]
fn a_repository_that_takes_no_such_refs_is_named_and_holds_up_no_work() {
    let town = Town::new();
    let records = records(&town);
    // As a server does that takes nothing beside branches and tags.
    let hook = records.join("hooks/update");
    fs::write(&hook, "#!/bin/sh\necho 'deny updating a hidden ref'\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let pod = attempt(&town, 1, GOOD);
    fs::write(talk_of(&pod), TALK).unwrap();
    let report = pod.all();
    assert_eq!(
        (report.outcome, report.commits),
        (CourierOutcome::Done, 1),
        "{}",
        pod.logs()
    );
    assert_eq!(trouble(report.content), "RefsRefused", "{}", pod.logs());
    assert_eq!(git(&records, &["for-each-ref"]), "");
}

/// An older attempt that comes back moves nothing there either: the record comes first.
#[test]
fn a_fenced_attempt_moves_nothing_there() {
    let town = Town::new();
    let records = records(&town);
    let old = attempt(
        &town,
        1,
        "until [ -e ../go ]; do sleep 0.05; done; echo old > draft.txt; until false; do sleep 1; done",
    );
    let up = old.cloned().up();
    until("the old agent waits", || old.read("run.log").contains("started"));
    let new = attempt(&town, 2, GOOD);
    assert_eq!(new.clone_step().0, 0, "{}", new.logs());

    fs::write(old.path("work/go"), "").unwrap();
    let (run, courier, _) = up.codes();

    assert_eq!((run, courier), (exit::FENCED, exit::FENCED), "{}", old.logs());
    assert_eq!(git(&records, &["for-each-ref"]), "");
    assert_eq!(new.up().report().outcome, CourierOutcome::Done, "{}", new.logs());
}
