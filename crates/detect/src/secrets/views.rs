//! Decoded readings of a text, with the way back to its bytes.
//!
//! A value may stand in a text percent-encoded or behind backslash escapes, in any mixture. Each
//! reading is built only when the text holds such an escape, and wiped after use.

use std::ops::Range;

/// Decoded text, which may hold values, overwritten when it is dropped.
///
/// A plain fill that the compiler must not drop: it runs at memory speed, where wiping byte by
/// volatile byte took longer than the whole scan.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&mut self.0);
    }
}

/// Which decoding a reading went through; the outermost one names a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Percent,
    Backslash,
}

/// One escape: where its output stands, and what it was.
#[derive(Clone, Copy)]
struct Escape {
    out: usize,
    out_len: u8,
    raw: usize,
    raw_len: u8,
}

/// A reading of the text, or of another reading.
pub(crate) struct View {
    pub(crate) coding: Coding,
    /// The reading that this one decodes; none if it decodes the text itself.
    pub(crate) below: Option<usize>,
    bytes: Wiped,
    escapes: Vec<Escape>,
    /// Where a last, unfinished escape begins in the input, if the input ends in one.
    unfinished: Option<usize>,
}

/// All readings of one text. A reading stands behind the one it decodes.
#[derive(Default)]
pub(crate) struct Views(Vec<View>);

/// How often an escape may itself be escaped: JSON in JSON in a source literal.
const DEPTH: usize = 3;

impl Views {
    /// All readings of `text` that differ from it. `pluses`: some known value holds a space, which
    /// a form writes as `+`.
    pub(crate) fn of(text: &[u8], pluses: bool) -> Views {
        let mut views = Views::default();
        if memchr::memchr(b'\\', text).is_some() {
            views.push_nested(Coding::Backslash, text, unescape);
        }
        if has_percent_escape(text) {
            views.push_nested(Coding::Percent, text, |input| unpercent(input, false));
        }
        if pluses && memchr::memchr(b'+', text).is_some() {
            views.0.push(unpercent(text, true).into_view(Coding::Percent, None));
        }
        views
    }

    fn push_nested(&mut self, coding: Coding, text: &[u8], decode: impl Fn(&[u8]) -> Layer) {
        let mut layer = decode(text);
        let mut below = None;
        for _ in 0..DEPTH {
            let nothing = layer.escapes.is_empty() && layer.unfinished.is_none();
            if below.is_some() && nothing {
                break;
            }
            self.0.push(layer.into_view(coding, below));
            below = Some(self.0.len() - 1);
            // What an unfinished escape will become is not known, so deeper readings end before it.
            let Some(last) = self.0.last() else { break };
            layer = decode(last.settled());
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &View)> {
        self.0.iter().enumerate()
    }

    pub(crate) fn view(&self, number: usize) -> Option<&View> {
        self.0.get(number)
    }

    /// The bytes of the text that a span of a reading came from.
    pub(crate) fn raw(&self, number: usize, span: Range<usize>) -> Range<usize> {
        let mut span = span;
        self.each_below(number, |view| span = view.input_start(span.start)..view.input_end(span.end));
        span
    }

    pub(crate) fn raw_start(&self, number: usize, at: usize) -> usize {
        let mut at = at;
        self.each_below(number, |view| at = view.input_start(at));
        at
    }

    fn each_below(&self, number: usize, mut each: impl FnMut(&View)) {
        let mut next = Some(number);
        while let Some(view) = next.and_then(|number| self.0.get(number)) {
            each(view);
            next = view.below;
        }
    }

    /// Where in a reading a place of the text stands; inside an escape, where its output begins.
    pub(crate) fn decoded_start(&self, number: usize, at: usize) -> usize {
        let Some(view) = self.0.get(number) else { return at };
        let below = view.below.map_or(at, |below| self.decoded_start(below, at));
        view.output_start(below)
    }

    /// The last place at or before `at` in the text where no escape of any reading is cut.
    pub(crate) fn boundary_before(&self, at: usize) -> usize {
        // Down and up again rounds to the start of the escape that covers `at`.
        let rounded = |(number, _)| self.raw_start(number, self.decoded_start(number, at));
        self.iter().map(rounded).fold(at, usize::min)
    }
}

impl View {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes.0
    }

    /// The bytes that no unfinished escape at the end can change.
    pub(crate) fn settled(&self) -> &[u8] {
        let end = self.unfinished.map_or(self.bytes.0.len(), |at| self.output_start(at));
        self.bytes.0.get(..end).unwrap_or_default()
    }

    /// Where, in the input, an escape that the text cuts off begins.
    pub(crate) fn unfinished(&self) -> Option<usize> {
        self.unfinished
    }

    /// What escapes put in place, as spans of this reading.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Range<usize>> {
        self.escapes.iter().map(|escape| escape.out..escape.out + usize::from(escape.out_len))
    }

    /// Where a stretch of the input stands here, if no escape touches it.
    pub(crate) fn unchanged(&self, input: Range<usize>) -> Option<usize> {
        let next =
            self.escapes.partition_point(|escape| escape.raw + usize::from(escape.raw_len) <= input.start);
        let free = self.escapes.get(next).is_none_or(|escape| escape.raw >= input.end);
        free.then(|| self.output_start(input.start))
    }

    fn before(&self, at: usize) -> Option<Escape> {
        let next = self.escapes.partition_point(|escape| escape.out <= at);
        self.escapes.get(next.checked_sub(1)?).copied()
    }

    fn input_start(&self, at: usize) -> usize {
        match self.before(at) {
            None => at,
            Some(escape) if at < escape.out + usize::from(escape.out_len) => escape.raw,
            Some(escape) => after(escape, at),
        }
    }

    /// The end in the input of the decoded bytes before `end`.
    fn input_end(&self, end: usize) -> usize {
        let Some(last) = end.checked_sub(1) else { return 0 };
        match self.before(last) {
            None => end,
            Some(escape) if last < escape.out + usize::from(escape.out_len) => {
                escape.raw + usize::from(escape.raw_len)
            }
            Some(escape) => after(escape, last) + 1,
        }
    }

    fn output_start(&self, input: usize) -> usize {
        let next = self.escapes.partition_point(|escape| escape.raw <= input);
        match next.checked_sub(1).and_then(|i| self.escapes.get(i)) {
            None => input,
            Some(escape) if input < escape.raw + usize::from(escape.raw_len) => escape.out,
            Some(escape) => {
                input - escape.raw - usize::from(escape.raw_len) + escape.out + usize::from(escape.out_len)
            }
        }
    }
}

/// A reading in the making.
struct Layer {
    bytes: Wiped,
    escapes: Vec<Escape>,
    unfinished: Option<usize>,
}

fn after(escape: Escape, at: usize) -> usize {
    at - escape.out - usize::from(escape.out_len) + escape.raw + usize::from(escape.raw_len)
}

fn has_percent_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| match text.get(at + 1..) {
        Some([high, low, ..]) => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        // The end of a stream's piece: what follows may complete it.
        Some([high]) => high.is_ascii_hexdigit(),
        _ => true,
    })
}

fn unpercent(input: &[u8], pluses: bool) -> Layer {
    let mut layer = Layer::with_room(input.len());
    let mut done = 0;
    let step = |from: usize| {
        let rest = input.get(from..).unwrap_or_default();
        let found = if pluses { memchr::memchr2(b'%', b'+', rest) } else { memchr::memchr(b'%', rest) };
        found.map(|at| from + at)
    };
    let mut from = 0;
    while let Some(at) = step(from) {
        from = at + 1;
        match input.get(at..).unwrap_or_default() {
            [b'+', ..] => {
                layer.copy(input, done..at);
                layer.escape(at, 1, b" ");
                done = at + 1;
            }
            [b'%', high, low, ..] => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    layer.copy(input, done..at);
                    layer.escape(at, 3, &[high << 4 | low]);
                    done = at + 3;
                    from = done;
                }
            }
            [b'%'] => layer.unfinished = Some(at),
            [b'%', high] if high.is_ascii_hexdigit() => layer.unfinished = Some(at),
            _ => {}
        }
    }
    layer.copy(input, done..input.len());
    layer
}

fn unescape(input: &[u8]) -> Layer {
    let mut layer = Layer::with_room(input.len());
    let (mut done, mut from) = (0, 0);
    while let Some(at) = memchr::memchr(b'\\', input.get(from..).unwrap_or_default()) {
        let at = from + at;
        match backslash(input.get(at..).unwrap_or_default()) {
            Backslash::Is { raw_len, bytes, len } => {
                layer.copy(input, done..at);
                layer.escape(at, raw_len, bytes.get(..usize::from(len)).unwrap_or_default());
                done = at + usize::from(raw_len);
                from = done;
            }
            Backslash::No => from = at + 2,
            Backslash::Unfinished => {
                layer.unfinished = Some(at);
                break;
            }
        }
    }
    layer.copy(input, done..input.len());
    layer
}

enum Backslash {
    Is { raw_len: u8, bytes: [u8; 4], len: u8 },
    No,
    Unfinished,
}

/// Reads the escape at the start of `at`, in the spellings of JSON, JavaScript, Python, C, Rust
/// and the shell.
fn backslash(at: &[u8]) -> Backslash {
    let Some(kind) = at.get(1) else { return Backslash::Unfinished };
    let one = |byte: u8| Backslash::Is { raw_len: 2, bytes: [byte, 0, 0, 0], len: 1 };
    match kind {
        b'n' => one(b'\n'),
        b't' => one(b'\t'),
        b'r' => one(b'\r'),
        b'b' => one(8),
        b'f' => one(12),
        b'v' => one(11),
        b'a' => one(7),
        b'e' => one(27),
        b'x' => match digits(at, 2, 2) {
            Digits::Are(value) => Backslash::Is { raw_len: 4, bytes: [value as u8, 0, 0, 0], len: 1 },
            Digits::No => Backslash::No,
            Digits::Unfinished => Backslash::Unfinished,
        },
        b'u' if at.get(2) == Some(&b'{') => braced(at),
        b'u' => utf16(at),
        b'U' => match digits(at, 2, 8) {
            Digits::Are(value) => character(10, value),
            Digits::No => Backslash::No,
            Digits::Unfinished => Backslash::Unfinished,
        },
        b'0'..=b'7' => octal(at),
        b'\n' => Backslash::Is { raw_len: 2, bytes: [0; 4], len: 0 },
        byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => Backslash::No,
        byte => one(*byte),
    }
}

fn octal(at: &[u8]) -> Backslash {
    let mut value = 0u32;
    for taken in 1..=3 {
        match at.get(taken) {
            Some(digit @ b'0'..=b'7') => value = value * 8 + u32::from(digit - b'0'),
            None => return Backslash::Unfinished,
            Some(_) if taken == 2 && value == 0 => {
                return Backslash::Is { raw_len: 2, bytes: [0; 4], len: 1 };
            }
            Some(_) => return Backslash::No,
        }
    }
    match u8::try_from(value) {
        Ok(byte) => Backslash::Is { raw_len: 4, bytes: [byte, 0, 0, 0], len: 1 },
        Err(_) => Backslash::No,
    }
}

fn braced(at: &[u8]) -> Backslash {
    let mut value = 0u32;
    for taken in 3..=9 {
        match at.get(taken) {
            None => return Backslash::Unfinished,
            Some(b'}') if taken > 3 => return character(taken as u8 + 1, value),
            Some(digit) => match hex(*digit) {
                Some(digit) => value = value << 4 | u32::from(digit),
                None => return Backslash::No,
            },
        }
    }
    Backslash::No
}

fn utf16(at: &[u8]) -> Backslash {
    let first = match digits(at, 2, 4) {
        Digits::Are(value) => value,
        Digits::No => return Backslash::No,
        Digits::Unfinished => return Backslash::Unfinished,
    };
    if !(0xd800..0xdc00).contains(&first) {
        return character(6, first);
    }
    match (at.get(6), at.get(7)) {
        (None, _) | (Some(b'\\'), None) => Backslash::Unfinished,
        (Some(b'\\'), Some(b'u')) => match digits(at, 8, 4) {
            Digits::Are(second @ 0xdc00..0xe000) => {
                character(12, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
            }
            Digits::Unfinished => Backslash::Unfinished,
            _ => Backslash::No,
        },
        _ => Backslash::No,
    }
}

fn character(raw_len: u8, value: u32) -> Backslash {
    let Some(value) = char::from_u32(value) else { return Backslash::No };
    let mut bytes = [0; 4];
    let len = value.encode_utf8(&mut bytes).len() as u8;
    Backslash::Is { raw_len, bytes, len }
}

enum Digits {
    Are(u32),
    No,
    Unfinished,
}

fn digits(at: &[u8], from: usize, count: usize) -> Digits {
    let mut value = 0u32;
    for i in from..from + count {
        match at.get(i).map(|digit| hex(*digit)) {
            None => return Digits::Unfinished,
            Some(None) => return Digits::No,
            Some(Some(digit)) => value = value << 4 | u32::from(digit),
        }
    }
    Digits::Are(value)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

impl Layer {
    fn into_view(self, coding: Coding, below: Option<usize>) -> View {
        View { coding, below, bytes: self.bytes, escapes: self.escapes, unfinished: self.unfinished }
    }

    fn with_room(len: usize) -> Layer {
        // Decoding never grows the text, so the buffer never moves and leaves no copy behind.
        Layer { bytes: Wiped(Vec::with_capacity(len)), escapes: Vec::new(), unfinished: None }
    }

    fn copy(&mut self, input: &[u8], span: Range<usize>) {
        self.bytes.0.extend_from_slice(input.get(span).unwrap_or_default());
    }

    fn escape(&mut self, raw: usize, raw_len: u8, out: &[u8]) {
        self.escapes.push(Escape { out: self.bytes.0.len(), out_len: out.len() as u8, raw, raw_len });
        self.bytes.0.extend_from_slice(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<String> {
        Views::of(text.as_bytes(), true)
            .iter()
            .map(|(_, view)| String::from_utf8_lossy(view.bytes()).into_owned())
            .collect()
    }

    #[test]
    fn escapes_are_read_in_many_spellings() {
        assert_eq!(readings(r#"a\"b\\c\/d\ne"#), ["a\"b\\c/d\ne"]);
        assert_eq!(readings(r"\u0041\x42\u{43}\U00000044\105"), ["ABCDE"]);
        assert_eq!(readings(r"\ud83d\ude00 \ud83d"), ["😀 \\ud83d"]);
        assert_eq!(readings(r"\\u0041"), [r"\u0041", "A"]);
        assert_eq!(readings(r"\q \u00zz \xg"), [r"\q \u00zz \xg"]);
        assert_eq!(readings("a%20b%2fc%zz"), ["a b/c%zz"]);
        assert_eq!(readings("a%2520b"), ["a%20b", "a b"]);
        assert_eq!(readings("a+b%2Bc"), ["a+b+c", "a b+c"]);
        assert!(readings("plain 100% text").is_empty());
    }

    #[test]
    fn spans_find_the_way_back() {
        let text = r"xx\\u0041\\u0042yy";
        let all = Views::of(text.as_bytes(), false);
        assert_eq!(all.view(1).unwrap().bytes(), b"xxAByy");
        assert_eq!(&text[all.raw(1, 2..4)], r"\\u0041\\u0042");
        assert_eq!(&text[all.raw(1, 1..3)], r"x\\u0041");
        assert_eq!(&text[all.raw(1, 4..6)], "yy");
        for at in 2..9 {
            assert_eq!(all.boundary_before(at), 2);
        }
        assert_eq!(all.boundary_before(9), 9);
        assert_eq!(all.boundary_before(16), 16);
        assert_eq!(all.view(1).unwrap().unchanged(0..2), Some(0));
        assert_eq!(all.view(1).unwrap().unchanged(1..3), None);
    }

    #[test]
    fn an_unfinished_escape_is_known() {
        for (text, at) in
            [(r"ab\", 2), (r"ab\u00", 2), (r"ab\x4", 2), ("ab%", 2), ("ab%4", 2), (r"a\ud83d\u", 1)]
        {
            let all = Views::of(text.as_bytes(), false);
            assert_eq!(all.view(0).unwrap().unfinished(), Some(at), "{text}");
            assert_eq!(all.view(0).unwrap().settled(), &text.as_bytes()[..at]);
        }
    }
}
