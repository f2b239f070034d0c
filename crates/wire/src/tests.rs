//! From body to segments to edits and back, over all kinds of bodies.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

const FAMILIES: [Family; 3] = [Family::OpenAiChat, Family::AnthropicMessages, Family::Generic];

fn read(content_type: &str, body: &[u8]) -> RequestDocument {
    let content_type = (!content_type.is_empty()).then_some(content_type);
    read_request(Family::Generic, content_type, body, &Limits::default()).unwrap()
}

fn texts(document: &RequestDocument, body: &[u8]) -> Vec<String> {
    document.segments.iter().map(|segment| segment.text(body).into_owned()).collect()
}

/// Replaces every occurrence of `secret`, as an engine would.
fn redact(document: &RequestDocument, body: &[u8], secret: &str, placeholder: &str) -> Vec<u8> {
    let mut edits = Vec::new();
    for segment in &document.segments {
        let text = segment.text(body);
        let replacements: Vec<_> = text
            .match_indices(secret)
            .map(|(at, _)| (at..at + secret.len(), placeholder.to_owned()))
            .collect();
        edits.extend(segment.edits(body, &replacements).unwrap());
    }
    splice(body, edits).unwrap()
}

#[test]
fn kinds_of_bodies_are_told_apart() {
    for (content_type, body, nature) in [
        ("application/json", &b"{\"a\":1}"[..], Nature::Json),
        ("", b" \n[1]", Nature::Json),
        ("application/x-www-form-urlencoded", b"{\"sent\":\"by curl -d\"}", Nature::Json),
        ("text/plain;charset=UTF-8", b"{\"a\":1}", Nature::Json),
        ("application/octet-stream", b"{\"a\":1}", Nature::Json),
        ("text/plain", b"{not json", Nature::Text),
        ("", b"hello", Nature::Text),
        ("text/plain", b"caf\xe9", Nature::Text),
        ("application/x-www-form-urlencoded", b"a=1&b=2", Nature::Form),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\na\r\n--x--", Nature::Multipart),
        ("multipart/form-data; boundary=y", b"no boundary here", Nature::Text),
        ("application/grpc", b"\0\0\0\0\x05hello", Nature::Opaque),
        ("", b"\xff\xfe\0\x01", Nature::Opaque),
        ("text/plain", b"h\0i\0", Nature::Opaque),
        ("application/json", b"", Nature::Empty),
    ] {
        let document = read(content_type, body);
        assert_eq!(document.nature, nature, "{content_type} {body:?}");
        assert_eq!(document.opaque_bytes, if nature == Nature::Opaque { body.len() } else { 0 });
    }
}

/// Lengths may be written down anywhere in a body of bytes.
#[test]
fn what_stands_in_bytes_is_masked_and_nothing_moves() {
    let grpc = b"\0\0\0\0\x16\x0a\x14hunter2-hunter2\xff end";
    let document = read("application/grpc", grpc);
    assert!(document.segments[0].is_bytes());
    assert_eq!(
        redact(&document, grpc, "hunter2-hunter2", "[SECRET:a]"),
        b"\0\0\0\0\x16\x0a\x14***************\xff end"
    );
    let parts = b"--x\r\nA: b\r\n\r\n\0\xffhunter2-hunter2\0\r\n--x--";
    let document = read("multipart/form-data; boundary=x", parts);
    assert_eq!(
        redact(&document, parts, "hunter2-hunter2", "[SECRET:a]"),
        b"--x\r\nA: b\r\n\r\n\0\xff***************\0\r\n--x--"
    );
    // Text in another encoding is text, whatever else can be said of it.
    let latin = b"{\"from\":\"J\xf6rg\",\"text\":\"hunter2-hunter2\"}";
    let document = read_as_bytes(Family::Generic, latin, &Limits::default()).unwrap();
    assert!(!document.segments[0].is_bytes() && document.opaque_bytes == latin.len());
    assert_eq!(
        redact(&document, latin, "hunter2-hunter2", "[SECRET:a]"),
        b"{\"from\":\"J\xf6rg\",\"text\":\"[SECRET:a]\"}"
    );
}

#[test]
fn malformed_json_is_an_error_and_still_readable_as_text() {
    let body = b"{\"key\": \"hunter2-hunter2\"";
    let limits = Limits::default();
    let error = read_request(Family::OpenAiChat, Some("application/json"), body, &limits).unwrap_err();
    assert_eq!(error, ReadError::Malformed { offset: body.len(), problem: Malformed::UnexpectedEnd });
    assert!(!error.to_string().contains("hunter2"));
    let document = read_as_text(Family::OpenAiChat, body, &limits).unwrap();
    assert_eq!(texts(&document, body), [std::str::from_utf8(body).unwrap()]);
    assert!(read_as_text(Family::Generic, b"\xff", &limits).is_err());
    let utf16: Vec<u8> = "{\"a\":\"b\"}".bytes().flat_map(|byte| [byte, 0]).collect();
    assert!(read_request(Family::Generic, Some("application/json"), &utf16, &limits).is_err());
    assert_eq!(read_as_text(Family::Generic, &utf16, &limits).unwrap_err(), ReadError::NotText { offset: 1 });
}

#[test]
fn forms_are_decoded_and_written_back() {
    let body = b"prompt=my+pass+p%40ss%26word&n%61me=x&empty=";
    let document = read("application/x-www-form-urlencoded", body);
    assert_eq!(texts(&document, body), ["prompt", "my pass p@ss&word", "name", "x", "empty", ""]);
    assert!(document.segments[0].key && !document.segments[1].key);
    assert_eq!(document.place(body, &document.segments[2], |_| true), "form field 1");
    let edited = redact(&document, body, "p@ss&word", "[SECRET:a b]");
    assert_eq!(edited, b"prompt=my+pass+%5BSECRET%3Aa+b%5D&n%61me=x&empty=");
}

#[test]
fn multipart_bodies_show_headers_and_texts_and_count_the_rest() {
    let body =
        b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"hunter2.txt\"\r\n\r\nkey hunter2\r\n\
        --x\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\x89PNG\0\0\r\n--x--\r\n";
    let document = read("multipart/form-data; boundary=x", body);
    assert_eq!(document.nature, Nature::Multipart);
    assert_eq!(document.opaque_bytes, 6);
    assert_eq!(document.segments[1].role, Role::Attachment);
    let edited = String::from_utf8_lossy(&redact(&document, body, "hunter2", "\"[X]\"\n")).into_owned();
    assert!(edited.contains("filename=\"%22[X]%22%0A.txt\""));
    assert!(edited.contains("\r\n\r\nkey \"[X]\"\n\r\n--x"));
    assert_eq!(document.place(body, &document.segments[1], |_| true), "part 0");
}

#[test]
fn text_in_another_encoding_is_edited_around() {
    let body = b"caf\xe9 hunter2 \xe9";
    let document = read("text/plain", body);
    assert_eq!(redact(&document, body, "hunter2", "[X]"), b"caf\xe9 [X] \xe9");
}

#[test]
fn long_numbers_give_way_to_strings() {
    let body = br#"{"card":4111111111111111,"cards":[4111111111111111,12],"n":1234567}"#;
    let document = read("", body);
    let edited = redact(&document, body, "4111111111111111", "[REDACTED_CARD]");
    assert_eq!(edited, br#"{"card":"[REDACTED_CARD]","cards":["[REDACTED_CARD]",12],"n":1234567}"#);
    let part = document.segments[1].edits(body, &[(0..4, "x".into()), (12..16, "y".into())]).unwrap();
    assert_eq!(splice(body, part).unwrap()[8..21], *br#""x11111111y","#.as_slice());
    assert_eq!(document.segments[1].raw_span(body, 2..4), 8..24);
}

#[test]
fn text_attachments_are_read_and_encoded_again() {
    let inner = "name,key\nprod,hunter2\n";
    for (media_type, encoding, escape) in [
        ("text/csv", data_encoding::BASE64, false),
        ("text/csv", data_encoding::BASE64_NOPAD, true),
        ("application/json", data_encoding::BASE64URL_NOPAD, false),
        ("application/octet-stream", data_encoding::BASE64, false),
    ] {
        let url = format!("data:{media_type};name=hunter2;base64,{}", encoding.encode(inner.as_bytes()));
        let mut body = json!({"file": {"file_data": url}}).to_string();
        if escape {
            body = body.replace('/', "\\/");
        }
        let document = read("application/json", body.as_bytes());
        assert!(texts(&document, body.as_bytes()).contains(&inner.to_owned()), "{media_type}");
        let edited = redact(&document, body.as_bytes(), "hunter2", "[SECRET:k]");
        let value: Value = serde_json::from_slice(&edited).unwrap();
        let expected = encoding.encode("name,key\nprod,[SECRET:k]\n".as_bytes());
        let url = format!("data:{media_type};name=[SECRET:k];base64,{expected}");
        assert_eq!(value["file"]["file_data"], url);
    }
}

#[test]
fn images_and_prose_that_look_like_data_urls_stay_plain() {
    for text in
        ["data:image/png;base64,iVBORw0KGgo=", "data: see below, then base64,", "data:text/plain,hello"]
    {
        let body = json!({ "a": text }).to_string();
        let document = read("", body.as_bytes());
        assert_eq!(texts(&document, body.as_bytes()), ["a", text]);
    }
}

#[test]
fn attachments_that_are_no_clean_text_are_seen_both_ways() {
    let data = data_encoding::BASE64.encode(b"caf\xe9 hunter2 \xe9");
    let body = json!({"media_type": "text/plain", "data": data}).to_string();
    let document = read("", body.as_bytes());
    let seen = texts(&document, body.as_bytes());
    assert!(seen.contains(&data) && seen.iter().any(|text| text.contains("hunter2")));
    let edited = redact(&document, body.as_bytes(), "hunter2", "[X]");
    let value: Value = serde_json::from_slice(&edited).unwrap();
    let decoded = data_encoding::BASE64.decode(value["data"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(decoded, b"caf\xe9 [X] \xe9");
}

#[test]
fn wrong_replacements_are_refused() {
    let body = br#"{"a":"hello"}"#;
    let document = read("", body);
    let segment = &document.segments[1];
    let new = || "x".to_owned();
    assert_eq!(segment.edits(body, &[(0..9, new())]), Err(EditError::OutOfRange { start: 0, end: 9 }));
    assert_eq!(segment.edits(body, &[(2..4, new()), (0..3, new())]), Err(EditError::Overlap { at: 2 }));
    assert_eq!(segment.edits(body, &[]).unwrap(), []);
}

#[test]
fn debug_shows_no_text() {
    let body = br#"{"model":"hunter2","messages":[{"role":"user","content":"hunter2"}]}"#;
    let document = read_request(Family::OpenAiChat, None, body, &Limits::default()).unwrap();
    assert!(!format!("{document:?}").contains("hunter2"));
}

/// A body around one string, with the secret written plainly or in escapes.
fn chat(before: &str, secret: &str, after: &str, escape: bool) -> (String, String, String) {
    let inside = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let secret = if escape {
        secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
    } else {
        inside(secret)
    };
    let head = format!("{{ \"messages\" :[{{\"role\":\"user\",\"content\":\"{}", inside(before));
    (head, secret, format!("{}\" }}],\"x\":1.50 }}\n", inside(after)))
}

proptest! {
    #[test]
    fn only_the_secret_changes(before in "\\PC{0,10}", after in "\\PC{0,10}", secret in "[!-~\u{e9}\u{1f600}]{8,12}", escape: bool) {
        prop_assume!(!before.contains(&secret) && !after.contains(&secret));
        let (head, written, tail) = chat(&before, &secret, &after, escape);
        let body = [head.as_str(), &written, &tail].concat();
        prop_assume!(format!("{before}{secret}{after}").matches(&secret).count() == 1);
        for family in FAMILIES {
            let document = read_request(family, None, body.as_bytes(), &Limits::default()).unwrap();
            let edited = redact(&document, body.as_bytes(), &secret, "[SECRET:a]");
            prop_assert_eq!(String::from_utf8(edited).unwrap(), [head.as_str(), "[SECRET:a]", &tail].concat());
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        start in prop_oneof![Just(""), Just("{\"messages\":["), Just("--x\r\n"), Just("{\"data\":\"data:text/plain;base64,")],
        kind in prop_oneof![
            Just(None), Just(Some("application/json")), Just(Some("text/plain")),
            Just(Some("application/x-www-form-urlencoded")), Just(Some("multipart/form-data; boundary=x"))
        ],
    ) {
        let body = [start.as_bytes(), &bytes].concat();
        for family in FAMILIES {
            if let Ok(document) = read_request(family, kind, &body, &Limits::default()) {
                for segment in &document.segments {
                    let text = segment.text(&body).into_owned();
                    let whole = segment.raw_span(&body, 0..text.len());
                    prop_assert!(whole.start >= segment.raw.start && whole.end <= segment.raw.end);
                    let _ = document.place(&body, segment, |_| false);
                    if let Ok(edits) = segment.edits(&body, &[(0..text.len(), "new".into())]) {
                        prop_assert!(splice(&body, edits).is_ok());
                    }
                }
            }
            let _ = read_response(family, kind, &body, &Limits::default());
        }
    }

    #[test]
    fn forms_map_every_range(text in "\\PC{0,12}", from in 0usize..12, length in 0usize..6) {
        let encoded = percent(&text);
        let body = format!("k={encoded}");
        let document = read("application/x-www-form-urlencoded", body.as_bytes());
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let start = from.min(boundaries.len() - 1);
        let end = (start + length).min(boundaries.len() - 1);
        let (start, end) = (boundaries[start], boundaries[end]);
        if let Some(value) = document.segments.get(1) {
            prop_assert_eq!(value.text(body.as_bytes()), text.as_str());
            let raw = value.raw_span(body.as_bytes(), start..end);
            let expected = 2 + percent(&text[..start]).len();
            prop_assert_eq!(raw, expected..expected + percent(&text[start..end]).len());
        }
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            },
        )
        .collect()
}

#[test]
fn another_model_changes_the_name_at_the_top_alone() {
    let limits = Limits::default();
    let body = br#"{ "messages":[{"model":"x"}], "model" : "gpt-\u0034o", "n":1.0 }"#;
    let changed = crate::with_model(body, "llama \"3\"", &limits).unwrap();
    let expected = r#"{ "messages":[{"model":"x"}], "model" : "llama \"3\"", "n":1.0 }"#;
    assert_eq!(std::str::from_utf8(&changed).unwrap(), expected);
    for body in ["", "[]", "{\"n\":1}", "{\"model\":4}", "{\"model\""] {
        assert_eq!(crate::with_model(body.as_bytes(), "m", &limits), None, "{body}");
    }
}
