//! The walker against serde_json, which knows JSON but not where it stands.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Dom, Kind, Tape, parse, text};
use crate::mapping::spans;
use crate::{Limits, Malformed, ReadError};

fn tape(body: &str) -> Tape {
    parse(body.as_bytes(), &Limits::default()).unwrap()
}

fn strings(body: &[u8], tape: &Tape, kind: Kind) -> Vec<String> {
    let dom = Dom::new(body, tape);
    let nodes = tape.nodes.iter().enumerate().filter(|(_, node)| node.kind == kind);
    nodes.map(|(at, _)| dom.text(at).unwrap().into_owned()).collect()
}

fn error(body: &[u8]) -> ReadError {
    parse(body, &Limits::default()).unwrap_err()
}

fn malformed(body: &str) -> (usize, Malformed) {
    match error(body.as_bytes()) {
        ReadError::Malformed { offset, problem } => (offset, problem),
        other => panic!("{body}: {other}"),
    }
}

#[test]
fn keys_strings_and_long_integers_are_found_with_their_places() {
    let body = r#" {"a": [1, "x", {"b/c": "y"}], "n": 4111111111111111, "f": 0.123456789, "a": null} "#;
    let tape = tape(body);
    let dom = Dom::new(body.as_bytes(), &tape);
    let found: Vec<(String, &str)> = tape
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| matches!(node.kind, Kind::Key | Kind::String | Kind::LongInteger))
        .map(|(at, node)| (dom.pointer(at, &mut |_| true), &body[node.raw()]))
        .collect();
    let expected = [
        ("/a", "a"),
        ("/a/1", "x"),
        ("/a/2/b~1c", "b/c"),
        ("/a/2/b~1c", "y"),
        ("/n", "n"),
        ("/n", "4111111111111111"),
        ("/f", "f"),
        ("/a", "a"),
    ];
    assert_eq!(found, expected.map(|(place, text)| (place.to_owned(), text)));
    assert_eq!(dom.pointer(5, &mut |key| key != "a"), "/*/2/b~1c");
}

#[test]
fn several_documents_a_byte_order_mark_and_record_separators() {
    for body in [
        "{\"a\":1}\n{\"b\":2}\n",
        "\u{feff}{\"a\":1}{\"b\":2}",
        "\u{1e}{\"a\":1}\n\u{1e}{\"b\":2}\n",
        "1 2 [\"a\"] {\"b\":2}",
    ] {
        let tape = tape(body);
        assert_eq!(tape.roots.len(), 2, "{body:?}");
        let dom = Dom::new(body.as_bytes(), &tape);
        let last = tape.nodes.iter().rposition(|node| node.kind == Kind::Key).unwrap();
        assert!(dom.pointer(last, &mut |_| true).ends_with("/b"));
    }
}

#[test]
fn errors_name_the_offset() {
    for (body, expected) in [
        ("", (0, Malformed::UnexpectedEnd)),
        ("{", (1, Malformed::UnexpectedEnd)),
        ("[1,]", (3, Malformed::Value)),
        ("{\"a\":1,}", (7, Malformed::Key)),
        ("{\"a\" 1}", (5, Malformed::Colon)),
        ("{\"a\":1 \"b\":2}", (7, Malformed::CommaOrClose)),
        ("[1 2]", (3, Malformed::CommaOrClose)),
        ("[,1]", (1, Malformed::Value)),
        ("[\"a]", (1, Malformed::UnfinishedString)),
        ("[\"\\", (1, Malformed::UnfinishedString)),
        ("[\"a\\x\"]", (3, Malformed::Escape)),
        ("[\"a\\u12g4\"]", (3, Malformed::Escape)),
        ("[01]", (1, Malformed::Number)),
        ("{\"a\":1}}", (7, Malformed::Value)),
        ("[}", (1, Malformed::Value)),
        ("{a:1}", (1, Malformed::Key)),
    ] {
        assert_eq!(malformed(body), expected, "{body}");
    }
    assert_eq!(error(b"[\"\xff\"]"), ReadError::NotUtf8 { offset: 2 });
}

#[test]
fn limits_are_kept() {
    let limits = Limits { max_depth: 3, max_strings: 4, max_bytes: 40, ..Limits::default() };
    assert!(parse(b"[[[1]]]", &limits).is_ok());
    assert_eq!(parse(b"[[[[", &limits).unwrap_err(), ReadError::TooDeep { offset: 3, limit: 3 });
    assert_eq!(parse(b"[\"\",\"\",\"\",\"\"]", &limits).unwrap_err(), ReadError::TooManyStrings { limit: 4 });
    assert_eq!(parse(&[b' '; 41], &limits).unwrap_err(), ReadError::TooLarge { size: 41, limit: 40 });
    let deep = "[".repeat(513);
    assert!(matches!(error(deep.as_bytes()), ReadError::TooDeep { limit: 512, .. }));
}

#[test]
fn what_servers_put_up_with_is_accepted() {
    let body = "{\"a\":NaN,\"b\":[Infinity,-Infinity],\"a\":\"tab\there\"}";
    assert_eq!(strings(body.as_bytes(), &tape(body), Kind::String), ["tab\there"]);
}

/// Any JSON, written with as many escapes as `escapes` asks for.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(|float| json!(float)),
        "\\PC{0,12}".prop_map(Value::from),
        "[\"\\\\/\n\u{1}\u{1f600}\u{e9}a]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"\\\\\u{e9}]{0,3}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn gather(value: &Value, keys: &mut Vec<String>, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(value, keys, strings)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            keys.push(key.clone());
            gather(value, keys, strings);
        }),
        _ => {}
    }
}

/// Writes each character of `text` plainly or as an escape, as the bits say.
fn written(text: &str, mut bits: u64) -> String {
    let mut raw = String::new();
    for character in text.chars() {
        if bits & 1 == 1 || matches!(character, '"' | '\\') || u32::from(character) < 0x20 {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                raw.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            raw.push(character);
        }
        bits = bits.rotate_right(1);
    }
    raw
}

proptest! {
    #[test]
    fn finds_what_serde_finds(value in value(), pretty: bool) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let (mut keys, mut texts) = (Vec::new(), Vec::new());
        gather(&value, &mut keys, &mut texts);
        let tape = tape(&body);
        prop_assert_eq!(strings(body.as_bytes(), &tape, Kind::Key), keys);
        prop_assert_eq!(strings(body.as_bytes(), &tape, Kind::String), texts);
    }

    #[test]
    fn accepts_no_more_than_serde(body in "[\\[\\]{}:,\"\\\\ 0-9.eE+a-ftrunls-]{0,24}") {
        // One document, none of our leniencies: then the two must agree.
        let ours = parse(body.as_bytes(), &Limits::default());
        let theirs = serde_json::from_str::<Value>(&body);
        if theirs.is_ok() {
            prop_assert!(ours.is_ok(), "{}", body);
        } else if ours.is_ok() {
            let stream: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&body).into_iter().collect();
            // serde wants white space between some documents, and refuses numbers it cannot hold.
            let lenient = stream.as_ref().is_err_and(|error| {
                let said = error.to_string();
                said.contains("trailing characters") || said.contains("out of range") || said.contains("expected value")
            });
            prop_assert!(stream.is_ok() || lenient, "{}: {:?}", body, stream);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tape) = parse(&bytes, &Limits::default()) {
            strings(&bytes, &tape, Kind::String);
        }
        let _ = text::unescape(&bytes);
        let total: usize = text::units(&bytes).map(|unit| unit.raw).sum();
        prop_assert!(total >= bytes.len().min(1) * bytes.len());
    }

    #[test]
    fn decoded_and_raw_ranges_agree(before in "\\PC{0,8}", inside in "\\PC{1,8}", after in "\\PC{0,8}", bits: [u64; 3]) {
        let raws = [written(&before, bits[0]), written(&inside, bits[1]), written(&after, bits[2])];
        let raw = raws.concat();
        prop_assert_eq!(text::unescape(raw.as_bytes()), [before.as_str(), &inside, &after].concat());
        let decoded = before.len()..before.len() + inside.len();
        let mapped = spans(text::units(raw.as_bytes()), std::slice::from_ref(&decoded));
        prop_assert_eq!(&mapped, &[raws[0].len()..raws[0].len() + raws[1].len()]);
    }

    #[test]
    fn escaping_is_undone_by_serde(text in any::<String>()) {
        let quoted = text::quoted(&text);
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
    }
}
