//! The one writer. In memory it works on the caller's own thread, so that a test's paused clock stays
//! paused; on disk it is a thread that commits whatever has queued up since its last commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::oneshot;

use super::disk::{CommitError, Disk};
use super::history::Change;
use super::state::State;
use super::txn::Txn;
use crate::object::Key;
use crate::status::{ApiError, ApiResult};

/// Jobs in one commit at most: bounds how long the first of them waits.
const BATCH: usize = 512;

type Finish = Box<dyn FnOnce(Result<(), CommitError>) + Send>;
type Job = Box<dyn FnOnce(&mut Txn<'_>) -> Finish + Send>;

/// Runs jobs one after another.
pub(crate) struct Writer {
    state: Arc<RwLock<State>>,
    turn: Mutex<()>,
    queue: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    durable: bool,
}

impl Writer {
    /// A writer to `disk`, or to memory alone.
    pub(crate) fn start(state: Arc<RwLock<State>>, disk: Option<Disk>) -> std::io::Result<Writer> {
        let (sender, receiver) = channel();
        let durable = disk.is_some();
        let thread = match disk {
            None => None,
            Some(disk) => {
                let state = Arc::clone(&state);
                let builder = std::thread::Builder::new().name("apiserver-store".to_owned());
                Some(builder.spawn(move || write_batches(&receiver, &state, disk))?)
            }
        };
        Ok(Writer {
            state,
            turn: Mutex::new(()),
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(thread),
            durable,
        })
    }

    /// Runs `job`; its changes are durable and visible when this returns `Ok`.
    pub(crate) async fn run<T, F>(&self, job: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> ApiResult<T> + Send + 'static,
    {
        if !self.durable {
            return self.run_here(job);
        }
        self.enqueue(job)?.await.map_err(|_| closed())?
    }

    /// [`run`](Self::run) for callers outside a runtime.
    pub(crate) fn run_blocking<T, F>(&self, job: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> ApiResult<T> + Send + 'static,
    {
        if !self.durable {
            return self.run_here(job);
        }
        // Not `blocking_recv`, which refuses to be called on a runtime's thread: opening a server
        // there may block it for one commit.
        futures::executor::block_on(self.enqueue(job)?).map_err(|_| closed())?
    }

    fn enqueue<T, F>(&self, job: F) -> ApiResult<oneshot::Receiver<ApiResult<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> ApiResult<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |txn| {
            let result = guarded(txn, job);
            Box::new(move |committed: Result<(), CommitError>| {
                // A refusal may rest on a change before it in the batch, so it falls with the batch.
                let result = committed.map_err(refusal).and(result);
                // The client may have gone away.
                drop(answer.send(result));
            })
        });
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().ok_or_else(closed)?.send(job).map_err(|_| closed())?;
        Ok(answered)
    }

    fn run_here<T>(&self, job: impl FnOnce(&mut Txn<'_>) -> ApiResult<T>) -> ApiResult<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(closed());
        }
        let (result, changes) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let mut txn = Txn::new(&state);
            let result = guarded(&mut txn, job);
            (result, txn.into_changes())
        };
        publish(&self.state, changes);
        result
    }

    /// Takes no more jobs, finishes those it has, and lets go of the disk.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// One bad request (or a bug in a rule's evaluation) must not take the writer down with it.
fn guarded<T>(txn: &mut Txn<'_>, job: impl FnOnce(&mut Txn<'_>) -> ApiResult<T>) -> ApiResult<T> {
    let mark = txn.mark();
    let result = catch_unwind(AssertUnwindSafe(|| job(txn)))
        .unwrap_or_else(|_| Err(ApiError::internal("the request made the server panic; see its log")));
    if result.is_err() {
        txn.undo(mark);
    }
    result
}

fn closed() -> ApiError {
    ApiError::unavailable("the API server is shutting down")
}

fn refusal(error: CommitError) -> ApiError {
    let refused = ApiError::internal(format!("the store cannot be written: {}", error.message));
    if error.full {
        refused.with_code(StatusCode::INSUFFICIENT_STORAGE)
    } else {
        refused
    }
}

fn write_batches(jobs: &Receiver<Job>, state: &RwLock<State>, mut disk: Disk) {
    while let Ok(first) = jobs.recv() {
        let mut finishes = Vec::new();
        let (changes, committed) = {
            let state = state.read().unwrap_or_else(PoisonError::into_inner);
            let mut txn = Txn::new(&state);
            finishes.push(first(&mut txn));
            while finishes.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                finishes.push(next(&mut txn));
            }
            let changes = txn.into_changes();
            let committed = commit(&mut disk, &state, &changes);
            (changes, committed)
        };
        if committed.is_ok() {
            publish(state, changes);
        }
        for finish in finishes {
            finish(committed.clone());
        }
    }
}

fn commit(disk: &mut Disk, state: &State, changes: &[(Key, Change)]) -> Result<(), CommitError> {
    let Some((_, last)) = changes.last() else {
        return Ok(());
    };
    // Only the last value of each key goes to disk.
    let mut latest: std::collections::BTreeMap<&Key, Option<Bytes>> = std::collections::BTreeMap::new();
    for (key, change) in changes {
        latest.insert(key, change.new.as_ref().map(|o| o.json()));
    }
    let writes: Vec<(Key, Option<Bytes>)> = latest.into_iter().map(|(k, v)| (k.clone(), v)).collect();
    disk.commit(&writes, last.rv, |key| state.get(key).map(|o| o.json()))
}

fn publish(state: &RwLock<State>, changes: Vec<(Key, Change)>) {
    if !changes.is_empty() {
        state.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
    }
}
