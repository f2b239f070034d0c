//! Finds every keyword of every rule in one pass, whatever its case.
//!
//! Only every second place of the text is looked up, by four bytes: a keyword of five holds two such grams in a
//! row, of which one stands at an even place; a shorter one stands in a gram with whatever byte is beside it. Each
//! place is looked up independently of all others, which keeps the processor busy where an automaton would wait
//! for its last step.

use crate::table::Table;

/// Bytes that are looked up at once.
const GRAM: usize = 4;
/// How far apart they are looked up.
const STRIDE: usize = 2;
/// Places that are looked up before one branch is taken for all of them.
const BATCH: usize = 8;
/// Bits of a print that the filter uses: it has to hold every byte beside a short keyword.
const FILTER_BITS: u32 = 20;
/// The furthest into a keyword that its grams are taken from.
const FURTHEST: usize = 200;

/// The shortest keyword there may be.
pub(super) const SHORTEST: usize = GRAM - 1;

pub(super) struct Keywords {
    words: Vec<Vec<u8>>,
    /// One bit for each print.
    filter: Box<[u64]>,
    /// To the print of a gram, of its first three bytes and of its last three: the word, and how far into it the gram
    /// stands, and one more.
    whole: Table,
    head: Table,
    tail: Table,
}

impl Keywords {
    /// `words`: ASCII, in lower case, of [`SHORTEST`] bytes or more.
    pub(super) fn new(words: Vec<String>) -> Keywords {
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        let (mut whole, mut head, mut tail) = (Vec::new(), Vec::new(), Vec::new());
        let mut filter = vec![0u64; 1 << (FILTER_BITS - 6)].into_boxed_slice();
        let mut pass = |folded: u32| {
            let place = place(print(folded));
            if let Some(word) = filter.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        };
        for (word, number) in words.iter().zip(0u32..) {
            let row = |folded: u32, into: i32| (print(folded), number << 8 | (into + 1) as u32);
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
                    let folded = fold([b, c, d, 0]) & HEAD;
                    head.push(row(folded, 1));
                    bytes().for_each(|any| pass(folded | any << 24));
                }
                _ => {
                    let at = rarest(word);
                    let pair = word.array_windows::<GRAM>().enumerate().skip(at).take(STRIDE);
                    for (into, gram) in pair {
                        whole.push(row(fold(*gram), into as i32));
                        pass(fold(*gram));
                    }
                }
            }
        }
        let [whole, head, tail] = [whole, head, tail].map(Table::new);
        Keywords { words, filter, whole, head, tail }
    }

    pub(super) fn word(&self, number: usize) -> &[u8] {
        self.words.get(number).map_or(&[], Vec::as_slice)
    }

    /// Calls `hit` with the number of each word that begins at `from` or after, and its place. Roughly,
    /// not exactly, in order of place.
    pub(super) fn each(&self, text: &[u8], from: usize, mut hit: impl FnMut(usize, usize, usize)) {
        let mut rest = text.get(from..).unwrap_or_default();
        let mut at = from;
        while let Some(batch) = rest.first_chunk::<{ BATCH * STRIDE + GRAM - STRIDE }>() {
            let mut known = 0u32;
            for (i, gram) in batch.array_windows::<GRAM>().step_by(STRIDE).enumerate() {
                known |= self.maybe(fold(*gram)) << i;
            }
            if known != 0 {
                self.verify(text, from, at, known, &mut hit);
            }
            rest = rest.get(BATCH * STRIDE..).unwrap_or_default();
            at += BATCH * STRIDE;
        }
        for start in (0..rest.len()).step_by(STRIDE) {
            if self.maybe(fold(gram(rest, start))) != 0 {
                self.verify(text, from, at + start, 1, &mut hit);
            }
        }
    }

    #[inline(always)]
    fn maybe(&self, folded: u32) -> u32 {
        let place = place(print(folded));
        (self.filter.get(place / 64).copied().unwrap_or(0) >> (place % 64)) as u32 & 1
    }

    /// `known`: a bit for each place from `at` on that is worth a look.
    #[cold]
    fn verify(
        &self,
        text: &[u8],
        from: usize,
        at: usize,
        known: u32,
        hit: &mut impl FnMut(usize, usize, usize),
    ) {
        let mut known = known;
        while known != 0 {
            let at = at + STRIDE * known.trailing_zeros() as usize;
            known &= known - 1;
            let folded = fold(gram(text, at));
            for (table, folded) in
                [(&self.whole, folded), (&self.head, folded & HEAD), (&self.tail, folded >> 8)]
            {
                if table.maybe(print(folded)) {
                    self.confirm(table, folded, text, from, at, hit);
                }
            }
        }
    }

    fn confirm(
        &self,
        table: &Table,
        folded: u32,
        text: &[u8],
        from: usize,
        at: usize,
        hit: &mut impl FnMut(usize, usize, usize),
    ) {
        for row in table.patterns(print(folded)) {
            let number = (row >> 8) as usize;
            let Some(word) = self.words.get(number) else { continue };
            let start = (at + 1).checked_sub((row & 0xff) as usize);
            let Some(start) = start.filter(|start| *start >= from) else { continue };
            let end = start + word.len();
            if text.get(start..end).is_some_and(|found| found.eq_ignore_ascii_case(word)) {
                hit(number, start, end);
            }
        }
    }
}

/// The first three bytes of a gram.
const HEAD: u32 = 0x00ff_ffff;

/// What stands at `at`, with zeros behind the text's end.
fn gram(text: &[u8], at: usize) -> [u8; GRAM] {
    let mut gram = [0; GRAM];
    let rest = text.get(at..).unwrap_or_default();
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

/// Where in a word the two neighbouring grams begin that other text holds least often.
fn rarest(word: &[u8]) -> usize {
    let cost = |pair: &[u8]| -> u32 {
        pair.array_windows::<GRAM>()
            .map(|gram| gram.iter().map(|byte| commonness(*byte)).product::<u32>())
            .sum()
    };
    let pairs = word.windows(GRAM + STRIDE - 1).take(FURTHEST).enumerate();
    pairs.min_by_key(|(_, pair)| cost(pair)).map_or(0, |(at, _)| at)
}

/// Roughly how often, in a hundred, a byte stands in code and prose.
fn commonness(byte: u8) -> u32 {
    match byte {
        b' ' | b'e' => 10,
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
