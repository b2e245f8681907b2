//! Locks that a killed git left behind: with them there, the next git refuses for ever.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A lock file: git makes it to own another file, and removes it or renames it over that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Where it lies.
    pub path: PathBuf,
    /// When it was made.
    pub since: SystemTime,
}

/// The lock files of a repository; none where there is no repository. `git_dir` is a bare repository or a `.git`.
///
/// No branch may be called `*.lock`, so every such file is a lock. Symbolic links are not followed: agents write here.
#[must_use]
pub fn locks(git_dir: &Path) -> Vec<Lock> {
    let mut found = Vec::new();
    let mut folders = vec![git_dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else {
                continue;
            };
            if kind.is_dir() && !is_fanout(&folder, name.as_encoded_bytes()) {
                folders.push(entry.path());
            } else if kind.is_file()
                && name.as_encoded_bytes().ends_with(b".lock")
                && let Ok(since) = entry.metadata().and_then(|m| m.modified())
            {
                found.push(Lock {
                    path: entry.path(),
                    since,
                });
            }
        }
    }
    found
}

/// Folders of loose objects: many, and never locked.
fn is_fanout(parent: &Path, name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit) && parent.ends_with("objects")
}

/// Removes every lock of a repository in which nobody is at work. Returns what was removed.
///
/// # Errors
/// If one cannot be removed.
pub fn break_locks(git_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let found = locks(git_dir).into_iter().map(|lock| lock.path);
    found.map(|path| fs::remove_file(&path).map(|()| path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_found_and_broken_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join("repo.git");
        let elsewhere = dir.path().join("elsewhere");
        for folder in ["refs/heads/team", "objects/ab", "objects/info"] {
            fs::create_dir_all(git.join(folder)).unwrap();
        }
        fs::create_dir(&elsewhere).unwrap();
        let locked = [
            "config.lock",
            "refs/heads/team/main.lock",
            "objects/info/commit-graph.lock",
        ];
        let others = ["config", "refs/heads/team/main", "refs/heads/lock", "objects/ab/x.lock"];
        for file in locked.iter().chain(&others) {
            fs::write(git.join(file), "x").unwrap();
        }
        fs::write(elsewhere.join("index.lock"), "x").unwrap();
        std::os::unix::fs::symlink(&elsewhere, git.join("hooks")).unwrap();
        assert_eq!(locks(&git).len(), 3, "{:?}", locks(&git));
        assert_eq!(break_locks(&git).unwrap().len(), 3);
        assert!(locked.iter().all(|f| !git.join(f).exists()));
        assert!(others.iter().all(|f| git.join(f).exists()));
        assert!(
            elsewhere.join("index.lock").exists(),
            "a link led out of the repository"
        );
        assert!(break_locks(&dir.path().join("nowhere")).unwrap().is_empty());
    }
}
