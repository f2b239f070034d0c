//! Decoded readings of a text, with the way back to its bytes.
//!
//! A value may stand in a text percent-encoded or behind backslash escapes, in any mixture. Each
//! reading is built only when the text holds such an escape, and wiped after use.

use std::ops::Range;

use super::escapes::{
    Layer, has_percent_escape, is_entity, narrow, unentity, unescape, unpercent, unwrap_escaped, unwrap_lines,
};

/// Decoded text, which may hold values, overwritten when it is dropped.
///
/// A plain fill that the compiler must not drop: it runs at memory speed, where wiping byte by
/// volatile byte took longer than the whole scan.
pub(super) struct Wiped(pub(super) Vec<u8>);

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
    Entity,
    Wrapped,
    Utf16,
}

/// One escape: where its output stands, and what it was.
#[derive(Clone, Copy)]
pub(super) struct Escape {
    pub(super) out: usize,
    pub(super) out_len: u8,
    pub(super) raw: usize,
    pub(super) raw_len: u8,
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
    /// All readings of `text` that differ from it. `before` stands before it; `pluses`: some known
    /// value holds a space, which a form writes as `+`.
    pub(crate) fn of(before: &[u8], text: &[u8], pluses: bool) -> Views {
        let mut views = Views::default();
        if memchr::memchr(b'\\', text).is_some() {
            views.push_nested(Coding::Backslash, text, unescape);
        }
        if has_percent_escape(text) {
            views.push_nested(Coding::Percent, text, |input| unpercent(input, false));
        }
        if memchr::memchr_iter(b'&', text).any(|at| is_entity(text.get(at..).unwrap_or_default())) {
            views.push_nested(Coding::Entity, text, unentity);
        }
        if pluses && memchr::memchr(b'+', text).is_some() {
            views.0.push(View::new(unpercent(text, true), Coding::Percent, None));
        }
        if let Some(layer) = unwrap_lines(before, text) {
            views.0.push(View::new(layer, Coding::Wrapped, None));
        }
        if let Some(layer) = narrow(text) {
            views.0.push(View::new(layer, Coding::Utf16, None));
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
            self.0.push(View::new(layer, coding, below));
            let number = self.0.len() - 1;
            below = Some(number);
            // What an unfinished escape will become is not known, so deeper readings end before it.
            let Some(last) = self.0.last() else { break };
            layer = decode(last.settled());
            let unwrapped = unwrap_escaped(last.settled(), &last.escapes);
            let narrowed = narrow(last.settled());
            self.0.extend(unwrapped.map(|layer| View::new(layer, Coding::Wrapped, below)));
            self.0.extend(narrowed.map(|layer| View::new(layer, Coding::Utf16, below)));
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

fn after(escape: Escape, at: usize) -> usize {
    at - escape.out - usize::from(escape.out_len) + escape.raw + usize::from(escape.raw_len)
}

impl View {
    fn new(layer: Layer, coding: Coding, below: Option<usize>) -> View {
        View { coding, below, bytes: layer.bytes, escapes: layer.escapes, unfinished: layer.unfinished }
    }

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

    /// The span of this reading outside of which no escape put anything in place.
    pub(crate) fn touched(&self) -> Option<Range<usize>> {
        let (first, last) = (self.escapes.first()?, self.escapes.last()?);
        Some(first.out..last.out + usize::from(last.out_len))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(text: &str) -> Vec<String> {
        Views::of(b"", text.as_bytes(), true)
            .iter()
            .map(|(_, view)| String::from_utf8_lossy(view.bytes()).into_owned())
            .collect()
    }

    #[test]
    fn escapes_are_read_in_many_spellings() {
        assert_eq!(readings(r#"a\"b\\c\/d\ne"#), ["a\"b\\c/d\ne", "a\"b\\c/de"]);
        assert_eq!(readings(r"\u0041\x42\u{43}\U00000044\105"), ["ABCDE"]);
        assert_eq!(readings(r"\ud83d\ude00 \ud83d"), ["😀 \\ud83d"]);
        assert_eq!(readings(r"\\u0041"), [r"\u0041", "A"]);
        assert_eq!(readings(r"\q \u00zz \xg"), [r"\q \u00zz \xg"]);
        assert_eq!(readings("a%20b%2fc%zz"), ["a b/c%zz"]);
        assert_eq!(readings("a%2520b"), ["a%20b", "a b"]);
        assert_eq!(readings("a+b%2Bc"), ["a+b+c", "a b+c"]);
        assert_eq!(
            readings("a&lt;b&#x41;&#66;&amp;gt;&no;&#x110000;"),
            ["a<bAB&gt;&no;&#x110000;", "a<bAB>&no;&#x110000;"]
        );
        assert_eq!(readings(r"\x41\x00\x42\0 z"), ["A\0B\0 z", "AB z"]);
        assert_eq!(readings("\0A%00B"), ["\0A\0B", "AB", "A%00B"]);
        assert_eq!(readings(r"a\r\n"), ["a\r\n", "a\r\n"]);
        assert_eq!(readings("aaaaaaaaaaaaaaaaaaaaaaaa\r\nb\nc"), ["aaaaaaaaaaaaaaaaaaaaaaaab\nc"]);
        assert!(readings("plain 100% text && R&D\nof\ntwo").is_empty());
    }

    #[test]
    fn spans_find_the_way_back() {
        let text = r"xx\\u0041\\u0042yy";
        let all = Views::of(b"", text.as_bytes(), false);
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
        for (text, at) in [
            (r"ab\", 2),
            (r"ab\u00", 2),
            (r"ab\x4", 2),
            ("ab%", 2),
            ("ab%4", 2),
            (r"a\ud83d\u", 1),
            ("ab&am", 2),
            ("ab&#x4", 2),
            ("ab&", 2),
            ("aaaaaaaaaaaaaaaaaaaaaaaa\r\n", 24),
            ("aaaaaaaaaaaaaaaaaaaaaaaa\r", 24),
        ] {
            let all = Views::of(b"", text.as_bytes(), false);
            assert_eq!(all.view(0).unwrap().unfinished(), Some(at), "{text}");
            assert_eq!(all.view(0).unwrap().settled(), &text.as_bytes()[..at]);
        }
    }
}
