//! What a pod's work comes to: the agent's word weighed against the pushed branch.

use gastown_wire::CourierOutcome;

use crate::link::{Ended, Said};

/// What courier found out by itself, in its own repository and on the remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Tip of the work branch; empty when it has no commit of its own.
    pub tip: String,
    /// Commits from the base to the tip.
    pub commits: u32,
    /// The tip shares no history with the target branch.
    pub unrelated: bool,
    /// The checked-out commit is not on the work branch, nor on the target branch.
    pub elsewhere: bool,
    /// The commit that was handed back, from round 2.
    pub handed_back: Option<String>,
}

/// Judges. Done needs the agent's word *and* new commits on the right branch *and* nothing left lying about;
/// everything else has a name of its own.
#[must_use]
pub fn judge(ended: &Ended, proof: &Proof, work_branch: &str) -> CourierOutcome {
    if let Some(program) = &ended.missing {
        return CourierOutcome::AgentMissing {
            program: program.clone(),
        };
    }
    if ended.stopped {
        return CourierOutcome::Stopped;
    }
    match ended.said {
        Said::Credential(problem) => return CourierOutcome::CredentialUnusable { problem },
        Said::Limit(until) => return CourierOutcome::Parked { until },
        Said::Budget => return CourierOutcome::BudgetSpent,
        Said::Failure => {
            return CourierOutcome::AgentFailed {
                exit: ended.exit.unwrap_or(0),
            };
        }
        Said::Nothing => {}
    }
    match ended.exit {
        Some(0) => {}
        Some(exit) => return CourierOutcome::AgentFailed { exit },
        None => return CourierOutcome::AgentLost,
    }
    if proof.unrelated {
        return CourierOutcome::WrongBranch {
            branch: format!("{work_branch}, rewritten from an unrelated root"),
        };
    }
    if proof.elsewhere {
        let branch = match ended.branch.as_str() {
            // The branch was moved back, or HEAD was forged: its name would say nothing.
            name if name.is_empty() || name == work_branch => "a detached HEAD",
            name => name,
        };
        return CourierOutcome::WrongBranch {
            branch: branch.chars().take(200).collect(),
        };
    }
    let nothing_new = proof.commits == 0 || proof.handed_back.as_ref() == Some(&proof.tip);
    match (ended.dirty, nothing_new) {
        (0, true) => CourierOutcome::NoChange,
        (0, false) => CourierOutcome::Done,
        (files, _) => CourierOutcome::DirtyTree { files },
    }
}

/// The outcome's name as the record keeps it.
#[must_use]
pub fn word(outcome: &CourierOutcome) -> &'static str {
    match outcome {
        CourierOutcome::Done => crate::record::DONE,
        CourierOutcome::NoChange => "noChange",
        CourierOutcome::DirtyTree { .. } => "dirtyTree",
        CourierOutcome::WrongBranch { .. } => "wrongBranch",
        CourierOutcome::AgentFailed { .. } => "agentFailed",
        CourierOutcome::AgentMissing { .. } => "agentMissing",
        CourierOutcome::Parked { .. } => "parked",
        CourierOutcome::CredentialUnusable { .. } => "credentialUnusable",
        CourierOutcome::BudgetSpent => "budgetSpent",
        CourierOutcome::Stopped => "stopped",
        CourierOutcome::AgentLost => "agentLost",
        CourierOutcome::Fenced => "fenced",
        CourierOutcome::PushRejected { .. } => "pushRejected",
        CourierOutcome::PushFailed => "pushFailed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gastown_wire::CredentialProblem;

    fn ended() -> Ended {
        Ended {
            exit: Some(0),
            branch: "work".into(),
            ..Ended::default()
        }
    }

    fn proof() -> Proof {
        Proof {
            tip: "new".into(),
            commits: 2,
            ..Proof::default()
        }
    }

    #[test]
    fn done_needs_the_word_and_the_proof() {
        assert_eq!(judge(&ended(), &proof(), "work"), CourierOutcome::Done);
        let second_round = Proof {
            handed_back: Some("old".into()),
            ..proof()
        };
        assert_eq!(judge(&ended(), &second_round, "work"), CourierOutcome::Done);
    }

    #[test]
    fn each_way_of_not_being_done_has_its_name() {
        use CourierOutcome::*;
        for (name, ended, proof, expected) in [
            (
                "failed",
                Ended {
                    exit: Some(1),
                    ..ended()
                },
                proof(),
                AgentFailed { exit: 1 },
            ),
            (
                "killed",
                Ended {
                    exit: Some(137),
                    ..ended()
                },
                proof(),
                AgentFailed { exit: 137 },
            ),
            (
                "its stream says failure, though it exited 0",
                Ended {
                    said: Said::Failure,
                    ..ended()
                },
                proof(),
                AgentFailed { exit: 0 },
            ),
            (
                "a limit, with work done",
                Ended {
                    said: Said::Limit(9),
                    exit: Some(1),
                    ..ended()
                },
                proof(),
                Parked { until: 9 },
            ),
            (
                "nobody pays",
                Ended {
                    said: Said::Credential(CredentialProblem::Refused),
                    exit: Some(1),
                    ..ended()
                },
                proof(),
                CredentialUnusable {
                    problem: CredentialProblem::Refused,
                },
            ),
            (
                "spent",
                Ended {
                    said: Said::Budget,
                    exit: Some(143),
                    ..ended()
                },
                proof(),
                BudgetSpent,
            ),
            ("no word at all", Ended { exit: None, ..ended() }, proof(), AgentLost),
            (
                "missing",
                Ended {
                    exit: None,
                    missing: Some("x".into()),
                    ..ended()
                },
                proof(),
                AgentMissing { program: "x".into() },
            ),
            (
                "stopped, though it exited 0",
                Ended {
                    stopped: true,
                    ..ended()
                },
                proof(),
                Stopped,
            ),
            ("no commit", ended(), Proof { commits: 0, ..proof() }, NoChange),
            (
                "the same commit again",
                ended(),
                Proof {
                    handed_back: Some("new".into()),
                    ..proof()
                },
                NoChange,
            ),
            ("dirty", Ended { dirty: 3, ..ended() }, proof(), DirtyTree { files: 3 }),
            (
                "dirty and no commit",
                Ended { dirty: 1, ..ended() },
                Proof { commits: 0, ..proof() },
                DirtyTree { files: 1 },
            ),
            (
                "elsewhere",
                Ended {
                    branch: "mine".into(),
                    ..ended()
                },
                Proof {
                    elsewhere: true,
                    ..proof()
                },
                WrongBranch { branch: "mine".into() },
            ),
            (
                "detached",
                Ended {
                    branch: String::new(),
                    ..ended()
                },
                Proof {
                    elsewhere: true,
                    ..proof()
                },
                WrongBranch {
                    branch: "a detached HEAD".into(),
                },
            ),
        ] {
            assert_eq!(judge(&ended, &proof, "work"), expected, "{name}");
        }
    }

    #[test]
    fn work_on_the_branch_counts_wherever_the_checkout_stands() {
        let back_on_main = Ended {
            branch: "main".into(),
            ..ended()
        };
        assert_eq!(judge(&back_on_main, &proof(), "work"), CourierOutcome::Done);
    }
}
