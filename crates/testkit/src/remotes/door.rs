//! Where callers come in: a listener that can be shut and opened again at the same address, and in a mood.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a server feels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It serves.
    #[default]
    Well,
    /// Takes connections and says nothing, not even hello.
    Silent,
    /// Takes requests and never answers (HTTP; as [`Mood::Silent`] for SSH).
    Mute,
    /// Closes every connection at once.
    Closing,
    /// Sends half of each answer, then closes (HTTP).
    Cutting,
    /// Carries pushes out and closes instead of saying so (HTTP).
    CuttingAfterPush,
    /// Answers with this status (HTTP).
    Status(u16),
    /// Sends everybody to the same path below this address (HTTP).
    Redirect(String),
}

/// What the serving thread is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Open,
    Shut,
    End,
}

/// A listener with its thread.
pub(super) struct Door {
    pub(super) addr: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    told: watch::Sender<Told>,
    open: watch::Receiver<bool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Door {
    /// Listens, and lets `serve` attend each caller.
    pub(super) fn open<S, F>(addr: SocketAddr, serve: S) -> Self
    where
        S: Fn(TcpStream, Arc<Mutex<Mood>>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = StdListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let mood = Arc::new(Mutex::new(Mood::Well));
        let (told, hears) = watch::channel(Told::Open);
        let (says, open) = watch::channel(true);
        let feeling = Arc::clone(&mood);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(keep(listener, addr, hears, says, |stream| {
                serve(stream, Arc::clone(&feeling))
            }));
            runtime.shutdown_background();
        });
        Self {
            addr,
            mood,
            told,
            open,
            thread: Some(thread),
        }
    }

    pub(super) fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// From now on connections are refused, and those that stand are cut.
    pub(super) fn down(&self) {
        self.told.send_replace(Told::Shut);
        self.wait_until(false);
    }

    /// Listens at the same address again.
    pub(super) fn up(&self) {
        self.told.send_replace(Told::Open);
        self.wait_until(true);
    }

    fn wait_until(&self, open: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while *self.open.borrow() != open {
            assert!(Instant::now() < deadline, "the listener does not move");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.told.send_replace(Told::End);
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed where it happened.
            let _ = thread.join();
        }
    }
}

async fn keep<S, F>(
    listener: StdListener,
    addr: SocketAddr,
    mut told: watch::Receiver<Told>,
    open: watch::Sender<bool>,
    serve: S,
) where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true).unwrap();
    let mut listener = Some(TcpListener::from_std(listener).unwrap());
    let mut callers = JoinSet::new();
    loop {
        open.send_replace(listener.is_some());
        tokio::select! {
            caller = accept(listener.as_ref()) => {
                callers.spawn(serve(caller));
                while callers.try_join_next().is_some() {}
            }
            _ = told.changed() => match *told.borrow_and_update() {
                Told::End => return,
                Told::Shut => {
                    listener = None;
                    callers.shutdown().await;
                }
                Told::Open => if listener.is_none() {
                    listener = Some(TcpListener::bind(addr).await.unwrap());
                }
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => loop {
            if let Ok((stream, _)) = listener.accept().await {
                return stream;
            }
        },
        None => std::future::pending().await,
    }
}
