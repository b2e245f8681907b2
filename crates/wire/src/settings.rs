//! The Secret with an agent's login and settings: a key a file, its path written so that it comes back the same.
//!
//! A Secret's key may hold letters, digits, `-`, `.` and `_`. So in a key every other byte of the path, and `_` itself, is
//! written as its two hexadecimal digits between underscores, and a dot too where the key would begin with two of them:
//!
//! ```text
//! .credentials.json            .credentials.json
//! skills/my_skill/SKILL.md     skills_2F_my_5F_skill_2F_SKILL.md
//! ~/.config/opencode/auth.json _7E__2F_.config_2F_opencode_2F_auth.json
//! ```
//!
//! Paths are below `$HOME/.claude`; those that begin with `~/` are below `$HOME`.

use std::fmt::Write as _;

/// Keys of a Claude Code login: its own name, and the one the predecessor's template used.
pub const LOGIN_KEYS: [&str; 2] = [".credentials.json", "credentials.json"];

/// opencode's logins.
pub const OPENCODE_LOGINS: &str = "~/.local/share/opencode/auth.json";

/// A key of such a Secret that holds no file but an API key, and is named for the variable it goes to: the predecessor's README
/// makes it so.
pub const API_KEY_KEY: &str = "ANTHROPIC_API_KEY";

/// The same of a long-lived token, as `claude setup-token` makes it: it is refreshed nowhere, so any number may share it.
pub const TOKEN_KEY: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// Longest key of a Secret. Bytes.
const LONGEST: usize = 253;

/// The key of a file. None: the path is not a plain relative one, or too long for a key.
#[must_use]
pub fn settings_key(path: &str) -> Option<String> {
    if !is_plain(path) {
        return None;
    }
    let mut key = String::new();
    for (at, byte) in path.bytes().enumerate() {
        let leading = at == 0 && path.starts_with("..");
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => key.push(char::from(byte)),
            b'.' if !leading => key.push('.'),
            // Writing to a String cannot fail.
            _ => drop(write!(key, "_{byte:02X}_")),
        }
    }
    (key.len() <= LONGEST).then_some(key)
}

/// The path of a key. None: no path is written so.
#[must_use]
pub fn settings_path(key: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = key.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'_' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, after) = tail.split_at_checked(3)?;
        let digits = std::str::from_utf8(digits.strip_suffix(b"_")?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    let path = String::from_utf8(bytes).ok()?;
    // One way of writing each: a key that settings_key would not write is no path of ours.
    (settings_key(&path).as_deref() == Some(key)).then_some(path)
}

/// Relative, without `.`, `..`, empty parts or a zero byte.
fn is_plain(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_written_as_keys_and_come_back() {
        for (path, key) in [
            (".credentials.json", ".credentials.json"),
            ("CLAUDE.md", "CLAUDE.md"),
            ("skills/my_skill/SKILL.md", "skills_2F_my_5F_skill_2F_SKILL.md"),
            (
                "~/.config/opencode/a b.json",
                "_7E__2F_.config_2F_opencode_2F_a_20_b.json",
            ),
            ("..odd", "_2E_.odd"),
        ] {
            assert_eq!(settings_key(path).as_deref(), Some(key));
            assert_eq!(settings_path(key).as_deref(), Some(path));
        }
    }

    #[test]
    fn nothing_leads_outside() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a\0b"] {
            assert_eq!(settings_key(path), None, "{path:?}");
        }
        for key in [
            "",
            "..",
            "_2E_._2F_x",
            "a_2F__2F_b",
            "_2f_x",
            "a_2",
            "a__b",
            "_2F_etc",
            "a_61_",
            "_+2_",
            "_C3_",
        ] {
            assert_eq!(settings_path(key), None, "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_legal_and_comes_back(path in "[a-zA-Z0-9._ ~é-]{1,20}(/[a-zA-Z0-9._ é-]{1,20}){0,3}") {
            if let Some(key) = settings_key(&path) {
                prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
                prop_assert!(key != "." && !key.starts_with(".."));
                prop_assert_eq!(settings_path(&key), Some(path));
            }
        }
    }
}
