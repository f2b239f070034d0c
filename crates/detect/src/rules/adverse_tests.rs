//! No text makes a rule work without end: each is tried with its own words again and again, an example cut short and long
//! runs, and the steps are counted.

use super::*;

const BYTES: usize = 1024;
/// Steps that a rule may take for each byte of a text that is made against it. A step takes some two nanoseconds.
const MOST: usize = 24;

fn texts(rule: &Rule) -> Vec<String> {
    let again = |part: &str| part.repeat(BYTES / part.len().max(1) + 1);
    let mut texts = Vec::new();
    for keyword in rule.keywords.iter().take(2) {
        texts.extend([again(keyword), again(&format!("{keyword} "))]);
    }
    let Some(example) = rule.examples.first().map(|example| example.text.as_str()) else { return texts };
    let cut = |length: usize| &example[..example.floor_char_boundary(length)];
    let (half, short) = (cut(example.len() / 2), cut(example.len() - 1));
    let word = example.split([' ', '=', ':', '"', '\n']).next().unwrap_or(example);
    texts.extend([again(&format!("{short} ")), again(&format!("{half} ")), again(&format!("{word} "))]);
    texts.extend([again(half), again(&format!("{example}\n"))]);
    texts.extend(["a", " ", "0", "\"", "ab "].map(|run| format!("{half}{}", again(run))));
    texts
}

fn slow(rules: &RuleSet, some: &[Rule]) -> Vec<(usize, String)> {
    let worst = some.iter().filter_map(|rule| {
        let tried = texts(rule).into_iter().map(|text| {
            effort::taken();
            rules.matches(text.as_bytes(), 0, |one| one.id == rule.id);
            (effort::taken() / text.len(), text)
        });
        let (steps, text) = tried.max_by_key(|(steps, _)| *steps)?;
        let start: String = text.chars().take(60).collect();
        Some((steps, format!("{steps:>6} {}: {start:?}", rule.id)))
    });
    worst.filter(|(steps, _)| *steps > MOST).collect()
}

#[test]
fn no_text_makes_a_rule_work_without_end() {
    let rules = RuleSet::builtin().unwrap();
    let share = rules.len().div_ceil(std::thread::available_parallelism().map_or(2, usize::from));
    let mut slow: Vec<_> = std::thread::scope(|scope| {
        let shares: Vec<_> =
            rules.rules().chunks(share).map(|some| scope.spawn(|| slow(&rules, some))).collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    });
    slow.sort_unstable_by(|a, b| b.cmp(a));
    let slow: Vec<_> = slow.into_iter().map(|(_, line)| line).collect();
    assert!(slow.is_empty(), "{} rules:\n{}", slow.len(), slow.join("\n"));
}

/// Each word begins a try that goes on for hundreds of characters and finds nothing.
#[test]
fn a_wide_gap_behind_a_common_word_does_not_pass() {
    const RULE: &str = r#"rules:
  - id: wide
    description: a gap behind a word
    keywords: [curl]
    regex: '\bcurl[ \t](?:[^\n|;\\]|\\[^|]){0,300}?[ \t](?:-u|--user)[ \t]([^\s:]{1,80}:[^\s]{6,200})'
    group: '1'
    severity: high
    class: restricted
    kind: secret
    examples: ['curl -u ci:c2hD1KhqXOpV7k', 'curl -s -u ci:c2hD1KhqXOpV7k']
    near_misses: ['curl -u ci', 'curl ci']
"#;
    let rules = RuleSet::compile(&[("own.yaml", RULE)]).unwrap();
    let slow = slow(&rules, rules.rules());
    assert!(slow.first().is_some_and(|(steps, _)| *steps > 4 * MOST), "{slow:?}");
}
