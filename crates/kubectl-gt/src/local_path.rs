//! A rig's `localPath`: its checkout on the machine of whoever types. The rig is one for all, and machines are many: where
//! the path says nothing here, it is passed over, and said so.

use crate::checkout::Checkout;
use crate::output::printable;
use std::path::{Path, PathBuf};

/// The checkout at that path, or why none is read there.
pub(crate) fn checkout(path: &str, git_url: &str) -> Result<Checkout, String> {
    let top = Path::new(path);
    let shown = printable(path);
    if !top.is_absolute() {
        return Err(format!("{shown} does not begin with /"));
    }
    if !top.is_dir() {
        return Err(format!("{shown} is not on this machine"));
    }
    match Checkout::at(top) {
        None => Err(format!("{shown} is no git checkout")),
        // Others may have written the rig, and meant another machine: nothing of a foreign repository is sent there.
        Some(checkout) if checkout.is_of_another(git_url) => {
            Err(format!("{shown} has no remote that is the rig's gitURL"))
        }
        Some(checkout) => Ok(checkout),
    }
}

/// What somebody typed in a shell, as it means the same from every folder.
pub(crate) fn typed(path: String) -> String {
    if Path::new(&path).is_absolute() {
        return path;
    }
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    whole(Path::new(&path)).map_or(path, |p: PathBuf| p.to_string_lossy().into_owned())
}
