//! `candidate`: joins the members on the base, pushes the result as a ref, and leaves a checkout to be tested.
//!
//! Holds the git credential and so never runs anything the members wrote; what runs it (`test`) holds nothing.
//! The same orders give the same commit on any machine, so a candidate is never taken from the ref that holds
//! one: it is built again, and a ref that differs is moved.

mod joining;

use std::collections::BTreeMap;

use gastown_git::{Checkout, Depth, Expect, Git, GitError, Oid, PushOutcome, RefName, RefUpdate, Refspec};
use gastown_wire::{
    CandidateOutcome, CandidateReport, Conflict, Included, MAX_MEMBERS, Report as _, TestOrders, VERSION, exit,
    record_ref,
};

use crate::{
    access,
    candidate::joining::{Fate, Joiner},
    files, last_words,
    queue::{DECLINED, Desk, Trouble, candidate_ref, oid, place, refused},
    setup::termination_path,
};

/// Builds what the orders say, leaves the report, and returns the exit code: 0 only where a checkout stands to be tested.
pub async fn run(orders: TestOrders) -> i32 {
    let report = match Git::probe().await {
        Ok(git) => build(&git, &orders).await,
        Err(error) => troubled(&error.into()),
    };
    tracing::info!(report = %report.encode(), "candidate");
    last_words::leave_or_log(&termination_path(), &report);
    match report.outcome {
        CandidateOutcome::Built { .. } => 0,
        CandidateOutcome::Config { .. } => exit::CONFIG,
        CandidateOutcome::Transient => exit::TRANSIENT,
        CandidateOutcome::Nothing | CandidateOutcome::BaseMoved | CandidateOutcome::Missing { .. } => DECLINED,
    }
}

/// Builds a candidate, pushes it and checks it out. Whatever happens is in the report.
pub async fn build(git: &Git, orders: &TestOrders) -> CandidateReport {
    attempt(git, orders).await.unwrap_or_else(|trouble| troubled(&trouble))
}

fn troubled(trouble: &Trouble) -> CandidateReport {
    let outcome = match trouble {
        Trouble::Config { reason, .. } => CandidateOutcome::Config {
            reason: (*reason).to_owned(),
        },
        Trouble::Transient(_) => CandidateOutcome::Transient,
    };
    CandidateReport {
        detail: trouble.detail(),
        ..report(outcome, "")
    }
}

fn report(outcome: CandidateOutcome, base: &str) -> CandidateReport {
    CandidateReport {
        version: VERSION,
        outcome,
        base: base.to_owned(),
        included: Vec::new(),
        conflicts: Vec::new(),
        empty: Vec::new(),
        detail: String::new(),
    }
}

/// A member of the orders, checked.
struct Pinned {
    commit: Oid,
    branch: RefName,
    record: Option<RefName>,
}

struct Job<'a> {
    orders: &'a TestOrders,
    desk: Desk,
    candidate: RefName,
    pinned: Vec<Pinned>,
}

async fn attempt(git: &Git, orders: &TestOrders) -> Result<CandidateReport, Trouble> {
    access::leave_authorities()?;
    let workspace = place(&orders.paths.workspace, "paths.workspace")?;
    let wanted = orders.base.as_deref().map(oid).transpose()?;
    let candidate = candidate_ref(&orders.rig, &orders.candidate_ref)?;
    let pinned = pin(orders)?;
    let desk = Desk::open(git, &orders.remote, &orders.paths, &orders.pace).await?;
    let job = Job {
        orders,
        desk,
        candidate,
        pinned,
    };
    // What an earlier run left is not what we are about to report.
    files::remove(&workspace).map_err(|error| Trouble::Config {
        reason: "VolumeNotWritable",
        detail: format!("{}: {error}", workspace.display()),
    })?;

    let refs = job.look().await?;
    let base = job.desk.target_in(&refs).await?;
    if wanted.is_some_and(|wanted| wanted != base) {
        return Ok(report(CandidateOutcome::BaseMoved, base.as_str()));
    }
    if let Some(missing) = job.gather(&refs).await? {
        return Ok(report(CandidateOutcome::Missing { i: missing }, base.as_str()));
    }
    if !job.desk.repo.has_commit(&base).await? {
        // Rewritten between the look and the fetch.
        return Ok(report(CandidateOutcome::BaseMoved, base.as_str()));
    }
    let (tip, mut report) = job.join(&base).await?;
    let Some(tip) = tip else {
        return Ok(report);
    };
    let tree = job.prove(&base, &tip, &report.included).await?;
    job.publish(&tip, refs.get(&job.candidate)).await?;
    let checkout = Checkout {
        commit: &tip,
        branch: None,
        depth: Depth::Shallow(1),
        tags: false,
        others: &[],
        config: &[],
    };
    job.desk.repo.checkout_into(&workspace, &checkout).await?;
    report.outcome = CandidateOutcome::Built {
        commit: tip.to_string(),
        tree: tree.to_string(),
    };
    Ok(report)
}

fn pin(orders: &TestOrders) -> Result<Vec<Pinned>, Trouble> {
    if orders.members.len() > MAX_MEMBERS {
        return Err(Trouble::orders(format!(
            "{} members, at most {MAX_MEMBERS} fit in a report",
            orders.members.len()
        )));
    }
    let pinned = orders.members.iter().map(|member| {
        Ok(Pinned {
            commit: oid(&member.commit)?,
            branch: RefName::parse(&format!("refs/heads/{}", member.branch)).map_err(Trouble::orders)?,
            record: RefName::parse(&record_ref(&member.uid)).ok(),
        })
    });
    pinned.collect()
}

impl Job<'_> {
    /// Everything we may need of the remote, in one question.
    async fn look(&self) -> Result<BTreeMap<RefName, Oid>, Trouble> {
        let mut names = vec![self.desk.target.as_str(), self.candidate.as_str()];
        for pinned in &self.pinned {
            names.push(pinned.branch.as_str());
            names.extend(pinned.record.as_ref().map(RefName::as_str));
        }
        self.desk.look(&names).await
    }

    /// Brings the base and the members' commits here. Returns the first member whose commit cannot be had.
    async fn gather(&self, refs: &BTreeMap<RefName, Oid>) -> Result<Option<usize>, Trouble> {
        let target = Refspec::of(
            &self.desk.target,
            &RefName::parse("refs/gastown/fetched/target").map_err(Trouble::orders)?,
        );
        let mut specs = vec![target.clone()];
        for (i, pinned) in self.pinned.iter().enumerate() {
            if refs.contains_key(&pinned.branch) {
                specs.push(Refspec::of(&pinned.branch, &kept(i)?));
            }
        }
        if let Err(error) = self.desk.fetch(&specs).await {
            if error.is_transient() {
                return Err(error.into());
            }
            // One member's broken objects must not stop the others: the base alone, then each for itself.
            tracing::warn!("fetching all members at once failed, now one by one: {error}");
            self.desk.fetch(&[target]).await?;
        }
        let wanted: Vec<&Oid> = self.pinned.iter().map(|pinned| &pinned.commit).collect();
        let here = self.desk.repo.commits_here(&wanted).await?;
        for (i, pinned) in self.pinned.iter().enumerate() {
            if !here.contains(&pinned.commit) && !self.find(pinned, refs, &kept(i)?).await? {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    /// Looks for a pinned commit that is not here where it may be: on its branch, in its polecat's record (a branch that
    /// was rewritten or deleted), or anywhere, where the remote gives commits by their id.
    async fn find(&self, pinned: &Pinned, refs: &BTreeMap<RefName, Oid>, kept: &RefName) -> Result<bool, Trouble> {
        let has = || self.desk.repo.has_commit(&pinned.commit);
        let names = [Some(&pinned.branch), pinned.record.as_ref()];
        let mut sources: Vec<_> = names
            .into_iter()
            .flatten()
            .filter(|name| refs.contains_key(*name))
            .map(|name| Refspec::of(name, kept))
            .collect();
        sources.push(Refspec::commit(&pinned.commit, kept));
        for source in sources {
            match self.desk.fetch(&[source]).await {
                Ok(()) if has().await? => return Ok(true),
                Ok(()) => {}
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) => tracing::info!(commit = %pinned.commit, "not there: {error}"),
            }
        }
        Ok(false)
    }

    /// Joins member after member. No tip where nothing was joined.
    async fn join(&self, base: &Oid) -> Result<(Option<Oid>, CandidateReport), Trouble> {
        let mut report = report(CandidateOutcome::Nothing, base.as_str());
        let joiner = Joiner::new(&self.desk.repo, self.orders.merge_style);
        let mut tip = base.clone();
        for (i, (member, pinned)) in self.orders.members.iter().zip(&self.pinned).enumerate() {
            match joiner.join(&tip, member, &pinned.commit).await? {
                Fate::Joined(next) => {
                    report.included.push(Included { i, c: next.to_string() });
                    tip = next;
                }
                Fate::Empty => report.empty.push(i),
                Fate::Conflict(paths) => {
                    tracing::info!(member = %member.polecat, ?paths, "does not apply");
                    report.conflicts.push(Conflict { i, paths });
                }
            }
        }
        let tip = (!report.included.is_empty()).then_some(tip);
        Ok((tip, report))
    }

    /// Reads back from the repository what is about to be claimed (invariant 4): base, then each member in order, then the
    /// candidate lie on one line, and the candidate differs from its base. Returns its tree.
    async fn prove(&self, base: &Oid, tip: &Oid, included: &[Included]) -> Result<Oid, Trouble> {
        let repo = &self.desk.repo;
        let failed = |what: String| Trouble::Config {
            reason: "ProofFailed",
            detail: format!("the candidate {tip} is not what was joined: {what}"),
        };
        let mut below = base.clone();
        for member in included {
            let commit = oid(&member.c)?;
            if commit == below || !repo.is_ancestor(&below, &commit).await? {
                return Err(failed(format!("{commit} does not stand on {below}")));
            }
            below = commit;
        }
        if below != *tip {
            return Err(failed(format!("it ends at {below}")));
        }
        let tree = repo.tree_of(tip).await?;
        if tree == repo.tree_of(base).await? {
            // Members that undo each other: landing would be honest but tests would prove nothing.
            tracing::info!("the candidate has the tree of its base");
        }
        Ok(tree)
    }

    /// Puts the candidate where `land` will look for it.
    async fn publish(&self, tip: &Oid, there: Option<&Oid>) -> Result<(), Trouble> {
        if there == Some(tip) {
            return Ok(());
        }
        let expect = there.map_or(Expect::Absent, |old| Expect::Is(old.clone()));
        let update = RefUpdate::set(self.candidate.clone(), tip.clone(), expect);
        match self.desk.repo.push(&self.desk.remote, &[update]).await? {
            PushOutcome::Done => Ok(()),
            PushOutcome::Refused { dst, why } => Err(refused(&dst, &why)),
            PushOutcome::Stale { .. } => {
                // A twin of this pod builds the same commit; anything else is not ours to settle here.
                let now = self.desk.look(&[self.candidate.as_str()]).await?;
                if now.get(&self.candidate) == Some(tip) {
                    return Ok(());
                }
                Err(Trouble::Transient(format!(
                    "somebody else moved {} meanwhile",
                    self.candidate
                )))
            }
        }
    }
}

/// Our own name for what was fetched for a member.
fn kept(i: usize) -> Result<RefName, Trouble> {
    RefName::parse(&format!("refs/gastown/fetched/{i}")).map_err(|e| GitError::from(e).into())
}
