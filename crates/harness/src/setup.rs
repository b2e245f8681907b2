//! What a container is told: its orders, its pod's UID, and where its last words go.

use std::path::PathBuf;

use gastown_wire::{ORDERS_ENV, Orders, POD_UID_ENV, PolecatOrders, TERMINATION_ENV, TERMINATION_PATH, VERSION};

/// Orders that cannot be followed. All of them are permanent: trying again changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The variable is not set.
    #[error("{0} is not set: this program runs in a pod that the Gas Town operator made")]
    Unset(&'static str),
    /// The orders are not JSON of the expected shape.
    #[error("{ORDERS_ENV} cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// A newer operator wrote them.
    #[error("the orders are of version {found}, this harness reads up to {VERSION}: update the harness image")]
    Version {
        /// What the orders say.
        found: u32,
    },
    /// They are for another kind of pod.
    #[error("these orders are for a {found} pod; `{step}` needs the orders of a {wanted} pod")]
    WrongStep {
        /// The subcommand that was started.
        step: &'static str,
        /// What it needs.
        wanted: &'static str,
        /// What it got.
        found: &'static str,
    },
    /// A field that must not be empty is.
    #[error("the orders lack {0}")]
    Lacks(&'static str),
}

/// Reads the orders from the environment and checks their version.
///
/// # Errors
/// When they are missing, unreadable or of a newer version.
pub fn orders() -> Result<Orders, SetupError> {
    let text = std::env::var(ORDERS_ENV).map_err(|_| SetupError::Unset(ORDERS_ENV))?;
    let orders: Orders = serde_json::from_str(&text).map_err(SetupError::Unreadable)?;
    match orders.version() {
        found if found > VERSION => Err(SetupError::Version { found }),
        _ => Ok(orders),
    }
}

/// The name of the kind of pod these orders are for.
#[must_use]
pub fn step_name(orders: &Orders) -> &'static str {
    match orders {
        Orders::Polecat(_) => "polecat",
        Orders::Test(_) => "test",
        Orders::Land(_) => "land",
        Orders::Beads(_) => "beads",
        Orders::Notify(_) => "notify",
    }
}

/// A polecat pod's orders with what only the pod knows.
#[derive(Clone, Debug)]
pub struct Pod {
    /// What to do.
    pub orders: PolecatOrders,
    /// The fence: a record that names another UID at our attempt is not ours.
    pub uid: String,
    /// Where this container's last words go.
    pub termination: PathBuf,
}

impl Pod {
    /// Checks what every polecat container relies upon.
    ///
    /// # Errors
    /// When the orders are for another pod or a needed field is empty.
    pub fn from_orders(orders: Orders, step: &'static str) -> Result<Self, SetupError> {
        let found = step_name(&orders);
        let Orders::Polecat(orders) = orders else {
            return Err(SetupError::WrongStep {
                step,
                wanted: "polecat",
                found,
            });
        };
        let uid = std::env::var(POD_UID_ENV).unwrap_or_default();
        let pod = Self {
            orders: *orders,
            uid,
            termination: termination_path(),
        };
        pod.check()?;
        Ok(pod)
    }

    fn check(&self) -> Result<(), SetupError> {
        let o = &self.orders;
        if self.uid.is_empty() {
            return Err(SetupError::Unset(POD_UID_ENV));
        }
        let needed = [
            (o.subject.uid.is_empty(), "subject.uid"),
            (o.remote.url.is_empty(), "remote.url"),
            (o.remote.branch.is_empty(), "remote.branch"),
            (o.work_branch.is_empty(), "workBranch"),
            (o.paths.workspace.is_empty(), "paths.workspace"),
            (o.paths.shared.is_empty(), "paths.shared"),
            (o.paths.courier.is_empty(), "paths.courier"),
            (o.paths.home.is_empty(), "paths.home"),
            (o.round == 0, "round"),
            (o.attempt == 0, "attempt"),
        ];
        match needed.iter().find(|(lacking, _)| *lacking) {
            Some((_, field)) => Err(SetupError::Lacks(field)),
            None => Ok(()),
        }
    }

    /// The agent's checkout.
    #[must_use]
    pub fn workspace(&self) -> PathBuf {
        PathBuf::from(&self.orders.paths.workspace)
    }

    /// A file or folder in the volume that clone, run and courier share. The agent can write there.
    #[must_use]
    pub fn shared(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.orders.paths.shared).join(name)
    }

    /// A file or folder in courier's own volume, which the agent does not mount.
    #[must_use]
    pub fn private(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.orders.paths.courier).join(name)
    }

    /// The repository that clone fills and courier pushes from.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.private("repo.git")
    }

    /// The task, as the agent reads it.
    #[must_use]
    pub fn task_file(&self) -> PathBuf {
        self.shared("task.md")
    }

    /// Why the work came back, from round 2.
    #[must_use]
    pub fn evidence_file(&self) -> PathBuf {
        self.shared("evidence.md")
    }

    /// The task in the words of the prompt.
    #[must_use]
    pub fn prompt_file(&self) -> PathBuf {
        self.shared("prompt.md")
    }

    /// What the agent printed, as it printed it.
    #[must_use]
    pub fn raw_file(&self) -> PathBuf {
        self.shared("raw.log")
    }

    /// Where courier says how `run` reaches it.
    #[must_use]
    pub fn link_file(&self) -> PathBuf {
        self.shared("link")
    }

    /// Made by the pod's first step, and never touched again.
    #[must_use]
    pub fn began_file(&self) -> PathBuf {
        self.private("began")
    }

    /// Touched by courier whenever something happened; `ready` reads its age.
    #[must_use]
    pub fn activity_file(&self) -> PathBuf {
        self.private("activity")
    }

    /// Ref names of the work, each written out once.
    #[must_use]
    pub fn work_ref(&self) -> String {
        format!("refs/heads/{}", self.orders.work_branch)
    }

    /// The branch the work starts from, as a ref of the remote.
    #[must_use]
    pub fn target_ref(&self) -> String {
        format!("refs/heads/{}", self.orders.remote.branch)
    }
}

/// Where this container's last words go.
#[must_use]
pub fn termination_path() -> PathBuf {
    std::env::var_os(TERMINATION_ENV).map_or_else(|| PathBuf::from(TERMINATION_PATH), PathBuf::from)
}
