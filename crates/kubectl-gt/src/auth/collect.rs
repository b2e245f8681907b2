//! Which files an agent needs. What is not named here is not taken: history, projects, todos, caches, shell snapshots.

use super::Whose;
use gastown_wire::{settings_key, without_refresh};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One place of an agent's settings.
struct Root {
    /// Where it is here.
    folder: PathBuf,
    /// What its paths begin with in the pod: below `$HOME/.claude`, or below `$HOME` with `~/`.
    prefix: &'static str,
    files: &'static [&'static str],
    folders: &'static [&'static str],
    /// Files directly in these folders, of these endings.
    tops: &'static [(&'static str, &'static str)],
}

/// Never worth taking, wherever they lie: repositories, installed packages, leavings.
const NEVER: [&str; 7] = [
    ".git",
    "node_modules",
    "__pycache__",
    ".venv",
    ".DS_Store",
    ".cache",
    "cache",
];
/// Deeper than anybody nests settings.
const DEEPEST: usize = 16;

/// A file to upload.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Taken {
    /// Its path in the pod.
    pub(super) path: String,
    /// Its key in the Secret.
    pub(super) key: String,
    /// How long it is.
    pub(super) bytes: usize,
    #[serde(skip)]
    pub(super) content: Vec<u8>,
}

/// A file that is not, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    pub(super) path: String,
    pub(super) why: String,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) taken: Vec<Taken>,
    pub(super) skipped: Vec<Skipped>,
}

impl Found {
    pub(super) fn bytes(&self) -> usize {
        self.taken.iter().map(|t| t.content.len()).sum()
    }

    #[cfg(test)]
    fn has(&self, path: &str) -> bool {
        self.taken.iter().any(|t| t.path == path)
    }
}

/// Where to look.
pub(super) struct Places<'a> {
    pub(super) home: &'a Path,
    pub(super) claude: PathBuf,
    pub(super) with_env: bool,
}

/// Everything of an agent that its pods need.
pub(super) fn collect(whose: Whose, places: &Places<'_>, exclude: &[String]) -> Found {
    let mut found = Found::default();
    for root in roots(whose, places) {
        let mut walk = Walk {
            // Symbolic links are followed within the agent's own folder; for files that lie in the home, nowhere.
            inside: fs::canonicalize(&root.folder).unwrap_or_else(|_| root.folder.clone()),
            whole_home: root.folder == places.home,
            root: &root,
            exclude,
            found: &mut found,
        };
        walk.all();
    }
    found.taken.sort_by(|a, b| a.path.cmp(&b.path));
    found.taken.dedup_by(|a, b| a.path == b.path);
    found
}

fn roots(whose: Whose, places: &Places<'_>) -> Vec<Root> {
    let xdg = |name: &str, default: &str| {
        let set = std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        set.unwrap_or_else(|| places.home.join(default))
    };
    match whose {
        Whose::ClaudeCode => vec![Root {
            folder: places.claude.clone(),
            prefix: "",
            files: &[".credentials.json", "settings.json", "settings.local.json", "CLAUDE.md"],
            folders: &["skills", "agents", "commands", "hooks"],
            tops: &[("plugins", "json")],
        }],
        Whose::Opencode => vec![
            Root {
                folder: xdg("XDG_CONFIG_HOME", ".config").join("opencode"),
                prefix: "~/.config/opencode/",
                files: &["opencode.json", "opencode.jsonc", "AGENTS.md"],
                folders: &[
                    "skills", "skill", "agents", "agent", "commands", "command", "plugins", "plugin",
                ],
                tops: &[],
            },
            Root {
                folder: xdg("XDG_DATA_HOME", ".local/share").join("opencode"),
                prefix: "~/.local/share/opencode/",
                files: &["auth.json"],
                folders: &[],
                tops: &[],
            },
        ],
        Whose::Aider => vec![Root {
            folder: places.home.to_owned(),
            prefix: "~/",
            files: if places.with_env {
                &[
                    ".aider.conf.yml",
                    ".aider.model.settings.yml",
                    ".aider.model.metadata.json",
                    ".env",
                ]
            } else {
                &[
                    ".aider.conf.yml",
                    ".aider.model.settings.yml",
                    ".aider.model.metadata.json",
                ]
            },
            folders: &[],
            tops: &[],
        }],
    }
}

struct Walk<'a> {
    inside: PathBuf,
    whole_home: bool,
    root: &'a Root,
    exclude: &'a [String],
    found: &'a mut Found,
}

impl Walk<'_> {
    fn all(&mut self) {
        let root = self.root;
        for file in root.files {
            self.entry(&root.folder.join(file), file, 0, &mut BTreeSet::new(), true);
        }
        for folder in root.folders {
            self.entry(&root.folder.join(folder), folder, 0, &mut BTreeSet::new(), false);
        }
        for (folder, ending) in root.tops {
            let Ok(entries) = fs::read_dir(root.folder.join(folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|e| e == *ending)
                    && let Some(name) = entry.file_name().to_str()
                {
                    self.entry(&path, &format!("{folder}/{name}"), 0, &mut BTreeSet::new(), true);
                }
            }
        }
    }

    fn skip(&mut self, relative: &str, why: impl Into<String>) {
        self.found.skipped.push(Skipped {
            path: format!("{}{relative}", self.root.prefix),
            why: why.into(),
        });
    }

    /// Takes a file, or what is in a folder. What is not there is no news.
    fn entry(&mut self, path: &Path, relative: &str, depth: usize, above: &mut BTreeSet<PathBuf>, file_only: bool) {
        let whole = format!("{}{relative}", self.root.prefix);
        if self
            .exclude
            .iter()
            .any(|e| whole == *e || whole.starts_with(&format!("{}/", e.trim_end_matches('/'))))
        {
            return self.skip(relative, "left out by --exclude");
        }
        let own = match fs::symlink_metadata(path) {
            Ok(own) => own,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return self.skip(relative, format!("cannot be looked at: {e}")),
        };
        if own.is_symlink()
            && let Err(why) = self.followed(path)
        {
            return self.skip(relative, why);
        }
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) => return self.skip(relative, format!("cannot be looked at: {e}")),
        };
        if meta.is_dir() {
            if file_only {
                return self.skip(relative, "is a folder, not a file");
            }
            self.folder(path, relative, depth, above);
        } else if meta.is_file() {
            self.file(path, relative);
        } else {
            self.skip(relative, "is no file: a socket, pipe or device");
        }
    }

    /// A link may lead anywhere within the agent's own folder.
    fn followed(&self, path: &Path) -> Result<(), String> {
        let target = fs::canonicalize(path).map_err(|e| format!("is a symbolic link that leads nowhere: {e}"))?;
        if self.whole_home || !target.starts_with(&self.inside) {
            return Err(format!(
                "is a symbolic link that leads outside, to {}: copy what it names here",
                target.display()
            ));
        }
        Ok(())
    }

    fn folder(&mut self, path: &Path, relative: &str, depth: usize, above: &mut BTreeSet<PathBuf>) {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if depth > DEEPEST || above.contains(&real) {
            return self.skip(relative, "is a folder within itself");
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(e) => return self.skip(relative, format!("cannot be read: {e}")),
        };
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
        names.sort();
        above.insert(real.clone());
        for name in names {
            let Some(text) = name.to_str() else {
                self.skip(
                    &format!("{relative}/{}", name.to_string_lossy()),
                    "its name is not UTF-8",
                );
                continue;
            };
            if !NEVER.contains(&text) {
                self.entry(&path.join(text), &format!("{relative}/{text}"), depth + 1, above, false);
            }
        }
        above.remove(&real);
    }

    fn file(&mut self, path: &Path, relative: &str) {
        let whole = format!("{}{relative}", self.root.prefix);
        let Some(key) = settings_key(&whole) else {
            return self.skip(relative, "its path is too long or too odd for a key of a Secret");
        };
        match fs::read(path) {
            Ok(content) => {
                // It stays here, where it was made: of two that refresh one login, the second is logged out.
                let content = without_refresh(&whole, &content).unwrap_or(content);
                self.found.taken.push(Taken {
                    path: whole,
                    key,
                    bytes: content.len(),
                    content,
                });
            }
            Err(e) => self.skip(relative, format!("cannot be read: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn claude(home: &Path) -> Found {
        let places = Places {
            home,
            claude: home.join(".claude"),
            with_env: false,
        };
        collect(Whose::ClaudeCode, &places, &["skills/left".to_owned()])
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A folder as people have them, with all that must not travel.
    fn realistic() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(".claude");
        for path in [
            ".credentials.json",
            "settings.json",
            "settings.local.json",
            "CLAUDE.md",
            "skills/my_skill/SKILL.md",
            "skills/my_skill/deep/er/notes é.md",
            "skills/left/SKILL.md",
            "agents/reviewer.md",
            "commands/fix/it.md",
            "hooks/stop.sh",
            "plugins/installed_plugins.json",
            "plugins/cache/whole/repository.js",
            "skills/my_skill/node_modules/x/index.js",
            "skills/my_skill/.git/config",
            "history.jsonl",
            "projects/-home-me/0.jsonl",
            "todos/1.json",
            "shell-snapshots/s.sh",
            "statsig/cache.json",
            "ide/1.lock",
        ] {
            write(&dir.join(path), path);
        }
        home
    }

    #[test]
    fn what_an_agent_needs_is_taken_and_nothing_else() {
        let home = realistic();
        let found = claude(home.path());
        let paths: Vec<&str> = found.taken.iter().map(|t| t.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                ".credentials.json",
                "CLAUDE.md",
                "agents/reviewer.md",
                "commands/fix/it.md",
                "hooks/stop.sh",
                "plugins/installed_plugins.json",
                "settings.json",
                "settings.local.json",
                "skills/my_skill/SKILL.md",
                "skills/my_skill/deep/er/notes é.md",
            ]
        );
        assert!(found.taken.iter().all(|t| t.content == t.path.as_bytes()));
        assert_eq!(found.skipped[0].path, "skills/left");
    }

    #[test]
    fn links_lead_within_the_folder_or_nowhere() {
        let home = realistic();
        let dir = home.path().join(".claude");
        write(&home.path().join("elsewhere/SKILL.md"), "not ours");
        symlink("my_skill", dir.join("skills/again")).unwrap();
        symlink("../../elsewhere", dir.join("skills/outside")).unwrap();
        symlink("nowhere", dir.join("skills/broken")).unwrap();
        symlink("..", dir.join("skills/my_skill/loop")).unwrap();
        symlink("/etc/passwd", dir.join("agents/passwd.md")).unwrap();
        let found = claude(home.path());
        assert!(found.has("skills/again/SKILL.md"));
        assert!(
            !found
                .taken
                .iter()
                .any(|t| t.content.starts_with(b"root:") || t.content == b"not ours")
        );
        let skipped: Vec<&str> = found.skipped.iter().map(|s| s.path.as_str()).collect();
        for path in [
            "skills/outside",
            "skills/broken",
            "agents/passwd.md",
            "skills/my_skill/loop/my_skill",
        ] {
            assert!(
                skipped.contains(&path) || path.contains("loop") && skipped.iter().any(|s| s.contains("loop")),
                "{path}: {skipped:?}"
            );
        }
    }

    #[test]
    fn odd_files_are_named() {
        let home = realistic();
        let dir = home.path().join(".claude");
        let _socket = std::os::unix::net::UnixListener::bind(dir.join("hooks/socket")).unwrap();
        write(&dir.join(format!("skills/{}/x.md", "long".repeat(60))), "x");
        fs::remove_file(dir.join("settings.json")).unwrap();
        fs::create_dir(dir.join("settings.json")).unwrap();
        let found = claude(home.path());
        let why: Vec<String> = found.skipped.iter().map(|s| s.why.clone()).collect();
        for part in ["a socket", "too long", "is a folder, not a file"] {
            assert!(why.iter().any(|w| w.contains(part)), "{part}: {why:?}");
        }
    }

    #[test]
    fn opencode_and_aider_have_their_own() {
        let home = tempfile::tempdir().unwrap();
        for path in [
            ".config/opencode/opencode.json",
            ".config/opencode/AGENTS.md",
            ".config/opencode/skills/a/SKILL.md",
            ".config/opencode/node_modules/x.js",
            ".local/share/opencode/auth.json",
            ".local/share/opencode/opencode.db",
            ".aider.conf.yml",
            ".env",
            ".aider.chat.history.md",
        ] {
            write(&home.path().join(path), path);
        }
        let of = |whose, with_env| {
            let places = Places {
                home: home.path(),
                claude: home.path().join(".claude"),
                with_env,
            };
            let found = collect(whose, &places, &[]);
            found.taken.into_iter().map(|t| t.path).collect::<Vec<_>>()
        };
        assert_eq!(
            of(Whose::Opencode, false),
            [
                "~/.config/opencode/AGENTS.md",
                "~/.config/opencode/opencode.json",
                "~/.config/opencode/skills/a/SKILL.md",
                "~/.local/share/opencode/auth.json",
            ]
        );
        assert_eq!(of(Whose::Aider, false), ["~/.aider.conf.yml"]);
        assert_eq!(of(Whose::Aider, true), ["~/.aider.conf.yml", "~/.env"]);
    }
}
