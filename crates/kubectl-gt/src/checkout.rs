//! The git checkout of the current folder, read without running git: where it is, and what its remotes are.

use std::fs;
use std::path::{Path, PathBuf};

/// A git checkout.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    /// Its top folder.
    pub(crate) top: PathBuf,
    /// URLs of its remotes.
    remotes: Vec<String>,
}

impl Checkout {
    /// The checkout a folder lies in.
    pub(crate) fn around(folder: &Path) -> Option<Self> {
        Self::at(folder.ancestors().find(|dir| dir.join(".git").exists())?)
    }

    /// The checkout whose top that folder is.
    pub(crate) fn at(top: &Path) -> Option<Self> {
        let config = fs::read_to_string(common_dir(top)?.join("config")).unwrap_or_default();
        Some(Self {
            top: top.to_owned(),
            remotes: remotes(&config),
        })
    }

    /// Its own spelling of that repository's URL.
    pub(crate) fn remote_of(&self, url: &str) -> Option<String> {
        let wanted = canonical(url);
        self.remotes.iter().find(|remote| canonical(remote) == wanted).cloned()
    }

    /// Where its objects lie.
    pub(crate) fn objects(&self) -> Option<PathBuf> {
        common_dir(&self.top)
            .map(|dir| dir.join("objects"))
            .filter(|dir| dir.is_dir())
    }

    /// Whether it is a checkout of that repository: one of its remotes is, or it is the repository itself.
    pub(crate) fn is_of(&self, url: &str) -> bool {
        let wanted = canonical(url);
        self.remotes.iter().any(|remote| canonical(remote) == wanted)
            || canonical(&self.top.to_string_lossy()) == wanted
    }

    /// Whether its remotes name other repositories only. One without remotes contradicts nobody.
    pub(crate) fn is_of_another(&self, url: &str) -> bool {
        !self.remotes.is_empty() && !self.is_of(url)
    }
}

/// Where the repository's configuration lies: a worktree's `.git` is a file that says so.
fn common_dir(top: &Path) -> Option<PathBuf> {
    let git = top.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    let dir = top.join(text.trim().strip_prefix("gitdir: ")?);
    match fs::read_to_string(dir.join("commondir")) {
        Ok(common) => Some(dir.join(common.trim())),
        Err(_) => Some(dir),
    }
}

/// The URLs in a git configuration.
fn remotes(config: &str) -> Vec<String> {
    let mut urls = Vec::new();
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.starts_with("[remote ");
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && matches!(key.trim(), "url" | "pushurl")
        {
            urls.push(value.trim().trim_matches('"').to_owned());
        }
    }
    urls
}

/// A repository's URL without what two spellings of it differ in: `git@host:a/b.git` is `https://host/a/b`.
fn canonical(url: &str) -> String {
    let url = url.trim();
    let (rest, is_file) = match url.split_once("://") {
        Some(("file", path)) => (path.to_owned(), true),
        Some((_, rest)) => (rest.to_owned(), false),
        None if url.starts_with('/') || url.starts_with('.') => (url.to_owned(), true),
        // scp's way: a colon parts host and path.
        None => (url.replacen(':', "/", 1), false),
    };
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix(".git").unwrap_or(rest).trim_end_matches('/');
    if is_file {
        return rest.to_owned();
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host).to_lowercase();
    format!("{host}/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_repository_are_one() {
        let one = "https://github.com/org/repo";
        for other in [
            "https://github.com/org/repo.git",
            "https://user@GitHub.com/org/repo/",
            "git@github.com:org/repo.git",
            "ssh://git@github.com/org/repo.git",
        ] {
            assert_eq!(canonical(one), canonical(other), "{other}");
        }
        assert_eq!(canonical("file:///srv/repo.git"), canonical("/srv/repo"));
        assert_ne!(canonical(one), canonical("https://github.com/org/repo2"));
        assert_ne!(canonical(one), canonical("https://gitlab.com/org/repo"));
    }

    #[test]
    fn remotes_are_found_in_plain_checkouts_and_worktrees() {
        let dir = tempfile::tempdir().unwrap();
        let config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@github.com:org/repo.git\n\tfetch = +a:b\n[branch \"main\"]\n\tremote = origin\n";
        let main = dir.path().join("main");
        fs::create_dir_all(main.join(".git/worktrees/other")).unwrap();
        fs::create_dir_all(main.join("src/deep")).unwrap();
        fs::write(main.join(".git/config"), config).unwrap();
        fs::write(main.join(".git/worktrees/other/commondir"), "../..\n").unwrap();
        let other = dir.path().join("other");
        fs::create_dir_all(&other).unwrap();
        fs::write(
            other.join(".git"),
            format!("gitdir: {}\n", main.join(".git/worktrees/other").display()),
        )
        .unwrap();
        for folder in [main.join("src/deep"), other] {
            let checkout = Checkout::around(&folder).unwrap();
            assert!(checkout.is_of("https://github.com/org/repo"), "{}", folder.display());
            assert!(!checkout.is_of("https://github.com/org/else"));
        }
        assert!(Checkout::around(dir.path()).is_none_or(|c| !c.top.starts_with(dir.path())));
    }
}
