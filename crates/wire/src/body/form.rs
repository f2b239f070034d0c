//! `application/x-www-form-urlencoded`: fields and the percent-encoding of their parts.

use std::borrow::Cow;
use std::ops::Range;

use crate::mapping::{Unit, lossy};

/// Names and values with their ranges, in order; a field without `=` is a name alone.
pub(crate) fn fields(body: &[u8]) -> impl Iterator<Item = (Range<usize>, Option<Range<usize>>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while body.get(at) == Some(&b'&') {
            at += 1;
        }
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let end = at + memchr::memchr(b'&', rest).unwrap_or(rest.len());
        let field = body.get(at..end).unwrap_or_default();
        let start = at;
        at = end;
        Some(match memchr::memchr(b'=', field) {
            Some(name) => (start..start + name, Some(start + name + 1..end)),
            None => (start..end, None),
        })
    })
}

/// One character of the encoding: its byte and how many bytes it takes.
fn next(raw: &[u8]) -> Option<(u8, usize)> {
    let digit = |at: usize| raw.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    Some(match (raw.first()?, digit(1), digit(2)) {
        (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(b'%'), 3),
        (b'+', ..) => (b' ', 1),
        (byte, ..) => (*byte, 1),
    })
}

pub(crate) fn decode_bytes(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, taken)) = next(rest) {
        out.push(byte);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Cow::Owned(out)
}

pub(crate) fn decode(raw: &[u8]) -> Cow<'_, str> {
    match decode_bytes(raw) {
        Cow::Borrowed(bytes) => lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

pub(crate) fn units(raw: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (_, taken) = next(rest)?;
        rest = rest.get(taken..).unwrap_or_default();
        Some(Unit { decoded: 1, raw: taken })
    })
}

pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::spans;

    #[test]
    fn fields_are_cut_at_ampersands() {
        let body = b"a=1&&flag&b==x&";
        let found: Vec<_> = fields(body).collect();
        assert_eq!(found, [(0..1, Some(2..3)), (5..9, None), (10..11, Some(12..14))]);
    }

    #[test]
    fn decodes_and_maps_back() {
        let raw = b"p%40ss+w%C3%A9rd%zz";
        assert_eq!(decode(raw), "p@ss w\u{e9}rd%zz");
        // "ss" and the two bytes of U+00E9
        assert_eq!(spans(units(raw), &[2..4, 6..8]), [4..6, 8..14]);
    }

    #[test]
    fn encodes_what_a_form_cannot_hold() {
        assert_eq!(encode("[SECRET:a b&c]"), b"%5BSECRET%3Aa+b%26c%5D");
        assert_eq!(decode(&encode("\u{e9}+%=")), "\u{e9}+%=");
    }
}
