//! Base64 as it is met in attachments: either alphabet, padded or not, with or without line breaks.

use std::sync::LazyLock;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding, Specification};

/// Accepts stray bits at the end: encoders differ, and what we cannot decode we cannot scan.
static LENIENT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    specification.check_trailing_bits = false;
    specification.ignore.push_str(" \t\r\n");
    specification.translate.from.push_str("-_");
    specification.translate.to.push_str("+/");
    specification.encoding().unwrap_or(BASE64_NOPAD)
});

/// The bytes behind base64 text, or nothing if it is none.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.len() - text.iter().rev().take_while(|byte| b"= \t\r\n".contains(byte)).count();
    LENIENT.decode(text.get(..unpadded)?).ok()
}

/// The first bytes behind base64 text, to see what it is.
pub(crate) fn peek(text: &[u8]) -> Option<Vec<u8>> {
    decode(text.get(..1024).unwrap_or(text))
}

pub(crate) fn encode(bytes: &[u8], url: bool, padded: bool) -> Vec<u8> {
    let encoding = match (url, padded) {
        (false, true) => BASE64,
        (false, false) => BASE64_NOPAD,
        (true, true) => BASE64URL,
        (true, false) => BASE64URL_NOPAD,
    };
    encoding.encode(bytes).into_bytes()
}

/// Whether the text is of the URL alphabet, and whether it is padded (or needs no padding).
pub(crate) fn dialect(text: &[u8]) -> (bool, bool) {
    let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let symbols = text.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    (url, symbols % 4 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_read() {
        for text in ["aGk+Pz8/", "aGk-Pz8_", "aGk+\r\nPz8/\n"] {
            assert_eq!(decode(text.as_bytes()).unwrap(), b"hi>???", "{text:?}");
        }
        for text in ["aGVsbG8=", "aGVsbG8", "aGVsbG9="] {
            assert_eq!(decode(text.as_bytes()).unwrap(), b"hello", "{text:?}");
        }
        assert_eq!(decode(b"no base64!"), None);
    }

    #[test]
    fn dialects_survive_a_round_trip() {
        for text in ["aGk+Pz8/", "aGk-Pz8_", "aGVsbG8=", "aGVsbG8"] {
            let (url, padded) = dialect(text.as_bytes());
            let again = encode(&decode(text.as_bytes()).unwrap(), url, padded);
            assert_eq!(again, text.as_bytes());
        }
    }
}
