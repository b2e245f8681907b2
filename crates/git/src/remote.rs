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
    /// `http://`: neither encrypted nor authenticated.
    Http,
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
    /// [`UrlError`] for relative paths, unknown or unsafe schemes (`git`, `ext::`), control characters.
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
                "http" => Ok(RemoteKind::Http),
                "ssh" => Ok(RemoteKind::Ssh),
                "git" => Err("it is neither encrypted nor authenticated: use https or ssh"),
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

    /// Where it is, where that is another machine.
    #[must_use]
    pub fn host(&self) -> Option<Host> {
        let (authority, scp) = match (self.kind, self.text.split_once("://")) {
            (RemoteKind::Path | RemoteKind::File, _) => return None,
            (_, Some((_, rest))) => (rest.split(['/', '?', '#']).next().unwrap_or_default(), false),
            (_, None) => (self.text.split_once(':').map_or("", |(host, _)| host), true),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        // The colons of an IPv6 address stand in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !scp && !port.contains(']') => (name, port.parse().ok()),
            _ => (host, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some(Host { name, port })
    }

    /// Scheme and authority, as git scopes the configuration of credentials; for http and https.
    pub(crate) fn origin(&self) -> Option<String> {
        let (argument, _) = self.split();
        origin(&argument)
    }

    /// Splits an `https` address into what may stand in an argument list and the credential it carried.
    fn split(&self) -> (String, Option<Credential>) {
        let scheme = match self.kind {
            RemoteKind::Https => "https://",
            RemoteKind::Http => "http://",
            _ => return (self.text.clone(), None),
        };
        let rest = self.text.strip_prefix(scheme).unwrap_or(&self.text);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let Some((user_info, host)) = authority.rsplit_once('@') else {
            return (self.text.clone(), None);
        };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let credential = Credential {
            user: percent_decode(user),
            password: percent_decode(password),
        };
        (format!("{scheme}{host}{path}"), Some(credential))
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

/// The machine a repository is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name or address, in lower case and without brackets.
    pub name: String,
    /// The port, where one is named.
    pub port: Option<u16>,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// `https://host:port` of an address, in lower case.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest
        .split(['/', '?', '#', '\'', '"'])
        .next()
        .filter(|a| !a.is_empty())?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}").to_ascii_lowercase())
}

/// The other host that git's words say it was sent to. From http to https of the same host is no other host.
pub(crate) fn sent_elsewhere(stderr: &str, home: &str) -> Option<String> {
    let host = |origin: &str| {
        let (_, authority) = origin.split_once("://")?;
        Some(authority.split(':').next()?.to_owned())
    };
    let named = |line: &str| {
        let at = match line.strip_prefix("warning: redirecting to ") {
            Some(rest) => rest,
            // The server's own words come behind "remote:"; these are git's.
            None if line.starts_with("fatal: ") => line.get(line.find("'http")? + 1..)?,
            None => return None,
        };
        origin(at)
    };
    stderr.lines().filter_map(named).find(|there| {
        let downgraded = home.starts_with("https:") && !there.starts_with("https:");
        there != home && (downgraded || host(there) != host(home))
    })
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

    /// A credential helper for git that hands over the file of [`Credential::answer`]: nothing secret in any argument list,
    /// and none in an environment, which whatever git starts would inherit.
    pub(crate) const HELPER: &str = r#"!f() { test "$1" = get && cat "$GASTOWN_GIT_CREDENTIAL"; }; f"#;
    /// Variable that names the file.
    pub(crate) const FILE: &str = "GASTOWN_GIT_CREDENTIAL";

    /// What the helper says. A line break would start another field.
    pub(crate) fn answer(&self) -> String {
        let line = |text: &str| text.replace(['\n', '\r', '\0'], "");
        format!("username={}\npassword={}\n", line(&self.user), line(&self.password))
    }

    /// What must not appear in any text.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let whole = Some(self.password.clone()).filter(|s| !s.is_empty());
        // As curl sends it: a server may say it back.
        let sent = whole
            .as_ref()
            .map(|password| base64(&format!("{}:{password}", self.user)));
        whole.into_iter().chain(sent).collect()
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

    /// The same remote with a credential, used only if it is an `https` or `http` one, and for this host alone.
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
            RemoteKind::Https | RemoteKind::Http => self.credential.clone().or(embedded),
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

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = usize::try_from((word >> (18 - 6 * i)) & 63)
                .ok()
                .and_then(|at| ALPHABET.get(at));
            out.push(letter.filter(|_| i <= chunk.len()).map_or('=', |l| char::from(*l)));
        }
    }
    out
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

    use super::{Credential, Host, Remote, RemoteKind, RemoteUrl, percent_decode, sent_elsewhere};

    #[test]
    fn what_is_accepted() {
        for (text, kind) in [
            ("/srv/a b.git", RemoteKind::Path),
            ("file:///srv/a.git", RemoteKind::File),
            ("git@github.com:o/r.git", RemoteKind::Ssh),
            ("ssh://git@h:2222/o/r", RemoteKind::Ssh),
            ("ssh://h/~nux/r", RemoteKind::Ssh),
            ("https://h/o/r.git", RemoteKind::Https),
            ("http://gitea:3000/o/r.git", RemoteKind::Http),
        ] {
            assert_eq!(RemoteUrl::parse(text).unwrap().kind(), kind, "{text}");
        }
        for text in [
            "",
            "a/b",
            "./a",
            "-oProxyCommand=x:y",
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
        assert_eq!(credential.unwrap().answer(), "username=bot\npassword=hunt@er2\n");
        let shown = format!("{remote} {remote:?} {:?}", remote.parts().1);
        assert!(!shown.contains("hunt") && !shown.contains("bot"), "{shown}");
    }

    #[test]
    fn which_host_it_is() {
        for (text, name, port) in [
            ("git@GitHub.com:o/r.git", "github.com", None),
            ("h:22/r", "h", None),
            ("ssh://git@h:2222/o/r", "h", Some(2222)),
            ("ssh://git@[fd00::1]:2222/o/r", "fd00::1", Some(2222)),
            ("https://[fd00::1]/o/r", "fd00::1", None),
            ("https://u:p@h:8443/o/r", "h", Some(8443)),
        ] {
            let host = Host {
                name: name.into(),
                port,
            };
            assert_eq!(RemoteUrl::parse(text).unwrap().host(), Some(host), "{text}");
        }
        assert_eq!(RemoteUrl::parse("/srv/r.git").unwrap().host(), None);
    }

    #[test]
    fn being_sent_to_another_host_is_seen() {
        let home = "https://h:8443";
        for said in [
            "warning: redirecting to https://other/o/r.git/",
            "fatal: could not read Username for 'https://other': terminal prompts disabled",
            "fatal: unable to access 'http://h/o/r.git/': x",
        ] {
            assert!(sent_elsewhere(said, home).is_some(), "{said}");
        }
        for said in [
            "warning: redirecting to https://h:8443/o/r.git/",
            "fatal: Authentication failed for 'https://h:8443/o/r.git/'",
            "remote: fatal: see 'https://docs.example'",
            "remote: Create a pull request by visiting https://docs.example",
        ] {
            assert_eq!(sent_elsewhere(said, home), None, "{said}");
        }
        assert_eq!(sent_elsewhere("warning: redirecting to https://h/x", "http://h"), None);
    }

    #[test]
    fn a_credential_that_is_said_back_is_masked_in_both_shapes() {
        assert_eq!(
            Credential::new("bot", "hunter2").secrets(),
            ["hunter2", "Ym90Omh1bnRlcjI="]
        );
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
