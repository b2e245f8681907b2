//! Agents that were installed for one user lie below that user's home, or anywhere else that no pod sees: found on the `PATH`, the
//! folders they are made of come back by name.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// The agents that are known by name.
const AGENTS: [&str; 3] = ["claude", "opencode", "aider"];

/// What every pod sees.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"];

/// Folders that the agents on `path` need and that pods may not see, the one that holds the program first. Never all of `home`.
pub(crate) fn needed(home: &Path, path: &OsStr) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for name in AGENTS {
        let program = std::env::split_paths(path)
            .map(|dir| dir.join(name))
            .find(|p| p.is_file());
        let Some(program) = program else { continue };
        for folder in folders_of(&program) {
            let system = SYSTEM.iter().any(|s| folder.starts_with(s));
            let broad = home.starts_with(&folder) || folder.components().count() < 3;
            if !system && !broad && !found.contains(&folder) {
                found.push(folder);
            }
        }
    }
    found
}

/// The folder it is found in, the one it really lies in, and those of the interpreter that a script names.
fn folders_of(program: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = program.parent().map(Path::to_path_buf).into_iter().collect();
    let Ok(real) = fs::canonicalize(program) else {
        return folders;
    };
    folders.extend(real.parent().map(Path::to_path_buf));
    let interpreter = interpreter(&real);
    if let Some(interpreter) = interpreter.as_deref().filter(|i| i.is_absolute()) {
        // A virtual environment, and the installation it was made from.
        let real = fs::canonicalize(interpreter).ok();
        let roots = [Some(interpreter), real.as_deref()].into_iter().flatten();
        folders.extend(roots.filter_map(|p| Some(p.parent()?.parent()?.to_path_buf())));
    }
    folders
}

/// The program in a script's first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    use std::io::Read as _;
    let mut start = Vec::new();
    fs::File::open(script).ok()?.take(512).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_an_agent_is_made_of_comes_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(dir.path()).unwrap();
        for folder in [
            "bin",
            "share/claude/versions",
            "tools/aider/bin",
            "python/3.12/bin",
            "private",
        ] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        fs::write(home.join("share/claude/versions/2"), "\u{7f}ELF").unwrap();
        symlink(home.join("share/claude/versions/2"), home.join("bin/claude")).unwrap();
        fs::write(home.join("python/3.12/bin/python3.12"), "").unwrap();
        symlink(
            home.join("python/3.12/bin/python3.12"),
            home.join("tools/aider/bin/python"),
        )
        .unwrap();
        let shebang = format!("#!{}\nimport aider\n", home.join("tools/aider/bin/python").display());
        fs::write(home.join("tools/aider/bin/aider"), shebang).unwrap();
        symlink(home.join("tools/aider/bin/aider"), home.join("bin/aider")).unwrap();
        let path = std::env::join_paths([home.join("private"), home.join("bin")]).unwrap();
        let found = needed(&home, &path);
        let expected = [
            "bin",
            "share/claude/versions",
            "tools/aider/bin",
            "tools/aider",
            "python/3.12",
        ]
        .map(|f| home.join(f));
        assert_eq!(found, expected);
        assert!(
            needed(&home.join("bin"), &path).iter().all(|f| f != &home.join("bin")),
            "a home never comes back"
        );
    }
}
