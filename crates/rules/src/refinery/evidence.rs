//! What people and agents are shown of untrusted output.

/// Evidence is cut to its last bytes. Bytes.
pub(super) const EVIDENCE_LIMIT: usize = 2048;

/// A headline and the last output below it, within [`EVIDENCE_LIMIT`].
pub(super) fn evidence(headline: &str, output: &str) -> String {
    let room = EVIDENCE_LIMIT.saturating_sub(headline.len() + 1);
    let output = clean(output);
    match tail(output.trim(), room) {
        "" => format!("{headline}, and no output"),
        shown => format!("{headline}\n{shown}"),
    }
}

/// The last bytes of a text, from a character boundary.
fn tail(text: &str, limit: usize) -> &str {
    let from = text.len().saturating_sub(limit);
    let from = (from..=text.len())
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(text.len());
    text.get(from..).unwrap_or("")
}

/// Untrusted text without terminal escapes and control characters, within [`EVIDENCE_LIMIT`].
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // A control sequence ends at its first letter or other final byte.
                chars.next();
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_direction(c) => {}
            c => out.push(c),
        }
    }
    tail(&out, EVIDENCE_LIMIT).to_owned()
}

/// Marks that reorder what a reader sees.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
