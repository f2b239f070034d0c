//! What kind of body it is: by its content type where there is one, by its looks where that is
//! missing or cannot be right.

/// What the content type declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Declared {
    Json,
    Form,
    Multipart {
        boundary: Option<String>,
    },
    Text,
    /// Named, but of no kind that holds text.
    Binary,
    Nothing,
}

pub(crate) fn declared(content_type: Option<&str>) -> Declared {
    let Some(content_type) = content_type else { return Declared::Nothing };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" | "*/*" => Declared::Nothing,
        "application/x-www-form-urlencoded" => Declared::Form,
        "text/json"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/ndjson"
        | "application/x-ndjson"
        | "application/json-seq"
        | "application/json" => Declared::Json,
        essence if essence.ends_with("+json") => Declared::Json,
        essence if essence.starts_with("multipart/") => {
            Declared::Multipart { boundary: parameter(content_type, "boundary") }
        }
        "application/xml"
        | "application/javascript"
        | "application/x-javascript"
        | "application/yaml"
        | "application/x-yaml"
        | "application/toml"
        | "application/graphql"
        | "application/sql"
        | "application/x-sh" => Declared::Text,
        essence if essence.starts_with("text/") || essence.ends_with("+xml") => Declared::Text,
        _ => Declared::Binary,
    }
}

fn parameter(content_type: &str, name: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Whether the body opens as JSON documents do.
pub(crate) fn opens_like_json(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0x1E);
    matches!(first, Some(b'{' | b'['))
}

/// Whether the bytes are text: UTF-8 without zeros and with hardly a control character. `strict`
/// allows none, for bodies that claim to be something else.
pub(crate) fn reads_like_text(body: &[u8], strict: bool) -> bool {
    if std::str::from_utf8(body).is_err() {
        return false;
    }
    let mut controls = 0usize;
    for byte in body {
        match byte {
            0 => return false,
            b'\t' | b'\n' | b'\r' | 0x0C | 0x1B => {}
            0x01..0x20 | 0x7F => controls += 1,
            _ => {}
        }
    }
    controls == 0 || (!strict && controls * 100 <= body.len())
}

/// Whether the bytes may be text in another encoding, such as Latin-1: no zeros, and few bytes that are no UTF-8.
pub(crate) fn reads_like_foreign_text(body: &[u8]) -> bool {
    let foreign = body.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    !body.contains(&0) && foreign * 10 <= body.len()
}

/// Whether a media type is one of text, so that its base64 hides words.
pub(crate) fn is_text_type(media_type: &str) -> bool {
    matches!(declared(Some(media_type)), Declared::Text | Declared::Json | Declared::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_told_apart() {
        for (content_type, expected) in [
            ("application/json; charset=utf-8", Declared::Json),
            ("application/vnd.api+JSON", Declared::Json),
            ("text/plain", Declared::Text),
            ("application/x-www-form-urlencoded", Declared::Form),
            ("application/grpc", Declared::Binary),
            ("", Declared::Nothing),
            ("multipart/form-data; boundary=\"a b\"", Declared::Multipart { boundary: Some("a b".into()) }),
        ] {
            assert_eq!(declared(Some(content_type)), expected, "{content_type}");
        }
    }

    #[test]
    fn text_is_told_from_bytes() {
        assert!(reads_like_text("hé\tllo\n".as_bytes(), true));
        assert!(!reads_like_text(b"\x0a\x05hello\x12\x03abc", true));
        assert!(!reads_like_text(b"\xff\xfeh\0i\0", false));
        assert!(!reads_like_text(b"h\0i\0", false));
        assert!(reads_like_foreign_text(b"{\"name\": \"J\xf6rg M\xfcller from Cologne\"}"));
        assert!(!reads_like_foreign_text(b"\x1f\x8b\x08\x0b\xc9\xc8\xe4\xff"));
    }
}
