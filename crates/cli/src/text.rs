//! File bytes as text for the detectors, with byte offsets and line numbers that hold for the file.

use std::borrow::Cow;
use std::ops::Range;

/// What a detector can read of a file. `None` for binary files: a NUL near the start, as git has it.
///
/// Bytes that are no UTF-8 become blanks, one for one, so that offsets stay those of the file.
pub(crate) fn readable(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let start = bytes.get(..8192).unwrap_or(bytes);
    if start.contains(&0) {
        return None;
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| ' '));
    }
    Some(Cow::Owned(text))
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
    for hidden in spans {
        if hidden.end <= at || hidden.start >= to {
            continue;
        }
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

/// Control characters of a file must not reach the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
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
        let text = readable(bytes).unwrap();
        assert_eq!(text.len(), bytes.len());
        assert_eq!(text.find("key"), Some(3));
        assert!(readable(b"\x7fELF\0\0").is_none());
        assert!(matches!(readable(b"plain"), Some(Cow::Borrowed("plain"))));
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
    }
}
