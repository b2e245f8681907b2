//! A place for a moment.

use std::path::PathBuf;

/// A folder that is gone when it is dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    /// A name nobody else uses; the folder is made by whoever fills it.
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(format!("kubectl-gt-{}", uuid::Uuid::new_v4().simple())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in a temporary folder hurts nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
