//! The one message a container leaves behind.

use std::{fs, io, path::Path};

use gastown_wire::Report;

/// Writes a report where the kubelet looks for it. The file exists in a cluster (it is a mount), so it is
/// written in place, not replaced.
///
/// # Errors
/// When it cannot be written; the caller still has its exit code.
pub fn leave(path: &Path, report: &impl Report) -> io::Result<()> {
    fs::write(path, report.encode())
}

/// Like [`leave`], for callers that can only log the failure.
pub(crate) fn leave_or_log(path: &Path, report: &impl Report) {
    if let Err(error) = leave(path, report) {
        tracing::error!("the report could not be written to {}: {error}", path.display());
    }
}
