//! How old a pod is: its first step leaves a mark where no agent can touch it. The deadline that the kubelet keeps began a little
//! before, with what the images took.

use std::{
    fs, io,
    time::{Duration, SystemTime},
};

use crate::setup::Pod;

/// Leaves the mark. One that stands is older and stays: steps start again, pods do not.
///
/// # Errors
/// When courier's volume cannot be written.
pub(crate) fn begin(pod: &Pod) -> io::Result<()> {
    match fs::File::create_new(pod.began_file()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// None: the first step left no mark.
pub(crate) fn of(pod: &Pod) -> Option<Duration> {
    let began: SystemTime = fs::metadata(pod.began_file()).and_then(|m| m.modified()).ok()?;
    // A clock that went back: just now.
    Some(began.elapsed().unwrap_or_default())
}
