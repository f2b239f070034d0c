//! From a parsed regex to the steps of a [`Program`](super::Program), last part first: each step knows what may
//! follow it, so that most ways that lead nowhere are not begun.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::set::Set;
use super::{Branch, How, Place, Program, Step};

/// Groups whose place is kept, at most.
pub(super) const MOST_GROUPS: usize = 12;
/// Loops of one regex, at most.
pub(super) const MOST_COUNTERS: usize = 8;
const MOST_STEPS: usize = 4096;
/// Branches of one step, at most.
const MOST_BRANCHES: usize = 16;
/// As many are told by one look at a table.
const LEAST_IN_TABLE: usize = 4;
/// Bytes that a text is searched for at once, at most.
const MOST_HEADS: usize = 3;

impl Program {
    /// None for what a step can't do: bodies of loops that may be empty, boundaries of other alphabets.
    pub(in crate::rules) fn of(hir: &Hir, groups: &[usize]) -> Option<Program> {
        Program::of_parts(&[hir], groups)
    }

    /// Of the parts one after the other.
    pub(in crate::rules) fn of_parts(parts: &[&Hir], groups: &[usize]) -> Option<Program> {
        if groups.len() > MOST_GROUPS {
            return None;
        }
        let mut compiler = Compiler { program: Program::default(), groups };
        let last = compiler.emit(Step::Match)?;
        let (start, first) = compiler.concat(parts, last, Set::ALL)?;
        compiler.program.heads = first.few(MOST_HEADS).unwrap_or_default();
        let first = compiler.set(first)?;
        compiler.program.place = match compiler.program.steps.get(start as usize) {
            Some(Step::Look { place, .. }) => Some(*place),
            _ => None,
        };
        compiler.program.groups = groups.len();
        compiler.program.start = start;
        compiler.program.first = first;
        compiler.program.steps.shrink_to_fit();
        Some(compiler.program)
    }
}

struct Compiler<'g> {
    program: Program,
    groups: &'g [usize],
}

impl Compiler<'_> {
    fn emit(&mut self, step: Step) -> Option<u32> {
        let at = self.program.steps.len();
        self.program.steps.push(step);
        (at < MOST_STEPS).then_some(at as u32)
    }

    fn set(&mut self, set: Set) -> Option<u16> {
        let sets = &mut self.program.sets;
        let at = sets.iter().position(|known| *known == set).unwrap_or_else(|| {
            sets.push(set);
            sets.len() - 1
        });
        u16::try_from(at).ok()
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<(u32, u32)> {
        let from = self.program.bytes.len();
        self.program.bytes.extend_from_slice(bytes);
        Some((u32::try_from(from).ok()?, u32::try_from(bytes.len()).ok()?))
    }

    /// The parts in a row, then `next`; and what they may begin with.
    fn concat(&mut self, parts: &[&Hir], next: u32, after: Set) -> Option<(u32, Set)> {
        let (mut next, mut after) = (next, after);
        let mut rest = parts;
        while let Some((last, before)) = rest.split_last() {
            let caseless = rest.iter().rev().take_while(|part| folded(part).is_some()).count();
            if caseless > 1 {
                let (before, word) = rest.split_at(rest.len() - caseless);
                let word: Vec<u8> = word.iter().filter_map(|part| folded(part)).flatten().collect();
                let (from, len) = self.bytes(&word)?;
                next = self.emit(Step::Caseless { from, len, next })?;
                let head = word.first().copied().unwrap_or_default();
                after = Set::of([head.to_ascii_lowercase(), head.to_ascii_uppercase()].map(|b| (b, b)));
                rest = before;
                continue;
            }
            next = self.part(last, next, &after)?;
            after = first(last, &after);
            rest = before;
        }
        Some((next, after))
    }

    fn part(&mut self, hir: &Hir, next: u32, after: &Set) -> Option<u32> {
        match hir.kind() {
            HirKind::Empty => Some(next),
            HirKind::Literal(literal) if literal.0.len() > 1 => {
                let (from, len) = self.bytes(&literal.0)?;
                self.emit(Step::Bytes { from, len, next })
            }
            HirKind::Literal(_) | HirKind::Class(_) => {
                let set = self.set(one_byte(hir)?)?;
                self.emit(Step::One { set, next })
            }
            HirKind::Look(look) => {
                let place = match look {
                    Look::Start => Place::Start,
                    Look::End => Place::End,
                    Look::StartLF => Place::LineStart,
                    Look::EndLF => Place::LineEnd,
                    Look::WordAscii => Place::Boundary,
                    Look::WordAsciiNegate => Place::NoBoundary,
                    Look::WordEndHalfAscii => Place::NoWordBehind,
                    _ => return None,
                };
                self.emit(Step::Look { place, next })
            }
            HirKind::Capture(capture) => {
                let wanted = self.groups.iter().position(|group| *group == capture.index as usize);
                let Some(slot) = wanted.and_then(|slot| u8::try_from(slot).ok()) else {
                    return self.part(&capture.sub, next, after);
                };
                let end = self.emit(Step::Save { slot: 2 * slot + 1, next })?;
                let body = self.part(&capture.sub, end, after)?;
                self.emit(Step::Save { slot: 2 * slot, next: body })
            }
            HirKind::Concat(parts) => {
                let parts: Vec<&Hir> = parts.iter().collect();
                self.concat(&parts, next, *after).map(|(start, _)| start)
            }
            HirKind::Alternation(parts) => {
                let mut branches = Vec::new();
                for part in parts {
                    let step = self.part(part, next, after)?;
                    branches.push(Branch { step, first: self.set(first(part, after))? });
                }
                self.branch(branches)
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, next, after),
        }
    }

    fn branch(&mut self, mut branches: Vec<Branch>) -> Option<u32> {
        if branches.len() > MOST_BRANCHES {
            // The last of them is a step that has the rest.
            let rest = branches.split_off(MOST_BRANCHES - 1);
            let sets = rest.iter().filter_map(|branch| self.program.sets.get(usize::from(branch.first)));
            let first = sets.fold(Set::NONE, |all, set| all.with(set));
            branches.push(Branch { first: self.set(first)?, step: self.branch(rest)? });
        }
        let table = if branches.len() < LEAST_IN_TABLE { None } else { Some(self.table(&branches)?) };
        let from = u32::try_from(self.program.branches.len()).ok()?;
        let len = u32::try_from(branches.len()).ok()?;
        self.program.branches.extend(branches);
        self.emit(Step::Branch { from, len, table })
    }

    fn table(&mut self, branches: &[Branch]) -> Option<u16> {
        let mut table = Box::new([0; 257]);
        for (branch, number) in branches.iter().zip(0..) {
            let first = self.program.sets.get(usize::from(branch.first))?;
            for (slot, byte) in table.iter_mut().zip(0..=u8::MAX) {
                *slot |= u16::from(first.has(byte)) << number;
            }
            *table.last_mut()? |= u16::from(first.may(&[], 0)) << number;
        }
        self.program.tables.push(table);
        u16::try_from(self.program.tables.len() - 1).ok()
    }

    fn repetition(&mut self, repetition: &Repetition, next: u32, after: &Set) -> Option<u32> {
        let (least, most) = (repetition.min, repetition.max.unwrap_or(u32::MAX));
        if let Some(bytes) = one_byte(&repetition.sub) {
            let how = match () {
                () if bytes.is_apart_from(after) => How::Sure,
                () if repetition.greedy => How::Longest,
                () => How::Shortest,
            };
            let (set, after) = (self.set(bytes)?, self.set(*after)?);
            return self.emit(Step::Run { set, least, most, after, next, how });
        }
        if repetition.sub.properties().minimum_len().is_none_or(|least| least == 0) {
            return None;
        }
        let (body_first, after_set) = (self.set(first(&repetition.sub, after))?, self.set(*after)?);
        if (least, most) == (0, 1) {
            let body = Branch { step: self.part(&repetition.sub, next, after)?, first: body_first };
            let skip = Branch { step: next, first: after_set };
            return self.branch(if repetition.greedy { vec![body, skip] } else { vec![skip, body] });
        }
        // The test knows its body once that is there, and the body where to come back to.
        let test = self.emit(Step::Match)?;
        let counter = u8::try_from(self.program.counters).ok()?;
        // Where any number will do none is counted.
        let counts = (least, most) != (0, u32::MAX);
        self.program.counters += usize::from(counts);
        if self.program.counters > MOST_COUNTERS {
            return None;
        }
        let back = if counts { self.emit(Step::Back { counter, test })? } else { test };
        let again = first(&repetition.sub, after).with(after);
        let body = Branch { step: self.part(&repetition.sub, back, &again)?, first: body_first };
        let skip = Branch { step: next, first: after_set };
        let step = Step::Test { counter, least, most, greedy: repetition.greedy, body, skip };
        *self.program.steps.get_mut(test as usize)? = step;
        if counts { self.emit(Step::Enter { counter, test }) } else { Some(test) }
    }
}

/// What may stand first of a part and what follows it.
fn first(hir: &Hir, after: &Set) -> Set {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => *after,
        HirKind::Literal(literal) => literal.0.first().map_or(*after, |byte| Set::of([(*byte, *byte)])),
        HirKind::Class(_) => one_byte(hir).unwrap_or(Set::ALL),
        HirKind::Capture(capture) => first(&capture.sub, after),
        HirKind::Concat(parts) => parts.iter().rev().fold(*after, |after, part| first(part, &after)),
        HirKind::Alternation(parts) => {
            parts.iter().fold(Set::NONE, |all, part| all.with(&first(part, after)))
        }
        HirKind::Repetition(repetition) if repetition.max == Some(0) => *after,
        HirKind::Repetition(repetition) if repetition.min == 0 => first(&repetition.sub, after).with(after),
        HirKind::Repetition(repetition) => first(&repetition.sub, after),
    }
}

/// The set of a part that takes one byte, whichever way it is written.
fn one_byte(hir: &Hir) -> Option<Set> {
    match hir.kind() {
        HirKind::Literal(literal) => match &*literal.0 {
            [byte] => Some(Set::of([(*byte, *byte)])),
            _ => None,
        },
        HirKind::Class(Class::Bytes(class)) => {
            Some(Set::of(class.iter().map(|range| (range.start(), range.end()))))
        }
        HirKind::Class(Class::Unicode(class)) if class.is_ascii() => {
            let byte = |letter: char| u8::try_from(letter).unwrap_or_default();
            Some(Set::of(class.iter().map(|range| (byte(range.start()), byte(range.end())))))
        }
        _ => None,
    }
}

/// The bytes of a part that matches them in either case and nothing else, in lower case.
fn folded(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) if !literal.0.iter().any(u8::is_ascii_alphabetic) => {
            Some(literal.0.to_vec())
        }
        HirKind::Class(_) => match one_byte(hir)?.few(2)?.as_slice() {
            [upper, lower] if upper.is_ascii_uppercase() && upper.to_ascii_lowercase() == *lower => {
                Some(vec![*lower])
            }
            _ => None,
        },
        _ => None,
    }
}
