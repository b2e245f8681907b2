//! One line of the CRI log format: `<time> <stdout|stderr> <F|P> <text>`.

use super::Output;

pub(super) struct Line<'a> {
    pub(super) time: &'a str,
    /// Whether the container ended the line here.
    pub(super) full: bool,
    pub(super) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Parses a line with its newline; `None` for one that is cut short.
    pub(super) fn parse(raw: &'a [u8]) -> Option<Self> {
        let raw = raw.strip_suffix(b"\n")?;
        let mut parts = raw.splitn(4, |b| *b == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        parts.next()?;
        let full = parts.next()? == b"F";
        let text = parts.next().unwrap_or_default();
        Some(Self { time, full, text })
    }

    pub(super) fn text_with_newline(&self) -> String {
        let mut text = String::from_utf8_lossy(self.text).into_owned();
        if self.full {
            text.push('\n');
        }
        text
    }
}

/// Appends one line in the format.
pub(super) fn append(out: &mut Vec<u8>, time: &str, from: Output, full: bool, text: &[u8]) {
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(match from {
        Output::Stdout => b" stdout ",
        Output::Stderr => b" stderr ",
    });
    out.extend_from_slice(if full { b"F " } else { b"P " });
    out.extend_from_slice(text);
    out.push(b'\n');
}
