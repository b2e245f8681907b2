//! Who pays, by a login.

use std::fs;

use gastown_testkit::model::{Fault, Turn};
use gastown_wire::{CourierOutcome, CredentialProblem};

use crate::{
    bench::{Bench, TASK, WORK, Who},
    cases::hasten,
    town::until,
};

each!(login, a_login_with_settings_arrives, Claude claude);
each!(login_short, an_access_token_alone_is_enough, Claude claude);
each!(login_token, a_long_lived_token_goes_in_its_place, Claude claude);
each!(login_over, a_login_that_is_over_asks_nothing, Claude claude);
each!(login_ends, a_login_that_ends_under_way_keeps_the_work, Claude claude);
each!(usage_limit, a_usage_limit_parks_until_it_is_over, Claude claude);

/// The token of a login, and when that ends: after anybody runs this, and before.
const ACCESS: &str = "sk-ant-oat01-scripted-login-token";
const LATER: u64 = 32_503_680_000_000;
const OVER: u64 = 1_600_000_000_000;

/// As Claude Code keeps it, whole.
fn login(expires: u64) -> (&'static str, String) {
    let login = serde_json::json!({"claudeAiOauth": {
        "accessToken": ACCESS, "refreshToken": "sk-ant-ort01-scripted-refresh",
        "expiresAt": expires, "scopes": ["user:inference", "user:profile"], "subscriptionType": "max",
    }});
    (".credentials.json", login.to_string())
}

/// What it proved who pays by, with each request.
fn paid_by(bench: &Bench, token: &str) -> bool {
    let asked = bench.model.asked();
    !asked.is_empty()
        && asked
            .iter()
            .all(|a| a.credential == format!("authorization: Bearer {token}"))
}

pub(crate) fn unusable(problem: CredentialProblem) -> CourierOutcome {
    CourierOutcome::CredentialUnusable { problem }
}

fn an_access_token_alone_is_enough(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    let login =
        serde_json::json!({"claudeAiOauth": {"accessToken": ACCESS, "expiresAt": LATER, "scopes": ["user:inference"]}});
    bench.login = Some(vec![(".credentials.json", login.to_string())]);
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    assert!(paid_by(&bench, ACCESS));
    bench.told("a login without a refresh token; done");
}

fn a_long_lived_token_goes_in_its_place(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    // It wins over a login that is over.
    bench.login = Some(vec![
        (gastown_wire::TOKEN_KEY, "sk-ant-oat01-scripted-long\n".into()),
        login(OVER),
    ]);
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    assert!(paid_by(&bench, "sk-ant-oat01-scripted-long"));
    assert!(bench.heard(0, "House rule seventeen"), "with the settings beside it");
    bench.told("a token of `claude setup-token` used; done");
}

fn a_login_that_is_over_asks_nothing(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.login = Some(vec![login(OVER)]);
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, unusable(CredentialProblem::Expired), "{}", pod.logs());
    assert!(bench.model.asked().is_empty());
    bench.told("credential expired, nothing started");
}

fn a_login_that_ends_under_way_keeps_the_work(who: Who, case: &'static str) {
    // The time passes while its tool runs; the provider then says so.
    let pass = format!(
        "{WORK}; sed -i s/{LATER}/{OVER}/ ~/.claude/.credentials.json; touch ../busy; until [ -e ../go ]; do sleep 0.1; done"
    );
    let Some(mut bench) = Bench::of(who, case, vec![Turn::Shell(pass), Turn::Say("Done.".into())]) else {
        return;
    };
    hasten(&mut bench);
    bench.login = Some(vec![login(LATER)]);
    let pod = bench.pod(1, 1);
    let up = pod.cloned().up();
    until("its tool runs", || pod.path("work/busy").exists());
    bench.model.fail(Some(Fault::status(401)));
    fs::write(pod.path("work/go"), "").unwrap();
    let report = up.report();
    assert_eq!(report.outcome, unusable(CredentialProblem::Expired), "{}", pod.logs());
    assert_eq!(
        (report.commits, &report.commit),
        (1, &bench.town.work()),
        "its work is kept"
    );
    bench.told(&format!(
        "credential expired, its commit pushed; {} requests; {:?}",
        bench.model.asked().len(),
        report.detail
    ));
}

fn a_login_with_settings_arrives(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    let hook = "$HOME/.claude/hooks/stop.sh";
    let settings = serde_json::json!({
        "env": {"PART_TOKEN": "part-token-of-settings"},
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": hook}]}]},
    });
    bench.login = Some(vec![
        login(LATER),
        ("settings.json", settings.to_string()),
        (
            "hooks_2F_stop.sh",
            "#!/bin/sh\nprintf %s \"$PART_TOKEN\" > \"$CLAUDE_PROJECT_DIR/../hooked\"\n".into(),
        ),
    ]);
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", pod.logs());
    let asked = bench.model.asked();
    assert!(paid_by(&bench, ACCESS));
    assert_eq!(
        pod.read("work/hooked"),
        "part-token-of-settings",
        "hooks and settings arrive: {}",
        pod.logs()
    );
    let held = pod.read("home/.claude/.credentials.json");
    assert!(
        held.contains(ACCESS) && !held.contains("ort01"),
        "only the token that it shows: {held}"
    );
    assert!(bench.heard(0, "House rule seventeen"), "CLAUDE.md arrives");
    let whole = asked.iter().map(|a| a.body.to_string()).collect::<String>();
    assert!(whole.contains("paints parts blue"), "skills arrive");
    bench.told("login, settings, hook, CLAUDE.md and skill used; done");
    // Without the file nothing starts.
    bench.login = Some(Vec::new());
    let pod = bench.pod(2, 2);
    let report = bench.run(&pod);
    assert_eq!(report.outcome, unusable(CredentialProblem::Missing), "{}", pod.logs());
}

fn a_usage_limit_parks_until_it_is_over(who: Who, case: &'static str) {
    let Some(mut bench) = Bench::of(who, case, who.work()) else {
        return;
    };
    bench.login = Some(vec![login(LATER)]);
    let resets = 4_000_000_000;
    bench.model.fail(Some(Fault::limit(resets)));
    let pod = bench.pod(1, 1);
    let report = bench.run(&pod);
    assert_eq!(
        report.outcome,
        CourierOutcome::Parked { until: resets },
        "{}",
        pod.logs()
    );
    bench.model.fail(None);
    let asked = bench.model.asked().len();
    let next = bench.pod(1, 2);
    let report = bench.run(&next);
    assert_eq!(report.outcome, CourierOutcome::Done, "{}", next.logs());
    assert!(bench.heard(asked, TASK), "the same conversation");
    bench.told("parked until the provider's time, then the same conversation, done");
}
