//! Short texts in answers that hold nothing: the names and words of the protocol, which come with every answer and
//! every event of it.
//!
//! A pure cache, over all answers by keyed hash and never by text, and within one stream by the words themselves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use sallyport_detect::HeldKey;

use crate::scan_memory::Generations;

/// Longer ones are looked at each time.
const LONGEST: usize = 64;
/// Words that are remembered in each of two generations.
const REMEMBERED: usize = 1_024;
/// Words of one stream, for each way to read them.
const MOST: usize = 256;

/// How a text reads, and whether it is looked at as words of the model.
pub(crate) type Reading = (u8, bool);

/// The words of all answers.
pub(crate) struct Words {
    key: HeldKey<32>,
    clean: Mutex<Clean>,
}

#[derive(Default)]
struct Clean {
    now: HashSet<Word>,
    before: HashSet<Word>,
}

/// A word as it was looked at: under its key, with how it read and everything that the look depends on.
type Word = ([u8; 32], Reading, Generations);

impl Words {
    /// `key`: 32 bytes that belong to this run.
    pub(crate) fn new(key: HeldKey<32>) -> Words {
        Words { key, clean: Mutex::default() }
    }

    /// None for a text that is not worth remembering.
    fn word(&self, raw: &[u8], reading: Reading, generations: Generations) -> Option<Word> {
        let short = (1..=LONGEST).contains(&raw.len());
        short.then(|| (blake3::keyed_hash(&self.key, raw).into(), reading, generations))
    }
}

impl Clean {
    fn holds(&mut self, word: &Word) -> bool {
        if self.now.contains(word) {
            return true;
        }
        let known = self.before.remove(word);
        if known {
            self.keep(*word);
        }
        known
    }

    fn keep(&mut self, word: Word) {
        if self.now.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(word);
    }
}

/// The words of all answers that are looked at alike.
#[derive(Clone)]
pub(crate) struct Known {
    words: Arc<Words>,
    generations: Generations,
}

impl Known {
    pub(crate) fn new(words: Arc<Words>, generations: Generations) -> Known {
        Known { words, generations }
    }

    /// Whether a text is known to hold nothing; if not, `look` says whether it does, and that is remembered.
    pub(crate) fn or_look<T>(
        &self,
        raw: &[u8],
        reading: Reading,
        look: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let word = self.words.word(raw, reading, self.generations);
        if word.is_some_and(|word| self.words.clean.lock().holds(&word)) {
            return None;
        }
        let found = look();
        if let (None, Some(word)) = (&found, word) {
            self.words.clean.lock().keep(word);
        }
        found
    }
}

/// The words of one stream.
#[derive(Default)]
pub(crate) struct OfStream(HashMap<Reading, HashSet<Box<[u8]>>>);

impl OfStream {
    pub(crate) fn hold_nothing(&self, raw: &[u8], reading: Reading) -> bool {
        self.0.get(&reading).is_some_and(|known| known.contains(raw))
    }

    pub(crate) fn note(&mut self, raw: &[u8], reading: Reading) {
        let known = self.0.entry(reading).or_default();
        if raw.len() <= LONGEST && known.len() < MOST {
            known.insert(raw.into());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use zeroize::Zeroizing;

    use super::*;

    pub(crate) fn known(scanner: u64, policy: u64) -> Known {
        let words = Arc::new(Words::new(Arc::new(Zeroizing::new([5; 32]))));
        Known::new(words, Generations { scanner, policy })
    }

    #[test]
    fn a_word_that_holds_nothing_is_looked_at_once_for_each_reading_and_look() {
        let known = known(1, 1);
        let looks = |known: &Known, raw: &[u8], reading| {
            let mut looked = false;
            known.or_look(raw, reading, || {
                looked = true;
                None::<()>
            });
            looked
        };
        assert!(looks(&known, b"assistant", (0, false)));
        assert!(!looks(&known, b"assistant", (0, false)));
        assert!(looks(&known, b"assistant", (0, true)));
        assert!(looks(&known, b"assistant", (1, false)));
        assert!(looks(&known, b"Assistant", (0, false)));
        let other = |scanner, policy| Known::new(known.words.clone(), Generations { scanner, policy });
        assert!(looks(&other(2, 1), b"assistant", (0, false)));
        assert!(looks(&other(1, 2), b"assistant", (0, false)));
        let long = [b'x'; LONGEST + 1];
        assert!(looks(&known, &long, (0, false)) && looks(&known, &long, (0, false)));
    }

    #[test]
    fn what_holds_something_is_found_each_time() {
        let known = known(1, 1);
        for _ in 0..2 {
            assert_eq!(known.or_look(b"secret", (0, false), || Some(7)), Some(7));
        }
    }

    #[test]
    fn words_that_are_used_stay_and_their_number_is_bounded() {
        let known = known(1, 1);
        for at in 0..10 * REMEMBERED {
            assert_eq!(known.or_look(b"id", (0, false), || (at > 0).then_some(())), None);
            known.or_look(&at.to_le_bytes(), (0, false), || None::<()>);
        }
        let clean = known.words.clean.lock();
        assert!(clean.now.len() + clean.before.len() <= 2 * REMEMBERED);
    }

    #[test]
    fn the_words_of_a_stream_are_bounded_in_length_and_number() {
        let mut words = OfStream::default();
        words.note(b"word", (0, false));
        assert!(words.hold_nothing(b"word", (0, false)) && !words.hold_nothing(b"word", (0, true)));
        for at in 0..2 * MOST {
            words.note(&[b'x'; 2 * LONGEST][..at.min(2 * LONGEST)], (0, false));
            words.note(&at.to_le_bytes(), (0, false));
        }
        assert!(
            words
                .0
                .values()
                .all(|known| { known.len() <= MOST && known.iter().all(|word| word.len() <= LONGEST) })
        );
    }
}
