//! What a node is told when it starts, and how it may fail.

use std::path::PathBuf;

/// How containers are kept apart from the host and from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Own user, mount and PID namespaces; the root is read-only binds of the host's.
    Namespaces,
    /// Plain process groups of the host. Mount paths are rewritten to real folders in command,
    /// args, environment values and working directory.
    Unconfined,
}

/// What a node is told when it starts.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Name of the Node object, and of `spec.nodeName` in its pods.
    pub name: String,
    /// Folder of everything the node keeps: `pods/<uid>/` (volumes, processes) and `logs/`.
    pub data: PathBuf,
    /// How containers are kept apart.
    pub isolation: Isolation,
    /// Folders of binaries, first on `PATH` in every container, bound read-only at the same path
    /// even where they lie inside a hidden folder.
    pub path_prefix: Vec<PathBuf>,
    /// `hostPath` volumes are allowed at or below these and nowhere else.
    pub host_paths: Vec<PathBuf>,
    /// Folders that no container sees, unless a volume names something in them.
    pub hide: Vec<PathBuf>,
    /// How many containers may be starting at one time.
    pub max_concurrent_starts: usize,
}

/// Why containers cannot be isolated here, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("containers cannot be isolated here: {reason}. {advice}")]
pub struct IsolationUnavailable {
    /// What was tried and what the system answered.
    pub reason: String,
    /// What a person can do.
    pub advice: String,
}

/// Why a node cannot start, or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder cannot be used.
    #[error("the node's data folder {path}: {source}")]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The API server refused or could not be reached.
    #[error("cannot {doing}: {source}")]
    Api {
        /// What was being done.
        doing: String,
        /// What the client said.
        source: Box<kube::Error>,
    },
    /// The process that starts containers could not be started.
    #[error("the launcher of containers: {0}")]
    Launcher(std::io::Error),
    /// No such pod runs here.
    #[error("no pod {namespace}/{pod} runs on this node")]
    NoSuchPod {
        /// Namespace asked for.
        namespace: String,
        /// Name asked for.
        pod: String,
    },
    /// The node has been shut down.
    #[error("the node has been shut down")]
    Closed,
}
