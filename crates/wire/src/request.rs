//! Reads the body of a request: what kind it is, and every run of text in it.

use std::borrow::Cow;
use std::fmt;

use crate::body::multipart::Multipart;
use crate::body::sniff::{self, Declared};
use crate::body::{form, multipart};
use crate::families::{self, Family, Marks, RequestFacts, anthropic, generic, openai};
use crate::json::{self, Dom, Tape};
use crate::response::{ToolCall, ToolResult};
use crate::segment::{Container, Role, Segment};
use crate::{Edit, Limits, ReadError, splice};

/// The same JSON request for another model. None where it names none at its top, or is no JSON.
pub fn with_model(body: &[u8], model: &str, limits: &Limits) -> Option<Vec<u8>> {
    let tape = json::parse(body, limits).ok()?;
    let dom = Dom::new(body, &tape);
    let named = dom.all(dom.root()?, "model").filter_map(|at| dom.node(at));
    let edits: Vec<Edit> = named
        .filter(|node| node.kind == json::Kind::String)
        .map(|node| Edit { range: node.raw(), bytes: json::text::escaped(model) })
        .collect();
    if edits.is_empty() { None } else { splice(body, edits).ok() }
}

/// What kind of body it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nature {
    Empty,
    Json,
    Text,
    Form,
    Multipart,
    /// Bytes that nothing here can read. Its one segment is for what stands in them as it is.
    Opaque,
}

/// Which call of the family it is, by the shape of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Api {
    /// Chat Completions, Messages.
    Chat,
    /// The older `prompt` in, text out.
    TextCompletion,
    #[default]
    Other,
}

/// A request body, taken apart. It borrows nothing from the body.
#[derive(Clone)]
pub struct RequestDocument {
    pub family: Family,
    pub nature: Nature,
    pub api: Api,
    /// Every run of text, in the order of the body. They are disjoint, but for attachments whose
    /// base64 is not clean text (see `Segment::is_decoded_view`).
    pub segments: Vec<Segment>,
    /// Bytes that could not be read: all of an opaque body, the binary parts of a multipart one.
    pub opaque_bytes: usize,
    pub model: Option<String>,
    pub stream: bool,
    pub max_tokens: Option<u64>,
    /// Characters of the newest user turn; 0 where the family gives no turns.
    pub newest_user_chars: usize,
    /// Calls of earlier turns, and what came of them.
    pub tool_calls: Vec<ToolCall>,
    pub tool_results: Vec<ToolResult>,
    pub(crate) places: Places,
}

impl RequestDocument {
    /// Where a segment stands, for messages to people: a JSON pointer, or the field or part of a
    /// form. Keys can be secrets themselves: those for which `plain` says no are shown as `*`.
    pub fn place(&self, body: &[u8], segment: &Segment, mut plain: impl FnMut(&str) -> bool) -> String {
        self.places.name(body, segment, &mut plain)
    }
}

impl fmt::Debug for RequestDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestDocument")
            .field("family", &self.family)
            .field("nature", &self.nature)
            .field("segments", &self.segments.len())
            .field("opaque_bytes", &self.opaque_bytes)
            .finish_non_exhaustive()
    }
}

/// What names the places of a document's segments.
#[derive(Clone)]
pub(crate) enum Places {
    Json(Tape),
    /// Positions in a list of fields or parts; none for a plain text.
    Numbered(&'static str),
    Whole,
}

impl Places {
    pub(crate) fn name(&self, body: &[u8], segment: &Segment, plain: &mut dyn FnMut(&str) -> bool) -> String {
        match self {
            Self::Json(tape) => Dom::new(body, tape).pointer(segment.place as usize, plain),
            Self::Numbered(what) => format!("{what} {}", segment.place),
            Self::Whole => "body".to_owned(),
        }
    }
}

/// What a body consists of, whichever way it goes.
pub(crate) struct Anatomy<F> {
    pub(crate) nature: Nature,
    pub(crate) segments: Vec<Segment>,
    pub(crate) places: Places,
    pub(crate) opaque_bytes: usize,
    pub(crate) facts: F,
}

/// Reads a request body, after content decoding. An error means that it claims to be JSON and is
/// not, or passes a limit: `read_as_text` can then still look at it.
pub fn read_request(
    family: Family,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<RequestDocument, ReadError> {
    let anatomy = dissect(content_type, body, limits, |dom, marks| {
        let Some(root) = dom.root() else { return RequestFacts::default() };
        match family {
            Family::OpenAiChat => openai::request(dom, root, marks),
            Family::AnthropicMessages => anthropic::request(dom, root, marks),
            Family::Generic => generic::request(dom, root),
        }
    })?;
    Ok(document(family, anatomy))
}

/// Takes a body as one run of plain text, whatever it claims to be. UTF-16 would pass for UTF-8
/// with zeros between its letters, and hide every word: that is no text here.
pub fn read_as_text(family: Family, body: &[u8], limits: &Limits) -> Result<RequestDocument, ReadError> {
    check_size(body, limits)?;
    if let Err(broken) = std::str::from_utf8(body) {
        return Err(ReadError::NotUtf8 { offset: broken.valid_up_to() });
    }
    if let Some(offset) = memchr::memchr(0, body) {
        return Err(ReadError::NotText { offset });
    }
    Ok(document(family, text(body)))
}

/// Takes a body as bytes that nothing can read, and what stands in them as it is.
pub fn read_as_bytes(family: Family, body: &[u8], limits: &Limits) -> Result<RequestDocument, ReadError> {
    check_size(body, limits)?;
    Ok(document(family, bytes(body, false)))
}

fn document(family: Family, anatomy: Anatomy<RequestFacts>) -> RequestDocument {
    let Anatomy { nature, segments, places, opaque_bytes, facts } = anatomy;
    let RequestFacts { api, model, stream, max_tokens, newest_user_chars, tool_calls, tool_results } = facts;
    RequestDocument {
        family,
        nature,
        api,
        segments,
        opaque_bytes,
        model,
        stream,
        max_tokens,
        newest_user_chars,
        tool_calls,
        tool_results,
        places,
    }
}

/// Finds out what a body is and cuts it into segments; `adapter` marks the roles of JSON.
pub(crate) fn dissect<F: Default>(
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
    adapter: impl FnOnce(&Dom<'_>, &mut Marks) -> F,
) -> Result<Anatomy<F>, ReadError> {
    check_size(body, limits)?;
    if body.is_empty() {
        return Ok(plain(Nature::Empty, Vec::new(), Places::Whole, 0));
    }
    let declared = sniff::declared(content_type);
    // curl sends JSON as a form, and others as text: what opens and reads as JSON is JSON.
    let json = match &declared {
        Declared::Json => Some(json::parse(body, limits)?),
        Declared::Multipart { .. } => None,
        _ if !sniff::opens_like_json(body) => None,
        Declared::Nothing => Some(json::parse(body, limits)?),
        _ => json::parse(body, limits).ok(),
    };
    if let Some(tape) = json {
        let dom = Dom::new(body, &tape);
        let mut marks = Marks::new(&dom);
        let facts = adapter(&dom, &mut marks);
        let segments = families::segments(&dom, &mut marks);
        return Ok(Anatomy {
            nature: Nature::Json,
            segments,
            places: Places::Json(tape),
            opaque_bytes: 0,
            facts,
        });
    }
    Ok(match declared {
        Declared::Form => form_fields(body),
        Declared::Multipart { boundary } => match multipart::split(body, boundary.as_deref()) {
            Some(multipart) => parts(body, &multipart),
            None => text_or_opaque(body, false),
        },
        Declared::Text if !body.contains(&0) => text(body),
        Declared::Binary => text_or_opaque(body, true),
        _ => text_or_opaque(body, false),
    })
}

fn check_size(body: &[u8], limits: &Limits) -> Result<(), ReadError> {
    let limit = limits.max_bytes.min(u32::MAX as usize - 1);
    if body.len() > limit {
        return Err(ReadError::TooLarge { size: body.len(), limit });
    }
    Ok(())
}

fn plain<F: Default>(
    nature: Nature,
    segments: Vec<Segment>,
    places: Places,
    opaque_bytes: usize,
) -> Anatomy<F> {
    Anatomy { nature, segments, places, opaque_bytes, facts: F::default() }
}

fn text_or_opaque<F: Default>(body: &[u8], strict: bool) -> Anatomy<F> {
    if sniff::reads_like_text(body, strict) { text(body) } else { bytes(body, strict) }
}

/// Text in another encoding than UTF-8 is still looked at as text, unless the body claims to be something else.
fn bytes<F: Default>(body: &[u8], strict: bool) -> Anatomy<F> {
    let text = !strict && sniff::reads_like_foreign_text(body);
    let container = if text { Container::Plain } else { Container::Bytes };
    let segment = run(0..body.len(), Role::Other, container, 0);
    plain(Nature::Opaque, vec![segment], Places::Whole, body.len())
}

fn text<F: Default>(body: &[u8]) -> Anatomy<F> {
    let segment = run(0..body.len(), Role::Other, Container::Plain, 0);
    plain(Nature::Text, vec![segment], Places::Whole, 0)
}

fn run(raw: std::ops::Range<usize>, role: Role, container: Container, place: usize) -> Segment {
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    Segment { role, key: false, locked: false, raw, container, place }
}

fn form_fields<F: Default>(body: &[u8]) -> Anatomy<F> {
    let mut segments = Vec::new();
    for (place, (name, value)) in form::fields(body).enumerate() {
        segments.push(Segment { key: true, ..run(name, Role::Other, Container::Form, place) });
        segments.extend(value.map(|value| run(value, Role::Other, Container::Form, place)));
    }
    plain(Nature::Form, segments, Places::Numbered("form field"), 0)
}

fn parts<F: Default>(body: &[u8], multipart: &Multipart) -> Anatomy<F> {
    let mut opaque_bytes = 0;
    let mut segments: Vec<Segment> =
        multipart.around.iter().map(|around| run(around.clone(), Role::Other, Container::Plain, 0)).collect();
    for (place, part) in multipart.parts.iter().enumerate() {
        for header in &part.headers {
            segments.push(run(header.clone(), Role::Other, Container::Header, place));
        }
        let content = body.get(part.content.clone()).unwrap_or_default();
        if content.is_empty() {
            continue;
        }
        if sniff::reads_like_text(content, false) {
            let role = if part.file { Role::Attachment } else { Role::Other };
            segments.push(run(part.content.clone(), role, Container::Plain, place));
        } else {
            segments.push(run(part.content.clone(), Role::Other, Container::Bytes, place));
            opaque_bytes += content.len();
        }
    }
    segments.sort_by_key(|segment| segment.raw.start);
    plain(Nature::Multipart, segments, Places::Numbered("part"), opaque_bytes)
}

/// Text is what the segments say, for callers that want it all.
impl RequestDocument {
    /// Texts of one role, in order: say the system text and the first user turn, to tell threads apart.
    pub fn texts<'d>(&'d self, body: &'d [u8], role: Role) -> impl Iterator<Item = Cow<'d, str>> + 'd {
        self.segments
            .iter()
            .filter(move |segment| segment.role == role && !segment.key)
            .map(move |segment| segment.text(body))
    }
}
