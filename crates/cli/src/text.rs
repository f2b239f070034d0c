//! File bytes as text for the detectors, with byte offsets and line numbers that hold for the file.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

/// What a detector can read of a file, and what is needed to give the file back as it was.
///
/// Bytes that are no character become characters that stand for them ([`NO_CHARACTER`]), one for one.
pub(crate) struct Readable<'b> {
    pub(crate) text: Cow<'b, str>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bytes,
    /// With its byte order mark; a last half unit is kept apart.
    Utf16 {
        big_endian: bool,
        rest: Option<u8>,
    },
}

/// The last 2,048 characters there are, which nobody uses: as many as half pairs of UTF-16, and more than bytes.
const NO_CHARACTER: RangeInclusive<char> = '\u{10f800}'..='\u{10ffff}';
const FIRST_SURROGATE: u32 = 0xd800;
/// Stands for a byte when the byte is added.
const BYTE: u32 = 0x10ff00;

impl<'b> Readable<'b> {
    /// `None` for binary files: a NUL near the start, as git has it, and no mark of UTF-16.
    pub(crate) fn of(bytes: &'b [u8]) -> Option<Readable<'b>> {
        let utf32 = bytes.starts_with(&[0xff, 0xfe, 0, 0]);
        match bytes {
            [0xff, 0xfe, units @ ..] if !utf32 => Some(utf16(units, false)),
            [0xfe, 0xff, units @ ..] => Some(utf16(units, true)),
            _ if is_binary(bytes) => None,
            _ => Some(Readable { text: of_bytes(bytes), form: Form::Bytes }),
        }
    }

    /// The bytes of a file of this form that holds `text`.
    pub(crate) fn bytes_of(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len());
        match self.form {
            Form::Bytes => {
                let mut told = 0;
                for (at, c) in text.char_indices().filter(|(_, c)| NO_CHARACTER.contains(c)) {
                    bytes.extend_from_slice(text.get(told..at).unwrap_or_default().as_bytes());
                    bytes.extend(u8::try_from(u32::from(c).wrapping_sub(BYTE)));
                    told = at + c.len_utf8();
                }
                bytes.extend_from_slice(text.get(told..).unwrap_or_default().as_bytes());
            }
            Form::Utf16 { big_endian, rest } => {
                let mut push = |unit: u16| {
                    bytes.extend(if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() });
                };
                push(0xfeff);
                for c in text.chars() {
                    match half(c) {
                        Some(half) => push(half),
                        None => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push(*unit)),
                    }
                }
                bytes.extend(rest);
            }
        }
        bytes
    }

    /// Tells places of the text as offsets in the file.
    pub(crate) fn places(&self) -> Places<'_> {
        let exact = self.form == Form::Bytes && matches!(self.text, Cow::Borrowed(_));
        Places { text: (!exact).then_some(&*self.text), form: self.form, at: 0, bytes: 0 }
    }
}

/// Goes through a text once; places are asked for in their order.
pub(crate) struct Places<'t> {
    /// None where the text is the file.
    text: Option<&'t str>,
    form: Form,
    at: usize,
    bytes: usize,
}

impl Places<'_> {
    pub(crate) fn of(&mut self, at: usize) -> usize {
        let Some(text) = self.text else { return at };
        if at < self.at {
            (self.at, self.bytes) = (0, 0);
        }
        let passed = text.get(self.at..at).unwrap_or_default();
        let mark = match self.form {
            Form::Bytes => {
                self.bytes += passed
                    .chars()
                    .map(|c| if NO_CHARACTER.contains(&c) { 1 } else { c.len_utf8() })
                    .sum::<usize>();
                0
            }
            Form::Utf16 { .. } => {
                let units = |c: char| if NO_CHARACTER.contains(&c) { 1 } else { c.len_utf16() };
                self.bytes += 2 * passed.chars().map(units).sum::<usize>();
                2
            }
        };
        self.at = at;
        mark + self.bytes
    }
}

pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.get(..8192).unwrap_or(bytes).contains(&0)
}

fn of_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let stand_in = |byte: &u8| char::from_u32(BYTE + u32::from(*byte)).unwrap_or_default();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if NO_CHARACTER.contains(&c) {
                text.extend(c.encode_utf8(&mut [0; 4]).as_bytes().iter().map(stand_in));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(stand_in));
    }
    Cow::Owned(text)
}

fn utf16(bytes: &[u8], big_endian: bool) -> Readable<'static> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs
        .iter()
        .map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let stand_in = |unit: u16| {
        let code = u32::from(*NO_CHARACTER.start()) + u32::from(unit).wrapping_sub(FIRST_SURROGATE);
        char::from_u32(code).unwrap_or_default()
    };
    let mut text = String::with_capacity(pairs.len());
    for decoded in char::decode_utf16(units) {
        match decoded {
            Ok(c) if NO_CHARACTER.contains(&c) => {
                text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| stand_in(*unit)));
            }
            Ok(c) => text.push(c),
            Err(alone) => text.push(stand_in(alone.unpaired_surrogate())),
        }
    }
    let rest = rest.first().copied();
    Readable { text: Cow::Owned(text), form: Form::Utf16 { big_endian, rest } }
}

/// The half pair that a character stands for.
fn half(c: char) -> Option<u16> {
    let above = u32::from(c).checked_sub(u32::from(*NO_CHARACTER.start()))?;
    u16::try_from(FIRST_SURROGATE + above).ok()
}

/// Where the lines of a text begin.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Lines {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(breaks).collect())
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn number(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }

    /// The bytes of the line that holds a byte, without its line break.
    pub(crate) fn range(&self, at: usize, text: &str) -> Range<usize> {
        let line = self.number(at);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        let end = self.0.get(line).map_or(text.len(), |next| next - 1);
        start..end
    }
}

/// Columns as SARIF counts them: from 1, in UTF-16 units. A place behind the last one on the same line is counted on from
/// there, so that a file of one endless line costs one walk.
pub(crate) struct Columns<'t> {
    text: &'t str,
    lines: &'t Lines,
    line: usize,
    at: usize,
    column: usize,
}

impl<'t> Columns<'t> {
    pub(crate) fn of(text: &'t str, lines: &'t Lines) -> Columns<'t> {
        Columns { text, lines, line: 0, at: 0, column: 1 }
    }

    pub(crate) fn at(&mut self, at: usize) -> usize {
        let start = self.lines.range(at, self.text).start;
        if start != self.line || at < self.at {
            (self.line, self.at, self.column) = (start, start, 1);
        }
        self.column += self.text.get(self.at..at).map_or(0, |passed| passed.encode_utf16().count());
        self.at = at;
        self.column
    }
}

/// What stands in for a value on screen: always as long, so that it does not tell the value's length.
const MASK: &str = "********";
/// How much of a line is shown on either side of a masked value.
const AROUND: usize = 40;

/// The line of `span` with every one of `spans` masked, cut to what fits beside a file name.
pub(crate) fn masked_line(text: &str, lines: &Lines, span: &Range<usize>, spans: &[Range<usize>]) -> String {
    let line = lines.range(span.start, text);
    let from = ceil(text, line.start.max(span.start.saturating_sub(AROUND)));
    let to = floor(text, line.end.min(span.end.saturating_add(AROUND)).max(from));
    let mut shown = String::new();
    if from > line.start {
        shown.push('…');
    }
    let mut at = from;
    // Spans follow each other and don't overlap: those before the line need no look, however many they are.
    let first = spans.partition_point(|hidden| hidden.end <= at);
    for hidden in spans.iter().skip(first).take_while(|hidden| hidden.start < to) {
        shown.push_str(text.get(at..hidden.start.max(at)).unwrap_or_default());
        shown.push_str(MASK);
        at = hidden.end.min(to);
    }
    shown.push_str(text.get(at..to).unwrap_or_default());
    if to < line.end {
        shown.push('…');
    }
    printable(shown.trim())
}

/// What others wrote must not command the terminal, nor turn its text around or hide in it.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            _ if c.is_control() || is_unseen(c) || NO_CHARACTER.contains(&c) => '\u{fffd}',
            _ => c,
        })
        .collect()
}

/// The same for several lines: breaks are their only freedom.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Marks of direction and signs without width. Joiners stay: scripts and emoji need them.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len())
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_keep_their_places() {
        let bytes = b"a\xff\xfekey=\xc3\xa4\xe2\x82!";
        let read = Readable::of(bytes).unwrap();
        let at = read.text.find("key").unwrap();
        assert_eq!(read.places().of(at), 3);
        assert_eq!(read.places().of(read.text.len()), bytes.len());
        assert!(Readable::of(b"\x7fELF\0\0").is_none());
        assert!(Readable::of(b"\xff\xfe\0\0a\0\0\0").is_none());
        assert!(matches!(Readable::of(b"plain").unwrap().text, Cow::Borrowed("plain")));
    }

    #[test]
    fn what_was_read_is_given_back_byte_for_byte() {
        let units = |text: &str, odd: &[u16], big: bool| -> Vec<u8> {
            let all = std::iter::once(0xfeff).chain(text.encode_utf16()).chain(odd.iter().copied());
            all.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        let mut half_a_unit = units("key", &[], false);
        half_a_unit.push(7);
        for bytes in [
            b"caf\xe9 \xf4\x8f\xbf\xbf key \xff\xc3".to_vec(),
            units("kéy 🔑 \u{10fff0}", &[0xd800, 0x41, 0xdc00], false),
            units("kéy 🔑 \u{10fff0}", &[0xdbff], true),
            half_a_unit,
        ] {
            let read = Readable::of(&bytes).unwrap();
            assert_eq!(read.bytes_of(&read.text), bytes);
        }
        let bytes = units("ü🔑key", &[], false);
        let read = Readable::of(&bytes).unwrap();
        let mut places = read.places();
        let at = read.text.find("key").unwrap();
        assert_eq!((places.of(at), places.of(at + 3), places.of(at)), (8, 14, 8));
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = "one\ntwo\n\nfour";
        let lines = Lines::of(text);
        let at = |needle: &str| text.find(needle).unwrap();
        assert_eq!(lines.number(0), 1);
        assert_eq!(lines.number(3), 1);
        assert_eq!(lines.number(at("two")), 2);
        assert_eq!(lines.number(at("four")), 4);
        assert_eq!(&text[lines.range(at("two"), text)], "two");
        assert_eq!(&text[lines.range(at("four") + 1, text)], "four");
    }

    #[test]
    fn no_value_is_shown() {
        let text = "user=me password=hunter2-hunter2 token=abcdefgh\nnext";
        let lines = Lines::of(text);
        let spans = [17..32, 39..47];
        assert_eq!(masked_line(text, &lines, &spans[0], &spans), "user=me password=******** token=********");
        assert_eq!(masked_line(text, &lines, &spans[1], &spans), "user=me password=******** token=********");
    }

    #[test]
    fn a_value_over_many_lines_shows_its_first_line_alone() {
        let text = "key: -----BEGIN\nsecret body\n-----END tail";
        let lines = Lines::of(text);
        let span = 5..36;
        assert_eq!(masked_line(text, &lines, &span, std::slice::from_ref(&span)), "key: ********");
    }

    #[test]
    fn long_lines_are_cut_at_whole_characters() {
        let text = format!("{}KEY{}", "ä".repeat(100), "ö".repeat(100));
        let lines = Lines::of(&text);
        let span = 200..203;
        let shown = masked_line(&text, &lines, &span, std::slice::from_ref(&span));
        assert!(shown.starts_with("…ä") && shown.contains("ä********ö") && shown.ends_with("ö…"), "{shown}");
    }

    #[test]
    fn control_characters_stay_off_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc"), "a\u{fffd}[31mb c");
        assert_eq!(printable("x\u{202e}fdp\u{9b}2J\u{200b}"), "x\u{fffd}fdp\u{fffd}2J\u{fffd}");
        assert_eq!(printable_lines("a\r\nb\u{7}\n"), "a\nb\u{fffd}");
        assert_eq!(printable("👩\u{200d}💻"), "👩\u{200d}💻");
    }

    #[test]
    fn columns_are_those_of_sarif_whatever_their_order() {
        let text = "ä🔑 one two\nthree 🔑 four";
        let lines = Lines::of(text);
        let mut columns = Columns::of(text, &lines);
        let mut of = |word: &str| columns.at(text.find(word).unwrap());
        assert_eq!([of("one"), of("two"), of("one"), of("four"), of("three")], [5, 9, 5, 10, 1]);
    }
}
