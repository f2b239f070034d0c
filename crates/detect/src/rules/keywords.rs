//! Finds every keyword of every rule in one pass, whatever its case.
//!
//! Only every second place of the text is looked up, by four bytes: a keyword of five holds two such grams in a
//! row, of which one stands at an even place; a shorter one stands in a gram with whatever byte is beside it. Each
//! place is looked up independently of all others, which keeps the processor busy where an automaton would wait
//! for its last step.

use std::collections::{HashMap, HashSet};

/// Bytes that are looked up at once.
const GRAM: usize = 4;
/// How far apart they are looked up.
const STRIDE: usize = 2;
/// Places that are looked up before one branch is taken for all of them.
const BATCH: usize = 8;
/// Places that wait for a closer look together.
const OPEN: usize = 256;
/// Bits of a print that choose a word of the filter: it has to hold every byte beside a short keyword.
const FILTER_BITS: u32 = 15;
/// The furthest into a keyword that its grams are taken from.
const FURTHEST: usize = 200;

/// The shortest keyword there may be.
pub(super) const SHORTEST: usize = GRAM - 1;

pub(super) struct Keywords {
    words: Vec<Vec<u8>>,
    /// One word for each beginning of a print, one bit for each first byte of a gram, whatever its case: that takes no shift.
    filter: Box<[u32; 1 << FILTER_BITS]>,
    /// By a gram, by its first three bytes and by its last three.
    whole: Grams,
    head: Grams,
    tail: Grams,
    heads: Few,
    tails: Few,
}

impl Keywords {
    /// `words`: ASCII letters in lower case, of [`SHORTEST`] bytes or more. Letters of other alphabets keep their case.
    pub(super) fn new(words: Vec<String>) -> Keywords {
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        let rarity = Rarity::of(&words);
        let (mut whole, mut head, mut tail) = (Vec::new(), Vec::new(), Vec::new());
        let mut filter = Box::new([0u32; 1 << FILTER_BITS]);
        let mut pass = |folded: u32| {
            let [first, ..] = folded.to_le_bytes();
            if let Some(word) = filter.get_mut(place(print(folded))) {
                *word |= 1 << (first % 32);
            }
        };
        for (word, number) in words.iter().zip(0u32..) {
            let row = |folded: u32, into: isize| Row::of(folded, number, word, into);
            match *word.as_slice() {
                [a, b, c] => {
                    // At an odd place it ends the gram before.
                    let folded = fold([a, b, c, 0]) & HEAD;
                    head.push(row(folded, 0));
                    tail.push(row(folded, -1));
                    bytes().for_each(|any| pass(folded | any << 24));
                    bytes().for_each(|any| pass(folded << 8 | any));
                }
                [a, b, c, d] => {
                    whole.push(row(fold([a, b, c, d]), 0));
                    pass(fold([a, b, c, d]));
                    // At an odd place it ends the gram before, or begins the one after.
                    if rarity.cost(&[a, b, c]) < rarity.cost(&[b, c, d]) {
                        let folded = fold([a, b, c, 0]) & HEAD;
                        tail.push(row(folded, -1));
                        bytes().for_each(|any| pass(folded << 8 | any));
                    } else {
                        let folded = fold([b, c, d, 0]) & HEAD;
                        head.push(row(folded, 1));
                        bytes().for_each(|any| pass(folded | any << 24));
                    }
                }
                _ => {
                    let at = rarity.rarest(word);
                    let pair = word.array_windows::<GRAM>().enumerate().skip(at).take(STRIDE);
                    for (into, gram) in pair {
                        whole.push(row(fold(*gram), into as isize));
                        pass(fold(*gram));
                    }
                }
            }
        }
        let (heads, tails) = (Few::of(&head), Few::of(&tail));
        let [whole, head, tail] = [whole, head, tail].map(|rows| Grams::new(&words, rows));
        Keywords { words, filter, whole, head, tail, heads, tails }
    }

    pub(super) fn word(&self, number: usize) -> &[u8] {
        self.words.get(number).map_or(&[], Vec::as_slice)
    }

    /// Calls `hit` with the number of each word that begins at `from` or after, and its place. Roughly,
    /// not exactly, in order of place.
    ///
    /// In three sweeps over a stretch, each over what the one before has left: no branch could be foreseen here, and
    /// what is loaded for one place need not wait for another's.
    pub(super) fn each(&self, text: &[u8], from: usize, mut hit: impl FnMut(usize, usize, usize)) {
        let mut open = [0; OPEN];
        let mut count = 0;
        let mut rest = text.get(from..).unwrap_or_default();
        let mut at = from;
        while let Some(batch) = rest.first_chunk::<{ BATCH * STRIDE + GRAM - STRIDE }>() {
            for (i, gram) in batch.array_windows::<GRAM>().step_by(STRIDE).enumerate() {
                if let Some(slot) = open.get_mut(count % OPEN) {
                    *slot = at + i * STRIDE;
                }
                count += self.maybe(*gram) as usize;
            }
            rest = rest.get(BATCH * STRIDE..).unwrap_or_default();
            at += BATCH * STRIDE;
            if count > OPEN - BATCH {
                self.sift(text, from, &mut open, count, &mut hit);
                count = 0;
            }
        }
        self.sift(text, from, &mut open, count, &mut hit);
        for start in (0..rest.len()).step_by(STRIDE) {
            if self.maybe(gram(rest, start)) != 0 {
                self.verify(text, from, at + start, &mut hit);
            }
        }
    }

    #[inline(always)]
    fn maybe(&self, gram: [u8; GRAM]) -> u32 {
        let word = self.filter.get(place(print(fold(gram)))).copied().unwrap_or(0);
        word >> (gram[0] % 32) & 1
    }

    /// Three of four are grams of other words, or of none.
    #[inline(never)]
    fn sift(
        &self,
        text: &[u8],
        from: usize,
        open: &mut [usize; OPEN],
        count: usize,
        hit: &mut impl FnMut(usize, usize, usize),
    ) {
        let mut left = 0;
        for next in 0..count.min(OPEN) {
            let Some(at) = open.get(next).copied() else { continue };
            let folded = fold(gram(text, at));
            let may = self.whole.may(text, at, folded)
                | self.heads.may(folded & HEAD)
                | self.tails.may(folded >> 8);
            if let Some(slot) = open.get_mut(left) {
                *slot = at;
            }
            left += usize::from(may);
        }
        for at in open.iter().take(left) {
            self.verify(text, from, *at, hit);
        }
    }

    #[inline(always)]
    fn verify(&self, text: &[u8], from: usize, at: usize, hit: &mut impl FnMut(usize, usize, usize)) {
        let folded = fold(gram(text, at));
        let rows = [
            self.whole.rows(folded),
            if self.heads.may(folded & HEAD) { self.head.rows(folded & HEAD) } else { &[] },
            if self.tails.may(folded >> 8) { self.tail.rows(folded >> 8) } else { &[] },
        ];
        for rows in rows {
            for row in rows {
                let Some(start) = row.start(at).filter(|start| *start >= from) else { continue };
                if let Some(end) = self.end(row, text, start) {
                    hit(row.number as usize, start, end);
                }
            }
        }
    }

    /// Where the row's word ends if it stands at `start`.
    #[inline(always)]
    fn end(&self, row: &Row, text: &[u8], start: usize) -> Option<usize> {
        let end = start + row.len as usize;
        let rest = text.get(start..)?;
        let Some(first) = rest.first_chunk::<EIGHT>() else {
            let found = text.get(start..end)?;
            return found.eq_ignore_ascii_case(self.word(row.number as usize)).then_some(end);
        };
        if (u64::from_le_bytes(*first) | row.fold) & row.mask != row.first {
            return None;
        }
        if row.len as usize <= EIGHT {
            return Some(end);
        }
        rest.get(..row.len as usize)?.eq_ignore_ascii_case(self.word(row.number as usize)).then_some(end)
    }
}

/// How many bytes of a word are compared at once.
const EIGHT: usize = 8;

/// A gram of a word, and what tells whether the rest is there without a look at the word.
#[derive(Clone, Copy)]
struct Row {
    folded: u32,
    number: u32,
    /// The word's first eight bytes, or as many as it has.
    first: u64,
    /// What makes a letter of the text one of lower case, where the word has a letter.
    fold: u64,
    mask: u64,
    /// How far into the word the gram stands, and one more.
    into: u32,
    len: u32,
}

impl Row {
    fn of(folded: u32, number: u32, word: &[u8], into: isize) -> Row {
        let bytes = |of: &dyn Fn(u8) -> u8| {
            let mut all = [0; EIGHT];
            all.iter_mut().zip(word).for_each(|(slot, byte)| *slot = of(*byte));
            u64::from_le_bytes(all)
        };
        Row {
            folded,
            number,
            first: bytes(&|byte| byte),
            fold: bytes(&|byte| if byte.is_ascii_alphabetic() { 0x20 } else { 0 }),
            mask: bytes(&|_| u8::MAX),
            into: (into + 1) as u32,
            len: word.len() as u32,
        }
    }

    /// Where the word begins whose gram stands at `at`.
    #[inline(always)]
    fn start(&self, at: usize) -> Option<usize> {
        (at + 1).checked_sub(self.into as usize)
    }
}

/// Rows by their grams.
struct Grams {
    slots: Vec<Slot>,
    shift: u32,
    rows: Vec<Row>,
}

/// The rows whose prints have the same top bits, and what all of their words have around the gram.
#[derive(Clone, Copy)]
struct Slot {
    /// Eight bytes, folded, of which the gram's are the third to the sixth: those that all words agree on.
    mask: u64,
    bytes: u64,
    start: u32,
    end: u32,
}

impl Slot {
    const BEFORE: usize = 2;
    const FOLD: u64 = 0x2020_2020_2020_2020;

    fn of(words: &[Vec<u8>], rows: &[Row], start: usize) -> Slot {
        // No text has what an empty slot asks for.
        let mut slot = Slot { mask: 0, bytes: 1, start: start as u32, end: (start + rows.len()) as u32 };
        for (row, is_first) in rows.iter().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
            let word = words.get(row.number as usize).map_or(&[][..], Vec::as_slice);
            let (mut mask, mut bytes) = ([0; EIGHT], [0; EIGHT]);
            for ((mask, slot), at) in mask.iter_mut().zip(&mut bytes).zip(row.into as usize..) {
                // One more is in `into`.
                if let Some(byte) = at.checked_sub(1 + Slot::BEFORE).and_then(|at| word.get(at)) {
                    (*mask, *slot) = (u8::MAX, byte | 0x20);
                }
            }
            let (mask, bytes) = (u64::from_le_bytes(mask), u64::from_le_bytes(bytes));
            slot.mask = if is_first { mask } else { mask & slot.mask & !(bytes ^ slot.bytes) };
            slot.bytes = bytes & slot.mask;
        }
        slot
    }
}

impl Grams {
    /// Few words share a slot that do not share the gram.
    const SLOTS_A_ROW: usize = 1;

    fn new(words: &[Vec<u8>], mut rows: Vec<Row>) -> Grams {
        rows.sort_unstable_by_key(|row| (print(row.folded), row.number, row.into));
        rows.dedup_by_key(|row| (row.folded, row.number, row.into));
        let count = (rows.len() * Grams::SLOTS_A_ROW).next_power_of_two().max(2);
        let shift = u32::BITS - count.trailing_zeros();
        let mut slots = Vec::with_capacity(count);
        let mut start = 0;
        for top in 0..count {
            let rest = rows.get(start..).unwrap_or_default();
            let len = rest.iter().take_while(|row| (print(row.folded) >> shift) as usize == top).count();
            slots.push(Slot::of(words, rest.get(..len).unwrap_or_default(), start));
            start += len;
        }
        Grams { slots, shift, rows }
    }

    #[inline(always)]
    fn slot(&self, folded: u32) -> Option<&Slot> {
        self.slots.get((print(folded) >> self.shift) as usize)
    }

    /// All rows of the gram, and of some others: a row's word tells.
    #[inline(always)]
    fn rows(&self, folded: u32) -> &[Row] {
        let slot = self.slot(folded);
        slot.and_then(|slot| self.rows.get(slot.start as usize..slot.end as usize)).unwrap_or_default()
    }

    /// Whether a word may stand around the gram at `at`.
    #[inline(always)]
    fn may(&self, text: &[u8], at: usize, folded: u32) -> bool {
        let place = at.checked_sub(Slot::BEFORE).and_then(|start| text.get(start..)?.first_chunk());
        let (Some(slot), Some(eight)) = (self.slot(folded), place) else { return true };
        (u64::from_le_bytes(*eight) | Slot::FOLD) & slot.mask == slot.bytes
    }
}

/// A few grams, told by one bit each.
struct Few(Vec<u64>);

impl Few {
    const BITS: u32 = 13;

    fn of(rows: &[Row]) -> Few {
        let mut all = vec![0; 1 << (Few::BITS - 6)];
        for row in rows {
            let place = Few::place(row.folded);
            if let Some(word) = all.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
        Few(all)
    }

    fn place(folded: u32) -> usize {
        (print(folded) >> (u32::BITS - Few::BITS)) as usize
    }

    #[inline(always)]
    fn may(&self, folded: u32) -> bool {
        let place = Few::place(folded);
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 != 0)
    }
}

/// The first three bytes of a gram.
const HEAD: u32 = 0x00ff_ffff;

/// What stands at `at`, with zeros behind the text's end.
#[inline(always)]
fn gram(text: &[u8], at: usize) -> [u8; GRAM] {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(gram) = rest.first_chunk() {
        return *gram;
    }
    let mut gram = [0; GRAM];
    gram.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
    gram
}

/// Blind to case; what else it confuses is told apart afterwards.
#[inline(always)]
fn fold(gram: [u8; GRAM]) -> u32 {
    u32::from_le_bytes(gram) | 0x2020_2020
}

/// Every byte, folded.
fn bytes() -> impl Iterator<Item = u32> {
    (0..=u32::from(u8::MAX)).filter(|byte| byte & 0x20 != 0)
}

/// Different for different grams.
#[inline(always)]
fn print(folded: u32) -> u32 {
    folded.wrapping_mul(0x9e37_79b1)
}

#[inline(always)]
fn place(print: u32) -> usize {
    (print >> (32 - FILTER_BITS)) as usize
}

/// The four letters that stand most often in source code, counted over 35 MB of it.
const COMMON: &str = include_str!("common_grams.txt");

/// How often grams stand in other text, and in other keywords: each of those has to be told apart there.
struct Rarity {
    in_words: HashMap<u32, u32>,
    common: HashSet<u32>,
}

impl Rarity {
    fn of(words: &[Vec<u8>]) -> Rarity {
        let mut counts = HashMap::new();
        for gram in words.iter().flat_map(|word| word.array_windows::<GRAM>().take(FURTHEST)) {
            *counts.entry(fold(*gram)).or_insert(0) += 1;
        }
        let common = COMMON.lines().flat_map(|line| line.as_bytes().as_chunks::<GRAM>().0);
        Rarity { in_words: counts, common: common.map(|gram| fold(*gram)).collect() }
    }

    /// Where in a word the two neighbouring grams begin that cost least.
    fn rarest(&self, word: &[u8]) -> usize {
        let cost = |pair: &[u8]| -> u32 {
            pair.array_windows::<GRAM>().map(|gram| self.cost(gram)).fold(0, u32::saturating_add)
        };
        let pairs = word.windows(GRAM + STRIDE - 1).take(FURTHEST).enumerate();
        pairs.min_by_key(|(_, pair)| cost(pair)).map_or(0, |(at, _)| at)
    }

    fn cost(&self, gram: &[u8]) -> u32 {
        // What words are made of stands in more of them than its letters tell.
        const IN_WORDS: u32 = 4;
        const COMMON_COST: u32 = 64;
        let letters: u32 = gram.iter().map(|byte| commonness(*byte)).product();
        let in_words = if crate::shape::is_wordlike_part(gram) { IN_WORDS } else { 1 };
        let others = match *gram {
            [a, b, c, d] => self.in_words.get(&fold([a, b, c, d])).copied().unwrap_or(0),
            _ => 1,
        };
        let common = match *gram {
            [a, b, c, d] if self.common.contains(&fold([a, b, c, d])) => COMMON_COST,
            _ => 1,
        };
        letters.saturating_mul(in_words).saturating_mul(others.max(1)).saturating_mul(common)
    }
}

/// Roughly how often, in a hundred, a byte stands in code and prose.
fn commonness(byte: u8) -> u32 {
    match byte {
        b' ' => 16,
        b'e' => 10,
        b't' => 8,
        b'a' | b'i' | b'n' | b'o' | b'r' | b's' => 6,
        b'c' | b'd' | b'l' => 4,
        b'_' | b'f' | b'h' | b'm' | b'p' | b'u' => 3,
        b'-' | b'.' | b'/' | b':' | b'b' | b'g' | b'w' | b'y' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_are_found(text in "[abAB_:/ ]{0,60}", from in 0usize..8) {
            let words = ["ab_", "ab_a", "/:a", "://", "aaaa",  "bba", "a/ bab", "b_ab_", "aabbaab:/"];
            let keywords = Keywords::new(words.map(str::to_owned).to_vec());
            let mut found = Vec::new();
            keywords.each(text.as_bytes(), from, |word, start, end| found.push((start, end, word)));
            let lower = text.to_ascii_lowercase();
            let mut expected = Vec::new();
            for (number, word) in words.iter().enumerate() {
                for start in from..text.len() {
                    if lower[start..].starts_with(word) {
                        expected.push((start, start + word.len(), number));
                    }
                }
            }
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
