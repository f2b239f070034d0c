//! A regex as a short program that is tried at one place of a text.
//!
//! Rules are tried where their keyword stands: at few places, over a few dozen bytes each. There an automaton costs
//! more to build, to hold and to enter than it saves. A program finds what its regex finds at that place, groups
//! included: ways are tried in the regex's order, and a budget says when to leave it to a regex engine.

mod behind;
mod compile;
mod run;
mod set;

use std::ops::Range;

use compile::{MOST_COUNTERS, MOST_GROUPS};
pub(super) use set::Set;

#[derive(Debug, Default)]
pub(super) struct Program {
    steps: Vec<Step>,
    branches: Vec<Branch>,
    /// Of many branches, those that each byte may begin, and the text's end.
    tables: Vec<Table>,
    sets: Vec<Set>,
    bytes: Vec<u8>,
    counters: usize,
    groups: usize,
    start: u32,
    first: u16,
    /// Where it begins, if that is told before any byte.
    place: Option<Place>,
    /// The bytes that it begins with, where they are so few that the text can be searched for them.
    heads: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Match,
    Bytes {
        from: u32,
        len: u32,
        next: u32,
    },
    /// The same in lower case; the text's case does not matter.
    Caseless {
        from: u32,
        len: u32,
        next: u32,
    },
    One {
        set: u16,
        next: u32,
    },
    Run {
        set: u16,
        least: u32,
        most: u32,
        after: u16,
        next: u32,
        how: How,
    },
    Branch {
        from: u32,
        len: u32,
        table: Option<u16>,
    },
    Save {
        slot: u8,
        next: u32,
    },
    Look {
        place: Place,
        next: u32,
    },
    /// Before a loop, at its head, and behind its body.
    Enter {
        counter: u8,
        test: u32,
    },
    Test {
        counter: u8,
        least: u32,
        most: u32,
        greedy: bool,
        body: Branch,
        skip: Branch,
    },
    Back {
        counter: u8,
        test: u32,
    },
}

/// A bit for each of so many branches, for each byte and, last, for the text's end.
type Table = Box<[u16; 257]>;

/// A way to go on, and what it may begin with.
#[derive(Debug, Clone, Copy)]
struct Branch {
    step: u32,
    first: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Longest,
    Shortest,
    /// What follows can't begin inside the run: it goes to its end or leads nowhere.
    Sure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    End,
    LineStart,
    LineEnd,
    Boundary,
    NoBoundary,
    NoWordBehind,
}

impl Place {
    pub(super) fn is_at(self, text: &[u8], at: usize) -> bool {
        let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied();
        let (before, after) = (byte(at.checked_sub(1)), byte(Some(at)));
        let is_word =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match self {
            Place::Start => before.is_none(),
            Place::End => after.is_none(),
            Place::LineStart => before.is_none_or(|byte| byte == b'\n'),
            Place::LineEnd => after.is_none_or(|byte| byte == b'\n'),
            Place::Boundary => is_word(before) != is_word(after),
            Place::NoBoundary => is_word(before) == is_word(after),
            Place::NoWordBehind => !is_word(after),
        }
    }
}

/// The budget of one try.
pub(super) const TRY: usize = 1 << 13;

/// What comes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A match that ends here.
    Match(usize),
    Nothing,
    /// The budget is spent: a regex engine must say.
    Unknown,
}

/// Ways that were left open, and what to take back before they are gone.
#[derive(Debug)]
enum Open {
    Step {
        step: u32,
        at: usize,
    },
    /// A bit for each branch from `from` on.
    Branches {
        from: u32,
        open: u16,
        at: usize,
    },
    /// A run from `at` that may be so long, or from so long on.
    Run {
        step: u32,
        at: usize,
        len: usize,
    },
    Slot {
        slot: u8,
        held: usize,
    },
    Count {
        counter: u8,
        held: u32,
    },
}

const NOWHERE: usize = usize::MAX;

/// What a try needs while it runs; one serves for all tries of a text.
#[derive(Debug)]
pub(super) struct Scratch {
    open: Vec<Open>,
    /// Start and end of each wanted group.
    slots: [usize; 2 * MOST_GROUPS],
    counters: [u32; MOST_COUNTERS],
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { open: Vec::new(), slots: [NOWHERE; 2 * MOST_GROUPS], counters: [0; MOST_COUNTERS] }
    }
}

impl Scratch {
    /// Where the wanted group of this number stands.
    pub(super) fn group(&self, number: usize) -> Option<Range<usize>> {
        let slot = |at: usize| self.slots.get(at).copied().filter(|at| *at != NOWHERE);
        Some(slot(2 * number)?..slot(2 * number + 1)?)
    }
}

#[cfg(test)]
mod tests;
