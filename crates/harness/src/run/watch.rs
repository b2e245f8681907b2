//! The workspace, looked at in intervals: uncommitted work goes to a local ref, and courier hears of it.
//!
//! Git runs here inside the agent's own repository, with its filters. That is the agent's container, where the
//! agent could run them anyway; no git credential is in reach.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gastown_git::{AgentRepo, Git, GitError, Limits, RefName, StatusEntry};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use super::agent::Agent;
use crate::{processes, setup::Pod, traffic};

/// What is worth a word to courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// It printed, used the processor, heard from its model, or a tool of it runs.
    Activity,
    /// Files or refs changed.
    Progress,
}

/// The workspace at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// Uncommitted files.
    pub(super) dirty: u32,
    /// The branch that is checked out; empty when detached.
    pub(super) branch: String,
}

/// Looks at the agent's workspace, one look at a time.
pub(super) struct Watch {
    workspace: std::path::PathBuf,
    timeout: Duration,
    repo: Option<AgentRepo>,
    agent: i32,
    printed: Arc<AtomicU64>,
    seen_printed: u64,
    seen_ticks: u64,
    seen_arrived: Option<u64>,
    seen_at: Instant,
    seen_files: Option<u64>,
}

impl Watch {
    pub(super) fn of(pod: &Pod, agent: &Agent) -> Self {
        Self {
            workspace: pod.workspace(),
            timeout: Duration::from_secs(pod.orders.pace.git_timeout_s.max(1)),
            repo: None,
            agent: agent.pid,
            printed: Arc::clone(&agent.printed),
            seen_printed: 0,
            seen_ticks: 0,
            seen_arrived: None,
            seen_at: Instant::now(),
            seen_files: None,
        }
    }

    /// The last look, when nobody changes anything any more.
    pub(super) async fn last(&mut self) -> Result<Look, GitError> {
        let repo = self.repo().await?;
        let dirty = repo
            .snapshot(&RefName::parse(crate::SNAPSHOT)?, Limits::default())
            .await?
            .dirty;
        let branch = repo.current_branch().await?;
        Ok(Look {
            dirty: u32::try_from(dirty).unwrap_or(u32::MAX),
            branch: branch.map(|b| b.to_string()).unwrap_or_default(),
        })
    }

    async fn repo(&mut self) -> Result<AgentRepo, GitError> {
        if let Some(repo) = &self.repo {
            return Ok(repo.clone());
        }
        let git = Git::probe().await?.with_timeout(self.timeout);
        let repo = AgentRepo::at(git, &self.workspace);
        self.repo = Some(repo.clone());
        Ok(repo)
    }

    /// A look in between: cheap where nothing changed.
    async fn look(&mut self) -> Result<Option<Noticed>, GitError> {
        let seen = self.look_at_files().await;
        let busy = self.is_busy();
        match seen {
            Ok(true) => Ok(Some(Noticed::Progress)),
            Ok(false) => Ok(busy.then_some(Noticed::Activity)),
            // The agent changes files under our hands, which is a sign of life as well.
            Err(error) if busy => {
                tracing::debug!("the workspace could not be read: {error}");
                Ok(Some(Noticed::Activity))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether something changed; if so it is kept.
    async fn look_at_files(&mut self) -> Result<bool, GitError> {
        let repo = self.repo().await?;
        let entries = repo.status_porcelain().await?;
        let files = fingerprint(&self.workspace, &entries);
        if self.seen_files == Some(files) {
            return Ok(false);
        }
        repo.snapshot_of(entries, &RefName::parse(crate::SNAPSHOT)?, Limits::default())
            .await?;
        // Only after it is kept: a snapshot that failed is tried again at the next look.
        self.seen_files = Some(files);
        Ok(true)
    }

    /// Whether the agent printed, used more of a processor than a waiting program does, waits for a tool, or for a model that is
    /// heard of.
    fn is_busy(&mut self) -> bool {
        let printed = self.printed.load(Ordering::Relaxed);
        let processes::Glance { pids, ticks, tools } = processes::glance(self.agent);
        let arrived = traffic::arrived(&pids);
        // A runtime that waits uses a little, too: less than a twentieth of a processor.
        let idle = u64::try_from(self.seen_at.elapsed().as_millis() / 200)
            .unwrap_or(u64::MAX)
            .max(5);
        self.seen_at = Instant::now();
        // Children that ended take their time with them: a fall is work too.
        let busy = printed != self.seen_printed
            || ticks < self.seen_ticks
            || ticks > self.seen_ticks + idle
            || (arrived.is_some() && arrived != self.seen_arrived)
            || tools;
        (self.seen_printed, self.seen_ticks, self.seen_arrived) = (printed, ticks, arrived);
        busy
    }
}

/// Looks in intervals, in a task of its own: a slow look holds up neither the agent's end nor a signal.
pub(super) fn keep_looking(watch: Arc<Mutex<Watch>>, interval: Duration) -> (mpsc::Receiver<Noticed>, JoinHandle<()>) {
    let (send, noticed) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut watch = watch.lock().await;
            let seen = watch.look().await;
            // No command of ours runs now.
            processes::reap_orphans(Some(watch.agent));
            drop(watch);
            match seen {
                Ok(Some(what)) => {
                    if send.send(what).await.is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                // The agent changes files under our hands; the next look will do.
                Err(error) => tracing::debug!("the workspace could not be read: {error}"),
            }
        }
    });
    (noticed, task)
}

/// What is dirty and when it was last written, and where the branches stand.
fn fingerprint(workspace: &Path, entries: &[StatusEntry]) -> u64 {
    let mut hash = DefaultHasher::new();
    for entry in entries {
        entry.code.hash(&mut hash);
        entry.path.hash(&mut hash);
        stamp(&workspace.join(&entry.path)).hash(&mut hash);
    }
    // Every move of HEAD or of the branch it names is logged; the rest is for repositories without logs.
    for file in [".git/logs/HEAD", ".git/HEAD", ".git/index", ".git/packed-refs"] {
        stamp(&workspace.join(file)).hash(&mut hash);
    }
    hash.finish()
}

fn stamp(path: &Path) -> Option<(i64, i64, u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()))
}
