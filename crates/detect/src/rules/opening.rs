//! Where the end of a text may still grow into a match: what a stream holds back.

use std::cmp::Ordering;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind};

use super::file::{Pattern, Rule, syntax_config};
use super::program::{Place, Scratch};
use super::starts::{Start, Trial};
use super::{RuleSet, Waiting};

/// What tells where matches may begin that their keyword, or so much of it as there is, does not begin.
pub(super) struct Openings {
    /// The keywords' numbers in the order of their letters.
    words: Vec<u32>,
    /// Where in them those begin that start with each byte; the end comes last.
    firsts: Vec<u32>,
    longest: usize,
    /// For each byte the rules that may begin with it, and where alone they do: most want a boundary, and most bytes
    /// stand at none.
    roaming: Vec<Vec<(Option<Place>, u32)>>,
    engine: Option<Engine>,
}

impl Openings {
    fn of(set: &RuleSet) -> Openings {
        let word = |number: &u32| set.keywords.word(*number as usize);
        let mut words: Vec<u32> = (0..set.waiting.len() as u32).collect();
        words.sort_unstable_by(|a, b| word(a).cmp(word(b)));
        let longest = words.iter().map(|number| word(number).len()).max().unwrap_or(0);
        let firsts = (0..=256)
            .map(|byte| {
                words.partition_point(|number| {
                    word(number).first().is_none_or(|first| u16::from(*first) < byte)
                })
            })
            .map(|at| at as u32)
            .collect();
        let mut roaming = vec![Vec::new(); 256];
        let mut others = Vec::new();
        for (rule, number) in set.rules.iter().zip(0..) {
            let Pattern::Own(regex) = &rule.pattern else { continue };
            match rule.trial() {
                None => others.push(regex.as_str()),
                Some(Trial { start: Start::Keyword(_), .. }) => {}
                Some(Trial { program, .. }) => {
                    let may = roaming
                        .iter_mut()
                        .zip(0..=u8::MAX)
                        .filter(|(_, byte)| program.may_begin(&[*byte], 0));
                    may.for_each(|(rules, _)| rules.push((program.place(), number)));
                }
            }
        }
        let engine = if others.is_empty() { None } else { Engine::of(&others) };
        Openings { words, firsts, longest, roaming, engine }
    }

    /// The keywords that start with a letter, small or capital, in order.
    fn starting(&self, letter: u8) -> &[u32] {
        let letter = usize::from(letter.to_ascii_lowercase());
        let bound = |at: usize| self.firsts.get(at).map_or(0, |bound| *bound as usize);
        self.words.get(bound(letter)..bound(letter + 1)).unwrap_or_default()
    }
}

impl RuleSet {
    /// The first place at `from` or after from which some rule may still come to match beyond the
    /// end of the text. Beginnings further back than `reach` are given up.
    pub(crate) fn first_opening(&self, text: &[u8], from: usize, reach: usize) -> Option<usize> {
        let openings = self.openings();
        let start = text.len().saturating_sub(reach).max(from);
        let mut scratch = Scratch::default();
        // A letter alone may begin a long run that some rule looks for: what is left to ask is little, then.
        let roams = |at: &usize| {
            let rules = text.get(*at).and_then(|byte| openings.roaming.get(usize::from(*byte)));
            let here = rules
                .into_iter()
                .flatten()
                .filter(|(place, _)| place.is_none_or(|place| place.is_at(text, *at)));
            let trials = here.map(|(_, number)| self.rules.get(*number as usize)?.trial());
            trials.flatten().any(|trial| trial.program.may_grow(text, *at, &mut scratch))
        };
        let mut first = (start..text.len()).find(roams).unwrap_or(text.len());
        let cut = (text.len().saturating_sub(openings.longest).max(start)..first)
            .find(|at| self.begins_keyword(openings, text, *at, &mut scratch));
        first = cut.unwrap_or(first);
        self.keywords.each(text, start, |word, at, end| {
            let waiting = self.waiting.get(word).filter(|_| at < first);
            if waiting.is_some_and(|waiting| self.may_grow(waiting, text, at, Some(end), &mut scratch)) {
                first = at;
            }
        });
        let by_engine = openings.engine.as_ref().and_then(|engine| engine.first(text, start, first));
        by_engine.or((first < text.len()).then_some(first))
    }

    pub(super) fn openings(&self) -> &Openings {
        self.openings.get_or_init(|| Openings::of(self))
    }

    /// Whether the text from `at` to its end is the beginning of a keyword, and of what a rule finds there.
    fn begins_keyword(&self, openings: &Openings, text: &[u8], at: usize, scratch: &mut Scratch) -> bool {
        let end = text.get(at..).unwrap_or_default();
        let words = end.first().map(|letter| openings.starting(*letter)).unwrap_or_default();
        let order = |number: &u32| {
            let word = self.keywords.word(*number as usize);
            let head = word.get(..end.len()).unwrap_or(word);
            head.iter().copied().cmp(end.iter().map(u8::to_ascii_lowercase))
        };
        let from = words.partition_point(|number| order(number) == Ordering::Less);
        let begun = words.get(from..).unwrap_or_default();
        begun.iter().take_while(|number| order(number) == Ordering::Equal).any(|number| {
            let waiting = self.waiting.get(*number as usize);
            waiting.is_some_and(|waiting| self.may_grow(waiting, text, at, None, scratch))
        })
    }

    /// Whether a rule that waits for the keyword at `at` may come to match from there. `end`: the keyword's, if all of
    /// it is there.
    fn may_grow(
        &self,
        waiting: &Waiting,
        text: &[u8],
        at: usize,
        end: Option<usize>,
        scratch: &mut Scratch,
    ) -> bool {
        let named = waiting.named.iter().filter_map(|(number, _)| self.rules.get(*number as usize));
        named.map(|rule| &rule.pattern).any(|pattern| match (pattern, end) {
            (Pattern::Named(following), Some(end)) => following.may_grow(text, end, scratch),
            (Pattern::Named(_), None) => true,
            (Pattern::Own(_), _) => false,
        }) || waiting.rules.iter().any(|(number, _)| {
            match self.rules.get(*number as usize).and_then(Rule::trial) {
                Some(Trial { program, start: Start::Keyword(_) }) => program.may_grow(text, at, scratch),
                _ => false,
            }
        })
    }
}

/// The rules that no program can run, in one automaton.
struct Engine {
    dfa: DFA,
    caches: Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync>>,
}

impl Engine {
    /// A set too large for one automaton can't be: each rule is bounded.
    fn of(regexes: &[&str]) -> Option<Engine> {
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
            .build_many(regexes)
            .ok()?;
        let maker = dfa.clone();
        let caches: Box<dyn Fn() -> Cache + Send + Sync> = Box::new(move || maker.create_cache());
        Some(Engine { dfa, caches: Pool::new(caches) })
    }

    fn first(&self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        let mut cache = self.caches.get();
        (from..to).find(|start| self.lives(&mut cache, text, *start))
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
