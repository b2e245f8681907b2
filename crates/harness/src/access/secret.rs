//! The mounted git Secret: one file a key. Which keys count, and what is wrong with the rest.

use std::{collections::BTreeMap, fs, path::Path};

use gastown_git::Credential;
use gastown_wire::RemoteTrouble;

use super::AccessError;

/// Keys that may hold a private ssh key; the first one there counts. The predecessor's four.
const SSH_KEYS: [&str; 4] = ["ssh-privatekey", "id_rsa", "id_ed25519", "identity"];
/// Keys that may hold a password or token.
const PASSWORDS: [&str; 8] = [
    "password",
    "token",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITLAB_TOKEN",
    "GITEA_TOKEN",
    "BITBUCKET_TOKEN",
    "access-token",
];
/// Keys that may hold the name to log in with.
const USERS: [&str; 3] = ["username", "user", "login"];
/// A secret is a few kilobytes. Bytes.
const LIMIT: u64 = 64 * 1024;

/// What the Secret holds.
pub(super) struct Folder(BTreeMap<String, String>);

impl Folder {
    /// Reads a mounted Secret. Optional as it is mounted, a missing one is an empty folder.
    pub(super) fn read(folder: &str) -> Result<Self, AccessError> {
        let mut held = BTreeMap::new();
        for entry in fs::read_dir(Path::new(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // The kubelet's own links begin with two dots. The files are links too, into its folder.
            let fits = fs::metadata(entry.path()).is_ok_and(|m| m.is_file() && m.len() <= LIMIT);
            if !name.starts_with("..") && fits {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                held.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match held.is_empty() {
            false => Ok(Self(held)),
            true => Err(AccessError::new(
                RemoteTrouble::SecretMissing,
                "the Secret named in gitSecretRef is not there or holds nothing",
            )),
        }
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        let mut there = names.iter().filter_map(|name| self.0.get(*name));
        there.find(|text| !text.trim().is_empty()).map(String::as_str)
    }

    fn lacks(&self, address: &str, names: &[&str], other: &str) -> AccessError {
        let held: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let detail = format!(
            "an {address} address needs one of the keys {}; it holds {}{other}",
            names.join(", "),
            held.join(", "),
        );
        AccessError::new(RemoteTrouble::SecretKeyMissing, detail)
    }

    /// The private key, as ssh wants it: it minds carriage returns and a missing last line break.
    pub(super) fn ssh_key(&self) -> Result<String, AccessError> {
        let Some(text) = self.first(&SSH_KEYS) else {
            let other = match self.first(&PASSWORDS) {
                Some(_) => ": with a token, name the repository by its https address",
                None => "",
            };
            return Err(self.lacks("ssh", &SSH_KEYS, other));
        };
        let lines: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
        check(&lines)?;
        Ok(lines.join("\n") + "\n")
    }

    /// Name and password. Forges take any name with a token, some want a certain one.
    pub(super) fn credential(&self, host: &str) -> Result<Credential, AccessError> {
        let Some(password) = self.first(&PASSWORDS) else {
            let other = match self.first(&SSH_KEYS) {
                Some(_) => ": with an ssh key, name the repository by its ssh address",
                None => "",
            };
            return Err(self.lacks("https", &PASSWORDS, other));
        };
        let user = self.first(&USERS).unwrap_or(match host {
            "bitbucket.org" => "x-token-auth",
            _ => "x-access-token",
        });
        Ok(Credential::new(user.trim(), password.trim()))
    }
}

fn check(lines: &[&str]) -> Result<(), AccessError> {
    /// How the base64 of a key begins that OpenSSH wrote without a passphrase: its magic, cipher "none", kdf "none".
    const OPEN: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ";
    let unreadable = |why: &str| Err(AccessError::new(RemoteTrouble::KeyUnreadable, why));
    let first = lines.first().copied().unwrap_or_default();
    if first.starts_with("ssh-") || first.starts_with("ecdsa-") {
        return unreadable("this is the public key; the Secret needs the private one, the file without .pub");
    }
    if !(first.starts_with("-----BEGIN ") && first.ends_with("PRIVATE KEY-----")) {
        return unreadable("it does not begin with -----BEGIN … PRIVATE KEY-----");
    }
    if !lines.last().is_some_and(|last| last.starts_with("-----END ")) {
        return unreadable("it is cut off: its last line is not -----END … PRIVATE KEY-----");
    }
    let body: String = lines.iter().skip(1).take(2).copied().collect();
    let locked = match first {
        "-----BEGIN OPENSSH PRIVATE KEY-----" => !body.starts_with(OPEN),
        first => {
            first.contains("ENCRYPTED")
                || lines
                    .iter()
                    .any(|l| l.starts_with("Proc-Type:") && l.contains("ENCRYPTED"))
        }
    };
    match locked {
        true => Err(AccessError::new(
            RemoteTrouble::KeyHasPassphrase,
            "make one without: ssh-keygen -t ed25519 -N '' -f deploy-key",
        )),
        false => Ok(()),
    }
}
