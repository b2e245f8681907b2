//! Which SSH hosts are known: those of a ConfigMap, else the forges that everybody knows, else nobody.

use std::fs;

use gastown_git::Host;
use gastown_wire::RemoteTrouble;

use super::AccessError;

/// Published keys of github.com, gitlab.com and bitbucket.org.
const FORGES: &str = include_str!("known_hosts");

/// The lines of `known_hosts` to go by.
pub(super) fn known(file: Option<&str>, host: Option<&Host>) -> Result<String, AccessError> {
    let Some(file) = file else {
        return match host {
            Some(host) if !is_forge(host) => Err(unknown(&spelled(host))),
            _ => Ok(FORGES.to_owned()),
        };
    };
    let missing = |why: &str| AccessError::new(RemoteTrouble::KnownHostsMissing, format!("{file} {why}"));
    let text = fs::read_to_string(file).map_err(|e| missing(&format!("cannot be read: {e}")))?;
    match text.lines().any(|line| line.split_whitespace().count() >= 3) {
        true => Ok(text.replace("\r\n", "\n") + "\n"),
        false => Err(missing("holds no key")),
    }
}

fn is_forge(host: &Host) -> bool {
    let wanted = spelled(host);
    let names = FORGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').next());
    names.flat_map(|names| names.split(',')).any(|name| name == wanted)
}

/// As ssh writes hosts: the port only where it is not 22.
fn spelled(host: &Host) -> String {
    match host.port {
        Some(port) if port != 22 => format!("[{}]:{port}", host.name),
        _ => host.name.clone(),
    }
}

/// The host in ssh's own words for not knowing it.
pub(super) fn unknown_in(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("host key is known for ")?;
    Some(rest.split_once(" and you")?.0.to_owned())
}

/// Names the host and what to type.
pub(super) fn unknown(host: &str) -> AccessError {
    let scan = match host.strip_prefix('[').and_then(|h| h.split_once("]:")) {
        Some((name, port)) => format!("ssh-keyscan -p {port} {name}"),
        None => format!("ssh-keyscan {host}"),
    };
    let detail = format!(
        "no key of {host} is known: {scan} > known_hosts; compare ssh-keygen -lf known_hosts with what its owner says; \
         kubectl create configmap git-known-hosts --from-file=known_hosts"
    );
    AccessError::new(RemoteTrouble::HostKeyUnknown, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: Option<u16>) -> Host {
        Host {
            name: name.into(),
            port,
        }
    }

    #[test]
    fn forges_are_known_and_others_are_named_with_what_to_type() {
        for (name, port) in [
            ("github.com", None),
            ("github.com", Some(22)),
            ("ssh.github.com", Some(443)),
        ] {
            assert!(known(None, Some(&host(name, port))).is_ok(), "{name} {port:?}");
        }
        let error = known(None, Some(&host("git.example.com", Some(2222)))).unwrap_err();
        assert_eq!(error.trouble, RemoteTrouble::HostKeyUnknown);
        for words in [
            "[git.example.com]:2222",
            "ssh-keyscan -p 2222 git.example.com >",
            "create configmap",
        ] {
            assert!(error.detail.contains(words), "{error}");
        }
        assert!(known(None, Some(&host("github.com.evil.org", None))).is_err());
        let said = "No ED25519 host key is known for [127.0.0.1]:40022 and you have requested strict checking.";
        assert_eq!(unknown_in(said).as_deref(), Some("[127.0.0.1]:40022"));
    }

    /// Each against the fingerprint its forge publishes.
    #[test]
    #[expect(clippy::disallowed_types, reason = "ssh-keygen is the judge of keys")]
    fn the_compiled_in_keys_are_the_published_ones() {
        let mut child = std::process::Command::new("ssh-keygen")
            .args(["-l", "-f", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), FORGES.as_bytes()).unwrap();
        let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let found: Vec<(&str, &str, &str)> = out
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[2], words[3], words[1])
            })
            .collect();
        let hub = "github.com,[ssh.github.com]:443";
        let published = [
            (hub, "(ED25519)", "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"),
            (hub, "(ECDSA)", "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"),
            (hub, "(RSA)", "SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s"),
            (
                "gitlab.com",
                "(ED25519)",
                "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
            ),
            (
                "gitlab.com",
                "(ECDSA)",
                "SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
            ),
            (
                "gitlab.com",
                "(RSA)",
                "SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ",
            ),
            (
                "bitbucket.org",
                "(ED25519)",
                "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
            ),
            (
                "bitbucket.org",
                "(ECDSA)",
                "SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
            ),
            (
                "bitbucket.org",
                "(RSA)",
                "SHA256:46OSHA1Rmj8E8ERTC6xkNcmGOw9oFxYr0WF6zWW8l1E",
            ),
        ];
        assert_eq!(found, published);
    }
}
