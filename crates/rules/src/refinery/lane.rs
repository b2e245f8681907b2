//! What one queue works with: its Refinery's spec over its Rig's over the defaults.

use crate::blueprint::Credentials;
use crate::key::Key;
use crate::names;
use crate::reason::Reason;
use crate::row::{PolecatRow, RefineryRow, RigRow};
use crate::settings::{self, Target};
use crate::world::World;
use gastown_api as api;
use gastown_wire::MergeStyle;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ResourceRequirements;

/// Longest one test run may take where nobody says. Seconds.
const TEST_TIMEOUT_S: i64 = 1800;

/// The queue of one (repository, branch).
#[derive(Debug)]
pub(super) struct Lane<'w> {
    pub(super) refinery: &'w RefineryRow,
    pub(super) rig: &'w RigRow,
    pub(super) target: Target,
    /// Empty where none is set: then nothing is tested.
    pub(super) command: String,
    pub(super) image: String,
    pub(super) style: MergeStyle,
    pub(super) timeout: SignedDuration,
    pub(super) credentials: Credentials,
    pub(super) resources: Option<ResourceRequirements>,
    /// Why it starts nothing new, and what to do about it.
    pub(super) gate: Option<Reason>,
}

impl<'w> Lane<'w> {
    /// Resolves a queue.
    ///
    /// # Errors
    /// Where there is no repository to speak of.
    pub(super) fn open(world: &'w World, refinery: &'w RefineryRow) -> Result<Self, Reason> {
        let name = &refinery.spec.rig_ref;
        let rig = world
            .rigs
            .get(name)
            .filter(|r| r.meta.deleting.is_none())
            .ok_or_else(|| {
                Reason::new(
                    "RigNotFound",
                    format!("there is no Rig {name:?}: create it, or correct spec.rigRef"),
                )
            })?;
        let target = target_of(rig, refinery).ok_or_else(|| {
            Reason::new(
                "MissingRepository",
                format!("Rig {name} names no repository: set spec.gitURL"),
            )
        })?;
        let git = [refinery.spec.git_secret_ref.as_ref(), rig.spec.git_secret_ref.as_ref()];
        let mut lane = Self {
            command: text(&[&refinery.spec.test_command, &rig.spec.test_command]).unwrap_or_default(),
            image: test_image(rig).unwrap_or_else(|| world.town.agent_image.clone()),
            style: style(refinery.spec.merge_style.or(rig.spec.merge_style)),
            timeout: SignedDuration::from_secs(
                rig.spec
                    .test_timeout_seconds
                    .unwrap_or(TEST_TIMEOUT_S)
                    .clamp(1, 7 * 24 * 3600),
            ),
            credentials: Credentials {
                git: git
                    .into_iter()
                    .flatten()
                    .map(|s| s.name.clone())
                    .find(|n| !n.is_empty()),
                known_hosts: rig.spec.ssh_known_hosts_config_map_ref.as_ref().map(|r| r.name.clone()),
                ..Credentials::default()
            },
            resources: rig.spec.resources.clone(),
            gate: None,
            refinery,
            rig,
            target,
        };
        lane.gate = lane.closed(world);
        Ok(lane)
    }

    /// Test pods at once. A closed queue starts nothing ahead.
    pub(super) fn places(&self) -> usize {
        let most = self
            .refinery
            .spec
            .parallelism
            .filter(|_| self.gate.is_none())
            .unwrap_or(1);
        usize::try_from(most).unwrap_or(1).max(1)
    }

    /// Why nothing new starts here.
    fn closed(&self, world: &World) -> Option<Reason> {
        if let Some(elder) = self.elder(world) {
            return Some(Reason::new(
                "Superseded",
                format!(
                    "Refinery {}/{} is older and merges {} of this repository: delete one of the two, or give one \
                     another targetBranch",
                    elder.namespace, elder.name, self.target.branch
                ),
            ));
        }
        if self.target.local_path().is_some() && !world.town.one_machine {
            return Some(Reason::new(
                "LocalRepository",
                format!(
                    "{} is a path, which pods of a cluster cannot reach: set an https or ssh gitURL",
                    self.target.repository
                ),
            ));
        }
        if !names::legal_branch(&self.target.branch) {
            return Some(Reason::new(
                "InvalidBranch",
                format!(
                    "git takes no branch named {:?}: correct targetBranch",
                    self.target.branch
                ),
            ));
        }
        if self.rig.spec.merge_strategy == Some(api::MergeStrategy::PullRequest) {
            return Some(Reason::new(
                "PullRequestNotServed",
                "mergeStrategy pullRequest is not served yet and nothing is pushed past it: set it to direct to land",
            ));
        }
        if self.command.trim().is_empty() {
            let name = &self.rig.meta.key.name;
            return Some(Reason::new(
                "NoTestCommand",
                format!(
                    "nothing lands untested: kubectl patch rig {name} --type merge -p \
                     '{{\"spec\":{{\"testCommand\":\"make test\"}}}}', with the command that tests this repository"
                ),
            ));
        }
        if self.refinery.spec.paused == Some(true) || self.rig.spec.paused == Some(true) {
            let who = if self.refinery.spec.paused == Some(true) {
                "Refinery"
            } else {
                "Rig"
            };
            return Some(Reason::new(
                "Paused",
                format!("paused by spec.paused of the {who}: set it to false to go on"),
            ));
        }
        None
    }

    /// The oldest other queue of this branch, where one is older.
    fn elder(&self, world: &World) -> Option<Key> {
        let age = |r: &RefineryRow| (r.meta.created, r.meta.key.clone());
        let own = age(self.refinery);
        let same = |r: &&RefineryRow| {
            let rig = world
                .rigs
                .get(&r.spec.rig_ref)
                .filter(|rig| rig.meta.deleting.is_none());
            r.meta.deleting.is_none()
                && age(r) < own
                && rig
                    .and_then(|rig| target_of(rig, r))
                    .is_some_and(|t| same_target(&t, &self.target))
        };
        world
            .refineries
            .values()
            .filter(same)
            .min_by_key(|r| age(r))
            .map(|r| r.meta.key.clone())
    }

    /// What names, refs and the like of this queue begin with.
    pub(super) fn label(&self) -> &'w str {
        let (rig, own) = (&self.rig.meta.key.name, &self.refinery.meta.key.name);
        if own.strip_suffix("-refinery") == Some(rig) {
            rig
        } else {
            own
        }
    }

    /// What a verdict holds for: with any of it changed, it says nothing.
    pub(super) fn basis(&self) -> String {
        let style = format!("{:?}", self.style);
        let Target { repository, branch } = &self.target;
        names::short_hash(&[repository, branch, &self.command, &self.image, &style])
    }

    /// Whether a polecat's finished work is for this queue.
    pub(super) fn serves(&self, polecat: &PolecatRow) -> bool {
        let names_branch = polecat
            .spec
            .kubernetes
            .as_ref()
            .and_then(|k| k.git_branch.as_ref())
            .is_some_and(|b| !b.is_empty());
        settings::target(polecat, Some(self.rig)).is_some_and(|mut target| {
            // Who names no branch goes where the rig's queue goes, also where the Refinery overrides the Rig.
            if !names_branch && self.label() == self.rig.meta.key.name {
                target.branch.clone_from(&self.target.branch);
            }
            same_target(&target, &self.target)
        })
    }
}

fn target_of(rig: &RigRow, refinery: &RefineryRow) -> Option<Target> {
    let repository = rig.spec.git_url.trim();
    let branch = text(&[&refinery.spec.target_branch, &rig.spec.target_branch]).unwrap_or_else(|| "main".to_owned());
    (!repository.is_empty()).then(|| Target {
        repository: repository.to_owned(),
        branch,
    })
}

fn same_target(a: &Target, b: &Target) -> bool {
    a.branch == b.branch && names::repository(&a.repository) == names::repository(&b.repository)
}

fn test_image(rig: &RigRow) -> Option<String> {
    let of_agent = rig.spec.agent_config.as_ref().and_then(|c| c.image.clone());
    text(&[&rig.spec.test_image, &of_agent, &rig.spec.image])
}

fn style(style: Option<api::MergeStyle>) -> MergeStyle {
    match style {
        None | Some(api::MergeStyle::Rebase) => MergeStyle::Rebase,
        Some(api::MergeStyle::Squash) => MergeStyle::Squash,
        Some(api::MergeStyle::Merge) => MergeStyle::Merge,
    }
}

fn text(choices: &[&Option<String>]) -> Option<String> {
    choices
        .iter()
        .find_map(|c| c.as_ref().filter(|t| !t.is_empty()).cloned())
}

/// When work became ready, for the order of a queue.
pub(super) fn ready_since(polecat: &PolecatRow) -> Timestamp {
    api::conditions::get(&polecat.status.conditions, api::conditions::AVAILABLE)
        .map_or(polecat.meta.created, |c| c.last_transition_time.0)
}
