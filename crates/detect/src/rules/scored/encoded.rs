//! Values that are base64 of something that anybody may read: a sentence, a public key, a certificate.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

use crate::rules::assigned::is_prose;
use crate::shape;

/// Whether the value is base64 of no secret.
pub(super) fn says_nothing(value: &str) -> bool {
    // Shorter ones decode to something by chance.
    const SHORTEST: usize = 12;
    let body = value.trim_end_matches('=');
    // The first letter's highest bit is the first byte's: none in ASCII, none in a sequence of DER.
    if !body.starts_with(|first: char| matches!(first, 'A'..='Z' | 'a'..='f'))
        || body.len() < SHORTEST
        || !body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte))
    {
        return false;
    }
    let whole = body.get(..body.len() - usize::from(body.len() % 4 == 1)).unwrap_or_default();
    let decoded = BASE64_NOPAD.decode(whole.as_bytes()).or_else(|_| BASE64URL_NOPAD.decode(whole.as_bytes()));
    decoded.is_ok_and(|bytes| is_public_der(&bytes) || is_plain_text(&bytes))
}

fn is_plain_text(bytes: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()) else { return false };
    let told = text.split_once(':').map_or(text, |(_, password)| password);
    !text.bytes().any(|byte| byte.is_ascii_control())
        && (told.is_empty() || is_prose(told) || shape::is_stand_in(told))
}

/// A sequence that begins with a sequence: a public key or a certificate. A private key begins with its version.
fn is_public_der(bytes: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    let content = match bytes {
        [SEQUENCE, length, rest @ ..] if *length < 0x80 => rest,
        [SEQUENCE, 0x81, _, rest @ ..] | [SEQUENCE, 0x82, _, _, rest @ ..] => rest,
        _ => return false,
    };
    bytes.len() >= 40 && content.first() == Some(&SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_may_read() {
        for text in ["not my real password", "username:", "isaacs:not my real password", "admin:changeme"] {
            assert!(says_nothing(&data_encoding::BASE64.encode(text.as_bytes())), "{text}");
        }
        assert!(says_nothing("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i6UPp+IhuteBJ"));
        for value in [
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgi8u0pAYRFQMfuPFAlZbxzOm4ZKQ0",
            "Y2ktYm90OlZyN2tRMm1aeDlMZFQ0",
            "9fK2mQ7vL4pR8wN1xZ6cB3dY5",
            "kx82-vmQp1",
        ] {
            assert!(!says_nothing(value), "{value}");
        }
    }
}
