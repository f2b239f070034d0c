//! A program finds what a regex engine finds.

use proptest::prelude::*;
use regex_automata::{Anchored, Input};

use super::*;
use crate::rules::file::{compile, parse_regex};

fn regex() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a", "b", "_", "[ab]", "[^a]", "[a-c_]", r"\w", r"\b", "ab", "(?i:ab)", "(?i:a_b)", "^", "$",
        "(?m:^)", "(?m:$)", r"\B", "=", "[^=]",
    ]);
    atom.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            inner.clone().prop_map(|part| format!("({part})")),
            (
                inner,
                prop::sample::select(
                    vec!["?", "*", "+", "??", "*?", "+?", "{2}", "{1,3}", "{0,4}?", "{2,}",]
                )
            )
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn as_an_engine_does(regex in regex(), text in "[abAB_= \n]{0,24}") {
        let hir = parse_regex(&regex).unwrap();
        let groups: Vec<usize> = (1..=hir.properties().explicit_captures_len().min(MOST_GROUPS)).collect();
        let Some(program) = Program::of(&hir, &groups) else { return Ok(()) };
        let engine = compile(&regex).unwrap();
        let mut scratch = Scratch::default();
        for start in 0..=text.len() {
            let found = program.find(text.as_bytes(), start, &mut scratch, &mut TRY.clone());
            prop_assume!(found != Outcome::Unknown);
            let mut captures = engine.create_captures();
            engine.captures(Input::new(&text).range(start..).anchored(Anchored::Yes), &mut captures);
            let whole = captures.get_match().map(|whole| whole.end());
            prop_assert_eq!(found, whole.map_or(Outcome::Nothing, Outcome::Match), "{:?} at {}", regex, start);
            if whole.is_some() {
                for (number, group) in groups.iter().enumerate() {
                    let expected = captures.get_group(*group).map(|span| span.range());
                    prop_assert_eq!(scratch.group(number), expected, "group {} of {:?} at {}", group, regex, start);
                }
            }
        }
    }

    #[test]
    fn no_place_of_a_match_is_passed_over(regex in regex(), text in "[abAB_= \n]{30,70}", from in 0usize..8) {
        let Some(program) = Program::of(&parse_regex(&regex).unwrap(), &[]) else { return Ok(()) };
        let worth = |at: &usize| program.may_find(text.as_bytes(), *at);
        let mut next = from;
        let mut found = Vec::new();
        while let Some(at) = program.next_try(text.as_bytes(), next, text.len()) {
            found.push(at);
            next = at + 1;
        }
        prop_assert_eq!(found, (from..text.len()).filter(worth).collect::<Vec<_>>(), "{:?}", regex);
    }

    /// What may grow to a match is told: some text behind it makes one, or it is one already.
    #[test]
    fn what_may_grow_is_told(regex in regex(), text in "[abAB_= \n]{0,10}", more in "[abAB_= \n]{0,10}") {
        let hir = parse_regex(&regex).unwrap();
        let Some(program) = Program::of(&hir, &[]) else { return Ok(()) };
        let mut scratch = Scratch::default();
        let whole = [text.as_str(), more.as_str()].concat();
        for start in 0..text.len() {
            let found = program.find(whole.as_bytes(), start, &mut scratch, &mut TRY.clone());
            if matches!(found, Outcome::Match(end) if end >= text.len()) {
                prop_assert!(program.may_grow(text.as_bytes(), start, &mut scratch), "{:?} at {}", regex, start);
            }
        }
    }
}

#[test]
fn a_budget_ends_what_would_take_too_long() {
    let program = Program::of(&parse_regex("(?:a|aa)+b").unwrap(), &[]).unwrap();
    let text = "a".repeat(64);
    let mut budget = TRY;
    let found = program.find(text.as_bytes(), 0, &mut Scratch::default(), &mut budget);
    assert_eq!((found, budget), (Outcome::Unknown, 0));
}

#[test]
fn what_may_stand_behind_a_beginning() {
    let behind = |regex: &str, head: &str| {
        let program = Program::of(&parse_regex(regex).unwrap(), &[]).unwrap();
        let set = program.behind(head.as_bytes());
        let bytes: String = (0..128u8).filter(|byte| set.has(*byte)).map(char::from).collect();
        (bytes, set.may(b"", 0))
    };
    assert_eq!(behind("(?i)(?:key|token)[ \t]{1,4}x", "key"), ("\t ".to_owned(), false));
    assert_eq!(behind("(?:key|keyring)s?(?:=|: )", "key"), (":=Rrs".to_owned(), false));
    assert_eq!(behind("a[b-d]{2,4}(?:[xy]z)*!", "abc"), ("!bcdxy".to_owned(), false));
    assert_eq!(behind(r"\bab\b", "AB").0.len(), 128, "whatever ends the word");
    assert!(behind("ab", "ab").1, "or the text");
}

proptest! {
    #[test]
    fn nothing_else_stands_behind_a_beginning(regex in regex(), text in "[abAB_= \n]{0,8}", head in 0usize..6) {
        let Some(program) = Program::of(&parse_regex(&regex).unwrap(), &[]) else { return Ok(()) };
        let head = head.min(text.len());
        let Outcome::Match(end) = program.find(text.as_bytes(), 0, &mut Scratch::default(), &mut TRY.clone()) else {
            return Ok(());
        };
        if end > head {
            let behind = program.behind(text[..head].to_ascii_lowercase().as_bytes());
            prop_assert!(behind.may(text.as_bytes(), head), "{:?} in {:?}", regex, text);
        }
    }
}
