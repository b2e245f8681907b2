//! Durations as Go and Kubernetes write them: `90s`, `15m`, `1h30m`, `500ms`.

use jiff::SignedDuration;

/// Reads a Go duration of whole or broken units; none where it is not one.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut millis = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return None,
        };
        millis += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    // Ten years bound every sum that is made of it.
    (millis <= 10.0 * 365.0 * 86400e3).then(|| SignedDuration::from_secs_f64(millis / 1e3))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use jiff::SignedDuration;

    #[test]
    fn reads_what_go_writes() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("1h30m", 5400), ("1.5m", 90), ("2000ms", 2)] {
            assert_eq!(parse(text), Some(SignedDuration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "m", "5x", "-3s", "1e9h", "."] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
