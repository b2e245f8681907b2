//! Quantities (`500m`, `64Mi`): compared by value, and written the way upstream writes them.

use std::cmp::Ordering;

/// What a quantity that cannot be read is told.
pub(super) const GRAMMAR: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const DECIMAL: &[(&str, u32)] = &[
    ("E", 27),
    ("P", 24),
    ("T", 21),
    ("G", 18),
    ("M", 15),
    ("k", 12),
    ("", 9),
    ("m", 6),
    ("u", 3),
    ("n", 0),
];
const BINARY: &[(&str, u32)] = &[("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
const NANO: i128 = 1_000_000_000;

/// An amount in billionths, and whether it was written in powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity {
    nanos: i128,
    binary: bool,
}

impl Quantity {
    pub(super) fn parse(text: &str) -> Option<Quantity> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c)));
        let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
        let scaled = digits(number)?;
        if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
            let nanos = scaled.checked_mul(1i128.checked_shl(*bits)?)?;
            return Some(Quantity { nanos, binary: true });
        }
        let power = match DECIMAL.iter().find(|(s, _)| *s == suffix) {
            Some((_, power)) => i32::try_from(*power).ok()?.checked_sub(9)?,
            None => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
        };
        let factor = 10i128.checked_pow(power.unsigned_abs())?;
        let nanos = if power >= 0 {
            scaled.checked_mul(factor)?
        } else {
            // Upstream rounds up what is finer than a billionth.
            scaled.checked_add(factor.checked_sub(1)?)?.checked_div(factor)?
        };
        Some(Quantity { nanos, binary: false })
    }

    pub(super) fn is_zero(self) -> bool {
        self.nanos == 0
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.nanos.cmp(&other.nanos))
    }
}

/// With the largest unit that leaves a whole number.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = self.nanos / NANO;
        if self.binary && self.nanos % NANO == 0 && whole.abs() >= 1024 {
            let fits = BINARY.iter().find(|(_, bits)| whole.trailing_zeros() >= *bits);
            return match fits {
                Some((unit, bits)) => write!(f, "{}{unit}", whole >> bits),
                None => write!(f, "{whole}"),
            };
        }
        if self.nanos == 0 {
            return write!(f, "0");
        }
        let fits = DECIMAL.iter().find_map(|(unit, power)| {
            let factor = 10i128.checked_pow(*power)?;
            (self.nanos % factor == 0).then_some((unit, self.nanos / factor))
        });
        match fits {
            Some((unit, number)) => write!(f, "{number}{unit}"),
            None => write!(f, "{}n", self.nanos),
        }
    }
}

/// A decimal number in billionths.
fn digits(text: &str) -> Option<i128> {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    let only_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !only_digits(whole) || !only_digits(part) {
        return None;
    }
    let fine: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    whole
        .checked_mul(NANO)?
        .checked_add(fine.parse().ok()?)?
        .checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_in_one_way() {
        for (text, written) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("64Mi", "64Mi"),
            ("512Ki", "512Ki"),
            ("1", "1"),
            ("1000", "1k"),
            ("100M", "100M"),
            ("1e3", "1k"),
            ("0", "0"),
            ("2500m", "2500m"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), written, "{text}");
        }
        for bad in ["", "lots", "1x", "1.2.3", "m", "--1"] {
            assert!(Quantity::parse(bad).is_none(), "{bad}");
        }
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
    }
}
