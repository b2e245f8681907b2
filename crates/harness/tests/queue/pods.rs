//! The built program, as the two pods start it: orders in by environment, exit code and report out.

use std::{fs, path::Path};

use gastown_wire::{
    AUTHORITIES_ENV, CandidateOutcome, CandidateReport, LandOutcome, LandReport, MergeStyle, ORDERS_ENV, Orders,
    RemoteTrouble, Report, TERMINATION_ENV, exit,
};

use crate::town::{Tested, Town};

pub(super) fn start<R: Report>(step: &str, orders: &Orders, at: &Path) -> (Option<i32>, R) {
    start_with(step, orders, at, &[])
}

fn start_with<R: Report>(step: &str, orders: &Orders, at: &Path, env: &[(&str, &Path)]) -> (Option<i32>, R) {
    let message = at.join(format!("{step}-message"));
    #[expect(clippy::disallowed_types, reason = "the program under test is a process")]
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_gastown-harness"))
        .arg(step)
        .env(ORDERS_ENV, serde_json::to_string(orders).unwrap())
        .env(TERMINATION_ENV, &message)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let text = fs::read_to_string(&message).unwrap_or_else(|e| panic!("no report ({e}): {said}"));
    (
        out.status.code(),
        R::decode(&text).unwrap_or_else(|e| panic!("{e}: {text}")),
    )
}

#[test]
fn a_test_pod_and_a_land_pod_leave_their_reports() {
    let town = Town::new();
    let member = town.member("nux", "main", &[&[("a", "1\n")]]);
    let orders = town.test_orders("test", MergeStyle::Rebase, &[member]);

    let (code, report) = start::<CandidateReport>("candidate", &Orders::Test(Box::new(orders)), &town.path("."));
    let CandidateOutcome::Built { commit, tree } = report.outcome.clone() else {
        panic!("{report:?}");
    };
    assert_eq!(code, Some(0));

    let tested = Tested { commit, tree, report };
    let land = Orders::Land(Box::new(town.land_orders("land", &tested)));
    let (code, report) = start::<LandReport>("land", &land, &town.path("."));
    assert_eq!((code, report.outcome), (Some(0), LandOutcome::Landed));
    assert_eq!(town.main(), tested.commit);
}

/// The test's container runs another image: its programs trust what `candidate` leaves them, the rig's own and everybody's.
#[test]
fn a_test_finds_the_rigs_authorities_beside_everybodys() {
    let town = Town::new();
    let member = town.member("nux", "main", &[&[("a", "1\n")]]);
    let orders = Orders::Test(Box::new(town.test_orders("test", MergeStyle::Rebase, &[member])));
    let (own, all) = (town.path("own.crt"), town.path("all.crt"));
    let env: [(&str, &Path); 2] = [("GIT_SSL_CAINFO", &own), (AUTHORITIES_ENV, &all)];

    let (code, report) = start_with::<CandidateReport>("candidate", &orders, &town.path("."), &env);
    let reason = RemoteTrouble::CaBundleMissing.as_str().to_owned();
    assert_eq!(
        (code, report.outcome),
        (Some(exit::CONFIG), CandidateOutcome::Config { reason })
    );

    fs::write(&own, "the rig's own\n").unwrap();
    let (code, report) = start_with::<CandidateReport>("candidate", &orders, &town.path("."), &env);
    assert_eq!(code, Some(0), "{report:?}");
    let everybodys = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    let all = fs::read_to_string(&all).unwrap();
    assert!(all.starts_with(&everybodys) && all.trim_end().ends_with("\nthe rig's own"));
}

/// It takes connections, as its host does, and says nothing.
#[test]
fn a_server_that_never_answers_keeps_neither_test_nor_land_pod() {
    let town = Town::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/parts.git", listener.local_addr().unwrap());
    let member = town.member("nux", "main", &[&[("a", "1\n")]]);
    let mut orders = town.test_orders("test", MergeStyle::Rebase, &[member]);
    let candidate = start::<CandidateReport>("candidate", &Orders::Test(Box::new(orders.clone())), &town.path("."));
    let CandidateOutcome::Built { commit, tree } = candidate.1.outcome.clone() else {
        panic!("{candidate:?}");
    };
    let tested = Tested {
        commit,
        tree,
        report: candidate.1,
    };
    let mut land = town.land_orders("land", &tested);
    let main = town.main();

    orders.paths = town.test_orders("test-2", MergeStyle::Rebase, &[]).paths;
    for (remote, pace) in [
        (&mut orders.remote, &mut orders.pace),
        (&mut land.remote, &mut land.pace),
    ] {
        remote.url.clone_from(&silent);
        pace.git_timeout_s = 1;
    }
    let (code, report) = start::<CandidateReport>("candidate", &Orders::Test(Box::new(orders)), &town.path("."));
    assert_eq!(
        (code, report.outcome),
        (Some(exit::TRANSIENT), CandidateOutcome::Transient)
    );
    assert!(report.detail.contains("took longer than 1s"), "{}", report.detail);
    let (code, report) = start::<LandReport>("land", &Orders::Land(Box::new(land)), &town.path("."));
    assert_eq!((code, report.outcome), (Some(exit::TRANSIENT), LandOutcome::Transient));
    assert!(report.detail.contains("took longer than 1s"), "{}", report.detail);
    assert_eq!(town.main(), main);
}

#[test]
fn a_test_container_never_starts_without_a_candidate() {
    let town = Town::new();
    let on_base = town.member("nux", "main", &[]);
    let mut orders = town.test_orders("test", MergeStyle::Rebase, &[on_base]);
    let mut codes = Vec::new();
    for change in [
        (|_| {}) as fn(&mut gastown_wire::TestOrders),
        |o| o.base = Some("1".repeat(40)),
        |o| o.base = None,
        |o| o.members[0].commit = "2".repeat(40),
        |o| o.remote.branch = "trunk".into(),
    ] {
        change(&mut orders);
        let (code, report) =
            start::<CandidateReport>("candidate", &Orders::Test(Box::new(orders.clone())), &town.path("."));
        codes.push((code.unwrap(), report.outcome));
    }
    assert_eq!(
        codes,
        [
            (79, CandidateOutcome::Nothing),
            (79, CandidateOutcome::BaseMoved),
            (79, CandidateOutcome::Nothing),
            (79, CandidateOutcome::Missing { i: 0 }),
            (
                exit::CONFIG,
                CandidateOutcome::Config {
                    reason: "BranchNotFound".into()
                }
            ),
        ]
    );
}

#[test]
fn the_orders_of_another_pod_are_refused_in_the_report() {
    let town = Town::new();
    let orders = Orders::Test(Box::new(town.test_orders("test", MergeStyle::Rebase, &[])));

    let (code, report) = start::<LandReport>("land", &orders, &town.path("."));

    assert_eq!(code, Some(exit::CONFIG));
    assert_eq!(
        report.outcome,
        LandOutcome::Config {
            reason: "BadOrders".into()
        }
    );
}
