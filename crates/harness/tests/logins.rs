//! Who pays: what of the Secret reaches the agent, and what a login comes to that ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod town;

use std::fs;

use gastown_wire::*;
use town::*;

/// A time that nobody reaches, and one that is over. Milliseconds.
const LATER: u64 = 32_503_680_000_000;
const OVER: u64 = 1_600_000_000_000;

/// A file as Claude Code keeps it, with all that it holds.
fn login(access: &str, expires: u64) -> String {
    format!(
        r#"{{"claudeAiOauth":{{"accessToken":"{access}","refreshToken":"sk-ant-ort01-refresh","expiresAt":{expires},"scopes":["user:inference"]}}}}"#
    )
}

/// A pod of an agent that wants a login, with a Secret of these keys.
fn pod(town: &Town, script: &str, keys: &[(&str, &str)]) -> Pod {
    let mut pod = town.pod(script);
    let folder = pod.path("settings");
    fs::create_dir(&folder).unwrap();
    for (key, value) in keys {
        fs::write(folder.join(key), value).unwrap();
    }
    pod.orders.paths.settings = folder.display().to_string();
    pod.orders.agent.credential = Some(Credential {
        variable: None,
        login: true,
    });
    pod
}

fn unusable(problem: CredentialProblem) -> CourierOutcome {
    CourierOutcome::CredentialUnusable { problem }
}

/// The API key as v0.4.2's README made the Secret.
#[test]
fn a_key_or_a_long_lived_token_may_stand_where_a_login_is_looked_for() {
    for variable in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"] {
        for (value, expected) in [
            ("sk-ant-xxx-12345\n", CourierOutcome::Done),
            (" ", unusable(CredentialProblem::Empty)),
        ] {
            let town = Town::new();
            let script = format!(
                "test \"${variable}\" = sk-ant-xxx-12345 && test ! -e ~/.claude/{variable} && {GOOD}; echo \"${variable}\""
            );
            let pod = pod(&town, &script, &[(variable, value)]);
            assert_eq!(pod.all().outcome, expected, "{variable}\n{}", pod.logs());
            assert!(!pod.read("run.log").contains("sk-ant-xxx-12345"), "the key is printed");
        }
    }
}

#[test]
fn a_token_may_come_with_the_agents_environment() {
    let town = Town::new();
    let mut pod = pod(&town, GOOD, &[("CLAUDE.md", "Be brief.")]);
    assert_eq!(
        pod.all().outcome,
        unusable(CredentialProblem::Missing),
        "{}",
        pod.logs()
    );
    pod = self::pod(&town, GOOD, &[("CLAUDE.md", "Be brief.")]);
    pod.orders.attempt = 2;
    pod.env
        .push(("CLAUDE_CODE_OAUTH_TOKEN".into(), "sk-ant-oat01-long".into()));
    assert_eq!(pod.all().outcome, CourierOutcome::Done, "{}", pod.logs());
}

/// Two that refresh one login log each other out: the file is copied by hand, and no agent finds the token in its home.
#[test]
fn no_agent_gets_a_refresh_token() {
    let script = format!(
        "cd; grep -q sk-ant-oat01-access .claude/.credentials.json
         grep -q gho_same .local/share/opencode/auth.json; grep -q at-openai .local/share/opencode/auth.json
         ! grep -rE 'ort01|rt-openai' . || exit 1
         cd -; {GOOD}; echo sk-ant-ort01-refresh"
    );
    let opencode = r#"{"openai":{"type":"oauth","refresh":"rt-openai","access":"at-openai","expires":32503680000000},
        "github-copilot":{"type":"oauth","refresh":"gho_same","access":"gho_same","expires":0}}"#;
    let auth = settings_key("~/.local/share/opencode/auth.json").unwrap();
    let whole = login("sk-ant-oat01-access", LATER);
    // The second as the predecessor's template named it.
    for key in LOGIN_KEYS {
        let town = Town::new();
        let pod = pod(&town, &script, &[(key, &whole), (&auth, opencode)]);
        assert_eq!(pod.all().outcome, CourierOutcome::Done, "{}", pod.logs());
        assert!(!pod.read("run.log").contains("ort01"), "it is printed");
    }
}

#[test]
fn a_login_that_is_over_or_empty_starts_nothing_whatever_could_renew_it() {
    for (file, problem) in [
        (login("sk-ant-oat01-access", OVER), CredentialProblem::Expired),
        (login("", LATER), CredentialProblem::Empty),
    ] {
        let town = Town::new();
        let pod = pod(&town, "touch ../started", &[(".credentials.json", &file)]);
        assert_eq!(pod.all().outcome, unusable(problem), "{}", pod.logs());
        assert!(!pod.path("work/started").exists());
    }
}

#[test]
fn opencode_with_nothing_but_logins_that_are_over_is_not_started() {
    let auth = settings_key("~/.local/share/opencode/auth.json").unwrap();
    for (expires, is_started) in [(OVER, false), (LATER, true)] {
        let town = Town::new();
        let file = format!(r#"{{"openai":{{"type":"oauth","refresh":"r","access":"a","expires":{expires}}}}}"#);
        let mut pod = pod(&town, "touch ../started", &[(&auth, &file)]);
        pod.orders.agent.credential = None;
        pod.orders.agent.transcript = Transcript::Opencode;
        let outcome = pod.all().outcome;
        assert_eq!(
            outcome == unusable(CredentialProblem::Expired),
            !is_started,
            "{}",
            pod.logs()
        );
        assert_eq!(pod.path("work/started").exists(), is_started);
    }
}

#[test]
fn a_login_that_ends_under_way_keeps_the_work_and_is_named() {
    let town = Town::new();
    let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    let refused = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":401,"result":"Not logged in · Please run /login"}"#;
    for (attempt, expires, problem) in [
        (1, LATER, CredentialProblem::Refused),
        (2, OVER, CredentialProblem::Expired),
    ] {
        // The time passes while it works.
        let script = format!(
            "echo '{init}'; echo {attempt} > b.txt; git add -A; git commit -qm 'half of it'
             sed -i s/{LATER}/{expires}/ ~/.claude/.credentials.json; echo '{refused}'; exit 1"
        );
        let mut pod = pod(
            &town,
            &script,
            &[(".credentials.json", &login("sk-ant-oat01-access", LATER))],
        );
        pod.orders.attempt = attempt;
        pod.orders.agent.transcript = Transcript::Claude;
        let report = pod.all();
        assert_eq!(report.outcome, unusable(problem), "{}", pod.logs());
        assert_eq!(
            (report.commits, report.commit),
            (attempt, town.work()),
            "its work is kept"
        );
    }
}

#[test]
fn a_container_that_starts_again_has_the_login_that_is_there_now() {
    let town = Town::new();
    let script = format!(
        "if grep -q sk-ant-oat01-second ~/.claude/.credentials.json; then {GOOD}; exit 0; fi
         touch ../busy; until false; do sleep 1; done"
    );
    let pod = pod(
        &town,
        &script,
        &[(".credentials.json", &login("sk-ant-oat01-first", LATER))],
    );
    let mut up = pod.cloned().up();
    until("the agent works", || pod.path("work/busy").exists());
    kill_tree(up.run.id());
    up.run.wait().unwrap();
    fs::write(
        pod.path("settings/.credentials.json"),
        login("sk-ant-oat01-second", LATER),
    )
    .unwrap();
    up.run = pod.up_run();
    assert_eq!(up.report().outcome, CourierOutcome::Done, "{}", pod.logs());
}
