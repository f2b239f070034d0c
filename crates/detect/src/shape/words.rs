//! Ordinary words, told by the letter sequences they are made of rather than by a long list.

use super::needles::Needles;

/// One bit per three-letter sequence that ordinary words hold; made by `trigrams.py`.
static TRIGRAMS: &[u8; 2197] = include_bytes!("trigrams.bin");

/// What people use where a password belongs, and what documentation shows there.
static DEFAULTS: Needles<38> = Needles::new([
    "abc",
    "admin",
    "administrator",
    "changeit",
    "changeme",
    "default",
    "demo",
    "dev",
    "dummy",
    "example",
    "foobar",
    "guest",
    "hello",
    "letmein",
    "login",
    "master",
    "minioadmin",
    "mysql",
    "pass",
    "passw0rd",
    "passwd",
    "password",
    "postgres",
    "postgresql",
    "qwerty",
    "rabbitmq",
    "redis",
    "root",
    "sample",
    "secret",
    "swordfish",
    "sysadmin",
    "temp",
    "test",
    "testing",
    "user",
    "username",
    "welcome",
]);

const KEYBOARD: &[&str] = &[
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv",
];

/// Whether letters alone make a word that people could have written.
pub fn is_wordlike(word: &str) -> bool {
    let letters = word.as_bytes();
    if letters.len() < 2 || !letters.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let misses = letters.windows(3).filter(|window| !known_trigram(window)).count();
    // One unknown joint is a compound word; a random string of eight letters has one in a hundred.
    misses <= usize::from(letters.len() >= 8) + letters.len() / 14
}

/// Whether the letters stand in a row in some word.
pub(crate) fn is_wordlike_part(letters: &[u8]) -> bool {
    letters.len() >= 3 && letters.iter().all(u8::is_ascii_alphabetic) && letters.windows(3).all(known_trigram)
}

fn known_trigram(letters: &[u8]) -> bool {
    let number = letters
        .iter()
        .fold(0usize, |n, byte| n * 26 + usize::from(byte.to_ascii_lowercase().saturating_sub(b'a')));
    TRIGRAMS.get(number / 8).is_some_and(|bits| bits >> (number % 8) & 1 != 0)
}

/// Up to three words, or a well-known default with digits behind it.
pub(super) fn is_few_words(value: &str) -> bool {
    let bare = value.trim_end_matches(['!', '.', '?', '#']);
    if bare.len() <= 16 && is_default(bare.trim_end_matches(|c: char| c.is_ascii_digit())) {
        return true;
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_. :".contains(&byte)) {
        return false;
    }
    let number = |part: &str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let joined = !value.contains(['-', '_', '.', ' ', ':']);
    if joined && parts(value).any(number) {
        return false;
    }
    let word = |part: &str| part.len() >= 4 && is_wordlike(part);
    let words = parts(value).filter(|part| word(part)).count();
    (1..=3).contains(&words)
        && explained(value) * 5 >= value.len() * 2
        && parts(value).all(|part| number(part) || word(part) || part.len() <= 3 && is_short_word(part))
}

fn is_short_word(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

pub(super) fn is_default(word: &str) -> bool {
    DEFAULTS.has(word.as_bytes())
}

/// A default with the letters that look like digits and marks exchanged, and digits behind it: `p4ssw0rd`,
/// `Hunter2`.
pub(crate) fn is_spelt_default(value: &str) -> bool {
    let bare = value.trim_end_matches(|c: char| c.is_ascii_digit() || "!.?#".contains(c));
    let plain = |text: &str| -> String {
        let letter = |c: char| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other.to_ascii_lowercase(),
        };
        text.chars().map(letter).collect()
    };
    [bare, value].iter().any(|text| {
        let plain = plain(text);
        is_default(&plain) || is_default(text) || plain == "hunter" || plain.starts_with("password")
    })
}

/// What the parts of a value say, read once.
pub(crate) struct Reading {
    /// How many bytes belong to words of four letters or more.
    pub(crate) explained: usize,
    /// Nothing but words and scraps of up to three letters is there, however joined.
    pub(crate) all_words: bool,
    /// Capitalised pieces joined without a mark, as types are named: `X509EnrollmentFlags`. Random
    /// characters seldom run four letters without a turn.
    pub(crate) camel_case: bool,
}

impl Reading {
    pub(crate) fn of(value: &str) -> Reading {
        let (mut explained, mut others, mut count) = (0, 0, 0);
        let (mut humps, mut capitalised) = (0, 0);
        for part in parts(value) {
            let is_word = part.len() >= 4 && is_wordlike(part);
            explained += if is_word { part.len() } else { 0 };
            others += usize::from(!is_word && (part.len() > 3 || !is_short_word(part)));
            count += 1;
            if part.len() >= 4 && part.starts_with(|c: char| c.is_ascii_uppercase()) {
                humps += 1;
                capitalised += part.len();
            }
        }
        Reading {
            explained,
            all_words: count > 0 && others == 0,
            camel_case: humps >= 2 && capitalised * 10 >= value.len() * 6,
        }
    }
}

/// See [`Reading::all_words`].
pub(crate) fn is_all_words(value: &str) -> bool {
    let mut parts = parts(value).peekable();
    parts.peek().is_some() && parts.all(|part| is_short_word(part) && (part.len() <= 3 || is_wordlike(part)))
}

/// See [`Reading::camel_case`].
pub(crate) fn is_camel_case(value: &str) -> bool {
    Reading::of(value).camel_case
}

/// See [`Reading::explained`].
pub(crate) fn explained(value: &str) -> usize {
    parts(value).filter(|part| part.len() >= 4 && is_wordlike(part)).map(str::len).sum()
}

/// The share of three-letter sequences that no ordinary word holds.
pub(crate) fn odd_letters(value: &str) -> f32 {
    let triples = value.as_bytes().windows(3).filter(|window| window.iter().all(u8::is_ascii_alphabetic));
    let (all, odd) = triples
        .fold((0usize, 0usize), |(all, odd), window| (all + 1, odd + usize::from(!known_trigram(window))));
    odd as f32 / all.max(1) as f32
}

/// Words, numbers: cut at marks, between letters and digits, and before a capital.
pub(crate) fn parts(value: &str) -> Parts<'_> {
    Parts { value, at: 0 }
}

#[derive(Clone)]
pub(crate) struct Parts<'v> {
    value: &'v str,
    at: usize,
}

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        let bytes = self.value.as_bytes();
        let kind = |at: usize| bytes.get(at).map_or(Kind::Mark, |byte| Kind::of(*byte));
        let rest = bytes.get(self.at..).unwrap_or_default();
        let start = self.at + rest.iter().position(|byte| Kind::of(*byte) != Kind::Mark)?;
        let (mut at, mut before, mut here) = (start, Kind::Mark, kind(start));
        while here != Kind::Mark {
            let next = kind(at + 1);
            // A new part begins, with a letter or digit on both sides.
            let turns = (before == Kind::Digit) != (here == Kind::Digit)
                || here == Kind::Upper
                    && (before == Kind::Lower || before == Kind::Upper && next == Kind::Lower);
            if turns && at > start {
                break;
            }
            at += 1;
            (before, here) = (here, next);
        }
        self.at = at;
        self.value.get(start..at)
    }
}

impl Parts<'_> {
    /// Where the last part ends.
    pub(crate) fn end(&self) -> usize {
        self.at
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mark,
    Digit,
    Lower,
    Upper,
}

impl Kind {
    #[inline(always)]
    fn of(byte: u8) -> Kind {
        KINDS.get(usize::from(byte)).copied().unwrap_or(Kind::Mark)
    }
}

/// One load a byte: values are read again and again.
static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Mark; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        {
            kinds[byte] = match byte as u8 {
                b'0'..=b'9' => Kind::Digit,
                b'a'..=b'z' => Kind::Lower,
                b'A'..=b'Z' => Kind::Upper,
                _ => Kind::Mark,
            };
        }
        byte += 1;
    }
    kinds
};

/// How many different bytes.
pub(crate) fn distinct(value: &str) -> usize {
    let mut seen = [0u64; 4];
    for byte in value.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte >> 6)) {
            *seen |= 1 << (byte & 63);
        }
    }
    seen.iter().map(|seen| seen.count_ones() as usize).sum()
}

/// A run along the keyboard or the alphabet, or the same few characters repeated.
pub(crate) fn is_sequence(value: &str) -> bool {
    if value.len() < 4 {
        return false;
    }
    let bytes = || value.bytes().map(|byte| byte.to_ascii_lowercase());
    let (mut steps, mut back, mut neighbours) = (0, 0, 0);
    for (a, b) in bytes().zip(bytes().skip(1)) {
        steps += usize::from(b == a.wrapping_add(1) || a == b);
        back += usize::from(a == b.wrapping_add(1) || a == b);
        neighbours += usize::from(are_neighbours(a, b));
    }
    steps.max(back) * 10 >= (value.len() - 1) * 8
        || neighbours >= LEAST_NEIGHBOURS.min(value.len() - 1) && is_along_keyboard(value)
        || (1..=value.len() / 3).any(|period| bytes().zip(bytes().skip(period)).all(|(a, b)| a == b))
}

fn is_along_keyboard(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    KEYBOARD
        .iter()
        .any(|row| row.contains(lower.as_str()) || lower.contains(*row) && row.len() * 2 > lower.len())
}

/// Of the shortest row.
const LEAST_NEIGHBOURS: usize = 6;

/// Whether two keys stand beside each other in one of the rows.
fn are_neighbours(a: u8, b: u8) -> bool {
    /// For each ASCII character those that follow it.
    static FOLLOWING: [u128; 128] = {
        let mut following = [0; 128];
        let mut row = 0;
        #[allow(clippy::indexing_slicing, reason = "evaluated when the crate is compiled")]
        while row < KEYBOARD.len() {
            let keys = KEYBOARD[row].as_bytes();
            let mut at = 1;
            while at < keys.len() {
                following[keys[at - 1] as usize] |= 1 << keys[at];
                at += 1;
            }
            row += 1;
        }
        following
    };
    b.is_ascii() && FOLLOWING.get(usize::from(a)).is_some_and(|following| following >> b & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_where_people_cut() {
        let all: Vec<&str> = parts("_getHTTPResponse_code2xx-é9v1.").collect();
        assert_eq!(all, ["get", "HTTP", "Response", "code", "2", "xx", "9", "v", "1"]);
    }

    #[test]
    fn words_and_noise() {
        for word in ["production", "database", "authentication", "sunflower", "Superman", "development"] {
            assert!(is_wordlike(word), "{word}");
        }
        for noise in ["qwzkdmvb", "xkcdqzpt", "bvnmqwrt"] {
            assert!(!is_wordlike(noise), "{noise}");
        }
    }

    #[test]
    fn sequences() {
        for value in ["abcdefgh", "12345678", "aaaaaaa", "abcabcabc", "qwertyuiop", "1234567890abcdefghij"] {
            assert!(is_sequence(value), "{value}");
        }
        assert!(!is_sequence("a8f3kx92"));
    }
}
