//! `up --detach`: the same program again, on its own.

use crate::place::Place;
use kubectl_gt::{Failure, exit};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long a town may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The word by which a detached town tells that it is up.
pub(crate) const READY: &str = "the town is up";

/// Starts `up` again without `--detach`, in a process group of its own, and waits until it is up.
pub(crate) async fn detach(place: &Place) -> Result<(), Failure> {
    std::fs::create_dir_all(&place.data)?;
    // Its own file until it is up: one that is refused must not spoil the log of the town that is up already.
    let path = place.log().with_extension(format!("{}.log", std::process::id()));
    let result = started(&path, place).await;
    match &result {
        Err(failure) if failure.code != exit::TIMED_OUT => std::fs::remove_file(&path)?,
        _ => std::fs::rename(&path, place.log())?,
    }
    result
}

async fn started(path: &Path, place: &Place) -> Result<(), Failure> {
    let log = std::fs::File::create(path)?;
    let args = std::env::args_os().skip(1).filter(|a| a != "--detach" && a != "-d");
    #[expect(
        clippy::disallowed_types,
        reason = "a detached town is this very program, not a tool of another room"
    )]
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let mut child = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.contains(READY) {
            print!("{text}");
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            eprint!("{text}");
            let code = u8::try_from(status.code().unwrap_or(1)).unwrap_or(exit::FAILED);
            return Err(Failure::new(code, format!("the town did not come up ({status})")));
        }
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(
                exit::TIMED_OUT,
                format!("the town is not up after {} s", PATIENCE.as_secs()),
            )
            .hint(format!("read {}", place.log().display())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
