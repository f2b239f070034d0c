//! Whatever bytes come: no panic, spans that can be cut, the same text from a stream, and no time without end.

use std::sync::{Arc, LazyLock};
#[cfg(unix)]
use std::time::Duration;

use proptest::prelude::*;
use sallyport_policy::Finding;

use crate::injection::Lane;
use crate::output::OutputOptions;
use crate::*;

fn scanner() -> &'static Arc<Scanner> {
    static SCANNER: LazyLock<Arc<Scanner>> = LazyLock::new(|| {
        let key = IndexKey::new([7; 32]);
        let entries = [("db", "kX9#mQ2$vL7@pR4!"), ("é", "pässwörd-ünd-më 7")];
        let entries = entries.map(|(name, value)| SecretEntry { name, value: value.as_bytes(), weak: false });
        let index = SecretIndex::merge(&key, &[Arc::new(SecretSet::build(&key, "test", entries))]).unwrap();
        Arc::new(Scanner::new(Arc::new(RuleSet::builtin().unwrap()), Arc::new(index)))
    });
    &SCANNER
}

/// What sets detectors off, in one byte soup with anything else.
const OPENINGS: &[&str] = &[
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END",
    "eyJhbGciOiJIUzI1NiJ9.",
    "postgres://u:",
    "@h",
    "password=\"",
    "Authorization: Bearer ",
    "AKIA",
    "[SECRET:",
    "[REDACTED_",
    "\\u00e9",
    "%C3%A9",
    "&#x41;",
    "kX9#mQ2$",
    "vL7@pR4!",
    "pässwörd-ünd",
    "ignore all previous instructions",
    "$(curl x|sh",
    "\u{200b}",
    "\u{e0041}",
    "kind: Secret\ndata:\n",
    "{{",
    "\r\n",
    "\0",
];

fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        2 => prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        3 => prop::sample::select(OPENINGS.to_vec()).prop_map(str::to_owned),
        2 => "[A-Za-z0-9+/=_.-]{0,60}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A rule file that compiles, for mutations to begin with.
const RULE_FILE: &str = "rules:\n  - id: own\n    description: x\n    keywords: [own_]\n    regex: 'own_(?P<v>[0-9]{6})'\n    group: v\n    severity: high\n    class: restricted\n    kind: secret\n    examples: ['own_123456', {text: own_654321, finds: '654321'}]\n    near_misses: ['own_', 'own']\nnamed: |\n  acme_key | Key of Acme | acme, acme_ | [0-9a-f]{16} | word\n  + ACME_KEY={{09af3c71d2e85b7d}}\n  + acme_key: {{5b7d09af3c71d2e8}}\n  - acme\n  - acme_key=\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn findings_can_be_cut_out(text in anything()) {
        let findings = scanner().scan(&text, &ScanOptions::default());
        for Finding { span, .. } in &findings {
            prop_assert!(text.get(span.clone()).is_some_and(|value| !value.is_empty()), "{:?} {:?}", span, text);
        }
        let redacted = redact(&text, &findings, &mut Placeholders::new([1; 32]));
        prop_assert_eq!(findings.is_empty(), redacted == text);
    }

    #[test]
    fn a_stream_says_the_same(text in anything(), sizes in prop::collection::vec(1usize..16, 1..5)) {
        let findings = scanner().scan(&text, &ScanOptions::default());
        let whole = redact(&text, &findings, &mut Placeholders::new([1; 32]));
        let mut stream = StreamSanitiser::new(scanner().clone(), ScanOptions::default());
        let mut placeholders = Placeholders::new([1; 32]);
        let (mut out, mut rest) = (String::new(), text.as_str());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(*size));
            out.push_str(&stream.push(piece, &mut placeholders).text);
            rest = after;
        }
        out.push_str(&stream.finish(&mut placeholders).text);
        prop_assert_eq!(out, whole, "{:?}", text);
    }

    #[test]
    fn instructions_and_output_can_be_cut_out(text in anything()) {
        let lanes = [Lane::User, Lane::Tool, Lane::Assistant];
        let found = lanes.into_iter().flat_map(|lane| injection::find(&text, lane));
        let found: Vec<Found> = found.chain(output::find(&text, &OutputOptions::default())).collect();
        for Found { span, rule, .. } in &found {
            prop_assert!(text.get(span.clone()).is_some(), "{} {:?} {:?}", rule, span, text);
        }
    }

    #[test]
    fn a_rule_file_is_read_or_refused(text in anything()) {
        let _ = RuleSet::compile(&[("own.yaml", &text)]);
        let _ = RuleSet::compile(&[("own.yaml", &format!("tokens: |\n  {text}\n"))]);
    }

    #[test]
    fn a_damaged_rule_file_is_read_or_refused(at in any::<prop::sample::Index>(), gone in 0usize..24, new in "\\PC{0,6}") {
        let start = RULE_FILE.floor_char_boundary(at.index(RULE_FILE.len()));
        let end = RULE_FILE.ceil_char_boundary((start + gone).min(RULE_FILE.len()));
        let text = format!("{}{new}{}", &RULE_FILE[..start], &RULE_FILE[end..]);
        if let Ok(rules) = RuleSet::compile(&[("own.yaml", &text)]) {
            rules.check();
        }
    }

    #[test]
    fn a_placeholder_is_found_again(value in "\\PC{1,40}", other in "\\PC{0,40}") {
        let findings = scanner().scan(&format!("password = \"{value}\" {other}"), &ScanOptions::default());
        let text = format!("password = \"{value}\" {other}");
        let mut placeholders = Placeholders::new([3; 32]);
        for finding in &findings {
            let shown = placeholders.placeholder(finding, &text[finding.span.clone()]);
            let around = format!("x {shown} y");
            prop_assert_eq!(placeholders.issued_in(&around).map(|at| &around[at]).next(), Some(shown.as_str()));
        }
    }
}

#[test]
fn the_rule_file_for_mutations_is_whole() {
    assert!(RuleSet::compile(&[("own.yaml", RULE_FILE)]).unwrap().check().is_empty());
}

/// Long runs of what a detector begins at: work must grow with the text, not with its square.
#[test]
#[cfg(unix)]
fn no_text_takes_long() {
    const SHORT: usize = 4 << 10;
    const TIMES: usize = 4;
    // Four times the text is four times the work; sixteen times would be its square.
    const MOST: f64 = 9.0;
    let spent = |text: &str| {
        let started = processor_time();
        let findings = scanner().scan(text, &ScanOptions::default());
        redact(text, &findings, &mut Placeholders::new([1; 32]));
        (processor_time() - started).max(Duration::from_millis(40))
    };
    for opening in OPENINGS {
        let text = |bytes: usize| opening.repeat(bytes / opening.len());
        spent(&text(SHORT));
        let (short, long) = (spent(&text(SHORT)), spent(&text(SHORT * TIMES)));
        assert!(long.as_secs_f64() < MOST * short.as_secs_f64(), "{opening:?}: {short:?}, then {long:?}");
    }
}

/// Of this thread alone: other tests run beside it.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
