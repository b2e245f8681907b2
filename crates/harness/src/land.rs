//! `land`: pushes exactly the commit that was tested, if the branch is still what it was tested upon.
//!
//! Rebuilds nothing and decides nothing: its orders are the verdict. What it checks is that they fit the remote
//! (invariant 4). Asked again after a lost answer it finds the commit on the branch and says so.

use gastown_git::{Expect, Git, Oid, PushOutcome, RefName, RefUpdate, Refspec};
use gastown_wire::{LandOrders, LandOutcome, LandReport, Report as _, VERSION, candidates_prefix, exit, landed_prefix};

use crate::{
    last_words,
    queue::{DECLINED, Desk, Trouble, candidate_ref, oid, refused},
    setup::termination_path,
    sweep,
};

/// Where our view of the remote's refs is kept.
const FETCHED: &str = "refs/gastown/fetched";

/// Lands what the orders say, leaves the report, and returns the exit code: 0 only where the branch contains the commit.
pub async fn run(orders: LandOrders) -> i32 {
    let report = match Git::probe().await {
        Ok(git) => land(&git, &orders).await,
        Err(error) => troubled(&error.into()),
    };
    tracing::info!(report = %report.encode(), "land");
    last_words::leave_or_log(&termination_path(), &report);
    match report.outcome {
        LandOutcome::Landed => 0,
        LandOutcome::Config { .. } => exit::CONFIG,
        LandOutcome::Transient => exit::TRANSIENT,
        LandOutcome::Stale { .. } | LandOutcome::Refused { .. } | LandOutcome::Mismatch { .. } => DECLINED,
    }
}

/// Lands a tested candidate. Whatever happens is in the report.
pub async fn land(git: &Git, orders: &LandOrders) -> LandReport {
    attempt(git, orders).await.unwrap_or_else(|trouble| troubled(&trouble))
}

fn troubled(trouble: &Trouble) -> LandReport {
    let outcome = match trouble {
        Trouble::Config { reason, .. } => LandOutcome::Config {
            reason: (*reason).to_owned(),
        },
        Trouble::Transient(_) => LandOutcome::Transient,
    };
    LandReport {
        version: VERSION,
        outcome,
        commit: String::new(),
        detail: trouble.detail(),
    }
}

struct Job<'a> {
    orders: &'a LandOrders,
    desk: Desk,
    base: Oid,
    candidate: Oid,
    tree: Oid,
    candidate_ref: RefName,
    /// Our own names for what was fetched.
    kept: [RefName; 2],
}

/// The remote as it was at one look. Everything named here is fetched.
struct View {
    /// The target branch.
    tip: Oid,
    /// What the candidate ref holds, if it is there.
    held: Option<Oid>,
}

async fn attempt(git: &Git, orders: &LandOrders) -> Result<LandReport, Trouble> {
    let (base, candidate, tree) = (oid(&orders.base)?, oid(&orders.candidate)?, oid(&orders.tree)?);
    let candidate_ref = candidate_ref(&orders.rig, &orders.candidate_ref)?;
    let kept = |name: &str| RefName::parse(&format!("{FETCHED}/{name}")).map_err(Trouble::orders);
    let job = Job {
        desk: Desk::open(git, &orders.remote, &orders.paths, &orders.pace).await?,
        orders,
        base,
        candidate,
        tree,
        candidate_ref,
        kept: [kept("target")?, kept("candidate")?],
    };
    let outcome = job.land().await?;
    let landed = outcome == LandOutcome::Landed;
    let detail = match landed {
        true => job.clean(git).await,
        false => String::new(),
    };
    Ok(LandReport {
        version: VERSION,
        outcome,
        commit: if landed {
            orders.candidate.clone()
        } else {
            String::new()
        },
        detail,
    })
}

impl Job<'_> {
    async fn land(&self) -> Result<LandOutcome, Trouble> {
        let view = self.view().await?;
        if let Some(settled) = self.weigh(&view).await? {
            return Ok(settled);
        }
        let update = RefUpdate::set(
            self.desk.target.clone(),
            self.candidate.clone(),
            Expect::Is(self.base.clone()),
        );
        // The proof lands with the change: anybody with git alone can see that this value of the branch was tested.
        let proof = RefUpdate::set(
            landed_ref(&self.orders.rig, &self.candidate)?,
            self.candidate.clone(),
            Expect::Any,
        );
        match self.desk.repo.push(&self.desk.remote, &[update, proof]).await {
            Ok(PushOutcome::Done) => Ok(LandOutcome::Landed),
            // It takes the branch and not the proof: nothing landed, and it is not the branch that needs another rule.
            Ok(PushOutcome::Refused { dst, why }) if dst != self.desk.target => Err(refused(&dst, &why)),
            Ok(PushOutcome::Refused { why, .. }) => Ok(LandOutcome::Refused { why }),
            Ok(PushOutcome::Stale { .. }) => {
                let now = self.view().await?;
                let settled = self.look_again(&now).await?;
                // Told it is not at the base, and it is: it moved there and back, or the remote lies. Nobody landed.
                Ok(settled.unwrap_or(LandOutcome::Stale {
                    now: now.tip.to_string(),
                }))
            }
            // The connection may have died after the push was carried out.
            Err(error) if error.is_transient() => {
                let now = self.view().await?;
                self.look_again(&now).await?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at the remote and fetches what it shows.
    async fn view(&self) -> Result<View, Trouble> {
        let refs = self
            .desk
            .look(&[self.desk.target.as_str(), self.candidate_ref.as_str()])
            .await?;
        self.desk.target_in(&refs).await?;
        let [target, candidate] = &self.kept;
        let mut specs = vec![Refspec::of(&self.desk.target, target)];
        if refs.contains_key(&self.candidate_ref) {
            specs.push(Refspec::of(&self.candidate_ref, candidate));
        }
        if let Err(error) = self.desk.fetch(&specs).await {
            return Err(match error.fault() {
                gastown_git::Fault::NoSuchRef => {
                    Trouble::Transient(format!("a ref went away while we looked: {error}"))
                }
                _ => error.into(),
            });
        }
        // What was fetched counts, not what was listed: it may have moved in between, and this we have.
        let mut here = self.desk.repo.commits_under(FETCHED).await?;
        let held = here
            .remove(candidate)
            .filter(|_| refs.contains_key(&self.candidate_ref));
        let tip = here
            .remove(target)
            .ok_or_else(|| Trouble::Transient("the target branch was not fetched".into()))?;
        Ok(View { tip, held })
    }

    /// What is settled without a push, and `None` where pushing is right.
    async fn weigh(&self, view: &View) -> Result<Option<LandOutcome>, Trouble> {
        if self.candidate == self.base {
            return Ok(mismatch("the candidate is its base: testing it proved nothing"));
        }
        if let Some(settled) = self.look_again(view).await? {
            return Ok(Some(settled));
        }
        let Some(held) = &view.held else {
            return Ok(mismatch(format!("{} is gone", self.candidate_ref)));
        };
        if *held != self.candidate {
            return Ok(mismatch(format!(
                "{} holds {held}, and {} was tested",
                self.candidate_ref, self.candidate
            )));
        }
        if let Some(other) = self.other_tree().await? {
            return Ok(Some(other));
        }
        if !self.desk.repo.is_ancestor(&self.base, &self.candidate).await? {
            return Ok(mismatch(format!(
                "the candidate does not stand on the base {}: landing it would lose commits",
                self.base
            )));
        }
        Ok(None)
    }

    /// Whether it landed already or the branch is elsewhere.
    async fn look_again(&self, view: &View) -> Result<Option<LandOutcome>, Trouble> {
        let repo = &self.desk.repo;
        let here = view.held.as_ref() == Some(&self.candidate) || repo.has_commit(&self.candidate).await?;
        if here && repo.is_ancestor(&self.candidate, &view.tip).await? {
            return Ok(Some(self.other_tree().await?.unwrap_or(LandOutcome::Landed)));
        }
        Ok((view.tip != self.base).then(|| LandOutcome::Stale {
            now: view.tip.to_string(),
        }))
    }

    async fn other_tree(&self) -> Result<Option<LandOutcome>, Trouble> {
        let tree = self.desk.repo.tree_of(&self.candidate).await?;
        if tree == self.tree {
            return Ok(None);
        }
        Ok(mismatch(format!(
            "the candidate's tree is {tree}, and {} was tested",
            self.tree
        )))
    }

    /// What a landing cleans up, in words for people. Whatever becomes of it, the landing stands.
    async fn clean(&self, git: &Git) -> String {
        let candidates = self.sweep().await;
        match sweep::records(git, &self.desk, self.orders).await {
            Some(records) => format!("{candidates}; {records}"),
            None => candidates,
        }
    }

    /// Deletes the candidate refs that this landing settled. Best effort: what stays is swept by a later landing. Returns
    /// a line for people.
    async fn sweep(&self) -> String {
        let prefix = candidates_prefix(&self.orders.rig);
        let refs = match self.desk.look(&[&format!("{prefix}*")]).await {
            Ok(refs) => refs,
            Err(error) => return format!("no candidate refs swept: {}", error.detail()),
        };
        let settled = |name: &RefName| batch_of(name.as_str(), &prefix).is_some_and(|batch| batch <= self.orders.batch);
        let old: Vec<RefUpdate> = refs
            .into_iter()
            .filter(|(name, _)| settled(name))
            .map(|(name, oid)| RefUpdate::delete(name, Expect::Is(oid)))
            .collect();
        match self.desk.repo.push(&self.desk.remote, &old).await {
            Ok(PushOutcome::Done) => format!("{} candidate refs swept", old.len()),
            Ok(other) => format!("no candidate refs swept: {other:?}"),
            Err(error) => format!("no candidate refs swept: {error}"),
        }
    }
}

// An Option because every caller returns it as "settled".
#[expect(clippy::unnecessary_wraps, reason = "every caller returns it as the settled outcome")]
fn mismatch(why: impl Into<String>) -> Option<LandOutcome> {
    Some(LandOutcome::Mismatch { why: why.into() })
}

/// Where the proof of a landing stays: named by the commit, so that it is never in the way of another.
fn landed_ref(rig: &str, candidate: &Oid) -> Result<RefName, Trouble> {
    RefName::parse(&format!("{}{candidate}", landed_prefix(rig))).map_err(Trouble::orders)
}

/// The number in `<prefix><number>-<anything>`; none in names that are not of that form, which are not ours to delete.
fn batch_of(name: &str, prefix: &str) -> Option<u64> {
    let rest = name.strip_prefix(prefix)?;
    let number = rest.split_once('-').map_or(rest, |(number, _)| number);
    // Also refuses a sign, which parse would take.
    number
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::batch_of;

    #[test]
    fn only_our_own_names_have_a_batch() {
        let prefix = "refs/gastown/candidates/parts/";
        for (name, batch) in [
            ("7-1", Some(7)),
            ("12-3-x", Some(12)),
            ("7", Some(7)),
            ("", None),
            ("-7", None),
            ("+7-1", None),
            ("x-1", None),
            ("7x-1", None),
            ("99999999999999999999-1", None),
        ] {
            assert_eq!(batch_of(&format!("{prefix}{name}"), prefix), batch, "{name}");
        }
        assert_eq!(batch_of("refs/heads/7-1", prefix), None);
    }
}
