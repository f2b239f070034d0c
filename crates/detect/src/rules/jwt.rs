//! JSON web tokens: whether the text is one, and whether it is the one that everybody shows.

use data_encoding::BASE64URL_NOPAD;

use super::connection::is_reserved;
use super::fixture::in_file;
use super::validators::Seen;

/// A header that names an algorithm, and claims that are no introduction's.
pub(super) fn jwt(seen: &Seen<'_>) -> bool {
    let mut parts = seen.value().split('.');
    let header = parts.next().and_then(json);
    let claims = parts.next().and_then(json);
    header.is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
        && claims.is_some_and(|claims| {
            claims.is_object() && !(opens_nothing(&claims) && in_file(&seen.text_before()))
        })
}

/// A token that nobody accepts: the one of an introduction, one that was made by hand, one that ran out long ago.
fn opens_nothing(claims: &serde_json::Value) -> bool {
    is_introduction(claims) || is_of_example(claims) || has_no_issuer(claims) || has_run_out(claims)
}

/// The token of RFC 7515 and RFC 7519, and those of a domain that nobody can own.
fn is_of_example(claims: &serde_json::Value) -> bool {
    let issuer = claims.get("iss").and_then(serde_json::Value::as_str).unwrap_or_default();
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    issuer == "joe" || is_reserved(host)
}

/// `{"a": "b"}`: whoever issues tokens says who, when or for whom.
fn has_no_issuer(claims: &serde_json::Value) -> bool {
    const REGISTERED: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];
    !REGISTERED.iter().any(|claim| claims.get(claim).is_some())
}

/// The library has no clock: what had run out before it was written opens nothing now.
fn has_run_out(claims: &serde_json::Value) -> bool {
    const FIRST_OF_2025: f64 = 1_735_689_600.0;
    claims.get("exp").and_then(serde_json::Value::as_f64).is_some_and(|end| end < FIRST_OF_2025)
}

/// Whether the value is a token that opens nothing, for a rule that finds it behind a name. `in_file`: lines of
/// something else stand before it.
pub(super) fn is_shown(value: &str, in_file: impl FnOnce() -> bool) -> bool {
    value.starts_with("eyJ")
        && value.split('.').nth(1).and_then(json).is_some_and(|claims| {
            is_introduction(&claims) || claims.is_object() && opens_nothing(&claims) && in_file()
        })
}

/// What every introduction to these tokens shows: `{"sub": "1234567890", "name": "John Doe"}`.
fn is_introduction(claims: &serde_json::Value) -> bool {
    let says = |name: &str| claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    says("sub") == "1234567890" || ["John Doe", "Jane Doe"].contains(&says("name"))
}

fn json(part: &str) -> Option<serde_json::Value> {
    let bytes = BASE64URL_NOPAD.decode(part.trim_end_matches('=').as_bytes()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(claims), "MTKt0iiuDmRY3FnNHwueP9lQ")
    }

    fn is_found(before: &str, claims: &str) -> bool {
        let token = token(claims);
        let text = format!("{before}{token}");
        let span = before.len()..text.len();
        jwt(&Seen::of(text.as_bytes(), &span, &span))
    }

    #[test]
    fn what_introductions_show_is_no_secret_of_a_file() {
        let code = "package main\n\nfunc main() {\n\ttoken := \"";
        for claims in [r#"{"sub":"1234567890","name":"John Doe"}"#, r#"{"name":"Jane Doe","admin":true}"#] {
            assert!(!is_found(code, claims), "{claims}");
            assert!(is_found("Authorization: Bearer ", claims), "pasted alone: {claims}");
        }
        assert!(is_shown(&token(r#"{"sub":"1234567890"}"#), || false));
        assert!(!is_shown(&token(r#"{"sub":"1"}"#), || true));
        assert!(is_shown(&token(r#"{"a":"b"}"#), || true) && !is_shown(&token(r#"{"a":"b"}"#), || false));
        assert!(is_found(code, r#"{"sub":"85446490","name":"Ada Byron"}"#));
        for claims in [
            r#"{"a":"b"}"#,
            r#"{"iss":"joe","exp":1300819380,"http://example.com/is_root":true}"#,
            r#"{"iss":"https://auth.example.com/","sub":"85446490"}"#,
            r#"{"sub":"85446490","exp":1481651929}"#,
        ] {
            assert!(!is_found(code, claims), "{claims}");
            assert!(is_found("token: ", claims), "pasted alone: {claims}");
        }
        assert!(is_found(code, r#"{"iss":"https://auth.acme.dev","exp":1911651929}"#));
        assert!(!is_found(code, "[]"));
        assert!(!jwt(&Seen::of(b"eyJ.eyJ.x", &(0..9), &(0..9))));
    }
}
