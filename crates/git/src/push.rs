//! Moving refs of a remote: atomically, each by compare-and-swap, and what the remote said to it.

use crate::error::{Fault, GitError};
use crate::names::{Oid, RefName};
use crate::refs::is_lost;
use crate::remote::Remote;
use crate::repo::Repo;

/// What a ref must be for an update to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not exist.
    Absent,
    /// It has this value.
    Is(Oid),
    /// Anything. Of a remote: anything the new value contains (a fast-forward), since we never force.
    Any,
}

/// A change of one ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The ref.
    pub dst: RefName,
    /// Its new value; `None` deletes it.
    pub new: Option<Oid>,
    /// Its value now.
    pub expect: Expect,
}

impl RefUpdate {
    /// The ref gets a value.
    #[must_use]
    pub fn set(dst: RefName, new: Oid, expect: Expect) -> Self {
        Self {
            dst,
            new: Some(new),
            expect,
        }
    }

    /// The ref goes.
    #[must_use]
    pub fn delete(dst: RefName, expect: Expect) -> Self {
        Self { dst, new: None, expect }
    }
}

/// How a push ended.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// Every ref has its new value now.
    Done,
    /// These refs were not as expected. None moved.
    Stale {
        /// The refs.
        refs: Vec<RefName>,
    },
    /// The remote will not have it, now or later: a protected branch, a hook, a right we lack. None moved.
    Refused {
        /// The ref it names.
        dst: RefName,
        /// The remote's own words (untrusted text).
        why: String,
    },
}

impl Repo {
    /// Moves refs of a remote: all or none. Each is leased on its expected value; nothing is ever forced.
    ///
    /// A ref that has its new value already is not sent, so the remote does not compare it: a ref that is to fence
    /// others must *move* in every push.
    ///
    /// # Errors
    /// If the remote gave no verdict. A transient error may hide a push that was carried out: look, then decide.
    pub async fn push(&self, remote: &Remote, updates: &[RefUpdate]) -> Result<PushOutcome, GitError> {
        if updates.is_empty() {
            return Ok(PushOutcome::Done);
        }
        let call = self
            .call("push")
            .args(["--porcelain", "--atomic", "--no-verify", "--no-follow-tags"]);
        let call = call.args(updates.iter().filter_map(lease)).remote(remote);
        let answer = call.args(updates.iter().map(refspec)).run().await?;
        if answer.code == Some(0) {
            return Ok(PushOutcome::Done);
        }
        let refusals: Vec<Refusal> = answer.text().lines().filter_map(refusal).collect();
        match verdict(&refusals, &answer.stderr) {
            Verdict::Outcome(outcome) => Ok(outcome),
            Verdict::Unclear(fault) => Err(GitError::Failed {
                command: answer.name,
                status: answer.code,
                fault: of_push(fault, &answer.stderr),
                stderr: answer.stderr,
            }),
        }
    }
}

/// Whom a server knows and does not let write. Whom it does not know is denied, also in a push.
fn of_push(fault: Fault, stderr: &str) -> Fault {
    let said = stderr.to_ascii_lowercase();
    let unknown = ["authentication failed", "permission denied (", "returned error: 401"]
        .iter()
        .any(|words| said.contains(words));
    match fault {
        Fault::Denied if !unknown => Fault::ReadOnly,
        fault => fault,
    }
}

fn lease(update: &RefUpdate) -> Option<String> {
    match &update.expect {
        Expect::Any => None,
        // Git's way to say "must not exist".
        Expect::Absent => Some(format!("--force-with-lease={}:", update.dst)),
        Expect::Is(old) => Some(format!("--force-with-lease={}:{old}", update.dst)),
    }
}

/// Never with a `+`: it would silently void the lease.
fn refspec(update: &RefUpdate) -> String {
    match &update.new {
        Some(new) => format!("{new}:{}", update.dst),
        None => format!(":{}", update.dst),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    dst: RefName,
    /// The remote, not our own git, refused.
    by_remote: bool,
    why: String,
}

/// Reads a line `!\t<from>:<to>\t[rejected] (stale info)`.
fn refusal(line: &str) -> Option<Refusal> {
    let (refs, summary) = line.strip_prefix("!\t")?.split_once('\t')?;
    let dst = RefName::parse(refs.rsplit_once(':')?.1).ok()?;
    let (kind, why) = summary.split_once(" (").unwrap_or((summary, ""));
    let why = why.strip_suffix(')').unwrap_or(why).to_owned();
    Some(Refusal {
        dst,
        by_remote: kind != "[rejected]",
        why,
    })
}

enum Verdict {
    Outcome(PushOutcome),
    Unclear(Fault),
}

/// Tells apart what was stale, what the remote forbids, and what may pass by itself. Refs that are refused only because
/// another one was do not count.
fn verdict(refusals: &[Refusal], stderr: &str) -> Verdict {
    let stale: Vec<RefName> = refusals.iter().filter(|r| is_stale(r)).map(|r| r.dst.clone()).collect();
    if !stale.is_empty() {
        return Verdict::Outcome(PushOutcome::Stale { refs: stale });
    }
    let fault = Fault::read(stderr);
    // A server under our feet moved the ref between its greeting and the transaction: then the reason stands on standard error
    // only, and every ref is "atomic transaction failed".
    let raced = refusals.iter().any(|r| r.by_remote) && is_lost(stderr) && fault != Fault::Locked;
    if raced {
        let named: Vec<RefName> = refusals
            .iter()
            .filter(|r| stderr.contains(r.dst.as_str()))
            .map(|r| r.dst.clone())
            .collect();
        let refs = if named.is_empty() {
            refusals.iter().map(|r| r.dst.clone()).collect()
        } else {
            named
        };
        return Verdict::Outcome(PushOutcome::Stale { refs });
    }
    match refusals.iter().find(|r| r.by_remote && !is_follower(&r.why)) {
        Some(refusal) if !is_passing(&refusal.why, fault) => {
            let mut why = refusal.why.clone();
            for line in stderr.lines().filter_map(|line| line.strip_prefix("remote:")) {
                why.push('\n');
                why.push_str(line.trim());
            }
            Verdict::Outcome(PushOutcome::Refused {
                dst: refusal.dst.clone(),
                why,
            })
        }
        Some(_) if !fault.is_transient() && fault != Fault::Disk => Verdict::Unclear(Fault::Network),
        // Only followers: the server's transaction failed for a reason it did not give.
        None if !refusals.is_empty() && fault == Fault::Other => Verdict::Unclear(Fault::Locked),
        _ => Verdict::Unclear(fault),
    }
}

fn is_stale(refusal: &Refusal) -> bool {
    let words = [
        "stale info",
        "fetch first",
        "non-fast-forward",
        "already exists",
        "needs force",
        "remote ref updated since checkout",
    ];
    let ours = !refusal.by_remote && words.contains(&refusal.why.as_str());
    ours || (refusal.by_remote && is_lost(&refusal.why))
}

/// Refused because another ref of the same push was.
fn is_follower(why: &str) -> bool {
    matches!(
        why,
        "atomic push failed" | "atomic push failure" | "atomic transaction failed" | "transaction failed"
    )
}

/// A refusal that is about the server's state, not about what we asked.
fn is_passing(why: &str, fault: Fault) -> bool {
    let words = [
        "failed to report status",
        "unpacker error",
        "cannot lock ref",
        "failed to update ref",
        "internal server error",
        "timeout",
    ];
    fault == Fault::Locked || fault == Fault::Disk || words.iter().any(|w| why.to_ascii_lowercase().contains(w))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PushOutcome, Refusal, Verdict, refusal, verdict};
    use crate::error::Fault;
    use crate::names::RefName;

    fn name(text: &str) -> RefName {
        RefName::parse(text).unwrap()
    }

    fn read(stdout: &str, stderr: &str) -> Result<PushOutcome, Fault> {
        let refusals: Vec<Refusal> = stdout.lines().filter_map(refusal).collect();
        match verdict(&refusals, stderr) {
            Verdict::Outcome(outcome) => Ok(outcome),
            Verdict::Unclear(fault) => Err(fault),
        }
    }

    #[test]
    fn a_race_on_the_server_is_stale() {
        let said = "!\tabc:refs/heads/a\t[remote rejected] (atomic transaction failed)\n!\tabc:refs/heads/b\t[remote rejected] (atomic transaction failed)\nDone";
        let err = "remote: error: cannot lock ref 'refs/heads/b': is at 1 but expected 2";
        assert_eq!(
            read(said, err),
            Ok(PushOutcome::Stale {
                refs: vec![name("refs/heads/b")]
            })
        );
        let locked = "remote: error: cannot lock ref 'refs/heads/b': Unable to create '/r/b.lock': File exists.";
        assert_eq!(read(said, locked), Err(Fault::Locked));
        assert_eq!(read(said, ""), Err(Fault::Locked));
    }

    #[test]
    fn forges_refuse_in_their_own_words() {
        for why in [
            "protected branch hook declined",
            "pre-receive hook declined",
            "push declined due to repository rule violations",
            "deletion prohibited",
        ] {
            let said = format!("To h\n!\tabc:refs/heads/main\t[remote rejected] ({why})\nDone");
            let outcome = read(
                &said,
                "remote: error: GH006: Protected branch update failed\nerror: failed to push",
            )
            .unwrap();
            let PushOutcome::Refused { dst, why: told } = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(dst, name("refs/heads/main"));
            assert_eq!(told, format!("{why}\nerror: GH006: Protected branch update failed"));
        }
    }

    #[test]
    fn trouble_of_the_server_is_no_refusal() {
        let lost = "!\tabc:refs/heads/a\t[remote failure] (remote failed to report status)";
        assert_eq!(read(lost, "error: failed to push some refs"), Err(Fault::Network));
        let full = "!\tabc:refs/heads/a\t[remote rejected] (unpacker error)";
        assert_eq!(read(full, "remote: fatal: No space left on device"), Err(Fault::Disk));
        assert_eq!(
            read("", "fatal: '/x' does not appear to be a git repository"),
            Err(Fault::NotFound)
        );
    }

    proptest! {
        #[test]
        fn no_answer_panics(stdout in "(!\t[^\n]{0,30}\t[^\n]{0,30}\n|\\PC{0,20}\n){0,4}", stderr in "\\PC{0,60}") {
            let _ = read(&stdout, &stderr);
        }
    }
}
