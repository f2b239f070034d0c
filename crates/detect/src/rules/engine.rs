//! One pass over a text for all rules: keywords and gates say where, the rule's own regex says what.
//!
//! Finds exactly what each regex would find alone: every match holds a keyword or passes the gate,
//! and the stretch that is searched reaches as far around it as a match can.

use std::ops::Range;

use regex_automata::{Anchored, Input};

use super::effort;
use super::file::{Pattern, Reach, Rule, followed};
use super::keywords::SHORTEST;
use super::program::{Outcome, Program, Scratch, TRY};
use super::reader::Reader;
use super::scored::{self, Verdicts};
use super::starts::{Start, Trial};
use super::validators::{Seen, shannon};
use super::{Ready, RuleSet};

/// One match of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleMatch {
    pub(crate) rule: usize,
    /// The whole match, context included.
    pub(crate) whole: Range<usize>,
    pub(crate) span: Range<usize>,
    pub(crate) core: Option<Range<usize>>,
    /// Whether it passed entropy and validator.
    pub(crate) accepted: bool,
}

impl RuleSet {
    /// All matches that begin at `from` or after, of the rules that `wanted` names.
    pub(crate) fn matches(&self, text: &[u8], from: usize, wanted: impl Fn(&Rule) -> bool) -> Vec<RuleMatch> {
        let mut scratch = Scratch::default();
        let (mut hits, places) = self.tried(text, from, &wanted, &mut scratch);
        for places in places.chunk_by(|a, b| a.0 == b.0) {
            let Some((number, ..)) = places.first() else { continue };
            let Some(rule) = self.rules.get(*number as usize) else { continue };
            around(rule, *number, text, from, places, &mut scratch, &mut hits);
        }
        hits.sort_unstable_by_key(|hit| (hit.rule, hit.whole.start, hit.name));
        let (mut last, mut done) = (None, 0);
        hits.retain(|hit| {
            if last != Some(hit.rule) {
                (last, done) = (Some(hit.rule), 0);
            }
            // From the left, and none within another.
            let stays = hit.whole.start >= done;
            done = if stays { hit.whole.end } else { done };
            stays && !hit.span.is_empty()
        });
        // Rules that find the same value judge it one after the other.
        hits.sort_unstable_by_key(|hit| (hit.span.start, hit.span.end, hit.whole.start));
        let mut verdicts = Verdicts::default();
        let mut judged = Vec::with_capacity(hits.len());
        for Hit { rule: number, whole, span, core, name: _ } in hits {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            let number = number as usize;
            let Some(reader) = rule.reader else {
                let accepted = accepts(rule, text, &whole, &span, &mut verdicts);
                judged.push(RuleMatch { rule: number, whole, span, core, accepted });
                continue;
            };
            let parts = secret_parts(reader, text, &whole);
            if parts.is_empty() {
                judged.push(RuleMatch { rule: number, whole, span, core, accepted: false });
                continue;
            }
            judged.extend(parts.into_iter().map(|span| RuleMatch {
                rule: number,
                whole: whole.clone(),
                span,
                core: None,
                accepted: true,
            }));
        }
        judged
    }

    /// What is found where a keyword is the beginning, and the places where a match may begin elsewhere.
    fn tried(
        &self,
        text: &[u8],
        from: usize,
        wanted: &impl Fn(&Rule) -> bool,
        scratch: &mut Scratch,
    ) -> (Vec<Hit>, Vec<Place>) {
        let (mut hits, mut places) = (Vec::new(), Vec::new());
        self.keywords.each(text, from, |word, start, end| {
            let Some(waiting) = self.waiting.get(word) else { return };
            for (number, name) in &waiting.named {
                let Some(rule) = self.rules.get(*number as usize) else { continue };
                let Pattern::Named(following) = &rule.pattern else { continue };
                let behind = following.find(text, end, scratch);
                if let Some((end, span)) = behind.filter(|_| wanted(rule)) {
                    hits.push(Hit { rule: *number, whole: start..end, name: *name, span, core: None });
                }
            }
            let ready = waiting.ready.get_or_init(|| {
                let ready = |(rule, name): &(u32, u32)| {
                    let behind = self.rules.get(*rule as usize)?.behind(*name as usize);
                    Some(Ready { rule: *rule, behind })
                };
                waiting.rules.iter().filter_map(ready).collect()
            });
            let mut seen = None;
            for Ready { rule: number, .. } in ready.iter().filter(|ready| ready.behind.may(text, end)) {
                let Some(rule) = self.rules.get(*number as usize) else { continue };
                let is_followed = rule.then.is_none_or(|then| {
                    let seen = seen.get_or_insert_with(|| followed(text, end));
                    !seen.is_apart_from(&then)
                });
                if !is_followed || !wanted(rule) {
                    continue;
                }
                match rule.trial() {
                    Some(Trial { program, start: Start::Keyword(_) }) if rule.is_short() => {
                        hits.extend(at(rule, program, *number, text, start, scratch));
                    }
                    Some(Trial { start: Start::Before { tail, .. }, .. })
                        if rule.is_short() && !may_be(tail, text, start, scratch) => {}
                    _ => places.push((*number, start, end)),
                }
            }
        });
        // A gate looks one match-length back, since a match may begin before its hit.
        self.gates.each(text.get(from..).unwrap_or_default(), |number, start, end| {
            let Some(rule) = self.rules.get(number as usize).filter(|rule| wanted(rule)) else { return };
            match rule.trial() {
                Some(Trial { start: Start::Before { tail, .. }, .. })
                    if !may_be(tail, text, from + start, scratch) => {}
                _ => places.push((number, from + start, from + end)),
            }
        });
        places.sort_unstable();
        (hits, places)
    }
}

/// A rule, and a keyword's start and end.
type Place = (u32, usize, usize);

/// What a rule finds at one place, whatever it finds at others.
struct Hit {
    rule: u32,
    whole: Range<usize>,
    /// Of two names that begin together the regex prefers the one that its row names first.
    name: u32,
    span: Range<usize>,
    core: Option<Range<usize>>,
}

/// Steps that all tries of one rule may take for each byte of a text, and once more [`TRY`].
const TRIES_A_BYTE: usize = 64;

/// No, or perhaps.
fn may_be(program: &Program, text: &[u8], at: usize, scratch: &mut Scratch) -> bool {
    program.find(text, at, scratch, &mut TRY.clone()) != Outcome::Nothing
}

/// What the rule finds at this very place.
fn at(
    rule: &Rule,
    program: &Program,
    number: u32,
    text: &[u8],
    start: usize,
    scratch: &mut Scratch,
) -> Option<Hit> {
    match program.find(text, start, scratch, &mut TRY.clone()) {
        Outcome::Nothing => None,
        Outcome::Match(end) => Some(taken(rule, number, start..end, scratch)),
        Outcome::Unknown => {
            let input = Input::new(text).range(start..).anchored(Anchored::Yes);
            let mut hits = Vec::new();
            by_engine(rule, number, input, &mut hits);
            hits.into_iter().next()
        }
    }
}

/// A match whose groups are in `scratch`.
fn taken(rule: &Rule, number: u32, whole: Range<usize>, scratch: &Scratch) -> Hit {
    let span = match rule.groups.len() {
        0 => whole.clone(),
        groups => (0..groups).find_map(|group| scratch.group(group)).unwrap_or(whole.end..whole.end),
    };
    let core = rule.core.and_then(|_| scratch.group(rule.groups.len()));
    Hit { rule: number, whole, name: 0, span, core }
}

/// Matches of one rule around its places, which come in order.
fn around(
    rule: &Rule,
    number: u32,
    text: &[u8],
    from: usize,
    places: &[Place],
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) {
    let Some(Trial { program, start }) = rule.trial() else {
        let windows = windows(rule, text, from, places);
        windows.into_iter().for_each(|window| by_engine(rule, number, Input::new(text).range(window), hits));
        return;
    };
    let starts: Vec<Range<usize>> = match start {
        Start::Keyword(_) => places.iter().map(|(_, start, _)| *start..start + 1).collect(),
        Start::Before { most, .. } => {
            places.iter().map(|(_, start, _)| start.saturating_sub(*most)..start + 1).collect()
        }
        Start::Anywhere => match (&rule.gate, rule.reach) {
            (Some(gate), Reach::Bytes(longest)) if gate.is_all_of(longest) => {
                places.iter().map(|(_, start, _)| *start..start + 1).collect()
            }
            _ => windows(rule, text, from, places),
        },
    };
    let mut budget = text.len().saturating_sub(from).saturating_mul(TRIES_A_BYTE).saturating_add(TRY);
    // Behind the last match, and nowhere twice.
    let mut next = from;
    for starts in starts {
        next = next.max(starts.start);
        while let Some(start) = program.next_try(text, next, starts.end) {
            next = match program.find(text, start, scratch, &mut budget) {
                Outcome::Nothing => start + 1,
                Outcome::Match(end) => {
                    hits.push(taken(rule, number, start..end, scratch));
                    end
                }
                Outcome::Unknown => {
                    return by_engine(rule, number, Input::new(text).range(start..), hits);
                }
            };
        }
    }
}

/// Stretches in which the rule may match: apart, in order.
fn windows(rule: &Rule, text: &[u8], from: usize, places: &[Place]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    for (_, start, end) in places {
        widen(&mut windows, rule, text, from, *start, *end);
    }
    windows
}

/// Adds the stretch around a keyword in which `rule` may match. Places come in order.
fn widen(windows: &mut Vec<Range<usize>>, rule: &Rule, text: &[u8], from: usize, start: usize, end: usize) {
    // On a long line each keyword would ask for the same window again.
    if rule.reach == Reach::Text && !windows.is_empty() {
        return;
    }
    if rule.reach == Reach::Line && windows.last().is_some_and(|last| last.end >= end) {
        return;
    }
    let window = match rule.reach {
        Reach::Bytes(longest) => {
            // By its start alone, so that windows come in order whatever the keyword's length.
            (start + SHORTEST).saturating_sub(longest).max(from)..(start + longest).min(text.len())
        }
        Reach::Line => {
            let before = text.get(from..start).unwrap_or_default();
            let after = text.get(end..).unwrap_or_default();
            let line_start = memchr::memrchr(b'\n', before).map_or(from, |at| from + at + 1);
            let line_end = memchr::memchr(b'\n', after).map_or(text.len(), |at| end + at);
            line_start..line_end
        }
        Reach::Text => from..text.len(),
    };
    match windows.last_mut() {
        Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
        _ => windows.push(window),
    }
}

/// Every match of the rule's own regex.
fn by_engine(rule: &Rule, number: u32, input: Input<'_>, hits: &mut Vec<Hit>) {
    let Some(regex) = rule.regex() else { return };
    let mut captures = regex.create_captures();
    let mut input = input;
    loop {
        regex.captures(input.clone(), &mut captures);
        effort::searched(captures.get_match().map_or(input.end(), |found| found.end()) - input.start());
        let Some(whole) = captures.get_match().map(|found| found.range()) else { return };
        let part = |group: usize| captures.get_group(group).map(|span| span.range());
        let span = match rule.groups.as_slice() {
            [] => whole.clone(),
            groups => groups.iter().find_map(|group| part(*group)).unwrap_or(whole.end..whole.end),
        };
        input.set_start(whole.end);
        hits.push(Hit { rule: number, whole, name: 0, span, core: rule.core.and_then(part) });
    }
}

/// The values in a match of many that are likely secrets.
pub(super) fn secret_parts(reader: Reader, text: &[u8], whole: &Range<usize>) -> Vec<Range<usize>> {
    let parts = reader.read(text, whole).into_iter();
    parts.filter(|part| scored::is_secret_part(text, whole, part)).map(|part| part.span).collect()
}

pub(super) fn accepts(
    rule: &Rule,
    text: &[u8],
    whole: &Range<usize>,
    span: &Range<usize>,
    verdicts: &mut Verdicts,
) -> bool {
    let value = text.get(span.clone()).unwrap_or_default();
    if rule.entropy.is_some_and(|least| shannon(value) < least) {
        return false;
    }
    let seen = Seen::of(text, whole, span);
    // What everybody may read is nobody's secret; the strict profile has rules of its own for it.
    if !rule.strict_only && crate::shape::is_published(seen.value()) {
        return false;
    }
    let Some(check) = rule.check else { return true };
    if rule.scored { verdicts.scored(&seen) } else { check(&seen) }
}
