//! Every value in every dress, anywhere: found, with the exact span. Nothing else is found.

use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;

use super::*;

fn key() -> IndexKey {
    IndexKey::new([42; 32])
}

fn index(entries: &[(&str, &str, bool)]) -> SecretIndex {
    let entries =
        entries.iter().map(|(name, value, weak)| SecretEntry { name, value: value.as_bytes(), weak: *weak });
    let set = SecretSet::build(&key(), "test", entries);
    let set = SecretSet::from_bytes(&set.to_bytes()).unwrap();
    SecretIndex::merge(&key(), &[Arc::new(set)]).unwrap()
}

/// The hits of the outermost spans.
fn spans(index: &SecretIndex, text: &str) -> Vec<(usize, usize)> {
    index.find(text.as_bytes()).into_iter().map(|hit| (hit.span.start, hit.span.end)).collect()
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9+/_=-]{8,60}",
        "[ -~]{8,40}",
        "[a-z0-9]{8}",
        "([A-Za-z0-9+/]{20,64}\n){2,20}[A-Za-z0-9+/]{5,64}",
        r#"["\\/&+% éß😀a-z0-9]{8,30}"#,
        "[A-Za-z0-9]{100,3000}",
    ]
    .prop_filter("ends as it is indexed, and is not one character over and over", |value| {
        !value.ends_with(['\n', '\r']) && value.len() >= 8 && crate::shape::distinct(value) > 4
    })
}

fn percent(value: &str, every: bool, lower: bool, plus: bool) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b' ' if plus => "+".to_owned(),
            byte if !every && (byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)) => {
                char::from(byte).to_string()
            }
            byte if lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn json_escaped(value: &str, ascii: bool) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    let inner = &quoted[1..quoted.len() - 1];
    if !ascii {
        return inner.to_owned();
    }
    inner.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16(c) }).collect()
}

fn utf16(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Values with what texts escape, at their ends too.
fn holding_escapes() -> impl Strategy<Value = String> {
    r#"["'/<>& \n\t\\a-d0-9=,-]{8,40}"#.prop_filter("ends as it is indexed", |value| {
        !value.ends_with(['\n', '\r']) && crate::shape::distinct(value) > 4
    })
}

/// Escapes of every kind, whole ones, and what stands between them.
fn noise() -> impl Strategy<Value = String> {
    let pieces = [
        "\\n",
        "\\\"",
        "\\\\",
        "\\t",
        "\\r\\n",
        "\\/",
        "\\d",
        "\\u0041",
        "%20",
        "%22",
        "%0A",
        "%2f",
        "%zz",
        "&lt;",
        "&quot;",
        "&amp;",
        "&x",
        "a",
        "b7",
        " ",
        "\n",
        "-",
        "/",
        "=",
        ",",
        "\"",
        "'",
        "                                ",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12).prop_map(|pieces| pieces.concat())
}

fn holding_no_backslash() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d0-9 /=,.-]{8,24}", "[a-d0-9 \"'\n\t=,-]{8,24}", "([a-c0-3+/]{4,9}\n){2,3}[a-c0-3]{3}"]
        .prop_filter("ends as it is indexed, and is not one character over and over", |value| {
            !value.ends_with('\n') && crate::shape::distinct(value) > 4
        })
}

/// Runs of backslashes before all that may follow them.
fn backslashes() -> impl Strategy<Value = String> {
    let piece = (
        0usize..12,
        prop::sample::select(vec![
            "n", "\"", "t", "r", "'", "d", "/", "u0061", "x62", "b", " ", "a1", "\n", ".", "é",
        ]),
    );
    prop::collection::vec(piece, 0..8)
        .prop_map(|pieces| pieces.into_iter().map(|(count, kind)| "\\".repeat(count) + kind).collect())
}

/// Text that can stand around an encoded value without changing how it is read.
const AROUND: &str = "[A-Za-z0-9 ,.;:'\"(){}<>\n=-]{0,40}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn raw_with_any_surroundings(value in secret(), before in "\\PC{0,40}", after in "\\PC{0,40}") {
        let index = index(&[("name", &value, false)]);
        let text = format!("{before}{value}{after}");
        let span = (before.len(), before.len() + value.len());
        prop_assert!(spans(&index, &text).contains(&span));
    }

    #[test]
    fn base64_at_every_alignment(
        value in secret(),
        before in prop::collection::vec(any::<u8>(), 0..40),
        after in prop::collection::vec(any::<u8>(), 0..40),
        around in AROUND,
    ) {
        let index = index(&[("name", &value, false)]);
        let mut whole = before.clone();
        whole.extend_from_slice(value.as_bytes());
        whole.extend_from_slice(&after);
        // All characters that hold a bit of the value.
        let first = before.len() * 8 / 6;
        let end = ((before.len() + value.len()) * 8).div_ceil(6);
        for encoding in [BASE64, BASE64_NOPAD, BASE64URL_NOPAD] {
            let text = format!("{around} {}", encoding.encode(&whole));
            let offset = around.len() + 1;
            prop_assert!(spans(&index, &text).contains(&(offset + first, offset + end)), "{text}");
        }
    }

    #[test]
    fn what_base64_shares_with_others_goes_with_it_escaped_or_not(
        value in secret(),
        before in prop::collection::vec(any::<u8>(), 0..4),
        after in prop::collection::vec(any::<u8>(), 0..4),
        slash in prop::sample::select(vec!["\\/", "%2F", "\\u002f", "&#47;"]),
    ) {
        let index = index(&[("name", &value, false)]);
        let whole = [&before[..], value.as_bytes(), &after].concat();
        let (first, end) = (before.len() * 8 / 6, ((before.len() + value.len()) * 8).div_ceil(6));
        let coded = BASE64.encode(&whole);
        let place = |at: usize| coded[..at].replace('/', slash).len();
        let text = coded.replace('/', slash);
        prop_assert!(spans(&index, &text).contains(&(place(first), place(end))), "{text}");
    }

    #[test]
    fn hex_in_any_case(value in secret(), before in AROUND, after in "[ .,;]", mix in any::<u64>()) {
        let index = index(&[("name", &value, false)]);
        let lower = HEXLOWER.encode(value.as_bytes());
        let mixed: String = lower
            .chars()
            .enumerate()
            .map(|(i, c)| if mix >> (i % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        for hex in [lower.to_ascii_uppercase(), lower, mixed] {
            let text = format!("{before}{hex}{after}");
            prop_assert!(spans(&index, &text).contains(&(before.len(), before.len() + hex.len())));
        }
    }

    #[test]
    fn percent_encoded_in_any_mixture(value in secret(), before in AROUND, after in AROUND, every: bool, lower: bool, plus: bool) {
        let index = index(&[("name", &value, false)]);
        let encoded = percent(&value, every, lower, plus);
        let text = format!("{before}{encoded}{after}");
        prop_assert!(spans(&index, &text).contains(&(before.len(), before.len() + encoded.len())), "{text:?}");
        let twice = percent(&percent(&value, every, lower, false), false, false, false);
        let text = format!("{before}{twice}{after}");
        prop_assert!(spans(&index, &text).contains(&(before.len(), before.len() + twice.len())), "{text:?}");
    }

    #[test]
    fn escaped_as_strings_are(value in secret(), before in AROUND, after in AROUND) {
        let index = index(&[("name", &value, false)]);
        let json = json_escaped(&value, false);
        let all_unicode: String = value.chars().map(utf16).collect();
        let all_hex: String = value.bytes().map(|byte| format!("\\x{byte:02X}")).collect();
        let braced: String = value.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect();
        let octal: String = value.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        let slashes = json.replace('/', "\\/");
        for escaped in [json_escaped(&value, true), json_escaped(&json, false), json_escaped(&json_escaped(&json, true), true), all_unicode, all_hex, braced, octal, slashes, json] {
            let text = format!("{before}{escaped}{after}");
            prop_assert!(spans(&index, &text).contains(&(before.len(), before.len() + escaped.len())), "{text:?}");
        }
    }

    #[test]
    fn in_two_bytes_a_character(value in "[!-~]{8,40}", before in AROUND, after in AROUND, big: bool) {
        prop_assume!(crate::shape::distinct(&value) > 4);
        let index = index(&[("name", &value, false)]);
        let wide: Vec<u8> = value.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let dressed = |one: fn(u8) -> String| wide.iter().map(|byte| one(*byte)).collect::<String>();
        let dresses = [
            (dressed(|byte| char::from(byte).into()), 1),
            (dressed(|byte| format!("\\x{byte:02x}")), 4),
            (dressed(|byte| format!("\\u{byte:04x}")), 6),
            (dressed(|byte| format!("%{byte:02X}")), 3),
            (json_escaped(&String::from_utf8_lossy(&wide), true), 6),
        ];
        for (dress, (escaped, zero)) in dresses.into_iter().enumerate() {
            let text = format!("{before}{escaped}{after}");
            // The zero at one end belongs to a character, and not to what the value is.
            let (start, end) = if big { (zero, 0) } else { (0, zero) };
            let span = (before.len() + start, before.len() + escaped.len() - end);
            prop_assert!(spans(&index, &text).contains(&span), "{dress}: {text:?}");
        }
    }

    #[test]
    fn entities_in_any_mixture(value in secret(), before in AROUND, after in AROUND, every: bool, hexadecimal: bool) {
        let index = index(&[("name", &value, false)]);
        let one = |c: char| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c if every || !c.is_ascii() => match hexadecimal {
                true => format!("&#x{:x};", u32::from(c)),
                false => format!("&#{};", u32::from(c)),
            },
            c => c.to_string(),
        };
        let encoded: String = value.chars().map(one).collect();
        let twice = encoded.replace('&', "&amp;");
        for encoded in [encoded, twice] {
            let text = format!("{before}{encoded}{after}");
            prop_assert!(spans(&index, &text).contains(&(before.len(), before.len() + encoded.len())), "{text:?}");
        }
    }

    #[test]
    fn base64_and_hex_on_wrapped_lines(
        value in secret(),
        before in prop::collection::vec(any::<u8>(), 0..200),
        width in 24usize..80,
        dress in 0..4usize,
    ) {
        let index = index(&[("name", &value, false)]);
        let whole = [&before[..], value.as_bytes()].concat();
        let encoded = match dress {
            0 => BASE64.encode(&whole),
            1 => BASE64URL_NOPAD.encode(&whole),
            _ => HEXLOWER.encode(&whole),
        };
        let (first, end) = match dress {
            0 | 1 => (before.len() * 8 / 6, (whole.len() * 8).div_ceil(6)),
            _ => (before.len() * 2, whole.len() * 2),
        };
        let lines: Vec<&str> = encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for (newline, around) in [
            ("\n", 10),
            ("\r\n", 10),
            ("\n", 300),
            ("\\n", 10),
            ("\\r\\n", 300),
            // Indented, quoted, in a comment, with its number.
            ("\n        ", 10),
            ("\r\n\t", 300),
            ("\n> > ", 10),
            ("\n# ", 10),
            ("\n   117\u{2192}", 10),
            ("\n    42\t", 300),
            ("\\n    ", 10),
        ] {
            let around = " ".repeat(around);
            let text = format!("{around}{}{around}", lines.join(newline));
            // A break belongs to the span only if it stands inside it.
            let place = |at: usize| around.len() + at + at / width * newline.len();
            let span = (place(first), place(end - 1) + 1);
            let found = spans(&index, &text);
            prop_assert!(found.contains(&span), "{span:?} {found:?} in {text:?}");
        }
    }

    #[test]
    fn far_and_near_escapes_change_nothing(
        value in secret(),
        dress in 0..5usize,
        gap in 0usize..400,
        lead in prop::sample::select(vec!["\\n", "%41", "&amp;", "\\\\\\\\", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nb", "\\u00"]),
    ) {
        let index = index(&[("name", &value, false)]);
        let json = json_escaped(&value, false);
        let dressed = match dress {
            0 => value,
            1 => json_escaped(&json_escaped(&json, true), true),
            2 => percent(&value, false, false, false),
            3 => BASE64.encode(value.as_bytes()),
            _ => value.chars().map(utf16).collect(),
        };
        let text = format!("{lead}{}{dressed} {}{lead}", " ".repeat(gap + 1), ".".repeat(gap));
        let whole = index.find_in(text.as_bytes(), 0, &index.views(text.as_bytes(), 0));
        prop_assert!(!whole.is_empty());
        prop_assert_eq!(index.find(text.as_bytes()), whole, "{:?}", text);
    }

    #[test]
    fn no_escape_is_taken_for_harmless_that_is_not(
        values in prop::collection::vec(holding_escapes(), 1..4),
        before in noise(),
        after in noise(),
        dress in 0..7usize,
    ) {
        let entries: Vec<(&str, &str, bool)> = values.iter().map(|value| ("name", value.as_str(), false)).collect();
        let index = index(&entries);
        let value = &values[0];
        let json = json_escaped(value, false);
        let entities = value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
        let dressed = match dress {
            0 => value.clone(),
            1 => json.replace('/', "\\/"),
            2 => json_escaped(&json, false),
            3 => percent(value, false, true, false),
            4 => percent(value, false, false, true),
            5 => entities,
            _ => json.replace('\\', "\\u005c"),
        };
        let text = format!("{before}{dressed}{after}");
        let whole = index.find_in(text.as_bytes(), 0, &index.views(text.as_bytes(), 0));
        let found = index.find(text.as_bytes());
        let missing: Vec<_> =
            whole.iter().filter(|hit| hit.variant != Variant::Wrapped && !found.contains(hit)).collect();
        prop_assert!(missing.is_empty(), "{missing:?} in {text:?}");
        if dress == 1 {
            let span = (before.len(), before.len() + dressed.len());
            prop_assert!(spans(&index, &text).contains(&span), "{text:?}");
        }
    }

    /// Around few runs of backslashes readings are made where no value holds one.
    #[test]
    fn many_backslashes_hide_nothing_and_part_nothing(
        values in prop::collection::vec(holding_no_backslash(), 1..3),
        before in backslashes(),
        after in backslashes(),
        at in 0usize..8,
        dress in 0..8usize,
    ) {
        let entries: Vec<(&str, &str, bool)> = values.iter().map(|value| ("name", value.as_str(), false)).collect();
        let index = index(&entries);
        let (head, tail) = values[0].split_at(at);
        let dressed = match dress {
            0 => values[0].clone(),
            1 => format!("{head}{after}{tail}"),
            2 => values[0].replace('/', "\\\\/").replace('a', "\\\\u0061"),
            3 => format!("{head}{}", tail.replace('b', "\\x62")),
            4 => percent(&values[0], true, false, false),
            5 => json_escaped(&json_escaped(&values[0], false), false),
            6 => json_escaped(&json_escaped(&values[0].replace('\n', "\r\n"), false), false),
            _ => json_escaped(&values[0], false).replace('/', "\\/").replace(' ', "\\u0020"),
        };
        let text = format!("{before}{dressed}{after}{}{before}", " ".repeat(at * 20));
        let whole = index.find_in(text.as_bytes(), 0, &index.views(text.as_bytes(), 0));
        let found = index.find(text.as_bytes());
        let missing: Vec<_> =
            whole.iter().filter(|hit| hit.variant != Variant::Wrapped && !found.contains(hit)).collect();
        prop_assert!(missing.is_empty(), "{missing:?} in {text:?}");
        let other: Vec<_> = found.iter().filter(|hit| !whole.contains(hit)).collect();
        prop_assert!(other.is_empty(), "{other:?} in {text:?}");
    }

    #[test]
    fn crlf_for_line_breaks(value in secret(), before in AROUND) {
        let index = index(&[("name", &value, false)]);
        let crlf = value.replace('\n', "\r\n");
        let text = format!("{before}{crlf}");
        prop_assert!(spans(&index, &text).contains(&(before.len(), text.len())));
    }

    #[test]
    fn many_values_at_once(values in prop::collection::vec(secret(), 1..40)) {
        let named: Vec<(String, &String)> = values.iter().enumerate().map(|(i, value)| (format!("n{i}"), value)).collect();
        let entries: Vec<(&str, &str, bool)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str(), false)).collect();
        let index = index(&entries);
        for (name, value, _) in &entries {
            let hits = index.find(format!("x {value} y").as_bytes());
            let whole = |hit: &SecretHit| hit.span == (2..2 + value.len());
            prop_assert!(hits.iter().any(|hit| whole(hit) && hit.name.as_str() == *name));
        }
    }

    #[test]
    fn nothing_is_found_in_other_text(values in prop::collection::vec("[A-Za-z0-9]{12,40}", 50), text in "\\PC{0,4000}") {
        let entries: Vec<(&str, &str, bool)> = values.iter().map(|value| ("n", value.as_str(), false)).collect();
        prop_assert_eq!(spans(&index(&entries), &text), []);
    }

    #[test]
    fn damaged_sets_are_refused_without_a_panic(at in 0usize..400, byte: u8) {
        let set = SecretSet::build(&key(), "s", [SecretEntry { name: "n", value: b"some-value-here", weak: false }]);
        let mut bytes = set.to_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = SecretSet::from_bytes(&bytes)
            && let Ok(index) = SecretIndex::merge(&key(), &[Arc::new(read)])
        {
            index.find(b"a text with some-value-here and c29tZS12YWx1ZS1oZXJl in it");
        }
    }
}

/// A hundred thousand values, each of which is found where it stands, and no other.
#[test]
fn a_hundred_thousand_values() {
    let value = |i: u64| {
        let noise = blake3::hash(&i.to_le_bytes()).to_hex();
        noise.as_str()[..8 + (i % 40) as usize].to_owned()
    };
    let values: Vec<(String, String)> = (0..100_000).map(|i| (format!("n{i}"), value(i))).collect();
    let entries =
        values.iter().map(|(name, value)| SecretEntry { name, value: value.as_bytes(), weak: false });
    let set = SecretSet::build(&key(), "test", entries);
    let index = SecretIndex::merge(&key(), &[Arc::new(set)]).unwrap();
    let mut text = String::new();
    let mut expected = Vec::new();
    for (name, value) in &values {
        text.push_str("value = ");
        expected.push((text.len()..text.len() + value.len(), name.clone()));
        text.push_str(value);
        text.push('\n');
    }
    let found: Vec<_> =
        index.find(text.as_bytes()).into_iter().map(|hit| (hit.span, hit.name.to_string())).collect();
    // Eight hexadecimal digits may begin a longer value as well.
    assert!(found.len() < expected.len() + 100);
    let missing: Vec<_> = expected
        .iter()
        .filter(|hit| found.binary_search_by_key(&hit.0.start, |found| found.0.start).is_err())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let clean = text.replace(|c: char| c.is_ascii_digit(), "z").to_ascii_uppercase();
    assert_eq!(index.find(clean.as_bytes()), []);
}

#[test]
fn a_changed_character_is_no_hit() {
    let value = "xK9mQ2vL7pR4wN8z";
    let index = index(&[("name", value, false)]);
    for at in 0..value.len() {
        let mut other = value.to_owned();
        other.replace_range(at..=at, "!");
        assert_eq!(spans(&index, &other), []);
        let mut cased = value.to_owned();
        let letter = &value[at..=at];
        let swapped =
            if letter == letter.to_uppercase() { letter.to_lowercase() } else { letter.to_uppercase() };
        cased.replace_range(at..=at, &swapped);
        assert_eq!(spans(&index, &cased).is_empty(), cased != value);
    }
}

#[test]
fn a_weak_value_counts_beside_its_name_only() {
    let index = index(&[("ai-protected/app#db-password", "sunflower", true)]);
    for text in [
        "DB_PASSWORD=sunflower",
        "db.password: \"sunflower\"",
        "the db password is 'sunflower'",
        "dbPassword = c3VuZmxvd2Vy",
    ] {
        assert_eq!(index.find(text.as_bytes()).len(), 1, "{text}");
    }
    let far = format!("db_password {} sunflower", "-".repeat(64));
    for text in ["a sunflower", "db_password\nsunflower", "sunflower is the db_password", &far] {
        assert_eq!(index.find(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn a_pem_key_is_found_in_json_and_with_crlf() {
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nVJTUt9Us8cKj\n-----END PRIVATE KEY-----\n";
    let index = index(&[("key", pem, false)]);
    let trimmed = pem.trim_end();
    for text in [
        trimmed.to_owned(),
        trimmed.replace('\n', "\r\n"),
        trimmed.replace('\n', "\\n"),
        trimmed.replace('\n', "\\r\\n"),
    ] {
        assert_eq!(spans(&index, &format!("x {text} y")), [(2, 2 + text.len())], "{text}");
    }
}

#[test]
fn an_empty_index_finds_nothing_and_a_foreign_set_is_refused() {
    assert!(SecretIndex::empty().find(b"anything at all").is_empty());
    let set = SecretSet::build(
        &IndexKey::new([1; 32]),
        "vault",
        [SecretEntry { name: "n", value: b"some-value", weak: false }],
    );
    let refused = SecretIndex::merge(&key(), &[Arc::new(set)]);
    assert_eq!(refused.err(), Some(SetError::OtherKey { source_name: "vault".into() }));
}
