//! auth status: whether the uploaded login is there and good, until when. The exit code says it.

use super::secret::{self, LAST_SYNC};
use super::{Whose, size};
use crate::output::{Block, print_one, since, span};
use crate::session::Session;
use crate::{Failure, exit};
use gastown_wire::{LOGIN_KEYS, settings_key, settings_path};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Uploaded longer ago than this it is worth a look.
const OLD: i64 = 24 * 3600;

/// What a login says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// Until when the token is good, where it says.
    pub(super) expires: Option<Timestamp>,
    /// Whether the agent can get another by itself.
    pub(super) refreshable: bool,
}

impl Login {
    /// Reads Claude Code's file. None: it is not one.
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct File {
            claude_ai_oauth: Oauth,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Oauth {
            access_token: String,
            refresh_token: Option<String>,
            expires_at: Option<serde_json::Number>,
        }
        let oauth = serde_json::from_slice::<File>(content).ok()?.claude_ai_oauth;
        if oauth.access_token.is_empty() {
            return None;
        }
        let milliseconds = oauth.expires_at.and_then(|n| n.as_i64());
        let expires = milliseconds.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Some(Self {
            expires,
            refreshable: oauth.refresh_token.is_some_and(|t| !t.is_empty()),
        })
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// What `-o json` says. Never a value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    secret: String,
    namespace: String,
    /// `oauth`, `apiKey`, `opencode`, `settings` (no login in it) or `unreadable`.
    login: &'static str,
    expires_at: Option<Timestamp>,
    expired: bool,
    refreshable: bool,
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
    let login = LOGIN_KEYS.iter().find_map(|key| values.get(*key));
    let read = login.and_then(|content| Login::read(content));
    let last_sync = secret.annotations().get(LAST_SYNC).cloned();
    let synced: Option<Timestamp> = last_sync.as_ref().and_then(|t| t.parse().ok());
    let report = Report {
        secret: name.to_owned(),
        namespace: session.namespace().to_owned(),
        login: kind(&values, login.is_some(), read.is_some()),
        expires_at: read.as_ref().and_then(|l| l.expires),
        expired: read.as_ref().is_some_and(|l| l.is_over(now)),
        refreshable: read.as_ref().is_some_and(|l| l.refreshable),
        age_seconds: synced.map(|at| now.duration_since(at).as_secs().max(0)),
        last_sync,
        files: values
            .iter()
            .map(|(key, value)| File {
                path: settings_path(key).unwrap_or_else(|| key.clone()),
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

fn kind(values: &BTreeMap<String, Vec<u8>>, has_login: bool, readable: bool) -> &'static str {
    let has_key = values
        .iter()
        .any(|(key, value)| key.ends_with("_API_KEY") && !value.is_empty());
    let opencode = settings_key("~/.local/share/opencode/auth.json").is_some_and(|key| values.contains_key(&key));
    match (has_login, readable) {
        (true, true) => "oauth",
        (true, false) => "unreadable",
        (false, _) if has_key => "apiKey",
        (false, _) if opencode => "opencode",
        (false, _) => "settings",
    }
}

fn block(report: &Report, now: Timestamp, program: &str) -> Block {
    let mut block = Block::default();
    block.line("Secret", format!("{} in namespace {}", report.secret, report.namespace));
    let again = format!("log in again, then: {program} auth sync");
    let login = match (report.login, report.expires_at) {
        ("oauth", Some(at)) if report.expired && report.refreshable => format!(
            "expired {} ago; the agent gets another with its refresh token, if no other pod has used that meanwhile. To be sure, {again}",
            since(at, now)
        ),
        ("oauth", Some(at)) if report.expired => format!("expired {} ago: {again}", since(at, now)),
        ("oauth", Some(at)) => format!("good for {}", span(at.duration_since(now).as_secs())),
        ("oauth", None) => "says no end".to_owned(),
        ("unreadable", _) => format!("is not as Claude Code writes it: {again}"),
        ("apiKey", _) => "an API key, which says no end".to_owned(),
        ("opencode", _) => "opencode's own, which says no end".to_owned(),
        _ => format!("none: {program} auth sync, or an API key: {program} auth sync --api-key-from-env"),
    };
    block.line("Login", login);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_says_until_when() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let file = br#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1800000000000,"scopes":[]}}"#;
        let login = Login::read(file).unwrap();
        assert!(login.refreshable && login.is_over(now));
        assert!(!login.is_over(now - jiff::SignedDuration::from_secs(1)));
        let endless = Login::read(br#"{"claudeAiOauth":{"accessToken":"a"}}"#).unwrap();
        assert!(!endless.refreshable && !endless.is_over(now));
        for odd in [&b"{}"[..], b"", b"not json", br#"{"claudeAiOauth":{"accessToken":""}}"#] {
            assert_eq!(Login::read(odd), None);
        }
    }
}
