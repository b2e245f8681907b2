//! Reports keep their bounds, their versions and their meaning.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use gastown_wire::*;
use proptest::prelude::*;

fn courier(detail: String, why: String) -> CourierReport {
    CourierReport {
        version: VERSION,
        round: 3,
        attempt: 7,
        outcome: CourierOutcome::PushRejected { why },
        branch: "feature/x".into(),
        base: "a".repeat(40),
        commit: "b".repeat(40),
        commits: 2,
        tokens: Some(Tokens { input: 1, output: 2 }),
        cost_micros: Some(21_300),
        detail,
        content: None,
    }
}

proptest! {
    #[test]
    fn a_report_fits_and_reads_back_whatever_it_holds(
        detail in "\\PC{0,3000}", why in "\\PC{0,3000}", content in "\\PC{0,3000}",
    ) {
        let mut report = courier(detail, why);
        report.content = Some(ContentTrouble { reason: "CredentialReadOnly".into(), detail: content });
        let text = report.encode();
        prop_assert!(text.len() <= REPORT_LIMIT);
        let back = CourierReport::decode(&text).unwrap();
        prop_assert_eq!(back.commit, report.commit);
        prop_assert_eq!(back.attempt, 7);
        prop_assert_eq!(back.content.unwrap().reason, "CredentialReadOnly");
    }

    #[test]
    fn nothing_a_container_leaves_makes_decoding_fail_badly(text in "\\PC{0,300}") {
        let _ = CourierReport::decode(&text);
        let _ = CloneReport::decode(&text);
    }
}

#[test]
fn a_candidate_of_the_largest_batch_names_every_member() {
    let report = CandidateReport {
        version: VERSION,
        outcome: CandidateOutcome::Built {
            commit: "c".repeat(40),
            tree: "d".repeat(40),
        },
        base: "e".repeat(40),
        included: (0..MAX_MEMBERS).map(|i| Included { i, c: "f".repeat(40) }).collect(),
        conflicts: vec![Conflict {
            i: 0,
            paths: vec!["p".repeat(300); 40],
        }],
        empty: vec![],
        detail: "x".repeat(9000),
    };
    let text = report.encode();
    assert!(text.len() <= QUEUE_REPORT_LIMIT, "{} bytes", text.len());
    let back = CandidateReport::decode(&text).unwrap();
    assert_eq!(back.included.len(), MAX_MEMBERS);
    assert_eq!(back.conflicts.len(), 1);
}

#[test]
fn unknown_fields_are_tolerated_and_newer_versions_refused() {
    let known = r#"{"version":1,"attempt":2,"outcome":"ready","commits":1,"dirty":0,"future":{"a":1}}"#;
    assert!(matches!(
        CloneReport::decode(known).unwrap().outcome,
        CloneOutcome::Ready { commits: 1, .. }
    ));
    let newer = r#"{"version":2,"attempt":2,"outcome":"fenced"}"#;
    assert_eq!(CloneReport::decode(newer), Err(ReportError::Version { found: 2 }));
    assert_eq!(CloneReport::decode("  \n"), Err(ReportError::Empty));
    assert!(matches!(
        CloneReport::decode("{\"version\":1"),
        Err(ReportError::Malformed(_))
    ));
}

#[test]
fn orders_round_trip_and_tolerate_what_they_do_not_know() {
    let orders = Orders::Polecat(Box::new(PolecatOrders {
        version: VERSION,
        task: Text::Inline("say \"hi\" $(rm -rf /)\n🦨".into()),
        ..PolecatOrders::default()
    }));
    let text = serde_json::to_string(&orders).unwrap();
    assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
    let more = text.replacen('{', "{\"later\":true,", 1);
    assert_eq!(serde_json::from_str::<Orders>(&more).unwrap(), orders);
}

#[test]
fn every_way_a_courier_can_end_reads_back() {
    use CourierOutcome::*;
    for outcome in [
        Done,
        NoChange,
        DirtyTree { files: 3 },
        WrongBranch {
            branch: "theirs".into(),
        },
        AgentFailed { exit: 137 },
        AgentMissing {
            program: "claude".into(),
        },
        Stopped,
        AgentLost,
        Fenced,
        PushRejected {
            why: "protected".into(),
        },
        PushFailed,
    ] {
        let report = CourierReport {
            outcome,
            ..courier("d".into(), "w".into())
        };
        assert_eq!(CourierReport::decode(&report.encode()).unwrap(), report);
    }
}
