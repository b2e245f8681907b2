//! Files that are made from code: written, or compared with what is committed.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// A file and what it must hold.
pub(crate) struct Generated {
    /// From the root of the repository.
    pub(crate) path: String,
    /// Its whole text.
    pub(crate) text: String,
}

/// Writes what differs; names the files that changed.
pub(crate) fn write(root: &Path, files: &[Generated]) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for file in drifted(root, files)? {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(&path, &file.text).with_context(|| format!("writing {}", path.display()))?;
        changed.push(file.path.clone());
    }
    Ok(changed)
}

/// The files that do not hold what they must.
pub(crate) fn drifted<'a>(root: &Path, files: &'a [Generated]) -> Result<Vec<&'a Generated>> {
    let mut drifted = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        match fs::read_to_string(&path) {
            Ok(text) if text == file.text => {}
            Ok(_) => drifted.push(file),
            Err(error) if error.kind() == ErrorKind::NotFound => drifted.push(file),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    Ok(drifted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_seen_and_mended_once() {
        let root = std::env::temp_dir().join(format!("gastown-xtask-{}", std::process::id()));
        let files = [Generated {
            path: "a/b.yaml".into(),
            text: "one\n".into(),
        }];
        assert_eq!(drifted(&root, &files).unwrap().len(), 1, "missing");
        assert_eq!(write(&root, &files).unwrap(), ["a/b.yaml"]);
        assert!(drifted(&root, &files).unwrap().is_empty());
        fs::write(root.join("a/b.yaml"), "by hand\n").unwrap();
        assert_eq!(drifted(&root, &files).unwrap().len(), 1, "edited");
        assert_eq!(write(&root, &files).unwrap().len(), 1);
        assert!(write(&root, &files).unwrap().is_empty());
        fs::remove_dir_all(&root).unwrap();
    }
}
