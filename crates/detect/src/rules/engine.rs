//! One pass over a text for all rules: keywords and gates say where, the rule's own regex says what.
//!
//! Finds exactly what each regex would find alone: every match holds a keyword or passes the gate,
//! and the stretch that is searched reaches as far around it as a match can.

use std::ops::Range;
use std::sync::Arc;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind};

use super::RuleSet;
use super::file::{Pattern, Reach, Rule, syntax_config};
use super::keywords::SHORTEST;
use super::named::Following;
use super::scored::Verdicts;
use super::tails::Tails;
use super::validators::{Seen, shannon};

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
        let mut found = Vec::new();
        let mut verdicts = Verdicts::default();
        let (places, named) = self.places(text, from, wanted);
        for (number, windows) in self.windows(text, from, places) {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            for window in windows {
                each_match(rule, text, window, |whole, span, core| {
                    let accepted = accepts(rule, text, &whole, &span, &mut verdicts);
                    found.push(RuleMatch { rule: number as usize, whole, span, core, accepted });
                });
            }
        }
        self.each_named(text, named, |number, rule, whole, span| {
            let accepted = accepts(rule, text, &whole, &span, &mut verdicts);
            found.push(RuleMatch { rule: number as usize, whole, span, core: None, accepted });
        });
        found
    }

    /// Matches behind names, as each rule's regex alone would find them: from the left, and none within another.
    fn each_named(
        &self,
        text: &[u8],
        mut places: Vec<NamedPlace>,
        mut each: impl FnMut(u32, &Rule, Range<usize>, Range<usize>),
    ) {
        places.sort_unstable();
        let (mut last, mut done) = (None, 0);
        for NamedPlace { rule: number, start, name: _, end } in places {
            if last != Some(number) {
                (last, done) = (Some(number), 0);
            }
            let Some(rule) = self.rules.get(number as usize).filter(|_| start >= done) else { continue };
            let Pattern::Named(following) = &rule.pattern else { continue };
            if let Some((behind, span)) = following.find(text, end, text.len()) {
                done = behind;
                each(number, rule, start..behind, span);
            }
        }
    }

    /// Where rules may match, in no order: a rule, a keyword's start and end, and how far before it a match
    /// can begin.
    fn places(
        &self,
        text: &[u8],
        from: usize,
        wanted: impl Fn(&Rule) -> bool,
    ) -> (Vec<Place>, Vec<NamedPlace>) {
        let (mut places, mut named) = (Vec::new(), Vec::new());
        let mut add = |number: u32, start: usize, end: usize, before: Option<usize>| {
            let Some(rule) = self.rules.get(number as usize) else { return };
            let followed = rule.then.is_empty() || is_followed(text, end, &rule.then);
            if followed && wanted(rule) {
                places.push((number, start, end, before));
            }
        };
        self.keywords.each(text, from, |word, start, end| {
            let Some(waiting) = self.waiting.get(word) else { return };
            for (number, name) in &waiting.named {
                let Some(rule) = self.rules.get(*number as usize).filter(|rule| wanted(rule)) else {
                    continue;
                };
                if matches!(&rule.pattern, Pattern::Named(following) if following.may_follow(text, end)) {
                    named.push(NamedPlace { rule: *number, start, name: *name, end });
                }
            }
            if waiting.rules.is_empty() {
                return;
            }
            let tails = waiting.tails.get_or_init(|| Box::new(Tails::of(&self.rules, &waiting.rules)));
            tails.each(text, start, |number, before| add(number, start, end, before));
            tails.others.iter().for_each(|number| add(*number, start, end, None));
        });
        for number in &self.gated {
            let Some(rule) = self.rules.get(*number as usize) else { continue };
            if let Some(gate) = rule.gate.as_ref().filter(|_| wanted(rule)) {
                // A gate looks one match-length back, since a match may begin before its hit.
                gate.each(text.get(from..).unwrap_or_default(), |start, end| {
                    add(*number, from + start, from + end, None);
                });
            }
        }
        (places, named)
    }

    /// Per rule the stretches where it may match: apart, in order.
    fn windows(&self, text: &[u8], from: usize, mut places: Vec<Place>) -> Vec<(u32, Vec<Range<usize>>)> {
        places.sort_unstable();
        let mut windows: Vec<(u32, Vec<Range<usize>>)> = Vec::new();
        for (number, start, end, before) in places {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            let from = before.map_or(from, |before| start.saturating_sub(before).max(from));
            match windows.last_mut() {
                Some((last, windows)) if *last == number => widen(windows, rule, text, from, start, end),
                _ => {
                    let mut first = Vec::new();
                    widen(&mut first, rule, text, from, start, end);
                    windows.push((number, first));
                }
            }
        }
        windows
    }

    /// The first place at `from` or after from which some rule may still come to match beyond the
    /// end of the text. Beginnings further back than `reach` are given up.
    pub(crate) fn first_opening(&self, text: &[u8], from: usize, reach: usize) -> Option<usize> {
        let start = text.len().saturating_sub(reach).max(from);
        self.liveness()?.first(text, start)
    }

    pub(super) fn liveness(&self) -> Option<&Liveness> {
        self.liveness.get_or_init(|| Liveness::of(&self.rules)).as_ref()
    }
}

type Place = (u32, usize, usize, Option<usize>);

/// A name behind which a rule may match. Sorted, of two that begin together the one that its row names first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct NamedPlace {
    rule: u32,
    start: usize,
    name: u32,
    end: usize,
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

/// Whether one of `marks` comes after the rest of a name, a closing quote or bracket, and blanks.
fn is_followed(text: &[u8], from: usize, marks: &[u8]) -> bool {
    const FURTHEST: usize = 64;
    for byte in text.get(from..).unwrap_or_default().iter().take(FURTHEST) {
        if marks.contains(byte) {
            return true;
        }
        if !byte.is_ascii_alphanumeric() && !b"_-. \t\"']".contains(byte) {
            return false;
        }
    }
    false
}

fn each_match(
    rule: &Rule,
    text: &[u8],
    window: Range<usize>,
    mut each: impl FnMut(Range<usize>, Range<usize>, Option<Range<usize>>),
) {
    let Some(regex) = rule.regex() else { return };
    let plain = rule.groups.is_empty() && rule.core.is_none();
    let mut captures = (!plain).then(|| regex.create_captures());
    let mut input = Input::new(text).range(window.clone());
    while let Some(found) = regex.find(input.clone()) {
        let whole = found.range();
        let (span, core) = match &mut captures {
            None => (Some(whole.clone()), None),
            Some(captures) => {
                let again = Input::new(text).range(whole.start..window.end).anchored(Anchored::Yes);
                regex.captures(again, captures);
                let part = |group: usize| captures.get_group(group).map(|span| span.range());
                let span = match rule.groups.as_slice() {
                    [] => part(0),
                    groups => groups.iter().find_map(|group| part(*group)),
                };
                (span, rule.core.and_then(part))
            }
        };
        if let Some(span) = span.filter(|span| !span.is_empty()) {
            each(whole.clone(), span, core);
        }
        input.set_start(whole.end);
    }
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
    let Some(check) = rule.check else { return true };
    let seen = Seen { text, whole: whole.clone(), span: span.clone(), value };
    if rule.scored { verdicts.scored(&seen) } else { check(&seen) }
}

/// The regexes of all rules; those that go on alike behind their names are one.
fn patterns(rules: &[Rule]) -> Vec<String> {
    let mut named: Vec<(&Arc<Following>, Vec<String>)> = Vec::new();
    let mut patterns = Vec::new();
    for rule in rules {
        match &rule.pattern {
            Pattern::Own(regex) => patterns.push(regex.clone()),
            Pattern::Named(following) => {
                match named.iter_mut().find(|(known, _)| Arc::ptr_eq(known, following)) {
                    Some((_, names)) => names.extend(rule.keywords.iter().cloned()),
                    None => named.push((following, rule.keywords.clone())),
                }
            }
        }
    }
    patterns.extend(named.into_iter().map(|(following, names)| following.after(&names)));
    patterns
}

/// All rules in one automaton that is asked a single question: can a match from here still grow?
pub(super) struct Liveness {
    dfa: DFA,
    caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
}

impl Liveness {
    /// None without rules. A set too large for one automaton can't be: each rule is bounded.
    pub(super) fn of(rules: &[Rule]) -> Option<Liveness> {
        if rules.is_empty() {
            return None;
        }
        let patterns = patterns(rules);
        let dfa = DFA::builder()
            .syntax(syntax_config())
            .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
            // Every way to match stays alive, not only the preferred one.
            .configure(
                DFA::config()
                    .match_kind(MatchKind::All)
                    .skip_cache_capacity_check(true)
                    .cache_capacity(8 << 20),
            )
            .build_many(&patterns)
            .ok()?;
        let maker = dfa.clone();
        let caches: Box<dyn Fn() -> Cache + Send + Sync> = Box::new(move || maker.create_cache());
        Some(Liveness { dfa, caches: Pool::new(caches) })
    }

    fn first(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut cache = self.caches.get();
        (from..text.len()).find(|start| self.lives(&mut cache, text, *start))
    }

    fn lives(&self, cache: &mut Cache, text: &[u8], start: usize) -> bool {
        let input = Input::new(text).range(start..text.len()).anchored(Anchored::Yes);
        // An automaton that gives up says nothing, so the text waits.
        let Ok(mut state) = self.dfa.start_state_forward(cache, &input) else { return true };
        for byte in text.get(start..).unwrap_or_default() {
            state = match self.dfa.next_state(cache, state, *byte) {
                Ok(next) if next.is_dead() => return false,
                Ok(next) => next,
                Err(_) => return true,
            };
        }
        true
    }
}
