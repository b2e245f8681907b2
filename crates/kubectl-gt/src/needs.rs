//! What a rig needs before its work can land, and what to type where it lacks it. Nobody is refused for want of it: it may
//! come later. But the queue stands still until then, so it is said when the rig is made, and by doctor.

use gastown_api::RigSpec;
use gastown_git::{RemoteKind, RemoteUrl};

/// What is not there.
pub(crate) struct Lack {
    pub(crate) what: String,
    /// What to type.
    pub(crate) fix: String,
    /// Whether nothing works without it.
    pub(crate) bars: bool,
}

/// A git credential, where the address asks for one. A path does not, as on one machine.
pub(crate) fn git_secret(name: &str, spec: &RigSpec, namespace: &str) -> Option<Lack> {
    if spec.git_secret_ref.is_some() {
        return None;
    }
    let (what, from, bars) = match RemoteUrl::parse(&spec.git_url).ok()?.kind() {
        RemoteKind::Path | RemoteKind::File => return None,
        RemoteKind::Ssh => (
            "an ssh address needs a key, and the rig names no git secret: its queue can neither read nor push",
            "--type=kubernetes.io/ssh-auth --from-file=ssh-privatekey=./deploy-key",
            true,
        ),
        RemoteKind::Https | RemoteKind::Http => (
            "the rig names no git secret: pods read what is public, and its queue can push nothing",
            "--from-literal=token=\"$TOKEN\"",
            false,
        ),
    };
    let fix = format!(
        "kubectl create secret generic git-creds {from} -n {namespace}; \
         kubectl patch rig {name} --type merge -p '{{\"spec\":{{\"gitSecretRef\":{{\"name\":\"git-creds\"}}}}}}'"
    );
    Some(Lack {
        what: what.to_owned(),
        fix,
        bars,
    })
}

/// A command that judges a candidate.
pub(crate) fn test_command(name: &str, command: Option<&str>) -> Option<Lack> {
    command.is_none_or(|c| c.trim().is_empty()).then(|| Lack {
        what: "no test command: nothing ever lands".to_owned(),
        fix: format!("kubectl patch rig {name} --type merge -p '{{\"spec\":{{\"testCommand\":\"make test\"}}}}'"),
        bars: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_missed_where_the_address_asks_for_one() {
        let bars = |url: &str| {
            let spec = RigSpec {
                git_url: url.to_owned(),
                ..RigSpec::default()
            };
            git_secret("r", &spec, "n").map(|lack| lack.bars)
        };
        assert_eq!(bars("git@github.com:org/repo.git"), Some(true));
        assert_eq!(bars("ssh://git@host:22/a/b.git"), Some(true));
        assert_eq!(bars("https://github.com/org/repo.git"), Some(false));
        assert_eq!(bars("/srv/git/repo.git"), None);
        assert_eq!(bars("file:///srv/git/repo.git"), None);
    }

    #[test]
    fn a_blank_test_command_is_none() {
        assert!(test_command("r", Some(" ")).is_some());
        assert!(test_command("r", Some("make test")).is_none());
    }
}
