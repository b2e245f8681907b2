//! What an agent may spend and show: how limits park, how credentials that cannot be used are named, what a budget stops.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use common::*;
use gastown_api as api;
use gastown_api::{AgentKind, Budget, PolecatPhase, SecretKeyRef, SecretReference};
use gastown_rules::{Key, Kind, PodPhase, Town};
use gastown_wire::{CourierOutcome, CourierReport, CredentialProblem, Report as _, Tokens};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A polecat of Claude Code whose agent runs.
fn at_work(change: impl FnOnce(&mut api::RigSpec)) -> Scene {
    let mut scene = Scene::of(Town::default());
    scene.rig("parts", |r| {
        r.spec.git_url = "https://example.org/parts.git".into();
        r.spec.agent = Some(AgentKind::ClaudeCode);
        r.spec.agent_config = None;
        r.spec.claude_creds_secret_ref = Some(SecretReference {
            name: "claude-creds".into(),
        });
        change(&mut r.spec);
    });
    scene.polecat("nux", |_| {});
    scene.at_work("nux");
    scene
}

/// The current attempt ends with a report.
fn report(scene: &mut Scene, outcome: CourierOutcome) {
    report_spent(scene, outcome, None, None);
}

fn report_spent(scene: &mut Scene, outcome: CourierOutcome, tokens: Option<Tokens>, cost_micros: Option<u64>) {
    let status = scene.status("nux").clone();
    let report = CourierReport {
        tokens,
        cost_micros,
        ..courier(outcome, status.round.unwrap(), status.attempt.unwrap())
    };
    scene.pod(&status.pod_name.unwrap(), |p| {
        over(p, PodPhase::Succeeded);
        said(p, "courier", 0, &report.encode());
    });
    scene.settle();
}

fn rig_status(scene: &Scene) -> &api::RigStatus {
    &scene.world.rigs["parts"].status
}

#[test]
fn a_usage_limit_parks_and_goes_on_by_itself() {
    let mut scene = at_work(|_| {});
    let until = scene.now.as_second() + 3600;
    report(&mut scene, CourierOutcome::Parked { until });
    let status = scene.status("nux").clone();
    assert_eq!(status.phase, PolecatPhase::Idle);
    assert_eq!(condition(&status.conditions, "Progressing"), ("False", "Parked"));
    assert_eq!(condition(&status.conditions, "Degraded").0, "False", "it is no failure");
    assert_eq!(status.retry_after.as_ref().unwrap().0.as_second(), until);
    assert_eq!((status.failures, status.lost), (None, None), "nothing is spent");
    assert!(
        status
            .message
            .as_deref()
            .unwrap()
            .contains("goes on at 2026-11-24T01:00:0"),
        "{:?}",
        status.message
    );
    scene.later(3500);
    scene.settle();
    assert_eq!(scene.status("nux").attempt, Some(1), "not before its time");
    scene.later(200);
    scene.settle();
    assert_eq!(
        (scene.status("nux").phase, scene.status("nux").attempt),
        (PolecatPhase::Working, Some(2))
    );
}

#[test]
fn it_is_said_with_what_a_parked_polecat_goes_on() {
    use api::RecordLevel::{Commits, Conversation, Work};
    for (level, goes_on) in [
        (None, " from its commits; record.level conversation"),
        (Some(Commits), " from its commits; record.level conversation"),
        (Some(Work), " with its files; record.level conversation"),
        (Some(Conversation), " with the same conversation"),
    ] {
        let mut scene = at_work(|r| {
            r.record = level.map(|level| api::RecordSpec {
                level: Some(level),
                ..Default::default()
            });
        });
        let until = scene.now.as_second() + 3600;
        report(&mut scene, CourierOutcome::Parked { until });
        let message = scene.status("nux").message.clone().unwrap();
        assert!(message.contains(goes_on), "{level:?}: {message}");
    }
}

#[test]
fn a_parked_polecat_leaves_its_place_to_others() {
    let mut scene = at_work(|r| {
        r.settings = Some(api::RigSettings {
            max_polecats: Some(1),
            ..Default::default()
        });
    });
    scene.polecat("slit", |_| {});
    scene.settle();
    assert_eq!(scene.status("slit").phase, PolecatPhase::Idle, "no room");
    let until = scene.now.as_second() + 3600;
    report(&mut scene, CourierOutcome::Parked { until });
    assert_eq!(scene.status("slit").phase, PolecatPhase::Working);
}

#[test]
fn a_time_that_is_none_is_not_waited_for() {
    for until in [i64::MIN, 0, i64::MAX] {
        let mut scene = at_work(|_| {});
        report(&mut scene, CourierOutcome::Parked { until });
        let wait = scene
            .status("nux")
            .retry_after
            .as_ref()
            .unwrap()
            .0
            .duration_since(scene.now)
            .as_secs();
        assert!((30..=8 * 86_400).contains(&wait), "{until}: {wait}");
    }
}

#[test]
fn a_credential_that_cannot_be_used_is_named_with_its_remedy_and_tried_again() {
    let cases = [
        (CredentialProblem::Missing, "ModelCredentialMissing"),
        (CredentialProblem::Empty, "ModelCredentialEmpty"),
        (CredentialProblem::Expired, "ModelCredentialExpired"),
        (CredentialProblem::Refused, "ModelCredentialRefused"),
    ];
    for (problem, code) in cases {
        let mut scene = at_work(|_| {});
        report(&mut scene, CourierOutcome::CredentialUnusable { problem });
        let status = scene.status("nux").clone();
        assert_eq!(status.phase, PolecatPhase::Stuck);
        assert_eq!(condition(&status.conditions, "Degraded"), ("True", code));
        let message = status.message.as_deref().unwrap();
        for part in ["work/claude-creds", ".credentials.json", "kubectl gt auth sync"] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert_eq!((status.failures, status.lost), (None, None), "nothing is spent");
        scene.later(200);
        scene.settle();
        assert_eq!(scene.status("nux").attempt, Some(1), "not at once");
        scene.later(200);
        scene.settle();
        assert_eq!(scene.status("nux").attempt, Some(2), "a Secret is mended unseen");
    }
    let mut scene = at_work(|r| {
        r.api_key_secret_ref = Some(SecretKeyRef {
            name: "keys".into(),
            key: "anthropic".into(),
        });
    });
    let honoured = condition(&scene.status("nux").conditions, "FieldsHonoured");
    assert_eq!(honoured, ("False", "KeyWins"), "both are named");
    report(
        &mut scene,
        CourierOutcome::CredentialUnusable {
            problem: CredentialProblem::Missing,
        },
    );
    let message = scene.status("nux").message.clone().unwrap();
    assert!(
        message.ends_with(
            "key anthropic of Secret work/keys is not there: kubectl create secret generic keys -n work --from-file=anthropic=FILE \
             --dry-run=client -o yaml | kubectl apply -f -"
        ),
        "{message}"
    );
}

#[test]
fn the_remedy_is_for_this_agent_and_this_secret() {
    use CredentialProblem::{Expired, Refused};
    for (agent, secret, problem, part) in [
        (
            AgentKind::ClaudeCode,
            "claude-creds",
            Expired,
            "has expired: run claude once where you are logged in, then kubectl gt auth sync -n work",
        ),
        (
            AgentKind::ClaudeCode,
            "mine",
            Refused,
            "log in and type kubectl gt auth sync -n work --secret mine",
        ),
        (
            AgentKind::Opencode,
            "opencode-creds",
            Expired,
            "the login of opencode (key _7E__2F_.local_2F_share_2F_opencode_2F_auth.json) in Secret work/opencode-creds has expired: run opencode once where you are logged in, then kubectl gt auth sync -n work --agent opencode",
        ),
        (
            AgentKind::Opencode,
            "opencode-creds",
            Refused,
            "the login of opencode (key _7E__2F_.local_2F_share_2F_opencode_2F_auth.json) in Secret work/opencode-creds is refused by the provider: log in and type kubectl gt auth sync -n work --agent opencode",
        ),
    ] {
        let mut scene = at_work(|r| {
            r.agent = Some(agent);
            r.claude_creds_secret_ref = Some(SecretReference { name: secret.into() });
        });
        report(&mut scene, CourierOutcome::CredentialUnusable { problem });
        let message = scene.status("nux").message.clone().unwrap();
        assert!(message.ends_with(part), "{message}");
    }
}

fn tokens(input: u64, output: u64) -> Option<Tokens> {
    Some(Tokens { input, output })
}

#[test]
fn what_attempts_spend_is_summed_over_life_rig_and_convoy() {
    let mut scene = at_work(|_| {});
    scene.convoy("batch", &["mp-nux"], |_| {});
    report_spent(
        &mut scene,
        CourierOutcome::AgentFailed { exit: 1 },
        tokens(1000, 20),
        Some(12_300),
    );
    scene.later(3600);
    scene.settle();
    scene.at_work("nux");
    report_spent(&mut scene, CourierOutcome::Done, tokens(500, 30), Some(7_700));
    scene.later(5);
    scene.settle();
    let status = scene.status("nux");
    let sum = api::TokenUse {
        input: 1500,
        output: 50,
    };
    assert_eq!((status.tokens, status.cost_usd.as_deref()), (Some(sum), Some("0.02")));
    let rig = rig_status(&scene);
    assert_eq!((rig.tokens, rig.cost_usd.as_deref()), (Some(sum), Some("0.02")));
    let convoy = &scene.world.convoys[&Key::new(Kind::Convoy, NS, "batch")].status;
    assert_eq!((convoy.tokens, convoy.cost_usd.as_deref()), (Some(sum), Some("0.02")));
}

#[test]
fn a_spent_budget_of_its_own_stops_a_polecat_until_it_is_raised() {
    let mut scene = at_work(|_| {});
    let budget = |tokens| {
        Some(Budget {
            tokens: Some(tokens),
            usd: Some(IntOrString::String("2.50".into())),
        })
    };
    scene.edit("nux", |p| p.spec.budget = budget(1000));
    report_spent(&mut scene, CourierOutcome::BudgetSpent, tokens(990, 20), None);
    let status = scene.status("nux");
    assert_eq!(
        (status.phase, condition(&status.conditions, "Degraded").1),
        (PolecatPhase::Stuck, "BudgetSpent")
    );
    assert!(
        status.message.as_deref().unwrap().contains("1010 tokens"),
        "{:?}",
        status.message
    );
    assert_eq!(status.failures, None);
    scene.edit("nux", |p| p.spec.budget = budget(1500));
    let pod = scene.pod_made();
    let allowed = pod.orders.agent.budget.unwrap();
    assert_eq!((allowed.tokens, allowed.micros), (Some(490), Some(2_500_000)));
    let words = pod.orders.agent.command.join(" ");
    assert!(words.ends_with("--max-budget-usd 2.50"), "{words}");
}

#[test]
fn a_spent_budget_of_a_rig_starts_nothing_new() {
    let mut scene = at_work(|r| {
        r.budget = Some(Budget {
            usd: Some(IntOrString::Int(1)),
            tokens: None,
        });
    });
    report_spent(&mut scene, CourierOutcome::Done, tokens(10, 10), Some(1_000_000));
    scene.polecat("slit", |_| {});
    scene.settle();
    scene.later(2);
    scene.settle();
    let status = scene.status("slit");
    assert_eq!(
        (status.phase, condition(&status.conditions, "Progressing").1),
        (PolecatPhase::Idle, "Queued")
    );
    assert!(
        status
            .message
            .as_deref()
            .unwrap()
            .contains("budget of Rig parts is spent"),
        "{:?}",
        status.message
    );
    assert_eq!(condition(&rig_status(&scene).conditions, "Ready").1, "BudgetSpent");
}
