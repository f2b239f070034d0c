//! Refusals in the shape that a provider's own errors have, so that clients show them to people
//! instead of failing on them. Status codes are the caller's: 400, or 429 for quotas.

use crate::Family;
use crate::json::text::quoted;

/// Content type and body of a refusal that answers a request.
pub fn body(family: Family, message: &str, code: &str, status: u16) -> (&'static str, Vec<u8>) {
    ("application/json", json(family, message, code, status))
}

/// The same as an event, for a stream whose headers are out already. The stream ends after it.
pub fn event(family: Family, message: &str, code: &str, status: u16) -> Vec<u8> {
    let mut event = match family {
        // OpenAI streams have no event names; SDKs look for `error` in the data.
        Family::OpenAiChat => b"data: ".to_vec(),
        Family::AnthropicMessages | Family::Generic => b"event: error\ndata: ".to_vec(),
    };
    event.extend_from_slice(&json(family, message, code, status));
    event.extend_from_slice(b"\n\n");
    event
}

/// The same as a line, for streams of JSON lines.
pub fn line(family: Family, message: &str, code: &str, status: u16) -> Vec<u8> {
    let mut line = json(family, message, code, status);
    line.push(b'\n');
    line
}

fn json(family: Family, message: &str, code: &str, status: u16) -> Vec<u8> {
    let kind = match status {
        403 => "permission_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    // The two kinds of 429 that OpenAI's clients tell apart: a short wait, and a quota that is used up.
    let kind = match (family, code) {
        (Family::OpenAiChat, "insufficient_quota") => "insufficient_quota",
        (Family::OpenAiChat, "rate_limit_exceeded") => "requests",
        _ => kind,
    };
    let (message, code) = (quoted(message), quoted(code));
    match family {
        Family::OpenAiChat => [
            b"{\"error\":{\"message\":",
            message.as_slice(),
            b",\"type\":\"",
            kind.as_bytes(),
            b"\",\"param\":null,\"code\":",
            &code,
            b"}}",
        ]
        .concat(),
        Family::AnthropicMessages => [
            b"{\"type\":\"error\",\"error\":{\"type\":\"",
            kind.as_bytes(),
            b"\",\"message\":",
            &message,
            b",\"code\":",
            &code,
            b"}}",
        ]
        .concat(),
        Family::Generic => [
            b"{\"error\":{\"code\":",
            code.as_slice(),
            b",\"type\":\"",
            kind.as_bytes(),
            b"\",\"message\":",
            &message,
            b"}}",
        ]
        .concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_slice};

    const FAMILIES: [Family; 3] = [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic];

    #[test]
    fn every_family_says_what_where_and_why() {
        for family in FAMILIES {
            let (content_type, bytes) = body(family, "A \"key\"\nwas found", "sallyport_blocked", 400);
            assert_eq!(content_type, "application/json");
            let value: Value = from_slice(&bytes).unwrap();
            assert_eq!(value["error"]["message"], "A \"key\"\nwas found");
            assert_eq!(value["error"]["type"], "invalid_request_error");
            assert_eq!(value["error"]["code"], "sallyport_blocked");
        }
        let (_, anthropic) = body(Family::AnthropicMessages, "m", "c", 429);
        let value: Value = from_slice(&anthropic).unwrap();
        assert_eq!(value["type"], "error");
        assert_eq!(value["error"]["type"], "rate_limit_error");
    }

    #[test]
    fn events_hold_one_line_of_data() {
        for family in FAMILIES {
            let event = String::from_utf8(event(family, "two\nlines", "c", 400)).unwrap();
            assert!(event.ends_with("}\n\n"));
            assert_eq!(event.matches("\ndata: ").count() + usize::from(event.starts_with("data: ")), 1);
        }
    }
}
