//! Commits: read raw, so that nothing is lost, and written raw, so that the same inputs give the same id.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::GitError;
use crate::names::Oid;
use crate::repo::Repo;

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    email: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self::new("Gas Town", "polecat@gastown.io")
    }
}

impl Identity {
    /// An identity. Characters that git cannot store there are left out; an empty name becomes `unknown`.
    #[must_use]
    pub fn new(name: &str, email: &str) -> Self {
        Self {
            name: plain(name).unwrap_or_else(|| "unknown".to_owned()),
            email: plain(email).unwrap_or_default(),
        }
    }

    /// Who, as of an instant.
    #[must_use]
    pub fn at(&self, time: SystemTime) -> Signature {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        self.at_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Who, as of seconds since 1970, in UTC.
    #[must_use]
    pub fn at_seconds(&self, seconds: i64) -> Signature {
        let line = format!("{} <{}> {} +0000", self.name, self.email, seconds.max(0));
        Signature {
            line: line.into_bytes(),
        }
    }

    /// Who, now.
    #[must_use]
    pub fn now(&self) -> Signature {
        self.at(SystemTime::now())
    }
}

fn plain(text: &str) -> Option<String> {
    let kept: String = text
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
        .collect();
    let kept = kept.trim().to_owned();
    (!kept.is_empty()).then_some(kept)
}

/// Who and when, as a commit stores it: `name <email> seconds zone`, kept byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    line: Vec<u8>,
}

impl Signature {
    /// The parts, for reading. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn person(&self) -> Person {
        let text = String::from_utf8_lossy(&self.line);
        let (who, when) = text.rsplit_once('>').unwrap_or((&text, ""));
        let (name, email) = who.split_once('<').unwrap_or((who, ""));
        let mut when = when.split_whitespace();
        Person {
            name: name.trim().to_owned(),
            email: email.trim().to_owned(),
            seconds: when.next().and_then(|s| s.parse().ok()).unwrap_or(0),
            zone: when.next().unwrap_or("+0000").to_owned(),
        }
    }

    /// The line, made such that git takes it: history holds authors without an address or a date.
    fn sound(&self) -> Vec<u8> {
        let person = self.person();
        let zone_ok = person.zone.len() == 5 && person.zone.starts_with(['+', '-']);
        let rebuilt = format!("<{}> {} {}", person.email, person.seconds, person.zone);
        if zone_ok
            && self.line.ends_with(format!(" {rebuilt}").as_bytes())
            && !person.email.contains(['<', '>'])
            && person.seconds >= 0
        {
            return self.line.clone();
        }
        Identity::new(&person.name, &person.email)
            .at_seconds(person.seconds)
            .line
    }
}

/// Who and when, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// Seconds since 1970.
    pub seconds: i64,
    /// Offset from UTC, as `+0200`.
    pub zone: String,
}

/// A commit as it is stored. Signatures over it and other extra headers are not kept: they do not survive a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: Vec<Oid>,
    /// Who wrote the change, and when.
    pub author: Signature,
    /// Who made the commit, and when.
    pub committer: Signature,
    /// The encoding of the message where it is not UTF-8.
    pub encoding: Option<String>,
    /// The message, byte by byte.
    pub message: Vec<u8>,
}

impl Commit {
    /// The message as text.
    #[must_use]
    pub fn message_text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }

    /// The first line of the message.
    #[must_use]
    pub fn subject(&self) -> String {
        self.message_text()
            .trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }

    fn parse(id: Oid, raw: &[u8]) -> Option<Self> {
        let (mut tree, mut parents, mut author, mut committer, mut encoding) = (None, Vec::new(), None, None, None);
        let mut rest = raw;
        loop {
            let end = rest.iter().position(|b| *b == b'\n')?;
            let (line, after) = rest.split_at_checked(end)?;
            rest = after.get(1..)?;
            if line.is_empty() {
                break;
            }
            // Continuation lines of signatures start with a space and so have an empty key.
            let space = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
            let (key, value) = line.split_at_checked(space)?;
            let value = value.get(1..).unwrap_or_default();
            let oid = || Oid::parse(std::str::from_utf8(value).ok()?).ok();
            match key {
                b"tree" => tree = Some(oid()?),
                b"parent" => parents.push(oid()?),
                b"author" => author = Some(Signature { line: value.to_vec() }),
                b"committer" => committer = Some(Signature { line: value.to_vec() }),
                b"encoding" => encoding = Some(String::from_utf8_lossy(value).into_owned()),
                _ => {}
            }
        }
        Some(Self {
            id,
            tree: tree?,
            parents,
            author: author?,
            committer: committer?,
            encoding,
            message: rest.to_vec(),
        })
    }
}

/// A commit to be written.
#[derive(Clone, Debug)]
pub struct NewCommit<'a> {
    /// Its tree.
    pub tree: &'a Oid,
    /// Its parents.
    pub parents: &'a [Oid],
    /// Who wrote the change.
    pub author: Signature,
    /// Who makes the commit.
    pub committer: Signature,
    /// The encoding of the message where it is not UTF-8.
    pub encoding: Option<&'a str>,
    /// The message; NUL bytes are left out.
    pub message: &'a [u8],
}

impl NewCommit<'_> {
    fn raw(&self) -> Vec<u8> {
        let mut raw = format!("tree {}\n", self.tree).into_bytes();
        for parent in self.parents {
            raw.extend(format!("parent {parent}\n").bytes());
        }
        for (key, who) in [("author ", &self.author), ("committer ", &self.committer)] {
            raw.extend(key.bytes());
            raw.extend(who.sound());
            raw.push(b'\n');
        }
        if let Some(encoding) = self.encoding.and_then(plain) {
            raw.extend(format!("encoding {encoding}\n").bytes());
        }
        raw.push(b'\n');
        raw.extend(self.message.iter().filter(|b| **b != 0));
        raw
    }
}

impl Repo {
    /// Writes a commit. The same inputs give the same id, on any machine.
    ///
    /// # Errors
    /// If git refuses it or it cannot be stored.
    pub async fn commit_tree(&self, commit: &NewCommit<'_>) -> Result<Oid, GitError> {
        self.call("hash-object")
            .args(["-t", "commit", "-w", "--stdin"])
            .stdin(commit.raw())
            .oid()
            .await
    }

    /// Reads a commit.
    ///
    /// # Errors
    /// If it is not here.
    pub async fn cat_commit(&self, id: &Oid) -> Result<Commit, GitError> {
        let found = self.commits(std::slice::from_ref(id)).await?.pop();
        found.ok_or_else(|| unanswered(id))
    }

    /// Reads many commits with one command, in the given order.
    pub(crate) async fn commits(&self, ids: &[Oid]) -> Result<Vec<Commit>, GitError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.cat_file("--batch", ids).await?;
        let mut rest = answer.stdout.as_slice();
        let mut commits = Vec::with_capacity(ids.len());
        for id in ids {
            let read = batch_entry(id, "commit", rest);
            let read = read.and_then(|(raw, after)| Some((Commit::parse(id.clone(), raw)?, after)));
            let (commit, after) = read.ok_or_else(|| answer.unreadable(format!("{id} is not a commit here")))?;
            commits.push(commit);
            rest = after;
        }
        Ok(commits)
    }
}

/// Git said nothing of a commit that was asked for.
pub(crate) fn unanswered(id: &Oid) -> GitError {
    GitError::Answer {
        command: "cat-file",
        what: format!("no answer for {id}"),
    }
}

/// Reads `<id> <kind> <size>\n<size bytes>\n`: the bytes, and what comes after.
pub(crate) fn batch_entry<'a>(id: &Oid, kind: &str, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let header = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let size: usize = header
        .strip_prefix(id.as_str())?
        .strip_prefix(' ')?
        .strip_prefix(kind)?
        .strip_prefix(' ')?
        .parse()
        .ok()?;
    let body = bytes.get(end + 1..)?;
    Some((body.get(..size)?, body.get(size + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Commit, Identity, NewCommit, Signature};
    use crate::names::Oid;

    #[test]
    fn odd_authors_become_lines_git_takes() {
        for (line, sound) in [
            ("A U Thor <a@b.c> 1700000000 +0200", "A U Thor <a@b.c> 1700000000 +0200"),
            ("A U Thor <a@b.c>", "A U Thor <a@b.c> 0 +0000"),
            ("nobody", "nobody <> 0 +0000"),
            ("<a@b> 5 +0000", "unknown <a@b> 5 +0000"),
            ("A <x <y@z>> 12 +0000", "A <x y@z> 12 +0000"),
        ] {
            let signature = Signature {
                line: line.as_bytes().to_vec(),
            };
            assert_eq!(String::from_utf8(signature.sound()).unwrap(), sound, "{line}");
        }
        let signed = Identity::new("Ev\nil <x>", "a>b\0").at_seconds(-5);
        assert_eq!(signed.line, b"Evil x <ab> 0 +0000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in proptest::collection::vec(1_u8.., 0..200), name in "\\PC{0,20}", seconds in 0_i64..4_000_000_000) {
            let id = Oid::zero();
            let author = Identity::new(&name, "a@b").at_seconds(seconds);
            let parents = [id.clone(), id.clone()];
            let new = NewCommit {
                tree: &id, parents: &parents, author: author.clone(), committer: author.clone(), encoding: None, message: &message,
            };
            let read = Commit::parse(id.clone(), &new.raw()).unwrap();
            prop_assert_eq!(&read.message, &message);
            prop_assert_eq!(&read.author, &author);
            prop_assert_eq!(read.parents.len(), 2);
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Commit::parse(Oid::zero(), &raw);
            let _ = Signature { line: raw }.sound();
        }
    }
}
