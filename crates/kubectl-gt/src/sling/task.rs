//! The task's text: from a flag, a file or stdin.

use super::SlingArgs;
use crate::{Failure, exit};
use std::io::Read;

/// Largest task text. Bytes: the schema's bound.
const LARGEST: usize = 256 * 1024;

/// What was said, if anything.
pub(super) fn text(args: &SlingArgs) -> Result<Option<String>, Failure> {
    let text = match (&args.message, &args.file) {
        (Some(message), _) if message == "-" => stdin()?,
        (Some(message), _) => message.clone(),
        (None, Some(file)) if file.as_os_str() == "-" => stdin()?,
        (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| {
            Failure::new(
                exit::USAGE,
                format!("the task cannot be read from {}: {e}", file.display()),
            )
        })?,
        (None, None) => return Ok(None),
    };
    checked(text).map(Some)
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::new(exit::USAGE, format!("the task cannot be read from stdin: {e}")))?;
    Ok(text)
}

/// Neither empty nor too long.
pub(super) fn checked(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new(exit::USAGE, "the task is empty"));
    }
    // The schema counts characters; an object as a whole is bounded in bytes.
    if text.len() > LARGEST {
        return Err(Failure::new(
            exit::USAGE,
            format!("the task has {} bytes; {LARGEST} is the most", text.len()),
        )
        .hint("put the material into the repository and refer to it"));
    }
    Ok(text)
}
