//! auth status: whether the uploaded login is there and good, until when. The exit code says it.

use super::login;
use super::secret::{self, LAST_SYNC};
use super::{Whose, size};
use crate::output::{Block, print_one, since, span};
use crate::session::Session;
use crate::{Failure, exit};
use gastown_wire::{API_KEY_KEY, LOGIN_KEYS, TOKEN_KEY, settings_path, without_refresh};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// Uploaded longer ago than this it is worth a look.
const OLD: i64 = 24 * 3600;

/// What `-o json` says. Never a value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    secret: String,
    namespace: String,
    /// `oauth`, `token`, `apiKey`, `opencode`, `settings` (no login in it) or `unreadable`.
    login: &'static str,
    expires_at: Option<Timestamp>,
    expired: bool,
    /// What in it is not as its agent writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    odd: Option<String>,
    /// Whether a refresh token lies in it, which no agent is given.
    holds_refresh_token: bool,
    last_sync: Option<String>,
    age_seconds: Option<i64>,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    path: String,
    bytes: usize,
}

pub(super) async fn run(name: &str, whose: Whose, session: &Session<'_>) -> Result<(), Failure> {
    let program = session.program();
    let Some(secret) = secret::secrets(session).get_opt(name).await? else {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!("there is no secret {name} in namespace {}", session.namespace()),
        )
        .hint(format!("{program} auth sync -n {}", session.namespace())));
    };
    let now = Timestamp::now();
    let values = secret::values(&secret);
    let has_login = LOGIN_KEYS.iter().any(|key| values.contains_key(*key));
    let found = login::among(|key| values.get(key).map(Vec::as_slice));
    let login = kind(&values, has_login, found.as_ref().map(Result::is_ok));
    // What stands in its place wins over it.
    let (read, odd) = match found.filter(|_| matches!(login, "oauth" | "opencode" | "unreadable")) {
        Some(Ok(read)) => (Some(read.clone()), read.odd),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let path = |key: &String| settings_path(key).unwrap_or_else(|| key.clone());
    let last_sync = secret.annotations().get(LAST_SYNC).cloned();
    let synced: Option<Timestamp> = last_sync.as_ref().and_then(|t| t.parse().ok());
    let report = Report {
        secret: name.to_owned(),
        namespace: session.namespace().to_owned(),
        login,
        expires_at: read.as_ref().and_then(login::expires),
        expired: read.as_ref().is_some_and(|l| login::is_over(l, now)),
        odd,
        holds_refresh_token: values
            .iter()
            .any(|(key, value)| without_refresh(&path(key), value).is_some()),
        age_seconds: synced.map(|at| now.duration_since(at).as_secs().max(0)),
        last_sync,
        files: values
            .iter()
            .map(|(key, value)| File {
                path: path(key),
                bytes: value.len(),
            })
            .collect(),
    };
    print_one(
        session.output,
        "secret",
        name,
        &report,
        block(&report, now, program).text(),
    )?;
    let wrong = |what: &str| Err(Failure::said(exit::FAILED, what));
    match report.login {
        _ if report.expired => wrong("expired"),
        "unreadable" => wrong("unreadable"),
        "settings" if whose == Whose::ClaudeCode => wrong("no login"),
        _ => Ok(()),
    }
}

/// `readable`: whether the login is, where there is one.
fn kind(values: &BTreeMap<String, Vec<u8>>, has_login: bool, readable: Option<bool>) -> &'static str {
    let has_key = values
        .iter()
        .any(|(key, value)| key.ends_with("_API_KEY") && !value.is_empty());
    let has_token = values.get(TOKEN_KEY).is_some_and(|value| !value.is_empty());
    // As pods do: a key wins over a token, and that over a login.
    match (has_login, readable) {
        _ if values.get(API_KEY_KEY).is_some_and(|value| !value.is_empty()) => "apiKey",
        _ if has_token => "token",
        (true, Some(true)) => "oauth",
        (true, _) => "unreadable",
        (false, _) if has_key => "apiKey",
        (false, Some(true)) => "opencode",
        (false, Some(false)) => "unreadable",
        (false, None) => "settings",
    }
}

fn block(report: &Report, now: Timestamp, program: &str) -> Block {
    let mut block = Block::default();
    block.line("Secret", format!("{} in namespace {}", report.secret, report.namespace));
    let again = format!("log in again, then: {program} auth sync");
    let agent = if report.login == "opencode" {
        "opencode"
    } else {
        "claude"
    };
    let login = match (report.login, report.expires_at) {
        ("oauth" | "opencode", Some(at)) if report.expired => format!(
            "expired {} ago: run {agent} once where you are logged in, which refreshes it there, then: {program} auth sync",
            since(at, now)
        ),
        ("oauth" | "opencode", Some(at)) => format!("good for {}", span(at.duration_since(now).as_secs())),
        ("oauth" | "opencode", None) if let Some(odd) = &report.odd => format!("says no end that can be read: {odd}"),
        ("oauth", None) => "says no end".to_owned(),
        ("unreadable", _) => format!("cannot be read: {}; {again}", report.odd.as_deref().unwrap_or_default()),
        ("token", _) => "a long-lived token, which says no end".to_owned(),
        ("apiKey", _) => "an API key, which says no end".to_owned(),
        ("opencode", _) => "opencode's own, which says no end".to_owned(),
        _ => format!("none: {program} auth sync, or an API key: {program} auth sync --api-key-from-env"),
    };
    block.line("Login", login);
    if report.holds_refresh_token {
        let text =
            format!("a refresh token is in the Secret too; no agent is given it, and {program} auth sync takes it out");
        block.line("", text);
    }
    let age = match report.age_seconds {
        Some(age) if age > OLD => format!(
            "{} ago; what changed here since is not there: {program} auth sync",
            span(age)
        ),
        Some(age) => format!("{} ago", span(age)),
        None => "not by auth sync".to_owned(),
    };
    block.line("Synced", age);
    block.line("Files", report.files.len().to_string());
    for file in &report.files {
        block.line("", format!("{:<9} {}", size(file.bytes), file.path));
    }
    block
}
