//! The readiness probe: has anything happened lately?

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{files, setup::Pod};

/// Notes that something happened.
pub(crate) fn touch(pod: &Pod) {
    let path = pod.activity_file();
    let touched = match std::fs::File::options().write(true).open(&path) {
        Ok(file) => file.set_modified(SystemTime::now()),
        Err(_) => files::replace(&path, b"", 0o600),
    };
    if let Err(error) = touched {
        tracing::warn!("activity cannot be noted in {}: {error}", path.display());
    }
}

/// Whether something happened within `stuckAfter`.
///
/// # Errors
/// When courier has not started yet.
pub fn is_ready(pod: &Pod) -> io::Result<bool> {
    within(&pod.activity_file(), Duration::from_secs(pod.orders.pace.stuck_after_s))
}

fn within(path: &Path, limit: Duration) -> io::Result<bool> {
    let touched = std::fs::metadata(path)?.modified()?;
    // A clock that went back: it happened just now.
    Ok(touched.elapsed().unwrap_or_default() <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_recent_activity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("activity");
        assert!(within(&path, Duration::from_secs(1)).is_err());
        let file = std::fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
        assert!(!within(&path, Duration::from_secs(99)).unwrap());
        assert!(within(&path, Duration::from_secs(200)).unwrap());
    }
}
