//! What the members of a request or an answer mean, per wire family. An adapter only marks nodes
//! with roles; that every string and key becomes a segment is decided here, for all alike.

pub(crate) mod anthropic;
mod attachment;
pub(crate) mod generic;
mod locks;
pub(crate) mod openai;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::json::{Dom, Kind};
use crate::response::{ToolCall, ToolResult, Usage};
use crate::segment::{Container, Role, Segment};

/// The wire families that are understood; everything else is read by the generic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    OpenAiChat,
    AnthropicMessages,
    Generic,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
            Self::Generic => "generic",
        })
    }
}

/// What an adapter learns of a request beside the roles.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestFacts {
    pub(crate) api: crate::Api,
    pub(crate) model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) newest_user_chars: usize,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) tool_results: Vec<ToolResult>,
}

/// What an adapter learns of an answer beside the roles.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResponseFacts {
    pub(crate) model: Option<String>,
    pub(crate) usage: Usage,
    pub(crate) finish_reason: Option<String>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) error: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    role: Role,
    locked: bool,
    /// Belongs to a tool's own schema or arguments, where names mean what the tool says.
    free: bool,
    encoded: Encoded,
}

/// Whether a string is base64 of something with a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoded {
    No,
    Text,
    Unknown,
}

/// One mark for each node of the tape.
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    pub(crate) fn new(dom: &Dom<'_>) -> Self {
        let plain = Mark { role: Role::Other, locked: false, free: false, encoded: Encoded::No };
        Self(vec![plain; dom.tape.nodes.len()])
    }

    fn subtree(&mut self, dom: &Dom<'_>, at: usize) -> &mut [Mark] {
        let end = dom.next(at).min(self.0.len());
        self.0.get_mut(at..end).unwrap_or_default()
    }

    /// Gives a node and all below it a role; a later, narrower call wins.
    pub(crate) fn paint(&mut self, dom: &Dom<'_>, at: usize, role: Role) {
        self.subtree(dom, at).iter_mut().for_each(|mark| mark.role = role);
    }

    pub(crate) fn paint_member(&mut self, dom: &Dom<'_>, object: usize, name: &str, role: Role) {
        for value in dom.all(object, name) {
            self.paint(dom, value, role);
        }
    }

    /// Paints what a tool defines for itself.
    pub(crate) fn paint_free(&mut self, dom: &Dom<'_>, at: usize, role: Role) {
        self.subtree(dom, at).iter_mut().for_each(|mark| (mark.role, mark.free) = (role, true));
    }

    pub(crate) fn role(&self, at: usize) -> Role {
        self.0.get(at).map_or(Role::Other, |mark| mark.role)
    }

    fn is_free(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|mark| mark.free)
    }

    fn lock(&mut self, dom: &Dom<'_>, at: usize) {
        // What holds it was locked first, with all below.
        if self.0.get(at).is_some_and(|mark| !mark.locked) {
            self.subtree(dom, at).iter_mut().for_each(|mark| mark.locked = true);
        }
    }

    fn encode(&mut self, at: usize, encoded: Encoded) {
        if let Some(mark) = self.0.get_mut(at) {
            mark.encoded = encoded;
        }
    }
}

/// Every key, string and long integer as a segment, in the order of the body, with attachments
/// shown as the text they encode.
pub(crate) fn segments(dom: &Dom<'_>, marks: &mut Marks) -> Vec<Segment> {
    cut(dom, marks, true)
}

/// The same with each string as one whole, for events: a piece of a text is no attachment.
pub(crate) fn whole_segments(dom: &Dom<'_>, marks: &mut Marks) -> Vec<Segment> {
    cut(dom, marks, false)
}

fn cut(dom: &Dom<'_>, marks: &mut Marks, attachments: bool) -> Vec<Segment> {
    locks::apply(dom, marks);
    let mut segments = Vec::with_capacity(dom.tape.nodes.len());
    for (at, (node, mark)) in dom.tape.nodes.iter().zip(&marks.0).enumerate() {
        let container = match node.kind {
            Kind::Key | Kind::String => Container::Json { escaped: node.escaped },
            Kind::LongInteger => Container::JsonNumber,
            _ => continue,
        };
        let segment = Segment {
            role: mark.role,
            key: node.kind == Kind::Key,
            locked: mark.locked,
            raw: node.raw(),
            container,
            place: u32::try_from(at).unwrap_or(u32::MAX),
        };
        let string = attachments && node.kind == Kind::String;
        if string && attachment::push(&mut segments, dom, at, &segment, mark.encoded) {
            continue;
        }
        segments.push(segment);
    }
    segments
}

/// Messages in order, to find the newest user turn.
#[derive(Default)]
pub(crate) struct Turns(Vec<(bool, Vec<usize>)>);

impl Turns {
    pub(crate) fn push(&mut self, user: bool, texts: Vec<usize>) {
        self.0.push((user, texts));
    }

    /// Characters of the newest turn in which the user says something. Messages that follow each
    /// other without an answer between them are one turn, so that cutting it up hides nothing.
    pub(crate) fn newest_user_chars(&self, dom: &Dom<'_>) -> usize {
        let mut newest = self.0.iter().rev().skip_while(|(user, texts)| !user || texts.is_empty());
        newest
            .by_ref()
            .take_while(|(user, _)| *user)
            .flat_map(|(_, texts)| texts)
            .map(|text| dom.characters(*text))
            .sum()
    }
}
