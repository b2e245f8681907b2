//! What an agent has spent, as the log of its container says it: the harness writes the line, `kubectl gt top` reads it.

use crate::Tokens;

/// What such a line begins with.
const MARK: &str = "spent ";

/// The line. `micros`: millionths of a dollar, where the agent reckons them; written to a ten-thousandth.
#[must_use]
pub fn line(tokens: Tokens, micros: Option<u64>) -> String {
    let cost = micros.map(|m| format!(", {}.{:04} USD", m / 1_000_000, m % 1_000_000 / 100));
    format!(
        "{MARK}{} tokens read, {} written{}",
        tokens.input,
        tokens.output,
        cost.unwrap_or_default()
    )
}

/// What a line says, where it is one.
#[must_use]
pub fn read(line: &str) -> Option<(Tokens, Option<u64>)> {
    let (input, rest) = line.trim_end().strip_prefix(MARK)?.split_once(" tokens read, ")?;
    let (output, rest) = rest.split_once(" written")?;
    let tokens = Tokens {
        input: input.parse().ok()?,
        output: output.parse().ok()?,
    };
    let Some(cost) = rest.strip_prefix(", ").and_then(|r| r.strip_suffix(" USD")) else {
        return rest.is_empty().then_some((tokens, None));
    };
    let (whole, part) = cost.split_once('.').filter(|(_, part)| part.len() == 4)?;
    let micros = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    Some((tokens, Some(micros.checked_add(part.parse::<u64>().ok()? * 100)?)))
}

#[cfg(test)]
mod tests {
    use super::{line, read};
    use crate::Tokens;

    #[test]
    fn what_is_written_is_read() {
        let tokens = Tokens { input: 120, output: 20 };
        assert_eq!(
            line(tokens, Some(1_234_567)),
            "spent 120 tokens read, 20 written, 1.2345 USD"
        );
        for micros in [None, Some(0), Some(1_234_500), Some(99)] {
            let kept = micros.map(|m| m / 100 * 100);
            assert_eq!(read(&line(tokens, micros)), Some((tokens, kept)));
        }
        for other in [
            "",
            "says spent 1 tokens read, 2 written",
            "spent 1 tokens read, 2 written, much USD",
            "spent x tokens read, 2 written",
            "spent 1 tokens read, 2 written and more",
            "spent 1 tokens read, 2 written, 1.é USD",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
