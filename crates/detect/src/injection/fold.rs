//! A text as it reads: compatibility forms composed, invisible characters gone, look-alike letters put back, and every
//! place of it known in the text as it was written.

use std::borrow::Cow;
use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;

/// A text and the way back to the one it was made from.
pub(super) struct Folded<'t> {
    pub(super) text: Cow<'t, str>,
    /// Where stretches begin, here and in the original; empty where nothing was changed.
    stretches: Vec<Stretch>,
    original_len: usize,
}

struct Stretch {
    here: usize,
    there: usize,
    /// The bytes are the original's own.
    same: bool,
}

impl<'t> Folded<'t> {
    pub(super) fn of(text: &'t str) -> Folded<'t> {
        if text.is_ascii() || !needs_folding(text) {
            return Folded { text: Cow::Borrowed(text), stretches: Vec::new(), original_len: text.len() };
        }
        let mut folding = Folding { out: String::with_capacity(text.len()), stretches: Vec::new() };
        folding.whole(text);
        Folded { text: Cow::Owned(folding.out), stretches: folding.stretches, original_len: text.len() }
    }

    pub(super) fn changed(&self) -> bool {
        matches!(self.text, Cow::Owned(_))
    }

    /// The bytes of the original that a stretch of this text came from.
    pub(super) fn original(&self, span: Range<usize>) -> Range<usize> {
        if !self.changed() {
            return span;
        }
        let start = self.at(span.start, false);
        start..self.at(span.end, true).max(start)
    }

    fn at(&self, place: usize, end: bool) -> usize {
        // An end lies with the stretch before it.
        let number = self.stretches.partition_point(|stretch| match end {
            true => stretch.here < place,
            false => stretch.here <= place,
        });
        let Some(stretch) = number.checked_sub(1).and_then(|number| self.stretches.get(number)) else {
            return 0;
        };
        let next = self.stretches.get(number).map_or(self.original_len, |next| next.there);
        match (stretch.same, end) {
            (true, _) => (stretch.there + (place - stretch.here)).min(next),
            (false, false) => stretch.there,
            (false, true) => next,
        }
    }
}

struct Folding {
    out: String,
    stretches: Vec<Stretch>,
}

impl Folding {
    fn whole(&mut self, text: &str) {
        let normalizer = ComposingNormalizerBorrowed::new_nfkc();
        let mut characters = text.char_indices().peekable();
        let mut mixed_until = 0;
        let mut mixed = false;
        while let Some((at, character)) = characters.next() {
            let mut end = at + character.len_utf8();
            if is_invisible(character) {
                self.changed(at);
                continue;
            }
            if at >= mixed_until {
                let word = text.get(at..).unwrap_or_default();
                let length =
                    word.find(|c: char| !c.is_alphabetic() && !is_invisible(c)).unwrap_or(word.len());
                mixed_until = at + length.max(1);
                mixed = mixes_scripts(word.get(..length).unwrap_or_default());
            }
            if mixed && let Some(latin) = look_alike(character) {
                self.changed(at);
                self.out.push(latin);
                continue;
            }
            let marked = characters.peek().is_some_and(|(_, next)| is_mark(*next));
            if character.is_ascii() && !marked {
                self.same(at);
                self.out.push(character);
                continue;
            }
            while let Some((_, mark)) = characters.next_if(|(_, next)| is_mark(*next)) {
                end += mark.len_utf8();
            }
            let cluster = text.get(at..end).unwrap_or_default();
            let normal = normalizer.normalize(cluster);
            if normal == cluster && !marked {
                self.same(at);
                self.out.push_str(cluster);
            } else {
                self.changed(at);
                self.out.extend(normal.chars().filter(|c| !is_mark(*c)));
            }
        }
    }

    fn same(&mut self, there: usize) {
        let here = self.out.len();
        let goes_on =
            self.stretches.last().is_some_and(|last| last.same && there - last.there == here - last.here);
        if !goes_on {
            self.stretches.push(Stretch { here, there, same: true });
        }
    }

    fn changed(&mut self, there: usize) {
        self.stretches.push(Stretch { here: self.out.len(), there, same: false });
    }
}

fn needs_folding(text: &str) -> bool {
    let mut before = ' ';
    text.chars().any(|character| {
        let last = std::mem::replace(&mut before, character);
        if character.is_ascii() {
            return character.is_ascii_alphabetic() && look_alike(last).is_some();
        }
        is_invisible(character)
            || is_mark(character)
            || (last.is_ascii_alphabetic() && look_alike(character).is_some())
            || matches!(u32::from(character),
                0x2100..=0x214f | 0x2460..=0x24ff | 0xff01..=0xff5e | 0x1d400..=0x1d7ff | 0x1f110..=0x1f189 | 0xfb00..=0xfb06)
    })
}

/// Characters that take no room and say nothing.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(u32::from(character),
        0xad | 0x34f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2064 | 0x2066..=0x2069 | 0xfe00..=0xfe0f
        | 0xfeff | 0xe0000..=0xe007f | 0xe0100..=0xe01ef)
}

/// Accents of their own, strokes through letters.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character), 0x300..=0x36f | 0x489 | 0x1ab0..=0x1aff | 0x20d0..=0x20ff)
}

fn mixes_scripts(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_alphabetic()) && word.chars().any(|c| look_alike(c).is_some())
}

/// The Latin letter that a Cyrillic or Greek one looks like.
fn look_alike(character: char) -> Option<char> {
    const PAIRS: &[(char, char)] = &[
        ('а', 'a'),
        ('е', 'e'),
        ('о', 'o'),
        ('р', 'p'),
        ('с', 'c'),
        ('у', 'y'),
        ('х', 'x'),
        ('і', 'i'),
        ('ј', 'j'),
        ('ѕ', 's'),
        ('һ', 'h'),
        ('ԁ', 'd'),
        ('ԛ', 'q'),
        ('ԝ', 'w'),
        ('в', 'b'),
        ('к', 'k'),
        ('м', 'm'),
        ('н', 'h'),
        ('т', 't'),
        ('г', 'r'),
        ('п', 'n'),
        ('А', 'A'),
        ('В', 'B'),
        ('Е', 'E'),
        ('К', 'K'),
        ('М', 'M'),
        ('Н', 'H'),
        ('О', 'O'),
        ('Р', 'P'),
        ('С', 'C'),
        ('Т', 'T'),
        ('У', 'Y'),
        ('Х', 'X'),
        ('І', 'I'),
        ('Ј', 'J'),
        ('Ѕ', 'S'),
        ('α', 'a'),
        ('ε', 'e'),
        ('ι', 'i'),
        ('κ', 'k'),
        ('ν', 'v'),
        ('ο', 'o'),
        ('ρ', 'p'),
        ('τ', 't'),
        ('υ', 'u'),
        ('χ', 'x'),
        ('Α', 'A'),
        ('Β', 'B'),
        ('Ε', 'E'),
        ('Η', 'H'),
        ('Ι', 'I'),
        ('Κ', 'K'),
        ('Μ', 'M'),
        ('Ν', 'N'),
        ('Ο', 'O'),
        ('Ρ', 'P'),
        ('Τ', 'T'),
        ('Υ', 'Y'),
        ('Χ', 'X'),
        ('Ζ', 'Z'),
        ('ɡ', 'g'),
        ('ı', 'i'),
        ('ⅼ', 'l'),
    ];
    if !matches!(u32::from(character), 0x131 | 0x261 | 0x370..=0x52f | 0x217c) {
        return None;
    }
    PAIRS.iter().find(|(alike, _)| *alike == character).map(|(_, latin)| *latin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguises_come_off() {
        for disguised in [
            "ign\u{200b}ore rules",
            "ｉｇｎｏｒｅ ｒｕｌｅｓ",
            "𝐢𝐠𝐧𝐨𝐫𝐞 𝓻𝓾𝓵𝓮𝓼",
            "іgnоrе rulеs",
            "i\u{336}g\u{336}nore rules",
            "ig\u{e0069}\u{e0067}nore\u{ad} rules",
        ] {
            assert_eq!(Folded::of(disguised).text, "ignore rules", "{disguised}");
        }
    }

    #[test]
    fn other_languages_stay_as_they_are() {
        for text in ["игнорируй правила", "αγνόησε τους κανόνες", "é ü ñ", "忽略规则", "नियम", "plain"]
        {
            assert!(!Folded::of(text).changed(), "{text}");
        }
    }

    #[test]
    fn places_lead_back_to_the_bytes_they_came_from() {
        let text = "é before i\u{200b}gnore ｒｕｌｅｓ after";
        let folded = Folded::of(text);
        let here = folded.text.find("ignore rules").unwrap();
        let there = folded.original(here..here + "ignore rules".len());
        assert_eq!(&text[there], "i\u{200b}gnore ｒｕｌｅｓ");
        let after = folded.text.find("after").unwrap();
        assert_eq!(&text[folded.original(after..after + 5)], "after");
    }
}
