//! Calls of Anthropic Messages: a block of its own each, never interleaved.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Ends, Fragment, Gate, Key, Open, Piece, Said, Told};
use crate::Edit;
use crate::denial::reason;
use crate::json::text::quoted;
use crate::json::{Dom, Kind};

fn key(dom: &Dom<'_>, root: usize) -> Key {
    (0, dom.member_unsigned(root, "index").unwrap_or(0))
}

pub(super) fn tell(dom: &Dom<'_>, root: usize, open: &BTreeMap<Key, Open>) -> Told {
    let mut told = Told::default();
    let key = key(dom, root);
    match dom.member_text(root, "type").unwrap_or_default().as_ref() {
        "content_block_start" => {
            let block =
                dom.get(root, "content_block").filter(|block| dom.member_is(*block, "type", "tool_use"));
            if let Some(block) = block {
                let input =
                    whole_input(dom, block).and_then(|range| dom.bytes.get(range)).unwrap_or_default();
                told.fragments.push(Fragment {
                    key,
                    id: dom.member_text(block, "id").map(Into::into),
                    name: dom.member_text(block, "name").map(Into::into),
                    text: String::from_utf8_lossy(input).into_owned(),
                });
            }
        }
        "content_block_delta" if open.contains_key(&key) => {
            let piece = dom.get(root, "delta").and_then(|delta| dom.member_text(delta, "partial_json"));
            told.fragments.push(Fragment {
                key,
                text: piece.unwrap_or_default().into(),
                ..Fragment::default()
            });
        }
        "content_block_stop" => told.ends.push(Ends::Call(key)),
        // No block goes on after these.
        "message_delta" | "message_stop" | "error" => told.ends.push(Ends::All),
        "ping" => told.idle = true,
        _ => {}
    }
    told
}

pub(super) fn rewrite(gate: &Gate, dom: &Dom<'_>, root: usize, said: &Said<'_>) -> Vec<Piece> {
    let key = key(dom, root);
    let kind = dom.member_text(root, "type").unwrap_or_default();
    match kind.as_ref() {
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
