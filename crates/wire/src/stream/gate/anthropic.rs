//! Calls of Anthropic Messages: a block of its own each, never interleaved.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Ends, Fragment, Gate, Key, Piece, Said, Told};
use crate::Edit;
use crate::denial::reason;
use crate::json::text::quoted;
use crate::json::{Dom, Kind, Place};

/// The blocks of an answer, as far as their number and their place in the message tell calls apart.
#[derive(Default)]
pub(super) struct Blocks {
    /// How many have begun.
    begun: u64,
    /// The numbers of calls, by their place: some clients put blocks one behind the other whatever their number.
    calls: BTreeMap<u64, u64>,
    /// The numbers of calls that the provider makes itself.
    others: BTreeSet<u64>,
}

impl Blocks {
    /// Whether a client that counts blocks takes `index` for a call of another number.
    fn mistaken(&self, index: u64) -> bool {
        self.calls.get(&index).is_some_and(|number| *number != index)
    }
}

const ODD: u64 = u64::MAX;

fn index(dom: &Dom<'_>, root: usize) -> u64 {
    match dom.member_place(root, "index") {
        Place::At(index) => index,
        Place::Unsaid => 0,
        Place::Odd => ODD,
    }
}

fn key(dom: &Dom<'_>, root: usize) -> Key {
    (0, index(dom, root))
}

/// What kind of event it is; some clients take the name where the data has no type.
fn kind<'d>(dom: &Dom<'d>, root: usize, name: Option<&'d str>) -> Cow<'d, str> {
    dom.member_text(root, "type").or(name.map(Cow::Borrowed)).unwrap_or_default()
}

pub(super) fn tell(gate: &Gate, dom: &Dom<'_>, root: usize, name: Option<&str>, blocks: &mut Blocks) -> Told {
    let mut told = Told::default();
    let key = key(dom, root);
    let kind = kind(dom, root, name);
    // A client that goes by the name skips it, or takes it for something else.
    let odd = key.1 == ODD
        || name.is_some_and(|name| name != kind)
        || dom.repeats(root, &["type", "index", "delta", "content_block"]);
    match kind.as_ref() {
        "content_block_start" => {
            let place = blocks.begun;
            blocks.begun += 1;
            let block = dom.get(root, "content_block");
            let ours = block.filter(|block| dom.member_is(*block, "type", "tool_use"));
            if block.is_some() && ours.is_none() && blocks.others.len() < gate.limits.max_channels {
                blocks.others.insert(key.1);
            }
            if let Some(block) = ours {
                blocks.calls.insert(place, key.1);
                blocks.others.remove(&key.1);
                let input =
                    whole_input(dom, block).and_then(|range| dom.bytes.get(range)).unwrap_or_default();
                told.fragments.push(Fragment {
                    key,
                    id: dom.member_text(block, "id").map(Into::into),
                    name: dom.member_text(block, "name").map(Into::into),
                    text: String::from_utf8_lossy(input).into_owned(),
                    odd: odd || dom.repeats(block, &["type", "name", "input"]),
                    begins: true,
                });
            }
        }
        "content_block_delta" => {
            let delta = dom.get(root, "delta");
            let piece = delta.and_then(|delta| dom.member_text(delta, "partial_json"));
            let under_way = gate.swallow.contains(&key) || gate.passing.contains(&key);
            if gate.open.contains_key(&key) {
                told.fragments.push(Fragment {
                    key,
                    text: piece.unwrap_or_default().into(),
                    odd: odd
                        || blocks.mistaken(key.1)
                        || delta.is_some_and(|delta| dom.repeats(delta, &["partial_json"])),
                    ..Fragment::default()
                });
            } else if piece.is_some() && !under_way {
                told.stray = !blocks.others.contains(&key.1) || blocks.mistaken(key.1);
            }
        }
        "content_block_stop" => told.ends.push(Ends::Call(key)),
        // No block goes on after these.
        "message_delta" | "message_stop" | "error" => told.ends.push(Ends::All),
        "ping" => told.idle = true,
        _ => {}
    }
    told
}

pub(super) fn rewrite(
    gate: &Gate,
    dom: &Dom<'_>,
    root: usize,
    name: Option<&str>,
    said: &Said<'_>,
) -> Vec<Piece> {
    let key = key(dom, root);
    match kind(dom, root, name).as_ref() {
        "content_block_start" if let Some(sentence) = said.denials.get(&key) => said_instead(key.1, sentence),
        "content_block_start" if let Some(arguments) = said.arguments.get(&key) => {
            begun(dom, root, key.1, arguments)
        }
        "content_block_delta" if said.arguments.contains_key(&key) => Vec::new(),
        "content_block_start" | "content_block_delta" | "content_block_stop"
            if gate.swallow.contains(&key) =>
        {
            Vec::new()
        }
        "message_delta" if gate.emptied(0) => {
            let delta = dom.get(root, "delta");
            let edit = delta.and_then(|delta| reason(dom, delta, "stop_reason", &["tool_use"], "end_turn"));
            vec![Piece::Event(edit.into_iter().collect())]
        }
        _ => vec![Piece::Event(Vec::new())],
    }
}

/// Where a block begins that has its whole input already, as some hosts send it.
fn whole_input(dom: &Dom<'_>, block: usize) -> Option<Range<usize>> {
    let input = dom.get(block, "input")?;
    let node = dom.node(input).filter(|node| node.kind == Kind::Object)?;
    dom.members(input).next().map(|_| node.outer())
}

/// The beginning of a call with all of its arguments.
fn begun(dom: &Dom<'_>, root: usize, index: u64, arguments: &str) -> Vec<Piece> {
    if let Some(range) = dom.get(root, "content_block").and_then(|block| whole_input(dom, block)) {
        return vec![Piece::Event(vec![Edit { range, bytes: arguments.into() }])];
    }
    let text = String::from_utf8_lossy(&quoted(arguments)).into_owned();
    let delta = format!(",\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{text}}}");
    vec![Piece::Event(Vec::new()), event(index, "content_block_delta", &delta)]
}

fn event(index: u64, name: &'static str, rest: &str) -> Piece {
    let data = format!("{{\"type\":\"{name}\",\"index\":{index}{rest}}}").into_bytes();
    Piece::New { name: Some(name), data }
}

/// A block of text with the same index.
fn said_instead(index: u64, sentence: &str) -> Vec<Piece> {
    let text = String::from_utf8_lossy(&quoted(sentence)).into_owned();
    vec![
        event(index, "content_block_start", ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        event(
            index,
            "content_block_delta",
            &format!(",\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}"),
        ),
        event(index, "content_block_stop", ""),
    ]
}
