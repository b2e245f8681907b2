//! What a login says of itself, and what a pod may have of it: the token it shows, never the one it would get another with.
//!
//! A provider takes a refresh token once and gives another for it. Of two that hold the same one, the second is logged out;
//! so only the file it was made in keeps it, and pods have the access token for as long as that holds.

use crate::settings::{LOGIN_KEYS, OPENCODE_LOGINS};
use serde_json::Value;

/// opencode's logins at MCP servers. Claude Code keeps those in its one file.
const OPENCODE_MCP: &str = "~/.local/share/opencode/mcp-auth.json";

/// A file of settings without its refresh tokens. None: it holds none that is used up by its use.
#[must_use]
pub fn without_refresh(path: &str, content: &[u8]) -> Option<Vec<u8>> {
    let strip = match path {
        OPENCODE_LOGINS => blank_opencode,
        OPENCODE_MCP => drop_tokens,
        path if LOGIN_KEYS.contains(&path) => drop_tokens,
        _ => return None,
    };
    let mut value: Value = serde_json::from_slice(content).ok()?;
    strip(&mut value).then(|| serde_json::to_vec(&value).ok())?
}

/// Whether there were any.
fn drop_tokens(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => {
            let had = map.remove("refreshToken").is_some_and(|token| token != "");
            map.values_mut().fold(had, |any, below| any | drop_tokens(below))
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, below| any | drop_tokens(below)),
        _ => false,
    }
}

/// opencode reads no entry that lacks the member, so it stays, empty. Where the access token has no end (`expires` is 0: GitHub
/// Copilot) both are the same token, which nobody exchanges.
fn blank_opencode(value: &mut Value) -> bool {
    let entries = value.as_object_mut().into_iter().flat_map(|map| map.values_mut());
    entries.fold(false, |any, entry| {
        let ends = entry.get("expires").and_then(Value::as_f64).is_some_and(|ms| ms > 0.0);
        let token = entry.get_mut("refresh").filter(|token| ends && **token != "");
        any | token.map(|token| *token = "".into()).is_some()
    })
}

/// What a file says of the login in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Until when its token holds, where it says. Milliseconds since 1970.
    pub until: Option<u64>,
    /// The providers that it is for, where it names them.
    pub providers: Vec<String>,
    /// What in it is not as its agent writes it. It may hold all the same: who asks the provider will learn.
    pub odd: Option<String>,
}

impl Login {
    /// Whether its time is over. What names no end that can be read is never said to be.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.until.is_some_and(|until| until <= now_ms)
    }
}

/// Reads Claude Code's file. A refresh token alone is of no use: no pod has one.
///
/// # Errors
/// Why there is no login in it.
pub fn claude_login(content: &[u8]) -> Result<Login, String> {
    let file = object(content)?;
    let login = file.get("claudeAiOauth").unwrap_or(&Value::Null);
    match login.get("accessToken") {
        Some(Value::String(token)) if !token.trim().is_empty() => {}
        Some(Value::String(_) | Value::Null) | None => return Err("it holds no access token".into()),
        Some(_) => return Err("its accessToken is no text".into()),
    }
    let end = end(login.get("expiresAt"));
    Ok(Login {
        until: end.unwrap_or_default(),
        providers: Vec::new(),
        odd: end.is_err().then(|| "its expiresAt is no time".into()),
    })
}

/// Reads opencode's file. It may ask any provider that it has a login for: so it is over when all of them are.
///
/// # Errors
/// Why there is no login in it.
pub fn opencode_logins(content: &[u8]) -> Result<Login, String> {
    let file = object(content)?;
    let mut ends = Vec::new();
    let mut odd = Vec::new();
    for (name, entry) in &file {
        let end = entry.as_object().ok_or(()).and_then(|e| end(e.get("expires")));
        if end.is_err() {
            odd.push(name.as_str());
        }
        ends.push(end.unwrap_or_default());
    }
    Ok(Login {
        until: ends
            .into_iter()
            .collect::<Option<Vec<u64>>>()
            .and_then(|e| e.into_iter().max()),
        odd: (!odd.is_empty()).then(|| format!("what it says of {} is no login", odd.join(", "))),
        providers: file.keys().cloned().collect(),
    })
}

/// No words of the content: it holds secrets.
fn object(content: &[u8]) -> Result<serde_json::Map<String, Value>, String> {
    match serde_json::from_slice(content) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("it is no JSON object".into()),
        Err(error) if error.is_eof() => Err("it is empty, or cut off".into()),
        Err(error) => Err(format!(
            "it is no JSON (line {}, column {})",
            error.line(),
            error.column()
        )),
    }
}

/// Milliseconds since 1970; 0 and nothing are no end.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: a date before the year 9999"
)]
fn end(value: Option<&Value>) -> Result<Option<u64>, ()> {
    const LATEST: f64 = 253_370_764_800_000.0;
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(ms) if (0.0..1.0).contains(&ms) => Ok(None),
            Some(ms) if (1.0..LATEST).contains(&ms) => Ok(Some(ms as u64)),
            _ => Err(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refresh_tokens_stay_where_they_were_made() {
        for (path, whole, left) in [
            (
                ".credentials.json",
                json!({"claudeAiOauth": {"accessToken": "a", "refreshToken": "r", "expiresAt": 1, "scopes": ["s"]}}),
                Some(json!({"claudeAiOauth": {"accessToken": "a", "expiresAt": 1, "scopes": ["s"]}})),
            ),
            (
                "credentials.json",
                json!({"mcpOAuth": {"linear|1": {"accessToken": "a", "refreshToken": "r", "clientId": "c"}}, "o": [{"refreshToken": "r"}]}),
                Some(json!({"mcpOAuth": {"linear|1": {"accessToken": "a", "clientId": "c"}}, "o": [{}]})),
            ),
            (
                ".credentials.json",
                json!({"claudeAiOauth": {"accessToken": "a", "refreshToken": ""}}),
                None,
            ),
            (
                "~/.local/share/opencode/auth.json",
                json!({
                    "openai": {"type": "oauth", "refresh": "r", "access": "a", "expires": 1_800_000_000_000_u64},
                    "github-copilot": {"type": "oauth", "refresh": "same", "access": "same", "expires": 0},
                    "anthropic": {"type": "api", "key": "k"},
                }),
                Some(json!({
                    "openai": {"type": "oauth", "refresh": "", "access": "a", "expires": 1_800_000_000_000_u64},
                    "github-copilot": {"type": "oauth", "refresh": "same", "access": "same", "expires": 0},
                    "anthropic": {"type": "api", "key": "k"},
                })),
            ),
            (
                "~/.local/share/opencode/auth.json",
                json!({"anthropic": {"type": "api", "key": "k"}}),
                None,
            ),
            ("~/.local/share/opencode/auth.json", json!(["odd"]), None),
            (
                "~/.local/share/opencode/mcp-auth.json",
                json!({"s": {"tokens": {"accessToken": "a", "refreshToken": "r"}}}),
                Some(json!({"s": {"tokens": {"accessToken": "a"}}})),
            ),
            (
                "settings.json",
                json!({"refreshToken": "a word of the user's own"}),
                None,
            ),
        ] {
            let stripped = without_refresh(path, whole.to_string().as_bytes());
            let stripped = stripped.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
            assert_eq!(stripped, left, "{path}: {whole}");
        }
        assert_eq!(
            without_refresh(".credentials.json", b"{\"refreshToken\":"),
            None,
            "what is no JSON is no login"
        );
    }

    const END: u64 = 1_800_000_000_000;

    fn login(until: Option<u64>, providers: &[&str], odd: Option<&str>) -> Result<Login, String> {
        Ok(Login {
            until,
            providers: providers.iter().map(|p| (*p).to_owned()).collect(),
            odd: odd.map(str::to_owned),
        })
    }

    #[test]
    fn claudes_login_says_until_when() {
        let good = |until| login(until, &[], None);
        let none = || Err("it holds no access token".to_owned());
        for (content, expected) in [
            (
                r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1800000000000,"scopes":[]}}"#,
                good(Some(END)),
            ),
            (
                r#"{"claudeAiOauth":{"accessToken":"a","expiresAt":1.8e12}}"#,
                good(Some(END)),
            ),
            (r#"{"claudeAiOauth":{"accessToken":"a"}}"#, good(None)),
            (r#"{"claudeAiOauth":{"accessToken":"a","expiresAt":0}}"#, good(None)),
            (r#"{"claudeAiOauth":{"accessToken":"a","expiresAt":null}}"#, good(None)),
            (
                r#"{"claudeAiOauth":{"accessToken":"","refreshToken":"r","expiresAt":1}}"#,
                none(),
            ),
            (r#"{"claudeAiOauth":{"refreshToken":"r"}}"#, none()),
            (r#"{"claudeAiOauth":["a"]}"#, none()),
            ("{}", none()),
            (
                r#"{"claudeAiOauth":{"accessToken":5}}"#,
                Err("its accessToken is no text".into()),
            ),
            ("", Err("it is empty, or cut off".into())),
            (r#"{"claudeAiOauth":"#, Err("it is empty, or cut off".into())),
            ("sk-secret", Err("it is no JSON (line 1, column 1)".into())),
            (r#"["sk-secret"]"#, Err("it is no JSON object".into())),
        ] {
            assert_eq!(claude_login(content.as_bytes()), expected, "{content}");
        }
        for expires in [r#""1800000000000""#, "-1", "1e300", "true", "{}"] {
            let content = format!(r#"{{"claudeAiOauth":{{"accessToken":"a","expiresAt":{expires}}}}}"#);
            let odd = login(None, &[], Some("its expiresAt is no time"));
            assert_eq!(claude_login(content.as_bytes()), odd, "{content}");
        }
    }

    #[test]
    fn opencodes_logins_are_over_when_all_of_them_are() {
        for (content, expected) in [
            (
                r#"{"openai":{"type":"oauth","access":"a","refresh":"","expires":1800000000000}}"#,
                login(Some(END), &["openai"], None),
            ),
            (
                r#"{"a":{"expires":1},"b":{"expires":1800000000000}}"#,
                login(Some(END), &["a", "b"], None),
            ),
            (
                r#"{"a":{"expires":1},"b":{"type":"api","key":"k"}}"#,
                login(None, &["a", "b"], None),
            ),
            (
                r#"{"github-copilot":{"expires":0}}"#,
                login(None, &["github-copilot"], None),
            ),
            (
                r#"{"a":{"expires":1},"b":"odd"}"#,
                login(None, &["a", "b"], Some("what it says of b is no login")),
            ),
            (
                r#"{"a":{"expires":"soon"},"b":[],"c":{"expires":1}}"#,
                login(None, &["a", "b", "c"], Some("what it says of a, b is no login")),
            ),
            ("{}", login(None, &[], None)),
            ("[]", Err("it is no JSON object".into())),
            ("no json", Err("it is no JSON (line 1, column 2)".into())),
        ] {
            assert_eq!(opencode_logins(content.as_bytes()), expected, "{content}");
        }
    }

    #[test]
    fn only_an_end_that_can_be_read_is_ever_over() {
        let ends = Login {
            until: Some(END),
            ..Login::default()
        };
        assert!(ends.is_over(END) && !ends.is_over(END - 1));
        assert!(!Login::default().is_over(u64::MAX));
    }
}
