//! Budgets: what may still be spent, and what has been.

use crate::reason::Reason;
use crate::row::{PolecatRow, RigRow};
use gastown_api::{self as api, Budget, PolecatStatus, RigStatus, TokenUse};
use gastown_wire as wire;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) tokens: TokenUse,
    /// Millionths of a dollar.
    pub(crate) micros: i64,
}

impl Spent {
    /// By a polecat, over its life.
    pub(crate) fn by(status: &PolecatStatus) -> Self {
        Self::read(status.tokens, status.cost_usd.as_deref())
    }

    /// By the polecats of a rig, as its status sums them.
    pub(crate) fn of_rig(status: &RigStatus) -> Self {
        Self::read(status.tokens, status.cost_usd.as_deref())
    }

    fn read(tokens: Option<TokenUse>, cost: Option<&str>) -> Self {
        Self {
            tokens: tokens.unwrap_or_default(),
            micros: cost.and_then(api::micros).unwrap_or(0),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.plus(other.tokens),
            micros: self.micros.saturating_add(other.micros),
        }
    }

    /// As a status shows it; nothing where nothing was spent.
    pub(crate) fn shown(self) -> (Option<TokenUse>, Option<String>) {
        (
            Some(self.tokens).filter(|t| t.total() > 0),
            Some(self.micros).filter(|m| *m > 0).map(api::dollars),
        )
    }
}

/// What a budget leaves, never below nothing; none where there is none.
fn left(budget: Option<&Budget>, spent: Spent) -> Option<wire::Allowance> {
    let budget = budget?;
    let rest = |limit: i64, used: i64| u64::try_from(limit.saturating_sub(used)).unwrap_or(0);
    let usd = budget.usd.as_ref().and_then(|usd| match usd {
        IntOrString::Int(n) => i64::from(*n).checked_mul(1_000_000),
        IntOrString::String(text) => api::micros(text),
    });
    let allowance = wire::Allowance {
        tokens: budget.tokens.map(|limit| rest(limit, spent.tokens.total())),
        micros: usd.map(|limit| rest(limit, spent.micros)),
    };
    (allowance != wire::Allowance::default()).then_some(allowance)
}

fn is_spent(allowance: &wire::Allowance) -> bool {
    allowance.tokens == Some(0) || allowance.micros == Some(0)
}

/// Whether the polecats of a rig may start nothing more.
pub(crate) fn rig_is_spent(rig: &api::RigSpec, spent: Spent) -> bool {
    left(rig.budget.as_ref(), spent).as_ref().is_some_and(is_spent)
}

/// What the next attempt may spend: the least that the budgets of polecat and rig leave.
///
/// # Errors
/// When the polecat's own is spent.
pub(crate) fn allowance(polecat: &PolecatRow, rig: Option<&RigRow>) -> Result<Option<wire::Allowance>, Reason> {
    let spent = Spent::by(&polecat.status);
    let own = left(polecat.spec.budget.as_ref(), spent);
    if own.as_ref().is_some_and(is_spent) {
        let (tokens, cost) = spent.shown();
        return Err(Reason::new(
            "BudgetSpent",
            format!(
                "its budget is spent ({} tokens, {} USD), its work so far is kept: raise spec.budget to go on",
                tokens.unwrap_or_default().total(),
                cost.unwrap_or_else(|| "0".into())
            ),
        ));
    }
    // The rig's sums may be a second old: whoever runs at the same time may overshoot together.
    let rigs = rig.and_then(|r| left(r.spec.budget.as_ref(), Spent::of_rig(&r.status)));
    let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    Ok(match (own, rigs) {
        (Some(a), Some(b)) => Some(wire::Allowance {
            tokens: least(a.tokens, b.tokens),
            micros: least(a.micros, b.micros),
        }),
        (one, other) => one.or(other),
    })
}
