//! The server's handle: opening, the in-process client, closing.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::catalog::Resource;
use crate::kinds::{BuiltIn, first_namespace};
use crate::logs::PodLogs;
use crate::object::Key;
use crate::status::ApiResult;
use crate::store::{Disk, OpenError, State, Txn, Writer};
use crate::write::{self, Strictness, Subject};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock of somebody else's.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new(Timestamp::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// How a server is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the store, made if missing. `None` keeps everything in memory, for tests.
    pub data: Option<PathBuf>,
    /// Changes kept per resource for watches. A watcher further behind is cut off with 410.
    pub history: usize,
    /// What stamps objects. Another than the system's is for tests.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            data: None,
            history: 4096,
            clock: Clock::default(),
        }
    }
}

/// A running API server. A cheap handle: clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    state: Arc<RwLock<State>>,
    writer: Writer,
    pub(crate) logs: RwLock<Option<Arc<dyn PodLogs>>>,
    /// Ends watches when the server closes.
    pub(crate) closed: CancellationToken,
    /// When events were last searched for expired ones, in seconds.
    swept: AtomicI64,
}

impl ApiServer {
    /// Opens the store and the server over it.
    ///
    /// # Errors
    /// When the data is in use, damaged, from a newer program, or unreadable. The data is then left as
    /// it is: a damaged store never becomes an empty one.
    pub fn open(options: Options) -> Result<ApiServer, OpenError> {
        let disk = match &options.data {
            None => None,
            Some(folder) => Some((Disk::open(folder)?, folder.clone())),
        };
        match disk {
            None => Self::over(None, options.history, options.clock, PathBuf::new()),
            Some((opened, folder)) => Self::over(Some(opened), options.history, options.clock, folder),
        }
    }

    pub(crate) fn over(
        opened: Option<(Disk, crate::store::Loaded)>,
        history: usize,
        clock: Clock,
        path: PathBuf,
    ) -> Result<ApiServer, OpenError> {
        let (disk, loaded) = match opened {
            Some((disk, loaded)) => (Some(disk), Some(loaded)),
            None => (None, None),
        };
        let mut state = State::new(history.max(1), loaded.as_ref().map_or(1, |l| l.rv), clock);
        for (key, object) in loaded.into_iter().flat_map(|l| l.objects) {
            state.load(key, object).map_err(|why| OpenError::Corrupt {
                path: path.clone(),
                why,
            })?;
        }
        let fresh: Vec<&str> = ["default", "kube-system"]
            .into_iter()
            .filter(|name| state.get(&Key::new(&"namespaces".into(), "", name)).is_none())
            .collect();
        let state = Arc::new(RwLock::new(state));
        let writer = Writer::start(Arc::clone(&state), disk).map_err(|source| OpenError::Io {
            path: path.clone(),
            source,
        })?;
        let server = ApiServer {
            inner: Arc::new(Inner {
                state,
                writer,
                logs: RwLock::new(None),
                closed: CancellationToken::new(),
                swept: AtomicI64::new(0),
            }),
        };
        for name in fresh {
            server.inner.first_namespace(name).map_err(|why| OpenError::Io {
                path: path.clone(),
                source: std::io::Error::other(why),
            })?;
        }
        Ok(server)
    }

    /// A client that calls this server without a socket. Must be called inside a tokio runtime.
    pub fn client(&self, default_namespace: &str) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        kube::Client::new(service, default_namespace)
    }

    /// Says who serves `pods/log`. Without one the answer is 503.
    pub fn set_logs(&self, logs: Arc<dyn PodLogs>) {
        *self.inner.logs.write().unwrap_or_else(PoisonError::into_inner) = Some(logs);
    }

    /// Ends all watches, finishes the writes under way and lets go of the store, so that another
    /// server may open it. Later requests to write are answered with 503.
    pub async fn close(&self) {
        self.inner.closed.cancel();
        let inner = Arc::clone(&self.inner);
        // Joining a thread that may be inside fsync.
        if tokio::task::spawn_blocking(move || inner.writer.close()).await.is_err() {
            tracing::error!("closing the store panicked");
        }
    }
}

impl Inner {
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change and all that follows from it; durable when this returns.
    pub(crate) async fn write<T, F>(&self, job: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> ApiResult<T> + Send + 'static,
    {
        self.writer.run(|txn| whole(txn, job)).await
    }

    /// Runs a change against the present state and throws it away.
    pub(crate) fn rehearse<T>(&self, job: impl FnOnce(&mut Txn<'_>) -> ApiResult<T>) -> ApiResult<T> {
        let state = self.state();
        whole(&mut Txn::rehearsal(&state), job)
    }

    fn first_namespace(&self, name: &str) -> Result<(), String> {
        let resource = self.state().catalog.get("namespaces").cloned();
        let Some(resource) = resource else {
            return Ok(());
        };
        let subject = Subject {
            resource,
            version: "v1".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let value = first_namespace(name);
        self.writer
            .run_blocking(move |txn| write::create(txn, &subject, value, Strictness::Ignore).map(|_| ()))
            .map_err(|e| e.message)
    }

    /// Drops expired events, at most once a minute, when somebody looks at them.
    pub(crate) async fn sweep_events(&self, resource: &Arc<Resource>) -> ApiResult<()> {
        if !resource.built_in.is_some_and(BuiltIn::expires) {
            return Ok(());
        }
        let now = self.state().clock.now();
        let due = now.as_second() - self.swept.load(Ordering::Relaxed) >= 60;
        if !due {
            return Ok(());
        }
        self.swept.store(now.as_second(), Ordering::Relaxed);
        let any = write::any_event_expired(self.state().range(&resource.id, "", None).map(|(_, o)| o), now);
        if any {
            let id = Arc::clone(&resource.id);
            self.write(move |txn| {
                write::expire_events(txn, &id);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

fn whole<T>(txn: &mut Txn<'_>, job: impl FnOnce(&mut Txn<'_>) -> ApiResult<T>) -> ApiResult<T> {
    let done = job(txn)?;
    write::settle(txn)?;
    Ok(done)
}
