//! A pod's trouble with its git remote, as a reason with its fix. Codes are ours alone: a container cannot make new ones.

use crate::reason::Reason;
use gastown_api::PolecatStatus;
use gastown_api::conditions::{self, CONTENT_KEPT};
use gastown_wire::{ContentTrouble, RemoteTrouble as Trouble};

/// How much of a pod's own words goes into a message: enough for a command to type.
const WORDS: usize = 420;

/// The reason for a trouble a pod reports by name; `other` where the name is not known.
pub(crate) fn reason(name: &str, detail: &str, other: fn() -> Reason) -> Reason {
    let Some(trouble) = Trouble::parse(name) else {
        return with_words(other(), detail);
    };
    with_words(Reason::new(trouble.as_str(), fix(trouble)), detail)
}

/// A remote that does not answer.
pub(crate) const UNREACHABLE: &str = "RemoteUnreachable";

/// The reason for what a pod reports of what it keeps beside commits.
pub(crate) fn of_content(trouble: &ContentTrouble) -> Reason {
    let why = reason(&trouble.reason, &trouble.detail, || {
        Reason::new(
            UNREACHABLE,
            "the repository does not answer: is its server up, and let through?",
        )
    });
    let keeper = match why.code {
        code if code == Trouble::ContentRefused.as_str() => "record.level",
        _ => "record.gitURL",
    };
    let message = format!(
        "work goes on without what {keeper} keeps, uncommitted files and conversations: {}",
        why.message
    );
    Reason::new(why.code, message)
}

/// What is kept no more, where a status is the first to say so, or to say why: told once an incident.
pub(crate) fn kept_no_more(from: &PolecatStatus, to: &PolecatStatus) -> Option<Reason> {
    let unkept = |status: &PolecatStatus| {
        let told = conditions::get(&status.conditions, CONTENT_KEPT).filter(|c| c.status == "False")?;
        let code = Trouble::parse(&told.reason).map_or(UNREACHABLE, Trouble::as_str);
        Some(Reason::new(code, told.message.clone()))
    };
    let (before, now) = (unkept(from), unkept(to)?);
    before.is_none_or(|before| before.code != now.code).then_some(now)
}

/// The code, if it is of the repository, its credential or the way to it, and so of the whole rig.
pub(crate) fn of_the_repository(code: &str) -> Option<&'static str> {
    if code == UNREACHABLE {
        return Some(UNREACHABLE);
    }
    match Trouble::parse(code)? {
        Trouble::RecordUnreadable | Trouble::VolumeNotWritable | Trouble::BadOrders | Trouble::GitFailed => None,
        trouble => Some(trouble.as_str()),
    }
}

fn with_words(reason: Reason, detail: &str) -> Reason {
    match line(detail).as_str() {
        "" => reason,
        words => Reason::new(reason.code, format!("{} ({words})", reason.message)),
    }
}

/// Untrusted words as one bounded line.
fn line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if line.chars().count() > WORDS {
        line = line.chars().take(WORDS).chain("…".chars()).collect();
    }
    line
}

/// What happened, and what to do.
fn fix(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::RepositoryNotFound => {
            "the repository does not exist or this credential cannot see it: check gitURL or gitRepository, and the git Secret"
        }
        Trouble::RepositoryEmpty => "the repository has no commit yet: push a first one to the target branch",
        Trouble::BranchNotFound => "the repository has no such branch: check targetBranch or gitBranch",
        Trouble::RepositoryMoved => {
            "the server sends us to another host, and no credential follows there: write the new address into gitURL"
        }
        Trouble::RepositoryCorrupt => "git finds the repository broken: run git fsck on the remote",
        Trouble::SecretMissing => {
            "the git Secret does not exist in the pod's namespace or is empty: create it there, or correct gitSecretRef"
        }
        Trouble::SecretKeyMissing => "the git Secret has no key that fits the repository's address",
        Trouble::CredentialMissing => {
            "the remote asks for a credential and none is named: create a git Secret and name it in gitSecretRef"
        }
        Trouble::CredentialRefused => {
            "the remote refuses the credential: check that the git Secret holds a valid key or token for this repository"
        }
        Trouble::CredentialReadOnly => {
            "the credential may read and not write: give its deploy key or token write access to this repository"
        }
        Trouble::CredentialNeedsTls => {
            "a credential is sent over http:// only to a Service of this cluster: use https:// or ssh"
        }
        Trouble::KeyHasPassphrase => {
            "the ssh key is under a passphrase, which nobody is there to type: make a deploy key without one"
        }
        Trouble::KeyUnreadable => {
            "the git Secret holds no private ssh key that ssh can read: put the private key file in"
        }
        Trouble::HostKeyUnknown => {
            "the host's ssh key is not known: put it into a ConfigMap named in sshKnownHostsConfigMapRef"
        }
        Trouble::HostKeyChanged => {
            "the host's ssh key is not the known one: somebody may be in between; if the host was set up anew, correct the known hosts"
        }
        Trouble::KnownHostsMissing => {
            "the ConfigMap named in sshKnownHostsConfigMapRef does not exist in the pod's namespace or lacks the key known_hosts"
        }
        Trouble::CertificateUntrusted => {
            "the server's certificate is not trusted: name its authority's ConfigMap in podTemplate.caBundleConfigMapRef (key ca.crt)"
        }
        Trouble::CaBundleMissing => {
            "the ConfigMap named in podTemplate.caBundleConfigMapRef does not exist in the pod's namespace or lacks the key ca.crt"
        }
        Trouble::AtomicUnsupported => {
            "the server cannot move several refs at once, which keeps work safe: enable atomic pushes there (receive.advertiseAtomic), or use another server"
        }
        Trouble::RefsRefused => {
            "the server refuses refs/gastown/*, where records and proofs are kept: allow this credential to create, update and delete refs/gastown/*"
        }
        Trouble::ContentRefused => {
            "the server takes none of it: allow this credential refs/gastown/work/* and refs/gastown/conversations/*, name another repository in record.gitURL, or set record.level to commits"
        }
        Trouble::PushRejected => "the server refuses the push: let this credential push the branch, or name another",
        Trouble::UserUnknown => {
            "the pod's user has no name, and ssh wants one: set podTemplate.runAsUser, or use an https address"
        }
        Trouble::SshMissing => "the harness image has no ssh: update the harness image, or use an https address",
        Trouble::GitMissing | Trouble::GitTooOld => {
            "the harness image has no git of 2.38 or newer: update the harness image"
        }
        Trouble::VolumeNotWritable => {
            "a volume of its pod cannot be written: check podTemplate.runAsUser and the node's disk"
        }
        Trouble::RecordUnreadable => {
            "the record of this work on the remote cannot be read: look at its ref below refs/gastown/polecats/"
        }
        Trouble::BadOrders => "the harness cannot follow its orders: update the harness image with the operator",
        Trouble::GitFailed => "git fails for a reason that is not known",
    }
}

#[cfg(test)]
mod tests {
    use super::{ContentTrouble, Reason, Trouble, UNREACHABLE, of_content, of_the_repository, reason};

    fn other() -> Reason {
        Reason::new("Other", "else")
    }

    #[test]
    fn every_trouble_has_its_code_and_a_fix() {
        for trouble in Trouble::ALL {
            let told = reason(trouble.as_str(), "", other);
            assert_eq!(told.code, trouble.as_str());
            assert!(told.message.len() > 30, "{told}");
        }
        assert_eq!(reason("ForgedByAnAgent", "", other).code, "Other");
        assert_eq!(of_the_repository("HostKeyChanged"), Some("HostKeyChanged"));
        assert_eq!(of_the_repository("RemoteUnreachable"), Some("RemoteUnreachable"));
        assert_eq!(of_the_repository("AgentFailed"), None);
    }

    #[test]
    fn the_record_repository_is_named_and_forged_codes_are_not_believed() {
        let told = |reason: &str| {
            of_content(&ContentTrouble {
                reason: reason.into(),
                detail: "no\nway".into(),
            })
        };
        let read_only = told("CredentialReadOnly");
        assert_eq!(read_only.code, "CredentialReadOnly");
        for words in ["record.gitURL", "write access", "(no way)"] {
            assert!(read_only.message.contains(words), "{read_only}");
        }
        for code in ["RemoteUnreachable", "ForgedByAnAgent", ""] {
            assert_eq!(told(code).code, UNREACHABLE);
        }
        let beside = told("ContentRefused");
        assert_eq!(beside.code, "ContentRefused");
        for words in ["without what record.level keeps", "refs/gastown/work/*", "(no way)"] {
            assert!(beside.message.contains(words), "{beside}");
        }
    }

    #[test]
    fn the_pods_words_are_one_bounded_line() {
        let told = reason("HostKeyUnknown", "a\n b\t\u{1b}[31mc", other).message;
        assert!(told.ends_with("(a b [31mc)"), "{told}");
        assert!(reason("GitFailed", &"x".repeat(9000), other).message.chars().count() < 600);
    }
}
