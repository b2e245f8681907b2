//! Where a checkout's town keeps its data.

use kubectl_gt::{Failure, exit};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Folder of one town's data: under the XDG state folder, by repository.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The checkout; none for a town that is not of one.
    pub(crate) checkout: Option<PathBuf>,
    /// The data.
    pub(crate) data: PathBuf,
}

/// What `up` decided once and keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TownSettings {
    /// Name of the checkout's rig.
    pub(crate) rig: String,
    /// Port of the API; the same each time while it is free.
    pub(crate) port: u16,
}

impl Place {
    /// The town of the git checkout that the current folder lies in.
    pub(crate) fn here() -> Result<Self, Failure> {
        let here = std::env::current_dir()?;
        let top = here.ancestors().find(|dir| dir.join(".git").exists());
        let Some(top) = top else {
            return Err(
                Failure::new(exit::USAGE, format!("{} is not in a git checkout", here.display()))
                    .hint("cd into your repository first; or git init && git add -A && git commit"),
            );
        };
        let top = top.canonicalize()?;
        let name = top
            .file_name()
            .map_or_else(|| "town".into(), |n| n.to_string_lossy().into_owned());
        let digest = Sha256::digest(top.as_os_str().as_encoded_bytes());
        let id: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        Ok(Self {
            data: state_home()?.join(format!("{name}-{id}")),
            checkout: Some(top),
        })
    }

    /// A town whose data is in that folder and that is of no checkout.
    pub(crate) fn at(data: PathBuf) -> Self {
        Self { checkout: None, data }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.data.join("repo.git")
    }

    /// What the detached town printed.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("up.log")
    }

    fn pid_file(&self) -> PathBuf {
        self.data.join("up.pid")
    }

    fn settings_file(&self) -> PathBuf {
        self.data.join("town.json")
    }

    pub(crate) fn settings(&self) -> Option<TownSettings> {
        serde_json::from_slice(&std::fs::read(self.settings_file()).ok()?).ok()
    }

    pub(crate) fn keep(&self, settings: &TownSettings) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(settings).map_err(|e| Failure::new(exit::FAILED, e.to_string()))?;
        replace(&self.settings_file(), &text, 0o644)
    }

    /// The process that runs the town, where one does. A held lock says so, not the number: after a crash the number
    /// may belong to a stranger, who must be neither taken for a town nor stopped.
    pub(crate) fn pid(&self) -> Option<i32> {
        let file = std::fs::File::open(self.pid_file()).ok()?;
        match file.try_lock_shared() {
            Err(std::fs::TryLockError::WouldBlock) => std::io::read_to_string(file).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// Says that this process runs the town, for as long as the result is held. The store's own lock has let only one in.
    pub(crate) fn occupy(&self) -> Result<std::fs::File, Failure> {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.pid_file())?;
        // Somebody who looks holds it for an instant.
        file.lock()?;
        file.set_len(0)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(file)
    }
}

/// Writes a file whole or not at all, with that mode from its first byte.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}

fn state_home() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("gastown"))
        .ok_or_else(|| {
            Failure::new(exit::FAILED, "neither XDG_STATE_HOME nor HOME is set").hint("export HOME=/some/folder")
        })
}
