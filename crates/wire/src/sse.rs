//! Cuts a stream into events without changing a byte: server-sent events, or lines of JSON.
//!
//! However the stream is chunked, the events are the same, and put together they are the stream; but for bytes that
//! are no UTF-8, which give way to the sign that readers put in their place.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::{Limits, StreamError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `text/event-stream`.
    Events,
    /// One JSON document a line.
    Lines,
}

impl Framing {
    /// The framing of a streamed answer, by its content type or else by its first bytes; nothing if
    /// it is no stream of either kind. SSE is known to come without a content type.
    pub fn sniff(content_type: Option<&str>, start: &[u8]) -> Option<Self> {
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "text/event-stream" => return Some(Self::Events),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonl"
            | "application/json-seq"
            | "application/stream+json" => return Some(Self::Lines),
            _ => {}
        }
        let start = start.strip_prefix(BOM).unwrap_or(start).trim_ascii_start();
        let fields = ["data:", "event:", "id:", "retry:", ":"];
        let begins = |line: &[u8]| fields.iter().any(|field| line.starts_with(field.as_bytes()));
        // Readers skip fields that they don't know; what begins as JSON or as a page is no stream of events.
        let other = start.starts_with(b"{") || start.starts_with(b"[") || start.starts_with(b"<");
        let mut lines = start.split(|byte| matches!(byte, b'\n' | b'\r'));
        let carries = |line: &[u8]| line.starts_with(b"data:") || line.starts_with(b"event:");
        (begins(start) || !other && lines.any(carries)).then_some(Self::Events)
    }
}

pub(crate) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event with exactly the bytes it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Everything up to and including the line end that closes the event.
    pub raw: Bytes,
    pub framing: Framing,
    /// False for what was left when the stream ended within an event.
    pub complete: bool,
    name: Option<Range<usize>>,
    /// The contents of its data lines.
    data: Vec<Range<usize>>,
    /// Comments, ids, and fields that readers skip.
    remarks: Vec<Range<usize>>,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Event({} bytes, {} data lines)", self.raw.len(), self.data.len())
    }
}

impl Event {
    /// The value of its `event:` line.
    pub fn name(&self) -> Option<&str> {
        self.name.clone().and_then(|name| std::str::from_utf8(self.raw.get(name)?).ok())
    }

    /// Whether it carries data; comments and stray line ends do not.
    pub fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// Its data, lines joined as a reader would.
    pub fn data(&self) -> Cow<'_, [u8]> {
        let line = |range: &Range<usize>| self.raw.get(range.clone()).unwrap_or_default();
        match self.data.as_slice() {
            [] => Cow::Borrowed(&[]),
            [only] => Cow::Borrowed(line(only)),
            lines => Cow::Owned(lines.iter().map(line).collect::<Vec<_>>().join(&b'\n')),
        }
    }

    /// The bytes of the event with everything but its data blanked out, so that JSON found in them
    /// has its true positions. Line breaks within data are JSON white space anyway.
    pub(crate) fn data_in_place(&self) -> Cow<'_, [u8]> {
        match self.data.as_slice() {
            [] => Cow::Borrowed(&[]),
            lines => {
                let mut blanked = vec![b' '; lines.last().map_or(0, |line| line.end)];
                for line in lines {
                    if let (Some(to), Some(from)) =
                        (blanked.get_mut(line.clone()), self.raw.get(line.clone()))
                    {
                        to.copy_from_slice(from);
                    }
                }
                Cow::Owned(blanked)
            }
        }
    }

    pub(crate) fn remarks(&self) -> &[Range<usize>] {
        &self.remarks
    }

    pub(crate) fn data_lines(&self) -> &[Range<usize>] {
        &self.data
    }

    fn parse(raw: Bytes, framing: Framing, complete: bool, first: bool) -> Self {
        let mut event = Self { raw, framing, complete, name: None, data: Vec::new(), remarks: Vec::new() };
        let raw = event.raw.clone();
        let mut at = if first && raw.starts_with(BOM) { BOM.len() } else { 0 };
        while let Some((line, next)) = line(&raw, at) {
            if framing == Framing::Lines {
                event.data.extend((!line.is_empty()).then_some(line));
            } else {
                event.field(&raw, line);
            }
            at = next;
        }
        event
    }

    fn field(&mut self, raw: &[u8], line: Range<usize>) {
        let bytes = raw.get(line.clone()).unwrap_or_default();
        let colon = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
        let mut value = (line.start + colon + 1).min(line.end);
        if raw.get(value) == Some(&b' ') && value < line.end {
            value += 1;
        }
        match bytes.get(..colon) {
            Some(b"data") => self.data.push(value..line.end),
            Some(b"event") => self.name = Some(value..line.end),
            Some(b"") | None if bytes.len() <= 1 => {}
            _ => self.remarks.push(line),
        }
    }
}

/// The line that starts at `at`, and where the next one does. An unfinished last line counts.
fn line(raw: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
    let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
        return Some((at..raw.len(), raw.len()));
    };
    let both = rest.get(end..end + 2) == Some(b"\r\n");
    Some((at..at + end, at + end + if both { 2 } else { 1 }))
}

/// Collects chunks and gives out events.
pub struct Decoder {
    framing: Framing,
    limit: usize,
    buffer: BytesMut,
    /// Where the current line starts, and up to where it was searched for its end.
    line: usize,
    searched: usize,
    /// The current event has lines already.
    open: bool,
    first: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({:?}, {} bytes held)", self.framing, self.buffer.len())
    }
}

impl Decoder {
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        Self {
            framing,
            limit: limits.max_event_bytes,
            buffer: BytesMut::new(),
            line: 0,
            searched: 0,
            open: false,
            first: true,
        }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next event, if it has arrived whole. To be called until there is none.
    pub fn next_event(&mut self) -> Result<Option<Event>, StreamError> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest).map(|end| self.searched + end) else {
                self.searched = self.buffer.len();
                return self.wait();
            };
            let after = match (self.buffer.get(end), self.buffer.get(end + 1)) {
                // The next byte may still belong to this line's end.
                (Some(b'\r'), None) => {
                    self.searched = end;
                    return self.wait();
                }
                (Some(b'\r'), Some(b'\n')) => end + 2,
                _ => end + 1,
            };
            let line = self.buffer.get(self.line..end).unwrap_or_default();
            let line =
                if self.first && self.line == 0 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
            let closes = match self.framing {
                Framing::Lines => true,
                // A comment before any field is passed on at once: it is there to keep a connection alive.
                Framing::Events => line.is_empty() || (!self.open && line.starts_with(b":")),
            };
            if closes {
                return Ok(Some(self.take(after, true)));
            }
            self.open = true;
            (self.line, self.searched) = (after, after);
        }
    }

    /// What is left when the stream has ended: an event that was never closed, if there is one.
    /// `next_event` must have run dry before.
    pub fn finish(&mut self) -> Option<Event> {
        let left = self.buffer.len();
        // A lone carriage return at the very end closes after all.
        let complete = self.buffer.get(self.line..) == Some(b"\r");
        (left > 0).then(|| self.take(left, complete))
    }

    fn wait(&self) -> Result<Option<Event>, StreamError> {
        if self.buffer.len() > self.limit {
            return Err(StreamError::EventTooLarge { limit: self.limit });
        }
        Ok(None)
    }

    fn take(&mut self, length: usize, complete: bool) -> Event {
        let raw = self.buffer.split_to(length).freeze();
        // As its readers will see it, so that nothing is said between bytes that are no UTF-8.
        let raw = match String::from_utf8_lossy(&raw) {
            Cow::Borrowed(_) => raw,
            Cow::Owned(text) => Bytes::from(text),
        };
        let event = Event::parse(raw, self.framing, complete, self.first);
        (self.line, self.searched, self.open, self.first) = (0, 0, false, false);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(framing: Framing, chunks: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(framing, &Limits::default());
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push(event);
            }
        }
        events.extend(decoder.finish());
        events
    }

    fn data(event: &Event) -> String {
        String::from_utf8(event.data().into_owned()).unwrap()
    }

    #[test]
    fn events_keep_their_bytes() {
        let stream: &[u8] =
            b"\xEF\xBB\xBFevent: a\ndata: 1\n\n: ping\n\ndata:2\r\ndata: 3\r\n\r\ndata\n\ndata: end";
        let events = all(Framing::Events, &[stream]);
        assert_eq!(events.iter().map(data).collect::<Vec<_>>(), ["1", "", "", "2\n3", "", "end"]);
        assert_eq!(events[0].name(), Some("a"));
        assert!(!events[1].has_data());
        assert!(events[4].has_data());
        assert!(events[4].complete && !events[5].complete);
        assert_eq!(events.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>(), stream);
    }

    #[test]
    fn a_comment_is_given_out_before_its_event_ends() {
        let mut decoder = Decoder::new(Framing::Events, &Limits::default());
        decoder.push(b": keep-alive\n");
        assert_eq!(decoder.next_event().unwrap().unwrap().raw.as_ref(), b": keep-alive\n");
    }

    #[test]
    fn data_in_place_keeps_positions() {
        let events = all(Framing::Events, &[b"data: {\"a\":\r\ndata: 1}\r\n\r\n"]);
        let blanked = events[0].data_in_place();
        assert_eq!(blanked.as_ref(), b"      {\"a\":        1}");
    }

    #[test]
    fn lines_are_events_too() {
        let events = all(Framing::Lines, &[b"{\"a\":1}\n\n{\"b\"", b":2}\r\n{}"]);
        assert_eq!(events.iter().map(data).collect::<Vec<_>>(), ["{\"a\":1}", "", "{\"b\":2}", "{}"]);
    }

    #[test]
    fn an_endless_event_is_an_error() {
        let mut decoder = Decoder::new(Framing::Events, &Limits { max_event_bytes: 8, ..Limits::default() });
        decoder.push(b"data: 123456789");
        assert_eq!(decoder.next_event(), Err(StreamError::EventTooLarge { limit: 8 }));
    }

    #[test]
    fn streams_are_known_by_type_or_looks() {
        assert_eq!(Framing::sniff(Some("text/event-stream; charset=utf-8"), b""), Some(Framing::Events));
        assert_eq!(Framing::sniff(None, b"event: message_start\n"), Some(Framing::Events));
        assert_eq!(Framing::sniff(Some("application/x-ndjson"), b""), Some(Framing::Lines));
        assert_eq!(Framing::sniff(Some("application/json"), b"{\"a\""), None);
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just("data: x"), Just("data:"),
                    Just("event: y"), Just(": c"), Just("\u{feff}"), Just("{\"a\":1}"), Just(" ")
                ],
                0..40
            ),
            cuts in proptest::collection::vec(0usize..200, 0..20),
            lines: bool,
        ) {
            let framing = if lines { Framing::Lines } else { Framing::Events };
            let stream = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let whole = all(framing, &[&stream]);
            prop_assert_eq!(&all(framing, &chunks), &whole);
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&all(framing, &bytes), &whole);
            prop_assert_eq!(whole.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>(), stream);
        }
    }
}
