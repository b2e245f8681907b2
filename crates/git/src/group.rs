//! What a child has begun, to be ended with it: git has its network and its ssh done by children of its own.

use tokio::process::Child;
#[expect(clippy::disallowed_types, reason = "this crate runs git")]
use tokio::process::Command;

/// A child and all that it started. Killed when dropped while the child has not been waited for:
/// an unreaped child keeps its id from being given to anyone else.
pub(crate) struct Group(Option<u32>);

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id())
    }

    pub(crate) fn kill(&self) {
        if let Some(id) = self.0 {
            kill(id);
        }
    }

    pub(crate) fn reaped(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command's process will lead a group of its own.
#[cfg(unix)]
#[expect(clippy::disallowed_types, reason = "this crate runs git")]
pub(crate) fn lead(command: &mut Command) {
    command.process_group(0);
}

#[cfg(unix)]
fn kill(id: u32) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    if let Ok(id) = i32::try_from(id) {
        // Fails only if every process of the group is gone already.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// Windows knows who began whom, and asks for no more.
#[cfg(windows)]
pub(crate) fn lead(_: &mut Command) {}

/// Waited for, a moment: once the child is gone, nobody knows what it had begun.
#[cfg(windows)]
fn kill(id: u32) {
    let _ = std::process::Command::new("taskkill")
        .args(["/F", "/T", "/PID", &id.to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
}
