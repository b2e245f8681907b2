//! A container in its own user, mount, PID, IPC and UTS namespaces, by hakoniwa.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hakoniwa::{Container, MountOptions, Namespace, Runctl};
use nix::sys::statvfs::{FsFlags, statvfs};
use serde::{Deserialize, Serialize};

use crate::launch::{Exit, LaunchSpec, Progress, open_pipe};
use crate::processes::{Process, ProcessRecord, child_of};

/// One host path that the container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

/// The file system of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rootfs {
    /// A folder of its own; what is written outside of all mounts lies here.
    pub(crate) root: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) hostname: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) binds: Vec<Bind>,
    /// Empty folders in memory.
    pub(crate) tmpfs: Vec<PathBuf>,
}

/// Exit code by which hakoniwa says that the container failed before the program ran.
const FAILED: i32 = 125;

/// Runs a container to its end. Errors are of a container that did not start.
pub(crate) fn run(spec: &LaunchSpec, rootfs: &Rootfs, report: &mut dyn FnMut(Progress)) -> Result<Exit, String> {
    let container = container(rootfs);
    let mut command = container.command(&spec.program);
    command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .current_dir(&spec.workdir)
        .stdin(File::open("/dev/null").map_err(|e| format!("/dev/null: {e}"))?)
        .stdout(open_pipe(&spec.stdout)?)
        .stderr(open_pipe(&spec.stderr)?);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let keeper = i32::try_from(child.id())
        .ok()
        .and_then(Process::find)
        .ok_or("it ended before it began")?;
    // A program may be over before we look; then there is nothing left to signal.
    let main = child_of(keeper.pid);
    if let Some(main) = main {
        report(Progress::Started(ProcessRecord {
            main,
            keeper: Some(keeper),
            mark: spec.mark.clone(),
            own_pid_namespace: true,
        }));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let exit = if status.exit_code.is_some() || status.code != FAILED {
        Exit {
            code: status.code,
            failure: None,
        }
    } else if status.reason.contains("SIGKILL") {
        Exit::killed()
    } else {
        return Err(status.reason);
    };
    if main.is_none() {
        report(Progress::Started(ProcessRecord {
            main: keeper,
            keeper: Some(keeper),
            mark: spec.mark.clone(),
            own_pid_namespace: true,
        }));
    }
    Ok(exit)
}

fn container(rootfs: &Rootfs) -> Container {
    let mut container = Container::new();
    container
        .unshare(Namespace::Ipc)
        .unshare(Namespace::Uts)
        .rootdir(&rootfs.root)
        .hostname(&rootfs.hostname)
        .uidmap(rootfs.uid)
        .gidmap(rootfs.gid)
        .devfsmount("/dev")
        .runctl(Runctl::MountFallback);
    if !rootfs.read_only {
        container.runctl(Runctl::RootdirRW);
    }
    if nix::unistd::getuid().is_root() {
        // To the host's kernel a container of root is root, who may write sysctls.
        let options = MountOptions::NOSUID | MountOptions::NODEV | MountOptions::NOEXEC;
        let options = options | MountOptions::RDONLY;
        container.mount("proc", "/proc", "proc", options, None);
    }
    for target in &rootfs.tmpfs {
        container.tmpfsmount(&target.to_string_lossy());
    }
    for bind in &rootfs.binds {
        container.mount(
            &bind.source.to_string_lossy(),
            &bind.target.to_string_lossy(),
            "",
            options(bind),
            None,
        );
    }
    container
}

/// The flags of a bind. Those of the file system it comes from are locked in a user namespace: a
/// remount that leaves one out fails, and the read-only flag would go with it.
fn options(bind: &Bind) -> MountOptions {
    let mut options = MountOptions::BIND | MountOptions::REC | MountOptions::NOSUID;
    if bind.read_only {
        options |= MountOptions::RDONLY;
    }
    if let Ok(stat) = statvfs(&bind.source) {
        for (flag, option) in [
            (FsFlags::ST_RDONLY, MountOptions::RDONLY),
            (FsFlags::ST_NODEV, MountOptions::NODEV),
            (FsFlags::ST_NOEXEC, MountOptions::NOEXEC),
        ] {
            if stat.flags().contains(flag) {
                options |= option;
            }
        }
    }
    options
}

/// Whether what a container printed says that its program never ran: hakoniwa's own line, after its
/// own exit code.
pub(crate) fn start_failure(exit: &Exit, last_output: &str) -> Option<String> {
    let line = last_output.lines().last()?;
    let why = line.strip_prefix("hakoniwa: ")?;
    (exit.code == FAILED).then(|| why.to_owned())
}

/// Makes a folder and those above it.
pub(crate) fn make_dir(path: &Path) -> Result<(), String> {
    fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))
}
