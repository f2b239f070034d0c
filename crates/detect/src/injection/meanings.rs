//! Meanings of English words: words that mean much the same, whichever of them a text takes. The list is made by
//! `examples/train_injection/meanings.py` and is no judgement on any word.

use std::sync::LazyLock;

use super::features::{EMPTY, step};

/// A meaning for each line; empty lines part them into groups, and lines with a `#` the groups into fields.
const LIST: &str = include_str!("../../../../assets/injection/meanings.txt");

/// The meaning of a word, from 1, the group of near meanings and the wider field it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) number: u16,
    pub(super) group: u16,
    /// Less than 64: the fields of a sentence are the bits of a number.
    pub(super) field: u8,
}

const PLACES: usize = 1 << 16;

static TABLE: LazyLock<Vec<(u32, Meaning)>> = LazyLock::new(|| {
    let mut rows = vec![(0, Meaning::default()); PLACES];
    let mut meaning = Meaning { number: 1, ..Meaning::default() };
    for line in LIST.lines() {
        match line {
            "#" => (meaning.group, meaning.field) = (meaning.group + 1, meaning.field + 1),
            "" => meaning.group += 1,
            words => {
                words.split(' ').for_each(|word| insert(&mut rows, word, meaning));
                meaning.number += 1;
            }
        }
    }
    rows
});

fn insert(rows: &mut [(u32, Meaning)], word: &str, meaning: Meaning) {
    let hash = word.bytes().fold(EMPTY, |hash, byte| step(hash, u32::from(byte)));
    let mut place = place(hash);
    while rows.get(place).is_some_and(|row| row.0 != 0) {
        place = (place + 1) % PLACES;
    }
    if let Some(row) = rows.get_mut(place) {
        *row = (mark(hash), meaning);
    }
}

fn place(hash: u64) -> usize {
    (hash ^ (hash >> 23)) as usize % PLACES
}

/// What of the hash is kept to tell words apart.
fn mark(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

/// The meaning of the word with this hash, if it has one.
#[inline]
pub(super) fn of(hash: u64) -> Option<Meaning> {
    let (wanted, mut place) = (mark(hash), place(hash));
    while let Some((held, meaning)) = TABLE.get(place) {
        if *held == wanted {
            return Some(*meaning);
        }
        if *held == 0 {
            return None;
        }
        place = (place + 1) % PLACES;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning_of(word: &str) -> Option<Meaning> {
        of(word.bytes().fold(EMPTY, |hash, byte| step(hash, u32::from(byte))))
    }

    #[test]
    fn words_that_mean_alike_are_of_one_kind() {
        assert_eq!(meaning_of("grandma"), meaning_of("grandmother"));
        assert_eq!(meaning_of("passcode"), meaning_of("passphrase"));
        assert_ne!(meaning_of("wallet"), meaning_of("grandma"));
        assert_eq!(meaning_of("qzxvtk"), None);
    }

    #[test]
    fn the_list_fits_its_table_and_its_fields_their_bits() {
        assert!(TABLE.iter().filter(|row| row.0 != 0).count() < PLACES / 2);
        assert!(TABLE.iter().all(|row| row.1.field < 64));
    }
}
