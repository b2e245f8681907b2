//! Where a remote repository is, and the credential for it.

use std::fmt;

use crate::redact::redact;

/// A location we do not accept, and what to write instead. The text is redacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a repository address we accept: {why}")]
pub struct UrlError {
    /// What was given, without credentials.
    pub url: String,
    /// The reason and the fix.
    pub why: &'static str,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteKind {
    /// An absolute path of this machine.
    Path,
    /// A `file://` URL.
    File,
    /// `ssh://` or `host:path`.
    Ssh,
    /// `https://`.
    Https,
}

/// The address of a repository. `Display` and `Debug` show no user, password or token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    text: String,
    kind: RemoteKind,
}

impl RemoteUrl {
    /// Checks and takes an address.
    ///
    /// # Errors
    /// [`UrlError`] for relative paths, unknown or unsafe schemes (`http`, `git`, `ext::`), control characters.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let wrong = |why| UrlError {
            url: redact(text, &[]),
            why,
        };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("it holds a control character"));
        }
        let kind = Self::kind_of(text).map_err(wrong)?;
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    fn kind_of(text: &str) -> Result<RemoteKind, &'static str> {
        if text.starts_with('/') {
            return Ok(RemoteKind::Path);
        }
        if text.starts_with('-') {
            return Err("it starts with a dash");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            if scheme == "file" {
                return if rest.starts_with('/') {
                    Ok(RemoteKind::File)
                } else {
                    Err("write file:///absolute/path")
                };
            }
            let host = rest.split('/').next().unwrap_or_default();
            if host.is_empty() || host.starts_with('-') {
                return Err("it names no host");
            }
            return match scheme {
                "https" => Ok(RemoteKind::Https),
                "ssh" => Ok(RemoteKind::Ssh),
                "http" | "git" => Err("it is neither encrypted nor authenticated: use https or ssh"),
                _ => Err("use https, ssh, file or an absolute path"),
            };
        }
        // host:path, as in git@github.com:o/r.git: the colon stands before the first slash.
        match text.split_once(':') {
            Some((_, path)) if path.starts_with(':') => Err("remote helpers are not allowed: use https, ssh or a path"),
            Some((host, path)) if !host.is_empty() && !host.contains('/') && !path.is_empty() => Ok(RemoteKind::Ssh),
            _ => Err("it is a relative path: write an absolute one"),
        }
    }

    /// How it is reached.
    #[must_use]
    pub fn kind(&self) -> RemoteKind {
        self.kind
    }

    /// Splits an `https` address into what may stand in an argument list and the credential it carried.
    fn split(&self) -> (String, Option<Credential>) {
        if self.kind != RemoteKind::Https {
            return (self.text.clone(), None);
        }
        let rest = self.text.strip_prefix("https://").unwrap_or(&self.text);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some((user_info, host)) = authority.rsplit_once('@') else {
            return (self.text.clone(), None);
        };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let credential = Credential {
            user: percent_decode(user),
            password: percent_decode(password),
        };
        (format!("https://{host}{path}"), Some(credential))
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.text, &[]))
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redact(&self.text, &[]))
    }
}

/// A user name and password (or token) for an `https` remote. Cannot be printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credential {
    user: String,
    password: String,
}

impl Credential {
    /// A credential. Forges take any user name with a token.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }

    /// A credential helper for git that reads the two variables of [`Credential::environment`]: nothing secret in any argument list.
    pub(crate) const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$GASTOWN_GIT_USER" "$GASTOWN_GIT_PASSWORD"; }; f"#;

    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("GASTOWN_GIT_USER", &self.user),
            ("GASTOWN_GIT_PASSWORD", &self.password),
        ]
    }

    /// What must not appear in any text.
    pub(crate) fn secrets(&self) -> Vec<String> {
        [&self.password]
            .into_iter()
            .filter(|s| !s.is_empty())
            .cloned()
            .collect()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(***)")
    }
}

/// A remote repository: its address, and the credential for it where one is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    url: RemoteUrl,
    credential: Option<Credential>,
}

impl Remote {
    /// The remote at `url`. A user and password in an `https` address become its credential.
    #[must_use]
    pub fn new(url: RemoteUrl) -> Self {
        Self { url, credential: None }
    }

    /// Parses the address and takes it.
    ///
    /// # Errors
    /// [`UrlError`], see [`RemoteUrl::parse`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        RemoteUrl::parse(url).map(Self::new)
    }

    /// The same remote with a credential, used only if it is an `https` one.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// What stands in the argument list, and the credential that must not.
    pub(crate) fn parts(&self) -> (String, Option<Credential>) {
        let (argument, embedded) = self.url.split();
        let credential = match self.url.kind {
            RemoteKind::Https => self.credential.clone().or(embedded),
            RemoteKind::Path | RemoteKind::File | RemoteKind::Ssh => None,
        };
        (argument, credential)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = (byte == b'%')
            .then(|| {
                let mut ahead = bytes.clone();
                let high = char::from(ahead.next()?).to_digit(16)?;
                let low = char::from(ahead.next()?).to_digit(16)?;
                bytes = ahead;
                u8::try_from(high * 16 + low).ok()
            })
            .flatten();
        out.push(decoded.unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Remote, RemoteKind, RemoteUrl, percent_decode};

    #[test]
    fn what_is_accepted() {
        for (text, kind) in [
            ("/srv/a b.git", RemoteKind::Path),
            ("file:///srv/a.git", RemoteKind::File),
            ("git@github.com:o/r.git", RemoteKind::Ssh),
            ("ssh://git@h:2222/o/r", RemoteKind::Ssh),
            ("https://h/o/r.git", RemoteKind::Https),
        ] {
            assert_eq!(RemoteUrl::parse(text).unwrap().kind(), kind, "{text}");
        }
        for text in [
            "",
            "a/b",
            "./a",
            "-oProxyCommand=x:y",
            "http://h/r",
            "git://h/r",
            "ext::sh -c date",
            "file://h",
            "https://",
            "ssh://-oX/r",
            "/a\nb",
            ":x",
        ] {
            assert!(RemoteUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_credential_in_an_address_leaves_it() {
        let remote = Remote::parse("https://bot:hunt%40er2@h:8443/o/r.git").unwrap();
        let (argument, credential) = remote.parts();
        assert_eq!(argument, "https://h:8443/o/r.git");
        assert_eq!(credential.unwrap().environment().map(|(_, v)| v), ["bot", "hunt@er2"]);
        let shown = format!("{remote} {remote:?} {:?}", remote.parts().1);
        assert!(!shown.contains("hunt") && !shown.contains("bot"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            if let Ok(url) = RemoteUrl::parse(&text) {
                let _ = Remote::new(url).parts();
            }
            let _ = percent_decode(&text);
        }
    }
}
