//! Standard base64. Thirty lines are less than another dependency.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let index = (word >> (18 - 6 * i)) as usize & 63;
            let letter = ALPHABET
                .get(index)
                .filter(|_| i <= chunk.len())
                .copied()
                .unwrap_or(b'=');
            out.push(char::from(letter));
        }
    }
    out
}

/// Decodes what [`encode`] writes; line breaks inside are passed over, as Go does.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let clean: Vec<u8> = text.bytes().filter(|b| !b"\r\n".contains(b)).collect();
    if !clean.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(clean.len() / 4 * 3);
    let padding = clean.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = clean.get(..clean.len() - padding)?;
    for chunk in digits.chunks(4) {
        let mut word = 0u32;
        for letter in chunk {
            let value = ALPHABET.iter().position(|a| a == letter)?;
            word = (word << 6) | u32::try_from(value).ok()?;
        }
        word <<= 6 * (4 - chunk.len());
        out.extend(word.to_be_bytes().iter().skip(1).take(chunk.len() - 1));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).unwrap(), plain.as_bytes());
        }
        for bad in ["Zg=", "Z!==", "Zg=g", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
