//! A run of text somewhere in a body: what it says, where it stands, and how to change it there.

use std::borrow::Cow;
use std::ops::Range;

use crate::body::{base64, form};
use crate::json::text;
use crate::mapping::{lossy, lossy_units, spans, widen_to_characters};
use crate::{Edit, EditError};

/// Who speaks in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    System,
    User,
    Assistant,
    ToolDefinition,
    ToolCall,
    ToolResult,
    Attachment,
    /// Whatever the protocol gives no speaker: names, ids, keys, fields we do not know.
    Other,
}

/// How the text of a segment is written in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// The inside of a JSON string.
    Json { escaped: bool },
    /// A JSON number. It can only give way as a whole, to a string.
    JsonNumber,
    /// Base64 of text inside a JSON string; an edit writes all of it anew.
    Base64 { url: bool, padded: bool },
    /// A name or value of a form.
    Form,
    /// Plain bytes.
    Plain,
    /// The value of a header of a multipart part.
    Header,
    /// Data lines of a server-sent event that are no JSON.
    SseData,
    /// Bytes that are no text, and whose lengths may be written down anywhere: what is taken out is masked.
    Bytes,
}

/// A run of text in a body. It borrows nothing: every method takes the body that it was read from.
/// `Debug` shows positions, never text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub role: Role,
    /// The name of a member, not its value.
    pub key: bool,
    /// Signed or encrypted by the provider: an edit would make the provider refuse the request.
    pub locked: bool,
    /// The bytes in the body, without the quotes of a string.
    pub raw: Range<usize>,
    pub(crate) container: Container,
    /// What the document needs to name the place.
    pub(crate) place: u32,
}

impl Segment {
    /// The text as its reader at the other end will see it.
    pub fn text<'b>(&self, body: &'b [u8]) -> Cow<'b, str> {
        let raw = self.bytes(body);
        match self.container {
            Container::Json { escaped: true } => text::unescape(raw),
            Container::Form => form::decode(raw),
            Container::Base64 { .. } => {
                let decoded = base64::decode(text::unescape(raw).as_bytes()).unwrap_or_default();
                Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
            }
            _ => lossy(raw),
        }
    }

    /// A number for the way in which the bytes become text: equal bytes with equal numbers read the same.
    pub fn reading(&self) -> u8 {
        match self.container {
            Container::Json { escaped: false } => 0,
            Container::Json { escaped: true } => 1,
            Container::JsonNumber => 2,
            Container::Base64 { .. } => 3,
            Container::Form => 4,
            Container::Plain => 5,
            Container::Header => 6,
            Container::SseData => 7,
            Container::Bytes => 8,
        }
    }

    /// Whether the text is a view on encoded bytes, so that an edit rewrites the whole segment.
    pub fn is_decoded_view(&self) -> bool {
        matches!(self.container, Container::Base64 { .. })
    }

    /// Whether it is no text, so that only what can't be there by chance is worth looking for.
    pub fn is_bytes(&self) -> bool {
        self.container == Container::Bytes
    }

    /// The bytes that hold a range of the text, widened to whole characters and escapes. Numbers and
    /// encoded attachments are indivisible: any range of theirs is the whole.
    pub fn raw_span(&self, body: &[u8], decoded: Range<usize>) -> Range<usize> {
        self.map(body, std::slice::from_ref(&decoded)).pop().unwrap_or_else(|| self.raw.clone())
    }

    /// `replacement` as the segment's container needs it.
    pub fn encode(&self, replacement: &str) -> Vec<u8> {
        match self.container {
            Container::Json { .. } => text::escaped(replacement),
            Container::JsonNumber => text::quoted(replacement),
            Container::Base64 { url, padded } => base64::encode(replacement.as_bytes(), url, padded),
            Container::Form => form::encode(replacement),
            Container::Plain | Container::Bytes => replacement.as_bytes().to_vec(),
            Container::Header => header_value(replacement),
            Container::SseData => replacement.replace('\n', "\ndata: ").into_bytes(),
        }
    }

    /// Edits that put each replacement in the place of its range of the text.
    pub fn edits(
        &self,
        body: &[u8],
        replacements: &[(Range<usize>, String)],
    ) -> Result<Vec<Edit>, EditError> {
        if replacements.is_empty() {
            return Ok(Vec::new());
        }
        if self.locked {
            return Err(EditError::Locked);
        }
        let mut sorted: Vec<&(Range<usize>, String)> = replacements.iter().collect();
        sorted.sort_by_key(|(range, _)| (range.start, range.end));
        let text = self.text(body);
        disjoint(sorted.iter().map(|(range, _)| range), text.len())?;
        if matches!(self.container, Container::JsonNumber | Container::Base64 { .. }) {
            return Ok(vec![Edit { range: self.raw.clone(), bytes: self.rewritten(body, &text, &sorted) }]);
        }
        let ranges: Vec<Range<usize>> = sorted.iter().map(|(range, _)| range.clone()).collect();
        let raw = self.map(body, &ranges);
        disjoint(raw.iter(), body.len())?;
        if self.container == Container::Bytes {
            return Ok(raw.into_iter().map(masked).collect());
        }
        let edits = raw.into_iter().zip(&sorted);
        Ok(edits.map(|(range, (_, new))| Edit { range, bytes: self.encode(new) }).collect())
    }

    /// An edit that replaces the whole text.
    pub fn replace(&self, replacement: &str) -> Result<Edit, EditError> {
        if self.locked {
            return Err(EditError::Locked);
        }
        Ok(match self.container {
            Container::Bytes => masked(self.raw.clone()),
            _ => Edit { range: self.raw.clone(), bytes: self.encode(replacement) },
        })
    }

    fn bytes<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(self.raw.clone()).unwrap_or_default()
    }

    /// Raw ranges of sorted, disjoint ranges of the text.
    fn map(&self, body: &[u8], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        let raw = self.bytes(body);
        let relative = match self.container {
            Container::Json { escaped: true } => spans(text::units(raw), ranges),
            Container::JsonNumber | Container::Base64 { .. } => vec![0..raw.len(); ranges.len()],
            Container::Form => {
                let bytes = form::decode_bytes(raw);
                spans(form::units(raw), &spans(lossy_units(&bytes), ranges))
            }
            _ => spans(lossy_units(raw), ranges),
        };
        relative
            .into_iter()
            .map(|range| widen_to_characters(raw, range))
            .map(|range| self.raw.start + range.start..self.raw.start + range.end)
            .collect()
    }

    /// The whole text with the replacements in it, encoded. For base64 the bytes that are no UTF-8
    /// stay as they were.
    fn rewritten(&self, body: &[u8], text: &str, sorted: &[&(Range<usize>, String)]) -> Vec<u8> {
        let original = match self.container {
            Container::Base64 { .. } => {
                base64::decode(text::unescape(self.bytes(body)).as_bytes()).unwrap_or_default()
            }
            _ => text.as_bytes().to_vec(),
        };
        let ranges: Vec<Range<usize>> = sorted.iter().map(|(range, _)| range.clone()).collect();
        let mut out = Vec::with_capacity(original.len());
        let mut at = 0;
        for (range, (_, new)) in spans(lossy_units(&original), &ranges).into_iter().zip(sorted) {
            out.extend_from_slice(original.get(at..range.start).unwrap_or_default());
            out.extend_from_slice(new.as_bytes());
            at = range.end;
        }
        out.extend_from_slice(original.get(at..).unwrap_or_default());
        match self.container {
            Container::Base64 { url, padded } => base64::encode(&out, url, padded),
            _ => self.encode(&String::from_utf8_lossy(&out)),
        }
    }
}

/// As many bytes as before.
fn masked(range: Range<usize>) -> Edit {
    Edit { bytes: vec![b'*'; range.len()], range }
}

fn disjoint<'r>(ranges: impl Iterator<Item = &'r Range<usize>>, length: usize) -> Result<(), EditError> {
    let mut at = 0;
    for range in ranges {
        if range.start > range.end || range.end > length {
            return Err(EditError::OutOfRange { start: range.start, end: range.end });
        }
        if range.start < at {
            return Err(EditError::Overlap { at: range.start });
        }
        at = range.end;
    }
    Ok(())
}

/// A header value must not end early nor grow a second header; browsers write these characters so.
fn header_value(text: &str) -> Vec<u8> {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A").into_bytes()
}
