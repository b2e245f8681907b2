//! Where a store's issues are: its own spec over its Rig's over the defaults.

use crate::blueprint::Credentials;
use crate::duration;
use crate::key::Kind;
use crate::names;
use crate::reason::Reason;
use crate::row::{BeadStoreRow, RigRow};
use crate::settings::Target;
use crate::world::World;
use jiff::SignedDuration;

/// Where nobody says.
const INTERVAL: SignedDuration = SignedDuration::from_mins(5);
/// Each look costs a pod: not more often than this in a cluster, and on one machine, where a pod is a process.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);
const SHORTEST_HERE: SignedDuration = SignedDuration::from_secs(1);

/// What is read, and with what.
#[derive(Debug)]
pub(super) struct Source<'w> {
    pub(super) rig: &'w RigRow,
    pub(super) target: Target,
    pub(super) credentials: Credentials,
    /// Where any of it changes, what was read is of something else.
    pub(super) basis: String,
}

impl<'w> Source<'w> {
    /// Resolves a store.
    ///
    /// # Errors
    /// Where there is nothing to read from, and what to do about it.
    pub(super) fn of(world: &'w World, row: &BeadStoreRow) -> Result<Self, Reason> {
        let rig = rig(world, &row.spec.rig_ref)?;
        let name = &rig.meta.key.name;
        let repository = rig.spec.git_url.trim().to_owned();
        if repository.is_empty() {
            let message = format!("Rig {name} names no repository: set its spec.gitURL");
            return Err(Reason::new("MissingRepository", message));
        }
        let branch = rig.spec.target_branch.clone().filter(|b| !b.is_empty());
        let target = Target {
            repository,
            branch: branch.unwrap_or_else(|| "main".to_owned()),
        };
        if target.local_path().is_some() && !world.town.one_machine {
            let message = format!(
                "{} is a path, which pods of a cluster cannot reach: set an https or ssh gitURL in Rig {name}",
                target.repository
            );
            return Err(Reason::new("LocalRepository", message));
        }
        if !names::legal_branch(&target.branch) {
            let message = format!(
                "git takes no branch named {:?}: correct targetBranch of Rig {name}",
                target.branch
            );
            return Err(Reason::new("InvalidBranch", message));
        }
        let secrets = [row.spec.git_secret_ref.as_ref(), rig.spec.git_secret_ref.as_ref()];
        let git = secrets.into_iter().flatten().map(|s| s.name.clone());
        let credentials = Credentials {
            git: git.into_iter().find(|n| !n.is_empty()),
            known_hosts: rig.spec.ssh_known_hosts_config_map_ref.as_ref().map(|r| r.name.clone()),
            ..Credentials::default()
        };
        let text = |name: &Option<String>| name.clone().unwrap_or_default();
        let basis = names::short_hash(&[
            &target.repository,
            &target.branch,
            &row.spec.prefix,
            &text(&credentials.git),
            &text(&credentials.known_hosts),
        ]);
        Ok(Self {
            rig,
            target,
            credentials,
            basis,
        })
    }
}

fn rig<'w>(world: &'w World, name: &String) -> Result<&'w RigRow, Reason> {
    if let Some(rig) = world.rigs.get(name).filter(|r| r.meta.deleting.is_none()) {
        return Ok(rig);
    }
    if world.malformed.keys().any(|k| k.kind == Kind::Rig && k.name == *name) {
        let message = format!("Rig {name} cannot be read: see kubectl get rig {name} -o yaml");
        return Err(Reason::new("RigUnreadable", message));
    }
    let message = format!("there is no Rig {name:?}: create it or correct spec.rigRef");
    Err(Reason::new("RigNotFound", message))
}

/// How often a look is taken; and what is said where that is not what was asked for.
pub(super) fn interval(world: &World, row: &BeadStoreRow) -> (SignedDuration, Option<String>) {
    let Some(text) = row.spec.sync_interval.as_ref().filter(|t| !t.is_empty()) else {
        return (INTERVAL, None);
    };
    let shortest = if world.town.one_machine {
        SHORTEST_HERE
    } else {
        SHORTEST
    };
    match duration::parse(text) {
        Some(asked) if asked >= shortest => (asked, None),
        Some(_) => {
            let said = format!("syncInterval {text} is too short, each look costs a pod: it is {shortest:#}");
            (shortest, Some(said))
        }
        None => {
            let said = format!("syncInterval {text:?} is no duration such as 5m: it is {INTERVAL:#}");
            (INTERVAL, Some(said))
        }
    }
}
