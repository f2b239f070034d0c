//! A few words that are looked for in one pass over a short text, whatever its case.

/// Words in lower case and in order, each with a letter first.
pub(crate) struct Needles<const N: usize> {
    words: [&'static str; N],
    /// Where the words with each first letter begin.
    starts: [u8; LETTERS + 1],
}

const LETTERS: usize = 26;

impl<const N: usize> Needles<N> {
    #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
    pub(crate) const fn new(words: [&'static str; N]) -> Needles<N> {
        let mut starts = [0; LETTERS + 1];
        let mut at = 0;
        while at < N {
            let letter = words[at].as_bytes()[0];
            assert!(letter.is_ascii_lowercase());
            assert!(at == 0 || words[at - 1].as_bytes()[0] <= letter, "words must be in order");
            let mut after = (letter - b'a') as usize + 1;
            while after <= LETTERS {
                starts[after] = at as u8 + 1;
                after += 1;
            }
            at += 1;
        }
        Needles { words, starts }
    }

    /// Whether one of them stands anywhere in the text.
    pub(crate) fn any_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.iter().enumerate().any(|(at, byte)| {
            let rest = || bytes.get(at..).unwrap_or_default();
            self.with_first(*byte).iter().any(|word| begins(rest(), word.as_bytes()))
        })
    }

    /// Whether the text is one of them.
    pub(crate) fn has(&self, text: &[u8]) -> bool {
        let first = text.first().copied().unwrap_or_default();
        self.with_first(first).iter().any(|word| word.len() == text.len() && begins(text, word.as_bytes()))
    }

    #[inline(always)]
    fn with_first(&self, byte: u8) -> &[&'static str] {
        let letter = usize::from((byte | 0x20).wrapping_sub(b'a'));
        match (self.starts.get(letter), self.starts.get(letter + 1)) {
            (Some(from), Some(to)) => {
                self.words.get(usize::from(*from)..usize::from(*to)).unwrap_or_default()
            }
            _ => &[],
        }
    }
}

/// A few marks that are looked for in one pass over a short text, as they are spelt. ASCII, those with the same first
/// byte beside each other.
pub(crate) struct Marks<const N: usize> {
    marks: [&'static str; N],
    /// Where the marks with each first byte begin and end.
    starts: [(u8, u8); 128],
}

impl<const N: usize> Marks<N> {
    #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
    pub(crate) const fn new(marks: [&'static str; N]) -> Marks<N> {
        let mut starts = [(0, 0); 128];
        let mut at = 0;
        while at < N {
            let (from, to) = &mut starts[marks[at].as_bytes()[0] as usize];
            assert!(*to == 0 || *to == at as u8, "marks must be in order");
            if *to == 0 {
                *from = at as u8;
            }
            *to = at as u8 + 1;
            at += 1;
        }
        Marks { marks, starts }
    }

    /// Whether one of them stands anywhere in the text.
    pub(crate) fn any_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.iter().enumerate().any(|(at, byte)| {
            let (from, to) = self.starts.get(usize::from(*byte)).copied().unwrap_or((0, 0));
            let marks = self.marks.get(usize::from(from)..usize::from(to)).unwrap_or_default();
            let rest = || bytes.get(at..).unwrap_or_default();
            marks.iter().any(|mark| {
                rest().len() >= mark.len() && rest().iter().zip(mark.bytes()).all(|(byte, of)| *byte == of)
            })
        })
    }
}

fn begins(text: &[u8], word: &[u8]) -> bool {
    text.len() >= word.len() && text.iter().zip(word).all(|(byte, letter)| byte.eq_ignore_ascii_case(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_as_they_are_spelt() {
        static MARKS: Marks<4> = Marks::new(["it(", "it '", "Test(", "::\n"]);
        for text in ["it('", "an it 'x", "aTest(", "x::\n", "::\n", "éit("] {
            assert!(MARKS.any_in(text), "{text}");
        }
        for text in ["", "it", "IT(", "test(", "::", "::\r\n"] {
            assert!(!MARKS.any_in(text), "{text}");
        }
    }

    #[test]
    fn words_are_found_wherever_they_stand() {
        static WORDS: Needles<4> = Needles::new(["api_key", "key", "pass", "pw"]);
        for text in ["key", "xKEYx", "my_Api_Key", "PW", "opw", "bypass", "kkey", "[pw]"] {
            assert!(WORDS.any_in(text), "{text}");
            assert_eq!(WORDS.has(text.as_bytes()), ["key", "PW"].contains(&text), "{text}");
        }
        for text in ["", "ke", "pas_s", "apikez", "é", "{ke{y", "[p\u{17}"] {
            assert!(!WORDS.any_in(text), "{text}");
        }
    }
}
