//! Reads the body of an answer that comes whole. Streams are read by `stream`.

use std::ops::Range;

use crate::families::{Family, ResponseFacts, anthropic, generic, openai};
use crate::json::text;
use crate::request::{Anatomy, Nature, Places, dissect};
use crate::segment::{Role, Segment};
use crate::{Edit, Limits, ReadError};

/// Tokens as the provider counted them. `input` is without the tokens read from or written to a
/// prompt cache, whichever way the provider adds them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub input: Option<u64>,
    pub output: Option<u64>,
    pub cache_read: Option<u64>,
    pub cache_write: Option<u64>,
}

impl Usage {
    /// Takes over what a later report knows. Providers report running totals, never differences.
    pub fn merge(&mut self, later: Usage) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_write = later.cache_write.or(self.cache_write);
    }
}

/// Where the arguments of a tool call stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolArguments {
    /// JSON written into a string: the inside of that string.
    JsonText(Range<usize>),
    /// JSON as it is.
    Json(Range<usize>),
}

/// A tool call of an answer, or one that a request tells again.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolCall {
    pub id: Option<String>,
    pub name: Option<String>,
    pub arguments: Option<ToolArguments>,
    /// The provider runs it, not the client.
    pub by_provider: bool,
}

/// The result of a tool call that a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that it answers.
    pub call: String,
    /// Its content as it stands in the body, quotes or brackets included.
    pub content: Range<usize>,
}

impl ToolResult {
    /// Puts a sentence in the place of the content.
    pub fn withhold(&self, sentence: &str) -> Edit {
        Edit { range: self.content.clone(), bytes: text::quoted(sentence) }
    }
}

impl ToolCall {
    /// The arguments as JSON text; empty if there are none.
    pub fn arguments_text(&self, body: &[u8]) -> String {
        match &self.arguments {
            Some(ToolArguments::JsonText(range)) => {
                text::unescape(body.get(range.clone()).unwrap_or_default()).into_owned()
            }
            Some(ToolArguments::Json(range)) => {
                String::from_utf8_lossy(body.get(range.clone()).unwrap_or_default()).into_owned()
            }
            None => String::new(),
        }
    }

    /// Puts other arguments in their place.
    pub(crate) fn with_arguments(&self, arguments: &str) -> Option<Edit> {
        Some(match self.arguments.as_ref()? {
            ToolArguments::JsonText(range) => Edit { range: range.clone(), bytes: text::escaped(arguments) },
            ToolArguments::Json(range) => Edit { range: range.clone(), bytes: arguments.into() },
        })
    }
}

impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolCall").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// An answer's body, taken apart. It borrows nothing from the body.
#[derive(Clone)]
pub struct ResponseDocument {
    pub family: Family,
    pub nature: Nature,
    pub segments: Vec<Segment>,
    pub opaque_bytes: usize,
    pub model: Option<String>,
    pub usage: Usage,
    pub finish_reason: Option<String>,
    pub tool_calls: Vec<ToolCall>,
    /// Characters of what the model says, tool calls aside.
    pub completion_chars: usize,
    /// The provider reports an error.
    pub error: bool,
    places: Places,
}

impl std::fmt::Debug for ResponseDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseDocument")
            .field("family", &self.family)
            .field("nature", &self.nature)
            .field("segments", &self.segments.len())
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl ResponseDocument {
    /// Where a segment stands; see `RequestDocument::place`.
    pub fn place(&self, body: &[u8], segment: &Segment, mut plain: impl FnMut(&str) -> bool) -> String {
        self.places.name(body, segment, &mut plain)
    }
}

/// Reads the body of an answer, after content decoding.
pub fn read_response(
    family: Family,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<ResponseDocument, ReadError> {
    let anatomy = dissect(content_type, body, limits, |dom, marks| {
        let Some(root) = dom.root() else { return ResponseFacts::default() };
        match family {
            Family::OpenAiChat => openai::response(dom, root, marks),
            Family::AnthropicMessages => anthropic::response(dom, root, marks),
            Family::Generic => generic::response(dom, root, marks),
        }
    })?;
    let Anatomy { nature, segments, places, opaque_bytes, facts } = anatomy;
    let completion_chars = segments
        .iter()
        .filter(|segment| segment.role == Role::Assistant && !segment.key)
        .map(|segment| segment.text(body).chars().count())
        .sum();
    let ResponseFacts { model, usage, finish_reason, tool_calls, error } = facts;
    Ok(ResponseDocument {
        family,
        nature,
        segments,
        opaque_bytes,
        model,
        usage,
        finish_reason,
        tool_calls,
        completion_chars,
        error,
        places,
    })
}
