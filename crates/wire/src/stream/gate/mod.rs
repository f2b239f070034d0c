//! Holds the tool calls of a streamed answer back until they are whole, so that each can be judged, and then lets
//! them go on byte for byte, with other arguments, or puts a text in their place.
//!
//! Takes whole events that nobody will edit any more. Decides nothing: whoever holds it asks for [`Gate::ready`] and
//! answers by [`Gate::resolve`]; in between events queue up. Families whose calls are not known pass through.

mod anthropic;
mod openai;

use std::collections::{BTreeMap, BTreeSet};

use crate::families::Family;
use crate::json::{self, Dom};
use crate::sse::{BOM, Decoder, Event, Framing};
use crate::{CallVerdict, Edit, Limits, splice};

/// One sign of life for so many held events.
const ALIVE_EVERY: usize = 24;

/// A tool call as it stands when nothing more is added to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HeldCall {
    pub id: Option<String>,
    pub name: String,
    /// JSON text, or the raw text of a tool that takes such.
    pub arguments: String,
    /// Why the arguments may not be what the client makes of the call.
    pub doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Longer than is held: the arguments are not all of it.
    TooLong,
    /// Clients put its pieces together in different ways.
    Ambiguous,
}

impl std::fmt::Debug for HeldCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldCall({} bytes)", self.arguments.len())
    }
}

/// What tells calls apart: the choice, and the block or the position in its list.
type Key = (u64, u64);

/// A piece of a call.
#[derive(Default)]
struct Fragment {
    key: Key,
    id: Option<String>,
    name: Option<String>,
    text: String,
    /// It may belong to another call, or to none.
    odd: bool,
    /// A call begins with it, whatever came under its key before.
    begins: bool,
}

/// What an event says of calls.
#[derive(Default)]
struct Told {
    /// A piece of no call under way: whoever takes it for one's must not get it.
    stray: bool,
    fragments: Vec<Fragment>,
    /// Calls that get nothing more.
    ends: Vec<Ends>,
    /// It may overtake what is held.
    idle: bool,
}

#[derive(Clone, Copy)]
enum Ends {
    Call(Key),
    Group(u64),
    All,
}

/// A call under way.
#[derive(Default)]
struct Open {
    call: HeldCall,
    ended: bool,
}

pub struct Gate {
    family: Family,
    framing: Framing,
    limits: Limits,
    queue: Vec<Event>,
    held: usize,
    open: BTreeMap<Key, Open>,
    /// Calls that were denied before they had ended, and get more still.
    swallow: BTreeSet<Key>,
    /// The same for calls that were let go.
    passing: BTreeSet<Key>,
    /// Calls that were let go whole: nothing is added to them any more.
    settled: BTreeSet<Key>,
    blocks: anthropic::Blocks,
    left: BTreeMap<u64, usize>,
    denied: BTreeMap<u64, usize>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate({:?}, {} events held)", self.family, self.queue.len())
    }
}

impl Gate {
    pub fn new(family: Family, framing: Framing, limits: &Limits) -> Gate {
        Gate {
            family,
            framing,
            limits: *limits,
            queue: Vec::new(),
            held: 0,
            open: BTreeMap::new(),
            swallow: BTreeSet::new(),
            passing: BTreeSet::new(),
            settled: BTreeSet::new(),
            blocks: anthropic::Blocks::default(),
            left: BTreeMap::new(),
            denied: BTreeMap::new(),
        }
    }

    /// Whether it must see every event, not only those of tool calls.
    pub fn is_engaged(&self) -> bool {
        !self.queue.is_empty() || !self.denied.is_empty() || !self.passing.is_empty()
    }

    /// Takes events, whole ones, and appends to `out` what need not wait.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.family == Family::Generic {
            out.extend_from_slice(bytes);
            return;
        }
        for event in events(self.framing, &self.limits, bytes) {
            self.event(event, out);
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        let told = self.tell(&event);
        let late = |piece: &Fragment| !piece.begins && self.settled.contains(&piece.key);
        if told.stray || told.fragments.iter().any(late) {
            return;
        }
        let mut opens = false;
        for fragment in told.fragments {
            if self.swallow.contains(&fragment.key) || self.passing.contains(&fragment.key) {
                continue;
            }
            opens = true;
            self.settled.remove(&fragment.key);
            let twice = fragment.begins && self.open.contains_key(&fragment.key);
            let open = self.open.entry(fragment.key).or_default();
            if fragment.odd || twice {
                open.call.doubt = Some(Doubt::Ambiguous);
            }
            open.call.id = open.call.id.take().or(fragment.id);
            if let Some(name) = fragment.name {
                open.call.name.push_str(&name);
            }
            open.call.arguments.push_str(&fragment.text);
        }
        for ends in told.ends {
            let over = |key: &Key| match ends {
                Ends::Call(one) => one == *key,
                Ends::Group(group) => group == key.0,
                Ends::All => true,
            };
            self.open.iter_mut().filter(|(key, _)| over(key)).for_each(|(_, open)| open.ended = true);
            self.settled.extend(self.passing.extract_if(.., |key| over(key)));
        }
        if self.queue.is_empty() && !opens {
            self.let_go(&event, out);
        } else if told.idle {
            out.extend_from_slice(&event.raw);
        } else {
            self.held += event.raw.len();
            self.queue.push(event);
            if self.queue.len().is_multiple_of(ALIVE_EVERY) {
                out.extend_from_slice(self.alive());
            }
        }
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What a client of this family takes for a sign of life and nothing else.
    pub fn alive(&self) -> &'static [u8] {
        match (self.framing, self.family) {
            (Framing::Events, Family::AnthropicMessages) => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            (Framing::Events, _) => b": keep-alive\n\n",
            (Framing::Lines, _) => b"",
        }
    }

    /// The stream is over: what is held gets nothing more.
    pub fn close(&mut self) {
        self.open.values_mut().for_each(|open| open.ended = true);
    }

    /// The calls that wait for an answer: all that are held, once nothing more comes for any of them, or
    /// once they are too long to be held.
    pub fn ready(&self) -> Option<Vec<HeldCall>> {
        let oversized = self.held > self.limits.max_event_bytes;
        let whole = !self.open.is_empty() && self.open.values().all(|open| open.ended);
        (whole || (oversized && !self.open.is_empty())).then(|| {
            let calls = self.open.values();
            let long = |open: &Open| (!open.ended).then_some(Doubt::TooLong);
            calls
                .map(|open| HeldCall { doubt: open.call.doubt.or(long(open)), ..open.call.clone() })
                .collect()
        })
    }

    /// Does with the calls that `ready` gave what was said of each, in its order. Everything held goes on. Only a whole
    /// call may be given other arguments.
    pub fn resolve(&mut self, verdicts: &[CallVerdict], out: &mut Vec<u8>) {
        let open = std::mem::take(&mut self.open);
        let mut said = Said::default();
        for (n, (key, open)) in open.iter().enumerate() {
            let verdict = verdicts.get(n).unwrap_or(&CallVerdict::Passes);
            if let CallVerdict::Denied(sentence) = verdict {
                said.denials.insert(*key, sentence);
                *self.denied.entry(key.0).or_default() += 1;
                self.swallow.insert(*key);
                continue;
            }
            *self.left.entry(key.0).or_default() += 1;
            match verdict {
                CallVerdict::Rewritten(arguments) if open.ended => {
                    said.arguments.insert(*key, arguments);
                }
                _ if !open.ended => {
                    self.passing.insert(*key);
                    continue;
                }
                _ => {}
            }
            self.settled.insert(*key);
        }
        let queue = std::mem::take(&mut self.queue);
        self.held = 0;
        if said.arguments.is_empty() && said.denials.is_empty() && self.denied.is_empty() {
            queue.iter().for_each(|event| out.extend_from_slice(&event.raw));
            return;
        }
        // Where calls are entries of a list, what is said instead belongs to the end: other words may still be held.
        said.unsaid = said.denials.clone();
        let template = queue.iter().find(|event| event.has_data() && !over(event));
        for event in &queue {
            if over(event) {
                self.say(template, &mut said, out);
            }
            self.rewrite(event, &mut said, out);
        }
        self.say(template, &mut said, out);
    }

    /// What is left to say when no event of the answer says that it ends.
    fn say(&self, template: Option<&Event>, said: &mut Said<'_>, out: &mut Vec<u8>) {
        let Some(event) = template.filter(|_| self.family == Family::OpenAiChat) else { return };
        for ((group, _), sentence) in std::mem::take(&mut said.unsaid) {
            let data = self.read(event, None, |dom, root| Some(openai::chunk(dom, root, group, sentence)));
            self.emit(None, &data.unwrap_or_default(), out);
        }
    }

    /// An event that is not held, once something was denied or let go unfinished.
    fn let_go(&self, event: &Event, out: &mut Vec<u8>) {
        if self.denied.is_empty() {
            out.extend_from_slice(&event.raw);
        } else {
            self.rewrite(event, &mut Said::default(), out);
        }
    }

    /// Whether calls of this group were denied and none is left to the client.
    fn emptied(&self, group: u64) -> bool {
        self.denied.contains_key(&group) && !self.left.contains_key(&group)
    }

    fn tell(&mut self, event: &Event) -> Told {
        if !event.has_data() {
            return Told { idle: true, ..Told::default() };
        }
        if over(event) {
            return Told { ends: vec![Ends::All], ..Told::default() };
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        let mut told = self.read(event, Told::default(), |dom, root| match self.family {
            Family::AnthropicMessages => anthropic::tell(self, dom, root, event.name(), &mut blocks),
            _ => openai::tell(dom, root),
        });
        self.blocks = blocks;
        // A byte order mark within a stream makes a name that clients skip.
        if event.raw.starts_with(BOM) {
            told.fragments.iter_mut().for_each(|fragment| fragment.odd = true);
        }
        told
    }

    fn rewrite(&self, event: &Event, said: &mut Said<'_>, out: &mut Vec<u8>) {
        let plain = || vec![Piece::Event(Vec::new())];
        let pieces = self.read(event, plain(), |dom, root| match self.family {
            Family::AnthropicMessages => anthropic::rewrite(self, dom, root, event.name(), said),
            _ => openai::rewrite(self, dom, root, said),
        });
        for piece in pieces {
            match piece {
                Piece::Event(edits) if edits.is_empty() => out.extend_from_slice(&event.raw),
                // Edits of one event are disjoint by construction; if they were not, it must not go on.
                Piece::Event(edits) => out.extend(splice(&event.raw, edits).unwrap_or_default()),
                Piece::New { name, data } => self.emit(name, &data, out),
            }
        }
    }

    fn emit(&self, name: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
        if self.framing == Framing::Lines {
            out.extend_from_slice(data);
            out.push(b'\n');
            return;
        }
        if let Some(name) = name {
            out.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
    }

    fn read<T>(&self, event: &Event, otherwise: T, read: impl FnOnce(&Dom<'_>, usize) -> T) -> T {
        let bytes = event.data_in_place();
        let limits = Limits { max_bytes: self.limits.max_bytes.max(bytes.len()), ..self.limits };
        let Ok(tape) = json::parse(&bytes, &limits) else { return otherwise };
        let dom = Dom::new(&bytes, &tape);
        match dom.root() {
            Some(root) => read(&dom, root),
            None => otherwise,
        }
    }
}

/// What was said of held calls.
#[derive(Default)]
struct Said<'a> {
    /// Sentences that stand in the place of calls.
    denials: BTreeMap<Key, &'a str>,
    /// Those of them that have no place yet.
    unsaid: BTreeMap<Key, &'a str>,
    /// Other arguments for calls that go on.
    arguments: BTreeMap<Key, &'a str>,
    /// The calls whose other arguments stand already.
    placed: BTreeSet<Key>,
}

/// What goes on in the place of an event.
enum Piece {
    /// Itself, with edits.
    Event(Vec<Edit>),
    New {
        name: Option<&'static str>,
        data: Vec<u8>,
    },
}

/// The last event of a stream of Chat Completions, which is no JSON.
fn over(event: &Event) -> bool {
    event.has_data() && event.data().trim_ascii() == b"[DONE]"
}

fn events(framing: Framing, limits: &Limits, bytes: &[u8]) -> Vec<Event> {
    let mut decoder = Decoder::new(framing, &Limits { max_event_bytes: usize::MAX, ..*limits });
    decoder.push(bytes);
    let mut events = Vec::new();
    while let Ok(Some(event)) = decoder.next_event() {
        events.push(event);
    }
    events.extend(decoder.finish());
    events
}

#[cfg(test)]
mod tests;
