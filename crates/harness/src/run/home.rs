//! The agent's home before it starts: its login and settings from their Secret, and whether it can prove who pays.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use gastown_wire::{
    API_KEY_KEY, CredentialProblem, LOGIN_KEYS, Login, OPENCODE_LOGINS, TOKEN_KEY, Transcript, claude_login,
    opencode_logins, settings_key, settings_path, without_refresh,
};

use super::agent::Environment;
use crate::{conversation::is_below, files, setup::Pod};

/// Most that one file of settings may have: a Secret has no room for more. Bytes.
const LARGEST: u64 = 2 * 1024 * 1024;

/// What a home was made of that is not to be seen.
#[derive(Debug, Default)]
pub(super) struct Furnished {
    /// Texts that hold secrets.
    pub(super) secrets: Vec<String>,
    /// An API key or a long-lived token that stands where a login is looked for, each by its variable.
    pub(super) variables: Vec<(String, String)>,
}

/// Puts settings in place.
///
/// # Errors
/// When the home cannot be written.
pub(super) fn furnish(pod: &Pod) -> io::Result<Furnished> {
    let home = PathBuf::from(&pod.orders.paths.home);
    fs::create_dir_all(home.join(".gastown"))?;
    for (path, text) in &pod.orders.agent.files {
        let place = home.join(path);
        if let Some(folder) = place.parent().filter(|_| is_below(path)) {
            fs::create_dir_all(folder)?;
            files::replace(&place, text.as_bytes(), 0o600)?;
        }
    }
    let login = pod.orders.agent.credential.as_ref().is_some_and(|c| c.login);
    let mut furnished = Furnished::default();
    let mut has_login = false;
    for (key, bytes) in entries(&pod.orders.paths.settings) {
        if [API_KEY_KEY, TOKEN_KEY].contains(&key.as_str()) {
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            furnished.variables.extend(login.then_some((key, text)));
            continue;
        }
        let is_login = LOGIN_KEYS.contains(&key.as_str());
        if is_login {
            furnished.secrets.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        let Some(place) = place(&home, &key) else {
            tracing::warn!("{key} in the agent's Secret names no file");
            continue;
        };
        // A key wins over a login, and the first of two logins over the other.
        if is_login && (!login || std::mem::replace(&mut has_login, true)) {
            continue;
        }
        let path = settings_path(&key).unwrap_or_default();
        // Of several that refresh the same login, the second is logged out: no agent does.
        let bytes = without_refresh(&path, &bytes).unwrap_or(bytes);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        files::replace(&place, &bytes, mode(&bytes))?;
        if HOLD_SECRETS.iter().any(|end| path.ends_with(end)) {
            furnished.secrets.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(furnished)
}

/// Files of settings in which keys and tokens stand, by how their paths end.
const HOLD_SECRETS: [&str; 7] = [
    "settings.json",
    "settings.local.json",
    "mcp.json",
    "auth.json",
    "opencode.json",
    ".env",
    ".conf.yml",
];

/// A Secret holds no modes: what names its interpreter is meant to be started, as hooks and skills' scripts are.
fn mode(content: &[u8]) -> u32 {
    if content.starts_with(b"#!") { 0o700 } else { 0o600 }
}

/// Where a key of the Secret belongs.
fn place(home: &Path, key: &str) -> Option<PathBuf> {
    if LOGIN_KEYS.contains(&key) {
        return Some(home.join(".claude/.credentials.json"));
    }
    let path = settings_path(key)?;
    match path.strip_prefix("~/") {
        Some(below) if is_below(below) => Some(home.join(below)),
        Some(_) => None,
        None => Some(home.join(".claude").join(path)),
    }
}

/// Keys and contents of a mounted Secret; nothing where it is not mounted.
fn entries(folder: &str) -> Vec<(String, Vec<u8>)> {
    if folder.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let key = entry.file_name().into_string().ok().filter(|k| !k.starts_with(".."))?;
            let meta = fs::metadata(entry.path()).ok()?;
            (meta.is_file() && meta.len() <= LARGEST).then(|| Some((key, fs::read(entry.path()).ok()?)))?
        })
        .collect();
    found.sort();
    found
}

/// What is wrong with the credential that the agent is to use, as far as can be seen without asking the provider.
pub(super) fn lacks_credential(pod: &Pod, env: &Environment) -> Option<(CredentialProblem, String)> {
    let home = Path::new(&pod.orders.paths.home);
    let Some(credential) = &pod.orders.agent.credential else {
        let is_opencode = pod.orders.agent.transcript == Transcript::Opencode;
        let file = settings_key(OPENCODE_LOGINS).and_then(|key| place(home, &key));
        let content = is_opencode.then(|| fs::read(file?).ok());
        return match opencode_logins(&content??) {
            Ok(login) if login.is_over(now()) => Some((CredentialProblem::Expired, login.providers.join(", "))),
            // It asks whom it has a login for, or one that needs none: who that is cannot be told from here.
            Ok(Login { odd, .. }) => warn_of(OPENCODE_LOGINS, odd),
            Err(why) => warn_of(OPENCODE_LOGINS, Some(why)),
        };
    };
    if let Some(variable) = &credential.variable {
        return match env.get(std::ffi::OsStr::new(variable)) {
            None => Some((CredentialProblem::Missing, String::new())),
            Some(value) if value.to_string_lossy().trim().is_empty() => Some((CredentialProblem::Empty, String::new())),
            Some(_) => None,
        };
    }
    if !credential.login {
        return None;
    }
    let instead = [API_KEY_KEY, TOKEN_KEY].map(std::ffi::OsStr::new);
    if let Some(text) = instead.iter().find_map(|name| env.get(*name)) {
        return text.is_empty().then(|| (CredentialProblem::Empty, String::new()));
    }
    let Ok(content) = fs::read(home.join(".claude/.credentials.json")) else {
        return Some((CredentialProblem::Missing, String::new()));
    };
    match claude_login(&content) {
        Ok(login) if login.is_over(now()) => Some((CredentialProblem::Expired, String::new())),
        Ok(Login { odd, .. }) => warn_of("the login", odd),
        Err(why) => Some((CredentialProblem::Empty, why)),
    }
}

/// What is odd is said; whether it is good enough says the provider.
fn warn_of(file: &str, odd: Option<String>) -> Option<(CredentialProblem, String)> {
    if let Some(odd) = odd {
        tracing::warn!("{file}: {odd}");
    }
    None
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_files_in_the_home_and_nowhere_else() {
        let home = Path::new("/h");
        for (key, expected) in [
            (".credentials.json", Some("/h/.claude/.credentials.json")),
            ("credentials.json", Some("/h/.claude/.credentials.json")),
            ("skills_2F_a_2F_SKILL.md", Some("/h/.claude/skills/a/SKILL.md")),
            (
                "_7E__2F_.config_2F_opencode_2F_opencode.json",
                Some("/h/.config/opencode/opencode.json"),
            ),
            ("_7E_", Some("/h/.claude/~")),
            ("_2E_._2F_x", None),
            ("_2F_etc_2F_passwd", None),
        ] {
            assert_eq!(place(home, key), expected.map(PathBuf::from), "{key}");
        }
    }
}
