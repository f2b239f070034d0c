//! JSON web tokens: whether the text is one, and whether it is the one that everybody shows.

use data_encoding::BASE64URL_NOPAD;

use super::validators::Seen;

/// A header that names an algorithm, and claims that are no introduction's.
pub(super) fn jwt(seen: &Seen<'_>) -> bool {
    let mut parts = seen.value().split('.');
    let header = parts.next().and_then(json);
    let claims = parts.next().and_then(json);
    header.is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
        && claims.is_some_and(|claims| claims.is_object() && !(is_introduction(&claims) && in_file(seen)))
}

/// Whether the value is the token of an introduction, for a rule that finds it behind a name.
pub(super) fn is_shown(value: &str) -> bool {
    value.starts_with("eyJ")
        && value.split('.').nth(1).and_then(json).is_some_and(|claims| is_introduction(&claims))
}

/// What every introduction to these tokens shows: `{"sub": "1234567890", "name": "John Doe"}`.
fn is_introduction(claims: &serde_json::Value) -> bool {
    let says = |name: &str| claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    says("sub") == "1234567890" || ["John Doe", "Jane Doe"].contains(&says("name"))
}

/// Whether lines of something else stand before the match. What is shown alone was pasted, and may be tried.
fn in_file(seen: &Seen<'_>) -> bool {
    seen.text_before().lines().filter(|line| !line.trim().is_empty()).count() >= 3
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
        assert!(is_shown(&token(r#"{"sub":"1234567890"}"#)) && !is_shown(&token(r#"{"sub":"1"}"#)));
        assert!(is_found(code, r#"{"sub":"85446490","name":"Ada Byron"}"#));
        assert!(!is_found(code, "[]"));
        assert!(!jwt(&Seen::of(b"eyJ.eyJ.x", &(0..9), &(0..9))));
    }
}
