//! Tokens that carry something one can read: whether it is there, and what it must be.
//!
//! They have no checksum, so a slip in what is random goes unseen; one that was made up shows.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};

/// A macaroon of the second version whose place is one of the index's own. The index: pypi/warehouse,
/// `warehouse/macaroons`; the form: <https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt>.
pub(super) fn pypi(body: &str) -> bool {
    let Ok(bytes) = BASE64URL_NOPAD.decode(body.trim_end_matches('=').as_bytes()) else { return false };
    macaroon(&bytes).is_some_and(|place| [b"pypi.org".as_slice(), b"test.pypi.org"].contains(&place))
}

/// Where a macaroon says that it belongs, if it is whole: place and identifier, caveats, signature.
fn macaroon(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&[2])?;
    let (place, rest) = field(rest, PLACE)?;
    let (_, rest) = field(rest, IDENTIFIER)?;
    let mut rest = rest.strip_prefix(&[END])?;
    while rest.first() != Some(&END) {
        // Only a caveat that another party checks has a place and a key.
        rest = field(rest, PLACE).map_or(rest, |(_, behind)| behind);
        rest = field(rest, IDENTIFIER)?.1;
        rest = field(rest, KEY).map_or(rest, |(_, behind)| behind);
        rest = rest.strip_prefix(&[END])?;
    }
    let (signature, rest) = field(rest.strip_prefix(&[END])?, SIGNATURE)?;
    (signature.len() == 32 && rest.is_empty()).then_some(place)
}

const END: u8 = 0;
const PLACE: u8 = 1;
const IDENTIFIER: u8 = 2;
const KEY: u8 = 4;
const SIGNATURE: u8 = 6;

/// The content of a field of this kind, and what follows it. Two bytes of length hold all that a token can.
fn field(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match bytes.strip_prefix(&[kind])? {
        [low, rest @ ..] if *low < 0x80 => (usize::from(*low), rest),
        [low, high, rest @ ..] if *high < 0x80 => (usize::from(*low & 0x7f) | usize::from(*high) << 7, rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// JSON that says when and by whom it was issued, and 32 random bytes: getsentry/sentry,
/// `src/sentry/utils/security/orgauthtoken_token.py`.
pub(super) fn sentry(body: &str) -> bool {
    let Some((issued, secret)) = body.split_once('_') else { return false };
    let issued = BASE64.decode(issued.as_bytes()).ok();
    let issued = issued.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let secret = BASE64_NOPAD.decode(secret.trim_end_matches('=').as_bytes());
    issued.is_some_and(|issued| issued.get("iat").is_some_and(serde_json::Value::is_number))
        && secret.is_ok_and(|secret| secret.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by pymacaroons.
    const PYPI: &[&str] = &[
        "AgEIcHlwaS5vcmcCJGIwYTg0NGU1LTI1ODctNGU2Yi05YzliLWNmMzU4NzNiZTA3OAACJXsidmVyc2lvbiI6IDEsICJwZXJtaXNzaW9ucyI6ICJ1c2VyIn0AAAYgb8l8EsWXsc6zfqi1KOHkC0hhnuCpvMcjXYWkLJHWjTk",
        "AgENdGVzdC5weXBpLm9yZwIkZDcyNmM4NmItOWMzYS00M2NkLWE2N2EtOWI3NWZjMzk0NzI0AAIrWzMsICIyOGFhY2E1MS1iOThjLTQ3YzItOTViZC00NDhmZjI2MTQ5ZWQiXQAABiBo1gRQucj8oTzdbI-pTCrzFlNj43AwR71L2hMMKvwYTg",
    ];

    /// Made by Python as Sentry's own code makes them.
    const SENTRY: &str = "eyJpYXQiOiAxNzAwMDAwMDAwLjUsICJ1cmwiOiAiaHR0cHM6Ly9zZW50cnkuaW8iLCAicmVnaW9uX3VybCI6ICJodHRwczovL3VzLnNlbnRyeS5pbyIsICJvcmciOiAiYWNtZS1yYWlsIn0=_K/4gByaX53fOpyWc05j6eajvWSeMjCEFA8z4uaYahr8";

    #[test]
    fn a_macaroon_is_whole_and_belongs_to_the_index() {
        for body in PYPI {
            assert!(pypi(body), "{body}");
            for at in 1..body.len() {
                assert!(!pypi(&body[..at]), "cut at {at}");
            }
            assert!(!pypi(&format!("{body}AAAA")), "something behind it");
            // Each byte that is no content: the version, kinds, lengths, ends, the place.
            let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).unwrap();
            let place = usize::from(bytes[2]);
            let frame: Vec<usize> = (0..5 + place).chain([5 + place + 36, 5 + place + 37]).collect();
            for at in frame {
                let mut changed = bytes.clone();
                changed[at] = changed[at].wrapping_add(1);
                assert!(!pypi(&BASE64URL_NOPAD.encode(&changed)), "byte {at}");
            }
        }
        let elsewhere = BASE64URL_NOPAD.decode(PYPI[0].as_bytes()).unwrap();
        let elsewhere = String::from_utf8_lossy(&elsewhere[..11]).replace("pypi.org", "pypi.net");
        assert_eq!(elsewhere.len(), 11);
        assert!(!pypi(&BASE64URL_NOPAD.encode(elsewhere.as_bytes())));
        assert!(!pypi("") && !pypi("AgE") && !pypi("not base64!"));
    }

    #[test]
    fn a_sentry_token_says_when_it_was_issued() {
        assert!(sentry(SENTRY));
        for at in 0..SENTRY.len() {
            assert!(!sentry(&SENTRY[..at]), "cut at {at}");
        }
        for payload in ["{\"url\":\"https://sentry.io\"}", "{\"iat\":\"now\"}", "[]", "iat"] {
            let secret = SENTRY.rsplit('_').next().unwrap();
            assert!(!sentry(&format!("{}_{secret}", BASE64.encode(payload.as_bytes()))), "{payload}");
        }
    }
}
