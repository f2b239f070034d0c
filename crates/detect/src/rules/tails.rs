//! What must follow a keyword before a rule's own regex is tried: one small automaton per keyword.
//!
//! Most keywords in a text are words: `token` in prose, `password` as a parameter. From the part of a
//! regex that begins with its keyword an automaton is made that only says *no* or *perhaps*; all rules
//! that wait for one keyword share it, so that their number costs nothing. It is built when its keyword
//! is first seen.

use regex_automata::dfa::{Automaton, dense};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind, PatternSet};
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::file::{Rule, parse_regex};

/// How far counted repetitions are followed, and how large the automaton may be that comes of it: less far where
/// it would be too large. It is built while a text waits, so what is given up is given up early.
const EFFORTS: [(u32, usize); 3] = [(24, 96 << 10), (4, 96 << 10), (1, 512 << 10)];
/// A tail that is sure to take so many bytes says enough.
const ENOUGH: usize = 32;

pub(super) struct Tails {
    /// The rules that the automaton speaks for, by its pattern numbers, and how far before the keyword a
    /// match of each can begin.
    rules: Vec<(u32, Option<usize>)>,
    automaton: Option<dense::DFA<Vec<u32>>>,
    /// Rules whose regex does not say what follows.
    pub(super) others: Vec<u32>,
}

impl Tails {
    pub(super) fn of(all: &[Rule], waiting: &[u32]) -> Tails {
        let (mut rules, mut hirs, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for number in waiting {
            let rule = all.get(*number as usize);
            let hir = rule.and_then(|rule| Some((parse_regex(&rule.pattern()).ok()?, rule)));
            match hir.and_then(|(hir, rule)| Some((first_part(&hir, &rule.keywords)?, hir))) {
                Some(((first, before), hir)) => {
                    rules.push((*number, before));
                    hirs.push((first, hir));
                }
                None => others.push(*number),
            }
        }
        let automaton = if hirs.is_empty() { None } else { build(&hirs) };
        if automaton.is_none() {
            others.extend(rules.drain(..).map(|(number, _)| number));
        }
        Tails { rules, automaton, others }
    }

    /// Calls `each` with every rule that may match around a keyword at `start`, and how far before it.
    pub(super) fn each(&self, text: &[u8], start: usize, mut each: impl FnMut(u32, Option<usize>)) {
        let Some(automaton) = self.automaton.as_ref().filter(|dfa| may_match(dfa, text, start)) else {
            return;
        };
        let mut patterns = PatternSet::new(automaton.pattern_len());
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let told = automaton.try_which_overlapping_matches(&input, &mut patterns).is_ok();
        for (number, (rule, before)) in self.rules.iter().enumerate() {
            let named = regex_automata::PatternID::new(number).is_ok_and(|id| patterns.contains(id));
            if named || !told {
                each(*rule, *before);
            }
        }
    }
}

/// How a text begins that a regex matches: an automaton that says *no* or *perhaps*.
#[derive(Debug)]
pub(super) struct Prefix(Option<dense::DFA<Vec<u32>>>);

impl Prefix {
    pub(super) fn of(hir: &Hir) -> Prefix {
        Prefix(build(&[(0, hir.clone())]))
    }

    pub(super) fn may_match(&self, text: &[u8], start: usize) -> bool {
        self.0.as_ref().is_none_or(|dfa| may_match(dfa, text, start))
    }
}

fn may_match(dfa: &dense::DFA<Vec<u32>>, text: &[u8], start: usize) -> bool {
    let Some(mut state) = dfa.universal_start_state(Anchored::Yes) else { return true };
    for byte in text.get(start..).unwrap_or_default() {
        state = dfa.next_state(state, *byte);
        if dfa.is_special_state(state) {
            if dfa.is_dead_state(state) {
                return false;
            }
            if dfa.is_match_state(state) || dfa.is_quit_state(state) {
                return true;
            }
        }
    }
    dfa.is_match_state(dfa.next_eoi_state(state))
}

/// An automaton for what each regex asks from one of its parts on.
fn build(hirs: &[(usize, Hir)]) -> Option<dense::DFA<Vec<u32>>> {
    EFFORTS.iter().find_map(|(counted, largest)| {
        let tails = hirs.iter().map(|(first, hir)| {
            let parts = flat(hir);
            liberal_start(parts.get(*first..).unwrap_or_default(), *counted)
        });
        automaton(&tails.collect::<Vec<_>>(), *largest)
    })
}

fn automaton(tails: &[Hir], largest: usize) -> Option<dense::DFA<Vec<u32>>> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(thompson::WhichCaptures::None)
        .nfa_size_limit(Some(largest));
    let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(tails).ok()?;
    let config = dense::Config::new()
        .start_kind(regex_automata::dfa::StartKind::Anchored)
        .match_kind(MatchKind::All)
        .accelerate(false)
        .dfa_size_limit(Some(largest))
        .determinize_size_limit(Some(4 * largest));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

/// The first part of a regex that begins with a keyword in every match, and the most bytes that come before it.
fn first_part(hir: &Hir, keywords: &[String]) -> Option<(usize, Option<usize>)> {
    let parts = flat(hir);
    let keywords: Vec<Vec<u8>> = keywords.iter().map(|word| word.to_ascii_lowercase().into_bytes()).collect();
    let first =
        (0..parts.len()).find(|first| begins_with(parts.get(*first..).unwrap_or_default(), &keywords))?;
    let before = parts.get(..first).unwrap_or_default();
    Some((first, before.iter().map(|part| part.properties().maximum_len()).sum()))
}

/// More liberal than the parts are: what it refuses, they refuse too.
fn liberal_start(parts: &[&Hir], counted: u32) -> Hir {
    let (mut start, mut sure) = (Vec::new(), 0);
    for part in parts {
        start.push(liberal(part, counted));
        sure += part.properties().minimum_len().unwrap_or(0);
        if sure >= ENOUGH {
            break;
        }
    }
    Hir::concat(start)
}

fn flat(hir: &Hir) -> Vec<&Hir> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    parts
}

fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(all) => all.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        _ => parts.push(hir),
    }
}

fn liberal(hir: &Hir, counted: u32) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(|part| liberal(part, counted)).collect();
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Capture(capture) => liberal(&capture.sub, counted),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min.min(counted),
            max: repetition.max.filter(|most| *most <= 1),
            greedy: true,
            sub: Box::new(liberal(&repetition.sub, counted)),
        }),
    }
}

/// Whether every text that the parts match begins with one of the keywords, whatever its case.
fn begins_with(parts: &[&Hir], keywords: &[Vec<u8>]) -> bool {
    if !matches!(parts.first().map(|part| part.kind()), Some(kind) if !matches!(kind, HirKind::Look(_) | HirKind::Empty))
    {
        return false;
    }
    let mut heads = Heads { open: vec![Vec::new()], closed: Vec::new() };
    for part in parts {
        heads.extend(part);
        if heads.open.is_empty() {
            break;
        }
    }
    let all: Vec<Vec<u8>> = heads.open.into_iter().chain(heads.closed).collect();
    !all.is_empty() && all.iter().all(|head| keywords.iter().any(|word| head.starts_with(word)))
}

/// How texts may begin, in lower case. What can't be followed any further is closed.
struct Heads {
    open: Vec<Vec<u8>>,
    closed: Vec<Vec<u8>>,
}

impl Heads {
    const LONGEST: usize = 24;
    const MOST: usize = 256;
    /// A class of more bytes is not spelt out.
    const WIDEST: usize = 8;

    fn extend(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => literal.0.iter().for_each(|byte| self.push(&[*byte])),
            HirKind::Class(Class::Bytes(class)) => {
                let bytes: Vec<u8> = class.iter().flat_map(|range| range.start()..=range.end()).collect();
                self.push(&bytes);
            }
            HirKind::Class(Class::Unicode(_)) => self.close(),
            HirKind::Capture(capture) => self.extend(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.extend(part)),
            HirKind::Alternation(parts) => {
                let from = std::mem::take(&mut self.open);
                let mut open = Vec::new();
                for part in parts {
                    self.open = from.clone();
                    self.extend(part);
                    open.append(&mut self.open);
                }
                self.open = open;
            }
            HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
                let without = self.open.clone();
                self.extend(&repetition.sub);
                self.open.extend(without);
            }
            HirKind::Repetition(repetition) => {
                for _ in 0..repetition.min.min(Self::LONGEST as u32) {
                    self.extend(&repetition.sub);
                }
                if repetition.max != Some(repetition.min) {
                    self.close();
                }
            }
        }
        if self.open.len() > Self::MOST {
            self.close();
        }
    }

    /// Every open head with each of the bytes behind it.
    fn push(&mut self, bytes: &[u8]) {
        let mut folded: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
        folded.sort_unstable();
        folded.dedup();
        if folded.len() > Self::WIDEST {
            return self.close();
        }
        let mut open = Vec::new();
        for head in self.open.drain(..) {
            if head.len() >= Self::LONGEST {
                self.closed.push(head);
                continue;
            }
            open.extend(folded.iter().map(|byte| [&head[..], &[*byte]].concat()));
        }
        self.open = open;
    }

    fn close(&mut self) {
        self.closed.append(&mut self.open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pattern: &str, keywords: &[&str], text: &str) -> Option<bool> {
        let keywords: Vec<String> = keywords.iter().map(|word| (*word).to_owned()).collect();
        let hir = parse_regex(pattern).unwrap();
        let dfa = build(&[(first_part(&hir, &keywords)?.0, hir)]).unwrap();
        Some(may_match(&dfa, text.as_bytes(), 0))
    }

    #[test]
    fn the_part_behind_the_keyword_decides() {
        let assignment =
            r#"(?i)(?P<name>[a-z_]{0,9}(?:secret|api[_-]?key)[a-z]{0,9})\s?[:=]\s?"?([a-z0-9]{8,})"#;
        let words = ["secret", "apikey", "api_key", "api-key"];
        assert_eq!(at(assignment, &words, "secretName = abcd1234"), Some(true));
        assert_eq!(at(assignment, &words, "API_key:abcd1234"), Some(true));
        assert_eq!(at(assignment, &words, "secret = abcd"), Some(false));
        assert_eq!(at(assignment, &words, "secrets are"), Some(false));
        assert_eq!(
            at(r"\b(?:ghp|gho)_\w{36}\b", &["ghp_", "gho_"], "ghp_0123456789012345678901234"),
            Some(true)
        );
        assert_eq!(at(r"\b(?:ghp|gho)_\w{36}\b", &["ghp_", "gho_"], "ghp_01234567890"), Some(false));
        assert_eq!(at(r"\b(?:ghp|gho)_\w{36}\b", &["ghp_"], "ghp_"), None);
        assert_eq!(at(r"[a-z]+_key=x", &["_key"], "_key=x"), Some(true));
    }
}
