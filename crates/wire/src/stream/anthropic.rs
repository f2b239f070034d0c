//! Events of Anthropic Messages: blocks that start, get deltas, and stop.

use bytes::Bytes;

use super::{Channel, ChannelKind, Reading, ToolFragment};
use crate::families::anthropic::usage;
use crate::json::Kind;
use crate::json::text::escape_into;

/// Reads one event; says whether it may be cloned.
///
/// `name`: the event's, which some clients take where the data has no type.
pub(super) fn event(reading: &mut Reading<'_, '_>, root: usize, name: Option<&str>) -> bool {
    let dom = reading.dom;
    let index = dom.member_unsigned(root, "index").unwrap_or(0);
    let kind = dom.member_text(root, "type");
    match kind.as_deref().or(name).unwrap_or_default() {
        "message_start" => {
            if let Some(message) = dom.get(root, "message") {
                reading.found.model = dom.member_text(message, "model").map(Into::into);
                reading.found.usage = dom.get(message, "usage").map(|at| usage(&dom, at));
            }
        }
        "content_block_start" => {
            reading.found.begins = true;
            block_start(reading, root, index);
        }
        "content_block_delta" => {
            if let Some(delta) = dom.get(root, "delta") {
                block_delta(reading, delta, index);
                return true;
            }
        }
        "content_block_stop" => reading.end(|_, channel| channel.index == index),
        "message_delta" => {
            reading.found.usage = dom.get(root, "usage").map(|at| usage(&dom, at));
            reading.found.finish_reason = dom
                .get(root, "delta")
                .and_then(|delta| dom.member_text(delta, "stop_reason"))
                .map(Into::into);
        }
        "message_stop" => reading.found.done = true,
        "error" => reading.found.error = true,
        // Legacy completions.
        "completion" => {
            reading.member_delta(root, "completion", channel(ChannelKind::Text, index));
            if let Some(reason) = dom.member_text(root, "stop_reason") {
                reading.found.finish_reason = Some(reason.into());
                reading.end(|_, _| true);
            }
            return true;
        }
        _ => {}
    }
    false
}

fn channel(kind: ChannelKind, index: u64) -> Channel {
    let locked = matches!(kind, ChannelKind::Reasoning | ChannelKind::Signature);
    Channel { kind, group: 0, index, locked }
}

/// A block may bring its first text along.
fn block_start(reading: &mut Reading<'_, '_>, root: usize, index: u64) {
    let dom = reading.dom;
    let Some(block) = dom.get(root, "content_block") else { return };
    let kind = dom.member_text(block, "type").unwrap_or_default();
    if kind.ends_with("tool_use") {
        let channel = channel(ChannelKind::ToolArguments, index);
        reading.marks.paint(&dom, block, channel.kind.role());
        let id = reading.channels.open(super::ChannelName::Plain(channel), channel);
        let (call, name) = (dom.member_text(block, "id"), dom.member_text(block, "name"));
        reading.found.tool_calls.push(ToolFragment {
            channel: id,
            id: call.map(Into::into),
            name: name.map(Into::into),
        });
    } else {
        block_delta(reading, block, index);
    }
}

fn block_delta(reading: &mut Reading<'_, '_>, delta: usize, index: u64) {
    let dom = reading.dom;
    for (key, value) in dom.members(delta) {
        if dom.kind(value) != Some(Kind::String) {
            continue;
        }
        let kind = match dom.text(key).unwrap_or_default().as_ref() {
            "text" => ChannelKind::Text,
            "partial_json" => ChannelKind::ToolArguments,
            "thinking" => ChannelKind::Reasoning,
            "signature" | "data" => ChannelKind::Signature,
            _ => continue,
        };
        let channel = channel(kind, index);
        reading.delta(value, super::ChannelName::Plain(channel), channel);
    }
}

/// A delta from nothing, for a block whose only text came with its start.
pub(super) fn delta_event(channel: &Channel, text: &str) -> Option<Bytes> {
    let (kind, member) = match channel.kind {
        ChannelKind::Text => ("text_delta", "text"),
        ChannelKind::ToolArguments => ("input_json_delta", "partial_json"),
        _ => return None,
    };
    let mut event = format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"{kind}\",\"{member}\":\"",
        channel.index
    )
    .into_bytes();
    escape_into(&mut event, text);
    event.extend_from_slice(b"\"}}\n\n");
    Some(Bytes::from(event))
}
