//! However a text is cut, a stream releases what a whole scan would, and in good time.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use sallyport_policy::{Finding, FindingKind};

use crate::rules::equivalence::mixed_text;
use crate::*;

const SECRETS: [(&str, &str, bool); 6] = [
    ("vault/db#password", "kX9#mQ2$vL7@pR4!", false),
    ("token", "Zx81kkQpLm42", false),
    ("phrase", "violet kettle under 9 stairs", false),
    ("quoted", "a\"b\\c/d é9 z%q+w", false),
    (
        "pem",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nVJTUt9Us8cKj\n-----END PRIVATE KEY-----",
        false,
    ),
    ("app-password", "sunflower", true),
];

fn scanner() -> &'static Arc<Scanner> {
    static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| {
        let key = IndexKey::new([5; 32]);
        let entries = SECRETS.map(|(name, value, weak)| SecretEntry { name, value: value.as_bytes(), weak });
        let set = SecretSet::build(&key, "test", entries);
        let index = SecretIndex::merge(&key, &[Arc::new(set)]).unwrap();
        Arc::new(Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index)))
    });
    &SCANNER
}

fn placeholders() -> Placeholders {
    Placeholders::new([8; 32])
}

fn at_once(text: &str) -> (String, Vec<Finding>) {
    let findings = scanner().scan(text, &ScanOptions::default());
    (redact(text, &findings, &mut placeholders()), findings)
}

fn in_pieces<'t>(pieces: impl IntoIterator<Item = &'t str>) -> (String, Vec<Finding>) {
    let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
    let mut placeholders = placeholders();
    let (mut out, mut findings) = (String::new(), Vec::new());
    for piece in pieces {
        let released = stream.push(piece, &mut placeholders);
        out.push_str(&released.text);
        findings.extend(released.findings);
    }
    let rest = stream.finish(&mut placeholders);
    out.push_str(&rest.text);
    findings.extend(rest.findings);
    assert_eq!(stream.held(), 0);
    (out, findings)
}

fn cut(text: &str, sizes: &[usize]) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let at = rest.ceil_char_boundary((*sizes.next().unwrap()).clamp(1, rest.len()));
        pieces.push(rest[..at].to_owned());
        rest = &rest[at..];
    }
    pieces
}

/// A known value in some dress.
fn dressed() -> impl Strategy<Value = String> {
    (0..SECRETS.len(), 0..11usize).prop_map(|(which, dress)| {
        let value = SECRETS[which].1;
        let json = serde_json::to_string(value).unwrap();
        let json = json[1..json.len() - 1].to_owned();
        match dress {
            0 | 1 => value.to_owned(),
            2 => data_encoding::BASE64.encode(value.as_bytes()),
            3 => data_encoding::BASE64.encode(format!("u:{value}:x").as_bytes()),
            4 => data_encoding::HEXUPPER.encode(value.as_bytes()),
            5 => value.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            6 => value.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect(),
            8 => {
                let coded = data_encoding::HEXLOWER.encode(value.as_bytes());
                let lines: Vec<_> = coded.as_bytes().chunks(25).map(String::from_utf8_lossy).collect();
                lines.join("\n  12\u{2192}")
            }
            7 => json.replace('\\', "\\\\").replace('"', "\\\""),
            9 if value.is_ascii() => value.bytes().map(|byte| format!("\\x{byte:02x}\\x00")).collect(),
            _ => json,
        }
    })
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => mixed_text(),
        4 => dressed(),
        2 => "[ \n\"',:=a-z]{0,8}",
        1 => Just("\\".to_owned()),
        1 => Just("app password is ".to_owned()),
        1 => prop::sample::select(vec!["%", "%2", "\\u00", "\\x4", "+", "[SECRET:token]", "[REDACTED_JWT_3f9a]", "[REDA"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn however_a_text_is_cut(text in text(), sizes in prop::collection::vec(1usize..24, 1..6)) {
        let pieces = cut(&text, &sizes);
        prop_assert_eq!(in_pieces(pieces.iter().map(String::as_str)), at_once(&text), "{:?}", pieces);
    }

    /// A second scan may see a neighbour that ran into a value before; placeholders it leaves alone.
    #[test]
    fn placeholders_are_no_findings(text in text()) {
        let (redacted, first) = at_once(&text);
        let second = scanner().scan(&redacted, &ScanOptions::default());
        let mut placeholders = placeholders();
        let mut moved = 0isize;
        for finding in &first {
            let placeholder = placeholders.placeholder(finding, &text[finding.span.clone()]);
            let start = finding.span.start.wrapping_add_signed(moved);
            let own = start..start + placeholder.len();
            moved += placeholder.len() as isize - finding.span.len() as isize;
            for again in &second {
                prop_assert!(again.span.end <= own.start || own.end <= again.span.start, "{:?} in {:?}", again, redacted);
            }
        }
    }

    #[test]
    fn findings_are_sorted_apart_and_the_same_again(text in text()) {
        let (_, findings) = at_once(&text);
        prop_assert!(findings.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
        prop_assert!(findings.iter().all(|finding| text.get(finding.span.clone()).is_some_and(|value| !value.is_empty())));
        prop_assert_eq!(at_once(&text).1, findings);
    }
}

#[test]
fn byte_by_byte_nothing_escapes() {
    for (name, value, weak) in SECRETS {
        let text = format!("the app password is {value} and so on");
        let pieces = cut(&text, &[1]);
        let (out, findings) = in_pieces(pieces.iter().map(String::as_str));
        assert!(!out.contains(value), "{name} {weak}");
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].kind, FindingKind::KnownSecret);
    }
}

#[test]
fn prose_is_hardly_delayed() {
    let prose = "The quick summary: you can read the file, change a few lines and run the tests again. \
                 Then John Smith says that everything works as expected, so the release can go out today.\n\
                 ```rust\nfn main() {\n    let items: Vec<u32> = (0..10).map(|x| x * 2).collect();\n}\n```\n";
    let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
    let (mut most, mut all) = (0, 0);
    let pieces = cut(prose, &[4]);
    for piece in &pieces {
        stream.push(piece, &mut placeholders());
        most = most.max(stream.held());
        all += stream.held();
    }
    assert!(most <= 24 && all / pieces.len() <= 12, "held at most {most}, on average {}", all / pieces.len());
}

/// A stream of a model comes word by word.
#[test]
fn a_word_that_has_ended_is_passed_on() {
    let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
    let numbered = (100..200).map(|n| format!("word {n} "));
    let plain = "so we look at it again now and then do it all over ".split_inclusive(' ').map(str::to_owned);
    for piece in numbered.chain(plain) {
        stream.push(&piece, &mut placeholders());
        assert_eq!(stream.held(), 0, "{piece:?}");
    }
}

#[test]
fn plain_text_is_passed_on_without_a_copy() {
    let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
    let released = stream.push("well, that is all; ", &mut placeholders());
    assert!(matches!(released.text, std::borrow::Cow::Borrowed(_)), "{released:?} {}", stream.held());
}

#[test]
fn the_hold_is_bounded() {
    let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
    let line = format!("{}\n", "A".repeat(64));
    stream.push("-----BEGIN RSA PRIVATE KEY-----\n", &mut placeholders());
    for _ in 0..1000 {
        stream.push(&line, &mut placeholders());
        assert!(stream.held() <= LONGEST_HOLD + 256);
    }
}

#[test]
fn a_table_and_a_list_lose_every_secret_however_they_are_cut() {
    let table = "as asked:\n\n| User | Password |\n|------|----------|\n| mira | Vt4!kkLm92zq |\n| juri | 77Regen#bog |\n\nand so on\n";
    let csv = "user,api_key\nmira,8fj2kd93jfkls02jfkd8s7a6\njuri,q0w8e7r6t5y4u3i2o1p9a8s7\n";
    let list = "tokens:\n  - 9f8g7h6j5k4l3m2n1b0v\n  - q1a2z3w4s5x6e7d8c9r0\nport: 80\n";
    for text in [table, csv, list] {
        let whole = at_once(text);
        assert_eq!(whole.1.len(), 2, "{text}");
        for sizes in [&[1][..], &[3], &[7, 2], &[40]] {
            let pieces = cut(text, sizes);
            assert_eq!(in_pieces(pieces.iter().map(String::as_str)), whole, "{sizes:?} {text}");
        }
    }
}
