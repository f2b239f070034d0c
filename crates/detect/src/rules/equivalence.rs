//! The fast path finds exactly what each regex finds alone, over the whole text.

use proptest::prelude::*;
use regex_automata::Input;

use super::engine::{accepts, secret_parts};
use super::scored::Verdicts;
use super::*;

type Found = (usize, usize, usize);

fn alone(rules: &RuleSet, text: &[u8]) -> Vec<Found> {
    let mut all = Vec::new();
    for (number, rule) in rules.rules().iter().enumerate() {
        let mut at = 0;
        let regex = rule.regex().unwrap();
        while let Some(found) = regex.find(Input::new(text).range(at..text.len())) {
            let whole = found.range();
            at = whole.end;
            if let Some(reader) = rule.reader {
                let parts = secret_parts(reader, text, &whole);
                all.extend(parts.into_iter().map(|span| (number, span.start, span.end)));
                continue;
            }
            let mut captures = regex.create_captures();
            let again =
                Input::new(text).range(whole.start..text.len()).anchored(regex_automata::Anchored::Yes);
            regex.captures(again, &mut captures);
            let groups = if rule.groups.is_empty() { &[0][..] } else { &rule.groups };
            let span = groups.iter().find_map(|group| captures.get_group(*group)).map(|span| span.range());
            if let Some(span) = span.filter(|span| {
                !span.is_empty() && accepts(rule, text, &whole, span, &mut Verdicts::default())
            }) {
                all.push((number, span.start, span.end));
            }
        }
    }
    all.sort_unstable();
    all
}

fn together(rules: &RuleSet, text: &[u8]) -> Vec<Found> {
    let found = rules.matches(text, 0, |_| true).into_iter().filter(|found| found.accepted);
    let mut all: Vec<Found> = found.map(|found| (found.rule, found.span.start, found.span.end)).collect();
    all.sort_unstable();
    all
}

fn rules() -> &'static RuleSet {
    static RULES: std::sync::LazyLock<RuleSet> = std::sync::LazyLock::new(|| RuleSet::builtin().unwrap());
    &RULES
}

/// All examples and near misses: what the fuzzed text is made of.
fn scraps() -> &'static [String] {
    static SCRAPS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let texts = rules().rules().iter().flat_map(|rule| {
            rule.examples.iter().map(|example| example.text.clone()).chain(rule.near_misses.iter().cloned())
        });
        texts.collect()
    });
    &SCRAPS
}

/// Examples cut, joined, doubled and sprinkled with what holds them together.
pub(crate) fn mixed_text() -> impl Strategy<Value = String> {
    let scrap =
        (0..scraps().len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>());
    let piece = prop_oneof![
        5 => scrap.prop_map(|(which, from, to, whole)| {
            let text = &scraps()[which];
            let (from, to) = (text.floor_char_boundary(from.index(text.len())), text.floor_char_boundary(to.index(text.len())));
            if whole || from >= to { text.clone() } else { text[from..to].to_owned() }
        }),
        2 => "[ \n\t=:\"'`\\\\,.@/_-]{1,3}",
        1 => "[a-zA-Z0-9 ]{1,20}",
        1 => "\\PC{1,6}",
        1 => prop::sample::select(vec!["[REDACTED]", "[SECRET:db]", "[REDACTED_AWS_KEY]", "[SECRET:", "\\n", "password", "token="]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 1..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn on_fuzzed_text(text in mixed_text()) {
        prop_assert_eq!(together(rules(), text.as_bytes()), alone(rules(), text.as_bytes()), "{}", text);
    }
}

#[test]
fn a_name_in_marks_is_followed_as_any_other() {
    for (open, close) in [("`", "`"), ("\\\"", "\\\""), ("['", "']"), ("\"", "\"")] {
        let text = format!("{{{open}api_key{close}: \"XkdinIozJie4VcgL0dgMY4oyuCN12xkS\"}}");
        let found = together(rules(), text.as_bytes());
        assert!(!found.is_empty(), "{text}");
        assert_eq!(found, alone(rules(), text.as_bytes()), "{text}");
    }
}

#[test]
fn on_real_text() {
    let sources =
        [include_str!("validators.rs"), include_str!("tests.rs"), include_str!("../../../../Cargo.lock")];
    for file in sources.into_iter().chain(super::BUILTIN.iter().map(|(_, file)| *file)) {
        // More than a thousand regexes read every byte alone: three stretches of each file are enough.
        for third in 0..3 {
            let start = file.floor_char_boundary(file.len().saturating_sub(STRETCH) * third / 2);
            let end = file.floor_char_boundary(start + STRETCH);
            let text = file.get(start..end).unwrap();
            assert_eq!(together(rules(), text.as_bytes()), alone(rules(), text.as_bytes()));
        }
    }
}

/// Bytes of a file that are read at once.
const STRETCH: usize = 4096;
