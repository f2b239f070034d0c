//! The inside of a JSON string: unescaping, escaping, and the units that map one to the other.

use std::borrow::Cow;

use crate::mapping::{Unit, lossy};

/// One escape sequence: what it stands for and how many bytes it takes.
struct Escape {
    character: char,
    raw: usize,
}

/// Reads the escape at the start of `raw`. The walker has checked the grammar before, so a broken
/// sequence only gets a harmless answer here: the backslash itself.
fn escape(raw: &[u8]) -> Escape {
    let simple = |character| Escape { character, raw: 2 };
    match raw.get(1) {
        Some(b'n') => simple('\n'),
        Some(b't') => simple('\t'),
        Some(b'r') => simple('\r'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(&byte @ (b'"' | b'\\' | b'/')) => simple(char::from(byte)),
        Some(b'u') => unicode(raw),
        _ => Escape { character: '\\', raw: 1 },
    }
}

fn unicode(raw: &[u8]) -> Escape {
    let Some(first) = hex4(raw, 2) else { return Escape { character: '\\', raw: 1 } };
    if (0xD800..0xDC00).contains(&first)
        && raw.get(6..8) == Some(b"\\u")
        && let Some(second) = hex4(raw, 8).filter(|unit| (0xDC00..0xE000).contains(unit))
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return Escape { character: char::from_u32(code).unwrap_or('\u{fffd}'), raw: 12 };
    }
    // A lone surrogate is no character: readers show the replacement character for it.
    Escape { character: char::from_u32(first).unwrap_or('\u{fffd}'), raw: 6 }
}

fn hex4(raw: &[u8], at: usize) -> Option<u32> {
    raw.get(at..at + 4)?.iter().try_fold(0, |value, byte| Some(value * 16 + char::from(*byte).to_digit(16)?))
}

/// The text that the inside of a JSON string stands for.
pub(crate) fn unescape(raw: &[u8]) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return lossy(raw) };
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    let mut next = Some(first);
    while let Some(run) = next {
        out.extend_from_slice(raw.get(at..at + run).unwrap_or_default());
        let rest = raw.get(at + run..).unwrap_or_default();
        let escape = escape(rest);
        match u8::try_from(u32::from(escape.character)) {
            Ok(byte) if byte < 0x80 => out.push(byte),
            _ => out.extend_from_slice(escape.character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += run + escape.raw;
        next = memchr::memchr(b'\\', raw.get(at..).unwrap_or_default());
    }
    out.extend_from_slice(raw.get(at..).unwrap_or_default());
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(broken) => Cow::Owned(String::from_utf8_lossy(broken.as_bytes()).into_owned()),
    }
}

/// The units of the inside of a JSON string, for `mapping::spans`.
pub(crate) fn units(raw: &[u8]) -> impl Iterator<Item = Unit> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
        let unit = match memchr::memchr(b'\\', rest) {
            Some(0) => {
                let escape = escape(rest);
                Unit { decoded: escape.character.len_utf8(), raw: escape.raw }
            }
            Some(run) => Unit { decoded: run, raw: run },
            None => Unit { decoded: rest.len(), raw: rest.len() },
        };
        at += unit.raw;
        Some(unit)
    })
}

/// Appends `text` as the inside of a JSON string.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            control if u32::from(control) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `text` as the inside of a JSON string.
pub(crate) fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    escape_into(&mut out, text);
    out
}

/// `text` as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    escape_into(&mut out, text);
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::spans;

    #[test]
    fn unescapes_every_form() {
        let raw = br#"a\n\t\r\b\f\"\\\/\u0041\u00e9\u20ac\ud83d\ude00z"#;
        assert_eq!(unescape(raw), "a\n\t\r\u{8}\u{c}\"\\/A\u{e9}\u{20ac}\u{1f600}z");
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (raw, text) in [
            (r"x\ud83dy", "x\u{fffd}y"),
            (r"\ude00", "\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        ] {
            assert_eq!(unescape(raw.as_bytes()), text, "{raw}");
        }
        let raw = br"x\ud83dy";
        assert_eq!(spans(units(raw), &[1..4, 4..5]), [1..7, 7..8]);
    }

    #[test]
    fn escapes_what_json_forbids_and_nothing_else() {
        assert_eq!(
            escaped("a\"\\\n\u{1}\u{e9}"),
            br#"a\"\\\n\u0001"#.iter().copied().chain("\u{e9}".bytes()).collect::<Vec<_>>()
        );
        assert_eq!(quoted("[SECRET:a]"), b"\"[SECRET:a]\"");
    }
}
