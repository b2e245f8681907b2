//! Builders that read as sentences: `polecat("nux").of("parts").on_bead("mp-1")`.

use crate::sim::Object;
use gastown_api::{self as api, PolecatPhase};
use gastown_rules::{
    Action, Blueprint, ConvoyRow, Fact, Key, Kind, Meta, PolecatPod, PolecatRow, Rev, RigRow, Row, Seen, Town as Rules,
    Uid, World, decide,
};
use gastown_wire::RecordLevel;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Namespace of what is built.
pub const NAMESPACE: &str = "work";

/// Something that a user creates.
pub trait Town {
    /// As the API server takes it; UID, revision and time are the server's to give.
    fn object(self) -> Object;
}

/// A Rig.
#[derive(Clone, Debug)]
pub struct Rig(RigRow);

/// A Polecat.
#[derive(Clone, Debug)]
pub struct Polecat(PolecatRow);

/// A Convoy.
#[derive(Clone, Debug)]
pub struct Convoy(ConvoyRow);

fn meta(kind: Kind, namespace: &str, name: &str) -> Meta {
    Meta {
        key: Key::new(kind, namespace, name),
        uid: Uid(format!("uid-{name}")),
        rev: Rev(1),
        generation: 1,
        created: Timestamp::UNIX_EPOCH,
        deleting: None,
        finalizers: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

/// A rig with a repository, a test command and an agent of the user's own.
#[must_use]
pub fn rig(name: &str) -> Rig {
    let spec = api::RigSpec {
        git_url: format!("https://git.example.com/{name}.git"),
        beads_prefix: "mp".to_owned(),
        test_command: Some("make test".to_owned()),
        agent: Some(api::AgentKind::Custom),
        agent_config: Some(api::AgentConfig {
            command: vec!["./agent.sh".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    Rig(Row {
        meta: meta(Kind::Rig, "", name),
        spec,
        status: Default::default(),
    })
}

/// A polecat of rig `parts` that wants to work.
#[must_use]
pub fn polecat(name: &str) -> Polecat {
    let spec = api::PolecatSpec {
        rig: "parts".to_owned(),
        desired_state: api::DesiredState::Working,
        task_description: Some(format!("mend what {name} finds")),
        ..Default::default()
    };
    Polecat(Row {
        meta: meta(Kind::Polecat, NAMESPACE, name),
        spec,
        status: Default::default(),
    })
}

/// A convoy that tracks nothing yet and names no rig.
#[must_use]
pub fn convoy(name: &str) -> Convoy {
    let spec = api::ConvoySpec {
        description: "a batch".to_owned(),
        ..Default::default()
    };
    Convoy(Row {
        meta: meta(Kind::Convoy, NAMESPACE, name),
        spec,
        status: Default::default(),
    })
}

impl Rig {
    /// So many polecats at once.
    #[must_use]
    pub fn with_room_for(mut self, polecats: i32) -> Self {
        self.0.spec.settings.get_or_insert_default().max_polecats = Some(polecats);
        self
    }

    /// Judged by this command.
    #[must_use]
    pub fn tested_by(mut self, command: &str) -> Self {
        self.0.spec.test_command = Some(command.to_owned());
        self
    }

    /// Dispatches and lands nothing new.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.0.spec.paused = Some(true);
        self
    }

    /// The row itself.
    #[must_use]
    pub fn row(self) -> RigRow {
        self.0
    }
}

impl Polecat {
    /// Of that rig.
    #[must_use]
    pub fn of(mut self, rig: &str) -> Self {
        rig.clone_into(&mut self.0.spec.rig);
        self
    }

    /// On that issue.
    #[must_use]
    pub fn on_bead(mut self, bead: &str) -> Self {
        self.0.spec.bead_id = Some(bead.to_owned());
        self
    }

    /// Before others of a lower one.
    #[must_use]
    pub fn of_priority(mut self, priority: i64) -> Self {
        self.0.spec.priority = i32::try_from(priority).ok();
        self
    }

    /// Failures are tried again so often, without much waiting.
    #[must_use]
    pub fn tried_again(mut self, times: i32) -> Self {
        self.0.spec.retry = Some(api::Retry {
            limit: Some(times),
            backoff_seconds: Some(1),
        });
        self
    }

    /// Held by a finalizer.
    #[must_use]
    pub fn held_by(mut self, finalizer: &str) -> Self {
        self.0.meta.finalizers.push(finalizer.to_owned());
        self
    }

    /// The row itself.
    #[must_use]
    pub fn row(self) -> PolecatRow {
        self.0
    }
}

impl Convoy {
    /// One issue more.
    #[must_use]
    pub fn tracking(mut self, bead: &str) -> Self {
        self.0.spec.tracked_beads.push(bead.to_owned());
        self
    }

    /// Makes polecats of that rig.
    #[must_use]
    pub fn of(mut self, rig: &str) -> Self {
        self.0.spec.rig_ref = Some(rig.to_owned());
        self
    }

    /// So many at once.
    #[must_use]
    pub fn at_most(mut self, polecats: i32) -> Self {
        self.0.spec.parallelism = Some(polecats);
        self
    }

    /// The row itself.
    #[must_use]
    pub fn row(self) -> ConvoyRow {
        self.0
    }
}

impl Town for Rig {
    fn object(self) -> Object {
        Object::Rig(self.0)
    }
}

impl Town for Polecat {
    fn object(self) -> Object {
        Object::Polecat(self.0)
    }
}

impl Town for Convoy {
    fn object(self) -> Object {
        Object::Convoy(self.0)
    }
}

macro_rules! as_object {
    ($($built:ident => $kind:ty),*) => {$(
        impl From<$built> for $kind {
            fn from(built: $built) -> Self {
                <$kind>::new(&built.0.meta.key.name, built.0.spec)
            }
        }
    )*};
}

as_object!(Rig => api::Rig, Polecat => api::Polecat, Convoy => api::Convoy);

/// The pod that the rules make for a polecat's attempt: what agents are really started with.
#[must_use]
pub fn pod_of(rig: RigRow, mut polecat: PolecatRow) -> Option<PolecatPod> {
    polecat.status.phase = PolecatPhase::Working;
    polecat.status.attempt = Some(1);
    polecat.status.round = Some(1);
    let name = rig.meta.key.name.clone();
    let mut world = World::new(Rules {
        one_machine: true,
        record: RecordLevel::Conversation,
        ..Rules::default()
    });
    world.learn(Fact::Seen(Seen::Rig(Box::new(rig))));
    world.learn(Fact::Seen(Seen::Polecat(Box::new(polecat))));
    let plan = decide(&world, &BTreeSet::from([name]), Timestamp::UNIX_EPOCH);
    plan.actions.into_iter().find_map(|action| match action {
        Action::Create { blueprint, .. } => match *blueprint {
            Blueprint::PolecatPod(pod) => Some(pod),
            _ => None,
        },
        _ => None,
    })
}
