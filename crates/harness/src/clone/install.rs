//! The harness carries itself into the agent's container, whatever image that is.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::files;

/// Copies this program to `<shared>/bin/gastown-harness`: as a whole or not at all, so that a container that
/// starts meanwhile never finds half of it. Returns where.
///
/// # Errors
/// When the shared volume cannot be written.
pub(super) fn install(shared: &Path) -> io::Result<PathBuf> {
    let bin = shared.join("bin");
    // After a restart the agent has been here: a link to somewhere else is not followed.
    if fs::symlink_metadata(&bin).is_ok_and(|meta| !meta.is_dir()) {
        files::remove(&bin)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&bin)?;
    let target = bin.join("gastown-harness");
    let temporary = files::beside(&target)?;
    let copied = fs::copy(std::env::current_exe()?, &temporary)
        .and_then(|_| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&temporary, &target));
    if let Err(error) = copied {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(target)
}
