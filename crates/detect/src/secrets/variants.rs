//! The byte forms of one value that are fingerprinted beforehand: as it is, in base64, in hex.
//!
//! Percent and backslash escapes have too many spellings for that; [`super::views`] decodes them
//! in the text instead.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER};
use zeroize::Zeroizing;

/// How the bytes of a pattern come from the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Raw,
    Hex,
    /// The characters that the value alone determines. `lead` and `trail` say whether the
    /// character before and after shares bits with it.
    Base64 {
        lead: bool,
        trail: bool,
    },
}

impl Form {
    pub(crate) fn code(self) -> u8 {
        match self {
            Form::Raw => 0,
            Form::Hex => 1,
            Form::Base64 { lead, trail } => 4 | u8::from(lead) << 1 | u8::from(trail),
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Form> {
        match code {
            0 => Some(Form::Raw),
            1 => Some(Form::Hex),
            4..=7 => Some(Form::Base64 { lead: code & 2 != 0, trail: code & 1 != 0 }),
            _ => None,
        }
    }
}

/// Calls `each` with every form of `value`. Copies are wiped.
pub(crate) fn each(value: &[u8], mut each_form: impl FnMut(Form, &[u8])) {
    plain(value, &mut each_form);
    if value.contains(&b'\n') {
        plain(&with_crlf(value), &mut each_form);
    }
}

fn plain(value: &[u8], each_form: &mut impl FnMut(Form, &[u8])) {
    each_form(Form::Raw, value);
    let hex = encode(&HEXLOWER, value, 0);
    each_form(Form::Hex, &hex);
    for before in 0..3 {
        let standard = encode(&BASE64_NOPAD, value, before);
        let (form, own) = own_characters(&standard, value.len(), before);
        each_form(form, own);
        let url = encode(&BASE64URL_NOPAD, value, before);
        let (form, own_url) = own_characters(&url, value.len(), before);
        if own_url != own {
            each_form(form, own_url);
        }
    }
}

/// The encoding of `value` with `before` zero bytes in front of it.
fn encode(encoding: &Encoding, value: &[u8], before: usize) -> Zeroizing<Vec<u8>> {
    let mut shifted = Zeroizing::new(Vec::with_capacity(value.len() + before));
    shifted.resize(before, 0);
    shifted.extend_from_slice(value);
    let mut out = Zeroizing::new(vec![0; encoding.encode_len(shifted.len())]);
    encoding.encode_mut(&shifted, &mut out);
    out
}

/// Cuts the characters that hold foreign bits off both ends.
fn own_characters(encoded: &[u8], value_len: usize, before: usize) -> (Form, &[u8]) {
    let (first_bit, end_bit) = (8 * before, 8 * (before + value_len));
    let own = encoded.get(first_bit.div_ceil(6)..end_bit / 6).unwrap_or_default();
    (Form::Base64 { lead: !first_bit.is_multiple_of(6), trail: !end_bit.is_multiple_of(6) }, own)
}

fn with_crlf(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let breaks = value.iter().filter(|byte| **byte == b'\n').count();
    let mut out = Zeroizing::new(Vec::with_capacity(value.len() + breaks));
    let mut last = 0;
    for &byte in value {
        if byte == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        last = byte;
    }
    out
}

/// A character of either base64 alphabet.
pub(crate) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        for code in 0..=255 {
            if let Some(form) = Form::from_code(code) {
                assert_eq!(form.code(), code);
            }
        }
    }

    #[test]
    fn own_base64_characters_stand_in_every_encoding_of_the_value() {
        let value = b"s3cr3t-v\xffl?e";
        for before in 0..3 {
            for after in 0..4 {
                let mut whole = vec![b'A'; before];
                whole.extend_from_slice(value);
                whole.resize(whole.len() + after, b'z');
                let encoded = BASE64_NOPAD.encode(&whole);
                let mut found = false;
                each(value, |form, bytes| {
                    if matches!(form, Form::Base64 { .. })
                        && memchr::memmem::find(encoded.as_bytes(), bytes).is_some()
                    {
                        found = true;
                    }
                });
                assert!(found, "{before} before, {after} after");
            }
        }
    }

    #[test]
    fn line_breaks_become_crlf_once() {
        assert_eq!(&*with_crlf(b"a\nb\r\nc\n"), b"a\r\nb\r\nc\r\n");
    }
}
