//! What a run that is ended early (Ctrl-C, SIGTERM) still does: whatever it has begun ends, the last begun first.

use std::path::Path;
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

type End = Box<dyn FnOnce() + Send>;

/// What to do, in the order in which it was begun.
static ENDS: Mutex<Vec<End>> = Mutex::new(Vec::new());

/// Ends something, should the run be ended early. It may be over by then.
pub(crate) fn when_killed(end: impl FnOnce() + Send + 'static) {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(end));
}

/// The one folder that everything of this run lies in; gone with this value, or when the run is ended early.
pub(crate) struct Scratch {
    _folder: TempDir,
}

impl Scratch {
    /// From here on scratch folders lie in this one, and signals end what was begun.
    pub(crate) fn open() -> Self {
        let folder = TempDir::with_prefix("gastown-e2e-").unwrap();
        tempfile::env::override_temp_dir(folder.path()).unwrap();
        let path = folder.path().to_path_buf();
        let (ready, listening) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let code = runtime.unwrap().block_on(async {
                let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
                let [mut term, mut int, mut hup] = kinds.map(|kind| signal(kind).unwrap());
                ready.send(()).unwrap();
                tokio::select! {
                    _ = term.recv() => 143,
                    _ = int.recv() => 130,
                    _ = hup.recv() => 129,
                }
            });
            end_all(&path);
            exit(code);
        });
        listening.recv().unwrap();
        Self { _folder: folder }
    }
}

fn end_all(scratch: &Path) {
    eprintln!("ended early: taking down what was begun");
    loop {
        let last = ENDS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(end) = last else { break };
        // One that fails keeps none of the others from their end.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(end));
    }
    // Scenarios still play, and may write once more while this goes.
    for _ in 0..100 {
        if std::fs::remove_dir_all(scratch).is_ok() || !scratch.exists() {
            return;
        }
    }
    eprintln!("{} is left behind", scratch.display());
}
