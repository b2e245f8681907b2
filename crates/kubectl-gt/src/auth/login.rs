//! What a login says of itself: until when the token holds that it shows.

use gastown_wire::{LOGIN_KEYS, OPENCODE_LOGINS, settings_key};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A login that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// Until when the token is good, where it says.
    pub(super) expires: Option<Timestamp>,
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
            expires_at: Option<serde_json::Number>,
        }
        let oauth = serde_json::from_slice::<File>(content).ok()?.claude_ai_oauth;
        let expires = oauth.expires_at.as_ref().and_then(time);
        (!oauth.access_token.is_empty()).then_some(Self { expires })
    }

    /// Reads opencode's file: it is over when all of its logins are. None: it holds none, or cannot be read.
    pub(super) fn read_opencode(content: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Entry {
            expires: Option<serde_json::Number>,
        }
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(content).ok()?;
        let ends: Option<Vec<Timestamp>> = entries.values().map(|e| e.expires.as_ref().and_then(time)).collect();
        (!entries.is_empty()).then(|| Self {
            expires: ends.and_then(|ends| ends.into_iter().max()),
        })
    }

    /// The login among the values of a Secret, or among files to upload by their keys.
    pub(super) fn among<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let opencode = || settings_key(OPENCODE_LOGINS).and_then(|key| Self::read_opencode(value(&key)?));
        match LOGIN_KEYS.iter().find_map(|key| value(key)) {
            Some(content) => Self::read(content),
            None => opencode(),
        }
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Milliseconds since 1970; 0 is no end.
fn time(milliseconds: &serde_json::Number) -> Option<Timestamp> {
    let milliseconds = milliseconds.as_i64().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(content: &str) -> Option<Option<i64>> {
        let of = |read: fn(&[u8]) -> Option<Login>| Some(read(content.as_bytes())?.expires.map(|at| at.as_second()));
        if content.contains("claudeAiOauth") {
            of(Login::read)
        } else {
            of(Login::read_opencode)
        }
    }

    #[test]
    fn a_login_says_until_when() {
        for (content, expected) in [
            (
                r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1800000000000,"scopes":[]}}"#,
                Some(Some(1_800_000_000)),
            ),
            (r#"{"claudeAiOauth":{"accessToken":"a"}}"#, Some(None)),
            (r#"{"claudeAiOauth":{"accessToken":"a","expiresAt":0}}"#, Some(None)),
            (r#"{"claudeAiOauth":{"accessToken":""}}"#, None),
            (r#"{"claudeAiOauth":"#, None),
            ("{}", None),
            ("not json", None),
            (
                r#"{"openai":{"type":"oauth","access":"a","expires":1800000000000}}"#,
                Some(Some(1_800_000_000)),
            ),
            (
                r#"{"a":{"expires":1700000000000},"b":{"expires":1800000000000}}"#,
                Some(Some(1_800_000_000)),
            ),
            (
                r#"{"a":{"expires":1700000000000},"b":{"type":"api","key":"k"}}"#,
                Some(None),
            ),
            (r#"{"github-copilot":{"expires":0}}"#, Some(None)),
        ] {
            assert_eq!(ends(content), expected, "{content}");
        }
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let login = Login { expires: Some(at) };
        assert!(login.is_over(at) && !login.is_over(at - jiff::SignedDuration::from_secs(1)));
        assert!(!Login { expires: None }.is_over(at));
    }
}
