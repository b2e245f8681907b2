//! The login among the values of a Secret, or among files to upload.

use gastown_wire::{LOGIN_KEYS, Login, OPENCODE_LOGINS, claude_login, opencode_logins, settings_key};
use jiff::Timestamp;

/// Reads it, by the keys that it may have. None: there is none. An error says why there is none in its file.
pub(super) fn among<'a>(value: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Result<Login, String>> {
    match LOGIN_KEYS.iter().find_map(|key| value(key)) {
        Some(content) => Some(claude_login(content)),
        None => Some(opencode_logins(value(&settings_key(OPENCODE_LOGINS)?)?)),
    }
}

/// Until when it holds, where it says.
pub(super) fn expires(login: &Login) -> Option<Timestamp> {
    let milliseconds = i64::try_from(login.until?).ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}

/// Whether it is over.
pub(super) fn is_over(login: &Login, now: Timestamp) -> bool {
    login.is_over(u64::try_from(now.as_millisecond()).unwrap_or_default())
}
