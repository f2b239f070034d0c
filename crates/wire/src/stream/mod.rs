//! Reads the events of a streamed answer: which of their texts continue which, what ends where, and
//! how to change a text or to add one more event without disturbing anything else.

mod anthropic;
mod clone;
pub mod gate;
mod generic;
mod openai;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::families::{self, Family, Marks};
use crate::json::{self, Dom, Kind};
use crate::response::Usage;
use crate::segment::{Container, Role, Segment};
use crate::sse::{Event, Framing};
use crate::{Edit, Limits, ReadError, SpliceError, StreamError, splice};

/// A text that goes on over events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(u32);

/// What a channel carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// What the model says to people.
    Text,
    Refusal,
    /// What the model thinks. Locked where the provider signs it.
    Reasoning,
    /// JSON of a tool call's arguments, in fragments.
    ToolArguments,
    /// A provider's signature or ciphertext.
    Signature,
}

impl ChannelKind {
    pub fn role(self) -> Role {
        match self {
            Self::ToolArguments => Role::ToolCall,
            _ => Role::Assistant,
        }
    }
}

/// One channel of a stream. `group` is the choice or candidate, `index` the block or tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Channel {
    pub kind: ChannelKind,
    pub group: u64,
    pub index: u64,
    pub locked: bool,
}

/// The piece of a channel's text that one event brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub channel: ChannelId,
    /// Positions are those in the event's bytes.
    pub segment: Segment,
}

impl Delta {
    pub fn text<'e>(&self, event: &'e Event) -> Cow<'e, str> {
        self.segment.text(&event.raw)
    }

    /// An edit that gives the delta another text; nothing if it is locked.
    pub fn replace(&self, text: &str) -> Option<Edit> {
        self.segment.replace(text).ok()
    }
}

/// What an event says of a tool call.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolFragment {
    /// The channel of its arguments.
    pub channel: ChannelId,
    pub id: Option<String>,
    pub name: Option<String>,
}

impl std::fmt::Debug for ToolFragment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolFragment").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// What one event says.
#[derive(Clone, Default)]
pub struct StreamEvent {
    /// Pieces of channels, in the order of the event.
    pub deltas: Vec<Delta>,
    /// Every other string, key and long integer of the event; positions are those in its bytes.
    pub segments: Vec<Segment>,
    /// Channels that get nothing more after this event (deltas of the same event come first).
    pub ends: Vec<ChannelId>,
    pub tool_calls: Vec<ToolFragment>,
    /// A block of the message begins, be it a call or something else.
    pub begins: bool,
    pub model: Option<String>,
    /// As reported in this event; `Reader::usage` has the total so far.
    pub usage: Option<Usage>,
    pub finish_reason: Option<String>,
    /// The provider reports an error.
    pub error: bool,
    /// The stream says that it is over.
    pub done: bool,
}

impl std::fmt::Debug for StreamEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamEvent")
            .field("deltas", &self.deltas)
            .field("segments", &self.segments.len())
            .field("ends", &self.ends)
            .field("usage", &self.usage)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// What a family's part sees of an event, and where it puts what it finds.
struct Reading<'r, 'b> {
    dom: Dom<'b>,
    marks: Marks,
    found: StreamEvent,
    deltas: Vec<(usize, ChannelId)>,
    channels: &'r mut Channels,
}

impl Reading<'_, '_> {
    /// Notes that the string at `at` goes on with a channel.
    fn delta(&mut self, at: usize, name: ChannelName, channel: Channel) -> ChannelId {
        let id = self.channels.open(name, channel);
        self.marks.paint(&self.dom, at, channel.kind.role());
        self.deltas.push((at, id));
        id
    }

    /// Notes a string member as a delta; members of other kinds are no text.
    fn member_delta(&mut self, object: usize, name: &str, channel: Channel) -> Option<ChannelId> {
        let at = self.dom.get(object, name).filter(|at| self.dom.kind(*at) == Some(Kind::String))?;
        Some(self.delta(at, ChannelName::Plain(channel), channel))
    }

    fn end(&mut self, over: impl Fn(&ChannelName, &Channel) -> bool) {
        let ended = self.channels.ended(over);
        self.found.ends.extend(ended);
        self.found.ends.sort_unstable();
        self.found.ends.dedup();
    }
}

/// What tells channels apart. The generic reader knows them by where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ChannelName {
    Plain(Channel),
    Placed { place: String, stem: String, kind: ChannelKind },
}

#[derive(Default)]
struct Channels {
    ids: HashMap<ChannelName, ChannelId>,
    all: Vec<(ChannelName, Channel)>,
    /// Open channels with the last event that can be cloned for each.
    open: BTreeMap<ChannelId, Option<Template>>,
    limit: usize,
    overrun: bool,
}

#[derive(Clone)]
struct Template {
    event: Event,
    segment: Segment,
}

impl Channels {
    fn open(&mut self, name: ChannelName, channel: Channel) -> ChannelId {
        let id = match self.ids.get(&name) {
            Some(id) => *id,
            // The caller ends such a stream; until then nothing more is kept.
            None if self.all.len() >= self.limit => {
                self.overrun = true;
                ChannelId(0)
            }
            None => {
                let id = ChannelId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
                self.all.push((name.clone(), channel));
                self.ids.insert(name, id);
                id
            }
        };
        self.open.entry(id).or_default();
        id
    }

    fn known(&self, id: ChannelId) -> Option<&Channel> {
        self.all.get(id.0 as usize).map(|(_, channel)| channel)
    }

    /// Open channels that have ended. They are dropped with the next event: the caller releases
    /// held text when it sees the end.
    fn ended(&self, over: impl Fn(&ChannelName, &Channel) -> bool) -> Vec<ChannelId> {
        let known = |id: &ChannelId| self.all.get(id.0 as usize);
        let open = self.open.keys().copied();
        open.filter(|id| known(id).is_some_and(|(name, channel)| over(name, channel))).collect()
    }

    fn drop_closed(&mut self, closed: &[ChannelId]) {
        for id in closed {
            self.open.remove(id);
        }
    }
}

/// Reads one stream. Keeps the last event of each open channel, and nothing else of the texts.
pub struct Reader {
    family: Family,
    limits: Limits,
    channels: Channels,
    ended: Vec<ChannelId>,
    usage: Usage,
    /// An event went beyond what is read.
    unread: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?}, {} channels)", self.family, self.channels.all.len())
    }
}

impl Reader {
    pub fn new(family: Family, limits: &Limits) -> Self {
        Self {
            family,
            limits: Limits { max_bytes: limits.max_bytes.max(limits.max_event_bytes), ..*limits },
            channels: Channels { limit: limits.max_channels, ..Channels::default() },
            ended: Vec::new(),
            usage: Usage::default(),
            unread: false,
        }
    }

    /// Whether what was fed keeps to the limits. A stream that does not can't be followed any more.
    pub fn check(&self) -> Result<(), StreamError> {
        if self.unread {
            return Err(StreamError::EventTooIntricate);
        }
        match self.channels.overrun {
            true => Err(StreamError::TooManyTexts { limit: self.channels.limit }),
            false => Ok(()),
        }
    }

    /// Reads the next event. What cannot be read as JSON becomes plain segments, never an error:
    /// the stream is under way and its texts must be looked at anyhow.
    pub fn feed(&mut self, event: &Event) -> StreamEvent {
        let ended = std::mem::take(&mut self.ended);
        self.channels.drop_closed(&ended);
        let mut found = self.read(event);
        if found.done {
            found.ends = self.channels.ended(|_, _| true);
        }
        if let Some(usage) = found.usage {
            self.usage.merge(usage);
        }
        self.ended.clone_from(&found.ends);
        found
    }

    /// To be called when the stream has ended: the channels that were never closed. Held text of
    /// these can still be synthesised.
    pub fn finish(&mut self) -> Vec<ChannelId> {
        let ended = std::mem::take(&mut self.ended);
        self.channels.drop_closed(&ended);
        self.ended = self.channels.ended(|_, _| true);
        self.ended.clone()
    }

    /// Tokens reported so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// What is known of a channel that this reader gave out.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.known(id)
    }

    /// One more event that brings `text` for a channel: a clone of its last one, without the texts
    /// of other channels, finish reasons, usage, or names that would count twice. It belongs before
    /// the event that ends the channel. Nothing if the channel is locked or had no event to clone.
    pub fn synthesise(&self, channel: ChannelId, text: &str) -> Option<Bytes> {
        let known = self.channel(channel).filter(|channel| !channel.locked)?;
        match self.channels.open.get(&channel).and_then(Option::as_ref) {
            Some(template) => clone::event(self.family, template, text, &self.limits),
            None if self.family == Family::AnthropicMessages => anthropic::delta_event(known, text),
            None => None,
        }
    }

    fn read(&mut self, event: &Event) -> StreamEvent {
        let mut found = self.read_data(event);
        found.segments.extend(event.remarks().iter().map(|line| plain(line.clone(), Framing::Lines)));
        found
    }

    fn read_data(&mut self, event: &Event) -> StreamEvent {
        if !event.has_data() {
            return StreamEvent::default();
        }
        if event.data().trim_ascii() == b"[DONE]" {
            return StreamEvent { done: true, ..StreamEvent::default() };
        }
        let bytes = event.data_in_place();
        let tape = match json::parse(&bytes, &self.limits) {
            Ok(tape) => tape,
            Err(error) => {
                // A client may read what this does not.
                let limit = matches!(error, ReadError::TooDeep { .. } | ReadError::TooManyStrings { .. });
                self.unread |= limit && event.complete;
                return StreamEvent { segments: plain_segments(event), ..StreamEvent::default() };
            }
        };
        let dom = Dom::new(&bytes, &tape);
        let mut reading = Reading {
            dom,
            marks: Marks::new(&dom),
            found: StreamEvent::default(),
            deltas: Vec::new(),
            channels: &mut self.channels,
        };
        let mut cloneable = true;
        if let Some(root) = dom.root() {
            cloneable = match self.family {
                Family::OpenAiChat => openai::event(&mut reading, root),
                Family::AnthropicMessages => anthropic::event(&mut reading, root, event.name()),
                Family::Generic => generic::event(&mut reading, root),
            };
        }
        let Reading { mut marks, mut found, mut deltas, .. } = reading;
        deltas.sort_unstable();
        for segment in families::whole_segments(&dom, &mut marks) {
            let delta = (!segment.key)
                .then(|| deltas.binary_search_by_key(&(segment.place as usize), |(at, _)| *at).ok())
                .flatten()
                .and_then(|delta| deltas.get(delta));
            match delta {
                Some((_, channel)) => {
                    let locked = self.channels.known(*channel).is_some_and(|known| known.locked);
                    let segment = Segment { locked: locked || segment.locked, ..segment };
                    found.deltas.push(Delta { channel: *channel, segment });
                }
                None => found.segments.push(segment),
            }
        }
        if cloneable {
            self.keep_templates(event, &found.deltas);
        }
        found
    }

    fn keep_templates(&mut self, event: &Event, deltas: &[Delta]) {
        for delta in deltas {
            if let Some(template) = self.channels.open.get_mut(&delta.channel) {
                *template = Some(Template { event: event.clone(), segment: delta.segment.clone() });
            }
        }
    }
}

fn plain_segments(event: &Event) -> Vec<Segment> {
    event.data_lines().iter().map(|line| plain(line.clone(), event.framing)).collect()
}

fn plain(raw: std::ops::Range<usize>, framing: Framing) -> Segment {
    let container = match framing {
        Framing::Events => Container::SseData,
        Framing::Lines => Container::Plain,
    };
    Segment { role: Role::Other, key: false, locked: false, raw, container, place: 0 }
}

/// Applies edits (of deltas or of segments) to the bytes of an event.
pub fn rewrite(event: &Event, edits: Vec<Edit>) -> Result<Bytes, SpliceError> {
    if edits.is_empty() {
        return Ok(event.raw.clone());
    }
    splice(&event.raw, edits).map(Bytes::from)
}

#[cfg(test)]
mod tests;
