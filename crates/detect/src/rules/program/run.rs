//! The walk of a program through a text.

use super::super::effort;
use super::{Branch, How, NOWHERE, Open, Outcome, Place, Program, Scratch, Step};

/// Ways left open at once, at most: a text that asks for more is for a regex engine.
const MOST_OPEN: usize = 1 << 12;
/// Bytes of a run that cost as much as a step.
const BYTES_A_STEP: usize = 8;

impl Program {
    /// What the regex finds at `start`, of all it could find there the one it prefers. Takes from `budget` what it
    /// cost.
    pub(in crate::rules) fn find(
        &self,
        text: &[u8],
        start: usize,
        scratch: &mut Scratch,
        budget: &mut usize,
    ) -> Outcome {
        if !self.may_find(text, start) {
            return Outcome::Nothing;
        }
        let before = *budget;
        let outcome = self.run::<false>(text, start, scratch, budget);
        effort::spent(before - *budget);
        outcome
    }

    /// Whether what stands at `start` is the regex's, or may become its, with more text behind.
    pub(in crate::rules) fn may_grow(&self, text: &[u8], start: usize, scratch: &mut Scratch) -> bool {
        const BUDGET: usize = 1 << 14;
        // A budget that is spent says nothing, so the text waits.
        self.run::<true>(text, start, scratch, &mut BUDGET.clone()) != Outcome::Nothing
    }

    #[inline(always)]
    pub(in crate::rules) fn may_begin(&self, text: &[u8], at: usize) -> bool {
        self.sets.get(usize::from(self.first)).is_none_or(|first| first.may(text, at))
    }

    /// Where alone it begins, if that is told before any byte.
    pub(in crate::rules) fn place(&self) -> Option<Place> {
        self.place
    }

    /// The first place from `from` on and before `to` where a try is worth it.
    pub(in crate::rules) fn next_try(&self, text: &[u8], from: usize, to: usize) -> Option<usize> {
        /// Stretches that are shorter are not worth a search.
        const LEAST: usize = 32;
        if to.saturating_sub(from) < LEAST {
            return (from..to).find(|at| self.may_find(text, *at));
        }
        let mut at = from;
        loop {
            let rest = text.get(at..to)?;
            at += match *self.heads.as_slice() {
                _ if self.place == Some(Place::LineStart) => next_line(text, at, rest)?,
                [a] => memchr::memchr(a, rest)?,
                [a, b] => memchr::memchr2(a, b, rest)?,
                [a, b, c] => memchr::memchr3(a, b, c, rest)?,
                _ => return (at..to).find(|at| self.may_find(text, *at)),
            };
            if self.may_find(text, at) {
                return Some(at);
            }
            at += 1;
        }
    }

    #[inline(always)]
    pub(super) fn may_find(&self, text: &[u8], at: usize) -> bool {
        self.may_begin(text, at) && self.place.is_none_or(|place| place.is_at(text, at))
    }

    /// `GROWS`: is there a way that reaches the end of the text?
    fn run<const GROWS: bool>(
        &self,
        text: &[u8],
        start: usize,
        scratch: &mut Scratch,
        budget: &mut usize,
    ) -> Outcome {
        scratch.open.clear();
        scratch.slots.iter_mut().take(2 * self.groups).for_each(|slot| *slot = NOWHERE);
        let (mut step, mut at) = (self.start, start);
        loop {
            let Some(left) = budget.checked_sub(1).filter(|_| scratch.open.len() < MOST_OPEN) else {
                return Outcome::Unknown;
            };
            *budget = left;
            if GROWS && at >= text.len() {
                return Outcome::Match(at);
            }
            let Some(now) = self.steps.get(step as usize) else { return Outcome::Unknown };
            let next = match *now {
                Step::Match if GROWS => None,
                Step::Match => return Outcome::Match(at),
                Step::Bytes { from, len, next } => {
                    let wanted = self.bytes(from, len);
                    let found = text.get(at..text.len().min(at + wanted.len())).unwrap_or_default();
                    if GROWS && found.len() < wanted.len() && wanted.starts_with(found) {
                        return Outcome::Match(text.len());
                    }
                    (found == wanted).then_some((next, at + wanted.len()))
                }
                Step::Caseless { from, len, next } => {
                    let wanted = self.bytes(from, len);
                    let found = text.get(at..text.len().min(at + wanted.len())).unwrap_or_default();
                    if GROWS && found.len() < wanted.len() {
                        let begins = wanted.get(..found.len()).is_some_and(|w| found.eq_ignore_ascii_case(w));
                        if begins {
                            return Outcome::Match(text.len());
                        }
                    }
                    found.eq_ignore_ascii_case(wanted).then_some((next, at + wanted.len()))
                }
                Step::One { set, next } => {
                    let here = text.get(at).is_some_and(|byte| self.has(set, *byte));
                    here.then_some((next, at + 1))
                }
                Step::Run { set, least, most, next, how, .. } => {
                    let (least, most) = (least as usize, most as usize);
                    if how == How::Shortest {
                        self.shortest::<GROWS>(text, step, at, 0, scratch)
                    } else {
                        let run = self.run_of(text, set, at, most);
                        *budget = budget.saturating_sub(run / BYTES_A_STEP);
                        if GROWS && at + run >= text.len() {
                            return Outcome::Match(text.len());
                        }
                        match how {
                            _ if run < least => None,
                            How::Longest => self.longest(text, step, at, run, scratch),
                            _ => Some((next, at + run)),
                        }
                    }
                }
                Step::Branch { from, len, table } => {
                    let open = self.open_branches(text, from, len, table, at);
                    self.branch(from, open, at, scratch)
                }
                Step::Save { slot, next } => {
                    if let Some(held) = scratch.slots.get_mut(usize::from(slot)) {
                        let held = std::mem::replace(held, at);
                        scratch.take_back_later(Open::Slot { slot, held });
                    }
                    Some((next, at))
                }
                Step::Look { place, next } => place.is_at(text, at).then_some((next, at)),
                Step::Enter { counter, test } => {
                    scratch.count(counter, |_| 0);
                    Some((test, at))
                }
                Step::Back { counter, test } => {
                    scratch.count(counter, |count| count + 1);
                    Some((test, at))
                }
                Step::Test { counter, least, most, greedy, body, skip } => {
                    let count = scratch.counters.get(usize::from(counter)).copied().unwrap_or(0);
                    let (goes_on, ends) = (
                        count < most && self.may_take(text, body, at),
                        count >= least && self.may_take(text, skip, at),
                    );
                    let (first, second) = if greedy { (body, skip) } else { (skip, body) };
                    match (goes_on, ends) {
                        (true, true) => {
                            scratch.open.push(Open::Step { step: second.step, at });
                            Some((first.step, at))
                        }
                        (true, false) => Some((body.step, at)),
                        (false, true) => Some((skip.step, at)),
                        (false, false) => None,
                    }
                }
            };
            match next.or_else(|| self.last_open::<GROWS>(text, scratch)) {
                Some(next) => (step, at) = next,
                None => return Outcome::Nothing,
            }
        }
    }

    /// The way that was left open last.
    fn last_open<const GROWS: bool>(&self, text: &[u8], scratch: &mut Scratch) -> Option<(u32, usize)> {
        loop {
            let way = match scratch.open.pop()? {
                Open::Step { step, at } => Some((step, at)),
                Open::Branches { from, open, at } => self.branch(from, open, at, scratch),
                Open::Run { step, at, len } => match self.steps.get(step as usize)? {
                    Step::Run { how: How::Shortest, .. } => {
                        self.shortest::<GROWS>(text, step, at, len, scratch)
                    }
                    _ => self.longest(text, step, at, len, scratch),
                },
                Open::Slot { slot, held } => {
                    if let Some(now) = scratch.slots.get_mut(usize::from(slot)) {
                        *now = held;
                    }
                    None
                }
                Open::Count { counter, held } => {
                    if let Some(now) = scratch.counters.get_mut(usize::from(counter)) {
                        *now = held;
                    }
                    None
                }
            };
            if way.is_some() {
                return way;
            }
        }
    }

    /// The longest way through a run from `at`, of `most` bytes or less, behind which what follows may begin.
    fn longest(
        &self,
        text: &[u8],
        step: u32,
        at: usize,
        most: usize,
        scratch: &mut Scratch,
    ) -> Option<(u32, usize)> {
        let Some(Step::Run { least, after, next, .. }) = self.steps.get(step as usize) else { return None };
        let least = *least as usize;
        let after = self.sets.get(usize::from(*after))?;
        let len = (least..=most).rev().find(|len| after.may(text, at + len))?;
        if len > least {
            scratch.open.push(Open::Run { step, at, len: len - 1 });
        }
        Some((*next, at + len))
    }

    /// The shortest way through a run from `at`, of `len` bytes or more.
    fn shortest<const GROWS: bool>(
        &self,
        text: &[u8],
        step: u32,
        at: usize,
        len: usize,
        scratch: &mut Scratch,
    ) -> Option<(u32, usize)> {
        let Some(Step::Run { set, least, most, after, next, .. }) = self.steps.get(step as usize) else {
            return None;
        };
        let (least, most) = (*least as usize, *most as usize);
        let (set, after) = (self.sets.get(usize::from(*set))?, self.sets.get(usize::from(*after))?);
        let mut len = len;
        loop {
            if GROWS && at + len >= text.len() {
                return Some((*next, text.len()));
            }
            let goes_on = len < most && text.get(at + len).is_some_and(|byte| set.has(*byte));
            if len >= least && after.may(text, at + len) {
                if goes_on {
                    scratch.open.push(Open::Run { step, at, len: len + 1 });
                }
                return Some((*next, at + len));
            }
            if !goes_on {
                return None;
            }
            len += 1;
        }
    }

    /// A bit for each branch that may be taken here.
    #[inline(always)]
    fn open_branches(&self, text: &[u8], from: u32, len: u32, table: Option<u16>, at: usize) -> u16 {
        if let Some(table) = table {
            let byte = text.get(at).map_or(256, |byte| usize::from(*byte));
            let table = self.tables.get(usize::from(table));
            return table.and_then(|table| table.get(byte)).copied().unwrap_or(0);
        }
        let branches = self.branches.get(from as usize..(from + len) as usize).unwrap_or_default();
        let open = |(branch, number): (&Branch, u32)| u16::from(self.may_take(text, *branch, at)) << number;
        branches.iter().zip(0..).map(open).fold(0, |all, open| all | open)
    }

    /// The first of the open branches.
    #[inline(always)]
    fn branch(&self, from: u32, open: u16, at: usize, scratch: &mut Scratch) -> Option<(u32, usize)> {
        let first = open.trailing_zeros();
        let branch = self.branches.get((from + first) as usize).filter(|_| open != 0)?;
        let open = open & (open - 1);
        if open != 0 {
            scratch.open.push(Open::Branches { from, open, at });
        }
        Some((branch.step, at))
    }

    #[inline(always)]
    fn may_take(&self, text: &[u8], branch: Branch, at: usize) -> bool {
        self.sets.get(usize::from(branch.first)).is_none_or(|first| first.may(text, at))
    }

    #[inline(always)]
    fn has(&self, set: u16, byte: u8) -> bool {
        self.sets.get(usize::from(set)).is_some_and(|set| set.has(byte))
    }

    /// How many bytes of the set stand at `at`, up to `most`.
    #[inline(always)]
    fn run_of(&self, text: &[u8], set: u16, at: usize, most: usize) -> usize {
        let Some(set) = self.sets.get(usize::from(set)) else { return 0 };
        let rest = text.get(at..).unwrap_or_default();
        let rest = rest.get(..most.min(rest.len())).unwrap_or_default();
        rest.iter().position(|byte| !set.has(*byte)).unwrap_or(rest.len())
    }

    #[inline(always)]
    pub(super) fn bytes(&self, from: u32, len: u32) -> &[u8] {
        self.bytes.get(from as usize..(from + len) as usize).unwrap_or_default()
    }
}

/// How far into `rest`, which begins at `at`, the next line begins.
fn next_line(text: &[u8], at: usize, rest: &[u8]) -> Option<usize> {
    if Place::LineStart.is_at(text, at) {
        return Some(0);
    }
    memchr::memchr(b'\n', rest).map(|end| end + 1).filter(|start| *start < rest.len())
}

impl Scratch {
    /// Only a way left open can want it back.
    #[inline(always)]
    fn take_back_later(&mut self, open: Open) {
        if !self.open.is_empty() {
            self.open.push(open);
        }
    }

    #[inline(always)]
    fn count(&mut self, counter: u8, change: impl Fn(u32) -> u32) {
        if let Some(count) = self.counters.get_mut(usize::from(counter)) {
            let held = std::mem::replace(count, change(*count));
            self.take_back_later(Open::Count { counter, held });
        }
    }
}
