//! The lowest layer of the walker: ends of strings and numbers, found fast.

use crate::Malformed;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Distance to the next quote or backslash. Most keys and many runs between escapes are shorter
/// than a call to memchr is worth, so the first words are looked at by hand.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < 16 {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else { break };
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ (ONES * u64::from(b'"'))) | zero_bytes(word ^ (ONES * u64::from(b'\\')));
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr::memchr2(b'"', b'\\', bytes.get(at..)?).map(|found| at + found)
}

/// A high bit in the lowest byte that is zero (higher ones may be false, the lowest never is).
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// A string that starts at `start` (its opening quote): the position behind its closing quote, and
/// whether it holds escapes.
pub(super) fn string(bytes: &[u8], start: usize) -> Result<(usize, bool), (usize, Malformed)> {
    let mut at = start + 1;
    let mut escaped = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(run) = quote_or_backslash(rest) else { return Err((start, Malformed::UnfinishedString)) };
        at += run;
        if bytes.get(at) == Some(&b'"') {
            return Ok((at + 1, escaped));
        }
        escaped = true;
        at += match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if four_hex_digits(bytes, at + 2) => 6,
            None => return Err((start, Malformed::UnfinishedString)),
            Some(_) => return Err((at, Malformed::Escape)),
        };
    }
}

fn four_hex_digits(bytes: &[u8], at: usize) -> bool {
    bytes.get(at..at + 4).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// A number that starts at `start`: the position behind it, and whether it is an integer of eight
/// digits or more (long enough to be somebody's card or account).
pub(super) fn number(bytes: &[u8], start: usize) -> Result<(usize, bool), (usize, Malformed)> {
    let bad = Err((start, Malformed::Number));
    let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
    let whole = digits(bytes, at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return bad;
    }
    at += whole;
    let mut integer = true;
    if bytes.get(at) == Some(&b'.') {
        integer = false;
        let fraction = digits(bytes, at + 1);
        if fraction == 0 {
            return bad;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        integer = false;
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(bytes, at);
        if exponent == 0 {
            return bad;
        }
        at += exponent;
    }
    Ok((at, integer && whole >= 8))
}

fn digits(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Words that stand for values. NaN and the infinities are not JSON, but Python writes and reads them.
pub(super) fn word(bytes: &[u8], start: usize) -> Option<(&'static str, usize)> {
    let rest = bytes.get(start..)?;
    ["true", "false", "null", "NaN", "Infinity", "-Infinity"]
        .into_iter()
        .find(|word| rest.starts_with(word.as_bytes()))
        .map(|word| (word, start + word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_byte_at_every_distance() {
        for length in 0..80 {
            for special in ["\"", "\\"] {
                let text = format!("{}{special}\"\\tail", "x".repeat(length));
                assert_eq!(quote_or_backslash(text.as_bytes()), Some(length));
            }
            assert_eq!(quote_or_backslash("#\u{a2}]".repeat(length).as_bytes()), None);
        }
    }

    #[test]
    fn long_integers_are_told_from_other_numbers() {
        for (text, expected) in [
            ("4111111111111111", Ok((16, true))),
            ("-12345678", Ok((9, true))),
            ("1234567", Ok((7, false))),
            ("0.1234567890", Ok((12, false))),
            ("1e10", Ok((4, false))),
            ("0", Ok((1, false))),
            ("01", Err((0, Malformed::Number))),
            ("-", Err((0, Malformed::Number))),
            ("1.", Err((0, Malformed::Number))),
            ("1e+", Err((0, Malformed::Number))),
        ] {
            assert_eq!(number(text.as_bytes(), 0), expected, "{text}");
        }
    }
}
