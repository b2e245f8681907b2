//! What a pod may have of a login: the token it shows, never the one it would get another with.
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
}
