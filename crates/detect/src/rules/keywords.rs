//! Finds every keyword of every rule in one pass, whatever its case.
//!
//! Each place of the text is looked up by its first four bytes, independently of all others: that
//! keeps the processor busy where an automaton would wait for its last step.

use crate::table::Table;

/// Bytes that are looked up at once.
const GRAM: usize = 4;
/// Places that are looked up before one branch is taken for all of them.
const BATCH: usize = 8;

/// The shortest keyword there may be.
pub(super) const SHORTEST: usize = GRAM - 1;

pub(super) struct Keywords {
    words: Vec<Vec<u8>>,
    table: Table,
}

impl Keywords {
    /// `words`: ASCII, in lower case, of [`SHORTEST`] bytes or more.
    pub(super) fn new(words: Vec<String>) -> Keywords {
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        let mut rows = Vec::new();
        for (word, number) in words.iter().zip(0u32..) {
            match *word.as_slice() {
                [a, b, c] => rows.extend((0..=u8::MAX).map(|any| (print([a, b, c, any]), number))),
                [a, b, c, d, ..] => rows.push((print([a, b, c, d]), number)),
                _ => {}
            }
        }
        Keywords { words, table: Table::new(rows) }
    }

    /// Calls `hit` with the number of the word and its place, sorted by place.
    pub(super) fn each(&self, text: &[u8], from: usize, mut hit: impl FnMut(usize, usize, usize)) {
        let mut rest = text.get(from..).unwrap_or_default();
        let mut at = from;
        while let Some(batch) = rest.first_chunk::<{ BATCH + GRAM - 1 }>() {
            let mut prints = [0u32; BATCH];
            for (slot, gram) in prints.iter_mut().zip(batch.array_windows::<GRAM>()) {
                *slot = print(*gram);
            }
            if prints.iter().fold(false, |any, print| any | self.table.maybe(*print)) {
                for (i, print) in prints.iter().enumerate().filter(|(_, print)| self.table.maybe(**print)) {
                    self.verify(text, at + i, *print, &mut hit);
                }
            }
            rest = rest.get(BATCH..).unwrap_or_default();
            at += BATCH;
        }
        for start in 0..rest.len() {
            let mut gram = [0; GRAM];
            for (slot, byte) in gram.iter_mut().zip(rest.iter().skip(start)) {
                *slot = *byte;
            }
            self.verify(text, at + start, print(gram), &mut hit);
        }
    }

    #[cold]
    fn verify(&self, text: &[u8], at: usize, print: u32, hit: &mut impl FnMut(usize, usize, usize)) {
        for number in self.table.patterns(print) {
            let number = number as usize;
            let Some(word) = self.words.get(number) else { continue };
            let end = at + word.len();
            if text.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(word)) {
                hit(number, at, end);
            }
        }
    }
}

/// Blind to case; what else it confuses is told apart afterwards.
#[inline(always)]
fn print(gram: [u8; GRAM]) -> u32 {
    let folded = u64::from(u32::from_le_bytes(gram) | 0x2020_2020);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_are_found(text in "[abAB_:/ ]{0,60}", from in 0usize..8) {
            let words = ["ab_", "ab_a", "://", "bba", "a/ bab"];
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
            prop_assert!(found.is_sorted_by_key(|found| found.0));
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
